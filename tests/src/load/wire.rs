//! Packets of MQTT 3.1.1, encoded and decoded by mqttbytes.

use bytes::BytesMut;
use mqttbytes::QoS;
use mqttbytes::v4::{Connect, Packet, Publish, Subscribe};

use crate::raw::{Failure, Outcome};

/// Bytes of the payload that hold the message's number, at its beginning.
pub(super) const NUMBER_BYTES: usize = 8;

/// The largest packet that is expected.
const LARGEST: usize = 1024 * 1024;

/// CONNECT of a clean session without Keep Alive.
pub(super) fn connect(client_id: &str) -> Outcome<BytesMut> {
    let mut connect = Connect::new(client_id);
    connect.keep_alive = 0;
    connect.clean_session = true;
    let mut bytes = BytesMut::new();
    connect.write(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// SUBSCRIBE to one filter.
pub(super) fn subscribe(filter: &str, qos: u8) -> Outcome<BytesMut> {
    let mut subscribe = Subscribe::new(filter, level(qos)?);
    subscribe.pkid = 1;
    let mut bytes = BytesMut::new();
    subscribe.write(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// A PUBLISH whose number and Packet Identifier are written over in place.
#[derive(Clone, Debug)]
pub(super) struct Template {
    bytes: Vec<u8>,
    id_at: Option<usize>,
    number_at: usize,
}

impl Template {
    /// A message to this topic, of so many bytes, `NUMBER_BYTES` at least.
    pub(super) fn new(topic: &str, qos: u8, retain: bool, payload_bytes: usize) -> Outcome<Self> {
        let payload = vec![b'.'; payload_bytes.max(NUMBER_BYTES)];
        let mut publish = Publish::new(topic, level(qos)?, payload.clone());
        publish.retain = retain;
        publish.pkid = 1;
        let mut bytes = BytesMut::new();
        publish.write(&mut bytes).map_err(failed)?;
        let number_at = bytes.len() - payload.len();
        Ok(Self {
            id_at: (qos > 0).then(|| number_at - 2),
            number_at,
            bytes: bytes.to_vec(),
        })
    }

    /// Writes the message with this number behind what is in `out`; the Packet Identifier is unused at QoS 0.
    pub(super) fn append(&self, out: &mut Vec<u8>, id: u16, number: u64) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let number = number.to_be_bytes();
        overwrite(out, start + self.number_at, &number);
        if let Some(at) = self.id_at {
            overwrite(out, start + at, &id.to_be_bytes());
        }
    }
}

fn overwrite(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(slot) = out.get_mut(at..at + bytes.len()) {
        slot.copy_from_slice(bytes);
    }
}

/// An acknowledgement: PUBACK 0x40, PUBREC 0x50, PUBREL 0x62, PUBCOMP 0x70.
pub(super) fn append_ack(out: &mut Vec<u8>, first: u8, id: u16) {
    let [high, low] = id.to_be_bytes();
    out.extend_from_slice(&[first, 2, high, low]);
}

/// A whole packet as mqttbytes understands it.
pub(super) fn decode(frame: &[u8]) -> Outcome<Packet> {
    let mut bytes = BytesMut::from(frame);
    mqttbytes::v4::read(&mut bytes, LARGEST).map_err(failed)
}

fn level(qos: u8) -> Outcome<QoS> {
    mqttbytes::qos(qos).map_err(failed)
}

fn failed(error: mqttbytes::Error) -> Failure {
    Failure::new(format!("mqttbytes: {error:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_the_message_that_it_says() -> Outcome {
        for qos in 0..3 {
            let template = Template::new("load/7", qos, false, 64)?;
            let mut out = vec![0xC0, 0];
            template.append(&mut out, 0x1234, 77);
            let Packet::Publish(publish) = decode(out.get(2..).unwrap_or_default())? else {
                return Err(Failure::new("not a PUBLISH"));
            };
            assert_eq!(publish.topic, "load/7");
            assert_eq!(publish.payload.len(), 64);
            assert_eq!(publish.payload.get(..8), Some(&77_u64.to_be_bytes()[..]));
            assert_eq!(publish.pkid, if qos == 0 { 0 } else { 0x1234 });
            assert_eq!(publish.qos as u8, qos);
        }
        Ok(())
    }

    #[test]
    fn acknowledgements_are_what_mqttbytes_reads() -> Outcome {
        let mut out = Vec::new();
        append_ack(&mut out, 0x62, 300);
        let Packet::PubRel(pubrel) = decode(&out)? else {
            return Err(Failure::new("not a PUBREL"));
        };
        assert_eq!(pubrel.pkid, 300);
        Ok(())
    }
}
