//! Does one Topic Filter match one Topic Name? The rule itself, with no index behind it.
//!
//! Answers for single questions (authorization, a scan over retained messages) and is what the tests
//! hold the indexes of this module against. Validates nothing: filters and topics arrive checked, filters
//! without a `$share/name/` prefix. MQTT 5 and 3.1.1 section 4.7.

/// Whether `filter` matches `topic`.
///
/// Walks both once, level by level: time is linear in the shorter of the two, nothing is allocated.
///
/// ```
/// use dunlin_engine::routing::matching::matches;
///
/// assert!(matches("sport/+/player1", "sport/tennis/player1"));
/// assert!(matches("sport/#", "sport"));
/// assert!(!matches("#", "$SYS/uptime"));
/// ```
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    // [MQTT-4.7.2-1] A wildcard in the first level does not reach the topics that start with `$`.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    levels_match(filter.as_bytes(), topic.as_bytes())
}

/// The same for parts of a filter and a topic that begin behind the same number of levels, where `$` has no
/// meaning.
pub(super) fn levels_match(filter: &[u8], topic: &[u8]) -> bool {
    let is_separator = |byte: &u8| *byte == b'/';
    let mut topic_levels = topic.split(is_separator);
    for wanted in filter.split(is_separator) {
        // [MQTT-4.7.1-1] `#` stands last and takes the parent level and all levels below it.
        if wanted == b"#" {
            return true;
        }
        match topic_levels.next() {
            // [MQTT-4.7.1-2] `+` takes one level, an empty one included.
            Some(level) if wanted == b"+" || wanted == level => {}
            _ => return false,
        }
    }
    topic_levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::matches;
    use proptest::prelude::*;

    /// Section 4.7 once more, said in another way.
    fn by_the_book(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            ([wanted, filter @ ..], [level, topic @ ..]) => {
                (*wanted == "+" || wanted == level) && by_the_book(filter, topic)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_second_definition(
            mut filter in prop::collection::vec(prop::sample::select(&["", "a", "b", "+", "$x", "ä", "ab"][..]), 1..6),
            topic in prop::collection::vec(prop::sample::select(&["", "a", "b", "$x", "ä", "ab"][..]), 1..6),
            multi: bool,
        ) {
            filter.extend(multi.then_some("#"));
            let wild_dollar = topic[0].starts_with('$') && filter[0] == "+";
            let expected = !wild_dollar && by_the_book(&filter, &topic);
            prop_assert_eq!(matches(&filter.join("/"), &topic.join("/")), expected);
        }
    }

    #[test]
    fn the_examples_of_the_standard_hold() {
        let rows = [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/ranking",
                true,
            ),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/score/wimbledon",
                true,
            ),
            ("sport/tennis/player1/#", "sport/tennis/player2", false),
            ("sport/#", "sport", true),
            ("sport/#", "sports", false),
            ("#", "a", true),
            ("#", "/", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+", "/finance", false),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+/tennis/#", "sport/tennis", true),
            ("sport/+/player1", "sport/tennis/player1", true),
            ("sport/+/player1", "sport//player1", true),
            ("ACCOUNTS", "Accounts", false),
            ("/finance", "finance", false),
        ];
        for (filter, topic, expected) in rows {
            assert_eq!(matches(filter, topic), expected, "{filter} on {topic}");
        }
    }

    #[test]
    fn a_dollar_topic_needs_a_literal_first_level() {
        let rows = [
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("+", "$SYS", false),
            ("+/#", "$", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("$SYS/#", "$SYS", true),
            ("$SYS/+", "$SYS/uptime", true),
            ("#", "a/$SYS", true),
            ("+/+", "a/$SYS", true),
            ("+/$SYS", "/$SYS", true),
        ];
        for (filter, topic, expected) in rows {
            assert_eq!(matches(filter, topic), expected, "{filter} on {topic}");
        }
    }

    #[test]
    fn the_longest_topic_is_walked_without_recursion() {
        let topic = "/".repeat(65_535);
        let filter = "+/".repeat(65_535) + "+";
        assert!(matches(&filter, &topic));
        assert!(matches("#", &topic));
        assert!(!matches(&filter, &topic[1..]));
    }
}
