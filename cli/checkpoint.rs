//! `runner checkpoint`: shows or deletes the checkpoints of a pipeline.

use std::io::Write as _;

use anyhow::{Result, bail};
use runner_core::{Checkpoint, Kind, Pipeline, checkpoints, reset_checkpoints};

use crate::arguments::{
    CheckpointAction, CheckpointArguments, CheckpointResetArguments, CheckpointShowArguments, Common,
};
use crate::exit::{Exit, print_message};
use crate::pipeline_file;

pub(crate) fn checkpoint(arguments: &CheckpointArguments, common: &Common) -> Exit {
    let (path, data_dir) = match &arguments.action {
        CheckpointAction::Show(CheckpointShowArguments { file, data_dir })
        | CheckpointAction::Reset(CheckpointResetArguments { file, data_dir, .. }) => (file, data_dir),
    };
    let pipeline = match pipeline_file::load(path, data_dir.clone(), common) {
        Ok(pipeline) => pipeline,
        Err(exit) => return exit,
    };
    Exit::from_result(match &arguments.action {
        CheckpointAction::Show(_) => show(&pipeline),
        CheckpointAction::Reset(reset_arguments) => reset(&pipeline, reset_arguments.source.as_deref()),
    })
}

fn show(pipeline: &Pipeline) -> Result<()> {
    let found = checkpoints(pipeline.data_dir())?;
    let mut text = String::new();
    for it in &found {
        text += &format!("{} ({}) reads {}\n", it.component, it.plugin, it.identity);
        text += &entry_numbers(it, pipeline);
        let position =
            pipeline.shown_position(it).map_or("start".to_owned(), |position| position.to_string());
        text += &format!("  position    {position}\n");
    }
    // A closed stdout (`| head`) is not an error.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    print_message(&match found.len() {
        0 => format!("no checkpoint of `{}` in {}", pipeline.name, pipeline.data_dir().display()),
        _ => format!("checkpoints of `{}` are stored in {}", pipeline.name, pipeline.data_dir().display()),
    });
    if !pipeline.keeps_checkpoints() {
        print_message(NO_CHECKPOINTS);
    }
    Ok(())
}

/// The lines about the entry numbers of a checkpoint.
fn entry_numbers(checkpoint: &Checkpoint, pipeline: &Pipeline) -> String {
    let &Checkpoint { next_entry: first, reserved, .. } = checkpoint;
    let next = pipeline.next_entry(checkpoint);
    let mut text = match next {
        Some(next) => format!("  next entry  {next}\n"),
        None => format!(
            "  next entry  {first} (not used: {} has no source of this name)\n",
            pipeline.file.display()
        ),
    };
    // The last run crashed, or released records that it had read.
    if reserved > first {
        let range = format!("{first} to {}", reserved - 1);
        text += &match next {
            Some(next) if next >= reserved => format!("  reserved    {range} (will be skipped)\n"),
            Some(_) => format!("  reserved    {range} (will be reused for the same records)\n"),
            None => format!("  reserved    {range}\n"),
        };
    }
    text
}

const NO_CHECKPOINTS: &str = "the sources of this pipeline do not use checkpoints; a kafka source commits offsets to \
                              its consumer group, which `runner run --from-start` resets";

fn reset(pipeline: &Pipeline, source: Option<&str>) -> Result<()> {
    let monitors = pipeline.monitors();
    let is_in_file =
        |name: &str| monitors.iter().any(|monitor| monitor.kind == Kind::Source && monitor.name == name);
    let deleted = reset_checkpoints(pipeline.data_dir(), source)?;
    if deleted.is_empty() {
        // A source that was removed from the file may still have a checkpoint.
        if let Some(source) = source.filter(|source| !is_in_file(source)) {
            let (file, folder) = (pipeline.file.display(), pipeline.data_dir().display());
            bail!("{file} has no source `{source}`, and there is no checkpoint of that name in {folder}");
        }
        print_message("there are no checkpoints to delete");
    }
    if !pipeline.keeps_checkpoints() {
        print_message(NO_CHECKPOINTS);
    }
    for name in deleted {
        if is_in_file(&name) {
            print_message(&format!(
                "deleted the checkpoint of `{name}`: the next run reads from the start and numbers entries from 0"
            ));
        } else {
            print_message(&format!(
                "deleted the checkpoint of `{name}`, which is not a source in {}",
                pipeline.file.display()
            ));
        }
    }
    Ok(())
}
