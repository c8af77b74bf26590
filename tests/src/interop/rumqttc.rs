//! rumqttc behind the door of a client. Its halves for 3.1.1 and 5 are two libraries with the same shape; each has a
//! file that drives its event loop, and what both share is here.

mod v3;
mod v5;

use std::collections::VecDeque;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::client::{Client, Connected, Event, Filter, Message, Options, PATIENCE};
use crate::raw::{Failure, Outcome};

/// How many requests wait between us and the event loop, and how large a packet may be, in bytes: rumqttc's own 10 KiB
/// would refuse what the scenarios send.
const REQUESTS: usize = 64;
const PACKET_MAX: u32 = 1 << 20;
/// How long the broker has to close the connection after DISCONNECT before we do it.
const LEAVE: Duration = Duration::from_secs(2);

/// A client of rumqttc.
#[derive(Debug)]
pub struct Rumqttc {
    address: SocketAddr,
    runtime: Handle,
    link: Option<Link>,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Link {
    half: Half,
    signals: Receiver<Signal>,
    driver: JoinHandle<()>,
}

#[derive(Debug)]
enum Half {
    V3(v3::Half),
    V5(v5::Half),
}

/// What the driver of an event loop tells.
#[derive(Debug)]
enum Signal {
    Connected(Connected),
    Subscribed(Vec<u8>),
    Unsubscribed,
    /// One PUBLISH needs nothing more: sent at QoS 0, acknowledged at QoS 1 or completed at QoS 2.
    Completed,
    Message(Message),
    /// The connection is over; the event loop stands still.
    Ended {
        reason: Option<u8>,
        error: String,
    },
}

impl Half {
    fn drive(&self, runtime: &Handle, signals: Sender<Signal>) -> JoinHandle<()> {
        match self {
            Self::V3(half) => runtime.spawn(half.drive(signals)),
            Self::V5(half) => runtime.spawn(half.drive(signals)),
        }
    }
}

impl Rumqttc {
    /// A client that isn't connected yet.
    #[must_use]
    pub fn new(address: SocketAddr, runtime: &Handle) -> Self {
        Self {
            address,
            runtime: runtime.clone(),
            link: None,
            events: VecDeque::new(),
        }
    }

    fn start(&mut self, half: Half) -> Outcome<Connected> {
        let (sender, signals) = channel();
        let driver = half.drive(&self.runtime, sender);
        self.link = Some(Link {
            half,
            signals,
            driver,
        });
        self.answer("CONNACK", |signal| match signal {
            Signal::Connected(connected) => Some(connected.clone()),
            _ => None,
        })
    }

    fn link(&self) -> Outcome<&Link> {
        self.link
            .as_ref()
            .ok_or_else(|| Failure::new("not connected"))
    }

    /// Waits for one signal; messages that come before it are kept.
    fn answer<T>(&mut self, what: &str, pick: impl Fn(&Signal) -> Option<T>) -> Outcome<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let signal = match self.link()?.signals.recv_timeout(left) {
                Ok(signal) => signal,
                Err(RecvTimeoutError::Timeout) => return Err(Failure::new(format!("no {what}"))),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::new(format!("no {what}: closed")));
                }
            };
            if let Some(value) = pick(&signal) {
                return Ok(value);
            }
            match signal {
                Signal::Message(message) => self.events.push_back(Event::Message(message)),
                Signal::Ended { error, .. } => {
                    return Err(Failure::new(format!("no {what}: {error}")));
                }
                _ => {}
            }
        }
    }

    /// Hands a request to the event loop.
    fn request<E: Display>(
        &self,
        what: &str,
        request: impl Future<Output = Result<(), E>>,
    ) -> Outcome {
        let bounded = async { tokio::time::timeout(PATIENCE, request).await };
        match self.runtime.block_on(bounded) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::new(format!("{what}: {error}"))),
            Err(_) => Err(Failure::new(format!(
                "{what}: the event loop takes nothing"
            ))),
        }
    }

    /// Stops the event loop where it stands, and with it the connection.
    fn stop(&mut self) -> Outcome<()> {
        let link = self
            .link
            .as_mut()
            .ok_or_else(|| Failure::new("not connected"))?;
        link.driver.abort();
        // Whether it was aborted or had ended, it no longer runs.
        drop(self.runtime.block_on(&mut link.driver));
        match &link.half {
            Half::V3(half) => self.runtime.block_on(half.clean()),
            Half::V5(half) => self.runtime.block_on(half.clean()),
        }
        while let Ok(signal) = link.signals.try_recv() {
            if let Signal::Message(message) = signal {
                self.events.push_back(Event::Message(message));
            }
        }
        Ok(())
    }
}

