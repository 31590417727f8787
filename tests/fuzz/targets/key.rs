//! Key templates: taken, or refused where they stand.

use crate::scene::Scene;

/// Takes any text as the key of objects.
pub fn key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let scene = Scene::new();
    let key = serde_json::to_string(text).expect("a string");
    let file = format!(
        "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
         [sinks.lake]\ntype = \"s3\"\ninputs = [\"rows\"]\nbucket = \"bucket\"\nkey = {key}\n"
    );
    let Err(slips) = scene.load(&file) else { return };
    let at = file.find("key = ").expect("the key");
    for slip in &slips.all {
        let start = slip.span.as_ref().map_or(at, |span| span.start);
        assert!(start >= at, "not where the key stands: {}", slips.render(false));
    }
}
