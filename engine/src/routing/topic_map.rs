//! Values by their topic, in order, with a scan by Topic Filter that can stop anywhere and go on later.
//!
//! Answers for finding the topics that a filter matches without looking at all others; not for what is
//! kept there or for how long. Filters and topics arrive validated, filters without a `$share/name/`
//! prefix. MQTT 5 section 4.7, used for 3.3.1.3.
//!
//! The order is that of the bytes. Mind that `/` isn't the smallest byte: `a-b` stands between `a` and
//! `a/b`, so a topic and the topics below it don't stand together.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Bound, ControlFlow};

/// A value that carries the topic it belongs to, so that the text is kept once.
pub trait HasTopic {
    /// The Topic Name. Always the same for the same value.
    fn topic(&self) -> &str;
}

/// Values in the order of their topics, one per topic.
pub struct TopicMap<T> {
    entries: BTreeSet<ByTopic<T>>,
}

/// How a scan ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanEnd {
    /// No matching topic is left.
    Done,
    /// The budget was used up, or the visitor said stop. There may be more.
    More {
        /// Where the next slice starts: everything up to this topic has been dealt with.
        after: Box<str>,
    },
}

impl<T: HasTopic> TopicMap<T> {
    /// An empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: BTreeSet::new(),
        }
    }

    /// Puts a value at its topic and returns the one that was there.
    pub fn replace(&mut self, value: T) -> Option<T> {
        self.entries.replace(ByTopic(value)).map(|old| old.0)
    }

    /// Removes the value of a topic and returns it.
    pub fn remove(&mut self, topic: &str) -> Option<T> {
        self.entries.take(topic).map(|old| old.0)
    }

    /// The value of a topic.
    #[must_use]
    pub fn get(&self, topic: &str) -> Option<&T> {
        self.entries.get(topic).map(|entry| &entry.0)
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All values in the order of their topics.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.entries.iter().map(|entry| &entry.0)
    }

    /// Calls `visit` with the values whose topics match `filter`, in the order of the topics.
    ///
    /// One call looks at `budget` entries at most (at one, if it's 0), matching or not, and costs at most
    /// one search of the map for each. Where no topic can match, it jumps: a filter without wildcards is
    /// one search, a subtree that can't match costs one entry.
    ///
    /// A scan in slices hands the `after` of each slice to the next one, and `None` to the first. A value
    /// whose topic is there all the time is visited exactly once, whatever is inserted or removed between
    /// slices; one that comes or goes meanwhile is visited once or never. When `visit` breaks, the value
    /// it was called with counts as visited.
    pub fn scan(
        &self,
        filter: &str,
        after: Option<&str>,
        budget: usize,
        mut visit: impl FnMut(&T) -> ControlFlow<()>,
    ) -> ScanEnd {
        let mut target = String::new();
        let mut next = match after {
            None => first(filter, &mut target),
            Some(after) => advance(filter, after, &mut target).1,
        };
        let mut last = after.unwrap_or_default();
        let mut budget = budget.max(1);
        loop {
            let from = match next {
                Next::Following => Bound::Excluded(last),
                Next::Seek => Bound::Included(target.as_str()),
                Next::Nothing => return ScanEnd::Done,
            };
            let entries = self.entries.range::<str, _>((from, Bound::Unbounded));
            next = Next::Nothing;
            for ByTopic(value) in entries {
                let topic = value.topic();
                let (matched, then) = advance(filter, topic, &mut target);
                let stopped = matched && visit(value).is_break();
                (last, next) = (topic, then);
                budget -= 1;
                if stopped || budget == 0 {
                    return match next {
                        Next::Nothing => ScanEnd::Done,
                        _ => ScanEnd::More { after: last.into() },
                    };
                }
                if next != Next::Following {
                    break;
                }
            }
            if next == Next::Following {
                // The map's end.
                return ScanEnd::Done;
            }
        }
    }
}

impl<T: HasTopic> Default for TopicMap<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for TopicMap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicMap")
            .field("len", &self.entries.len())
            .finish_non_exhaustive()
    }
}

/// Which topics come next in a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Those right behind this one.
    Following,
    /// Those from the target on; none between here and there can match.
    Seek,
    /// None can match any more.
    Nothing,
}

/// Where a scan starts.
fn first(filter: &str, target: &mut String) -> Next {
    target.clear();
    push_names(target, filter.split('/'));
    Next::Seek
}

