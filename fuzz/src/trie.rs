//! The subscription trie against the plain matcher: any filters, any topics, in any order.

use std::collections::BTreeMap;

use dunlin_codec::topic::{check_filter, check_name};
use dunlin_engine::routing::matching::matches;
use dunlin_engine::routing::trie::Trie;

/// Lines of `bytes` are steps: `+` subscribes, `-` unsubscribes, anything else is published to.
///
/// # Panics
/// When the trie and the plain matcher disagree.
pub fn trie(bytes: &[u8]) {
    let mut trie = Trie::new(7);
    let mut plain: BTreeMap<(&str, u64), usize> = BTreeMap::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let Some((&step, rest)) = line.split_first() else {
            continue;
        };
        let Ok(text) = core::str::from_utf8(rest) else {
            continue;
        };
        let key = u64::from(step / 4);
        match step % 4 {
            0 | 1 if check_filter(text).is_ok() => {
                assert_eq!(
                    trie.insert(text, key, number),
                    plain.insert((text, key), number)
                );
            }
            2 if check_filter(text).is_ok() => {
                assert_eq!(trie.remove(text, key), plain.remove(&(text, key)));
            }
            3 if check_name(text).is_ok() => {
                let mut found = Vec::new();
                trie.for_each_match(text, |value| found.push(*value));
                found.sort_unstable();
                let mut expected: Vec<usize> = plain
                    .iter()
                    .filter(|((filter, _), _)| matches(filter, text))
                    .map(|(_, value)| *value)
                    .collect();
                expected.sort_unstable();
                assert_eq!(found, expected, "{text:?}");
            }
            _ => {}
        }
        assert_eq!(trie.len(), plain.len());
    }
}
