//! The conformance proof: byte-level dialogues ("rows") with a real broker, each claiming the statements it shows.
//!
//! Rows stand in one file per topic; `table` compares their claims with docs/conformance. Where a standard leaves a
//! choice, rows ask for Dunlin's, so a conforming broker of somebody else may fail some of them.

mod ack;
mod alias;
mod auth;
mod client_id;
mod configured;
mod connack;
mod connect;
mod data;
mod deliver;
mod disconnect;
mod expiry;
mod flow;
mod format;
mod keep_alive;
mod order;
mod property;
mod publish;
mod qos1;
mod qos2;
mod redeliver;
mod retain;
mod session;
mod share;
mod subscribe;
pub mod table;
mod topic;
mod unsubscribe;
mod will;

use std::net::SocketAddr;

use crate::broker::Broker;
use crate::raw::build::Connect;
use crate::raw::frame::Connack;
use crate::raw::{Client, Failure, Outcome, Version};

/// A dialogue with the broker and the statements it shows, by the numbers in each standard.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Unique among the rows, `topic::what_is_shown`.
    pub name: &'static str,
    /// Numbers of MQTT 5.0 (`3.1.0-1` for `[MQTT-3.1.0-1]`); empty: the row isn't run in that version.
    pub v5: &'static [&'static str],
    /// Numbers of MQTT 3.1.1.
    pub v311: &'static [&'static str],
    run: fn(&Context) -> Outcome,
}

const fn row(
    name: &'static str,
    v5: &'static [&'static str],
    v311: &'static [&'static str],
    run: fn(&Context) -> Outcome,
) -> Row {
    Row {
        name,
        v5,
        v311,
        run,
    }
}

impl Row {
    /// What the row claims in this version.
    #[must_use]
    pub fn claims(&self, version: Version) -> &'static [&'static str] {
        match version {
            Version::V5 => self.v5,
            Version::V311 => self.v311,
        }
    }

    /// Whether the row starts a broker of its own, and so can't run against a foreign one.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.name.starts_with("configured::")
    }

    /// Holds the dialogue.
    ///
    /// # Errors
    /// When the broker didn't do what the row demands.
    pub fn run(&self, context: &Context) -> Outcome {
        (self.run)(context)
    }
}

/// Every row, in the order of the files.
#[must_use]
pub fn rows() -> Vec<Row> {
    [
        data::ROWS,
        format::ROWS,
        connect::ROWS,
        client_id::ROWS,
        connack::ROWS,
        auth::ROWS,
        session::ROWS,
        will::ROWS,
        keep_alive::ROWS,
        publish::ROWS,
        property::ROWS,
        expiry::ROWS,
        alias::ROWS,
        retain::ROWS,
        deliver::ROWS,
        qos1::ROWS,
        qos2::ROWS,
        redeliver::ROWS,
        order::ROWS,
        flow::ROWS,
        ack::ROWS,
        subscribe::ROWS,
        unsubscribe::ROWS,
        topic::ROWS,
        share::ROWS,
        disconnect::ROWS,
        configured::ROWS,
    ]
    .concat()
}

/// What a row runs against: a broker, a version, and names that no other row uses.
#[derive(Clone, Debug)]
pub struct Context {
    /// The broker that all rows share.
    pub address: SocketAddr,
    /// The version to speak.
    pub version: Version,
    /// Whether the shared broker is somebody else's, so that no other can be started.
    pub foreign: bool,
    prefix: String,
}

impl Context {
    /// The context of the row with this number.
    #[must_use]
    pub fn new(address: SocketAddr, version: Version, foreign: bool, number: usize) -> Self {
        // A foreign broker may remember an earlier run, so the process takes part in the name.
        let prefix = format!("t{}v{}n{number}", std::process::id(), version.level());
        Self {
            address,
            version,
            foreign,
            prefix,
        }
    }

    /// Whether the row speaks MQTT 5.
    #[must_use]
    pub fn is_v5(&self) -> bool {
        self.version == Version::V5
    }

