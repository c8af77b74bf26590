//! The syntax of Topic Names, Topic Filters and shared subscriptions. MQTT 5 sections 4.7 and 4.8.2.
//!
//! Matching is not here: the broker matches with its trie.

use crate::error::Malformed;
use crate::scalar::Version;

/// How many levels a Topic Name or Topic Filter has: one more than it has separators.
#[inline]
pub fn levels(topic: &str) -> usize {
    1 + topic.bytes().filter(|&byte| byte == b'/').count()
}

/// Checks a Topic Name: at least one character, no wildcards.
///
/// # Errors
/// [`Malformed::TopicNameEmpty`] [MQTT-4.7.3-1], [`Malformed::TopicNameWildcard`] [MQTT-3.3.2-2].
#[inline]
pub fn check_name(topic: &str) -> Result<(), Malformed> {
    if topic.is_empty() {
        return Err(Malformed::TopicNameEmpty);
    }
    if topic.bytes().any(|byte| byte == b'+' || byte == b'#') {
        return Err(Malformed::TopicNameWildcard);
    }
    Ok(())
}

/// Checks a Topic Filter that is not shared: at least one character, `#` only as the last level,
/// `#` and `+` only as whole levels.
///
/// # Errors
/// [`Malformed::TopicFilterEmpty`] [MQTT-4.7.3-1], [`Malformed::TopicFilterWildcard`]
/// [MQTT-4.7.1-1] [MQTT-4.7.1-2].
pub fn check_filter(filter: &str) -> Result<(), Malformed> {
    if filter.is_empty() {
        return Err(Malformed::TopicFilterEmpty);
    }
    let mut ended = false;
    for level in filter.split('/') {
        let wildcard = level.bytes().any(|byte| byte == b'+' || byte == b'#');
        if ended || (wildcard && level.len() > 1) {
            return Err(Malformed::TopicFilterWildcard);
        }
        ended = level == "#";
    }
    Ok(())
}

/// A Topic Filter, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Filter<'a> {
    /// The Share Name of `$share/name/filter`.
    pub share_name: Option<&'a str>,
    /// The filter that topics are matched with.
    pub filter: &'a str,
}

impl<'a> Filter<'a> {
    /// Checks and takes apart a Topic Filter as it stands in a SUBSCRIBE or UNSUBSCRIBE.
    ///
    /// # Errors
    /// As [`check_filter`]; [`Malformed::ShareName`] when `$share/` isn't followed by a name
    /// without wildcards, a `/` and a filter. [MQTT-4.8.2-1] [MQTT-4.8.2-2]
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let Some(rest) = text.strip_prefix("$share/") else {
            check_filter(text)?;
            return Ok(Self {
                share_name: None,
                filter: text,
            });
        };
        let (name, filter) = rest.split_once('/').ok_or(Malformed::ShareName)?;
        if name.is_empty() || name.contains(['+', '#']) || filter.is_empty() {
            return Err(Malformed::ShareName);
        }
        check_filter(filter)?;
        Ok(Self {
            share_name: Some(name),
            filter,
        })
    }
}

/// Checks a Topic Filter as `version` demands and tells whether it's shared. Before MQTT 5 `$share/`
/// is the start of a filter like any other, so what follows it is for [`Filter::parse`] to refuse.
pub(crate) fn check_subscribed(text: &str, version: Version) -> Result<bool, Malformed> {
    if version.is_v5() {
        Ok(Filter::parse(text)?.share_name.is_some())
    } else {
        check_filter(text).map(|()| false)
    }
}
