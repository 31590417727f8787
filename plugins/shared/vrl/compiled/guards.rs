//! Functions of VRL with a limit on what they make of their arguments: a small record could ask
//! for any amount of memory in one step, where nothing can interrupt the program.

use vrl::compiler::expression::{Query, Target};
use vrl::path::{OwnedSegment, OwnedTargetPath, OwnedValuePath};
use vrl::prelude::function::closure::Definition;
use vrl::prelude::{
    ArgumentList, Compiled, Context, Example, Expression, ExpressionError, Function, FunctionCompileContext,
    FunctionExpression, ObjectMap, Parameter, Resolved, TypeDef, TypeState, Value, VrlValueConvert as _,
};

/// The largest result, in bytes.
const MAX_BYTES: usize = 64 << 20;
/// The largest sum of the indices of a path: VRL fills arrays with nulls up to an index.
const MAX_INDEX: usize = 100_000;
/// The longest text that a function puts between, or in the place of, parts of a text.
const MAX_INSERTED: usize = 64;
/// How many digits `format_number` may write after the decimal point.
const MAX_SCALE: i64 = 99;
/// How many fields and indices a path may have.
const MAX_PATH: usize = 100;

/// A function of VRL that is called with a limit.
#[derive(Debug)]
struct Guarded {
    inner: Box<dyn Function>,
    guard: Guard,
}

#[derive(Clone, Copy, Debug)]
enum Guard {
    Flatten,
    FormatNumber,
    /// The function inserts a text again and again: the one of this argument.
    Inserts(&'static [&'static str]),
    Join,
    Replace,
    Set,
    Unnest,
}

/// The same function, with a limit if it needs one.
pub(super) fn guarded(inner: Box<dyn Function>) -> Box<dyn Function> {
    let guard = match inner.identifier() {
        "encode_key_value" => Guard::Inserts(&["key_value_delimiter", "field_delimiter"]),
        "flatten" => Guard::Flatten,
        "format_number" => Guard::FormatNumber,
        "join" => Guard::Join,
        "redact" => Guard::Inserts(&["redactor"]),
        "replace" => Guard::Replace,
        "set" => Guard::Set,
        "unnest" => Guard::Unnest,
        _ => return inner,
    };
    Box::new(Guarded { inner, guard })
}

impl Function for Guarded {
    fn identifier(&self) -> &'static str {
        self.inner.identifier()
    }

    fn usage(&self) -> &'static str {
        self.inner.usage()
    }

    fn category(&self) -> &'static str {
        self.inner.category()
    }

    fn return_kind(&self) -> u16 {
        self.inner.return_kind()
    }

    fn examples(&self) -> &'static [Example] {
        self.inner.examples()
    }

    fn parameters(&self) -> &'static [Parameter] {
        self.inner.parameters()
    }

    fn closure(&self) -> Option<Definition> {
        self.inner.closure()
    }

    fn compile(
        &self,
        state: &TypeState,
        context: &mut FunctionCompileContext,
        arguments: ArgumentList,
    ) -> Compiled {
        let inner = self.inner.compile(state, context, arguments.clone())?;
        let names: &[&'static str] = match self.guard {
            Guard::Flatten => &["value", "separator", "except"],
            Guard::Join => &["value", "separator"],
            Guard::FormatNumber => &["scale"],
            Guard::Inserts(names) => names,
            Guard::Replace => &["value", "pattern", "with", "count"],
            Guard::Set => &["path", "value", "data"],
            Guard::Unnest => &[],
        };
        let query = match self.guard {
            Guard::Unnest => Some(arguments.required_query("path")?),
            _ => None,
        };
        let arguments = names.iter().map(|name| arguments.optional(name)).collect();
        Ok(FunctionExpression::as_expr(&Call { inner, guard: self.guard, arguments, query }))
    }
}

/// A call of a function with a limit.
#[derive(Clone, Debug)]
struct Call {
    /// The call without the limit.
    inner: Box<dyn Expression>,
    guard: Guard,
    arguments: Vec<Option<Box<dyn Expression>>>,
    /// The path of `unnest`.
    query: Option<Query>,
}