/// Whether the filter matches a topic, and which later topics can match.
///
/// Depends on nothing but these two texts, so a scan can go on behind a topic that is gone by now. The
/// target is always behind the topic.
fn advance(filter: &str, topic: &str, target: &mut String) -> (bool, Next) {
    target.clear();
    // [MQTT-4.7.2-1] A wildcard in the first level does not reach the topics that start with `$`. They
    // all stand between `$` and the byte after it.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        target.push('%');
        return (false, Next::Seek);
    }
    let mut wanted_levels = filter.split('/');
    // Where the levels seen so far end, and the last of them that stands for `+`.
    let (mut end, mut plus_end) = (0, None);
    let mut after_plus = false;
    let mut rest = Some(topic);
    while let Some(wanted) = wanted_levels.next() {
        let Some(levels) = rest else {
            // The topic ends above this level: [MQTT-4.7.1-1] a match if the rest is `#`.
            let matched = wanted == "#";
            if after_plus {
                // Behind it come also the topics whose last level is longer (`a-b` between `a` and `a/`).
                return (matched, Next::Following);
            }
            target.push_str(topic);
            target.push('/');
            push_names(target, std::iter::once(wanted).chain(wanted_levels));
            return (matched, Next::Seek);
        };
        if wanted == "#" {
            return (true, Next::Following);
        }
        let (level, below) = match levels.split_once('/') {
            Some((level, below)) => (level, Some(below)),
            None => (levels, None),
        };
        let start = end;
        end = topic.len() - below.map_or(0, |below| below.len() + 1);
        after_plus = wanted == "+";
        if after_plus {
            plus_end = Some(end);
        } else if level != wanted {
            return (
                false,
                same_parent(topic, start, wanted, wanted_levels, plus_end, target),
            );
        }
        if below.is_some() {
            // The level below starts behind the slash.
            end += 1;
        }
        rest = below;
    }
    match rest {
        None if after_plus => (true, Next::Following),
        // One topic matches per value of the last `+`.
        None => (true, next_value(topic, plus_end, target)),
        Some(_) => (false, next_value(topic, plus_end, target)),
    }
}

/// The next topic that can match where the level that begins at `start` isn't the one the filter names.
fn same_parent<'f>(
    topic: &str,
    start: usize,
    wanted: &'f str,
    below: impl Iterator<Item = &'f str> + Clone,
    plus_end: Option<usize>,
    target: &mut String,
) -> Next {
    target.push_str(topic.get(..start).unwrap_or_default());
    let multi_follows = below.clone().next() == Some("#");
    push_names(target, std::iter::once(wanted).chain(below));
    if target.as_str() > topic {
        return Next::Seek;
    }
    if multi_follows {
        // Behind the parent itself, but perhaps before all below it.
        target.push('/');
        if target.as_str() > topic {
            return Next::Seek;
        }
    }
    next_value(topic, plus_end, target)
}

/// The next topic with another value of the last level that stands for `+`: behind all topics below this
/// value. Only for topics that are below it, since `a-b`, behind `a`, is before `a/`.
fn next_value(topic: &str, plus_end: Option<usize>, target: &mut String) -> Next {
    let Some(value) = plus_end.and_then(|end| topic.get(..end)) else {
        return Next::Nothing;
    };
    target.clear();
    target.push_str(value);
    // The byte after the slash.
    target.push('0');
    Next::Seek
}

/// Appends the first of these levels of a filter up to a wildcard: where the topics that match begin.
fn push_names<'f>(target: &mut String, levels: impl Iterator<Item = &'f str>) {
    let mut separator = "";
    for level in levels {
        if level == "#" {
            // The parent level matches too, so no slash.
            break;
        }
        target.push_str(separator);
        if level == "+" {
            break;
        }
        target.push_str(level);
        separator = "/";
    }
}

/// Orders values by their topics.
struct ByTopic<T>(T);

impl<T: HasTopic> Borrow<str> for ByTopic<T> {
    fn borrow(&self) -> &str {
        self.0.topic()
    }
}

impl<T: HasTopic> Ord for ByTopic<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.topic().cmp(other.0.topic())
    }
}

impl<T: HasTopic> PartialOrd for ByTopic<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: HasTopic> PartialEq for ByTopic<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.topic() == other.0.topic()
    }
}

impl<T: HasTopic> Eq for ByTopic<T> {}

#[cfg(test)]
mod tests;
