//! A broker, its clients and everything that can happen between them, chosen at random from a seed.

use std::collections::BTreeMap;

use dunlin_codec::{QoS, Version};
use dunlin_engine::hub::{Batch, Hub};
use dunlin_engine::limits::Limits;
use dunlin_engine::sync::Arc;
use dunlin_engine::time::{Instant, Now};

use super::client::at_qos;
use super::{Client, Disk, Honesty, Plan, Random, assert_journal_tells_the_state, start};

/// What a client subscribes to.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) filter: &'static str,
    pub(crate) qos: QoS,
}

/// One client with what the checkers have to know of it.
pub(crate) struct Actor {
    pub(crate) client: Client,
    pub(crate) subscription: Option<Subscription>,
    /// May begin a new session now and then.
    pub(crate) forgetful: bool,
    /// Since which step, in which of its sessions, its subscription has been acknowledged.
    pub(crate) subscribed: Option<(usize, usize)>,
    /// Since which step, for each of its sessions in which it subscribed.
    pub(crate) subscribed_since: BTreeMap<usize, usize>,
    /// At which step it published each of its messages.
    pub(crate) published_at: Vec<usize>,
}

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) step: usize,
    millis: u64,
    limits: Limits,
    disk: Arc<Disk>,
    hub: Hub,
    pub(crate) actors: Vec<Actor>,
    /// At which QoS retained messages are published.
    retained_qos: QoS,
    /// How often each kind of event took place, to show that none is left out.
    pub(crate) events: BTreeMap<&'static str, usize>,
}

pub(crate) const NORMAL_TOPICS: [&str; 2] = ["n/a", "n/b"];
pub(crate) const SHARED_TOPIC: &str = "s/x";
/// The one who publishes retained messages, and where.
pub(crate) const RETAINER: usize = 0;
pub(crate) const RETAINED_TOPIC: &str = "r/x";
pub(crate) const SHARE: &str = "$share/g/s/#";

/// Messages that a publisher has unacknowledged at most.
const WINDOW: usize = 6;

impl World {
    pub(crate) fn new(seed: u64, honesty: Honesty) -> Self {
        let mut random = Random::new(seed);
        let disk = Disk::new(honesty);
        let limits = Limits::default();
        let hub = start(&limits, &disk, moment(0));
        let actors = cast(&mut random);
        let retained_qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][random.below(2)];
        Self {
            retained_qos,
            random,
            step: 0,
            millis: 0,
            limits,
            disk,
            hub,
            actors,
            events: BTreeMap::new(),
        }
    }

    pub(crate) const fn now(&self) -> Now {
        moment(self.millis)
    }

    /// One random event.
    pub(crate) fn step(&mut self) {
        self.step += 1;
        let who = self.random.below(self.actors.len());
        let event = match self.random.below(1000) {
            0..300 => self.push(who),
            300..550 => self.pull(who),
            550..650 => self.publish(who),
            650..780 => self.answer(who),
            780..880 => self.connect(who),
            880..890 => self.cut(who),
            890..893 => self.disconnect(who),
            893..965 => self.sync(),
            965..990 => self.pass_time(),
            990..998 => self.sync_all(),
            _ => self.crash(),
        };
        *self.events.entry(event).or_default() += 1;
        self.note_subscriptions();
        if self.disk.honesty().is_honest() {
            assert_journal_tells_the_state(&self.hub, &self.disk);
        }
    }

    fn push(&mut self, who: usize) -> &'static str {
        let count = self.some_bytes();
        let now = self.now();
        self.actors[who].client.push(now, &self.hub, count);
        "push"
    }

    /// Often all that there is, sometimes a part of a packet.
    fn some_bytes(&mut self) -> usize {
        if self.random.chance(60) {
            usize::MAX
        } else {
            self.random.below(100)
        }
    }

    fn pull(&mut self, who: usize) -> &'static str {
        let count = self.some_bytes();
        self.actors[who].client.pull(count);
        "pull"
    }

    fn publish(&mut self, who: usize) -> &'static str {
        let actor = &mut self.actors[who];
        if !actor.client.open || actor.client.in_flight() >= WINDOW {
            return "nothing";
        }
        let (topic, retain) = match self.random.below(10) {
            0..3 => (SHARED_TOPIC, false),
            3 if who == RETAINER => (RETAINED_TOPIC, true),
            _ => (NORMAL_TOPICS[self.random.below(2)], false),
        };
        let any = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][self.random.below(3)];
        // Between messages of different QoS there is no order, after a repetition.
        let qos = if retain { self.retained_qos } else { any };
        actor.client.publish(topic, qos, retain);
        actor.published_at.push(self.step);
        "publish"
    }

    fn answer(&mut self, who: usize) -> &'static str {
        let client = &mut self.actors[who].client;
        let owed = client.owed.len();
        if owed == 0 || !client.has_link() {
            return "nothing";
        }
        // Most clients answer in order, some don't.
        let at = if self.random.chance(70) {
            0
        } else {
            self.random.below(owed)
        };
        client.answer(at);
        "answer"
    }

    fn connect(&mut self, who: usize) -> &'static str {
        let now = self.now();
        let clean_start = self.actors[who].forgetful && self.random.chance(10);
        let actor = &mut self.actors[who];
        if actor.client.has_link() {
            return subscribe(actor);
        }
        actor.client.connect(now, &self.hub, clean_start);
        "connect"
    }

    fn cut(&mut self, who: usize) -> &'static str {
        let now = self.now();
        self.actors[who].client.cut(now, &self.hub);
        "cut"
    }

    fn disconnect(&mut self, who: usize) -> &'static str {
        let now = self.now();
        self.actors[who].client.disconnect(now, &self.hub);
        "disconnect"
    }

    fn sync(&mut self) -> &'static str {
        let count = 1 + self.random.below(6);
        self.disk.sync(count);
        "sync"
    }

    fn sync_all(&self) -> &'static str {
        self.disk.sync_all();
        "sync all"
    }

    fn pass_time(&mut self) -> &'static str {
        self.millis += 1 + self.random.next() % 3000;
        let mut batch = Batch::default();
        self.hub.handle_timeout(self.now(), &mut batch);
        batch.wake_all();
        "time"
    }

    /// The power goes; what wasn't synced is gone. The broker starts again.
    fn crash(&mut self) -> &'static str {
        for actor in &mut self.actors {
            actor.client.abandon();
        }
        self.disk = self.disk.after_crash();
        self.millis += 1000;
        self.hub = start(&self.limits, &self.disk, self.now());
        "crash"
    }

    fn note_subscriptions(&mut self) {
        for actor in &mut self.actors {
            let Some(subscription) = &actor.subscription else {
                continue;
            };
            let session = actor.client.session;
            if !actor.client.subscribed.contains(subscription.filter) {
                actor.subscribed = None;
            } else if actor.subscribed.is_none_or(|(_, known)| known != session) {
                actor.subscribed = Some((self.step, session));
                actor.subscribed_since.insert(session, self.step);
            }
        }
    }

    /// Nothing bad happens any more: everybody comes back, the disk syncs, and whoever is called or
    /// has something to do does it. All that is under way must come to its end.
    pub(crate) fn settle(&mut self) {
        self.step += 1;
        let now = self.now();
        for actor in &mut self.actors {
            if !actor.client.has_link() {
                actor.client.connect(now, &self.hub, false);
            }
        }
        for _ in 0..5000 {
            self.disk.sync_all();
            let mut quiet = true;
            for actor in &mut self.actors {
                let client = &mut actor.client;
                if !client.has_link() {
                    client.connect(now, &self.hub, false);
                }
                client.answer_all();
                let called = client
                    .link()
                    .is_some_and(|link| link.rings() || link.is_busy());
                if called {
                    quiet = false;
                    client.exchange(now, &self.hub);
                }
            }
            if quiet && self.disk.unsynced() == 0 {
                self.note_subscriptions();
                return;
            }
        }
        panic!("no rest after 5000 rounds");
    }

    /// What a new client gets of the retained messages below `filter`.
    pub(crate) fn retained(&mut self, filter: &str) -> Vec<String> {
        let now = self.now();
        let mut client = Client::new(Plan {
            expiry_s: 0,
            ..Plan::persistent("inspector")
        });
        client.connect(now, &self.hub, true);
        client.exchange(now, &self.hub);
        client.subscribe(filter, at_qos(QoS::AtMostOnce));
        client.exchange(now, &self.hub);
        client.exchange(now, &self.hub);
        let payloads = client.payloads().into_iter().map(str::to_owned);
        payloads.collect()
    }
}

