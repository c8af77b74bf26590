//! Every bound of the broker in one place: its default, the reason for it, and what happens at it.
//!
//! Nothing in the engine grows without one of these. Standing rules: what was acknowledged is never
//! dropped by a memory bound; refusals come before the acknowledgement (design: spill, refuse new
//! work, slow publishers, drop QoS 0, in this order).

/// What happens when a session's queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DropPolicy {
    /// The new message isn't queued for that session; its publisher is acknowledged.
    #[default]
    Newest,
    /// The oldest queued message that isn't in flight makes room.
    Oldest,
    /// The publisher is refused: 0x97 in MQTT 5; before MQTT 5 it waits and is closed after
    /// [`Limits::refuse_timeout_ms`].
    RefusePublisher,
}

/// The bounds. Counts are of things, `_bytes` of bytes, `_ms` of milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest packet taken from a client once it is connected; announced as Maximum Packet Size;
    /// above it 0x95. 16 KiB to 268,435,460.
    pub packet_bytes: u32,
    /// Largest CONNECT: what a stranger can make us hold. Above it the connection is closed.
    pub connect_packet_bytes: u32,
    /// Network Connections at once; above it new ones get 0x89 or are closed. At least 1.
    pub connections: usize,
    /// Network Connections at once from one address (IPv6: one /64); 0 for no bound.
    pub connections_per_address: usize,
    /// Time from accept to a whole CONNECT; then the connection is closed.
    pub connect_timeout_ms: u64,
    /// Levels of a Topic Name or Topic Filter; above it 0x90 or 0x8F. 1 to 65,535.
    pub topic_levels: usize,
    /// Length of a Topic Name or Topic Filter in bytes; above it 0x90 or 0x8F. 1 to 65,535.
    pub topic_bytes: usize,
    /// Length of a Client Identifier in bytes; above it 0x85. 23 to 65,535.
    pub client_id_bytes: usize,
    /// Topic Filters in one SUBSCRIBE; above it 0x97 for the rest. An UNSUBSCRIBE has no such bound:
    /// it takes nothing, and before MQTT 5 nobody could be told.
    pub filters_per_packet: usize,
    /// Subscriptions of one session; above it 0x97.
    pub subscriptions_per_session: usize,
    /// Subscriptions of all sessions; above it 0x97.
    pub subscriptions: usize,
    /// User Properties in one packet; above it 0x97 and the connection ends.
    pub user_properties: usize,
    /// Sessions, connected or not; above it 0x97 for a new one.
    pub sessions: usize,
    /// Messages queued for one session, in flight not counted.
    pub queue_messages: usize,
    /// Bytes queued for one session.
    pub queue_bytes: usize,
    /// Whether QoS 0 messages are queued for a persistent session without a connection.
    pub queue_qos0: bool,
    /// What happens when a session's queue is full.
    pub drop_policy: DropPolicy,
    /// Messages queued for one shared subscription until a member has room.
    pub share_queue_messages: usize,
    /// Bytes queued for one shared subscription.
    pub share_queue_bytes: usize,
    /// QoS 1 and 2 messages that a client may have unacknowledged towards us; announced as Receive
    /// Maximum; above it 0x93. 1 to 65,535.
    pub receive_maximum: u16,
    /// QoS 1 and 2 messages that we have unacknowledged towards a client, whatever more it allows.
    /// 1 to 65,534.
    pub inflight: u16,
    /// Topic Aliases a client may use towards us; announced as Topic Alias Maximum.
    pub topic_aliases_in: u16,
    /// Topic Aliases we use towards a client, whatever more it allows.
    pub topic_aliases_out: u16,
    /// Retained messages; above it a new topic is refused with 0x97.
    pub retained_messages: usize,
    /// Bytes of retained messages; above it a message that is larger than what it replaces is refused
    /// with 0x97.
    pub retained_bytes: usize,
    /// Longest Session Expiry Interval granted in seconds; 0xFFFFFFFF for no bound.
    pub session_expiry_s: u32,
    /// Longest Keep Alive in seconds, announced as Server Keep Alive; 0 for no bound.
    pub keep_alive_s: u16,
    /// How long a publisher of MQTT 3.1.1, which can't be told a reason, waits for room.
    pub refuse_timeout_ms: u64,
    /// Bytes of all messages, queues and sessions together. Above it publishers are refused or
    /// slowed and QoS 0 is dropped.
    pub memory_bytes: usize,
    /// Journal entries appended and not yet durable; above it publishers are slowed.
    pub journal_lag: u64,
    /// Samples kept of what was dropped.
    pub drop_samples: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_bytes: 1024 * 1024,
            connect_packet_bytes: 256 * 1024,
            connections: 100_000,
            connections_per_address: 0,
            connect_timeout_ms: 10_000,
            topic_levels: 128,
            topic_bytes: 65_535,
            client_id_bytes: 1024,
            filters_per_packet: 1000,
            subscriptions_per_session: 10_000,
            subscriptions: 1_000_000,
            user_properties: 64,
            sessions: 200_000,
            queue_messages: 10_000,
            queue_bytes: 16 * 1024 * 1024,
            queue_qos0: false,
            drop_policy: DropPolicy::Newest,
            share_queue_messages: 100_000,
            share_queue_bytes: 64 * 1024 * 1024,
            receive_maximum: 1024,
            inflight: 1024,
            topic_aliases_in: 32,
            topic_aliases_out: 32,
            retained_messages: 200_000,
            retained_bytes: 64 * 1024 * 1024,
            session_expiry_s: u32::MAX,
            keep_alive_s: 0,
            refuse_timeout_ms: 30_000,
            memory_bytes: 256 * 1024 * 1024,
            journal_lag: 100_000,
            drop_samples: 256,
        }
    }
}
