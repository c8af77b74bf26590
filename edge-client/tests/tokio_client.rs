//! The client over TCP with a server that the test plays, on loopback.

#![cfg(feature = "tokio")]

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_client::{
    Client, ClientError, Error, Event, Message, Options, PacketId, QoS, ReasonCode, Version,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const PATIENCE: Duration = Duration::from_secs(10);
const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const CONNACK_SESSION_PRESENT: [u8; 4] = [0x20, 2, 1, 0];
const PUBLISH_1: [u8; 7] = [0x32, 5, 0, 1, b't', 0, 1];

fn options() -> Options<'static> {
    Options {
        version: Version::V4,
        clean_start: false,
        ..Options::new("c")
    }
}

struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Takes a connection, reads its CONNECT of 15 bytes and accepts it.
    async fn accept(&self, connack: &[u8]) -> std::io::Result<TcpStream> {
        let (mut stream, _) = timeout(PATIENCE, self.listener.accept()).await??;
        let connect = read::<15>(&mut stream).await?;
        assert_eq!(connect[..8], [0x10, 13, 0, 4, b'M', b'Q', b'T', b'T']);
        stream.write_all(connack).await?;
        Ok(stream)
    }
}

async fn read<const N: usize>(stream: &mut TcpStream) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await??;
    Ok(bytes)
}

/// The next event that isn't `None`, in words.
async fn event(client: &mut Client) -> Result<String, ClientError> {
    loop {
        match timeout(PATIENCE, client.event()).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(Event::Connected(connected)))) => {
                return Ok(format!("connected {}", connected.session_present));
            }
            Ok(Ok(Some(Event::Published { packet_id, .. }))) => {
                return Ok(format!("published {packet_id}"));
            }
            Ok(Ok(Some(Event::Message(message)))) => {
                let payload = String::from_utf8_lossy(message.payload);
                return Ok(format!("{} {payload}", message.topic));
            }
            Ok(Ok(Some(other))) => return Ok(format!("{other:?}")),
            Ok(Err(error)) => return Err(error),
            Err(late) => return Err(std::io::Error::from(late).into()),
        }
    }
}

fn at_least_once() -> Message<'static> {
    Message {
        qos: QoS::AtLeastOnce,
        ..Message::new("t", b"")
    }
}

#[tokio::test]
async fn an_unacknowledged_message_is_sent_again_in_the_next_connection() -> Outcome {
    let server = Server::start().await?;
    let mut client = Client::new(&options(), 1000)?;
    assert_eq!(client.publish(&at_least_once())?, Some(PacketId::MIN));

    client.connect(server.address).await?;
    let serve = async {
        let mut stream = server.accept(&CONNACK).await?;
        assert_eq!(read(&mut stream).await?, PUBLISH_1);
        std::io::Result::Ok(())
    };
    let lose = async {
        assert_eq!(event(&mut client).await?, "connected false");
        let lost = event(&mut client).await;
        assert!(
            matches!(lost, Err(ClientError::Closed | ClientError::Io(_))),
            "{lost:?}"
        );
        Result::<_, ClientError>::Ok(())
    };
    let (served, lost) = tokio::join!(serve, lose);
    served?;
    lost?;
    assert!(matches!(
        client.event().await,
        Err(ClientError::NotConnected)
    ));
    assert_eq!(client.unacknowledged(), 1);

    client.connect(server.address).await?;
    let serve = async {
        let mut stream = server.accept(&CONNACK_SESSION_PRESENT).await?;
        let mut repeated = PUBLISH_1;
        repeated[0] |= 0x08;
        assert_eq!(read(&mut stream).await?, repeated);
        stream.write_all(&[0x40, 2, 0, 1]).await?;
        assert_eq!(read(&mut stream).await?, [0xE0, 0]);
        std::io::Result::Ok(())
    };
    let finish = async {
        assert_eq!(event(&mut client).await?, "connected true");
        assert_eq!(event(&mut client).await?, "published 1");
        client.disconnect(ReasonCode::Success).await
    };
    let (served, finished) = tokio::join!(serve, finish);
    served?;
    Ok(finished?)
}

