//! `runner dlq`: lists, shows and replays dead letters.

mod indent_json;
mod list;
mod locked_file;
mod reader;
mod repeats;
mod replay;
mod replay_plan;
mod replay_source;
mod replay_state;
mod show;
mod store;

use crate::arguments::{Common, DlqAction, DlqArguments};
use crate::exit::Exit;

pub(crate) fn dlq(arguments: &DlqArguments, common: &Common) -> Exit {
    match &arguments.action {
        DlqAction::List(arguments) => list::list(arguments, common),
        DlqAction::Show(arguments) => show::show(arguments, common),
        DlqAction::Replay(arguments) => replay::replay(arguments, common),
    }
}
