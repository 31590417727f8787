//! Pipeline files: read, or refused with each slip where it stands.

use crate::scene::Scene;

/// Reads any bytes as a pipeline file.
pub fn pipeline_file(data: &[u8]) {
    let scene = Scene::new();
    let Err(slips) = scene.load(data) else { return };
    assert!(!slips.all.is_empty(), "a refusal without a reason");
    for slip in &slips.all {
        assert!(!slip.message.is_empty());
        if let Some(span) = &slip.span {
            assert!(span.start <= span.end && span.end <= data.len(), "{span:?} of {}", data.len());
        }
    }
    let (plain, styled) = (slips.render(false), slips.render(true));
    assert!(plain.contains("error") && styled.len() >= plain.len());
}
