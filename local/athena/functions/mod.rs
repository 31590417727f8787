//! Functions: those of Trino that `DataFusion` lacks, or has with another meaning.

mod arrays;
mod casts;
mod dates;
mod forgiving;
mod json;
mod maths;
mod mysql;
mod overflow;
mod scalar;
mod strings;
mod texts;

use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;

pub(super) use self::arrays::{HAS_NULL, ORDINALS, PLACE, SUBSCRIPT, TIMES};
pub(super) use self::casts::{NARROW, TO_TEXT, WIDE};
use self::forgiving::Forgiving;
pub(super) use self::forgiving::TRY;
pub(super) use self::maths::{HALF_UP, LIKE_SECOND};
pub(super) use self::overflow::Checked;
use self::scalar::Function;
pub(super) use self::strings::SUBSTR;
pub(super) use self::texts::{LIKE_PATTERN, TRUTH};

fn all() -> impl Iterator<Item = &'static Function> {
    [arrays::ALL, casts::ALL, dates::ALL, json::ALL, maths::ALL, strings::ALL, texts::ALL]
        .into_iter()
        .flatten()
}

/// Makes every function of ours known; a namesake of `DataFusion`'s gives way.
pub(super) fn register(context: &SessionContext) {
    for function in all() {
        context.register_udf(function.udf());
        context.register_udf(ScalarUDF::new_from_impl(Forgiving::new(function)));
    }
}

/// The names of our functions, which SQL may use as they are.
pub(super) fn is_ours(name: &str) -> bool {
    all().any(|it| it.name == name)
}
