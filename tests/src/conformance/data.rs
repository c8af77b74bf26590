//! Rows on data representations: strings, string pairs, variable byte integers. Sections 1.5 of both standards.

use super::{Context, Row, row};
use crate::raw::build::{self, Connect, Publish, packet, property, text};
use crate::raw::{Outcome, ensure};

pub(super) const ROWS: &[Row] = &[
    row(
        "data::ill_formed_utf8_ends_the_connection",
        &["1.5.4-1", "3.8.3-1", "3.10.3-1", "3.3.2-1"],
        &["1.5.3-1", "3.3.2-1", "3.8.3-1", "3.10.3-1"],
        ill_formed_utf8,
    ),
    row(
        "data::ill_formed_utf8_in_connect",
        &["1.5.4-1", "3.1.3-4", "3.1.3-11", "3.1.3-12"],
        &["1.5.3-1", "3.1.3-4", "3.1.3-10", "3.1.3-11"],
        ill_formed_in_connect,
    ),
    row(
        "data::ill_formed_utf8_in_properties",
        &["1.5.4-1", "3.3.2-13", "3.3.2-19"],
        &[],
        ill_formed_in_properties,
    ),
    row(
        "data::null_character_ends_the_connection",
        &["1.5.4-2", "4.7.3-2"],
        &["1.5.3-2", "4.7.3-2"],
        null_character,
    ),
    row(
        "data::null_character_in_connect",
        &["1.5.4-2"],
        &["1.5.3-2"],
        null_character_in_connect,
    ),
    row(
        "data::byte_order_mark_is_kept",
        &["1.5.4-3", "4.7.3-4"],
        &["1.5.3-3", "4.7.3-4"],
        byte_order_mark,
    ),
    row(
        "data::both_strings_of_a_pair_are_checked",
        &["1.5.7-1"],
        &[],
        string_pair,
    ),
    row(
        "data::lengths_not_in_shortest_form",
        &["1.5.5-1"],
        &[],
        longer_form,
    ),
    row(
        "data::lengths_of_five_bytes",
        &["1.5.5-1"],
        &["4.8.0-1"],
        five_byte_length,
    ),
    row(
        "data::the_broker_sends_shortest_lengths",
        &["1.5.5-1"],
        &[],
        shortest_lengths_sent,
    ),
];

/// Byte strings that aren't well-formed UTF-8: surrogates, overlong forms, beyond U+10FFFF, cut short, stray.
const ILL_FORMED: &[(&str, &[u8])] = &[
    ("low surrogate", b"a\xED\xA0\x80"),
    ("high surrogate", b"a\xED\xBF\xBF"),
    ("surrogate pair", b"\xED\xA0\xBD\xED\xB8\x80"),
    ("overlong slash", b"\xC0\xAFa"),
    ("overlong null", b"a\xC0\x80"),
    ("three-byte overlong", b"\xE0\x80\xAF"),
    ("beyond the last code point", b"\xF4\x90\x80\x80"),
    ("F5", b"a\xF5\x80\x80\x80"),
    ("cut short", b"a\xE2\x82"),
    ("stray continuation", b"\x80a"),
    ("FF", b"\xFF"),
];

/// The packets in which an accepted client sends a string, with this string in it.
fn carrying(context: &Context, string: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let version = context.version;
    let none = build::properties(version, &[]);
    let id = [0, 1];
    vec![
        ("PUBLISH", Publish::new(version, string, "x").bytes()),
        (
            "SUBSCRIBE",
            packet(0x82, [&id[..], &none, &text(string), &[0]].concat()),
        ),
        (
            "UNSUBSCRIBE",
            packet(0xA2, [&id[..], &none, &text(string)].concat()),
        ),
    ]
}

fn ill_formed_utf8(context: &Context) -> Outcome {
    for (case, string) in ILL_FORMED {
        for (place, bytes) in carrying(context, string) {
            context.rejects(&[(&format!("{case} in {place}"), bytes)], &[0x81])?;
        }
    }
    Ok(())
}

fn connects_carrying(context: &Context, string: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let hello = context.hello("c");
    vec![
        ("ClientId", Connect::new(context.version, string).bytes()),
        (
            "Will Topic",
            hello.clone().will(string, "x", 0, false).bytes(),
        ),
        ("User Name", hello.clone().user_name(string).bytes()),
        (
            "protocol name",
            hello.protocol(string, context.version.level()).bytes(),
        ),
    ]
}

fn ill_formed_in_connect(context: &Context) -> Outcome {
    for (case, string) in ILL_FORMED {
        for (place, bytes) in connects_carrying(context, string) {
            context.refuses(
                &[(&format!("{case} in {place}"), bytes)],
                &[0x81, 0x84, 0x85],
            )?;
        }
    }
    Ok(())
}

