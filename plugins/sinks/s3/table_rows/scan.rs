//! Reads one body as a row: the names of its columns and the kinds of their values.

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::long_numbers::add_long_numbers;
use crate::shared::json_text::schema_id;

/// Kinds of values, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u16);

impl Kinds {
    pub(super) const NONE: Kinds = Kinds(0);
    const WHOLE: Kinds = Kinds(1);
    const FRACTION: Kinds = Kinds(2);
    const BOOLEAN: Kinds = Kinds(4);
    const TEXT: Kinds = Kinds(8);
    const OBJECT: Kinds = Kinds(16);
    const ARRAY: Kinds = Kinds(32);
    /// Texts that Athena reads as numbers where the column is one of numbers.
    const WHOLE_TEXT: Kinds = Kinds(64);
    const FRACTION_TEXT: Kinds = Kinds(128);
    /// Those of 32 bits are `WHOLE`: the crawler makes an `int` of them.
    const WIDE: Kinds = Kinds(256);
    /// Athena has no type for them.
    const LARGE: Kinds = Kinds(512);
    /// With a fraction and more digits than a double has.
    pub(super) const LONG: Kinds = Kinds(1024);
    const NAMES: [(Kinds, &str); 11] = [
        (Kinds::WHOLE, "whole numbers"),
        (Kinds::WIDE, "whole numbers beyond 32 bits"),
        (Kinds::LARGE, "whole numbers beyond 9223372036854775807"),
        (Kinds::FRACTION, "numbers with a fraction"),
        (Kinds::LONG, "numbers of more than 17 digits"),
        (Kinds::BOOLEAN, "booleans"),
        (Kinds::TEXT, "texts"),
        (Kinds::OBJECT, "objects"),
        (Kinds::ARRAY, "arrays"),
        (Kinds::WHOLE_TEXT, "texts that are whole numbers"),
        (Kinds::FRACTION_TEXT, "texts that are numbers with a fraction"),
    ];
    const TEXTS: u16 = Kinds::TEXT.0 | Kinds::WHOLE_TEXT.0 | Kinds::FRACTION_TEXT.0;

    /// `None` is a number of more than 64 bits.
    fn of_whole(number: Option<i64>) -> Kinds {
        match number.map(i32::try_from) {
            Some(Ok(_)) => Kinds::WHOLE,
            Some(Err(_)) => Kinds::WIDE,
            None => Kinds::LARGE,
        }
    }

