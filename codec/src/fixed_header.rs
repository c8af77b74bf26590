//! The fixed header: packet type, flags, Remaining Length. MQTT 5 section 2.1.

use crate::error::{DecodeError, Malformed};
use crate::packet::qos_of_flags;
use crate::reader::variable_byte_integer;
use crate::scalar::{PacketType, Version};

/// The first two to five bytes of every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedHeader {
    /// The upper four bits of the first byte.
    pub packet_type: PacketType,
    /// The lower four bits of the first byte, checked for every type.
    pub flags: u8,
    /// How many bytes this header takes: 2 to 5.
    pub header_length: usize,
    /// How many bytes follow this header: up to 268,435,455.
    pub remaining_length: usize,
}

impl FixedHeader {
    /// Reads the header at the start of `bytes`. `maximum_packet_size` counts the whole packet,
    /// header included; a larger one is refused before its bytes have come.
    ///
    /// # Errors
    /// `Incomplete` when the header isn't whole; malformed for a reserved type, wrong flags, a bad
    /// Remaining Length, or a packet that is too large.
    #[inline]
    pub fn decode(
        bytes: &[u8],
        version: Version,
        maximum_packet_size: u32,
    ) -> Result<Self, DecodeError> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Err(DecodeError::Incomplete { needed: 2 });
        };
        let packet_type = PacketType::from_bits(first >> 4, version)?;
        let flags = first & 0x0F;
        check_flags(packet_type, flags, version)?;
        let (remaining_length, length_bytes) = match variable_byte_integer(rest) {
            Ok(found) => found,
            Err(DecodeError::Incomplete { needed }) => {
                return Err(DecodeError::Incomplete { needed: needed + 1 });
            }
            Err(malformed) => return Err(malformed),
        };
        let header = Self {
            packet_type,
            flags,
            header_length: 1 + length_bytes,
            remaining_length: usize::try_from(remaining_length)
                .map_err(|_| Malformed::PacketTooLarge)?,
        };
        let maximum = usize::try_from(maximum_packet_size).unwrap_or(usize::MAX);
        if header.packet_length() > maximum {
            return Err(Malformed::PacketTooLarge.into());
        }
        Ok(header)
    }

    /// The length of the whole packet in bytes.
    #[inline]
    pub const fn packet_length(&self) -> usize {
        self.header_length + self.remaining_length
    }
}

/// [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1] [MQTT-3.15.1-1]
#[inline]
fn check_flags(packet_type: PacketType, flags: u8, version: Version) -> Result<(), Malformed> {
    let allowed = match packet_type {
        // Now, not when a payload of any length has come.
        PacketType::Publish => return qos_of_flags(flags).map(|_| ()),
        // MQTT 3.1 gave these a QoS of 1 and let a client set DUP when it sends one again.
        PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => {
            flags == 0b0010 || (flags == 0b1010 && matches!(version, Version::V3))
        }
        _ => flags == 0,
    };
    if allowed {
        Ok(())
    } else {
        Err(Malformed::FixedHeaderFlags)
    }
}
