//! Pipeline files: loaded, or refused with the position of each error.

use crate::env::TestEnv;

/// Loads any bytes as a pipeline file.
pub fn pipeline_file(data: &[u8]) {
    let env = TestEnv::new();
    let Err(errors) = env.load(data) else { return };
    assert!(!errors.all.is_empty(), "an error list without an error");
    for error in &errors.all {
        assert!(!error.message.is_empty());
        if let Some(span) = &error.span {
            assert!(span.start <= span.end && span.end <= data.len(), "{span:?} of {}", data.len());
        }
    }
    let (plain, styled) = (errors.render(false), errors.render(true));
    assert!(plain.contains("error") && styled.len() >= plain.len());
}
