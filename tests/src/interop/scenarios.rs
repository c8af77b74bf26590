//! The table of the scenarios: in which versions and at which QoS each is played, and what it needs of the clients.

mod filters;
mod messages;
mod pairs;
mod retained;
mod sessions;
mod version5;
mod wills;

use super::software::Need;
use super::stage::Stage;
use crate::raw::{Outcome, Version};

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Names the behavior.
    pub name: &'static str,
    /// The versions in which it is played.
    pub versions: &'static [Version],
    /// The QoS at which it is played; empty when it doesn't depend on one.
    pub levels: &'static [u8],
    /// What clients must be able to do to play it.
    pub needs: &'static [Need],
    /// Plays it.
    pub run: fn(&Stage<'_>) -> Outcome,
}

/// The scenarios for clients of one kind.
#[rustfmt::skip] // a row a line
pub const SCENARIOS: &[Scenario] = &[
    all("any_payload_and_topic_arrives", LEVELS, &[], messages::any_payload_and_topic_arrives),
    all("delivery_has_the_lower_qos", LEVELS, &[], messages::delivery_has_the_lower_qos),
    all("a_thousand_arrive_once_in_order", LEVELS, &[], messages::a_thousand_arrive_once_in_order),
    all("own_messages_come_back", LEVELS, &[Need::OneConnection], messages::own_messages_come_back),
    all("retained_is_set_replaced_cleared", LEVELS, &[], retained::set_replaced_cleared),
    all("retained_comes_by_wildcard", &[], &[], retained::comes_by_wildcard),
    all("retained_comes_again_on_resubscribe", &[], &[Need::FiltersApart], retained::comes_again_on_resubscribe),
    all("will_after_a_cut", LEVELS, &[], wills::after_a_cut),
    all("will_that_is_retained", LEVELS, &[], wills::that_is_retained),
    all("no_will_after_disconnect", LEVELS, &[Need::LeavesWithoutWill], wills::none_after_disconnect),
    v5("will_after_leaving_with_it", LEVELS, &[Need::LeavesWithWill], wills::after_leaving_with_it),
    all("session_keeps_messages", KEPT, &[], sessions::keeps_messages),
    all("session_survives_cuts", &[1], &[Need::LosesNothingInCuts], sessions::survives_cuts),
    all("session_survives_cuts", &[2], &[Need::ExactlyOnceAcrossCuts], sessions::survives_cuts_exactly_once),
    all("session_keeps_order_per_qos", &[], &[], sessions::keeps_order_per_qos),
    all("clean_session_keeps_nothing", &[], &[], sessions::clean_keeps_nothing),
    all("second_client_takes_over", &[], &[Need::StaysAway], sessions::second_client_takes_over),
    all("second_client_takes_the_session_over", KEPT, &[Need::StaysAway], sessions::second_client_takes_session_over),
    all("keep_alive_keeps_alive", &[], &[], sessions::keep_alive_keeps_alive),
    all("nameless_client_is_named", &[], &[Need::ShowsConnack], sessions::nameless_client_is_named),
    all("wildcards_match_what_they_say", &[], &[], filters::wildcards_match_what_they_say),
    all("overlapping_filters_bring_one_copy", LEVELS, &[], filters::overlapping_bring_one_copy),
    all("overlapping_filters_bring_the_highest_qos", &[], &[Need::FiltersApart], filters::overlapping_bring_highest_qos),
    all("unsubscribed_filter_is_silent", LEVELS, &[], filters::unsubscribed_is_silent),
    v311("devices_of_3_1_are_served", LEVELS, &[Need::SpeaksV31], sessions::devices_of_3_1_are_served),
    v5("shared_by_two", LEVELS, &[], filters::shared_by_two),
    v5("shared_goes_to_who_is_left", KEPT, &[], filters::shared_goes_to_who_is_left),
    v5("properties_arrive_unaltered", LEVELS, &[], version5::properties_arrive_unaltered),
    v5("expired_messages_do_not_arrive", KEPT, &[], version5::expired_do_not_arrive),
    v5("subscription_identifier_comes_along", &[], &[], version5::subscription_identifier_comes_along),
    v5("subscription_identifiers_of_all_matches", &[], &[Need::FiltersApart], version5::identifiers_of_all_matches),
    v5("no_local", LEVELS, &[Need::NoLocal], version5::no_local),
    v5("retain_as_published", &[], &[], version5::retain_as_published),
    v5("retain_handling", &[], &[Need::FiltersApart], version5::retain_handling),
    v5("will_has_properties", LEVELS, &[], version5::will_has_properties),
    v5("will_waits_for_its_delay", &[], &[], version5::will_waits_for_its_delay),
    v5("will_is_dropped_on_return", &[], &[], version5::will_is_dropped_on_return),
    v5("session_expires", &[], &[Need::ShowsConnack], version5::session_expires),
    v5("request_gets_response", LEVELS, &[Need::OneConnection], version5::request_gets_response),
    v5("receive_maximum_of_one", KEPT, &[], version5::receive_maximum_of_one),
    v5("topic_aliases_by_the_client", &[], &[Need::TopicAlias], version5::aliases_by_the_client),
    v5("topic_aliases_by_hand", LEVELS, &[Need::AliasByHand, Need::ShowsConnack], version5::aliases_by_hand),
];

/// The scenario where clients of two kinds and both versions meet.
pub const PAIR: Scenario = all("meets", &[], &[], pairs::meets);

const LEVELS: &[u8] = &[0, 1, 2];
/// The QoS at which a session keeps messages.
const KEPT: &[u8] = &[1, 2];

const fn all(
    name: &'static str,
    levels: &'static [u8],
    needs: &'static [Need],
    run: fn(&Stage<'_>) -> Outcome,
) -> Scenario {
    Scenario {
        name,
        versions: &[Version::V311, Version::V5],
        levels,
        needs,
        run,
    }
}

const fn v311(
    name: &'static str,
    levels: &'static [u8],
    needs: &'static [Need],
    run: fn(&Stage<'_>) -> Outcome,
) -> Scenario {
    Scenario {
        name,
        versions: &[Version::V311],
        levels,
        needs,
        run,
    }
}

const fn v5(
    name: &'static str,
    levels: &'static [u8],
    needs: &'static [Need],
    run: fn(&Stage<'_>) -> Outcome,
) -> Scenario {
    Scenario {
        name,
        versions: &[Version::V5],
        levels,
        needs,
        run,
    }
}