fn ill_formed_in_properties(context: &Context) -> Outcome {
    let topic = context.topic("p");
    for (case, string) in ILL_FORMED {
        for id in [property::CONTENT_TYPE, property::RESPONSE_TOPIC] {
            let publish =
                Publish::new(context.version, &topic, "x").property(property::text(id, string));
            context.rejects(
                &[(&format!("{case} in {id:#04X}"), publish.bytes())],
                &[0x81],
            )?;
        }
        let disconnect =
            build::disconnect_with(0, &property::text(property::REASON_STRING, string));
        context.rejects(
            &[(&format!("{case} in Reason String"), disconnect)],
            &[0x81],
        )?;
    }
    Ok(())
}

fn null_character(context: &Context) -> Outcome {
    for string in [&b"a\0b"[..], b"\0", b"a/\0"] {
        context.rejects(&carrying(context, string), &[0x81])?;
    }
    Ok(())
}

fn null_character_in_connect(context: &Context) -> Outcome {
    for string in [&b"a\0b"[..], b"\0"] {
        context.refuses(&connects_carrying(context, string), &[0x81, 0x84, 0x85])?;
    }
    Ok(())
}

/// U+FEFF is a character like any other: kept in the topic that is delivered, and counted when matching.
fn byte_order_mark(context: &Context) -> Outcome {
    let (marked, plain) = (context.topic("\u{FEFF}x"), context.topic("x"));
    let mut subscriber = context.client("s")?;
    let mut other = context.client("o")?;
    subscriber.subscribe(&marked, 0)?;
    other.subscribe(&plain, 0)?;
    let mut publisher = context.client("p")?;
    publisher.publish(&marked, 0, "marked")?;
    subscriber.expect(Publish::new(context.version, &marked, "marked").bytes())?;
    other.quiet()?;
    publisher.publish(&plain, 0, "plain")?;
    other.expect(Publish::new(context.version, &plain, "plain").bytes())?;
    subscriber.quiet()
}

fn string_pair(context: &Context) -> Outcome {
    let topic = context.topic("p");
    for (case, string) in ILL_FORMED.iter().chain(&[("null", &b"a\0"[..])]) {
        for (half, pair) in [
            ("name", property::user(string, "v")),
            ("value", property::user("n", string)),
        ] {
            let publish = Publish::new(context.version, &topic, "x").property(pair);
            context.rejects(
                &[(&format!("{case} in the {half}"), publish.bytes())],
                &[0x81],
            )?;
        }
    }
    Ok(())
}

fn longer_form(context: &Context) -> Outcome {
    let topic = text(context.topic("p"));
    let cases = [
        ("Remaining Length", vec![0xC0, 0x80, 0x00]),
        (
            "Remaining Length in three bytes",
            vec![0xC0, 0x80, 0x80, 0x00],
        ),
        (
            "Property Length",
            packet(0x30, [&topic[..], &[0x80, 0x00], b"x"].concat()),
        ),
        (
            "Subscription Identifier",
            packet(
                0x82,
                [&[0, 1, 3, 0x0B, 0x81, 0x00][..], &topic, &[0]].concat(),
            ),
        ),
    ];
    context.rejects(&cases, &[0x81])
}

fn five_byte_length(context: &Context) -> Outcome {
    let publish = [&[0x30, 0x80, 0x80, 0x80, 0x80, 0x01][..], &[0; 8]].concat();
    context.rejects(
        &[
            ("PUBLISH", publish),
            ("PINGREQ", vec![0xC0, 0xFF, 0xFF, 0xFF, 0xFF]),
        ],
        &[0x81],
    )?;
    context.refuses(
        &[("CONNECT", vec![0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x01])],
        &[0x81],
    )
}

/// Lengths on both sides of each step; [`Frame::take`](crate::raw::frame::Frame::take) fails on a longer form.
fn shortest_lengths_sent(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 0)?;
    let mut publisher = context.client("p")?;
    let overhead = Publish::new(context.version, &topic, "").bytes().len() - 2;
    for length in [126_usize, 127, 128, 129, 16_382, 16_383, 16_384, 16_385] {
        let publish = Publish::new(context.version, &topic, vec![b'x'; length - overhead]);
        publisher.complete(&publish)?;
        let frame = subscriber.frame()?;
        ensure(
            frame.bytes() == publish.bytes() && frame.size == publish.bytes().len(),
            || format!("a PUBLISH of length {length} came in {} bytes", frame.size),
        )?;
    }
    Ok(())
}
