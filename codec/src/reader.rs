//! Reading the field types of the standard from borrowed bytes. MQTT 5 section 1.5.

use crate::error::{DecodeError, Malformed};
use crate::scalar::PacketId;

/// The largest value of a Variable Byte Integer, and so the largest Remaining Length.
pub const VARIABLE_BYTE_INTEGER_MAX: u32 = 268_435_455;

/// A cursor over the bytes of one packet. Every method either takes its whole field or fails.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over all of `bytes`.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What has not been read.
    #[inline]
    pub const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether everything has been read.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Everything that is left.
    #[inline]
    pub const fn take_rest(&mut self) -> &'a [u8] {
        let rest = self.bytes;
        self.bytes = &[];
        rest
    }

    /// Exactly `n` bytes.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.bytes.split_at_checked(n).ok_or(Malformed::Truncated)?;
        self.bytes = rest;
        Ok(head)
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self
            .bytes
            .split_first_chunk::<N>()
            .ok_or(Malformed::Truncated)?;
        self.bytes = rest;
        Ok(*head)
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        let [byte] = self.chunk::<1>()?;
        Ok(byte)
    }

    /// A Two Byte Integer.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.chunk()?))
    }

    /// A Four Byte Integer.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.chunk()?))
    }

    /// A Packet Identifier, never 0.
    #[inline]
    pub fn packet_id(&mut self) -> Result<PacketId, Malformed> {
        PacketId::new(self.u16()?).ok_or(Malformed::PacketIdZero)
    }

    /// A Variable Byte Integer in its shortest form.
    #[inline]
    pub fn variable_byte_integer(&mut self) -> Result<u32, Malformed> {
        match variable_byte_integer(self.bytes) {
            Ok((value, length)) => {
                self.take(length)?;
                Ok(value)
            }
            Err(DecodeError::Incomplete { .. }) => Err(Malformed::Truncated),
            Err(DecodeError::Malformed(reason)) => Err(reason),
        }
    }

    /// Binary Data: a two-byte length and that many bytes.
    #[inline]
    pub fn binary(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// A UTF-8 Encoded String: valid UTF-8 (so without surrogates) and without U+0000. A leading
    /// U+FEFF stays. [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.4-3]
    #[inline]
    pub fn string(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.binary()?;
        if bytes.contains(&0) {
            return Err(Malformed::NulInString);
        }
        core::str::from_utf8(bytes).map_err(|_| Malformed::InvalidUtf8)
    }

    /// Fails unless everything has been read.
    #[inline]
    pub const fn finish(&self) -> Result<(), Malformed> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Malformed::TrailingBytes)
        }
    }
}

/// The Variable Byte Integer at the start of `bytes` and its length in bytes (1 to 4).
///
/// # Errors
/// `Incomplete` when it may go on behind `bytes`; malformed when it is longer than four bytes or
/// not in its shortest form. [MQTT-1.5.5-1]
#[inline]
pub fn variable_byte_integer(bytes: &[u8]) -> Result<(u32, usize), DecodeError> {
    let mut value = 0_u32;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            if byte == 0 && index > 0 {
                return Err(Malformed::VariableByteIntegerNotMinimal.into());
            }
            return Ok((value, index + 1));
        }
    }
    if bytes.len() >= 4 {
        return Err(Malformed::VariableByteIntegerTooLong.into());
    }
    Err(DecodeError::Incomplete {
        needed: bytes.len() + 1,
    })
}
