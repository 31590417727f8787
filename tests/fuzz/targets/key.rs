//! Key templates: accepted, or refused with their position.

use crate::env::TestEnv;

/// Uses any text as an object key.
pub fn key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let env = TestEnv::new();
    let key = serde_json::to_string(text).expect("a string");
    let file = format!(
        "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
         [sinks.lake]\ntype = \"s3\"\ninputs = [\"rows\"]\nbucket = \"bucket\"\nkey = {key}\n"
    );
    let Err(errors) = env.load(&file) else { return };
    let at = file.find("key = ").expect("the key");
    for error in &errors.all {
        let start = error.span.as_ref().map_or(at, |span| span.start);
        assert!(start >= at, "not at the position of the key: {}", errors.render(false));
    }
}
