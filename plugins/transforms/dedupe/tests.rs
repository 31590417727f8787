//! Equal records, and what is saved of them.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use runner_core::testing::{Collected, apply, batch, context, record, records};
use runner_core::{Column, ColumnType, ReadOrder, Row, Table, TableHeader};
use serde_json::{Value, json};

use super::*;

fn dedupe(options: Value) -> Box<dyn Transform> {
    let config: DedupeConfig = serde_json::from_value(options).unwrap();
    config.build(&context()).unwrap()
}

fn rows(names: &[&str], rows: &[&[&str]]) -> Batch {
    let columns: Vec<_> = names.iter().map(|&name| (name, ColumnType::String)).collect();
    typed_rows(&columns, rows)
}

fn typed_rows(columns: &[(&str, ColumnType)], rows: &[&[&str]]) -> Batch {
    let column = |&(name, kind): &(&str, ColumnType)| Column { name: name.into(), kind, nullable: true };
    let columns = columns.iter().map(column).collect();
    let header = Arc::new(TableHeader::new(columns, b',', vec!["".into(), "NA".into()]));
    let (mut cells, mut ends) = (Vec::new(), Vec::new());
    for cell in rows.iter().copied().flatten() {
        cells.extend_from_slice(cell.as_bytes());
        ends.push(cells.len() as u32);
    }
    let table = Arc::new(Table::new(header, cells, ends));
    batch((0..rows.len()).map(|index| {
        let mut record = record("", index as u64);
        record.body = Body::Row(Row::new(Arc::clone(&table), index));
        record
    }))
}

async fn of_json<const N: usize>(options: Value, bodies: [&str; N]) -> Collected {
    apply(&mut *dedupe(options), records(bodies)).await.unwrap()
}

