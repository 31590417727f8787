//! Checks how components are wired, and puts them into the order of the flow.

use std::ops::Range;

use super::diagnostic::Diagnostic;
use crate::plugin::Kind;

/// A component as the file names it.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Where its name stands.
    pub(crate) at: Range<usize>,
    /// The names of its inputs, and where they stand.
    pub(crate) inputs: Vec<(String, Range<usize>)>,
}

/// For every component, in the order of the flow, its index in the file and the
/// places of its inputs in this very list.
pub(crate) type Order = Vec<(usize, Vec<usize>)>;

/// Finds all that is wrong with the wiring, else the order of the flow.
pub(crate) fn order(components: &[Named]) -> Result<Order, Vec<Diagnostic>> {
    let mut slips = Vec::new();
    for kind in [Kind::Source, Kind::Sink] {
        if !components.iter().any(|component| component.kind == kind) {
            let section = kind.section();
            slips.push(Diagnostic::of_file(format!(
                "the pipeline has no {kind}: add a table `[{section}.NAME]` with a `type`"
            )));
        }
    }
    for (index, component) in components.iter().enumerate() {
        if let Some(other) = components[..index].iter().find(|other| other.name == component.name) {
            let message = format!("two components are called `{}`", component.name);
            slips.push(
                Diagnostic::new(message, component.at.clone(), "names are unique in a file")
                    .context(other.at.clone(), "the other one"),
            );
        }
        check_inputs(component, components, &mut slips);
        let is_used =
            components.iter().any(|other| other.inputs.iter().any(|(name, _)| *name == component.name));
        if component.kind != Kind::Sink && !is_used {
            let message = format!("nothing takes its input from {} `{}`", component.kind, component.name);
            let example = format!("inputs = [\"{}\"]", component.name);
            slips.push(
                Diagnostic::new(message, component.at.clone(), "its records would go nowhere")
                    .note(format!("add `{example}` to a transform or sink, or remove it")),
            );
        }
    }
    if !slips.is_empty() {
        return Err(slips);
    }
    sort(components)
}

fn check_inputs(component: &Named, components: &[Named], slips: &mut Vec<Diagnostic>) {
    for (index, (input, at)) in component.inputs.iter().enumerate() {
        if component.inputs[..index].iter().any(|(other, _)| other == input) {
            slips.push(Diagnostic::new(format!("`{input}` is named twice"), at.clone(), "remove it"));
        }
        if *input == component.name {
            let message = format!("{} `{input}` is its own input", component.kind);
            slips.push(Diagnostic::new(message, at.clone(), "a cycle of one"));
        } else if !components.iter().any(|other| other.name == *input) {
            let known: Vec<&str> =
                components.iter().map(|other| &*other.name).filter(|name| *name != component.name).collect();
            slips.push(
                Diagnostic::new(format!("no component is called `{input}`"), at.clone(), "unknown input")
                    .did_you_mean(input, known.iter().copied())
                    .quoted()
                    .note(format!("there are: {}", known.join(", "))),
            );
        }
    }
}

fn sort(components: &[Named]) -> Result<Order, Vec<Diagnostic>> {
    let mut order: Order = Vec::new();
    loop {
        let place = |name: &str| order.iter().position(|(index, _)| components[*index].name == name);
        let ready = components.iter().enumerate().find_map(|(index, component)| {
            if order.iter().any(|(placed, _)| *placed == index) {
                return None;
            }
            let inputs: Option<Vec<usize>> = component.inputs.iter().map(|(input, _)| place(input)).collect();
            inputs.map(|inputs| (index, inputs))
        });
        match ready {
            Some(next) => order.push(next),
            None if order.len() == components.len() => return Ok(order),
            None => break,
        }
    }
    // Whoever is left waits for somebody who is left: following the inputs leads into a cycle.
    let is_left = |index: usize| !order.iter().any(|(placed, _)| *placed == index);
    let mut path: Vec<usize> = Vec::new();
    let mut at = (0..components.len()).find(|&index| is_left(index)).unwrap_or_default();
    while !path.contains(&at) {
        path.push(at);
        let waits_for = |input: &str| {
            (0..components.len()).find(|&index| components[index].name == input && is_left(index))
        };
        at = components[at].inputs.iter().find_map(|(input, _)| waits_for(input)).unwrap_or_default();
    }
    let cycle = &path[path.iter().position(|&index| index == at).unwrap_or_default()..];
    let mut names: Vec<&str> = cycle.iter().rev().map(|&index| &*components[index].name).collect();
    names.push(names[0]);
    let message = format!("the components form a cycle: {}", names.join(" -> "));
    Err(vec![Diagnostic::new(message, components[cycle[0]].at.clone(), "part of the cycle")])
}
