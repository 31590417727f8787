//! Dead letters in a bucket: a letter about one record does not take the place of one about another.

use runner_core::{DeadLetter, Result};

/// Whether a letter may be written over what is there: only over an earlier letter about the same record, as after
/// a crash, or when it is rejected once more. An error names both.
pub(super) fn may_replace(there: &[u8], letter: &[u8]) -> Result<()> {
    let ours = DeadLetter::read(letter)?;
    let Ok(theirs) = DeadLetter::read(there) else {
        anyhow::bail!("what is there is no dead letter; {ADVICE}");
    };
    let (a, b) = (&theirs.record, &ours.record);
    let is_same = (&theirs.pipeline, &theirs.component) == (&ours.pipeline, &ours.component)
        && (a.origin, a.entry) == (b.origin, b.entry)
        // Without a number two clusters may have topics of one name.
        && (a.entry.is_some() || (&a.key, a.to_bytes()) == (&b.key, b.to_bytes()));
    if is_same {
        return Ok(());
    }
    anyhow::bail!(
        "it holds the letter about {}, and this one is about {}; {ADVICE}",
        name(&theirs),
        name(&ours)
    )
}

const ADVICE: &str = "choose a `key` that tells them apart, such as \
    `letters/{{ key }}/{{ topic }}/{{ partition }}-{{ offset }}.json`, or another folder for each pipeline";

fn name(letter: &DeadLetter) -> String {
    let DeadLetter { pipeline, component, record, .. } = letter;
    let origin = record.origin;
    let entry = record.entry.map(|entry| format!("entry {} of {} from ", entry.number, entry.source));
    format!(
        "{}{origin}, which `{component}` of pipeline `{pipeline}` has rejected",
        entry.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use runner_core::testing::record;
    use runner_core::{EntryNumber, Name};

    use super::*;

    fn letter(change: impl FnOnce(&mut DeadLetter)) -> Vec<u8> {
        let mut record = record("{}", 7);
        record.entry = Some(EntryNumber { number: 7, source: Name::new("p/rows") });
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
    fn a_later_letter_about_the_same_record_takes_the_place_of_the_one_before() {
        let later = letter(|it| (it.reason, it.time) = ("another".into(), "2027-01-01T00:00:00Z".into()));
        may_replace(&letter(|_| {}), &later).unwrap();
    }

    #[test]
    fn a_letter_about_another_record_does_not_and_both_are_named() {
        let other =
            letter(|it| it.record.entry = Some(EntryNumber { number: 7, source: Name::new("p/other") }));
        let error = may_replace(&letter(|_| {}), &other).unwrap_err().to_string();
        for part in ["entry 7 of p/rows from test/0/7", "entry 7 of p/other", "{{ topic }}"] {
            assert!(error.contains(part), "{error}");
        }
        may_replace(&letter(|_| {}), &letter(|it| it.record.origin.offset = 8)).unwrap_err();
        may_replace(&letter(|_| {}), &letter(|it| it.component = "other".into())).unwrap_err();
        may_replace(&letter(|_| {}), &letter(|it| it.pipeline = "q".into())).unwrap_err();
        let said = may_replace(b"something else", &letter(|_| {})).unwrap_err().to_string();
        assert!(said.contains("no dead letter"), "{said}");
        let bare = |body: &str| {
            let body = runner_core::Body::Bytes(body.to_owned().into());
            letter(|it| (it.record.entry, it.record.body) = (None, body))
        };
        may_replace(&bare("a"), &bare("a")).unwrap();
        may_replace(&bare("a"), &bare("b")).unwrap_err();
    }
}