impl FunctionExpression for Call {
    fn resolve(&self, context: &mut Context) -> Resolved {
        if let Some(query) = &self.query {
            check_unnest(query, context)?;
            return self.inner.resolve(context);
        }
        let mut values = self.arguments.iter().map(|argument| match argument {
            Some(argument) => argument.resolve(context).map(Some),
            None => Ok(None),
        });
        let mut next = || values.next().transpose().map(Option::flatten);
        match self.guard {
            Guard::Flatten => {
                let (value, separator, except) = (required(next()?)?, next()?, next()?);
                check_flatten(&value, separator.as_ref())?;
                flatten(value, separator, except)
            }
            Guard::FormatNumber => {
                let scale = next()?.map_or(Ok(0), |scale| scale.try_integer())?;
                if scale > MAX_SCALE {
                    return Err(format!("the scale is larger than {MAX_SCALE}").into());
                }
                self.inner.resolve(context)
            }
            Guard::Inserts(names) => {
                for _ in names {
                    next()?.as_ref().map_or(Ok(()), check_inserted)?;
                }
                self.inner.resolve(context)
            }
            Guard::Join => join(required(next()?)?, next()?),
            Guard::Replace => replace(&required(next()?)?, required(next()?)?, &required(next()?)?, next()?),
            Guard::Set => set(required(next()?)?, required(next()?)?, required(next()?)?),
            Guard::Unnest => self.inner.resolve(context),
        }
    }

    fn type_def(&self, state: &TypeState) -> TypeDef {
        self.inner.type_def(state)
    }
}

fn required(value: Option<Value>) -> Resolved {
    value.ok_or_else(|| ExpressionError::from("an argument is missing"))
}

fn check_size(n_bytes: usize) -> Result<(), ExpressionError> {
    if n_bytes > MAX_BYTES {
        return Err(ExpressionError::from("the result would be larger than 64 MiB"));
    }
    Ok(())
}

/// Refuses a long text; that of a redactor is in its option `replacement`.
fn check_inserted(value: &Value) -> Result<(), ExpressionError> {
    let text = value.as_object().and_then(|options| options.get("replacement")).unwrap_or(value);
    if text.to_str_lossy().is_some_and(|text| text.len() > MAX_INSERTED) {
        return Err(format!("a text that is inserted is longer than {MAX_INSERTED} bytes").into());
    }
    Ok(())
}

/// `flatten` writes the names of all objects around a value in front of its own.
fn check_flatten(value: &Value, separator: Option<&Value>) -> Result<(), ExpressionError> {
    fn names(value: &Value, length: usize, separator: usize) -> usize {
        let inner = |name: usize, item: &Value| {
            let length = length.saturating_add(name).saturating_add(separator);
            match item {
                Value::Object(_) | Value::Array(_) => names(item, length, separator),
                _ => length,
            }
        };
        match value {
            Value::Object(fields) => {
                fields.iter().fold(0, |sum, (name, item)| sum.saturating_add(inner(name.len(), item)))
            }
            Value::Array(items) => items.iter().fold(0, |sum, item| sum.saturating_add(inner(8, item))),
            _ => 0,
        }
    }
    let separator = separator.and_then(|it| it.to_str_lossy()).map_or(1, |it| it.len());
    check_size(names(value, 0, separator))
}

fn flatten(value: Value, separator: Option<Value>, except: Option<Value>) -> Resolved {
    fn fields(from: ObjectMap, before: &str, separator: &str, except: &[Value], to: &mut ObjectMap) {
        for (name, value) in from {
            let path = format!("{before}{name}");
            match value {
                Value::Object(inner)
                    if !except.iter().any(|it| it.to_str_lossy().is_some_and(|it| it == *name)) =>
                {
                    fields(inner, &format!("{path}{separator}"), separator, except, to);
                }
                value => drop(to.insert(path.into(), value)),
            }
        }
    }
    fn items(from: Vec<Value>, to: &mut Vec<Value>) {
        for value in from {
            match value {
                Value::Array(inner) => items(inner, to),
                value => to.push(value),
            }
        }
    }
    let separator = separator.map_or(Ok(".".into()), |it| it.try_bytes())?;
    let except = except.map_or(Ok(Vec::new()), |it| it.try_array())?;
    match value {
        Value::Object(from) => {
            let mut to = ObjectMap::new();
            fields(from, "", &String::from_utf8_lossy(&separator), &except, &mut to);
            Ok(Value::Object(to))
        }
        Value::Array(from) => {
            let mut to = Vec::with_capacity(from.len());
            items(from, &mut to);
            Ok(Value::Array(to))
        }
        other => Err(format!("expected array or object, got {}", other.kind_str()).into()),
    }
}

