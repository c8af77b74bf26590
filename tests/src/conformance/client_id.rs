//! Rows on Client Identifiers: which are taken, assigned, refused. Sections 3.1.3.1, 3.2.2.3.7.

use std::sync::{Mutex, PoisonError};

use super::{Context, Row, row};
use crate::raw::build::{Connect, property};
use crate::raw::{Outcome, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "client_id::of_1_to_23_letters_and_digits",
        &["3.1.3-5"],
        &["3.1.3-5"],
        allowed_ids,
    ),
    row(
        "client_id::an_empty_one_is_replaced",
        &["3.1.3-6", "3.1.3-7", "3.2.2-16"],
        &["3.1.3-6"],
        empty_id,
    ),
    row(
        "client_id::an_assigned_one_is_as_good_as_any",
        &["3.1.3-7", "3.2.2-16"],
        &[],
        assigned_id_works,
    ),
    row(
        "client_id::an_empty_one_needs_a_clean_session",
        &[],
        &["3.1.3-7", "3.1.3-8", "3.2.2-4", "3.2.2-5"],
        empty_id_persistent,
    ),
    row(
        "client_id::one_that_is_too_long",
        &["3.1.3-8"],
        &["3.1.3-9"],
        refused_id,
    ),
];

fn allowed_ids(context: &Context) -> Outcome {
    // These identifiers can't be the row's own, so both versions of the row take turns. A failure in the other one
    // doesn't matter here.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut ids: Vec<String> = letters.chars().map(String::from).collect();
    ids.extend(
        [
            "0123456789abcdefghijklm",
            "nopqrstuvwxyzABCDEFGHIJ",
            "KLMNOPQRSTUVWXYZ0123456",
        ]
        .map(String::from),
    );
    for id in ids {
        let (client, connack) = context.accepted(&Connect::new(context.version, &id))?;
        if context.is_v5() {
            ensure(
                connack.property(property::ASSIGNED_CLIENT_ID).is_none(),
                || format!("{id} was replaced"),
            )?;
        }
        client.disconnect()?;
    }
    Ok(())
}

fn empty_id(context: &Context) -> Outcome {
    let (first, first_answer) = context.accepted(&Connect::new(context.version, ""))?;
    let (second, second_answer) = context.accepted(&Connect::new(context.version, ""))?;
    for answer in [&first_answer, &second_answer] {
        same("flags", answer.flags, 0)?;
    }
    if context.is_v5() {
        let ids = [&first_answer, &second_answer]
            .map(|answer| answer.property(property::ASSIGNED_CLIENT_ID));
        ensure(
            ids.iter().all(|id| id.is_some_and(|id| id.len() > 2)),
            || format!("assigned: {ids:02X?}"),
        )?;
        ensure(ids[0] != ids[1], || {
            "the same identifier was assigned twice".to_owned()
        })?;
    }
    // Neither took the other's session.
    for mut client in [first, second] {
        client.quiet()?;
    }
    Ok(())
}

fn assigned_id_works(context: &Context) -> Outcome {
    // Clean Start 0 with an empty identifier is allowed in MQTT 5.
    let (mut client, connack) =
        context.accepted(&Connect::new(context.version, "").persistent())?;
    same("flags", connack.flags, 0)?;
    let assigned = connack
        .property(property::ASSIGNED_CLIENT_ID)
        .unwrap_or_default();
    let id = assigned.get(2..).unwrap_or_default().to_vec();
    ensure(!id.is_empty(), || "no identifier was assigned".to_owned())?;
    let topic = context.topic("t");
    client.subscribe(&topic, 1)?;
    client.disconnect()?;
    context.client("p")?.publish(&topic, 1, "kept")?;
    let connect = Connect::new(context.version, id).persistent();
    let (mut client, connack) = context.accepted(&connect)?;
    same("flags", connack.flags, 1)?;
    ensure(
        connack.property(property::ASSIGNED_CLIENT_ID).is_none(),
        || "assigned again".to_owned(),
    )?;
    let publish = client.expect_message(&topic, "kept")?;
    client.accept(&publish)
}

fn empty_id_persistent(context: &Context) -> Outcome {
    let mut client = context.open()?;
    client.send(Connect::new(context.version, "").clean(false).bytes())?;
    client.expect([0x20, 2, 0, 2])?;
    client.expect_closed()
}

/// The longest identifier there can be: taken as it is, or refused with the code for it.
fn refused_id(context: &Context) -> Outcome {
    let mut client = context.open()?;
    client.send_refusable(Connect::new(context.version, vec![b'i'; 65_535]).bytes());
    let connack = client.frame()?.connack(context.version)?;
    if connack.code == 0 {
        return client.ping();
    }
    same(
        "flags and code",
        (connack.flags, connack.code),
        (0, if context.is_v5() { 0x85 } else { 2 }),
    )?;
    client.expect_closed()
}
