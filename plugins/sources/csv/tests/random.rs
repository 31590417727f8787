//! Random files: the same rows as the csv crate reads, and resuming behind each.

use proptest::prelude::*;

use super::*;

fn text_of_many_kinds() -> impl Strategy<Value = Vec<u8>> {
    let row = prop_oneof![
        6 => "[a-c]{0,2},[0-9]{1,2}",
        1 => "\"[a\r\n,]{0,3}\",[0-9]",
        1 => Just("x".to_owned()), 1 => Just("x,1,2".to_owned()), 1 => Just(String::new()), 1 => Just("\"open".to_owned()),
        1 => Just("\"x\"y,1".to_owned()),
    ];
    let end = prop_oneof![4 => Just("\n"), 2 => Just("\r\n"), 1 => Just("\r")];
    let rows = prop::collection::vec((row, end), 0..30);
    (any::<bool>(), rows, any::<bool>()).prop_map(|(has_mark, rows, is_closed)| {
        let mut text = if has_mark { "\u{feff}s,n\n" } else { "s,n\n" }.to_owned();
        for (row, end) in &rows {
            text.extend([row.as_str(), end]);
        }
        if !is_closed {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        text.into_bytes()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn going_on_behind_any_row_gives_exactly_the_rows_that_remain(
        text in text_of_many_kinds(),
        max_records in 1_usize..7,
    ) {
        let mut scene = Scene::of(text).with("types", json!({ "n": "integer" }));
        scene.max_records = max_records;
        let all = items(&mut scene.open(None).unwrap()).unwrap();
        for (n, (_, behind)) in all.iter().enumerate() {
            let rest = items(&mut scene.open(Some(behind.position())).unwrap()).unwrap();
            prop_assert!(rest.iter().map(|(item, _)| item).eq(all[n + 1..].iter().map(|(item, _)| item)));
        }
    }

    #[test]
    fn rows_are_those_of_the_csv_crate_where_quotes_make_sense(text in text_of_many_kinds()) {
        let scene = Scene::of(&text).with("types", json!("string"));
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(&*text);
        let mut expected: Vec<Item> = Vec::new();
        for row in reader.records() {
            let row = row.unwrap();
            expected.push(match row.len() {
                2 => Ok(json!({ "s": row[0], "n": row[1] }).to_string()),
                _ => Err("another number of cells".into()),
            });
        }
        let rows = scene.read();
        // From the first slip on the crate sees other rows.
        let is_misquoted = |row: &Item| row.as_ref().is_err_and(|reason| reason.contains("quote that"));
        let n_same = rows.iter().position(is_misquoted);
        prop_assert!(n_same.is_some() || rows.len() == expected.len());
        for (row, expected) in rows.into_iter().zip(expected).take(n_same.unwrap_or(usize::MAX)) {
            prop_assert_eq!(row.ok(), expected.ok());
        }
    }
}