    /// A Client Identifier of this row, at most 23 letters and digits for short names.
    #[must_use]
    pub fn client_id(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A Topic Name or Topic Filter of this row.
    #[must_use]
    pub fn topic(&self, rest: &str) -> String {
        format!("{}/{rest}", self.prefix)
    }

    /// The CONNECT of a client of this row.
    #[must_use]
    pub fn hello(&self, name: &str) -> Connect {
        Connect::new(self.version, self.client_id(name))
    }

    /// A client of this row with a clean session.
    ///
    /// # Errors
    /// When it isn't accepted.
    #[track_caller]
    pub fn client(&self, name: &str) -> Outcome<Client> {
        Ok(self.accepted(&self.hello(name))?.0)
    }

    /// A client that was accepted, and its CONNACK.
    ///
    /// # Errors
    /// When it isn't accepted.
    #[track_caller]
    pub fn accepted(&self, connect: &Connect) -> Outcome<(Client, Connack)> {
        Client::connect(self.address, connect)
    }

    /// A client whose Session Present is this.
    ///
    /// # Errors
    /// When it isn't accepted, or Session Present is otherwise.
    #[track_caller]
    pub fn resumed(&self, connect: &Connect, present: bool) -> Outcome<Client> {
        let (client, connack) = self.accepted(connect)?;
        crate::raw::same(
            "Connect Acknowledge Flags",
            connack.flags,
            u8::from(present),
        )?;
        Ok(client)
    }

    /// A connection on which nothing was sent yet.
    ///
    /// # Errors
    /// When it can't be opened.
    #[track_caller]
    pub fn open(&self) -> Outcome<Client> {
        Client::open(self.address, self.version)
    }

    /// A broker of the row's own with this configuration, and a context that talks to it.
    ///
    /// # Errors
    /// When it can't be started, or the suite runs against a foreign broker.
    pub fn own_broker(&self, config: &str) -> Outcome<(Broker, Self)> {
        if self.foreign {
            return Err(Failure::new(
                "this row needs a broker with a configuration of its own",
            ));
        }
        let broker = Broker::start_with(config)?;
        let context = Self {
            address: broker.address(),
            ..self.clone()
        };
        Ok((broker, context))
    }

    /// Sends each of these packets on an accepted connection of its own and expects the broker to end it: after a
    /// DISCONNECT with one of the codes in MQTT 5, without a word in 3.1.1.
    ///
    /// # Errors
    /// When the broker goes on, or gives another reason.
    #[track_caller]
    pub fn rejects(&self, cases: &[(&str, Vec<u8>)], codes: &[u8]) -> Outcome {
        for (case, packet) in cases {
            let mut client = self
                .client("bad")
                .map_err(|failure| failure.in_case(case))?;
            client.send_refusable(packet);
            client
                .expect_rejected(codes)
                .map_err(|failure| failure.in_case(case))?;
        }
        Ok(())
    }

    /// Sends each of these packets first on a connection of its own and expects the broker to refuse it: the
    /// connection ends, with at most a CONNACK of one of the codes before it in MQTT 5, without a word in 3.1.1.
    ///
    /// # Errors
    /// When the broker goes on, or says anything else.
    #[track_caller]
    pub fn refuses(&self, cases: &[(&str, Vec<u8>)], codes: &[u8]) -> Outcome {
        for (case, packet) in cases {
            let mut client = self.open().map_err(|failure| failure.in_case(case))?;
            client.send_refusable(packet);
            self.refused(&mut client, codes)
                .map_err(|failure| failure.in_case(case))?;
        }
        Ok(())
    }

    #[track_caller]
    fn refused(&self, client: &mut Client, codes: &[u8]) -> Outcome {
        use crate::raw::{PATIENCE, Received, ensure};
        match client.receive(PATIENCE)? {
            Received::Closed => Ok(()),
            Received::Frame(frame) if self.is_v5() => {
                let connack = frame.connack(self.version)?;
                ensure(connack.flags == 0 && codes.contains(&connack.code), || {
                    format!("CONNACK with one of {codes:02X?} expected, saw {connack:02X?}")
                })?;
                client.expect_closed()
            }
            other => Err(Failure::new(format!(
                "expected the connection to be closed, saw {other:02X?}"
            ))),
        }
    }
}
