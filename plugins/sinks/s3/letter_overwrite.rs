//! Dead letters in a bucket: a letter never replaces a letter about another record.

use runner_core::{DeadLetter, Result};

/// Checks that a letter may replace an existing object: only an earlier letter about the same record, which
/// was rejected again, for example after a crash. The error names both records.
pub(super) fn check_replaces(existing: &[u8], letter: &[u8]) -> Result<()> {
    let new = DeadLetter::read(letter)?;
    let Ok(old) = DeadLetter::read(existing) else {
        anyhow::bail!("the existing object is not a dead letter; {ADVICE}");
    };
    let (a, b) = (&old.record, &new.record);
    let has_same_content = || (&a.key, a.to_bytes()) == (&b.key, b.to_bytes());
    let is_same = (&old.pipeline, &old.component) == (&new.pipeline, &new.component)
        && (a.origin, a.parts()) == (b.origin, b.parts())
        && match (&a.entry, &b.entry) {
            (Some(old), Some(new)) => {
                old.names_same_record(new)
                    // The checkpoint was reset, and the same row was read again.
                    || (old.text().to_string() == new.text().to_string()
                        && old.source == new.source
                        && has_same_content())
            }
            // Without an entry number the origin is not unique: two clusters may have topics of the same name.
            (None, None) => has_same_content(),
            _ => false,
        };
    if is_same {
        return Ok(());
    }
    anyhow::bail!("the existing letter is about {}, the new one about {}; {ADVICE}", name(&old), name(&new))
}

const ADVICE: &str = "choose a `key` that is unique, such as \
    `letters/{{ key }}/{{ topic }}/{{ partition }}-{{ offset }}.json`, or another folder for each pipeline";

fn name(letter: &DeadLetter) -> String {
    let DeadLetter { pipeline, component, record, .. } = letter;
    let origin = record.place();
    let entry =
        record.entry.as_ref().map(|entry| format!("entry {} of {} from ", entry.text(), entry.source));
    format!("{}{origin}, rejected by `{component}` of pipeline `{pipeline}`", entry.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use runner_core::testing::record;
    use runner_core::{EntryNumber, Name};

    use super::*;

    fn letter(change: impl FnOnce(&mut DeadLetter)) -> Vec<u8> {
        let mut record = record("{}", 7);
        record.entry = Some(EntryNumber::new(7, Name::new("p/rows")));
        let (pipeline, component) = ("p".to_owned(), "lake".to_owned());
        let mut letter = DeadLetter {
            reason: "a reason".into(),
            pipeline,
            component,
            time: "2026-11-23T16:20:41.077Z".into(),
            record,
        };
        change(&mut letter);
        letter.to_json()
    }

    #[test]
    fn later_letter_about_the_same_record_replaces_the_earlier_one() {
        let later = letter(|it| (it.reason, it.time) = ("another".into(), "2027-01-01T00:00:00Z".into()));
        check_replaces(&letter(|_| {}), &later).unwrap();
    }

    #[test]
    fn letter_about_another_record_is_not_replaced_and_both_are_named() {
        let other = letter(|it| it.record.entry = Some(EntryNumber::new(7, Name::new("p/other"))));
        let error = check_replaces(&letter(|_| {}), &other).unwrap_err().to_string();
        for part in ["entry 7 of p/rows from test/0/7", "entry 7 of p/other", "{{ topic }}"] {
            assert!(error.contains(part), "{error}");
        }
        check_replaces(&letter(|_| {}), &letter(|it| it.record.origin.offset = 8)).unwrap_err();
        check_replaces(&letter(|_| {}), &letter(|it| it.component = "other".into())).unwrap_err();
        let of_state = |incarnation: &str, body: &str| {
            letter(|it| {
                let entry = EntryNumber::new(7, Name::new("p/rows"));
                it.record.entry = Some(entry.of_incarnation(Some(incarnation.parse().unwrap())));
                it.record.body = runner_core::Body::Bytes(body.to_owned().into());
            })
        };
        check_replaces(&of_state("0000000a", "x"), &of_state("0000000b", "x")).unwrap();
        check_replaces(&of_state("0000000a", "x"), &of_state("0000000b", "y")).unwrap_err();
        check_replaces(&letter(|_| {}), &letter(|it| it.pipeline = "q".into())).unwrap_err();
        let error = check_replaces(b"something else", &letter(|_| {})).unwrap_err().to_string();
        assert!(error.contains("not a dead letter"), "{error}");
        let bare = |body: &str| {
            let body = runner_core::Body::Bytes(body.to_owned().into());
            letter(|it| (it.record.entry, it.record.body) = (None, body))
        };
        check_replaces(&bare("a"), &bare("a")).unwrap();
        check_replaces(&bare("a"), &bare("b")).unwrap_err();
    }
}
