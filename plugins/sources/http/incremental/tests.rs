//! The rules of `incremental`, and a model that random answers and kills are compared with.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Incremental;
use super::cursor_value::{CursorValue, Nanos};
use super::groups::Groups;
use super::incremental_filter::{Decision, IncrementalFilter};
use super::snapshot::SavedIncremental;
use super::*;

const NOW: &str = "2024-03-20T12:00:00Z";

fn options(table: Value) -> Arc<Incremental> {
    Arc::new(serde_json::from_value(table).unwrap())
}

fn time(text: &str) -> Nanos {
    CursorValue::of_text(text, None).unwrap().time().unwrap()
}

/// One walk over rows: what is emitted, and the positions after it.
fn walk_at(
    options: &Arc<Incremental>,
    before: &Arc<Groups>,
    now: &str,
    rows: &[Value],
) -> (Vec<Value>, Arc<Groups>) {
    let mut walk = IncrementalFilter::new(options, before, time(now), None);
    let is_new = |row: &&Value| walk.add(row.to_string().as_bytes()).unwrap() == Decision::Emit;
    let emitted = rows.iter().filter(is_new).cloned().collect();
    let after = walk.finish();
    let saved = serde_json::to_value(&after).unwrap();
    assert_eq!(serde_json::from_value::<Groups>(saved).unwrap(), after);
    (emitted, Arc::new(after))
}

/// Walks over answers, one after another: what each emits.
fn walks(table: Value, answers: &[&[Value]]) -> Vec<Vec<Value>> {
    let options = options(table);
    let mut before = Arc::default();
    let mut all = Vec::new();
    for answer in answers {
        let (emitted, after) = walk_at(&options, &before, NOW, answer);
        all.push(emitted);
        before = after;
    }
    all
}

fn day(day: u32, close: u32) -> Value {
    json!({"Date": format!("2024-03-{day:02}"), "Close": close})
}

#[test]
fn only_newer_rows_are_emitted_in_any_order_of_the_answer() {
    let (a, b, c) = (day(1, 1), day(2, 2), day(3, 3));
    for (first, second) in
        [([a.clone(), b.clone()], [c.clone(), b.clone()]), ([b.clone(), a.clone()], [b.clone(), c.clone()])]
    {
        let emitted = walks(json!({"cursor": "Date"}), &[&first, &second, &second]);
        assert_eq!(emitted[0], first);
        assert_eq!(emitted[1..], [vec![c.clone()], vec![]]);
    }
}

#[test]
fn rows_at_the_newest_value_differ_by_content_or_key() {
    let row = |id: u32, close: u32| json!({"Date": "2024-03-01", "id": id, "Close": close});
    let answers: [&[Value]; 2] = [&[row(1, 5), row(2, 5)], &[row(1, 5), row(2, 6), row(3, 7)]];
    let second = |table: Value| walks(table, &answers).remove(1);
    assert_eq!(second(json!({"cursor": "Date"})), [row(2, 6), row(3, 7)]);
    assert_eq!(second(json!({"cursor": "Date", "key": "id"})), [row(2, 6), row(3, 7)]);
    assert_eq!(second(json!({"cursor": "Date", "key": "id", "compare": []})), [row(3, 7)]);
    assert_eq!(second(json!({"cursor": "Date", "key": "id", "compare": ["Date"]})), [row(3, 7)]);
    assert_eq!(second(json!({"cursor": "Date", "key": ["Date"], "compare": []})), [] as [Value; 0]);
    // A field that no row has identifies none.
    let unnamed = second(json!({"cursor": "Date", "key": "ID", "compare": ["Date"]}));
    assert_eq!(unnamed, [row(2, 6), row(3, 7)]);
}

#[test]
fn late_row_within_lag_is_emitted_once_and_an_older_one_never() {
    let answers: [&[Value]; 3] =
        [&[day(10, 1)], &[day(7, 1), day(8, 1), day(9, 1), day(10, 1)], &[day(8, 1), day(9, 2), day(10, 1)]];
    let emitted = walks(json!({"cursor": "Date", "lag": "2d", "key": "Date"}), &answers);
    assert_eq!(emitted[1..], [vec![day(8, 1), day(9, 1)], vec![day(9, 2)]]);
    let emitted = walks(json!({"cursor": "Date"}), &answers);
    assert_eq!(emitted[1..], [vec![], vec![]] as [Vec<Value>; 2]);
    let number = |n: u32| json!({"n": n});
    let emitted =
        walks(json!({"cursor": "n", "lag": 2}), &[&[number(10)], &[number(7), number(8), number(10)]]);
    assert_eq!(emitted[1], [number(8)]);
}

