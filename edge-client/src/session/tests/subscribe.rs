//! SUBSCRIBE and UNSUBSCRIBE.

use dunlin_codec::{Subscribe, Unsubscribe};

use super::*;

fn at_least_once(filter: &str) -> Subscription<'_> {
    Subscription {
        filter,
        options: SubscriptionOptions {
            qos: QoS::AtLeastOnce,
            ..SubscriptionOptions::default()
        },
    }
}

#[test]
fn a_subscription_is_asked_for_and_granted() {
    for version in BOTH {
        let mut dialogue = Dialogue::connected(&options(version));
        let list = [at_least_once("a/+"), at_least_once("b/#")];
        let packet_id = dialogue.session.subscribe(&list, &[]).unwrap();
        dialogue.expect(&[Packet::Subscribe(Subscribe::new(
            packet_id,
            Properties::EMPTY,
            &list,
        ))]);
        let event = dialogue.hear(suback(packet_id.get(), &[1, 0x80]));
        let Some(Event::Subscribed { reason_codes, .. }) = event else {
            panic!("{event:?}");
        };
        let codes: Vec<_> = reason_codes.iter().collect();
        assert_eq!(
            codes,
            [ReasonCode::GrantedQos1, ReasonCode::UnspecifiedError]
        );
        let failures: Vec<_> = reason_codes.failures().collect();
        assert_eq!(failures, [(1, ReasonCode::UnspecifiedError)]);
        assert_eq!(dialogue.session.unacknowledged(), 0);
    }
}

#[test]
fn a_subscription_is_given_up() {
    for (version, codes) in [(Version::V4, &[][..]), (Version::V5, &[0x00, 0x11])] {
        let mut dialogue = Dialogue::connected(&options(version));
        let packet_id = dialogue.session.unsubscribe(&["a", "b"], &[]).unwrap();
        dialogue.expect(&[Packet::Unsubscribe(Unsubscribe::new(
            packet_id,
            Properties::EMPTY,
            &["a", "b"],
        ))]);
        let event = dialogue.hear(unsuback(packet_id.get(), codes));
        let expected = Event::Unsubscribed {
            packet_id,
            reason_codes: ReasonCodes(codes),
            properties: Properties::EMPTY,
        };
        assert_eq!(event, Some(expected));
    }
}

#[test]
fn answers_must_fit_the_question() {
    let wrong = |answer: Packet<'_>| {
        let mut dialogue = Dialogue::connected(&options(Version::V5));
        let subscription = at_least_once("a");
        assert_eq!(dialogue.session.subscribe(&[subscription], &[]), Ok(id(1)));
        assert_eq!(dialogue.session.unsubscribe(&["a"], &[]), Ok(id(2)));
        dialogue.drain();
        dialogue.try_hear(answer).unwrap_err()
    };
    let unexpected = |packet| Error::from(Violation::UnexpectedAcknowledgement(packet));
    assert_eq!(wrong(suback(1, &[1, 1])), Violation::ReasonCodeCount.into());
    assert_eq!(
        wrong(unsuback(2, &[0, 0])),
        Violation::ReasonCodeCount.into()
    );
    assert_eq!(wrong(suback(2, &[1])), unexpected(PacketType::SubAck));
    assert_eq!(wrong(suback(3, &[1])), unexpected(PacketType::SubAck));
    assert_eq!(wrong(unsuback(1, &[0])), unexpected(PacketType::UnsubAck));
    assert_eq!(wrong(puback(1)), unexpected(PacketType::PubAck));
}

#[test]
fn an_answer_before_the_question_left_is_a_violation() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    dialogue
        .session
        .subscribe(&[at_least_once("a")], &[])
        .unwrap();
    assert!(dialogue.try_hear(suback(1, &[1])).is_err());
}

#[test]
fn requests_need_a_connection_and_end_with_it() {
    let mut dialogue = Dialogue::connected(&kept(Version::V5));
    dialogue
        .session
        .subscribe(&[at_least_once("a")], &[])
        .unwrap();
    dialogue.drain();
    dialogue.session.handle_disconnected();
    assert_eq!(dialogue.session.unacknowledged(), 0);
    let outcome = dialogue.session.subscribe(&[at_least_once("a")], &[]);
    assert_eq!(outcome, Err(CommandError::NotConnected));
    let outcome = dialogue.session.unsubscribe(&["a"], &[]);
    assert_eq!(outcome, Err(CommandError::NotConnected));
    dialogue.reconnect(true);
    assert_eq!(dialogue.drain(), []);
}

#[test]
fn what_the_server_lacks_is_not_asked_for() {
    let refused = |lack: Property<'_>, filter: &str, properties: &[Property<'_>]| {
        let mut dialogue = Dialogue::open(&options(Version::V5));
        dialogue.drain();
        dialogue.accept(false, &[lack]);
        let outcome = dialogue
            .session
            .subscribe(&[at_least_once(filter)], properties);
        assert_eq!(dialogue.drain(), []);
        outcome.unwrap_err()
    };
    assert_eq!(
        refused(Property::WildcardSubscriptionAvailable(false), "a/#", &[]),
        CommandError::WildcardNotSupported
    );
    assert_eq!(
        refused(
            Property::SharedSubscriptionAvailable(false),
            "$share/g/a",
            &[]
        ),
        CommandError::SharedNotSupported
    );
    assert_eq!(
        refused(
            Property::SubscriptionIdentifierAvailable(false),
            "a",
            &[Property::SubscriptionIdentifier(1)]
        ),
        CommandError::SubscriptionIdentifierNotSupported
    );
    assert_eq!(
        refused(Property::MaximumPacketSize(5), "a", &[]),
        CommandError::TooLargeForServer
    );
}

#[test]
fn requests_that_break_the_standard_stay_here() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    let session = &mut dialogue.session;
    let malformed = |reason| Err(CommandError::Malformed(reason));
    assert_eq!(
        session.subscribe(&[at_least_once("a/#/b")], &[]),
        malformed(Malformed::TopicFilterWildcard)
    );
    assert_eq!(
        session.subscribe(&[], &[]),
        malformed(Malformed::NoTopicFilter)
    );
    assert_eq!(
        session.unsubscribe(&[""], &[]),
        malformed(Malformed::TopicFilterEmpty)
    );
    let property = [Property::TopicAlias(1)];
    assert_eq!(
        session.unsubscribe(&["a"], &property),
        malformed(Malformed::PropertyNotAllowed)
    );
    assert_eq!(session.unacknowledged(), 0);

    let mut dialogue = Dialogue::connected(&options(Version::V4));
    let no_local = Subscription {
        filter: "a",
        options: SubscriptionOptions {
            no_local: true,
            ..SubscriptionOptions::default()
        },
    };
    let outcome = dialogue.session.subscribe(&[no_local], &[]);
    assert_eq!(outcome, Err(CommandError::NotInThisVersion));
    let user = [Property::UserProperty("a", "b")];
    let outcome = dialogue.session.subscribe(&[at_least_once("a")], &user);
    assert_eq!(outcome, Err(CommandError::NotInThisVersion));
}
