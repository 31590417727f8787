//! `runner checkpoint`: how far a pipeline has come, and how to make it forget.

use std::io::Write as _;

use anyhow::{Result, bail};
use runner_core::{Kind, Pipeline, checkpoints, reset_checkpoints};

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
        text += &format!("  next entry  {}\n", it.next_entry);
        let position = it.position.as_ref().map_or("at the start".to_owned(), ToString::to_string);
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

const ELSEWHERE: &str = "its sources keep their positions elsewhere: a kafka source in its consumer group, \
                         which `runner run --from-start` takes back";

fn reset(pipeline: &Pipeline, source: Option<&str>) -> Result<()> {
    if let Some(source) = source {
        let monitors = pipeline.monitors();
        let mut sources = monitors.iter().filter(|monitor| monitor.kind == Kind::Source);
        if !sources.any(|monitor| monitor.name == source) {
            bail!("{} has no source `{source}`", pipeline.file.display());
        }
    }
    let forgotten = reset_checkpoints(&pipeline.data_dir, source)?;
    if forgotten.is_empty() {
        say("there was nothing to forget");
    }
    if !pipeline.keeps_checkpoints() {
        say(ELSEWHERE);
    }
    for name in forgotten {
        say(&format!("forgot the position of `{name}`: the next run reads from the start and counts from 0"));
    }
    Ok(())
}
