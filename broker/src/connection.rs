//! The task of one Network Connection: the only place where a client's socket is waited for.
//!
//! Brings bytes and deadlines to the engine's `Connection` and takes bytes away. An idle connection
//! holds no buffer: reading and writing go through buffers of the thread, and only what the socket
//! didn't take, or the start of a packet that isn't whole, is kept.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use dunlin_engine::connection::{Close, CloseReason, Connection, Event, Transmit};
use dunlin_engine::hub::Batch;
use dunlin_engine::memory::Charge;
use dunlin_engine::sync::Wake;
use dunlin_engine::time::Instant;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::listener::Door;
use crate::registry::Place;
use crate::server::Shared;
use crate::wake::TaskWake;

/// Bytes read at once, and so the most that one turn handles.
const READ_BYTES: usize = 64 * 1024;
/// A packet that has come in part and is larger than this is only waited for while there is memory.
const PARTIAL_BYTES: usize = 4 * 1024;
/// A task that is called all the time gives way after this many turns at least.
const TURNS: u8 = 16;
/// The socket is offered at most this many pieces at once.
const PIECES: usize = 64;
/// How long an ending connection may take to get rid of its last bytes.
const LINGER: Duration = Duration::from_millis(500);

/// A thread's working space.
#[derive(Default)]
struct Scratch {
    input: Vec<u8>,
    output: Transmit,
    batch: Batch,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// One connection's task.
pub struct Driver {
    stream: TcpStream,
    peer: SocketAddr,
    connection: Connection,
    shared: Arc<Shared>,
    door: Arc<Door>,
    wake: Arc<TaskWake>,
    place: Place,
    /// The start of a packet that isn't whole, or what was left unread while paused.
    input: Vec<u8>,
    /// What the socket didn't take, and how much of it is gone.
    output: Option<Box<(Transmit, usize)>>,
    /// The deadline that is set.
    deadline: Option<Instant>,
    /// Whether a turn ended with more to do.
    busy: bool,
    charge: Charge,
}

/// What the task woke up for.
enum Ready {
    Called,
    Readable,
    Writable,
}

/// How a connection's work ends.
enum End {
    /// The engine says so; its last bytes are to be written.
    Closed(CloseReason),
    /// The socket failed or the peer is gone.
    Lost(io::Error),
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Closed(close.reason)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl Driver {
    /// A driver for a socket that was accepted.
    pub fn new(
        stream: TcpStream,
        peer: SocketAddr,
        shared: Arc<Shared>,
        door: Arc<Door>,
        wake: Arc<TaskWake>,
        place: Place,
    ) -> Box<Self> {
        let now = shared.clock.now();
        let called: Arc<dyn Wake> = Arc::clone(&wake) as Arc<dyn Wake>;
        let settings = Arc::clone(&door.settings);
        let connection = Connection::new(
            now,
            &shared.hub.limits(),
            settings,
            called,
            shared.random_id(),
        );
        let charge = Charge::new(shared.hub.account(), 0);
        Box::new(Self {
            stream,
            peer,
            connection,
            shared,
            door,
            wake,
            place,
            input: Vec::new(),
            output: None,
            deadline: None,
            busy: false,
            charge,
        })
    }

    /// Serves the connection until it ends. Not cancel-safe for the client, whose last bytes may be
    /// lost; the session is told in any case.
    pub async fn run(mut self: Box<Self>) {
        // Boxed: by value an async function would hold it twice.
        let end = self.serve().await;
        // Boxed, so that an idle connection doesn't hold room for its end.
        Box::pin(self.finish(end)).await;
    }

    async fn serve(&mut self) -> End {
        let mut turns = 0_u8;
        loop {
            if let Err(end) = self.settle() {
                return end;
            }
            turns += 1;
            if core::mem::take(&mut self.busy) || turns == TURNS {
                // Others want their turn.
                turns = 0;
                tokio::task::yield_now().await;
            }
            let end = match self.ready().await {
                Ok(Ready::Called | Ready::Writable) => Ok(()),
                Ok(Ready::Readable) => self.read(),
                Err(error) => Err(End::Lost(error)),
            };
            if let Err(end) = end {
                return end;
            }
        }
    }

    /// Waits until there is something to do. Cancel-safe.
    async fn ready(&self) -> io::Result<Ready> {
        let paused = self
            .connection
            .is_paused(&self.shared.hub, &self.shared.hub.limits());
        let wants_read = !paused && !self.connection.waits_for_room();
        poll_fn(|cx| {
            let called = self.wake.poll(cx);
            // Reading comes first: whatever else there is to do is done after it anyway, and a
            // client that is sent messages without end has to be heard too.
            if wants_read && let Poll::Ready(ready) = self.stream.poll_read_ready(cx) {
                return Poll::Ready(ready.map(|()| Ready::Readable));
            }
            if called {
                return Poll::Ready(Ok(Ready::Called));
            }
            if self.output.is_some()
                && let Poll::Ready(ready) = self.stream.poll_write_ready(cx)
            {
                return Poll::Ready(ready.map(|()| Ready::Writable));
            }
            Poll::Pending
        })
        .await
    }

    /// Does everything that can be done without waiting, other than reading.
    fn settle(&mut self) -> Result<(), End> {
        if self.shared.registry.is_stopping() {
            return Err(End::Closed(CloseReason::ServerShuttingDown));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let result = self.settle_with(scratch);
            scratch.batch.wake_all();
            result
        })
    }

