//! Which connections there are: their number, bounded in all and per address, and how to reach them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dunlin_engine::limits::Limits;
use dunlin_engine::sync::Wake as _;
use tokio::sync::Notify;

use crate::wake::TaskWake;

/// All connections.
#[derive(Debug, Default)]
pub struct Registry {
    inner: Mutex<Inner>,
    stopping: AtomicBool,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    last_id: u64,
    connections: HashMap<u64, Arc<TaskWake>>,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection's place in the registry; given up when dropped.
#[derive(Debug)]
pub struct Place {
    registry: Arc<Registry>,
    id: u64,
    address: Option<IpAddr>,
}

impl Place {
    /// The connection's number, never used again in this process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl Registry {
    /// A place for a connection from `address`; `None` when a bound is reached or the broker stops.
    pub fn enter(
        self: &Arc<Self>,
        limits: &Limits,
        address: IpAddr,
        wake: &Arc<TaskWake>,
    ) -> Option<Place> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_stopping() || inner.connections.len() >= limits.connections {
            return None;
        }
        let counted = (limits.connections_per_address > 0).then(|| network_of(address));
        if let Some(address) = counted {
            let count = inner.by_address.entry(address).or_default();
            if *count >= limits.connections_per_address {
                return None;
            }
            *count += 1;
        }
        inner.last_id += 1;
        let id = inner.last_id;
        inner.connections.insert(id, Arc::clone(wake));
        Some(Place {
            registry: Arc::clone(self),
            id,
            address: counted,
        })
    }

    /// How many connections there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .connections
            .len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the broker stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Lets nobody in any more and calls every connection to end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for wake in inner.connections.values() {
            wake.wake();
        }
    }

    /// Returns once there are no connections. Cancel-safe.
    pub async fn wait_until_empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self
            .registry
            .inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        inner.connections.remove(&self.id);
        if let Some(address) = self.address
            && let Some(count) = inner.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                inner.by_address.remove(&address);
            }
        }
        if inner.connections.is_empty() {
            drop(inner);
            self.registry.emptied.notify_waiters();
        }
    }
}

/// What counts as one address: an IPv4 address, or the /64 of an IPv6 address, which one customer
/// usually has as a whole.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(registry: &Arc<Registry>, limits: &Limits, address: &str) -> Option<Place> {
        let address = address.parse().ok()?;
        registry.enter(limits, address, &Arc::new(TaskWake::default()))
    }

    #[test]
    fn the_total_is_bounded_and_a_place_given_up_is_free_again() {
        let registry = Arc::new(Registry::default());
        let limits = Limits {
            connections: 2,
            ..Limits::default()
        };
        let first = enter(&registry, &limits, "127.0.0.1");
        let second = enter(&registry, &limits, "127.0.0.1");
        assert!(first.is_some() && second.is_some());
        assert!(enter(&registry, &limits, "127.0.0.1").is_none());
        drop(first);
        assert_eq!(registry.len(), 1);
        assert!(enter(&registry, &limits, "127.0.0.1").is_some());
    }

    #[test]
    fn each_address_has_a_bound_of_its_own() {
        let registry = Arc::new(Registry::default());
        let limits = Limits {
            connections_per_address: 1,
            ..Limits::default()
        };
        let here = enter(&registry, &limits, "192.0.2.1");
        assert!(here.is_some());
        assert!(enter(&registry, &limits, "::ffff:192.0.2.1").is_none());
        assert!(enter(&registry, &limits, "192.0.2.2").is_some());
        let network = enter(&registry, &limits, "2001:db8::1");
        assert!(network.is_some());
        assert!(enter(&registry, &limits, "2001:db8::ffff").is_none());
        assert!(enter(&registry, &limits, "2001:db8:0:1::1").is_some());
        drop(here);
        assert!(enter(&registry, &limits, "192.0.2.1").is_some());
    }

    #[test]
    fn nobody_gets_in_while_the_broker_stops() {
        let registry = Arc::new(Registry::default());
        registry.stop();
        assert!(enter(&registry, &Limits::default(), "127.0.0.1").is_none());
    }
}