#[tokio::test]
async fn first_of_equal_bodies_passes() {
    let bodies = [r#"{"a":1}"#, r#"{ "a": 1 }"#, r#"{"a":1.0}"#, "line", "line", r#"{"a":1}"#];
    let out = of_json(json!({}), bodies).await;
    assert_eq!(out.bodies(), [bodies[0], bodies[2], bodies[3]]);
}

#[tokio::test]
async fn fields_alone_are_compared() {
    let options = json!({ "fields": ["/day/d", "i"] });
    let bodies = [
        r#"{"i":"a","day":{"d":1},"x":1}"#,
        r#"{"x":2,"day":{"d": 1},"i":"a"}"#,
        r#"{"i":"a","day":{"d":2}}"#,
        r#"{"i":null,"day":{"d":1}}"#,
        r#"{"i":null,"day":{"d":1},"y":1}"#,
    ];
    let out = of_json(options, bodies).await;
    assert_eq!(out.bodies(), [bodies[0], bodies[2], bodies[3]]);
}

#[tokio::test]
async fn rows_are_compared_cell_by_cell() {
    let all: &[&[&str]] = &[&["ab", "c"], &["a", "bc"], &["ab", "c"], &["NA", "c"], &["", "c"]];
    let out = apply(&mut *dedupe(json!({})), rows(&["x", "y"], all)).await.unwrap();
    assert_eq!(out.bodies(), ["ab,c", "a,bc", "NA,c"]);
    let out = apply(&mut *dedupe(json!({ "fields": ["y"] })), rows(&["x", "y"], all)).await.unwrap();
    assert_eq!(out.bodies(), ["ab,c", "a,bc"]);
}

#[tokio::test]
async fn rows_with_equal_cells_in_other_columns_differ() {
    let mut dedupe = dedupe(json!({}));
    for (column, n_passed) in [("temperature", 1), ("humidity", 1), ("temperature", 0)] {
        let out = apply(&mut *dedupe, rows(&["time", column], &[&["10:00", "21"]])).await.unwrap();
        assert_eq!(out.records.len(), n_passed, "{column}");
    }
}

#[tokio::test]
async fn row_equals_the_json_object_with_its_names_and_values() {
    use ColumnType::{Boolean, Float, Integer, String};
    let columns = [("s", String), ("i", Integer), ("f", Float), ("b", Boolean), ("n", Integer)];
    for options in [json!({}), json!({ "fields": ["s", "i", "f", "b", "n"] })] {
        let mut dedupe = dedupe(options);
        let cells: &[&[&str]] =
            &[&["\u{e9} \"x\" \\ \t", "1", "2.50", "True", ""], &["7", "7", "7", "true", "7"]];
        assert_eq!(apply(&mut *dedupe, typed_rows(&columns, cells)).await.unwrap().records.len(), 2);
        let equal = [
            r#"{"s":"é \"x\" \\ \t","i":1,"f":2.50,"b":true,"n":null}"#,
            r#"{ "s": "\u00E9 \u0022x\u0022 \u005c \u0009", "i": 1, "f": 2.50, "b": true, "n": null }"#,
            r#"{"s":"7","i":7,"f":7,"b":true,"n":7}"#,
        ];
        assert_eq!(apply(&mut *dedupe, records(equal)).await.unwrap().records.len(), 0);
        let others = [
            r#"{"s":7,"i":7,"f":7,"b":true,"n":7}"#,
            r#"{"s":"7","i":"7","f":7,"b":true,"n":7}"#,
            r#"{"s":"7","i":7,"f":7.0,"b":true,"n":7}"#,
            r#"{"s":"7","i":7,"f":7,"b":"true","n":7}"#,
        ];
        assert_eq!(apply(&mut *dedupe, records(others)).await.unwrap().records.len(), others.len());
    }
}

#[tokio::test]
async fn text_that_is_not_a_character_is_compared_as_it_is_written() {
    let bodies = [r#"{"a":"\ud800"}"#, r#"{"a":"\ud801"}"#, r#"{"a":"\ud800"}"#];
    assert_eq!(of_json(json!({ "fields": ["a"] }), bodies).await.bodies(), [bodies[0], bodies[1]]);
}

#[tokio::test]
async fn record_without_a_field_is_rejected_with_its_name() {
    let options = json!({ "fields": ["d"] });
    let mut of_json = of_json(options.clone(), [r#"{"a":"secret"}"#, "secret", r#"{"d":1}"#]).await;
    assert_eq!(of_json.bodies(), [r#"{"d":1}"#]);
    let of_rows = apply(&mut *dedupe(options), rows(&["a"], &[&["secret"], &["secret"]])).await.unwrap();
    assert_eq!((of_json.rejected.len(), of_rows.rejected.len()), (2, 2));
    of_json.rejected.extend(of_rows.rejected);
    for (index, (_, reason)) in of_json.rejected.iter().enumerate() {
        let reason = format!("{reason:#}");
        assert!(!reason.contains("secret"), "{reason}");
        assert!(reason.contains(if index == 1 { "not JSON" } else { "no field `d`" }), "{reason}");
    }
}

#[tokio::test]
async fn tombstones_pass() {
    let mut batch = records(["", ""]);
    batch.records_mut().iter_mut().for_each(|record| record.body = Body::Tombstone);
    let out = apply(&mut *dedupe(json!({ "fields": ["a"] })), batch).await.unwrap();
    assert_eq!(out.records.len(), 2);
}

#[tokio::test]
async fn key_that_was_not_met_for_the_longest_time_is_forgotten() {
    let out = of_json(json!({ "cache": 2 }), ["1", "2", "1", "3", "1", "2"]).await;
    assert_eq!(out.bodies(), ["1", "2", "3", "2"].map(Bytes::from));
}

#[test]
fn invalid_options_are_refused() {
    for (options, option) in [(json!({ "fields": [] }), "fields"), (json!({ "cache": 0 }), "cache")] {
        let config: DedupeConfig = serde_json::from_value(options).unwrap();
        let error = config.build(&context()).err().unwrap();
        assert_eq!(error.downcast_ref::<OptionError>().unwrap().option, option);
    }
}

#[test]
fn state_that_was_not_saved_by_this_transform_is_refused() {
    for saved in [json!(7), json!("?"), json!("AAAA")] {
        assert!(State::new(3).resume(0, Some(&saved)).is_err(), "{saved}");
    }
}

/// Keys of one source, in a state that has resumed from what another one has saved.
fn resumed(saved: Option<&Value>, capacity: usize) -> State {
    let state = State::new(capacity);
    state.resume(0, saved).unwrap();
    state
}

fn passes(state: &State, key: u128, item: u64) -> bool {
    state.lock().passes(key, ReadOrder { source: 0, item })
}

proptest! {
    /// A state that is saved at any prefix, and sees the records after it again, decides about
    /// them as if there had been no restart.
    #[test]
    fn restart_at_any_prefix_decides_the_same(
        keys in prop::collection::vec(0_u128..12, 1..80),
        capacity in 1_usize..9,
        stops in prop::collection::vec((0_usize..80, 0_usize..80), 1..5),
    ) {
        let mut without = resumed(None, capacity);
        let expected: Vec<bool> = keys.iter().zip(0..).map(|(key, item)| passes(&without, *key, item)).collect();
        without = resumed(None, capacity);
        let (mut first, mut state) = (0, without);
        for (n_read, n_delivered) in stops {
            let n_read = n_read.min(keys.len() - first);
            for (index, item) in (first..first + n_read).zip(0..) {
                prop_assert_eq!(passes(&state, keys[index], item), expected[index], "record {}", index);
            }
            // The prefix moves in two steps, as the engine moves it.
            let n_delivered = n_delivered.min(n_read);
            state.advance(0, n_delivered as u64 / 2);
            state.advance(0, n_delivered as u64);
            first += n_delivered;
            state = resumed(Some(&state.save(0)), capacity);
        }
    }
}

#[test]
fn key_is_saved_with_the_record_that_has_passed() {
    let state = resumed(None, 9);
    assert!(passes(&state, 7, 5));
    assert!(!passes(&state, 7, 2), "an equal record that was read before and comes later");
    state.advance(0, 4);
    assert!(passes(&resumed(Some(&state.save(0)), 9), 7, 0), "the record that has passed is read again");
    state.advance(0, 6);
    assert!(!passes(&resumed(Some(&state.save(0)), 9), 7, 0));
}

#[test]
fn source_without_a_checkpoint_leaves_no_state() {
    let state = resumed(None, 9);
    assert!(state.lock().passes(1, ReadOrder { source: 4, item: 0 }));
    assert!(!passes(&state, 1, 0));
    state.advance(4, 1);
    state.advance(0, 1);
    assert_eq!((state.save(0), state.save(4)), ("".into(), "".into()));
}
