//! The packets that wait to be sent or acknowledged, in their order, in the buffer the caller lent.
//!
//! Answers for the memory: the CONNECT at the beginning, then the packets as they'll be sent; room that
//! became free is gathered when it's needed. Does not answer for what is sent when (`transmit`) or for what
//! an acknowledgement means (`inbound`).

use dunlin_codec::{EncodeError, PacketId, QoS, SliceWriter};

use crate::event::Failure;

/// At most `N` packets in the buffer `B`.
#[derive(Debug)]
pub(super) struct Outbox<B, const N: usize> {
    buffer: B,
    /// Where the CONNECT ends.
    connect_end: usize,
    /// Where the next packet goes.
    end: usize,
    /// In the order in which the packets were given, which is that of their bytes too.
    entries: heapless::Vec<Entry, N>,
}

/// A packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    start: usize,
    /// 0 once the bytes aren't needed any more.
    length: usize,
    /// `None` for QoS 0 alone.
    pub(super) packet_id: Option<PacketId>,
    pub(super) content: Content,
    pub(super) state: State,
    /// Sent before, or perhaps: the next time with DUP.
    repeated: bool,
    /// Sent whole before, and the server has had the Session since: it may have the message.
    delivered: bool,
}

/// What the packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Publish {
        qos: QoS,
        retain: bool,
    },
    /// With the number of Topic Filters.
    Subscribe(usize),
    Unsubscribe(usize),
}

/// What has to happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It waits to be sent.
    Due,
    /// A part of it may have been sent. One packet at most.
    Sending,
    /// It waits for PUBACK, PUBREC, SUBACK or UNSUBACK.
    AwaitAcknowledgement,
    /// It's over; the application must be told.
    Failed(Failure),
}

/// Why a packet wasn't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushError {
    /// There are `N`.
    Entries,
    /// The free room doesn't suffice.
    Room,
    /// The whole buffer doesn't suffice.
    TooLarge,
    Encode(EncodeError),
}

impl Entry {
    pub(super) const fn length(&self) -> usize {
        self.length
    }

    pub(super) const fn qos(&self) -> Option<QoS> {
        match self.content {
            Content::Publish { qos, .. } => Some(qos),
            Content::Subscribe(_) | Content::Unsubscribe(_) => None,
        }
    }

