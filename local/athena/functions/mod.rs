//! Functions: those of Trino that `DataFusion` lacks, or has with another meaning.

mod dates;
mod json;
mod maths;
mod mysql;
mod scalar;
mod texts;

use datafusion::prelude::SessionContext;

pub(super) use self::maths::{HALF_UP, LIKE_SECOND};

/// Makes every function of ours known; a namesake of `DataFusion`'s gives way.
pub(super) fn register(context: &SessionContext) {
    for function in dates::ALL.iter().chain(json::ALL).chain(maths::ALL).chain(texts::ALL) {
        context.register_udf(function.udf());
    }
}

/// The names of our functions, which SQL may use as they are.
pub(super) fn is_ours(name: &str) -> bool {
    dates::ALL.iter().chain(json::ALL).chain(maths::ALL).chain(texts::ALL).any(|it| it.name == name)
}