    fn settle_with(&mut self, scratch: &mut Scratch) -> Result<(), End> {
        self.meet_deadline(scratch)?;
        self.flush()?;
        // [MQTT-3.1.4-3] Also if the client takes nothing more and can't be told.
        if self.output.is_some() && self.connection.is_taken_over() {
            return Err(End::Closed(CloseReason::SessionTakenOver));
        }
        while self.output.is_none() {
            let more = self.transmit(scratch)?;
            // What was left unread while the connection was paused may go on now.
            let resumed = !self.input.is_empty() && self.handle_kept_input(scratch)?;
            if !more && !resumed {
                break;
            }
            if more {
                // Others want their turn: come back soon.
                self.busy = true;
                self.wake.wake();
                break;
            }
        }
        self.set_deadline();
        Ok(())
    }

    fn meet_deadline(&mut self, scratch: &mut Scratch) -> Result<(), End> {
        let now = self.shared.clock.now();
        if self.deadline.is_some_and(|at| at <= now.monotonic) {
            self.deadline = None;
            self.connection
                .handle_timeout(now, &self.shared.hub, &mut scratch.batch)?;
        }
        Ok(())
    }

    /// A connection's deadline moves with every packet; the list of all only hears of it when it
    /// comes sooner, or has passed.
    fn set_deadline(&mut self) {
        let Some((at, _)) = self.connection.poll_timeout() else {
            return;
        };
        match self.deadline {
            Some(set) if set <= at => {}
            set => {
                if let Some(set) = set {
                    self.shared.timers.cancel(set, self.place.id());
                }
                self.shared.timers.set(at, self.place.id(), &self.wake);
                self.deadline = Some(at);
            }
        }
    }

    /// Reads what is there, once, and handles it.
    fn read(&mut self) -> Result<(), End> {
        SCRATCH.with_borrow_mut(|scratch| {
            let result = self.read_with(scratch);
            scratch.batch.wake_all();
            result
        })
    }

    fn read_with(&mut self, scratch: &mut Scratch) -> Result<(), End> {
        if scratch.input.is_empty() {
            scratch.input.resize(READ_BYTES, 0);
        }
        let length = match self.stream.try_read(&mut scratch.input) {
            Ok(0) => return Err(End::Closed(CloseReason::PeerClosed)),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.busy = length == READ_BYTES;
        if !self.input.is_empty() {
            self.input
                .extend_from_slice(scratch.input.get(..length).unwrap_or_default());
            self.handle_kept_input(scratch)?;
            return self.bound_input();
        }
        let input = core::mem::take(&mut scratch.input);
        let bytes = input.get(..length).unwrap_or_default();
        let result = self.handle_bytes(scratch, bytes);
        if let Ok(taken) = result {
            self.input
                .extend_from_slice(bytes.get(taken..).unwrap_or_default());
        }
        scratch.input = input;
        result?;
        self.bound_input()
    }

    /// Handles what was kept; whether anything was taken.
    fn handle_kept_input(&mut self, scratch: &mut Scratch) -> Result<bool, End> {
        let mut kept = core::mem::take(&mut self.input);
        let taken = self.handle_bytes(scratch, &kept)?;
        if taken < kept.len() {
            kept.drain(..taken);
            if kept.capacity() > READ_BYTES && kept.len() < kept.capacity() / 4 {
                kept.shrink_to_fit();
            }
            self.input = kept;
        }
        Ok(taken > 0)
    }

    fn handle_bytes(&mut self, scratch: &mut Scratch, bytes: &[u8]) -> Result<usize, End> {
        let hub = &self.shared.hub;
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            let now = self.shared.clock.now();
            taken += self
                .connection
                .handle_bytes(now, hub, &mut scratch.batch, rest)?;
            let Some(Event::Authenticate(request)) = self.connection.poll_event() else {
                break;
            };
            let outcome = self.door.authenticator.authenticate(&request);
            let now = self.shared.clock.now();
            self.connection
                .handle_authenticated(now, hub, &mut scratch.batch, outcome)?;
            if let Some(origin) = self.connection.origin() {
                tracing::debug!(client_id = %origin.client_id, peer = %self.peer, "connected");
            }
        }
        Ok(taken)
    }

