//! Where sources and the states of transforms resume: what their checkpoints say.

use std::sync::Arc;

use super::control::RunFailure;
use super::entry_allocator::EntryAllocator;
use crate::checkpoint::{Checkpoint, Checkpoints, Folder, checkpoints};
use crate::pipeline::{Component, Pipeline};
use crate::plugin::Built;
use crate::position::Start;
use crate::saved_state::{SavedState, SourceStates};
use crate::source::Replay;

/// Where a source resumes.
pub(super) struct Resume {
    pub(super) entries: EntryAllocator,
    pub(super) start: Start,
}

/// Where each component resumes, if it is a source whose records the engine counts.
pub(super) fn resume(pipeline: &Pipeline, from_start: bool) -> Result<Vec<Option<Resume>>, RunFailure> {
    let failed = |component: &str| {
        let component = component.to_owned();
        move |error: anyhow::Error| RunFailure { component, failure: error.into() }
    };
    let folder = if pipeline.keeps_checkpoints() {
        let state = &pipeline.state;
        let folder = Folder::open(&state.path, pipeline.checkpoints).map_err(failed("data_dir"))?;
        if pipeline.checkpoints == Checkpoints::Saved
            && let Err(error) = state.link_aliases()
        {
            tracing::warn!("another way to the pipeline file may not find {}: {error}", state.path.display());
        }
        Some(Arc::new(folder))
    } else {
        None
    };
    let resumes = pipeline.components.iter().map(|component| {
        let (Built::Source(source), Some(folder)) = (&component.built, &folder) else { return Ok(None) };
        let replay = source.replay();
        if replay == Replay::External {
            return Ok(None);
        }
        let mut fresh = Checkpoint::new(&pipeline.name, &component.name, component.plugin, source.identity());
        fresh.folder = Some(pipeline.state.base());
        let migrate = |saved: Checkpoint| pipeline.state.moved_here(saved).migrated_to(source.as_ref());
        let resumed = EntryAllocator::resume(Arc::clone(folder), fresh, migrate, replay, from_start);
        let (entries, start) = resumed.map_err(failed(&component.name))?;
        if entries.is_new() && !from_start {
            warn_of_others(pipeline, &component.name);
        }
        Ok(Some(Resume { entries, start }))
    });
    resumes.collect()
}

/// Gives the transforms the states that are saved with the positions of the sources before them.
pub(super) fn resume_states(
    components: &[Component],
    resumes: &mut [Option<Resume>],
) -> Result<(), RunFailure> {
    // For each component the transforms with a state that its records reach, itself included.
    let mut reached: Vec<Vec<(String, Arc<dyn SavedState>)>> = vec![Vec::new(); components.len()];
    // Every component comes after its inputs.
    for (index, component) in components.iter().enumerate().rev() {
        if let Built::Transform(transform) = &component.built {
            reached[index].extend(transform.saved_state().map(|state| (component.name.clone(), state)));
        }
        let states = std::mem::take(&mut reached[index]);
        for &input in &component.inputs {
            for (name, state) in &states {
                if reached[input].iter().all(|(known, _)| known != name) {
                    reached[input].push((name.clone(), Arc::clone(state)));
                }
            }
        }
        if let Some(Some(resume)) = resumes.get_mut(index) {
            let resumed = resume.entries.resume_states(SourceStates::new(index, states));
            resumed
                .map_err(|error| RunFailure { component: component.name.clone(), failure: error.into() })?;
        }
    }
    Ok(())
}

/// Names the checkpoints that a source without one may have been meant to continue: those of sources that the file no
/// longer has, and those in other folders.
fn warn_of_others(pipeline: &Pipeline, component: &str) {
    let is_component = |name: &str| pipeline.components.iter().any(|other| other.name == name);
    let unused = checkpoints(&pipeline.state.path).unwrap_or_default().into_iter();
    let unused = unused.filter(|checkpoint| !is_component(&checkpoint.component));
    let unused: Vec<String> = unused
        .map(|checkpoint| format!("`{}` (next entry {})", checkpoint.component, checkpoint.next_entry))
        .collect();
    if !unused.is_empty() {
        tracing::warn!(
            component,
            "no checkpoint of `{component}`, so it is read from the beginning, and its entry numbers start at 0; there are \
             checkpoints of sources that the file does not have: {}. To continue one of them, stop this run, and give the \
             source that name",
            unused.join(", ")
        );
    }
    let others = pipeline.state.elsewhere(component);
    if !others.is_empty() {
        tracing::warn!(
            component,
            "no checkpoint in {}, so `{component}` is read from the beginning, and its entry numbers start at 0; other \
             checkpoints of pipeline `{}` are in {}. To continue from one of them, stop this run, and set `data_dir` \
             or move the files of that folder",
            pipeline.state.path.display(),
            pipeline.name,
            others.join(", ")
        );
    }
}
