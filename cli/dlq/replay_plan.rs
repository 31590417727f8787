//! Decides for each dead letter which component it is sent to, or why it cannot be replayed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use runner_core::{Kind, Pipeline};

use super::locked_file::{LockedFile, Number};
use super::reader::Line;
use crate::exit::print_message;
use crate::summary::count;

/// How many of the dead letters that cannot be replayed are listed.
const MAX_LISTED: usize = 20;

pub(super) struct ReplayPlan {
    pub(super) files: Vec<LockedFile>,
    /// The number of dead letters for each component.
    pub(super) components: BTreeMap<String, u64>,
    /// The number of dead letters that cannot be replayed.
    pub(super) n_kept: u64,
    /// The first of them: file, line and reason.
    listed: Vec<String>,
    /// Whether a source rejected one of them.
    has_source_rejects: bool,
}

enum Decision {
    SendTo(String),
    /// A source rejected it.
    KeepSourceReject(String),
    Keep(String),
}

impl ReplayPlan {
    /// Locks the files and reads all of their dead letters. With `into`, all of them are sent to that component.
    pub(super) fn new(paths: &[PathBuf], pipeline: &Pipeline, into: Option<&str>) -> Result<ReplayPlan> {
        let kinds = kinds_of(pipeline);
        let mut plan = ReplayPlan {
            files: Vec::new(),
            components: BTreeMap::new(),
            n_kept: 0,
            listed: Vec::new(),
            has_source_rejects: false,
        };
        let mut n_letters: Number = 0;
        for path in paths {
            let file = LockedFile::open(path, |line| {
                if line.is_blank() {
                    return None;
                }
                let reason = match decide(line, &pipeline.name, &kinds, into) {
                    Decision::SendTo(component) => {
                        *plan.components.entry(component).or_default() += 1;
                        n_letters += 1;
                        return Some(n_letters);
                    }
                    Decision::KeepSourceReject(reason) => {
                        plan.has_source_rejects = true;
                        reason
                    }
                    Decision::Keep(reason) => reason,
                };
                plan.n_kept += 1;
                if plan.listed.len() < MAX_LISTED {
                    plan.listed.push(format!("{}:{}: {reason}", path.display(), line.number));
                }
                None
            });
            plan.files.push(file?);
        }
        Ok(plan)
    }

    /// Prints which dead letters cannot be replayed, and why.
    pub(super) fn print_kept(&self) {
        if self.n_kept == 0 {
            return;
        }
        print_message(&match self.n_kept {
            1 => "1 dead letter cannot be replayed and stays in the file:".to_owned(),
            n => format!("{} dead letters cannot be replayed and stay in their files:", count(n)),
        });
        self.listed.iter().for_each(|line| print_message(&format!("  {line}")));
        let n_more = self.n_kept - self.listed.len() as u64;
        if n_more > 0 {
            print_message(&format!("  and {} more; `runner dlq list` shows them", count(n_more)));
        }
        if self.has_source_rejects {
            print_message(
                "Records that a source rejected cannot be sent to a component: correct the data or the options of \
                 the source and read the data again. `runner dlq show FILE NUMBER --body` prints the rejected bytes.",
            );
        }
    }
}

/// The components of a pipeline, by name.
fn kinds_of(pipeline: &Pipeline) -> BTreeMap<String, Kind> {
    pipeline.monitors().into_iter().map(|it| (it.name, it.kind)).collect()
}

/// Fails unless `--into` names a transform or sink of the pipeline.
pub(super) fn check_into(into: &str, pipeline: &Pipeline) -> Result<()> {
    let mut kinds = kinds_of(pipeline);
    kinds.retain(|name, kind| *kind != Kind::Source && name != "dead_letter");
    if !kinds.contains_key(into) {
        let names: Vec<String> = kinds.into_keys().collect();
        let file = pipeline.file.display();
        bail!("--into {into}: {file} has no transform or sink of that name; it has: {}", names.join(", "));
    }
    Ok(())
}

fn decide(line: &Line, pipeline: &str, kinds: &BTreeMap<String, Kind>, into: Option<&str>) -> Decision {
    let letter = match line.letter() {
        Ok(letter) => letter,
        Err(error) => return Decision::Keep(format!("{error:#}")),
    };
    if letter.pipeline != pipeline {
        return Decision::Keep(format!("it belongs to pipeline `{}`, not to `{pipeline}`", letter.pipeline));
    }
    let component = letter.component;
    match (kinds.get(&component), into) {
        (Some(Kind::Source), _) => {
            Decision::KeepSourceReject(format!("rejected by source `{component}`: {}", letter.reason))
        }
        (_, Some(into)) => Decision::SendTo(into.to_owned()),
        (Some(Kind::Transform | Kind::Sink), None) => Decision::SendTo(component),
        (None, None) => Decision::Keep(format!(
            "the pipeline no longer has a component `{component}`; `--into` sends the record to another one"
        )),
    }
}
