//! Frames looked at in place: where one ends, what kind it is, which message it carries. MQTT 3.1.1 sections 2.2, 3.3.

use super::wire::NUMBER_BYTES;
use crate::raw::{Failure, Outcome};

/// A frame in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) first: u8,
    pub(super) whole: &'a [u8],
    body: &'a [u8],
}

/// What of a PUBLISH has to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) qos: u8,
    pub(super) id: u16,
    pub(super) number: u64,
}

impl<'a> Frame<'a> {
    /// The frame at the beginning of `bytes`; `None` when it isn't whole.
    pub(super) fn at_start(bytes: &'a [u8]) -> Outcome<Option<Self>> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let mut length = 0_usize;
        for digit in 0..4 {
            let Some(&byte) = bytes.get(1 + digit) else {
                return Ok(None);
            };
            length |= usize::from(byte & 0x7F) << (7 * digit);
            if byte & 0x80 == 0 {
                let start = 2 + digit;
                let whole = bytes.get(..start + length);
                return Ok(whole.map(|whole| Self {
                    first,
                    whole,
                    body: whole.get(start..).unwrap_or_default(),
                }));
            }
        }
        Err(Failure::new("a length of more than four bytes"))
    }

    /// The Packet Identifier of an acknowledgement.
    pub(super) fn id(&self) -> u16 {
        match self.body {
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => 0,
        }
    }

    /// The frame as a PUBLISH of the generator.
    pub(super) fn message(&self) -> Outcome<Message> {
        self.read_message()
            .ok_or_else(|| Failure::new(format!("not a message of ours: {:02X?}", self.whole)))
    }

    fn read_message(&self) -> Option<Message> {
        let qos = self.first >> 1 & 3;
        let (length, rest) = self.body.split_first_chunk::<2>()?;
        let mut rest = rest.get(usize::from(u16::from_be_bytes(*length))..)?;
        let mut id = 0;
        if qos > 0 {
            let (bytes, after) = rest.split_first_chunk::<2>()?;
            (id, rest) = (u16::from_be_bytes(*bytes), after);
        }
        let number = rest.first_chunk::<NUMBER_BYTES>()?;
        Some(Message {
            qos,
            id,
            number: u64::from_be_bytes(*number),
        })
    }
}

/// Which numbers have come, of a sequence that starts at 0.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    seen: Vec<u64>,
    next: u64,
    distinct: u64,
    doubled: u64,
    out_of_order: u64,
}

/// What became of the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) out_of_order: u64,
}

impl Arrivals {
    /// A number came.
    pub(super) fn note(&mut self, number: u64) {
        let (word, bit) = (
            usize::try_from(number / 64).unwrap_or(usize::MAX),
            1 << (number % 64),
        );
        // 2^32 messages to one subscriber are more than a run has.
        if word >= 1 << 26 {
            self.out_of_order += 1;
            return;
        }
        if self.seen.len() <= word {
            self.seen.resize(word + 1024, 0);
        }
        let Some(slot) = self.seen.get_mut(word) else {
            return;
        };
        if *slot & bit != 0 {
            self.doubled += 1;
            return;
        }
        *slot |= bit;
        self.distinct += 1;
        if number < self.next {
            self.out_of_order += 1;
        }
        self.next = self.next.max(number + 1);
    }

    /// How many different ones have come.
    pub(super) fn distinct(&self) -> u64 {
        self.distinct
    }

    /// What is wrong, when so many were sent.
    pub(super) fn faults(&self, sent: u64) -> Faults {
        Faults {
            lost: sent.saturating_sub(self.distinct),
            doubled: self.doubled,
            out_of_order: self.out_of_order,
        }
    }
}

impl Faults {
    pub(super) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
    }

    pub(super) fn none(self) -> bool {
        self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Template;
    use super::*;

    #[test]
    fn finds_whole_frames_and_what_they_carry() -> Outcome {
        let mut bytes = Vec::new();
        Template::new("load/topic", 1, false, 200)?.append(&mut bytes, 9, 42);
        let size = bytes.len();
        bytes.extend([0x40, 2, 0]);
        let frame = Frame::at_start(&bytes)?;
        assert_eq!(frame.map(|frame| frame.whole.len()), Some(size));
        let message = frame.map(|frame| frame.message()).transpose()?;
        assert_eq!(
            message,
            Some(Message {
                qos: 1,
                id: 9,
                number: 42
            })
        );
        assert_eq!(
            Frame::at_start(bytes.get(size..).unwrap_or_default())?,
            None
        );
        assert_eq!(
            Frame::at_start(bytes.get(..size - 1).unwrap_or_default())?,
            None
        );
        assert!(Frame::at_start(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1]).is_err());
        Ok(())
    }

    #[test]
    fn notices_lost_doubled_and_reordered() {
        let mut arrivals = Arrivals::default();
        for number in [0, 1, 3, 2, 3, 5] {
            arrivals.note(number);
        }
        let faults = Faults {
            lost: 1,
            doubled: 1,
            out_of_order: 1,
        };
        assert_eq!(arrivals.faults(6), faults);
        assert_eq!(arrivals.distinct(), 5);
        assert!(Arrivals::default().faults(0).none());
    }
}
