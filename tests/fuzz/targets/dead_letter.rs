//! Dead letters: parsed without loss, or refused.

use runner_core::DeadLetter;

/// Parses any bytes as a line of a dead-letter file.
pub fn dead_letter(data: &[u8]) {
    let letter = match DeadLetter::read(data) {
        Ok(letter) => letter,
        Err(error) => return assert!(!format!("{error:#}").is_empty()),
    };
    let line = letter.to_json();
    assert!(!line.contains(&b'\n'), "a letter is one line");
    let again = DeadLetter::read(&line).expect("what was written can be read");
    assert_eq!(again.to_json(), line);
    let (record, same) = (&letter.record, &again.record);
    assert_eq!(record.to_bytes(), same.to_bytes());
    assert_eq!((&record.key, record.timestamp, &record.origin), (&same.key, same.timestamp, &same.origin));
    assert_eq!((&letter.reason, &letter.component), (&again.reason, &again.component));
    assert!(record.headers.iter().eq(same.headers.iter()));
}
