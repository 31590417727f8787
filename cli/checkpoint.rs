//! `runner checkpoint`: how far a pipeline has come, and how to make it forget.

use std::io::Write as _;

use anyhow::{Result, bail};
use runner_core::{Checkpoint, Kind, Pipeline, checkpoints, reset_checkpoints};
use serde_json::Value;

use crate::arguments::{
    CheckpointAction, CheckpointArguments, CheckpointResetArguments, CheckpointShowArguments, Common,
};
use crate::exit::{Exit, say};
use crate::file;

pub(crate) fn checkpoint(arguments: &CheckpointArguments, common: &Common) -> Exit {
    let (path, data_dir) = match &arguments.action {
        CheckpointAction::Show(CheckpointShowArguments { file, data_dir })
        | CheckpointAction::Reset(CheckpointResetArguments { file, data_dir, .. }) => (file, data_dir),
    };
    let pipeline = match file::read(path, data_dir.clone(), common) {
        Ok(pipeline) => pipeline,
        Err(exit) => return exit,
    };
    Exit::after(match &arguments.action {
        CheckpointAction::Show(_) => show(&pipeline),
        CheckpointAction::Reset(reset_arguments) => reset(&pipeline, reset_arguments.source.as_deref()),
    })
}

fn show(pipeline: &Pipeline) -> Result<()> {
    let found = checkpoints(&pipeline.data_dir)?;
    let mut text = String::new();
    for it in &found {
        text += &format!("{} ({}) reads {}\n", it.component, it.plugin, it.identity);
        text += &numbers(it, pipeline);
        let position = it.position.as_ref().map_or("at the start".to_owned(), Value::to_string);
        text += &format!("  position    {position}\n");
    }
    // Whoever closed stdout wants to hear nothing.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    say(&match found.len() {
        0 => format!("no checkpoint of `{}` in {}", pipeline.name, pipeline.data_dir.display()),
        _ => format!("checkpoints of `{}` lie in {}", pipeline.name, pipeline.data_dir.display()),
    });
    if !pipeline.keeps_checkpoints() {
        say(ELSEWHERE);
    }
    Ok(())
}

/// What a checkpoint says about entry numbers.
fn numbers(checkpoint: &Checkpoint, pipeline: &Pipeline) -> String {
    let &Checkpoint { next_entry: first, reserved, .. } = checkpoint;
    let next = pipeline.next_entry(checkpoint);
    let mut text = match next {
        Some(next) => format!("  next entry  {next}\n"),
        None => format!("  next entry  {first}, but {} has no such source\n", pipeline.file.display()),
    };
    // Of a run that did not end in order, or not with all that it had read.
    if reserved > first {
        let given = format!("{first} to {}", reserved - 1);
        text += &match next {
            Some(next) if next >= reserved => format!("  reserved    {given}, which are not given again\n"),
            Some(_) => format!("  reserved    {given}, which go to the same records again\n"),
            None => format!("  reserved    {given}\n"),
        };
    }
    text
}

const ELSEWHERE: &str = "its sources keep their positions elsewhere: a kafka source in its consumer group, \
                         which `runner run --from-start` takes back";

fn reset(pipeline: &Pipeline, source: Option<&str>) -> Result<()> {
    let monitors = pipeline.monitors();
    let is_in_file =
        |name: &str| monitors.iter().any(|monitor| monitor.kind == Kind::Source && monitor.name == name);
    let forgotten = reset_checkpoints(&pipeline.data_dir, source)?;
    if forgotten.is_empty() {
        // A source that has left the file may have left a checkpoint behind.
        if let Some(source) = source.filter(|source| !is_in_file(source)) {
            let (file, folder) = (pipeline.file.display(), pipeline.data_dir.display());
            bail!("{file} has no source `{source}`, and there is no checkpoint of that name in {folder}");
        }
        say("there was nothing to forget");
    }
    if !pipeline.keeps_checkpoints() {
        say(ELSEWHERE);
    }
    for name in forgotten {
        if is_in_file(&name) {
            say(&format!(
                "forgot the position of `{name}`: the next run reads from the start and counts from 0"
            ));
        } else {
            say(&format!(
                "forgot the position of `{name}`, a source that {} does not have",
                pipeline.file.display()
            ));
        }
    }
    Ok(())
}