    fn of_text(text: &str) -> Kinds {
        let text = text.trim();
        if !text.starts_with(['+', '-', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) {
            Kinds::TEXT
        } else if text.parse::<i64>().is_ok() {
            Kinds::WHOLE_TEXT
        } else if text.parse::<f64>().is_ok() {
            Kinds::FRACTION_TEXT
        } else {
            Kinds::TEXT
        }
    }

    pub(super) fn with(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// What becomes of a column of these kinds.
    pub(super) fn verdict(self) -> Verdict {
        let is_all_in = |kinds: u16| self.0 & !kinds == 0;
        let whole = Kinds::WHOLE.0 | Kinds::WIDE.0 | Kinds::WHOLE_TEXT.0;
        // A column of fractions reads whole numbers in texts as well.
        let fraction = Kinds::FRACTION.0 | Kinds::FRACTION_TEXT.0 | Kinds::WHOLE_TEXT.0;
        if self.has(Kinds::LARGE) || self.has(Kinds::LONG) || self.has_two_widths() {
            Verdict::Unreadable
        } else if self.0.is_power_of_two() || is_all_in(Kinds::TEXTS) {
            Verdict::OneType
        } else if is_all_in(whole) || is_all_in(fraction) {
            Verdict::NumbersInTexts
        } else {
            Verdict::Unreadable
        }
    }

    pub(super) fn are_nested(self) -> bool {
        self.0 & (Kinds::OBJECT.0 | Kinds::ARRAY.0) != 0
    }

    fn has(self, kind: Kinds) -> bool {
        self.0 & kind.0 != 0
    }

    fn has_two_widths(self) -> bool {
        self.has(Kinds::WHOLE) && self.has(Kinds::WIDE)
    }

    pub(super) fn have_numbers_or_booleans(self) -> bool {
        [Kinds::WHOLE, Kinds::WIDE, Kinds::LARGE, Kinds::FRACTION, Kinds::BOOLEAN]
            .iter()
            .any(|kind| self.has(*kind))
    }

    /// What Athena does with a column of these kinds.
    pub(super) fn effect(self) -> &'static str {
        if self.has(Kinds::LARGE) {
            return "Athena has no whole numbers of more than 64 bits: it fails with HIVE_BAD_DATA, or makes numbers of them \
                    that differ after the 16th digit";
        }
        if self.has(Kinds::LONG) {
            return "the crawler makes it a column of doubles, and Athena returns about 16 digits of each; of a text \
                    `cast(… AS decimal(38,18))` reads all of them";
        }
        match self.verdict() {
            Verdict::NumbersInTexts => {
                "Athena reads the texts as numbers if the crawler makes it a column of numbers, but the crawler may make \
                 it one of texts, in which `sum` and `avg` fail"
            }
            _ if self.0 == Kinds::WHOLE.0 | Kinds::WIDE.0 => {
                "the crawler makes it a column of 32 bits (`int`) if it samples none of the larger ones, and Athena then \
                 fails on them with HIVE_BAD_DATA"
            }
            Verdict::OneType | Verdict::Unreadable => {
                "the crawler gives it one type, and Athena fails with HIVE_BAD_DATA on values of another"
            }
        }
    }

    /// How a column of these kinds gets one type.
    pub(super) fn advice(self) -> &'static str {
        let others = [Kinds::LARGE, Kinds::LONG, Kinds::BOOLEAN, Kinds::TEXT, Kinds::OBJECT, Kinds::ARRAY];
        let nested = Kinds::OBJECT.with(Kinds::ARRAY).0;
        if !others.iter().any(|kind| self.has(*kind)) {
            "Make all of them numbers of one type, with the transform `select` (`type = \"float\"`) or with `types` of \
             the `csv` source"
        } else if self.0 & nested == 0 {
            "Make texts of all of them, with the transform `select` (`type = \"string\"`) or with `types` of the `csv` \
             source; or make what does not belong there null (`null_values`)"
        } else {
            "Give it one shape with the transform `remap`, or keep it as a JSON text, as in \
             `.name = encode_json(.name)`, that Athena reads with `json_extract`"
        }
    }
}

/// What becomes of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// The crawler has no choice of types.
    OneType,
    /// Athena reads texts that are numbers as numbers; but the crawler may make the column one of texts.
    NumbersInTexts,
    /// Queries fail if the crawler samples objects of another kind.
    Unreadable,
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Where there are other texts, those that are numbers are texts too.
        let hidden = if self.0 & Kinds::TEXT.0 != 0 { Kinds::TEXTS & !Kinds::TEXT.0 } else { 0 };
        let names = Kinds::NAMES.iter().filter(|(kind, _)| self.0 & !hidden & kind.0 != 0);
        let names: Vec<&str> = names.map(|(_, name)| *name).collect();
        f.write_str(&names.join(" and "))
    }
}

/// The columns of a body that is one JSON object on one line, with names in lower case: `a`, `a.b` for a
/// field of an object, `a[]` for the elements of an array. The error is the reason, without any value.
pub(super) fn scan(body: &[u8]) -> Result<Vec<(String, Kinds)>, String> {
    let body = body.trim_ascii_end();
    match body.trim_ascii_start().first() {
        None => return Err("it is empty".into()),
        Some(b'{') => {}
        Some(_) => return Err(not_an_object(body)),
    }
    let mut scan = Scan { path: String::new(), fields: Vec::new(), problem: None };
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = (&mut scan).deserialize(&mut json).and_then(|()| json.end());
    let has_lines = memchr::memchr2(b'\n', b'\r', body).is_some();
    match read {
        Err(_) if scan.problem.is_some() => Err(scan.problem.unwrap_or_default()),
        Err(_) if is_several(body) => Err(SEVERAL_VALUES.into()),
        Err(error) if is_json(body) => Err(format!(
            "a value in it is not one that Athena has: {error}. `select` with `type = \"string\"` makes a text of a \
                 number; a `remap` with `body = \"text\"` replaces anything"
        )),
        Err(error) => Err(format!("it is not JSON: {error}. {NOT_JSON}")),
        Ok(()) if has_lines => Err(SEVERAL_LINES.into()),
        Ok(()) => {
            add_long_numbers(body, &mut scan.fields);
            Ok(scan.fields)
        }
    }
}

