//! What goes out to a client: staged control packets first, then messages. MQTT 5 sections 3.3,
//! 4.4, 4.6, 4.9.

use dunlin_codec::{Ack, PacketId, PacketType, Properties, Property, Publish, QoS, Version};
use smallvec::SmallVec;

use super::topic_alias::Alias;
use super::{AliasesOut, Close, CloseReason, Connection, Phase};
use crate::drops::DropReason;
use crate::hub::{Batch, Hub};
use crate::journal::{Removal, Seq};
use crate::limits::Limits;
use crate::message::Message;
use crate::session::{Delivery, InflightState, Session, State};
use crate::sync::Arc;
use crate::time::{Instant, Now};

/// Bytes for the socket: a buffer, and large payloads that stand at places in it without having
/// been copied.
#[derive(Debug, Default)]
pub struct Transmit {
    /// Everything but the large payloads.
    pub bytes: Vec<u8>,
    /// Messages whose payload goes out where `bytes` has reached this length, in order.
    pub large: Vec<(usize, Arc<Message>)>,
}

impl Transmit {
    /// Nothing to write.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.large.is_empty()
    }

    /// Bytes to write, large payloads included.
    pub fn len(&self) -> usize {
        self.bytes.len()
            + self
                .large
                .iter()
                .map(|(_, message)| message.payload().len())
                .sum::<usize>()
    }

    /// The pieces in the order of writing.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = 0;
        let heads = self.large.iter().flat_map(move |(at, message)| {
            let head = self.bytes.get(from..*at).unwrap_or_default();
            from = *at;
            [head, message.payload()]
        });
        let tail = self.large.last().map_or(0, |(at, _)| *at);
        heads
            .chain([self.bytes.get(tail..).unwrap_or_default()])
            .filter(|piece| !piece.is_empty())
    }

    /// Makes it empty; keeps a small buffer.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.large.clear();
    }
}

/// Payloads from this size on aren't copied into the buffer.
const LARGE_BYTES: usize = 16 * 1024;
/// A call of `poll_transmit` ends when it has this many bytes: others want their turn.
const BUDGET_BYTES: usize = 64 * 1024;

/// How a call went.
struct Sent {
    /// There is more to send at once.
    more: bool,
    /// The session is a member of a shared subscription in which messages wait.
    shares_wait: bool,
}

impl Connection {
    /// Puts what is to be sent now into `out`. True when there is more: write, then call again.
    ///
    /// # Errors
    /// The connection is over: its session is another connection's now. What `out` got is to be
    /// written.
    pub fn poll_transmit(
        &mut self,
        now: Now,
        hub: &Hub,
        batch: &mut Batch,
        out: &mut Transmit,
    ) -> Result<bool, Close> {
        let watermark = hub.journal().watermark();
        let durable = watermark.durable();
        let completed = self.staging.release(self.version, durable);
        self.completed(completed);
        self.staging.drain(&mut out.bytes);
        if !matches!(self.phase, Phase::Open(_)) {
            return Ok(false);
        }
        let limits = hub.limits();
        let mut more = false;
        // Until CONNACK is out nothing else may be. [MQTT-3.2.0-1]
        if !self.staging.holds_connack() {
            match self.send_messages(now, hub, out) {
                Ok(sent) => {
                    more = sent.more || self.refill(now, hub, &limits, sent.shares_wait, batch);
                }
                Err(reason) => {
                    let close = self.close(now, hub, batch, reason);
                    self.staging.drain(&mut out.bytes);
                    return Err(close);
                }
            }
        }
        if !more {
            self.wait_for_journal(hub, &limits);
        }
        Ok(more)
    }

    /// The queue is short: what else belongs into it. True when there may be still more.
    fn refill(
        &mut self,
        now: Now,
        hub: &Hub,
        limits: &Limits,
        shares_wait: bool,
        batch: &mut Batch,
    ) -> bool {
        let Ok(open) = self.open() else { return false };
        let (session, epoch) = (Arc::clone(&open.session), open.epoch);
        if shares_wait {
            hub.pull_all_shares(now, limits, &session, batch);
        }
        let has_cursor = {
            let state = session.lock();
            !state.cursors.is_empty() && state.window() > 0
        };
        has_cursor && hub.pull_retained(now, limits, &session, epoch, batch)
    }

