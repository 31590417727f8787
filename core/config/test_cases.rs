//! Checks the tests of a pipeline file against its components.

use std::ops::Range;

use super::graph::{ComponentHeader, Input, find};
use super::option_spans::OptionSpans;
use super::outputs::output_index;
use crate::diagnostics::Diagnostic;
use crate::pipeline::{Component, output_of};
use crate::plugin::{Built, Kind};
use crate::test_case::{TestCase, TestInput, TestOutput};

/// The tests of a file, and where they are.
pub(crate) struct TestCases<'a> {
    pub(crate) tests: &'a [TestCase],
    pub(crate) spans: &'a OptionSpans,
}

impl TestCases<'_> {
    /// What is wrong with the tests, as far as the names of the components show it.
    pub(crate) fn check(&self, named: &[ComponentHeader]) -> Vec<Diagnostic> {
        let mut errors = Vec::new();
        for (index, test) in self.tests.iter().enumerate() {
            if self.tests[..index].iter().any(|other| other.name == test.name) {
                let message = format!("two tests are called `{}`", test.name);
                errors.push(Diagnostic::new(message, self.find(index, "name"), "names are unique in a file"));
            }
            for (number, input) in test.inputs.iter().enumerate() {
                let at = |option: &str| self.find(index, &format!("inputs.{number}.{option}"));
                errors.extend(check_input(input, named, at));
            }
            for (number, output) in test.outputs.iter().enumerate() {
                let at = |option: &str| self.find(index, &format!("outputs.{number}.{option}"));
                errors.extend(check_output(output, named, at));
            }
        }
        errors
    }

    /// Whether the outputs that the tests name exist, and whether the sources can read the files that the tests
    /// give to them.
    pub(crate) fn check_built(&self, components: &mut [Component]) -> Vec<Diagnostic> {
        let mut errors = Vec::new();
        for (index, test) in self.tests.iter().enumerate() {
            let inputs =
                test.inputs.iter().zip(0..).map(|(it, number)| (&it.at, format!("inputs.{number}.at")));
            let outputs =
                test.outputs.iter().zip(0..).map(|(it, number)| (&it.at, format!("outputs.{number}.at")));
            for (name, option) in inputs.chain(outputs) {
                let component = components.iter().filter(|it| output_of(name, &it.name).is_some());
                if components.iter().all(|it| it.name != *name)
                    && let Some(component) = component.max_by_key(|it| it.name.len())
                {
                    let at = self.find(index, &option);
                    let input = Input { name: name.clone(), written: name.clone(), at };
                    errors.extend(output_index(Some(component), &input).err().map(|error| *error));
                }
            }
            for (number, input) in test.inputs.iter().enumerate() {
                let Some(option) = input.given().into_iter().find(|it| matches!(*it, "csv" | "answer"))
                else {
                    continue;
                };
                let component = components.iter_mut().find(|component| component.name == input.at);
                let Some(component) = component else { continue };
                let readable = match &mut component.built {
                    Built::Source(source) => source.fixture().map(|fixture| fixture.option()),
                    _ => None,
                };
                if readable != Some(option) {
                    let message = format!("`{}` ({}) does not read `{option}`", input.at, component.plugin);
                    let label = match readable {
                        Some(other) => format!("use `{other}`, `records` or `file`"),
                        None => "use `records` or `file`".to_owned(),
                    };
                    let at = self.find(index, &format!("inputs.{number}.{option}"));
                    errors.push(Diagnostic::new(message, at, label));
                }
            }
        }
        errors
    }

    fn find(&self, test: usize, option: &str) -> Range<usize> {
        self.spans.find_or_table(&format!("tests.{test}.{option}")).unwrap_or(0..0)
    }
}

fn check_input(
    input: &TestInput,
    named: &[ComponentHeader],
    at: impl Fn(&str) -> Range<usize>,
) -> Option<Diagnostic> {
    if let Some(error) = check_name(&input.at, named, at("at"), Kind::Sink, "a source or a transform") {
        return Some(error);
    }
    let of_kafka = input.first_of_kafka().filter(|_| input.records.is_none() && input.file.is_none());
    if let Some(option) = of_kafka {
        let message = format!("`{option}` belongs to `records` or `file`");
        return Some(Diagnostic::new(message, at(option), "remove it"));
    }
    if let Some(time) = input.timestamp.as_ref().filter(|_| input.milliseconds().is_none()) {
        let message = format!("`{time}` is not a time in UTC");
        return Some(Diagnostic::new(message, at("timestamp"), "write it as in `2024-01-31T09:30:00Z`"));
    }
    match input.given()[..] {
        [_] if input.element.is_empty() || input.answer.is_some() => None,
        [_] => Some(Diagnostic::new("`element` belongs to `answer`", at("element"), "remove it")),
        [] => Some(Diagnostic::new(
            format!("the input at `{}` gives no records", input.at),
            at("at"),
            "add one of: records, file, csv, answer",
        )),
        [first, second, ..] => Some(Diagnostic::new(
            format!("the input at `{}` gives both `{first}` and `{second}`", input.at),
            at(second),
            "use one of them",
        )),
    }
}

fn check_output(
    output: &TestOutput,
    named: &[ComponentHeader],
    at: impl Fn(&str) -> Range<usize>,
) -> Option<Diagnostic> {
    if let Some(error) = check_name(&output.at, named, at("at"), Kind::Source, "a transform or a sink") {
        return Some(error);
    }
    if output.records.is_some() && output.file.is_some() {
        let message = format!("the output at `{}` has both `records` and `file`", output.at);
        return Some(Diagnostic::new(message, at("file"), "use one of them"));
    }
    let checks_something = output.records.is_some()
        || output.file.is_some()
        || output.count.is_some()
        || output.rejected.is_some();
    (!checks_something).then(|| {
        let message = format!("the output at `{}` checks nothing", output.at);
        Diagnostic::new(message, at("at"), "add one of: records, file, count, rejected")
    })
}

/// The error of a name that is not the name of a component that can stand here.
fn check_name(
    name: &str,
    named: &[ComponentHeader],
    at: Range<usize>,
    wrong: Kind,
    wanted: &str,
) -> Option<Diagnostic> {
    let known = || named.iter().filter(|it| it.kind != wrong).map(|it| it.name.as_str());
    // An output of a component, as in `split.nya`, is checked once that is built.
    match find(name, named).map(|index| &named[index]) {
        Some(found) if found.kind == wrong => {
            let message = format!("`{name}` is a {wrong}");
            Some(Diagnostic::new(message, at, format!("name {wanted}")))
        }
        Some(_) => None,
        None => {
            let error =
                Diagnostic::new(format!("no component is called `{name}`"), at, format!("name {wanted}"));
            let error = error.did_you_mean(name, known()).quoted();
            Some(error.note(format!("there are: {}", known().collect::<Vec<_>>().join(", "))))
        }
    }
}
