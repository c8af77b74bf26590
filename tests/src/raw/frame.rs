//! Frames read from a broker and taken apart, strictly: what a broker sends must be well-formed to the byte.
//!
//! Written from the standards alone, sharing nothing with `dunlin-codec`. Chapters 2 and 3 of both standards.

use super::build::{self, Publish};
use super::{Failure, Outcome, Version};

/// One packet as it came: first byte and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The first byte: packet type and flags.
    pub first: u8,
    /// What follows the length.
    pub body: Vec<u8>,
    /// How many bytes it took on the wire, the fixed header included.
    pub size: usize,
}

/// A property: its identifier and the bytes of its value (strings with their lengths).
pub type Property = (u8, Vec<u8>);

/// A Reason Code with what came along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Packet Identifier; 0 in packets without one.
    pub id: u16,
    /// The Reason Code; an absent one is 0.
    pub code: u8,
    /// Properties; none in 3.1.1.
    pub properties: Vec<Property>,
}

/// A CONNACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connack {
    /// Connect Acknowledge Flags.
    pub flags: u8,
    /// Reason Code or return code.
    pub code: u8,
    /// Properties; none in 3.1.1.
    pub properties: Vec<Property>,
}

impl Connack {
    /// The value of a property that comes once.
    #[must_use]
    pub fn property(&self, id: u8) -> Option<&[u8]> {
        find(&self.properties, id)
    }
}

/// The value of the first property with this identifier.
#[must_use]
pub fn find(properties: &[Property], id: u8) -> Option<&[u8]> {
    properties
        .iter()
        .find(|property| property.0 == id)
        .map(|property| property.1.as_slice())
}