const NOT_JSON: &str = "A row of a CSV file becomes JSON with `to_json`; another program has to write JSON itself, or \
                        `[dead_letter]` keeps such records";
const SEVERAL_VALUES: &str =
    "it is several JSON values, and a row is one object: whoever writes them has to write each as a record";
const SEVERAL_LINES: &str =
    "it is JSON on several lines, and a row is one object on one line: `to_json` writes it on one";

/// Whether a body has the syntax of JSON. A number may still be too large, and half of a pair of surrogates may be missing.
fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// Whether a body is several JSON values, one after the other.
fn is_several(body: &[u8]) -> bool {
    let values = serde_json::Deserializer::from_slice(body).into_iter::<IgnoredAny>();
    let n_values = values.map(|value| value.ok().map(|_| 1)).sum::<Option<usize>>();
    n_values.is_some_and(|n| n > 1)
}

fn not_an_object(body: &[u8]) -> String {
    if body.starts_with(b"\xef\xbb\xbf") {
        return "it begins with a byte order mark: `to_json` before this sink leaves that out".into();
    }
    if let Some(schema) = schema_id(body) {
        return schema;
    }
    if let Ok(inner) = serde_json::from_slice::<String>(body)
        && serde_json::from_str::<Map<String, Value>>(&inner).is_ok()
    {
        return "it is a JSON text that holds a JSON object, so it was encoded twice: `to_json` with `unwrap = true` \
                unpacks it"
            .into();
    }
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) if body.trim_ascii_start().starts_with(b"[") => {
            "it is a JSON array, and a row is one object: the transform `remap` makes a record of each element".into()
        }
        Ok(_) => "it is JSON, but not a JSON object, and a row is one object".into(),
        Err(error) => format!("it is not JSON: {error}. {NOT_JSON}"),
    }
}

/// Whether a name inside of an object may contain it. The type of the column is one text, such as
/// `struct<name:string>`, without quotes; Athena reads it with this rule of Hive (`TypeInfoUtils.isTypeChar`).
fn is_of_a_nested_name(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | '.' | ' ' | '$')
}

fn unreadable_name(key: &str) -> String {
    let what = if key.is_empty() {
        "it has an empty key".to_owned()
    } else {
        format!(
            "it has the key `{key}` inside of an object, and Athena accepts only letters, digits, `_`, `.`, `$` and blanks \
             there"
        )
    };
    format!(
        "{what}: then Athena reads no row of the table. `to_json` with `keys = \"snake_case\"` gives all keys other names; \
         if the keys are data, keep the object as a text with `encode_json` in a `remap`"
    )
}

struct Scan {
    /// The path of the value that is read now.
    path: String,
    fields: Vec<(String, Kinds)>,
    /// The reason for an error that is not one of syntax.
    problem: Option<String>,
}

impl Scan {
    fn add(&mut self, kind: Kinds) {
        if !self.path.is_empty() {
            self.fields.push((self.path.clone(), kind));
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Scan {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Scan {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.add(Kinds::BOOLEAN);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.add(Kinds::of_whole(Some(number)));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.add(Kinds::of_whole(i64::try_from(number).ok()));
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.add(Kinds::FRACTION);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.add(Kinds::of_text(text));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.add(Kinds::ARRAY);
        let n_path = self.path.len();
        self.path.push_str("[]");
        while items.next_element_seed(&mut *self)?.is_some() {}
        self.path.truncate(n_path);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.add(Kinds::OBJECT);
        let n_path = self.path.len();
        let mut seen: HashMap<String, String> = HashMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let lower = key.to_lowercase();
            if n_path > 0 {
                self.path.push('.');
            }
            self.path.push_str(&lower);
            if let Some(other) = seen.insert(lower, key.clone()) {
                let keys = if other == key {
                    format!("it has the key `{key}` twice")
                } else {
                    format!("its keys `{other}` and `{key}` differ only in capitals, and are one column")
                };
                self.problem = Some(format!(
                    "{keys}: then Athena reads no row of the table. Rename one of them where they come from, or with \
                     the transform `select`"
                ));
                return Err(A::Error::custom("duplicate key"));
            }
            if key.is_empty() || (n_path > 0 && !key.chars().all(is_of_a_nested_name)) {
                self.problem = Some(unreadable_name(&key));
                return Err(A::Error::custom("unreadable name"));
            }
            map.next_value_seed(&mut *self)?;
            self.path.truncate(n_path);
        }
        Ok(())
    }
}