    /// Asks to be called when the first thing that waits is durable.
    fn wait_for_journal(&mut self, hub: &Hub, limits: &Limits) {
        let staged = self.staging.waits_for();
        let Phase::Open(open) = &self.phase else {
            return;
        };
        let queued = open.session.lock().queue.waits_for();
        let lagging = (hub.journal().lag() > limits.journal_lag).then(|| {
            Seq(hub
                .journal()
                .appended()
                .0
                .saturating_sub(limits.journal_lag))
        });
        if let Some(seq) = staged.into_iter().chain(queued).chain(lagging).min() {
            // One call at a time: a connection that is polled often must not fill the list.
            let watermark = hub.journal().watermark();
            if self.called_at <= watermark.durable() || seq < self.called_at {
                self.called_at = seq;
                watermark.wake_at(seq, &self.wake);
            }
        }
    }

    fn send_messages(
        &mut self,
        now: Now,
        hub: &Hub,
        out: &mut Transmit,
    ) -> Result<Sent, CloseReason> {
        let version = self.version;
        let Phase::Open(open) = &mut self.phase else {
            return Err(CloseReason::PeerClosed);
        };
        let session = Arc::clone(&open.session);
        let mut state = session.lock();
        // [MQTT-3.1.4-3]
        if state.epoch != open.epoch || state.ended {
            return Err(CloseReason::SessionTakenOver);
        }
        if let Some(link) = &mut state.link {
            link.scheduled = false;
        }
        let mut sender = Sender {
            now,
            hub,
            version,
            maximum_packet_size: self.maximum_packet_size,
            aliases: &mut open.aliases_out,
            session: &session,
            out,
        };
        let more = sender.resend(&mut state) || sender.send(&mut state);
        state.recharge_messages();
        let shares_wait =
            state.window() > 0 && state.shares.iter().any(|share| share.waiting() > 0);
        Ok(Sent { more, shares_wait })
    }
}

/// Everything that writing a message needs.
struct Sender<'a> {
    now: Now,
    hub: &'a Hub,
    version: Version,
    maximum_packet_size: u32,
    aliases: &'a mut AliasesOut,
    session: &'a Arc<Session>,
    out: &'a mut Transmit,
}

impl Sender<'_> {
    fn budget_is_spent(&self) -> bool {
        self.out.bytes.len() >= BUDGET_BYTES || self.out.large.len() >= BUDGET_BYTES / LARGE_BYTES
    }

    /// What was in flight when the last connection ended, in its order. True when the budget is
    /// spent. [MQTT-4.4.0-1] [MQTT-4.6.0-1]
    fn resend(&mut self, state: &mut State) -> bool {
        while state.inflight.is_resending() {
            if self.budget_is_spent() {
                return true;
            }
            if let Some(packet_id) = state.inflight.expired_before_resend(self.now.monotonic) {
                self.give_up(state, packet_id, DropReason::Expired, Removal::Expired);
                continue;
            }
            let window = state.window();
            let Some((packet_id, progress, delivery)) = state.inflight.next_resend(window) else {
                break;
            };
            match (progress, delivery) {
                (InflightState::AwaitPubcomp(_), _) | (_, None) => self.pubrel(packet_id),
                (_, Some(delivery)) => {
                    // [MQTT-3.3.1-1]
                    if !encode_delivery(self, delivery, Some(packet_id), true) {
                        self.give_up(state, packet_id, DropReason::TooLarge, Removal::TooLarge);
                    }
                }
            }
        }
        false
    }

    /// PUBREL again: its entry is older than the connection's CONNACK, which waited for the
    /// journal, so it waits for nothing more.
    fn pubrel(&mut self, packet_id: PacketId) {
        // Four bytes into a Vec can't fail.
        let _ = Ack::new(packet_id).encode(PacketType::PubRel, self.version, &mut self.out.bytes);
    }

    /// A message in flight won't be sent again.
    fn give_up(&self, state: &mut State, packet_id: PacketId, why: DropReason, reason: Removal) {
        if let Some((_, Some(delivery))) = state.inflight.complete(packet_id) {
            self.discard(state, &delivery, why, reason);
        }
    }

    /// New messages, as far as windows and budget go. True when the budget is spent.
    fn send(&mut self, state: &mut State) -> bool {
        let durable = self.hub.journal().watermark().durable();
        loop {
            if self.budget_is_spent() {
                return true;
            }
            let window_is_open = !state.inflight.is_resending() && state.window() > 0;
            let Some(front) = state.queue.front(durable) else {
                return false;
            };
            let (counter, qos) = (front.counter, front.qos);
            if front.message.is_expired(self.now.monotonic) {
                if let Some(delivery) = state.queue.pop() {
                    self.discard(state, &delivery, DropReason::Expired, Removal::Expired);
                }
                continue;
            }
            // [MQTT-3.3.4-9] [MQTT-4.9.0-2]
            if qos > QoS::AtMostOnce
                && !(window_is_open && state.inflight.identifier_is_free(counter))
            {
                return false;
            }
            let Some(delivery) = state.queue.pop() else {
                return false;
            };
            self.send_one(state, delivery);
        }
    }

    fn send_one(&mut self, state: &mut State, delivery: Delivery) {
        if delivery.qos == QoS::AtMostOnce {
            if !encode_delivery(self, &delivery, None, false) {
                self.discard(state, &delivery, DropReason::TooLarge, Removal::TooLarge);
            }
            return;
        }
        let packet_id = crate::session::packet_id(delivery.counter);
        if encode_delivery(self, &delivery, Some(packet_id), false) {
            state.inflight.push(delivery);
        } else {
            self.discard(state, &delivery, DropReason::TooLarge, Removal::TooLarge);
        }
    }

    /// A message won't be sent: written down, counted once.
    fn discard(&self, state: &State, delivery: &Delivery, why: DropReason, reason: Removal) {
        let topic = delivery.message.topic();
        self.hub
            .drops()
            .record(self.now, why, &self.session.client_id, topic);
        self.hub.forget(self.session, state, delivery, reason);
        self.hub.complete_shared(delivery);
    }
}