#[test]
fn row_before_start_is_not_emitted() {
    let emitted = walks(json!({"cursor": "Date", "start": "2024-03-02"}), &[&[day(1, 1), day(2, 1)]]);
    assert_eq!(emitted[0], [day(2, 1)]);
}

#[test]
fn value_more_than_a_day_ahead_is_delivered_once_and_moves_nothing() {
    let ahead = json!({"Date": "2031-01-01", "Close": 1});
    let answers: [&[Value]; 2] = [&[day(1, 1), ahead.clone()], &[ahead.clone(), day(2, 1)]];
    let emitted = walks(json!({"cursor": "Date"}), &answers);
    assert_eq!(emitted, [vec![day(1, 1), ahead], vec![day(2, 1)]]);
    let millis = |t: u64| json!({"t": t});
    let emitted =
        walks(json!({"cursor": "t"}), &[&[millis(4_000_000_000_000)], &[millis(1_710_000_000_000)]]);
    assert_eq!(emitted[1], [millis(1_710_000_000_000)]);
}

#[test]
fn held_row_is_emitted_once_it_is_old_enough() {
    let options = options(json!({"cursor": "Date", "hold": "1d", "key": "Date"}));
    let (emitted, after) =
        walk_at(&options, &Arc::default(), "2024-03-20T12:00:00Z", &[day(19, 1), day(20, 1)]);
    assert_eq!(emitted, [day(19, 1)]);
    let (emitted, after) = walk_at(&options, &after, "2024-03-20T23:00:00Z", &[day(19, 1), day(20, 2)]);
    assert_eq!(emitted, [] as [Value; 0]);
    let (emitted, _) = walk_at(&options, &after, "2024-03-21T00:00:00Z", &[day(19, 1), day(20, 3)]);
    assert_eq!(emitted, [day(20, 3)]);
}

#[test]
fn each_value_of_by_has_a_position() {
    let row = |symbol: &str, day: u32| json!({"s": symbol, "Date": format!("2024-03-{day:02}")});
    let table = json!({"cursor": "Date", "by": "s"});
    let answers: [&[Value]; 2] =
        [&[row("A", 5), row("B", 1)], &[row("A", 4), row("A", 5), row("B", 2), row("C", 1)]];
    assert_eq!(walks(table.clone(), &answers)[1], [row("B", 2), row("C", 1)]);
    let options = options(table);
    let (_, after) = walk_at(&options, &Arc::default(), NOW, answers[0]);
    assert_eq!(after.since(&options).unwrap().text(), "2024-03-01");
}

