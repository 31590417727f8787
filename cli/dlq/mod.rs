//! `runner dlq`: what components have rejected, and how to feed it back.

mod book;
mod feed;
mod file;
mod indent;
mod letters;
mod list;
mod replay;
mod show;
mod survey;

use crate::arguments::{Common, DlqAction, DlqArguments};
use crate::exit::Exit;

pub(crate) fn dlq(arguments: &DlqArguments, common: &Common) -> Exit {
    match &arguments.action {
        DlqAction::List(arguments) => list::list(arguments),
        DlqAction::Show(arguments) => show::show(arguments),
        DlqAction::Replay(arguments) => replay::replay(arguments, common),
    }
}
