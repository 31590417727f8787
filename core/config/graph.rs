//! Checks how components are wired, and puts them into the order of the flow.

use std::ops::Range;

use super::diagnostic::Diagnostic;
use super::similar::similar;
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
    /// Whether these are all of them: some may have been slips.
    pub(crate) has_all_inputs: bool,
}

/// A component in the order of the flow.
#[derive(Debug)]
pub(crate) struct Placed {
    /// Its index in the file.
    pub(crate) index: usize,
    /// The places of its inputs in the order, as far as they are known.
    pub(crate) inputs: Vec<usize>,
    /// Whether these are all of them.
    pub(crate) has_all_inputs: bool,
}

/// Puts the components into the order of the flow, and finds all that is wrong with the wiring.
/// `is_whole` says whether these are all the components of the file.
pub(crate) fn order(components: &[Named], is_whole: bool) -> (Vec<Placed>, Vec<Diagnostic>) {
    let mut slips = Vec::new();
    for kind in [Kind::Source, Kind::Sink] {
        if is_whole && !components.iter().any(|component| component.kind == kind) {
            let section = kind.section();
            slips.push(Diagnostic::of_file(format!(
                "the pipeline has no {kind}: add a table `[{section}.NAME]` with a `type`"
            )));
        }
    }
    let mut misspelt = Vec::new();
    for (index, component) in components.iter().enumerate() {
        if let Some(other) = components[..index].iter().find(|other| other.name == component.name) {
            let message = format!("two components are called `{}`", component.name);
            slips.push(
                Diagnostic::new(message, component.at.clone(), "names are unique in a file")
                    .context(other.at.clone(), "the other one"),
            );
        }
        check_inputs(component, components, is_whole, &mut misspelt, &mut slips);
    }
    if is_whole && components.iter().all(|component| component.has_all_inputs) {
        slips.extend(components.iter().filter_map(|component| unused(component, components, &misspelt)));
    }
    let order = sort(components, &mut slips);
    (order, slips)
}

fn check_inputs<'a>(
    component: &Named,
    components: &'a [Named],
    is_whole: bool,
    misspelt: &mut Vec<&'a str>,
    slips: &mut Vec<Diagnostic>,
) {
    for (index, (input, at)) in component.inputs.iter().enumerate() {
        if component.inputs[..index].iter().any(|(other, _)| other == input) {
            slips.push(Diagnostic::new(format!("`{input}` is named twice"), at.clone(), "remove it"));
        }
        if *input == component.name {
            let message = format!("{} `{input}` is its own input", component.kind);
            slips.push(Diagnostic::new(message, at.clone(), "a cycle of one"));
        } else if is_whole && !components.iter().any(|other| other.name == *input) {
            let known: Vec<&str> =
                components.iter().map(|other| &*other.name).filter(|name| *name != component.name).collect();
            misspelt.extend(similar(input, known.iter().copied()));
            let slip =
                Diagnostic::new(format!("no component is called `{input}`"), at.clone(), "unknown input")
                    .did_you_mean(input, known.iter().copied())
                    .quoted();
            slips.push(match known[..] {
                [] => slip.note("there is no other component in this file"),
                _ => slip.note(format!("there are: {}", known.join(", "))),
            });
        }
    }
}

/// A component whose records would go nowhere; an input that is close to its name will have been meant for it.
fn unused(component: &Named, components: &[Named], misspelt: &[&str]) -> Option<Diagnostic> {
    let Named { name, kind, at, .. } = component;
    let is_input = components.iter().any(|other| other.inputs.iter().any(|(input, _)| input == name));
    if *kind == Kind::Sink || is_input || misspelt.contains(&&**name) {
        return None;
    }
    let message = format!("nothing takes its input from {kind} `{name}`");
    let slip = Diagnostic::new(message, at.clone(), "its records would go nowhere");
    Some(slip.note(format!("add `inputs = [\"{name}\"]` to a transform or sink, or remove it")))
}

/// Puts every component behind its inputs; a cycle is a slip, and is cut.
fn sort(components: &[Named], slips: &mut Vec<Diagnostic>) -> Vec<Placed> {
    let find = |name: &str| components.iter().position(|other| other.name == name);
    let mut inputs: Vec<Vec<usize>> = components
        .iter()
        .enumerate()
        .map(|(index, component)| {
            let named = component.inputs.iter().filter_map(|(input, _)| find(input));
            named.filter(|&input| input != index).collect()
        })
        .collect();
    let mut order: Vec<Placed> = Vec::new();
    while order.len() < components.len() {
        let place = |index: usize| order.iter().position(|placed| placed.index == index);
        let is_left = |index: &usize| place(*index).is_none();
        let mut left = (0..components.len()).filter(is_left);
        let ready = left.find_map(|index| {
            let places: Option<Vec<usize>> = inputs[index].iter().map(|&input| place(input)).collect();
            places.map(|places| (index, places))
        });
        if let Some((index, inputs)) = ready {
            let Named { inputs: named, has_all_inputs, .. } = &components[index];
            let has_all_inputs = *has_all_inputs && inputs.len() == named.len();
            order.push(Placed { index, inputs, has_all_inputs });
        } else {
            let cycle = cycle_among(&inputs, is_left);
            slips.push(shown(&cycle, components));
            let (first, second) = (cycle[0], cycle[1 % cycle.len()]);
            inputs[first].retain(|&input| input != second);
        }
    }
    order
}

/// Whoever is left waits for somebody who is left: following the inputs leads into a cycle.
fn cycle_among(inputs: &[Vec<usize>], is_left: impl Fn(&usize) -> bool) -> Vec<usize> {
    let mut path: Vec<usize> = Vec::new();
    let mut at = (0..inputs.len()).find(&is_left).unwrap_or_default();
    while !path.contains(&at) {
        path.push(at);
        at = inputs[at].iter().copied().find(&is_left).unwrap_or_default();
    }
    path.split_off(path.iter().position(|&index| index == at).unwrap_or_default())
}

fn shown(cycle: &[usize], components: &[Named]) -> Diagnostic {
    let mut names: Vec<&str> = cycle.iter().rev().map(|&index| &*components[index].name).collect();
    names.push(names[0]);
    let message = format!("the components form a cycle: {}", names.join(" -> "));
    Diagnostic::new(message, components[cycle[0]].at.clone(), "part of the cycle")
}
