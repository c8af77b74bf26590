//! The locks and atomics of the engine, from one door, so that `--cfg shuttle` can swap them for
//! ones whose every interleaving is explored.
//!
//! Lock order, highest first: session map, retained messages, routes, one share, one session,
//! then the leaves (timers, drop ledger, journal), of which only one is held at a time. Never two
//! sessions at once; never a lock across an await.

#[cfg(not(shuttle))]
use std::sync as imp;

#[cfg(shuttle)]
use shuttle::sync as imp;

pub use imp::Arc;
pub use imp::atomic;

/// A mutex that outlives a panic of its holder: the state behind it is checked by the rules, not by
/// poison, and one connection's panic must not end the others.
#[derive(Debug, Default)]
pub struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    /// A new lock around `value`.
    pub fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> imp::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(imp::PoisonError::into_inner)
    }
}

/// A read-mostly lock that outlives a panic of its holder; see [`Mutex`].
#[derive(Debug, Default)]
pub struct RwLock<T>(imp::RwLock<T>);

impl<T> RwLock<T> {
    /// A new lock around `value`.
    pub fn new(value: T) -> Self {
        Self(imp::RwLock::new(value))
    }

    /// Waits for shared access.
    #[inline]
    pub fn read(&self) -> imp::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(imp::PoisonError::into_inner)
    }

    /// Waits for sole access.
    #[inline]
    pub fn write(&self) -> imp::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(imp::PoisonError::into_inner)
    }
}

/// What the engine calls to have a connection polled soon: cheap, callable from any thread and
/// under locks, idempotent.
pub trait Wake: Send + Sync {
    /// Asks for `poll_transmit` and `poll_event` of the connection behind it.
    fn wake(&self);
}
