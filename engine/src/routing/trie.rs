//! Which subscriptions match a Topic Name: a trie over the levels of their Topic Filters.
//!
//! Knows filters, keys and values, not sessions or shares: a `$share/name/` prefix is cut off and the
//! filter validated before it comes here. MQTT 5 and 3.1.1 section 4.7.
//!
//! # Layout
//!
//! Nodes lie in a slab under 32-bit ids. A branch knows its parent, its own level name and its `+` child;
//! all other children of all branches are found through one hash table keyed by (parent, level name), so a
//! branch with a million children costs no more per child than one with a single child, and nothing is
//! allocated per node. A `#` is no node: its subscribers hang at the parent level. A filter that is alone
//! behind some level ends in a leaf, which keeps the rest of the filter as text; the leaf unfolds into
//! branches when a second filter takes the same way. So most subscriptions are one node. Nothing recurses:
//! a filter of 65,535 levels is matched, removed and freed in constant stack.
//!
//! # Cost
//!
//! Matching visits each node whose path matches the topic's first levels, once; a branch costs one probe
//! of the table, a leaf one comparison of its text with the rest of the topic. For a topic of `n` levels
//! that is at most `2^(n + 1) - 1` nodes, and never more than the levels of the filters whose beginning
//! matches. Only filters that mix `+` and names come near either bound (`k` such filters of `l` levels
//! cost up to `k * l`), so the limits on levels and on subscriptions per session bound what one client
//! can make a publish cost. Inserting and removing cost one probe per level, whatever the number of
//! subscribers.

mod hashes;
mod id_table;
mod members;
mod slab;
#[cfg(test)]
mod tests;
mod texts;

use super::matching::levels_match;
use hashes::Hashes;
use id_table::PartedTable;
use members::{Members, Removed};
use slab::{NONE, Slab};
use smallvec::SmallVec;
use std::fmt;
use texts::{Text, Texts};

/// Levels that a match handles without allocating; deeper topics in a deeper trie spill to the heap.
const LEVELS_INLINE: usize = 128;

/// Subscriptions, each a Topic Filter with a key (whose it is) and a value.
pub struct Trie<V> {
    nodes: Slab<Node>,
    edges: PartedTable,
    texts: Texts,
    members: Slab<Members<V>>,
    group_bytes: usize,
    hashes: Hashes,
    len: usize,
    generation: u64,
}

struct Node {
    /// The level's name. `+` nodes and the root carry an empty one that nobody compares.
    name: Text,
    parent: u32,
    kind: Kind,
}

enum Kind {
    /// One filter goes on from here, its rest in text: nothing, or `/` and more levels.
    Leaf {
        rest: Text,
        members: u32,
    },
    Branch(Branch),
}

/// Each id may be `NONE`.
struct Branch {
    /// The child `+`.
    plus: u32,
    /// Number of the other children.
    children: u32,
    /// The members whose filter ends here.
    exact: u32,
    /// The members whose filter goes on with `#`.
    multi: u32,
}

/// Which members of a node are meant.
#[derive(Clone, Copy)]
enum Spot {
    Leaf,
    Exact,
    Multi,
}

