//! A survey of dead letters: which component each is to be given to, and which stay.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use runner_core::{Kind, Pipeline};

use super::file::{LetterFile, Number};
use super::letters::Line;
use crate::exit::say;
use crate::summary::count;

/// How many letters are named that stay.
const MOST_NAMED: usize = 20;

pub(super) struct Survey {
    pub(super) files: Vec<LetterFile>,
    /// How many letters each component is to be given.
    pub(super) components: BTreeMap<String, u64>,
    /// How many letters cannot be replayed.
    pub(super) n_stays: u64,
    /// The first of them: where they stand, and why.
    named: Vec<String>,
    /// Whether a source could not read one of them.
    has_unread: bool,
}

/// What is to become of a letter.
enum Verdict {
    GoesTo(String),
    /// A source could not read it.
    Unread(String),
    Stays(String),
}

impl Survey {
    /// Locks the files and reads all of their letters. Given `into`, they go there.
    pub(super) fn of(paths: &[PathBuf], pipeline: &Pipeline, into: Option<&str>) -> Result<Survey> {
        let kinds = kinds_of(pipeline);
        let mut survey = Survey {
            files: Vec::new(),
            components: BTreeMap::new(),
            n_stays: 0,
            named: Vec::new(),
            has_unread: false,
        };
        let mut n_letters: Number = 0;
        for path in paths {
            let file = LetterFile::open(path, |line| {
                if line.is_blank() {
                    return None;
                }
                let reason = match judge(line, &pipeline.name, &kinds, into) {
                    Verdict::GoesTo(component) => {
                        *survey.components.entry(component).or_default() += 1;
                        n_letters += 1;
                        return Some(n_letters);
                    }
                    Verdict::Unread(reason) => {
                        survey.has_unread = true;
                        reason
                    }
                    Verdict::Stays(reason) => reason,
                };
                survey.n_stays += 1;
                if survey.named.len() < MOST_NAMED {
                    survey.named.push(format!("{}:{}: {reason}", path.display(), line.number));
                }
                None
            });
            survey.files.push(file?);
        }
        Ok(survey)
    }

    pub(super) fn say_what_stays(&self) {
        if self.n_stays == 0 {
            return;
        }
        say(&format!("{} left where they are, since they cannot be replayed:", count(self.n_stays)));
        self.named.iter().for_each(|line| say(&format!("  {line}")));
        let n_more = self.n_stays - self.named.len() as u64;
        if n_more > 0 {
            say(&format!("  and {} more, which `runner dlq list` shows", count(n_more)));
        }
        if self.has_unread {
            say(
                "What a source could not read has no component to go back to: mend its data or its options and \
                 let it read anew; `runner dlq show FILE NUMBER --body` has the bytes.",
            );
        }
    }
}

/// The components of a pipeline.
fn kinds_of(pipeline: &Pipeline) -> BTreeMap<String, Kind> {
    pipeline.monitors().into_iter().map(|it| (it.name, it.kind)).collect()
}

/// An error unless records can be given to a component of that name.
pub(super) fn check_into(into: &str, pipeline: &Pipeline) -> Result<()> {
    let mut kinds = kinds_of(pipeline);
    kinds.retain(|name, kind| *kind != Kind::Source && name != "dead_letter");
    if !kinds.contains_key(into) {
        let known: Vec<String> = kinds.into_keys().collect();
        let file = pipeline.file.display();
        bail!("--into {into}: {file} has no transform or sink of that name; there are: {}", known.join(", "));
    }
    Ok(())
}

fn judge(line: &Line, pipeline: &str, kinds: &BTreeMap<String, Kind>, into: Option<&str>) -> Verdict {
    let letter = match line.letter() {
        Ok(letter) => letter,
        Err(error) => return Verdict::Stays(format!("{error:#}")),
    };
    if letter.pipeline != pipeline {
        return Verdict::Stays(format!(
            "it is of the pipeline `{}`, and this is `{pipeline}`",
            letter.pipeline
        ));
    }
    let component = letter.component;
    match (kinds.get(&component), into) {
        (Some(Kind::Source), _) => {
            Verdict::Unread(format!("the source `{component}` could not read it: {}", letter.reason))
        }
        (_, Some(into)) => Verdict::GoesTo(into.to_owned()),
        (Some(Kind::Transform | Kind::Sink), None) => Verdict::GoesTo(component),
        (None, None) => Verdict::Stays(format!(
            "the pipeline has no component `{component}` any more; `--into` gives its letters to another"
        )),
    }
}
