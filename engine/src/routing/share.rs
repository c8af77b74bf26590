//! A shared subscription: its members, and the messages that wait for one of them to have room.
//! MQTT 5 section 4.8.2.
//!
//! A message goes to the next member that is connected and has window; while none has, it waits in
//! the share's own queue, and nothing passes it.

use std::collections::VecDeque;

use crate::journal::ShareId;
use crate::message::Message;
use crate::session::{Session, SubscriptionSettings};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex};
use crate::time::Instant;

/// One shared subscription.
#[derive(Debug)]
pub struct Share {
    /// Its key in the trie.
    pub key: u64,
    /// Share Name and Topic Filter.
    pub id: Arc<ShareId>,
    waiting: AtomicUsize,
    state: Mutex<ShareState>,
}

/// What changes in it. Its lock ranks above that of a session.
#[derive(Debug, Default)]
pub struct ShareState {
    /// In the order of subscribing.
    pub members: Vec<Member>,
    /// Who is asked first next time.
    next: usize,
    queue: VecDeque<Waiting>,
    bytes: usize,
    position: u64,
    /// The last position given to a message that came back to the head; they fall.
    returned: u64,
}

/// A session that subscribed.
#[derive(Clone, Debug)]
pub struct Member {
    /// The session.
    pub session: Arc<Session>,
    /// With what options.
    pub settings: SubscriptionSettings,
}

/// A message that waits for a member.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The message.
    pub message: Arc<Message>,
    /// Its place in the queue's order.
    pub position: u64,
    /// Whether the journal knows it at this position.
    pub durable: bool,
}

/// Where a delivery that came through a shared subscription came from.
#[derive(Clone, Debug)]
pub struct ShareCopy {
    /// The shared subscription.
    pub share: Arc<Share>,
    /// Its position in the share's durable queue, which is given up when the delivery completes:
    /// set for members whose own session isn't durable.
    pub position: Option<u64>,
}

/// The positions that queues have given out lie between these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positions {
    /// The last one at a queue's end.
    last: u64,
    /// The last one at a queue's head.
    returned: u64,
}

impl Default for Positions {
    fn default() -> Self {
        Self {
            last: 1 << 62,
            returned: 1 << 62,
        }
    }
}

impl Positions {
    /// The one position.
    pub const fn only(position: u64) -> Self {
        Self {
            last: position,
            returned: position,
        }
    }

    /// These and the others.
    #[must_use]
    pub fn beyond(self, other: Self) -> Self {
        Self {
            last: self.last.max(other.last),
            returned: self.returned.min(other.returned),
        }
    }
}

impl Share {
    /// A share without members. `used` are the positions of shares that are gone: one of the same
    /// name may still have messages with a client, whose acknowledgements name them.
    pub fn new(key: u64, id: ShareId, used: Positions) -> Self {
        Self {
            key,
            id: Arc::new(id),
            waiting: AtomicUsize::new(0),
            state: Mutex::new(ShareState {
                position: used.last,
                returned: used.returned,
                ..ShareState::default()
            }),
        }
    }

    /// Messages in the queue, without taking the lock.
    #[inline]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Runs `f` under the share's lock.
    pub fn with<R>(&self, f: impl FnOnce(&mut ShareState) -> R) -> R {
        let mut state = self.state.lock();
        let result = f(&mut state);
        self.waiting.store(state.queue.len(), Ordering::Release);
        result
    }
}

impl ShareState {
    /// Adds a member or changes its settings.
    pub fn join(&mut self, session: &Arc<Session>, settings: SubscriptionSettings) {
        match self
            .members
            .iter_mut()
            .find(|member| member.session.key == session.key)
        {
            Some(member) => member.settings = settings,
            None => self.members.push(Member {
                session: Arc::clone(session),
                settings,
            }),
        }
    }

    /// Takes a member out; whether nobody is left.
    pub fn leave(&mut self, session: &Session) -> bool {
        if let Some(at) = self
            .members
            .iter()
            .position(|member| member.session.key == session.key)
        {
            self.members.remove(at);
            if at < self.next {
                self.next -= 1;
            }
        }
        self.members.is_empty()
    }

    /// The members in the order in which they are asked now.
    pub fn rotation(&self) -> impl Iterator<Item = (usize, &Member)> {
        let count = self.members.len();
        (0..count).filter_map(move |offset| {
            let at = (self.next + offset) % count;
            self.members.get(at).map(|member| (at, member))
        })
    }

    /// The member at `at` took a message: the next one is asked first now.
    pub fn took(&mut self, at: usize) {
        self.next = (at + 1) % self.members.len().max(1);
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes that wait.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The positions given out.
    pub const fn positions(&self) -> Positions {
        Positions {
            last: self.position,
            returned: self.returned,
        }
    }

    /// A position behind all others.
    pub const fn next_position(&mut self) -> u64 {
        self.position += 1;
        self.position
    }

    /// Appends a message; gives its position.
    pub fn push(&mut self, message: Arc<Message>, durable: bool) -> u64 {
        let position = self.next_position();
        self.bytes += message.size();
        self.queue.push_back(Waiting {
            message,
            position,
            durable,
        });
        position
    }

    /// Puts a message that comes back to the head; gives its new position.
    pub fn push_returned(&mut self, message: Arc<Message>, durable: bool) -> u64 {
        self.returned -= 1;
        self.bytes += message.size();
        self.queue.push_front(Waiting {
            message,
            position: self.returned,
            durable,
        });
        self.returned
    }

    /// The message that waits longest.
    pub fn front(&self) -> Option<&Waiting> {
        self.queue.front()
    }

    /// Takes the message that waits longest.
    pub fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(waiting.message.size());
        Some(waiting)
    }

    /// Takes everything that waits.
    pub fn drain(&mut self) -> Vec<Waiting> {
        self.bytes = 0;
        core::mem::take(&mut self.queue).into()
    }

    /// Puts a recovered message in its place.
    pub fn restore(&mut self, message: Arc<Message>, position: u64) {
        self.position = self.position.max(position);
        self.returned = self.returned.min(position);
        self.bytes += message.size();
        let at = self
            .queue
            .partition_point(|other| other.position < position);
        self.queue.insert(
            at,
            Waiting {
                message,
                position,
                durable: true,
            },
        );
    }

    /// Takes out every message that has expired.
    pub fn extract_expired(&mut self, now: Instant) -> Vec<Waiting> {
        if !self
            .queue
            .iter()
            .any(|waiting| waiting.message.is_expired(now))
        {
            return Vec::new();
        }
        let (expired, kept): (Vec<_>, Vec<_>) = core::mem::take(&mut self.queue)
            .into_iter()
            .partition(|waiting| waiting.message.is_expired(now));
        self.queue = kept.into();
        for waiting in &expired {
            self.bytes = self.bytes.saturating_sub(waiting.message.size());
        }
        expired
    }

    /// Takes out a recovered message; `None` if it isn't there.
    pub fn take(&mut self, position: u64) -> Option<Waiting> {
        let at = self
            .queue
            .iter()
            .position(|waiting| waiting.position == position)?;
        let waiting = self.queue.remove(at)?;
        self.bytes = self.bytes.saturating_sub(waiting.message.size());
        Some(waiting)
    }

    /// Everything that waits, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.queue.iter()
    }
}