impl Frame {
    /// The packet again, byte by byte, with the length in its shortest form.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        build::packet(self.first, &self.body)
    }

    /// The first frame of a buffer, if it is all there.
    ///
    /// # Errors
    /// When the length is longer than four bytes or not in its shortest form.
    pub fn take(buffer: &mut Vec<u8>) -> Outcome<Option<Self>> {
        let mut length = 0_usize;
        let mut digits = 0_u32;
        loop {
            let Some(byte) = buffer.get(1 + digits as usize) else {
                return Ok(None);
            };
            length |= usize::from(byte & 0x7F) << (7 * digits);
            digits += 1;
            if byte & 0x80 == 0 {
                if digits > 1 && *byte == 0 {
                    return Err(Failure::new(format!(
                        "a length not in its shortest form: {buffer:02X?}"
                    )));
                }
                break;
            }
            if digits == 4 {
                return Err(Failure::new(format!(
                    "a length of more than four bytes: {buffer:02X?}"
                )));
            }
        }
        let header = 1 + digits as usize;
        let size = header + length;
        let (Some(&first), Some(body)) = (buffer.first(), buffer.get(header..size)) else {
            return Ok(None);
        };
        let frame = Self {
            first,
            body: body.to_vec(),
            size,
        };
        buffer.drain(..size);
        Ok(Some(frame))
    }

    /// The packet as a PUBLISH.
    ///
    /// # Errors
    /// When it is another packet or not well-formed.
    #[track_caller]
    pub fn publish(&self, version: Version) -> Outcome<Publish> {
        if self.first & 0xF0 != 0x30 {
            return Err(Failure::new(format!("expected a PUBLISH, got {self:02X?}")));
        }
        let mut reader = Reader(&self.body);
        let qos = (self.first >> 1) & 3;
        if qos == 3 {
            return Err(Failure::new("a PUBLISH with QoS 3"));
        }
        let topic = reader.text()?;
        let id = if qos > 0 { reader.two()? } else { 0 };
        let properties = match version {
            Version::V5 => reader.property_bytes()?,
            Version::V311 => Vec::new(),
        };
        Reader(&properties).property_list()?;
        Ok(Publish {
            version,
            dup: self.first & 8 != 0,
            qos,
            retain: self.first & 1 != 0,
            topic,
            id,
            properties,
            payload: reader.0.to_vec(),
        })
    }

    /// The packet as a CONNACK of this version.
    ///
    /// # Errors
    /// When it is another packet or not well-formed.
    #[track_caller]
    pub fn connack(&self, version: Version) -> Outcome<Connack> {
        if self.first != 0x20 {
            return Err(Failure::new(format!("expected a CONNACK, got {self:02X?}")));
        }
        let mut reader = Reader(&self.body);
        let (flags, code) = (reader.byte()?, reader.byte()?);
        let properties = match version {
            Version::V5 => Reader(&reader.property_bytes()?).property_list()?,
            Version::V311 => Vec::new(),
        };
        reader.end()?;
        Ok(Connack {
            flags,
            code,
            properties,
        })
    }

    /// The packet as a PUBACK, PUBREC, PUBREL or PUBCOMP, whichever has this first byte.
    ///
    /// # Errors
    /// When it is another packet or not well-formed.
    #[track_caller]
    pub fn ack(&self, first: u8, version: Version) -> Outcome<Reason> {
        if self.first != first {
            return Err(Failure::new(format!(
                "expected the first byte {first:02X}, got {self:02X?}"
            )));
        }
        let mut reader = Reader(&self.body);
        let id = reader.two()?;
        let (mut code, mut properties) = (0, Vec::new());
        if version == Version::V5 && !reader.0.is_empty() {
            code = reader.byte()?;
            if !reader.0.is_empty() {
                properties = Reader(&reader.property_bytes()?).property_list()?;
            }
        }
        reader.end()?;
        Ok(Reason {
            id,
            code,
            properties,
        })
    }

    /// The packet as a SUBACK (first byte 0x90) or UNSUBACK (0xB0): its identifier, properties and codes.
    ///
    /// # Errors
    /// When it is another packet or not well-formed.
    #[track_caller]
    pub fn suback(&self, first: u8, version: Version) -> Outcome<(u16, Vec<Property>, Vec<u8>)> {
        if self.first != first {
            return Err(Failure::new(format!(
                "expected the first byte {first:02X}, got {self:02X?}"
            )));
        }
        let mut reader = Reader(&self.body);
        let id = reader.two()?;
        let properties = match version {
            Version::V5 => Reader(&reader.property_bytes()?).property_list()?,
            Version::V311 => Vec::new(),
        };
        Ok((id, properties, reader.0.to_vec()))
    }

    /// The packet as a DISCONNECT (first byte 0xE0) or AUTH (0xF0) of MQTT 5.
    ///
    /// # Errors
    /// When it is another packet or not well-formed.
    #[track_caller]
    pub fn reason(&self, first: u8) -> Outcome<Reason> {
        if self.first != first {
            return Err(Failure::new(format!(
                "expected the first byte {first:02X}, got {self:02X?}"
            )));
        }
        let mut reader = Reader(&self.body);
        let (mut code, mut properties) = (0, Vec::new());
        if !reader.0.is_empty() {
            code = reader.byte()?;
            if !reader.0.is_empty() {
                properties = Reader(&reader.property_bytes()?).property_list()?;
            }
        }
        reader.end()?;
        Ok(Reason {
            id: 0,
            code,
            properties,
        })
    }
}

impl Publish {
    /// The properties, taken apart.
    ///
    /// # Errors
    /// When they are not well-formed.
    pub fn property_list(&self) -> Outcome<Vec<Property>> {
        Reader(&self.properties).property_list()
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    #[track_caller]
    fn bytes(&mut self, count: usize) -> Outcome<&'a [u8]> {
        let Some((head, tail)) = self.0.split_at_checked(count) else {
            return Err(Failure::new(format!(
                "{count} bytes expected, {:02X?} is left",
                self.0
            )));
        };
        self.0 = tail;
        Ok(head)
    }

    #[track_caller]
    fn byte(&mut self) -> Outcome<u8> {
        Ok(self.bytes(1)?.first().copied().unwrap_or_default())
    }

    #[track_caller]
    fn two(&mut self) -> Outcome<u16> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    #[track_caller]
    fn text(&mut self) -> Outcome<Vec<u8>> {
        let length = self.two()?;
        Ok(self.bytes(usize::from(length))?.to_vec())
    }

