//! The harness of Dunlin's suites: what they share, and the suites that are more than one file. Not the tests of a
//! single crate's insides, which stand beside its code.

pub mod broker;
pub mod conformance;
pub mod hostile;
pub mod interop;
pub mod load;
pub mod process;
pub mod raw;
