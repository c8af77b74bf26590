//! The CONNECT that stands at the beginning of the outbox, and what a client may say at the end.
//! MQTT 5 sections 3.1 and 3.14.

use dunlin_codec::{
    Connect, DecodeError, EncodeError, FixedHeader, Properties, Property, ReasonCode, SliceWriter,
    Version, decode,
};

use super::outbox::Outbox;
use crate::error::OptionsError;
use crate::options::{Options, PACKET_SIZE_MAX};

/// The properties that the options have fields for: at most 5, 3 and 5 bytes.
const OWN_PROPERTIES_MAX: usize = 13;
/// Where the connect flags are, counted from the end of the fixed header.
const FLAGS_AT: usize = 7;
const CLEAN_START: u8 = 0x02;

pub(super) fn outbox<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize>(
    buffer: B,
    options: &Options<'_>,
    receive_maximum: u16,
) -> Result<Outbox<B, N>, OptionsError> {
    check(options)?;
    let mut own = [0; OWN_PROPERTIES_MAX];
    let own = if options.version.is_v5() {
        own_properties(&mut own, options, receive_maximum)?
    } else {
        &[]
    };
    let connect = Connect {
        version: options.version,
        clean_start: options.clean_start,
        keep_alive_s: options.keep_alive_s,
        client_id: options.client_id,
        will: options.will,
        user_name: options.user_name,
        password: options.password,
        properties: Properties::from_checked(own, options.properties),
    };
    let outbox = Outbox::new(buffer, |sink| connect.encode(sink))?;
    // What we wouldn't take from a stranger we don't send: strings, the Will's topic, properties.
    match decode(outbox.connect(), options.version, PACKET_SIZE_MAX) {
        Ok(_) => Ok(outbox),
        Err(DecodeError::Malformed(reason)) => Err(OptionsError::Malformed(reason)),
        Err(DecodeError::Incomplete { .. }) => Err(OptionsError::BufferTooSmall),
    }
}

fn check(options: &Options<'_>) -> Result<(), OptionsError> {
    match options.version {
        Version::V3 => return Err(OptionsError::Version),
        Version::V4 => {
            let will_properties = options.will.is_some_and(|will| !will.properties.is_empty());
            if options.session_expiry_s != 0 || !options.properties.is_empty() || will_properties {
                return Err(OptionsError::NotInThisVersion);
            }
            // [3:MQTT-3.1.3-7]
            if options.client_id.is_empty() && !options.clean_start {
                return Err(OptionsError::ClientIdNeeded);
            }
        }
        Version::V5 => {}
    }
    let foreign = |property: &Property<'_>| {
        matches!(
            property,
            Property::SessionExpiryInterval(_)
                | Property::ReceiveMaximum(_)
                | Property::MaximumPacketSize(_)
                | Property::TopicAliasMaximum(_)
                | Property::AuthenticationMethod(_)
                | Property::AuthenticationData(_)
        )
    };
    if options.properties.iter().any(foreign) {
        return Err(OptionsError::Property);
    }
    Ok(())
}

fn own_properties<'a>(
    memory: &'a mut [u8; OWN_PROPERTIES_MAX],
    options: &Options<'_>,
    receive_maximum: u16,
) -> Result<&'a [u8], EncodeError> {
    let mut writer = SliceWriter::new(memory);
    if options.session_expiry_s != 0 {
        Property::SessionExpiryInterval(options.session_expiry_s).encode(&mut writer)?;
    }
    if receive_maximum != u16::MAX {
        Property::ReceiveMaximum(receive_maximum).encode(&mut writer)?;
    }
    if options.maximum_packet_size < PACKET_SIZE_MAX {
        Property::MaximumPacketSize(options.maximum_packet_size).encode(&mut writer)?;
    }
    let written = writer.written();
    memory.get(..written).ok_or(EncodeError::BufferFull)
}

/// Makes the CONNECT ask for the Session that the server has.
pub(super) fn clear_clean_start<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize>(
    outbox: &mut Outbox<B, N>,
) {
    let connect = outbox.connect_mut();
    if let Ok(header) = FixedHeader::decode(connect, Version::V5, PACKET_SIZE_MAX)
        && let Some(flags) = connect.get_mut(header.header_length + FLAGS_AT)
    {
        *flags &= !CLEAN_START;
    }
}

/// Whether a client may send a DISCONNECT with this reason code. [MQTT-3.14.2-1]
pub(super) const fn may_disconnect_with(reason_code: ReasonCode) -> bool {
    matches!(
        reason_code.value(),
        0x00 | 0x04 | 0x80..=0x83 | 0x90 | 0x93..=0x99
    )
}
