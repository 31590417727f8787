//! Finds the output of a component that an input names.

use super::graph::Input;
use crate::diagnostics::Diagnostic;
use crate::pipeline::{Component, output_of};

/// The index of the output that an input names. `component` is the one it names, if that could be
/// built.
pub(super) fn output_index(component: Option<&Component>, input: &Input) -> Result<usize, Box<Diagnostic>> {
    let Some(component) = component else { return Ok(0) };
    let (name, outputs) = (&component.name, component.outputs());
    let listed = || {
        let names: Vec<String> = outputs.iter().map(|output| format!("{name}.{output}")).collect();
        names.join(", ")
    };
    let wrong = |message: String, label: &str| Diagnostic::new(message, input.at.clone(), label);
    match output_of(&input.name, name) {
        None if outputs.is_empty() => Ok(0),
        None => {
            let message = format!("`{name}` has several outputs");
            Err(Box::new(wrong(message, "name one of them").note(format!("there are: {}", listed()))))
        }
        Some(_) if outputs.is_empty() => {
            let message = format!("`{name}` has no outputs with names");
            let advice = format!("write `{name}`, which is its only output");
            Err(Box::new(wrong(message, "unknown output").note(advice)))
        }
        Some(output) => outputs.iter().position(|known| known == output).ok_or_else(|| {
            let names: Vec<String> = outputs.iter().map(|output| format!("{name}.{output}")).collect();
            let error = wrong(format!("`{name}` has no output `{output}`"), "unknown output")
                .did_you_mean(&input.written, names.iter().map(String::as_str))
                .quoted();
            Box::new(error.note(format!("there are: {}", listed())))
        }),
    }
}
