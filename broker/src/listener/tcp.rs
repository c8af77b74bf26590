//! MQTT over TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Door;
use crate::connection::Driver;
use crate::server::Shared;
use crate::wake::TaskWake;

/// Connections that the kernel keeps for us while we're busy.
const BACKLOG: i32 = 1024;
/// A link that is silent for this long is probed, so that one that died without a word is found
/// even when its client asked for no keep alive.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// The pause after accept failed (no file descriptors, no memory): doubles up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Opens a listening socket.
///
/// # Errors
/// As the system gives them: address in use, no such address, no right to the port.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for the connections of the last run to time out.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections for ever and starts a task for each. Cancel-safe: connections that were
/// accepted go on.
pub async fn serve(listener: TcpListener, door: Arc<Door>, shared: Arc<Shared>) {
    let room = door
        .connections_max
        .map(|max| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))));
    let mut pause = SHORTEST_PAUSE;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                pause = SHORTEST_PAUSE;
                admit(stream, peer, &door, &shared, room.as_ref());
            }
            Err(error) => {
                shared.log_limit.allow(|suppressed| {
                    tracing::error!(%error, suppressed, "can't accept connections; trying again");
                });
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    door: &Arc<Door>,
    shared: &Arc<Shared>,
    room: Option<&Arc<Semaphore>>,
) {
    let wake = Arc::new(TaskWake::default());
    let permit = match room.map(|room| Arc::clone(room).try_acquire_owned()) {
        None => None,
        Some(Ok(permit)) => Some(permit),
        Some(Err(_)) => return refuse(peer, shared),
    };
    let Some(place) = shared
        .registry
        .enter(&shared.hub.limits(), peer.ip(), &wake)
    else {
        return refuse(peer, shared);
    };
    if let Err(error) = configure(&stream) {
        tracing::debug!(%peer, %error, "connection lost while it was accepted");
        return;
    }
    let driver = Driver::new(
        stream,
        peer,
        Arc::clone(shared),
        Arc::clone(door),
        wake,
        place,
    );
    tokio::spawn(async move {
        driver.run().await;
        drop(permit);
    });
}

/// Closes a connection that there is no room for.
fn refuse(peer: SocketAddr, shared: &Shared) {
    shared.log_limit.allow(|suppressed| {
        tracing::warn!(%peer, suppressed, "connection refused: too many connections");
    });
}

fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_TIME)
        .with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}
