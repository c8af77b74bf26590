//! Where the broker listens, and the rule that no door to the outside opens unasked.
//!
//! Answers for making [`Listener`]s of what the layers say. Does not answer for sockets.

use std::net::{Ipv4Addr, SocketAddr};

use super::keys::LISTENER_KEYS;
use super::layers::find;
use super::problem::{Origin, Problem};
use super::value::Setting;

/// One place to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// IP address and port; port 0 stands for any free one.
    pub address: SocketAddr,
    /// Whether clients may connect without authentication.
    pub allow_anonymous: bool,
    /// Network connections at once through this listener, if it has a bound of its own.
    pub connections_max: Option<usize>,
}

impl Default for Listener {
    /// Loopback, so that a first try opens nothing to the network.
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 1883).into(),
            allow_anonymous: true,
            connections_max: None,
        }
    }
}

/// A listener as it is written down: every key has a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) address: SocketAddr,
    pub(super) allow_anonymous: bool,
    /// 0 for none.
    pub(super) connections_max: usize,
}

impl From<&Listener> for Draft {
    fn from(listener: &Listener) -> Self {
        Self {
            address: listener.address,
            allow_anonymous: listener.allow_anonymous,
            connections_max: listener.connections_max.unwrap_or(0),
        }
    }
}

impl From<Draft> for Listener {
    fn from(draft: Draft) -> Self {
        Self {
            address: draft.address,
            allow_anonymous: draft.allow_anonymous,
            connections_max: Some(draft.connections_max).filter(|max| *max != 0),
        }
    }
}

/// Makes listeners of what the layers say; problems go to `problems`.
pub(super) fn resolve(written: &[Setting], problems: &mut Vec<Problem>) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = Vec::with_capacity(written.len());
    for (index, written) in written.iter().enumerate() {
        let Some(listener) = resolve_one(index, written, problems) else {
            continue;
        };
        let taken = listeners
            .iter()
            .any(|other| other.address == listener.address);
        if let Some(address) = find(written, "address")
            && taken
            && listener.address.port() != 0
        {
            let advice = "another listener has this address already: remove one of them";
            let key = format!("listeners[{index}].address");
            problems.push(Problem::invalid(&key, address, advice));
        }
        listeners.push(listener);
    }
    listeners
}

fn resolve_one(index: usize, written: &Setting, problems: &mut Vec<Problem>) -> Option<Listener> {
    let key = |name: &str| format!("listeners[{index}].{name}");
    let Some(address) = find(written, "address") else {
        // The table of a listener that the environment adds has no origin, but its values do.
        let values = LISTENER_KEYS
            .iter()
            .filter_map(|key| find(written, key.path));
        let first = std::iter::once(written)
            .chain(values)
            .find(|setting| setting.origin().is_some());
        problems.push(Problem::Missing {
            key: key("address"),
            origin: first.map_or(Origin::Default, Origin::of),
            advice: "add one, such as address = \"127.0.0.1:1883\"".into(),
        });
        return None;
    };
    let mut draft = Draft::from(&Listener::default());
    let before = problems.len();
    for spec in LISTENER_KEYS {
        if let Some(setting) = find(written, spec.path) {
            spec.read(&key(spec.path), setting, &mut draft, problems);
        }
    }
    if problems.len() > before {
        return None;
    }
    let asked = find(written, "allow_anonymous").is_some() && draft.allow_anonymous;
    if !draft.address.ip().is_loopback() && !asked {
        let advice = open_door_advice(index, draft.address, &Origin::of(address));
        problems.push(Problem::invalid(&key("address"), address, advice));
        return None;
    }
    Some(draft.into())
}

/// What to add so that a listener may be reached from outside, in the layer that it stands in.
fn open_door_advice(index: usize, address: SocketAddr, origin: &Origin) -> String {
    let how = match origin {
        Origin::File { .. } | Origin::Default => {
            "add to its [[listeners]] table\n\n    allow_anonymous = true".to_owned()
        }
        Origin::Environment(_) => {
            format!("set\n\n    DUNLIN__LISTENERS__{index}__ALLOW_ANONYMOUS=true")
        }
        Origin::Flag(_) => format!(
            "add --allow-anonymous, or replace the flag by these lines of the configuration file\n\n    \
             [[listeners]]\n    address = \"{address}\"\n    allow_anonymous = true"
        ),
    };
    format!(
        "reachable from other machines, and this version has no authentication: whoever reaches the port \
         could read and publish everything. If that is wanted, {how}"
    )
}