    /// Accounts for what is kept; gives a large packet up that doesn't come while memory is short.
    fn bound_input(&mut self) -> Result<(), End> {
        let kept = self.input.capacity() + self.output.as_ref().map_or(0, |output| output.0.len());
        self.charge.set(kept);
        // A message that has come whole and waits for room has a time limit of its own.
        if self.input.len() > PARTIAL_BYTES
            && self.shared.hub.account().is_full()
            && !self.connection.waits_for_room()
        {
            return Err(End::Closed(CloseReason::QuotaExceeded));
        }
        Ok(())
    }

    /// Takes bytes from the engine and offers them to the socket. Whether there is more.
    fn transmit(&mut self, scratch: &mut Scratch) -> Result<bool, End> {
        let now = self.shared.clock.now();
        let out = &mut scratch.output;
        out.clear();
        let more = self
            .connection
            .poll_transmit(now, &self.shared.hub, &mut scratch.batch, out);
        if !out.is_empty() {
            let written = write_from(&self.stream, out, 0)?;
            if written < out.len() {
                let kept = core::mem::take(out);
                self.output = Some(Box::new((kept, written)));
                self.bound_input()?;
            }
        }
        Ok(more?)
    }

    /// Offers the socket again what it didn't take.
    fn flush(&mut self) -> Result<(), End> {
        let Some(output) = &mut self.output else {
            return Ok(());
        };
        let (transmit, written) = &mut **output;
        *written = write_from(&self.stream, transmit, *written)?;
        if *written >= transmit.len() {
            self.output = None;
            return self.bound_input();
        }
        Ok(())
    }

    /// Ends the connection: tells the engine, writes what it has left to say, closes the socket.
    async fn finish(&mut self, end: End) {
        let reason = match &end {
            End::Closed(reason) => *reason,
            End::Lost(_) => CloseReason::PeerClosed,
        };
        let origin = self.connection.origin().cloned();
        let client_id = origin
            .as_ref()
            .map_or("-", |origin| origin.client_id.as_str());
        match &end {
            End::Closed(CloseReason::Disconnected { .. } | CloseReason::PeerClosed | CloseReason::ServerShuttingDown) => {
                tracing::debug!(client_id, peer = %self.peer, reason = reason.text(), "connection ended");
            }
            End::Closed(reason) => self.shared.log_limit.allow(|suppressed| {
                tracing::info!(client_id, peer = %self.peer, reason = reason.text(), suppressed, "connection ended");
            }),
            End::Lost(error) => tracing::debug!(client_id, peer = %self.peer, %error, "connection lost"),
        }
        self.tell_engine(reason);
        if matches!(end, End::Closed(_)) {
            let _ = tokio::time::timeout(LINGER, self.say_goodbye()).await;
        }
    }

    fn tell_engine(&mut self, reason: CloseReason) {
        SCRATCH.with_borrow_mut(|scratch| {
            let now = self.shared.clock.now();
            self.connection
                .handle_closed(now, &self.shared.hub, &mut scratch.batch, reason);
            scratch.batch.wake_all();
        });
        if let Some(at) = self.deadline.take() {
            self.shared.timers.cancel(at, self.place.id());
        }
    }

    /// Writes the last bytes, then reads until the peer closes: a socket closed with unread bytes
    /// would take back what was written.
    async fn say_goodbye(&mut self) -> io::Result<()> {
        let mut last = Transmit::default();
        let mut batch = Batch::default();
        let now = self.shared.clock.now();
        // The connection is over; what matters is what it has left to say.
        let _ = self
            .connection
            .poll_transmit(now, &self.shared.hub, &mut batch, &mut last);
        if let Some(output) = self.output.take() {
            let (transmit, written) = *output;
            self.write_all(&transmit, written).await?;
        }
        self.write_all(&last, 0).await?;
        self.stream.shutdown().await?;
        let mut rest = [0_u8; 1024];
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn write_all(&self, transmit: &Transmit, mut written: usize) -> io::Result<()> {
        while written < transmit.len() {
            self.stream.writable().await?;
            written = write_from(&self.stream, transmit, written)?;
        }
        Ok(())
    }
}

/// A task that ends by a panic tells the engine too.
impl Drop for Driver {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let origin = self
                .connection
                .origin()
                .map(|origin| origin.client_id.clone());
            tracing::error!(?origin, peer = %self.peer, "a connection's task panicked");
            let mut batch = Batch::default();
            let now = self.shared.clock.now();
            self.connection.handle_closed(
                now,
                &self.shared.hub,
                &mut batch,
                CloseReason::PeerClosed,
            );
            batch.wake_all();
        }
    }
}

