//! `route`: sends records to outputs by conditions.

use std::collections::BTreeMap;

use runner_core::{
    Batch, BuildContext, Error, Flow, OptionError, OptionErrors, Output, Plugin, Record, Result, Transform,
    TransformConfig, async_trait,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::shared::vrl::{Program, ProgramText, on_large_stack};

/// The output for records that match no condition.
const UNMATCHED: &str = "_unmatched";

runner_core::register! {
    Plugin::transform::<RouteConfig>("route").example(
        r#"type = "route"
inputs = ["stocks"]
route = { nya = '.Index == "NYA"', rest = '.Index != "NYA"' }"#,
    )
}

/// Sends records to outputs by conditions.
///
/// The `inputs` of other components name an output: `split.nya` for the output `nya` of the
/// transform `split`, and `split._unmatched` for the records that match no condition. A record goes
/// to every output whose condition is true. If no component reads any of these outputs, the record is
/// filtered. Bodies do not change.
///
/// An error of a condition, or a result that is not a boolean, rejects the record.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RouteConfig {
    /// The outputs: a name for each condition. A condition is a program in VRL that returns true or
    /// false and does not change the record. `.` is the body: a JSON value of any type, or a row; null for a
    /// record without a body (a tombstone in Kafka). `%key` and `%timestamp` are those in Kafka.
    route: BTreeMap<String, String>,
}

impl TransformConfig for RouteConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Transform>> {
        if self.route.is_empty() {
            return Err(OptionError::new("route", "name at least one output, as in `{ nya = '…' }`"));
        }
        let (mut outputs, mut conditions, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for (name, condition) in self.route {
            let option = format!("route.{name}");
            errors.extend(check_name(&option, &name).err());
            let compiled = ProgramText::inline(&option, &condition)
                .and_then(|text| Program::compile_condition(&text, context));
            match compiled {
                Ok(condition) => conditions.push(condition),
                Err(error) => errors.push(error),
            }
            outputs.push(name);
        }
        OptionErrors::none_of(errors)?;
        outputs.push(UNMATCHED.to_owned());
        Ok(Box::new(Route { outputs, conditions, matches: Vec::new() }))
    }
}

fn check_name(option: &str, name: &str) -> Result<()> {
    if name == UNMATCHED {
        let message = "this output always exists, for the records that match no condition";
        return Err(OptionError::new(option, message));
    }
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
        return Err(OptionError::new(option, "an output is named with letters, digits, `_` and `-`"));
    }
    Ok(())
}

struct Route {
    /// One for each condition, and the one for the rest.
    outputs: Vec<String>,
    conditions: Vec<Program>,
    /// The outputs that are read of each record of a batch that is not rejected.
    matches: Vec<Vec<usize>>,
}

#[async_trait]
impl Transform for Route {
    fn filter_reason(&self) -> &'static str {
        "no component reads its output"
    }

    async fn apply(&mut self, mut batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let is_read: Vec<bool> = (0..self.outputs.len()).map(|output| out.is_read(output)).collect();
        let rejects = on_large_stack(|| self.match_all(batch.records(), &is_read));
        if !rejects.is_empty() {
            // Without dead letters only the records before the first bad one are left.
            batch = out.reject(batch, rejects).await?;
        }
        let matches = &self.matches;
        let batches =
            batch.route(self.outputs.len(), |index, outputs| outputs.extend_from_slice(&matches[index]));
        let mut flow = Ok(Flow::Continue(()));
        for (output, batch) in batches.into_iter().enumerate() {
            match flow {
                Ok(Flow::Continue(())) => flow = out.send_to(output, batch).await,
                Ok(Flow::Break(())) | Err(_) => batch.release(),
            }
        }
        flow
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }
}

impl Route {
    /// Finds the outputs of every record that are read; returns the records that are bad.
    fn match_all(&mut self, records: &[Record], is_read: &[bool]) -> Vec<(usize, Error)> {
        self.matches.clear();
        let mut rejects = Vec::new();
        for (index, record) in records.iter().enumerate() {
            match self.outputs_of(record) {
                Ok(mut outputs) => {
                    outputs.retain(|output| is_read[*output]);
                    self.matches.push(outputs);
                }
                Err(reason) => rejects.push((index, reason)),
            }
        }
        rejects
    }

    fn outputs_of(&self, record: &Record) -> Result<Vec<usize>> {
        let mut outputs = Vec::with_capacity(1);
        for (output, condition) in self.conditions.iter().enumerate() {
            if condition.holds(record)? {
                outputs.push(output);
            }
        }
        if outputs.is_empty() {
            outputs.push(self.conditions.len());
        }
        Ok(outputs)
    }
}

#[cfg(test)]
mod tests {
    use runner_core::testing::{apply, conformance, context, record, records};

    use super::*;

    fn build(route: &[(&str, &str)]) -> Result<Box<dyn Transform>> {
        let route = route.iter().map(|&(name, condition)| (name.to_owned(), condition.to_owned()));
        RouteConfig { route: route.collect() }.build(&context())
    }

    #[tokio::test]
    async fn record_goes_to_every_output_that_matches() {
        let mut route = build(&[("large", ".n > 1 ?? false"), ("even", "mod(int!(.n), 2) == 0")]).unwrap();
        assert_eq!(route.outputs(), ["even", "large", "_unmatched"]);
        let bodies = [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":"x"}"#, r#"{"n":3}"#, r#"{"n":0}"#];
        let out = apply(&mut *route, records(bodies)).await.unwrap();
        let sent: Vec<(usize, u64)> =
            out.outputs.iter().copied().zip(out.records.iter().map(|it| it.origin.offset)).collect();
        assert_eq!(sent, [(0, 1), (0, 4), (1, 1), (1, 3), (2, 0)]);
        assert_eq!(out.rejected.len(), 1);
        assert_eq!(out.rejected[0].0.origin.offset, 2);
    }

    #[tokio::test]
    async fn every_record_is_settled() {
        let records = || (0..6).map(|n| record(format!("{{\"n\":{n}}}"), n)).collect();
        let mut route = build(&[("a", ".n != 3"), ("b", ".n > 1 ?? false")]).unwrap();
        conformance::transform_settles_every_record(&mut *route, records()).await;
        conformance::transform_stops_with_its_output(&mut *route, records()).await;
    }

    #[test]
    fn names_and_conditions_are_checked_together() {
        let errors = build(&[("_unmatched", "true"), ("a.b", "1"), ("c", ".x = 1")]).err().unwrap();
        let errors: Vec<String> =
            errors.downcast_ref::<OptionErrors>().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 4, "{errors:?}");
        assert!(build(&[]).is_err());
    }
}