impl<V> Trie<V> {
    /// An empty trie. `seed` keys its hash table: a secret, else clients can choose slow level names.
    /// It has no influence on any result or order.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut trie = Self {
            nodes: Slab::new(),
            edges: PartedTable::new(),
            texts: Texts::new(),
            members: Slab::new(),
            group_bytes: 0,
            hashes: Hashes::new(seed),
            len: 0,
            generation: 0,
        };
        trie.clear();
        trie
    }

    /// Subscribes `key` to `filter`. Returns the value that `key` had there before.
    ///
    /// # Panics
    ///
    /// When there would be 2^32 - 1 nodes or more, far beyond 100 GiB.
    pub fn insert(&mut self, filter: &str, key: u64, value: V) -> Option<V> {
        self.generation = self.generation.wrapping_add(1);
        let (at, spot) = self.find_or_unfold(filter);
        let known = self.nodes.get(at).map_or(NONE, |node| node.members(spot));
        let Some(members) = self.members.get_mut(known) else {
            let id = self.members.insert(Members::One { key, value });
            if let Some(node) = self.nodes.get_mut(at) {
                node.set_members(spot, id);
            }
            self.len += 1;
            return None;
        };
        let before = members.heap_bytes();
        let replaced = members.insert(key, value, &self.hashes);
        self.group_bytes = self.group_bytes + members.heap_bytes() - before;
        self.len += usize::from(replaced.is_none());
        replaced
    }

    /// Unsubscribes `key` from `filter`. Returns its value, or `None` if it had no such subscription.
    pub fn remove(&mut self, filter: &str, key: u64) -> Option<V> {
        let (at, spot) = self.find(filter)?;
        let id = self.nodes.get(at)?.members(spot);
        let members = self.members.get_mut(id)?;
        let before = members.heap_bytes();
        let removed = members.remove(key, &self.hashes);
        self.group_bytes = self.group_bytes + members.heap_bytes() - before;
        let value = match removed {
            Removed::Nothing => return None,
            Removed::Value(value) => value,
            Removed::Last => {
                let Some(Members::One { value, .. }) = self.members.remove(id) else {
                    return None;
                };
                if let Some(node) = self.nodes.get_mut(at) {
                    node.set_members(spot, NONE);
                }
                self.prune(at);
                value
            }
        };
        self.len -= 1;
        self.generation = self.generation.wrapping_add(1);
        if self.len == 0 {
            self.clear();
        }
        Some(value)
    }

    /// The value with which `key` is subscribed to this very filter.
    #[must_use]
    pub fn value(&self, filter: &str, key: u64) -> Option<&V> {
        let (at, spot) = self.find(filter)?;
        self.members
            .get(self.nodes.get(at)?.members(spot))?
            .value(key, &self.hashes)
    }

    /// Calls `visit` with the value of each subscription that matches `topic`.
    ///
    /// A key with several matching filters is visited once for each. The order is fixed by the sequence
    /// of inserts and removes: same history, same order. Allocates nothing for topics of up to 128 levels.
    pub fn for_each_match<'a>(&'a self, topic: &str, visit: impl FnMut(&'a V)) {
        self.walk(topic, visit);
    }

    /// Number of subscriptions: pairs of filter and key.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no subscription.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of nodes: at most the number of different beginnings of filters (a `#` adds none), mostly
    /// fewer, since the rest of a filter that is alone lies in one node. 0 when empty.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len().saturating_sub(1)
    }

    /// Changes with each insert (a replaced value included) and each remove that found something, so a
    /// kept match result holds as long as the generation it was made in.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Estimate of the bytes held on the heap, in constant time: what the containers have reserved, and 16
    /// bytes for the allocator per small allocation. What the values own themselves isn't in it. Room of
    /// removed subscriptions is kept for new ones until the trie is empty.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.nodes.heap_bytes()
            + self.edges.heap_bytes()
            + self.texts.heap_bytes()
            + self.members.heap_bytes()
            + self.group_bytes
    }

    /// The match itself. Returns the number of nodes visited.
    fn walk<'a>(&'a self, topic: &str, mut visit: impl FnMut(&'a V)) -> usize {
        // [MQTT-4.7.2-1] Topics that start with `$` are not for wildcards in the first level.
        let mut wildcards = !topic.starts_with('$');
        let mut levels = TopicLevels::new(topic, &self.hashes);
        // Depth first, names before `+`. Each node leaves at most its `+` child behind, so no more nodes
        // wait here than the topic has levels.
        let mut waiting: SmallVec<[(u32, usize); LEVELS_INLINE]> = SmallVec::new();
        let (mut at, mut depth) = (ROOT, 0);
        let mut visited = 0;
        while let Some(node) = self.nodes.get(at) {
            visited += 1;
            let mut next = NONE;
            match &node.kind {
                Kind::Leaf { rest, members } => {
                    if levels_match(self.texts.read(rest), levels.behind(depth)) {
                        self.visit(*members, &mut visit);
                    }
                }
                Kind::Branch(branch) => {
                    // [MQTT-4.7.1-1] `#` takes its parent level too: this node, with or without more levels.
                    if wildcards {
                        self.visit(branch.multi, &mut visit);
                    }
                    if let Some(level) = levels.at(depth) {
                        if branch.children > 0 {
                            next = self.child(at, level).unwrap_or(NONE);
                        }
                        // [MQTT-4.7.1-2] `+` takes one level, an empty one included.
                        if wildcards && branch.plus != NONE {
                            if next == NONE {
                                next = branch.plus;
                            } else {
                                waiting.push((branch.plus, depth + 1));
                            }
                        }
                    } else {
                        self.visit(branch.exact, &mut visit);
                    }
                }
            }
            wildcards = true;
            if next != NONE {
                (at, depth) = (next, depth + 1);
            } else if let Some(later) = waiting.pop() {
                (at, depth) = later;
            } else {
                break;
            }
        }
        visited
    }

    #[inline]
    fn visit<'a>(&'a self, members: u32, visit: &mut impl FnMut(&'a V)) {
        if let Some(members) = self.members.get(members) {
            members.for_each(visit);
        }
    }

    /// The child of this name, `+` not being a name.
    #[inline]
    fn child(&self, parent: u32, level: Level<'_>) -> Option<u32> {
        self.edges.find(self.hashes.edge(parent, level.hash), |id| {
            self.nodes.get(id).is_some_and(|node| {
                node.parent == parent && self.texts.read(&node.name) == level.name
            })
        })
    }

    /// Where a filter ends, if it does.
    fn find(&self, filter: &str) -> Option<(u32, Spot)> {
        let mut at = ROOT;
        let mut ahead = filter.as_bytes();
        loop {
            let (name, behind) = split_level(ahead);
            at = match name {
                b"#" => return Some((at, Spot::Multi)),
                b"+" => self.nodes.get(at)?.branch()?.plus,
                name => self.child(at, Level::new(name, behind, &self.hashes))?,
            };
            match &self.nodes.get(at)?.kind {
                Kind::Leaf { rest, .. } => {
                    return (self.texts.read(rest) == behind).then_some((at, Spot::Leaf));
                }
                Kind::Branch(_) if behind.is_empty() => return Some((at, Spot::Exact)),
                Kind::Branch(_) => ahead = behind.get(1..)?,
            }
        }
    }

    /// Where a filter ends, after making the nodes it needs. The members there may be none yet.
    fn find_or_unfold(&mut self, filter: &str) -> (u32, Spot) {
        let mut at = ROOT;
        let mut ahead = filter.as_bytes();
        loop {
            let (name, behind) = split_level(ahead);
            let known = match name {
                b"#" => return (at, Spot::Multi),
                b"+" => self
                    .nodes
                    .get(at)
                    .and_then(Node::branch)
                    .map_or(NONE, |branch| branch.plus),
                name => self
                    .child(at, Level::new(name, behind, &self.hashes))
                    .unwrap_or(NONE),
            };
            match self.nodes.get(known).map(|node| &node.kind) {
                None => {
                    let hash = self.name_hash(name);
                    let (name, rest) = (self.texts.store(name), self.texts.store(behind));
                    return (self.add_leaf(at, name, hash, rest, NONE), Spot::Leaf);
                }
                Some(Kind::Leaf { rest, .. }) => {
                    if self.texts.read(rest) == behind {
                        return (known, Spot::Leaf);
                    }
                    self.unfold(known);
                }
                Some(Kind::Branch(_)) => {}
            }
            if behind.is_empty() {
                return (known, Spot::Exact);
            }
            (at, ahead) = (known, behind.get(1..).unwrap_or(&[]));
        }
    }

    /// Turns a leaf into a branch, with a leaf one level deeper if there is more than `#` left.
    fn unfold(&mut self, at: u32) {
        let Some(node) = self.nodes.get_mut(at) else {
            return;
        };
        let Kind::Leaf { rest, members } =
            std::mem::replace(&mut node.kind, Kind::Branch(Branch::EMPTY))
        else {
            return;
        };
        match self.texts.read(&rest) {
            b"" => node.set_members(Spot::Exact, members),
            b"/#" => node.set_members(Spot::Multi, members),
            _ => {
                let (_slash, rest) = self.texts.split(rest, 1);
                let (name, _) = split_level(self.texts.read(&rest));
                let (length, hash) = (name.len(), self.name_hash(name));
                let (name, rest) = self.texts.split(rest, length);
                self.add_leaf(at, name, hash, rest, members);
            }
        }
    }

    /// What the edge to a child of this name is hashed by. `+` has no edge.
    fn name_hash(&self, name: &[u8]) -> Option<u64> {
        (name != b"+").then(|| self.hashes.level(name))
    }

    fn add_leaf(
        &mut self,
        parent: u32,
        name: Text,
        hash: Option<u64>,
        rest: Text,
        members: u32,
    ) -> u32 {
        let id = self.nodes.insert(Node {
            name,
            parent,
            kind: Kind::Leaf { rest, members },
        });
        if let Some(hash) = hash {
            self.edges.insert(self.hashes.edge(parent, hash), id);
        }
        if let Some(branch) = self.nodes.get_mut(parent).and_then(Node::branch_mut) {
            match hash {
                Some(_) => branch.children += 1,
                None => branch.plus = id,
            }
        }
        id
    }

    /// Frees a node that nobody needs, then its parent if that is so, and so on.
    fn prune(&mut self, mut at: u32) {
        while at != ROOT && self.nodes.get(at).is_some_and(Node::is_bare) {
            let Some(node) = self.nodes.remove(at) else {
                return;
            };
            if let Some(hash) = self.name_hash(self.texts.read(&node.name)) {
                self.edges.remove(self.hashes.edge(node.parent, hash), at);
            }
            if let Some(branch) = self.nodes.get_mut(node.parent).and_then(Node::branch_mut) {
                if branch.plus == at {
                    branch.plus = NONE;
                } else {
                    branch.children -= 1;
                }
            }
            self.texts.free(node.name);
            if let Kind::Leaf { rest, .. } = node.kind {
                self.texts.free(rest);
            }
            at = node.parent;
        }
    }

    /// Empties all, and gives back the room of what was removed.
    fn clear(&mut self) {
        self.nodes = Slab::new();
        self.nodes.insert(Node {
            name: Text::EMPTY,
            parent: NONE,
            kind: Kind::Branch(Branch::EMPTY),
        });
        self.edges = PartedTable::new();
        self.texts = Texts::new();
        self.members = Slab::new();
    }
}

