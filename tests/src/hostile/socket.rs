//! An attacker's socket: sends what the broker may not want, never waits long, needn't read.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::stage::Stage;
use crate::raw::build::Connect;
use crate::raw::{Outcome, PATIENCE, Version};

/// A connection to the broker.
#[derive(Debug)]
pub(super) struct Socket(TcpStream);

/// How a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Closed,
}

impl Socket {
    /// A connection on which nothing was sent.
    #[track_caller]
    pub(super) fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self(stream))
    }

    /// A connection on which these bytes were sent, as far as the broker took them.
    #[track_caller]
    pub(super) fn with(stage: &Stage, bytes: impl AsRef<[u8]>) -> Outcome<Self> {
        let mut socket = Self::open(stage.address())?;
        socket.push(bytes, PATIENCE);
        Ok(socket)
    }

    /// A connection on which a CONNECT was sent; its CONNACK isn't read.
    #[track_caller]
    pub(super) fn connected(stage: &Stage, version: Version, client_id: &str) -> Outcome<Self> {
        Self::with(stage, Connect::new(version, client_id).bytes())
    }

    /// Sends until all is gone, the broker has closed, or it took nothing for this long. How many bytes are gone.
    pub(super) fn push(&mut self, bytes: impl AsRef<[u8]>, patience: Duration) -> usize {
        let bytes = bytes.as_ref();
        let mut gone = 0;
        let mut deadline = Instant::now() + patience;
        while let Some(rest) = bytes.get(gone..).filter(|rest| !rest.is_empty()) {
            match self.0.write(rest) {
                Ok(count) => {
                    gone += count;
                    deadline = Instant::now() + patience;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if Instant::now() >= deadline {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Closed by the broker, which is its right.
                Err(_) => break,
            }
        }
        gone
    }

    /// Throws away what is there to read.
    pub(super) fn drain(&mut self) -> State {
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.0.read(&mut chunk) {
                Ok(0) => return State::Closed,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return State::Open,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return State::Closed,
            }
        }
    }

    /// Reads until there are so many bytes, the broker closes, or the time is over. What came.
    pub(super) fn read(&mut self, count: usize, within: Duration) -> Vec<u8> {
        let deadline = Instant::now() + within;
        let mut bytes = Vec::new();
        let mut chunk = [0; 16 * 1024];
        while bytes.len() < count && Instant::now() < deadline {
            match self.0.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => bytes.extend(chunk.iter().take(read)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        bytes
    }

    /// Reads until nothing came for this long, or the broker closed.
    pub(super) fn read_until_quiet(&mut self, quiet: Duration) {
        while !self.read(1, quiet).is_empty() {}
    }

    /// Whether the broker closes within this time.
    pub(super) fn closes(&mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while self.drain() == State::Open {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Makes the kernel take little from the broker before it stalls.
    pub(super) fn narrow(&self) -> Outcome {
        Ok(SockRef::from(&self.0).set_recv_buffer_size(4 * 1024)?)
    }

    /// Says that nothing more will be sent; still could read.
    pub(super) fn half_close(&self) {
        // Failing means that it is closed already.
        drop(self.0.shutdown(Shutdown::Write));
    }

    /// Ends it by a reset, as a crashed client's kernel does.
    pub(super) fn reset(self) {
        // Without it the socket is closed in the usual way, which is as good.
        drop(SockRef::from(&self.0).set_linger(Some(Duration::ZERO)));
    }
}

/// How many of these the broker has closed within the time, all being looked at in turn.
pub(super) fn closed_within(sockets: &mut [Socket], within: Duration) -> usize {
    let deadline = Instant::now() + within;
    loop {
        let closed = sockets
            .iter_mut()
            .map(Socket::drain)
            .filter(|state| *state == State::Closed)
            .count();
        if closed == sockets.len() || Instant::now() >= deadline {
            return closed;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