fn join(array: Value, separator: Option<Value>) -> Resolved {
    let array = array.try_array()?;
    let mut texts = Vec::with_capacity(array.len());
    for item in &array {
        texts.push(item.to_str_lossy().ok_or("all array items must be strings")?);
    }
    let separator = match &separator {
        Some(separator) => separator.try_bytes_utf8_lossy()?,
        None => "".into(),
    };
    let n_bytes: usize = texts.iter().map(|text| text.len()).sum();
    check_size(n_bytes.saturating_add(texts.len().saturating_mul(separator.len())))?;
    Ok(texts.join(&separator).into())
}

fn replace(value: &Value, pattern: Value, with: &Value, count: Option<Value>) -> Resolved {
    let text = value.try_bytes_utf8_lossy()?;
    let with = with.try_bytes_utf8_lossy()?;
    let count = count.map_or(Ok(-1), |count| count.try_integer())?;
    let Ok(most) = usize::try_from(if count < 0 { i64::MAX } else { count }) else { return Ok(text.into()) };
    if most == 0 {
        return Ok(text.into());
    }
    let size_with = |n_matches: usize| text.len().saturating_add(n_matches.saturating_mul(with.len()));
    let is_large = size_with(most.min(text.len() + 1)) > MAX_BYTES;
    if let Value::Regex(regex) = &pattern {
        // `$1` in the replacement stands for a part of the text.
        let n_groups = with.matches('$').count();
        if is_large || n_groups > 1 {
            let n_matches = regex.find_iter(&text).take(most).count();
            check_size(size_with(n_matches).saturating_add(n_groups.saturating_mul(text.len())))?;
        }
        let limit = if count < 0 { 0 } else { most };
        return Ok(regex.replacen(&text, limit, with.as_ref()).into());
    }
    let pattern = pattern.try_bytes_utf8_lossy()?;
    if is_large {
        check_size(size_with(text.matches(&*pattern).take(most).count()))?;
    }
    Ok(text.replacen(&*pattern, &with, most).into())
}

fn set(path: Value, mut value: Value, data: Value) -> Resolved {
    let path = OwnedValuePath::try_from(path.try_array()?)?;
    check_path(&path).map_err(ExpressionError::from)?;
    value.insert(&path, data);
    Ok(value)
}

/// Refuses a path that would make large arrays, or nest a value too deeply.
pub(super) fn check_path(path: &OwnedValuePath) -> Result<(), String> {
    let index = |segment: &OwnedSegment| match segment {
        OwnedSegment::Index(index) => index.unsigned_abs(),
        OwnedSegment::Field(_) => 0,
    };
    let sum = path.segments.iter().map(index).fold(0, usize::saturating_add);
    if sum > MAX_INDEX {
        return Err(format!("the indices of this path are larger than {MAX_INDEX}"));
    }
    if path.segments.len() > MAX_PATH {
        return Err(format!("this path has more than {MAX_PATH} parts"));
    }
    Ok(())
}

/// `unnest` copies the record for each element of an array.
fn check_unnest(query: &Query, context: &Context) -> Result<(), ExpressionError> {
    let root = match query.target() {
        Target::External(prefix) => {
            context.target().target_get(&OwnedTargetPath::root(*prefix)).ok().flatten()
        }
        Target::Internal(variable) => context.state().variable(variable.ident()),
        Target::Container(_) | Target::FunctionCall(_) => None,
    };
    let Some(root) = root else { return Ok(()) };
    let Some(array) = root.get(query.path()) else { return Ok(()) };
    let n_elements = array.as_array().map_or(0, <[Value]>::len);
    // The array itself is not copied.
    check_size(n_elements.saturating_mul(memory_of(root) - memory_of(array)))
}

/// About how many bytes a copy of a value takes. Copies share their texts.
fn memory_of(value: &Value) -> usize {
    32 + match value {
        Value::Array(items) => items.iter().map(memory_of).sum(),
        Value::Object(fields) => fields.iter().map(|(name, item)| name.len() + memory_of(item)).sum(),
        _ => 0,
    }
}