impl<V> fmt::Debug for Trie<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the seed, which is secret, nor a million filters.
        f.debug_struct("Trie")
            .field("len", &self.len)
            .field("node_count", &self.node_count())
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

const ROOT: u32 = 0;

impl Node {
    fn branch(&self) -> Option<&Branch> {
        match &self.kind {
            Kind::Branch(branch) => Some(branch),
            Kind::Leaf { .. } => None,
        }
    }

    fn branch_mut(&mut self) -> Option<&mut Branch> {
        match &mut self.kind {
            Kind::Branch(branch) => Some(branch),
            Kind::Leaf { .. } => None,
        }
    }

    fn members(&self, spot: Spot) -> u32 {
        match (&self.kind, spot) {
            (Kind::Leaf { members, .. }, Spot::Leaf) => *members,
            (Kind::Branch(branch), Spot::Exact) => branch.exact,
            (Kind::Branch(branch), Spot::Multi) => branch.multi,
            _ => NONE,
        }
    }

    fn set_members(&mut self, spot: Spot, id: u32) {
        match (&mut self.kind, spot) {
            (Kind::Leaf { members, .. }, Spot::Leaf) => *members = id,
            (Kind::Branch(branch), Spot::Exact) => branch.exact = id,
            (Kind::Branch(branch), Spot::Multi) => branch.multi = id,
            _ => {}
        }
    }