#[test]
fn since_is_the_newest_value_less_lag_and_never_before_start() {
    let since = |table: Value, rows: &[Value]| {
        let options = options(table);
        let (_, after) = walk_at(&options, &Arc::default(), NOW, rows);
        after.since(&options).map(|value| options.write(&value))
    };
    let rows = [day(5, 1)];
    assert_eq!(since(json!({"cursor": "Date"}), &[]), None);
    assert_eq!(since(json!({"cursor": "Date", "start": "2024-03-01"}), &[]).unwrap(), "2024-03-01");
    assert_eq!(since(json!({"cursor": "Date", "start": "2024-03-01"}), &rows).unwrap(), "2024-03-05");
    assert_eq!(since(json!({"cursor": "Date", "lag": "2d"}), &rows).unwrap(), "2024-03-03");
    assert_eq!(
        since(json!({"cursor": "Date", "lag": "9d", "start": "2024-03-01"}), &rows).unwrap(),
        "2024-03-01"
    );
    assert_eq!(since(json!({"cursor": "Date", "format": "epoch"}), &rows).unwrap(), "1709596800");
    assert_eq!(since(json!({"cursor": "Date", "start": 0}), &rows).unwrap(), "1709596800");
    assert_eq!(since(json!({"cursor": "Date", "start": "20240301"}), &rows).unwrap(), "20240305");
    assert_eq!(since(json!({"cursor": "n", "start": 0}), &[json!({"n": 17})]).unwrap(), "17");
    let number = [json!({"n": 20_240_305})];
    assert_eq!(since(json!({"cursor": "n", "start": "2024-01-01"}), &number).unwrap(), "2024-03-05");
    assert_eq!(
        since(json!({"cursor": "n", "start": "01/01/2024", "format": "%d/%m/%Y"}), &number).unwrap(),
        "05/03/2024"
    );
    let exact = [json!({"t": "2024-03-05T10:30:15.250Z"})];
    for (start, expected) in [
        ("2024-01-01 00:00", "2024-03-05 10:30"),
        ("2024-01-01T00:00Z", "2024-03-05T10:30Z"),
        ("2024-01-01 00:00:00 UTC", "2024-03-05 10:30:15 UTC"),
        ("2024-01-01T00:00:00.000+0000", "2024-03-05T10:30:15.250+0000"),
        ("2024-01-01T00:00:00Z", "2024-03-05T10:30:15Z"),
        ("Mon, 01 Jan 2024 00:00:00 GMT", "Tue, 05 Mar 2024 10:30:15 GMT"),
    ] {
        assert_eq!(since(json!({"cursor": "t", "start": start}), &exact).unwrap(), expected);
        assert_eq!(since(json!({"cursor": "t", "start": start}), &[]).unwrap(), start);
    }
}

