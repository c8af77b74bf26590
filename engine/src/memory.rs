//! One account for all memory that peers can make grow: messages, queue slots, sessions, input
//! buffers. [`crate::limits::Limits::memory_bytes`] is its ceiling.

use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// The account. Charging never fails: whoever takes on new work asks [`Account::is_full`] first.
#[derive(Debug, Default)]
pub struct Account {
    used: AtomicUsize,
    ceiling: AtomicUsize,
}

impl Account {
    /// An empty account with a ceiling in bytes.
    pub fn new(ceiling: usize) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            ceiling: AtomicUsize::new(ceiling),
        })
    }

    /// Bytes charged now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether new work has to be refused.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.used() >= self.ceiling.load(Ordering::Relaxed)
    }

    /// Moves the ceiling; what is above it stays until it's released.
    pub fn set_ceiling(&self, bytes: usize) {
        self.ceiling.store(bytes, Ordering::Relaxed);
    }

    /// Adds to the account.
    #[inline]
    pub fn charge(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes from the account what was charged before.
    #[inline]
    pub fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A charge that is released when dropped.
#[derive(Debug)]
pub struct Charge {
    account: Arc<Account>,
    bytes: usize,
}

impl Charge {
    /// Charges `bytes` to the account.
    pub fn new(account: &Arc<Account>, bytes: usize) -> Self {
        account.charge(bytes);
        Self {
            account: Arc::clone(account),
            bytes,
        }
    }

    /// What is charged to.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The amount.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes the amount.
    pub fn set(&mut self, bytes: usize) {
        if bytes == self.bytes {
            return;
        }
        if bytes > self.bytes {
            self.account.charge(bytes - self.bytes);
        } else {
            self.account.release(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.release(self.bytes);
    }
}