    /// No member and no child.
    fn is_bare(&self) -> bool {
        match &self.kind {
            Kind::Leaf { members, .. } => *members == NONE,
            Kind::Branch(branch) => {
                let Branch {
                    plus,
                    children,
                    exact,
                    multi,
                } = *branch;
                children == 0 && plus == NONE && exact == NONE && multi == NONE
            }
        }
    }
}

impl Branch {
    const EMPTY: Self = Self {
        plus: NONE,
        children: 0,
        exact: NONE,
        multi: NONE,
    };
}

/// The first level of some levels, and what follows: nothing, or `/` and more levels.
fn split_level(levels: &[u8]) -> (&[u8], &[u8]) {
    let end = levels
        .iter()
        .position(|byte| *byte == b'/')
        .unwrap_or(levels.len());
    levels.split_at_checked(end).unwrap_or((levels, &[]))
}

/// A level of a topic, what follows it, and its hash.
#[derive(Clone, Copy)]
struct Level<'t> {
    name: &'t [u8],
    behind: &'t [u8],
    hash: u64,
}

impl<'t> Level<'t> {
    #[inline]
    fn new(name: &'t [u8], behind: &'t [u8], hashes: &Hashes) -> Self {
        Self {
            name,
            behind,
            hash: hashes.level(name),
        }
    }
}

/// The levels of a topic, each split off and hashed once, when a walk first gets so deep: a topic of
/// 65,535 levels costs nothing in a trie of four.
struct TopicLevels<'t> {
    topic: &'t [u8],
    known: SmallVec<[Level<'t>; LEVELS_INLINE]>,
    hashes: &'t Hashes,
}

impl<'t> TopicLevels<'t> {
    fn new(topic: &'t str, hashes: &'t Hashes) -> Self {
        Self {
            topic: topic.as_bytes(),
            known: SmallVec::new(),
            hashes,
        }
    }

    /// The level at a depth that is at most one deeper than any asked for before.
    #[inline]
    fn at(&mut self, depth: usize) -> Option<Level<'t>> {
        if let Some(level) = self.known.get(depth) {
            return Some(*level);
        }
        let ahead = match self.known.last() {
            Some(last) => last.behind.get(1..)?,
            None => self.topic,
        };
        let (name, behind) = split_level(ahead);
        let level = Level::new(name, behind, self.hashes);
        self.known.push(level);
        Some(level)
    }

    /// What follows the level before this depth: nothing, or `/` and more levels.
    #[inline]
    fn behind(&self, depth: usize) -> &'t [u8] {
        depth
            .checked_sub(1)
            .and_then(|depth| self.known.get(depth))
            .map_or(self.topic, |level| level.behind)
    }
}
