//! `runner validate`: everything that can be checked without a connection.

use crate::arguments::{Common, ValidateArguments};
use crate::exit::{Exit, say};
use crate::file;

pub(crate) fn validate(arguments: &ValidateArguments, common: &Common) -> Exit {
    let mut worst = Exit::Done;
    for path in &arguments.files {
        match file::read(path, None, common) {
            Ok(pipeline) => {
                let flow: Vec<String> = pipeline.monitors().into_iter().map(|it| it.name).collect();
                say(&format!("{}: ok, pipeline `{}` of {}", path.display(), pipeline.name, flow.join(", ")));
            }
            Err(exit) => worst = worst.max(exit),
        }
    }
    worst
}