    #[track_caller]
    fn varint(&mut self) -> Outcome<u32> {
        let mut value = 0;
        for digit in 0..4 {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7F) << (7 * digit);
            if byte & 0x80 == 0 {
                if digit > 0 && byte == 0 {
                    return Err(Failure::new(
                        "a variable byte integer not in its shortest form",
                    ));
                }
                return Ok(value);
            }
        }
        Err(Failure::new(
            "a variable byte integer of more than four bytes",
        ))
    }

    #[track_caller]
    fn property_bytes(&mut self) -> Outcome<Vec<u8>> {
        let length = self.varint()?;
        Ok(self.bytes(length as usize)?.to_vec())
    }

    #[track_caller]
    fn property_list(&mut self) -> Outcome<Vec<Property>> {
        let mut list = Vec::new();
        while !self.0.is_empty() {
            let id = self.byte()?;
            let before = self.0;
            match id {
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2A => drop(self.byte()?),
                0x13 | 0x21..=0x23 => drop(self.two()?),
                0x02 | 0x11 | 0x18 | 0x27 => drop(self.bytes(4)?),
                0x0B => drop(self.varint()?),
                0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => drop(self.text()?),
                0x26 => drop((self.text()?, self.text()?)),
                _ => return Err(Failure::new(format!("property {id:#04X} does not exist"))),
            }
            let used = before.len() - self.0.len();
            list.push((id, before.get(..used).unwrap_or_default().to_vec()));
        }
        Ok(list)
    }

    #[track_caller]
    fn end(&self) -> Outcome {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Failure::new(format!("left over: {:02X?}", self.0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, Publish};
    use crate::raw::{Outcome, Version, build, ensure, same};

    #[test]
    fn takes_whole_frames_only() -> Outcome {
        let mut buffer = [build::PINGRESP, &[0x30, 0x80]].concat();
        let frame = Frame::take(&mut buffer)?.map(|frame| (frame.first, frame.size));
        same("first frame", frame, Some((0xD0, 2)))?;
        same("no frame", Frame::take(&mut buffer)?, None)?;
        buffer.push(0x01);
        same("no frame", Frame::take(&mut buffer)?, None)?;
        buffer.extend([0; 128]);
        same(
            "size",
            Frame::take(&mut buffer)?.map(|frame| frame.size),
            Some(131),
        )?;
        ensure(buffer.is_empty(), || format!("left: {buffer:?}"))
    }

    #[test]
    fn refuses_longer_forms() {
        assert!(Frame::take(&mut vec![0xD0, 0x80, 0x00]).is_err());
        assert!(Frame::take(&mut vec![0xD0, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]).is_err());
    }

    #[test]
    fn reads_back_what_was_built() -> Outcome {
        for version in [Version::V311, Version::V5] {
            for qos in 0..3 {
                let id = u16::from(qos) * 300;
                let mut publish = Publish::new(version, "a/b", "payload")
                    .qos(qos, id)
                    .retain();
                if version == Version::V5 {
                    publish = publish.property(build::property::user("k", "v"));
                }
                let mut bytes = publish.bytes();
                let frame = Frame::take(&mut bytes)?;
                same(
                    "PUBLISH",
                    frame.map(|frame| frame.publish(version)).transpose()?,
                    Some(publish),
                )?;
            }
        }
        Ok(())
    }

    #[test]
    fn notices_what_is_left_over() {
        let frame = |first, body: &[u8]| Frame {
            first,
            body: body.to_vec(),
            size: body.len() + 2,
        };
        assert!(frame(0x20, &[0, 0, 0]).connack(Version::V5).is_ok());
        assert!(frame(0x20, &[0, 0, 0, 1]).connack(Version::V5).is_err());
        assert!(frame(0x20, &[0, 0, 0]).connack(Version::V311).is_err());
        assert!(frame(0x40, &[0, 1, 0, 0]).ack(0x40, Version::V5).is_ok());
        assert!(
            frame(0x40, &[0, 1, 0, 0, 0])
                .ack(0x40, Version::V5)
                .is_err()
        );
        assert!(frame(0x40, &[0, 1, 0]).ack(0x40, Version::V311).is_err());
        assert!(frame(0xE0, &[0x82, 2, 0x7F, 0]).reason(0xE0).is_err());
    }
}