/// Offers the socket everything behind the first `written` bytes until it takes no more. Gives how
/// many bytes of the whole are gone then.
fn write_from(stream: &TcpStream, transmit: &Transmit, mut written: usize) -> io::Result<usize> {
    let total = transmit.len();
    while written < total {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let mut skip = written;
        let mut used = 0;
        for piece in transmit.pieces() {
            if skip >= piece.len() {
                skip -= piece.len();
                continue;
            }
            let Some(slot) = slices.get_mut(used) else {
                break;
            };
            *slot = IoSlice::new(piece.get(skip..).unwrap_or_default());
            skip = 0;
            used += 1;
        }
        match stream.try_write_vectored(slices.get(..used).unwrap_or_default()) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => written += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use dunlin_engine::sync::Wake as _;

    use super::*;
    use crate::config::Config;
    use crate::server;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    /// Bytes of a connection's driver and of its task, which an idle connection holds for as long
    /// as it lasts.
    const BYTES_MAX: usize = 512;

    /// A driver and its client's socket.
    async fn connected(
        shared: &Arc<Shared>,
        config: &Config,
    ) -> Result<(Box<Driver>, TcpStream), Box<dyn std::error::Error>> {
        let listener = config.listeners.first().ok_or("no listener")?;
        let door = Arc::new(Door::new(listener, config));
        let socket = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let client = TcpStream::connect(socket.local_addr()?).await?;
        let (stream, peer) = socket.accept().await?;
        let wake = Arc::new(TaskWake::default());
        let limits = shared.hub.limits();
        let place = shared
            .registry
            .enter(&limits, peer.ip(), &wake)
            .ok_or("no place")?;
        let driver = Driver::new(stream, peer, Arc::clone(shared), door, wake, place);
        Ok((driver, client))
    }

    #[tokio::test]
    async fn the_task_of_a_connection_is_small() -> Outcome {
        let config = Config::default();
        let shared = Arc::new(server::start_shared(&config)?);
        let (driver, _client) = connected(&shared, &config).await?;
        let bytes = size_of_val(&driver.run()) + size_of::<Driver>();
        assert!(bytes <= BYTES_MAX, "{bytes} bytes");
        Ok(())
    }

    #[tokio::test]
    async fn a_client_that_is_called_for_all_the_time_is_read_from() -> Outcome {
        let config = Config::default();
        let shared = Arc::new(server::start_shared(&config)?);
        let (driver, mut client) = connected(&shared, &config).await?;
        client.write_all(&[0x10]).await?;
        driver.stream.readable().await?;
        driver.wake.wake();
        assert!(matches!(driver.ready().await?, Ready::Readable));
        Ok(())
    }

    /// The CONNECT of a 3.1.1 client "c", and a subscription to "t".
    const HELLO: &[u8] =
        b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x00\x00\x01c\x82\x06\x00\x01\x00\x01t\x00";

    #[tokio::test]
    async fn a_client_that_takes_nothing_more_is_closed_when_it_connects_anew() -> Outcome {
        let config = Config::default();
        let shared = Arc::new(server::start_shared(&config)?);
        let (driver, mut stuck) = connected(&shared, &config).await?;
        let task = tokio::spawn(driver.run());
        stuck.write_all(HELLO).await?;
        stuck.readable().await?;
        // It gets more than sockets hold, from itself, and doesn't read.
        let mut publish = b"\x30\x83\x80\x20\x00\x01t".to_vec();
        publish.resize(publish.len() + 512 * 1024, 0);
        for _ in 0..24 {
            let written = tokio::time::timeout(LINGER, stuck.write_all(&publish)).await;
            if written.is_err() {
                break;
            }
        }
        tokio::time::sleep(LINGER).await;
        let (driver, mut again) = connected(&shared, &config).await?;
        let other = tokio::spawn(driver.run());
        again.write_all(HELLO).await?;
        tokio::time::timeout(4 * LINGER, task).await??;
        drop(again);
        other.await?;
        Ok(())
    }
}
