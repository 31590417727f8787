//! Checks how components are wired, and puts them into the order of the flow.

use std::ops::Range;

use crate::diagnostics::Diagnostic;
use crate::plugin::Kind;

/// A component as the file names it.
#[derive(Debug)]
pub(crate) struct ComponentHeader {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Where its name is.
    pub(crate) at: Range<usize>,
    pub(crate) inputs: Vec<Input>,
}

/// The name of an input: a component, or `split.nya` for one output of it.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) name: String,
    /// The name as it is written, with `${NAME}` for a variable.
    pub(crate) written: String,
    /// Where it is.
    pub(crate) at: Range<usize>,
}

/// A component in the order of the flow.
#[derive(Debug)]
pub(crate) struct OrderedComponent {
    /// Its index in the file.
    pub(crate) index: usize,
    /// The places of its inputs in the order.
    pub(crate) inputs: Vec<usize>,
}

/// The component that an input names, by its index. A name with dots can also be that of a
/// component; the longest name counts.
pub(crate) fn find(input: &str, components: &[ComponentHeader]) -> Option<usize> {
    let ends = std::iter::once(input.len()).chain(input.rmatch_indices('.').map(|(dot, _)| dot));
    ends.map(|end| &input[..end]).find_map(|name| components.iter().position(|other| other.name == name))
}

/// For each component, whether records before it also reach others without passing through it.
pub(crate) fn branched(order: &[OrderedComponent]) -> Vec<bool> {
    let is_branched = |place: usize| {
        let mut is_before = vec![false; order.len()];
        for at in (0..=place).rev() {
            if at == place || is_before[at] {
                order[at].inputs.iter().for_each(|&input| is_before[input] = true);
            }
        }
        let mut others = (0..order.len()).filter(|&other| other != place && !is_before[other]);
        others.any(|other| order[other].inputs.iter().any(|&input| is_before[input]))
    };
    (0..order.len()).map(is_branched).collect()
}

/// Puts the components into the order of the flow, or returns all that is wrong with the wiring.
pub(crate) fn order(components: &[ComponentHeader]) -> Result<Vec<OrderedComponent>, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    for kind in [Kind::Source, Kind::Sink] {
        if !components.iter().any(|component| component.kind == kind) {
            let section = kind.section();
            errors.push(Diagnostic::of_file(format!(
                "the pipeline has no {kind}: add a table `[{section}.NAME]` with a `type`"
            )));
        }
    }
    for (index, component) in components.iter().enumerate() {
        if let Some(other) = components[..index].iter().find(|other| other.name == component.name) {
            let message = format!("two components are called `{}`", component.name);
            errors.push(
                Diagnostic::new(message, component.at.clone(), "names are unique in a file")
                    .context(other.at.clone(), "the other one"),
            );
        }
        check_inputs((index, component), components, &mut errors);
    }
    // A wrong input may be meant for a component that then seems unused.
    if errors.is_empty() {
        errors.extend((0..components.len()).filter_map(|index| unused(index, components)));
    }
    let order = sort(components, &mut errors);
    if errors.is_empty() { Ok(order) } else { Err(errors) }
}

fn check_inputs(
    (own, component): (usize, &ComponentHeader),
    components: &[ComponentHeader],
    errors: &mut Vec<Diagnostic>,
) {
    for (index, Input { name, written, at }) in component.inputs.iter().enumerate() {
        if component.inputs[..index].iter().any(|other| other.name == *name) {
            errors.push(Diagnostic::new(format!("`{written}` is named twice"), at.clone(), "remove it"));
        }
        let found = find(name, components);
        if found == Some(own) {
            let message = format!("{} `{name}` is its own input", component.kind);
            errors.push(Diagnostic::new(message, at.clone(), "a cycle of one"));
        } else if found.is_none() {
            let known: Vec<&str> = components
                .iter()
                .map(|other| &*other.name)
                .filter(|other| *other != component.name)
                .collect();
            let message = format!("no component is called `{written}`");
            // The name of a component does not contain its section.
            let short = Kind::ALL
                .into_iter()
                .find_map(|kind| written.strip_prefix(kind.section())?.strip_prefix('.'));
            let error = Diagnostic::new(message, at.clone(), "unknown input")
                .did_you_mean(short.unwrap_or(written), known.iter().copied())
                .quoted();
            errors.push(match known[..] {
                [] => error.note("there is no other component in this file"),
                _ => error.note(format!("there are: {}", known.join(", "))),
            });
        }
    }
}