impl Client for Rumqttc {
    fn connect(&mut self, options: &Options) -> Outcome<Connected> {
        let half = match options.version {
            5 => Half::V5(v5::Half::new(self.address, options)?),
            _ => Half::V3(v3::Half::new(self.address, options)?),
        };
        self.start(half)
    }

    fn resume(&mut self) -> Outcome<Connected> {
        let link = self
            .link
            .take()
            .ok_or_else(|| Failure::new("never connected"))?;
        self.start(link.half)
    }

    fn subscribe(&mut self, filters: &[Filter], identifier: Option<u32>) -> Outcome<Vec<u8>> {
        match &self.link()?.half {
            Half::V3(half) => self.request("SUBSCRIBE", half.subscribe(filters))?,
            Half::V5(half) => self.request("SUBSCRIBE", half.subscribe(filters, identifier))?,
        }
        self.answer("SUBACK", |signal| match signal {
            Signal::Subscribed(codes) => Some(codes.clone()),
            _ => None,
        })
    }

    fn unsubscribe(&mut self, filters: &[String]) -> Outcome {
        for filter in filters {
            match &self.link()?.half {
                Half::V3(half) => self.request("UNSUBSCRIBE", half.requests.unsubscribe(filter))?,
                Half::V5(half) => self.request("UNSUBSCRIBE", half.requests.unsubscribe(filter))?,
            }
            self.answer("UNSUBACK", |signal| {
                matches!(signal, Signal::Unsubscribed).then_some(())
            })?;
        }
        Ok(())
    }

    fn publish(&mut self, messages: &[Message]) -> Outcome {
        for message in messages {
            match &self.link()?.half {
                Half::V3(half) => self.request("PUBLISH", half.publish(message))?,
                Half::V5(half) => self.request("PUBLISH", half.publish(message))?,
            }
        }
        for _ in messages {
            self.answer("acknowledgement", |signal| {
                matches!(signal, Signal::Completed).then_some(())
            })?;
        }
        Ok(())
    }

    fn next(&mut self, within: Duration) -> Outcome<Option<Event>> {
        if let Some(event) = self.events.pop_front() {
            return Ok(Some(event));
        }
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.link()?.signals.recv_timeout(left) {
                Ok(Signal::Message(message)) => return Ok(Some(Event::Message(message))),
                Ok(Signal::Ended { reason, .. }) => return Ok(Some(Event::Closed(reason))),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::new("the event loop has ended"));
                }
            }
        }
    }

    fn disconnect(&mut self) -> Outcome {
        match &self.link()?.half {
            Half::V3(half) => self.request("DISCONNECT", half.requests.disconnect())?,
            Half::V5(half) => self.request("DISCONNECT", half.requests.disconnect())?,
        }
        let deadline = Instant::now() + LEAVE;
        while let Some(event) = self.next_new(deadline)? {
            match event {
                Event::Closed(_) => break,
                message @ Event::Message(_) => self.events.push_back(message),
            }
        }
        self.stop()
    }

    fn cut(&mut self) -> Outcome {
        self.stop()
    }
}

impl Rumqttc {
    /// As `next`, but without what is kept already.
    fn next_new(&mut self, deadline: Instant) -> Outcome<Option<Event>> {
        let kept = std::mem::take(&mut self.events);
        let event = self.next(deadline.saturating_duration_since(Instant::now()));
        self.events = kept;
        event
    }
}

impl Drop for Rumqttc {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            link.driver.abort();
        }
    }
}