    /// Whether it takes part in the flow control of the messages above QoS 0.
    pub(super) fn is_acknowledged_publish(&self) -> bool {
        self.qos().is_some_and(|qos| qos != QoS::AtMostOnce)
    }

    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.state, State::Sending | State::AwaitAcknowledgement)
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize> Outbox<B, N> {
    /// An outbox whose buffer begins with the CONNECT.
    pub(super) fn new(
        mut buffer: B,
        connect: impl FnOnce(&mut SliceWriter<'_>) -> Result<(), EncodeError>,
    ) -> Result<Self, EncodeError> {
        let mut writer = SliceWriter::new(buffer.as_mut());
        connect(&mut writer)?;
        let connect_end = writer.written();
        Ok(Self {
            buffer,
            connect_end,
            end: connect_end,
            entries: heapless::Vec::new(),
        })
    }

    pub(super) fn connect(&self) -> &[u8] {
        self.bytes_at(0, self.connect_end)
    }

    pub(super) fn connect_mut(&mut self) -> &mut [u8] {
        self.buffer
            .as_mut()
            .get_mut(..self.connect_end)
            .unwrap_or_default()
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.entries
    }

    pub(super) fn entry(&self, packet_id: PacketId) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.packet_id == Some(packet_id))
    }

    pub(super) fn bytes(&self, entry: &Entry) -> &[u8] {
        self.bytes_at(entry.start, entry.length)
    }

    fn bytes_at(&self, start: usize, length: usize) -> &[u8] {
        self.buffer
            .as_ref()
            .get(start..start + length)
            .unwrap_or_default()
    }

    /// Takes a packet; `encode` may be called twice. Its bytes are at the same place until the next push.
    pub(super) fn push(
        &mut self,
        packet_id: Option<PacketId>,
        content: Content,
        encode: impl Fn(&mut SliceWriter<'_>) -> Result<(), EncodeError>,
    ) -> Result<&[u8], PushError> {
        if self.entries.is_full() {
            return Err(PushError::Entries);
        }
        let mut written = self.write_at_end(&encode);
        if written == Err(EncodeError::BufferFull) {
            self.gather();
            written = self.write_at_end(&encode);
        }
        let length = match written {
            Ok(length) => length,
            Err(EncodeError::BufferFull) if self.end == self.connect_end => {
                return Err(PushError::TooLarge);
            }
            Err(EncodeError::BufferFull) => return Err(PushError::Room),
            Err(error) => return Err(PushError::Encode(error)),
        };
        let start = self.end;
        let entry = Entry {
            start,
            length,
            packet_id,
            content,
            state: State::Due,
            repeated: false,
            delivered: false,
        };
        if self.entries.push(entry).is_err() {
            return Err(PushError::Entries);
        }
        self.end += length;
        Ok(self.bytes_at(start, length))
    }

    fn write_at_end(
        &mut self,
        encode: impl Fn(&mut SliceWriter<'_>) -> Result<(), EncodeError>,
    ) -> Result<usize, EncodeError> {
        let room = self.buffer.as_mut().get_mut(self.end..).unwrap_or_default();
        let mut writer = SliceWriter::new(room);
        encode(&mut writer)?;
        Ok(writer.written())
    }

    /// Takes back what was pushed last.
    pub(super) fn pop(&mut self) {
        if let Some(entry) = self.entries.pop() {
            self.end = entry.start;
        }
    }

    /// Moves the packets together, so that all free room is behind them.
    fn gather(&mut self) {
        let mut end = self.connect_end;
        for entry in self.entries.iter_mut().filter(|entry| entry.length > 0) {
            let from = entry.start..entry.start + entry.length;
            self.buffer.as_mut().copy_within(from, end);
            entry.start = end;
            end += entry.length;
        }
        self.end = end;
    }

    /// Forgets a packet.
    pub(super) fn remove(&mut self, packet_id: PacketId) {
        self.retain(|entry| entry.packet_id != Some(packet_id));
    }

    fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) {
        self.entries.retain(keep);
        self.free();
    }

    fn free(&mut self) {
        // The usual case needs no moving: everything was sent and acknowledged.
        if self.entries.iter().all(|entry| entry.length == 0) {
            self.end = self.connect_end;
        }
    }

    /// The next packet is `index`: it's being sent from now on.
    pub(super) fn begin(&mut self, index: usize) {
        let Some(entry) = self.entries.get_mut(index) else {
            return;
        };
        entry.state = State::Sending;
        if !entry.is_acknowledged_publish() {
            return;
        }
        // [MQTT-3.3.1-1] [3:MQTT-3.3.1-1] DUP is set in what was, or may have been, sent before.
        if entry.repeated
            && let Some(first) = self.buffer.as_mut().get_mut(entry.start)
        {
            *first |= DUP;
        }
        entry.repeated = true;
    }

    pub(super) fn sending(&self) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.state == State::Sending)
    }

    /// The packet that is being sent has been sent.
    pub(super) fn sent(&mut self) {
        let sending = self
            .entries
            .iter_mut()
            .find(|entry| entry.state == State::Sending);
        if let Some(entry) = sending {
            entry.state = State::AwaitAcknowledgement;
            match entry.content {
                Content::Publish { .. } => entry.delivered = true,
                // Requests aren't repeated.
                Content::Subscribe(_) | Content::Unsubscribe(_) => entry.length = 0,
            }
        }
        // At QoS 0 nothing is awaited.
        self.retain(|entry| {
            entry.state != State::AwaitAcknowledgement || entry.packet_id.is_some()
        });
    }

    /// The connection is lost: what isn't part of the Session ends with it.
    pub(super) fn disconnected(&mut self) {
        self.retain(Entry::is_acknowledged_publish);
        for entry in self.entries.iter_mut().filter(|entry| entry.is_under_way()) {
            entry.state = State::Due;
        }
    }

    /// The server hasn't kept the Session: it may have what was sent, or not.
    pub(super) fn session_lost(&mut self) {
        for entry in &mut self.entries {
            if entry.delivered {
                entry.state = State::Failed(Failure::SessionLost);
                entry.length = 0;
            }
            // What never arrived as a whole is new to the server.
            entry.repeated = false;
            if entry.length > 0
                && let Some(first) = self.buffer.as_mut().get_mut(entry.start)
            {
                *first &= !DUP;
            }
        }
        self.free();
    }

    /// Takes a message that failed out of the outbox.
    pub(super) fn take_failed(&mut self) -> Option<(PacketId, Failure)> {
        let failed = self.entries.iter().find_map(|entry| match entry.state {
            State::Failed(failure) => Some((entry.packet_id?, failure)),
            _ => None,
        })?;
        self.remove(failed.0);
        Some(failed)
    }
}

const DUP: u8 = 0x08;