/// The error of a component that no other component takes its input from.
fn unused(index: usize, components: &[ComponentHeader]) -> Option<Diagnostic> {
    let ComponentHeader { name, kind, at, .. } = &components[index];
    let mut inputs = components.iter().flat_map(|other| &other.inputs);
    let is_input = inputs.any(|input| find(&input.name, components) == Some(index));
    if *kind == Kind::Sink || is_input {
        return None;
    }
    let message = format!("nothing takes its input from {kind} `{name}`");
    let error = Diagnostic::new(message, at.clone(), "its records would go nowhere");
    Some(error.note(format!("add `inputs = [\"{name}\"]` to a transform or sink, or remove it")))
}

/// Puts every component after its inputs. A cycle is an error, and is cut to find all of them.
fn sort(components: &[ComponentHeader], errors: &mut Vec<Diagnostic>) -> Vec<OrderedComponent> {
    let mut inputs: Vec<Vec<usize>> = components
        .iter()
        .enumerate()
        .map(|(index, component)| {
            let named = component.inputs.iter().filter_map(|input| find(&input.name, components));
            named.filter(|&input| input != index).collect()
        })
        .collect();
    let mut order: Vec<OrderedComponent> = Vec::new();
    while order.len() < components.len() {
        let place = |index: usize| order.iter().position(|placed| placed.index == index);
        let is_left = |index: &usize| place(*index).is_none();
        let mut left = (0..components.len()).filter(is_left);
        let ready = left.find_map(|index| {
            let places: Option<Vec<usize>> = inputs[index].iter().map(|&input| place(input)).collect();
            places.map(|inputs| OrderedComponent { index, inputs })
        });
        if let Some(placed) = ready {
            order.push(placed);
        } else {
            let cycle = cycle_among(&inputs, is_left);
            errors.push(shown(&cycle, components));
            let (first, second) = (cycle[0], cycle[1 % cycle.len()]);
            inputs[first].retain(|&input| input != second);
        }
    }
    order
}

/// Every component that is left has an input that is left: following the inputs leads into a cycle.
fn cycle_among(inputs: &[Vec<usize>], is_left: impl Fn(&usize) -> bool) -> Vec<usize> {
    let mut path: Vec<usize> = Vec::new();
    let mut at = (0..inputs.len()).find(&is_left).unwrap_or_default();
    while !path.contains(&at) {
        path.push(at);
        at = inputs[at].iter().copied().find(&is_left).unwrap_or_default();
    }
    path.split_off(path.iter().position(|&index| index == at).unwrap_or_default())
}

fn shown(cycle: &[usize], components: &[ComponentHeader]) -> Diagnostic {
    let mut names: Vec<&str> = cycle.iter().rev().map(|&index| &*components[index].name).collect();
    names.push(names[0]);
    let message = format!("the components form a cycle: {}", names.join(" -> "));
    Diagnostic::new(message, components[cycle[0]].at.clone(), "part of the cycle")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_branches(place: usize, inputs: &[&[usize]]) -> bool {
        let placed =
            |(index, inputs): (usize, &&[usize])| OrderedComponent { index, inputs: inputs.to_vec() };
        branched(&inputs.iter().enumerate().map(placed).collect::<Vec<_>>())[place]
    }

    #[test]
    fn component_that_joins_all_branches_is_not_in_a_branch() {
        // in -> route -> two transforms -> limit -> sink
        assert!(!has_branches(4, &[&[], &[0], &[1], &[1], &[2, 3], &[4]]));
        // in -> limit -> two sinks
        assert!(!has_branches(1, &[&[], &[0], &[1], &[1]]));
        // A second source with its own sink.
        assert!(!has_branches(2, &[&[], &[], &[0], &[2], &[1]]));
    }

    #[test]
    fn component_that_records_bypass_is_in_a_branch() {
        // in -> limit -> sink, in -> sink
        assert!(has_branches(1, &[&[], &[0], &[1], &[0]]));
        // in -> route -> two transforms -> limit -> sink, and one of them -> sink
        assert!(has_branches(4, &[&[], &[0], &[1], &[1], &[2, 3], &[4], &[3]]));
        // The sink behind it also reads the source.
        assert!(has_branches(1, &[&[], &[0], &[0, 1]]));
    }
}
