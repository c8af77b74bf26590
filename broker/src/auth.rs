//! Who comes in. This version knows one way: anonymously, where the listener allows it.

use dunlin_codec::ReasonCode;
use dunlin_engine::connection::{AuthOutcome, AuthRequest};

/// How a listener finds out who its clients are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authenticator {
    /// Whether clients may come in without proving who they are.
    pub allow_anonymous: bool,
}

impl Authenticator {
    /// Decides on a CONNECT. A User Name that nobody has checked counts for nothing.
    #[must_use]
    pub fn authenticate(self, _request: &AuthRequest) -> AuthOutcome {
        if self.allow_anonymous {
            AuthOutcome::Accepted { user_name: None }
        } else {
            AuthOutcome::Refused(ReasonCode::NotAuthorized)
        }
    }
}
