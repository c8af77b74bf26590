//! A connection of the generator: never waits while under load, reads many frames at once, writes many at once.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mqttbytes::v4::{ConnectReturnCode, Packet, SubscribeReasonCode};

use super::scan::Frame;
use super::wire;
use crate::raw::{Failure, Outcome};

/// How long a broker may take over one answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Read at once.
const READ_BYTES: usize = 64 * 1024;

/// A connection that was let in.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    /// The start of a frame that isn't whole.
    rest: Vec<u8>,
    /// What goes out; the part that is gone.
    pub(super) out: Vec<u8>,
    gone: usize,
}

/// Where bytes are read to: one for all sockets of a thread.
pub(super) type Buffer = Vec<u8>;

pub(super) fn buffer() -> Buffer {
    vec![0; READ_BYTES]
}

impl Socket {
    /// Connects and waits for CONNACK.
    pub(super) fn connect(address: SocketAddr, client_id: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut socket = Self {
            stream,
            rest: Vec::new(),
            out: Vec::new(),
            gone: 0,
        };
        match socket.ask(&wire::connect(client_id)?)? {
            Packet::ConnAck(connack) if connack.code == ConnectReturnCode::Success => Ok(socket),
            other => Err(Failure::new(format!("CONNECT was answered by {other:?}"))),
        }
    }

    /// Subscribes and waits for SUBACK.
    pub(super) fn subscribe(&mut self, filter: &str, qos: u8) -> Outcome {
        match self.ask(&wire::subscribe(filter, qos)?)? {
            Packet::SubAck(suback)
                if matches!(
                    suback.return_codes.first(),
                    Some(SubscribeReasonCode::Success(_))
                ) =>
            {
                Ok(())
            }
            other => Err(Failure::new(format!("SUBSCRIBE was answered by {other:?}"))),
        }
    }

    /// Sends a packet and waits for the next that comes; what comes behind it is kept.
    fn ask(&mut self, packet: &[u8]) -> Outcome<Packet> {
        self.out.extend_from_slice(packet);
        let mut buffer = vec![0; 1024];
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.flush()?;
            if let Some(frame) = Frame::at_start(&self.rest)? {
                let packet = wire::decode(frame.whole)?;
                let length = frame.whole.len();
                self.rest.drain(..length);
                return Ok(packet);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Failure::new("the broker closed the connection")),
                Ok(count) => self.rest.extend(buffer.iter().take(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if Instant::now() > deadline {
                        return Err(Failure::new("the broker doesn't answer"));
                    }
                    std::thread::sleep(Duration::from_micros(100));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends what goes out, as far as the broker takes it.
    pub(super) fn flush(&mut self) -> Outcome {
        while let Some(bytes) = self.out.get(self.gone..).filter(|bytes| !bytes.is_empty()) {
            match self.stream.write(bytes) {
                Ok(count) => self.gone += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.out.clear();
        self.gone = 0;
        Ok(())
    }

    /// Gives every whole frame that is there to `on_frame`, which may put answers out. Whether anything came.
    pub(super) fn frames(
        &mut self,
        buffer: &mut Buffer,
        mut on_frame: impl FnMut(Frame<'_>, &mut Vec<u8>) -> Outcome,
    ) -> Outcome<bool> {
        let mut came = false;
        loop {
            // The start of a frame goes in front of what is read, so that frames are looked at where they were read.
            let kept = self.rest.len();
            if buffer.len() < kept + READ_BYTES {
                buffer.resize(kept + READ_BYTES, 0);
            }
            let Some((head, space)) = buffer.split_at_mut_checked(kept) else {
                return Ok(came);
            };
            head.copy_from_slice(&self.rest);
            let read = match self.stream.read(space) {
                Ok(0) => return Err(Failure::new("the broker closed the connection")),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock && (kept == 0 || came) => {
                    return Ok(came);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let mut bytes = buffer.get(..kept + read).unwrap_or_default();
            while let Some(frame) = Frame::at_start(bytes)? {
                on_frame(frame, &mut self.out)?;
                bytes = bytes.get(frame.whole.len()..).unwrap_or_default();
            }
            self.rest.clear();
            self.rest.extend_from_slice(bytes);
            came |= read > 0;
            if read < READ_BYTES / 2 {
                return Ok(came);
            }
        }
    }
}