fn subscribe(actor: &mut Actor) -> &'static str {
    let Some(subscription) = &actor.subscription else {
        return "nothing";
    };
    if !actor.client.open || actor.client.subscribed.contains(subscription.filter) {
        return "nothing";
    }
    let options = at_qos(subscription.qos);
    actor.client.subscribe(subscription.filter, options);
    "subscribe"
}

const fn moment(millis: u64) -> Now {
    Now {
        monotonic: Instant::ZERO.plus_millis(millis),
        wall_ms: 1_700_000_000_000 + millis,
    }
}

/// Who plays: publishers and subscribers of both versions, kept and clean sessions, and the members
/// of a shared subscription.
fn cast(random: &mut Random) -> Vec<Actor> {
    let mut actors = Vec::new();
    let mut add = |random: &mut Random, name: &str, kept: bool, version, subscription| {
        let plan = Plan {
            version,
            expiry_s: if kept { u32::MAX } else { 0 },
            receive_maximum: match version {
                Version::V5 => u16::try_from(1 + random.below(5)).expect("small"),
                _ => u16::MAX,
            },
            ..Plan::persistent(name)
        };
        actors.push(Actor {
            client: Client::new(plan),
            subscription,
            forgetful: false,
            subscribed: None,
            subscribed_since: BTreeMap::new(),
            published_at: Vec::new(),
        });
    };
    let to = |filter, qos| Some(Subscription { filter, qos });
    add(random, "a", true, Version::V5, to("n/#", QoS::ExactlyOnce));
    add(random, "b", true, Version::V4, to("n/+", QoS::AtLeastOnce));
    add(random, "c", true, Version::V5, to("n/a", QoS::ExactlyOnce));
    add(random, "d", false, Version::V5, to("n/b", QoS::ExactlyOnce));
    let kept = random.chance(50);
    let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][random.below(2)];
    add(random, "m", true, Version::V5, to(SHARE, QoS::ExactlyOnce));
    add(random, "o", kept, Version::V5, to(SHARE, qos));
    actors[2].forgetful = true;
    actors
}
