//! Who gets a message: Topic Filters, Topic Names and the structures that bring them together.

pub mod matching;
pub mod topic_map;
pub mod trie;