#[test]
fn record_without_a_usable_cursor_is_bad() {
    let options = options(json!({"cursor": "Date", "by": "s"}));
    let error = |row: Value| {
        let mut walk = IncrementalFilter::new(&options, &Arc::default(), 0, None);
        walk.add(row.to_string().as_bytes()).unwrap_err().to_string()
    };
    assert!(error(json!({"s": 1})).contains("no field `Date`"));
    assert!(error(json!({"s": 1, "Date": null})).contains("neither a string nor a number"));
    assert!(error(json!([1])).contains("not an object"));
    assert!(error(json!({"Date": "2024-03-01"})).contains("no field `s`"));
    let (_, after) = walk_at(&options, &Arc::default(), NOW, &[json!({"s": "A", "Date": "2024-03-01"})]);
    let mut walk = IncrementalFilter::new(&options, &after, time(NOW), None);
    let mixed = walk.add(br#"{"s": "A", "Date": "soon"}"#).unwrap_err().to_string();
    assert!(mixed.contains("is text, but the values before it are a point in time"), "{mixed}");
}

/// What each row of a first walk gives: whether it is emitted, or the reason why it is rejected.
fn decided(table: Value, rows: &[Value]) -> Vec<Result<Decision, String>> {
    let mut walk = IncrementalFilter::new(&options(table), &Arc::default(), time(NOW), None);
    let decide = |row: &Value| walk.add(row.to_string().as_bytes()).map_err(|error| error.to_string());
    rows.iter().map(decide).collect()
}

#[test]
fn number_in_the_form_of_a_date_is_compared_with_dates() {
    let row = |day: u32| json!({"d": day});
    let rows = [row(20_231_231), row(20_240_101), row(20_240_319), row(20_240_320)];
    for start in [json!("2024-01-01"), json!("20240101"), json!(20_240_101), json!("2024-01-01T00:00:00Z")] {
        let emitted = walks(json!({"cursor": "d", "start": start}), &[&rows]);
        assert_eq!(emitted[0], rows[1..], "{start}");
    }
    let emitted = walks(json!({"cursor": "d", "hold": "1d"}), &[&rows]);
    assert_eq!(emitted[0], rows[..3]);
    let late = [row(20_240_317), row(20_240_318)];
    let emitted = walks(json!({"cursor": "d", "lag": "2d"}), &[&rows[3..], &late]);
    assert_eq!(emitted[1], late[1..]);
}

#[test]
fn ids_of_eight_digits_are_no_dates() {
    let row = |id: u32| json!({"id": id.to_string()});
    let answers: [&[Value]; 2] = [&[row(20_240_130), row(20_240_131)], &[row(20_240_132), row(20_240_199)]];
    assert_eq!(walks(json!({"cursor": "id"}), &answers)[1], answers[1]);
    let emitted = walks(json!({"cursor": "id", "start": 20_240_131}), &answers);
    assert_eq!((&emitted[0][..], &emitted[1][..]), (&answers[0][1..], answers[1]));
}

#[test]
fn number_that_may_mean_anything_is_rejected_beside_a_date() {
    for value in [json!("2003"), json!(2003), json!(45292), json!(202_401), json!("20240132")] {
        for (table, part) in [
            (json!({"start": "1990-01-01"}), "is a number, but `incremental.start` is a point in time"),
            (json!({"hold": "1d"}), "is not a point in time, which `incremental.hold` requires"),
            (json!({"lag": "1d"}), "is not a point in time, which `incremental.lag` requires"),
        ] {
            let mut table = table;
            table["cursor"] = json!("year");
            let reason = decided(table, &[json!({"year": value})]).remove(0).unwrap_err();
            assert!(reason.contains(part) && reason.contains("`incremental.format`"), "{value}: {reason}");
        }
    }
    let years = json!({"cursor": "year", "start": "1990-01-01", "format": "%Y"});
    assert_eq!(decided(years, &[json!({"year": "2003"})]), [Ok(Decision::Emit)]);
    let epochs = json!({"cursor": "t", "start": "1970-01-01", "format": "epoch"});
    assert_eq!(decided(epochs, &[json!({"t": 86_400})]), [Ok(Decision::Emit)]);
    let lag = decided(json!({"cursor": "Date", "lag": 3}), &[day(1, 1)]).remove(0).unwrap_err();
    assert!(lag.contains("is a point in time, but `incremental.lag` is a number"), "{lag}");
}

#[test]
fn text_that_sorts_in_another_order_than_its_date_is_rejected() {
    let reason = |table: Value, date: &str| decided(table, &[json!({"d": date})]).remove(0).unwrap_err();
    let german = reason(json!({"cursor": "d"}), "31.01.2024");
    assert!(german.contains("looks like a date, whose order") && german.contains("\"%d.%m.%Y\""), "{german}");
    assert!(!german.contains("31.01"), "{german}");
    let other = reason(json!({"cursor": "d", "format": "%d/%m/%Y"}), "31.01.2024");
    assert!(other.contains("which `incremental.format` does not read"), "{other}");
    assert!(reason(json!({"cursor": "d"}), "01:00:00 PM").contains("time of the day"));
    for (table, dates) in [
        (json!({}), ["2024/01/31", "2024/02/01"]),
        (json!({}), ["Tue, 31 Jan 2024 16:00:00 +0000", "Thu, 01 Feb 2024 16:00:00 +0000"]),
        (json!({}), ["2024-1-9", "2024-1-10"]),
        (json!({}), ["2024-W05", "2024-W06"]),
        (json!({}), ["2024-01", "2024-02"]),
        (json!({"format": "%d.%m.%Y"}), ["31.01.2024", "01.02.2024"]),
        (json!({"format": "%I:%M:%S %p %F"}), ["11:00:00 AM 2024-01-05", "01:00:00 PM 2024-01-05"]),
    ] {
        let mut table = table;
        table["cursor"] = json!("d");
        let [first, second] = dates.map(|date| [json!({"d": date})]);
        assert_eq!(walks(table, &[&first, &second])[1], second, "{dates:?}");
    }
}

#[test]
fn page_is_older_if_all_of_its_rows_are() {
    let options = options(json!({"cursor": "Date", "order": "newest_first"}));
    let (_, after) = walk_at(&options, &Arc::default(), NOW, &[day(5, 1)]);
    let is_older = |rows: &[Value]| {
        let mut walk = IncrementalFilter::new(&options, &after, time(NOW), None);
        walk.begin_page(false);
        for row in rows {
            drop(walk.add(row.to_string().as_bytes()));
        }
        walk.is_page_older()
    };
    assert!(is_older(&[day(4, 1), day(3, 1)]));
    assert!(!is_older(&[day(5, 1), day(4, 1)]));
    assert!(!is_older(&[]));
}

#[test]
fn long_walk_forgets_its_older_rows_and_not_its_position() {
    let options = options(json!({"cursor": "n"}));
    let mut walk = IncrementalFilter::new(&options, &Arc::default(), 0, None);
    walk.limit_rows(10);
    for n in 0..95 {
        assert_eq!(walk.add(json!({"n": n}).to_string().as_bytes()).unwrap(), Decision::Emit);
    }
    assert!(serde_json::to_string(&walk.snapshot().save()).unwrap().len() < 400);
    assert_eq!(walk.finish().since(&options).unwrap().text(), "94");
}

#[test]
fn options_that_exclude_each_other_are_refused() {
    let check = |table: Value| {
        let options: Incremental = serde_json::from_value(table).unwrap();
        options.check().map_err(|error| error.to_string()).unwrap_err()
    };
    assert!(check(json!({"cursor": "t", "step": "1d"})).contains("`incremental.step`: requires `start`"));
    assert!(check(json!({"cursor": "t", "step": "1d", "start": "x"})).contains("point in time"));
    assert!(check(json!({"cursor": "t", "step": "0s", "start": 0})).contains("greater than 0"));
    assert!(check(json!({"cursor": "t", "lag": 3, "hold": "1d"})).contains("`incremental.lag`"));
}

/// What a simple reference emits: it remembers every row of all walks, and the newest value.
#[derive(Default)]
struct Reference {
    newest: Option<i64>,
    states: HashMap<u8, u8>,
    values: HashMap<u8, i64>,
}

impl Reference {
    fn walk(&mut self, rows: &[(i64, u8, u8)], lag: i64) -> Vec<(i64, u8, u8)> {
        let bound = self.newest.map(|newest| newest - lag);
        let mut emitted = Vec::new();
        for &(at, id, content) in rows {
            if bound.is_some_and(|bound| at < bound) {
                continue;
            }
            let is_known = self.values.get(&id).is_some_and(|at| bound.is_none_or(|bound| *at >= bound));
            if !is_known || self.states.get(&id) != Some(&content) {
                emitted.push((at, id, content));
            }
            self.states.insert(id, content);
            self.values.entry(id).and_modify(|known| *known = (*known).max(at)).or_insert(at);
            self.newest = self.newest.max(Some(at));
        }
        emitted
    }
}

fn row((at, id, content): (i64, u8, u8)) -> String {
    json!({"at": at, "id": id, "content": content}).to_string()
}

proptest! {
    /// Random answers in any order, with pages, lag and a kill in every walk: what is emitted is what
    /// the reference emits, and a kill repeats nothing that had been delivered.
    #[test]
    fn random_walks_with_kills_emit_what_the_reference_does(
        walks in prop::collection::vec(prop::collection::vec((0_i64..12, 0_u8..3), 0..12), 1..5),
        lag in 0_i64..4,
        kills in prop::collection::vec(0_usize..12, 5),
    ) {
        let options = options(json!({"cursor": "at", "key": "id", "lag": lag}));
        let mut reference = Reference::default();
        let mut before = Arc::new(Groups::default());
        for (walk, kill) in walks.iter().zip(kills) {
            // A row keeps its value; its content may change from answer to answer.
            let mut ids = HashSet::new();
            let rows = walk.iter().map(|&(at, content)| (at, at as u8, content));
            let answer: Vec<_> = rows.filter(|row| ids.insert(row.1)).collect();
            let expected = reference.walk(&answer, lag);
            let mut emitted = Vec::new();
            let mut rows = IncrementalFilter::new(&options, &before, 0, None);
            let mut saved = SavedIncremental::default();
            for row_ in answer.iter().take(kill) {
                if rows.add(row(*row_).as_bytes()).unwrap() == Decision::Emit {
                    emitted.push(*row_);
                    saved = rows.snapshot().save();
                }
            }
            if kill < answer.len() {
                let saved = serde_json::from_value(serde_json::to_value(saved).unwrap()).unwrap();
                rows = IncrementalFilter::new(&options, &before, 0, Some(saved));
                let n_read = emitted.len();
                for row_ in &answer {
                    if rows.add(row(*row_).as_bytes()).unwrap() == Decision::Emit {
                        emitted.push(*row_);
                    }
                }
                let is_repeat = |row: &(i64, u8, u8)| emitted[..n_read].contains(row);
                prop_assert!(!emitted[n_read..].iter().any(is_repeat), "{:?}", emitted);
            }
            prop_assert_eq!(emitted, expected);
            before = Arc::new(rows.finish());
        }
    }
}
