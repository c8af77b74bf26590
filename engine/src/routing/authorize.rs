//! The seam of authorization: one function decides, every path asks it.

use crate::message::Origin;

/// What somebody wants to do with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Publish to a Topic Name; Wills included.
    Publish,
    /// Subscribe to a Topic Filter.
    Subscribe,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allow,
    /// Refused.
    Deny,
}

/// Who may do what.
pub trait Authorize: Send + Sync {
    /// Decides. `topic` is a Topic Name or, to subscribe, a Topic Filter without `$share/name/`.
    fn authorize(&self, subject: &Origin, action: Action, topic: &str) -> Decision;
}

/// Allows everything: for listeners where anonymous clients are let in on purpose.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

impl Authorize for AllowAll {
    fn authorize(&self, _: &Origin, _: Action, _: &str) -> Decision {
        Decision::Allow
    }
}

/// Whether a topic belongs to the broker itself: clients may read, never write it.
pub fn is_reserved(topic: &str) -> bool {
    topic == "$SYS" || topic.starts_with("$SYS/")
}