#[tokio::test]
async fn messages_arrive_though_they_come_in_pieces() -> Outcome {
    let server = Server::start().await?;
    let mut client = Client::new(&options(), 1000)?;
    client.connect(server.address).await?;
    let serve = async {
        let mut stream = server.accept(&CONNACK).await?;
        stream.set_nodelay(true)?;
        let two = [0x30, 4, 0, 1, b't', b'a', 0x32, 6, 0, 1, b't', 0, 7, b'b'];
        for byte in two {
            stream.write_all(&[byte]).await?;
            tokio::task::yield_now().await;
        }
        assert_eq!(read(&mut stream).await?, [0x40, 2, 0, 7]);
        std::io::Result::Ok(())
    };
    let listen = async {
        assert_eq!(event(&mut client).await?, "connected false");
        assert_eq!(event(&mut client).await?, "t a");
        assert_eq!(event(&mut client).await?, "t b");
        let end = event(&mut client).await;
        assert!(matches!(end, Err(ClientError::Closed)), "{end:?}");
        Result::<_, ClientError>::Ok(())
    };
    let (served, listened) = tokio::join!(serve, listen);
    served?;
    Ok(listened?)
}

#[tokio::test]
async fn events_that_nobody_waits_for_to_the_end_are_not_lost() -> Outcome {
    let server = Server::start().await?;
    let mut client = Client::new(&options(), 1000)?;
    client.connect(server.address).await?;
    let mut stream = server.listener.accept().await?.0;
    // Cancelled before anything came, with the CONNECT perhaps half written.
    for _ in 0..5 {
        drop(timeout(Duration::from_millis(1), client.event()).await);
    }
    let connect = read::<15>(&mut stream).await?;
    assert_eq!(connect[0], 0x10);
    stream.write_all(&CONNACK[..3]).await?;
    for _ in 0..5 {
        drop(timeout(Duration::from_millis(1), client.event()).await);
    }
    stream.write_all(&CONNACK[3..]).await?;
    assert_eq!(event(&mut client).await?, "connected false");
    Ok(())
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_is_left() -> Outcome {
    let server = Server::start().await?;
    let options = Options {
        version: Version::V5,
        ..options()
    };
    let mut client = Client::new(&options, 1000)?;
    client.connect(server.address).await?;
    let mut stream = server.listener.accept().await?.0;
    stream.write_all(&[0x20, 3, 0, 0, 0, 0xC0, 0]).await?;
    assert_eq!(event(&mut client).await?, "connected false");
    let broken = event(&mut client).await;
    assert!(
        matches!(broken, Err(ClientError::Session(Error::Violation(_)))),
        "{broken:?}"
    );
    let mut heard = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut heard)).await??;
    assert_eq!(heard[heard.len() - 3..], [0xE0, 1, 0x82], "protocol error");
    Ok(())
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_given_up() -> Outcome {
    let server = Server::start().await?;
    let options = Options {
        response_timeout: Duration::from_millis(50),
        ..options()
    };
    let mut client = Client::new(&options, 1000)?;
    client.connect(server.address).await?;
    let _stream = server.listener.accept().await?.0;
    let silent = event(&mut client).await;
    let given_up = Err(Error::ConnectTimeout);
    assert!(matches!(silent, Err(ClientError::Session(error)) if Err::<(), _>(error) == given_up));
    Ok(())
}

#[tokio::test]
async fn a_large_message_goes_out_whole() -> Outcome {
    let server = Server::start().await?;
    let payload = vec![b'x'; 2_000_000];
    let mut client = Client::new(&options(), 2_100_000)?;
    client.connect(server.address).await?;
    let serve = async {
        let mut stream = server.accept(&CONNACK).await?;
        let mut heard = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut heard)).await??;
        std::io::Result::Ok(heard)
    };
    let talk = async {
        assert_eq!(event(&mut client).await?, "connected false");
        client.publish(&Message::new("t", &payload)).expect("room");
        client.disconnect(ReasonCode::Success).await
    };
    let (heard, talked) = tokio::join!(serve, talk);
    talked?;
    let heard = heard?;
    // First byte, three bytes of length, the topic; then DISCONNECT.
    assert_eq!(heard.len(), 1 + 3 + 3 + payload.len() + 2);
    assert_eq!(heard[heard.len() - 2..], [0xE0, 0]);
    Ok(())
}