/// Encodes a PUBLISH; false if it's larger than the client takes. [MQTT-3.1.2-24] [MQTT-3.1.2-25]
fn encode_delivery(
    sender: &mut Sender<'_>,
    delivery: &Delivery,
    packet_id: Option<PacketId>,
    dup: bool,
) -> bool {
    let message = &delivery.message;
    let version = sender.version;
    let mut list = SmallVec::<[Property<'_>; 4]>::new();
    if version.is_v5() {
        added_properties(
            message,
            delivery.identifiers.as_slice(),
            sender.now.monotonic,
            &mut list,
        );
    }
    let mut publish = Publish {
        dup,
        qos: delivery.qos,
        retain: delivery.retain,
        topic: message.topic(),
        packet_id,
        properties: Properties::from_checked(message.properties(), &list),
        payload: message.payload(),
    };
    let fits = |publish: &Publish<'_>| {
        u32::try_from(publish.packet_length(version))
            .is_ok_and(|length| length <= sender.maximum_packet_size)
    };
    if !fits(&publish) {
        return false;
    }
    let mut with_alias;
    match if version.is_v5() {
        sender.aliases.assign(message.topic())
    } else {
        Alias::None
    } {
        Alias::None => {}
        alias @ (Alias::New(number) | Alias::Known(number)) => {
            with_alias = list.clone();
            with_alias.push(Property::TopicAlias(number));
            let mut aliased = publish;
            aliased.properties = Properties::from_checked(message.properties(), &with_alias);
            if matches!(alias, Alias::Known(_)) {
                aliased.topic = "";
            }
            if fits(&aliased) {
                publish = aliased;
            } else if matches!(alias, Alias::New(_)) {
                sender.aliases.forget_last();
            }
        }
    }
    write_publish(sender.out, version, &publish, message)
}

/// What is made anew for each receiver: the rest of the expiry, the subscription identifiers.
fn added_properties<'a>(
    message: &Message,
    identifiers: &[u32],
    now: Instant,
    list: &mut SmallVec<[Property<'a>; 4]>,
) {
    if let Some(at) = message.expires_at {
        // [MQTT-3.3.2-6]
        let rest = u32::try_from(at.secs_from(now)).unwrap_or(u32::MAX);
        list.push(Property::MessageExpiryInterval(rest));
    }
    list.extend(
        identifiers
            .iter()
            .map(|identifier| Property::SubscriptionIdentifier(*identifier)),
    );
}

fn write_publish(
    out: &mut Transmit,
    version: Version,
    publish: &Publish<'_>,
    message: &Arc<Message>,
) -> bool {
    let start = out.bytes.len();
    let large = publish.payload.len() >= LARGE_BYTES;
    let encoded = if large {
        publish.encode_head(version, &mut out.bytes)
    } else {
        publish.encode(version, &mut out.bytes)
    };
    if encoded.is_err() {
        out.bytes.truncate(start);
        return false;
    }
    if large {
        out.large.push((out.bytes.len(), Arc::clone(message)));
    }
    true
}
