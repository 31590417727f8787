//! `runner validate`: checks pipeline files without connecting to anything.

use indicatif::MultiProgress;

use crate::arguments::{Common, ValidateArguments};
use crate::exit::{Exit, print_message};
use crate::{logging, pipeline_file};

pub(crate) fn validate(arguments: &ValidateArguments, common: &Common) -> Exit {
    // For the warnings of plugins.
    if let Err(error) = logging::start_at("warn", common, &MultiProgress::new()) {
        return Exit::usage_error(&error);
    }
    let mut worst = Exit::Done;
    let mut valid = Vec::new();
    for path in &arguments.files {
        match pipeline_file::load(path, None, common) {
            Ok(pipeline) => {
                let names: Vec<String> = pipeline.monitors().into_iter().map(|it| it.name).collect();
                print_message(&format!(
                    "{}: ok, pipeline `{}` with {}",
                    path.display(),
                    pipeline.name,
                    names.join(", ")
                ));
                valid.push(pipeline);
            }
            Err(exit) => worst = worst.max(exit),
        }
    }
    pipeline_file::check_crawlers(&valid).err().map_or(worst, |exit| worst.max(exit))
}
