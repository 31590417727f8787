//! Random files: resuming after each row.

use proptest::prelude::*;

use super::*;

fn any_csv_text() -> impl Strategy<Value = Vec<u8>> {
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
        // If most rows were wider than the header, it would be taken for another line.
        for _ in &rows {
            text += "a,1\n";
        }
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
    fn resuming_after_any_row_returns_exactly_the_remaining_rows(
        text in any_csv_text(),
        max_records in 1_usize..7,
    ) {
        let mut files = TestFiles::of(text).with("types", json!({ "n": "integer" }));
        files.max_records = max_records;
        let all = items(&mut files.open(None).unwrap()).unwrap();
        for (n, (_, after)) in all.iter().enumerate() {
            let rest = items(&mut files.open(Some(after.position())).unwrap()).unwrap();
            prop_assert!(rest.iter().map(|(item, _)| item).eq(all[n + 1..].iter().map(|(item, _)| item)));
        }
    }
}
