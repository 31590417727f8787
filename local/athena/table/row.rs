//! One line of an object as a row: what Athena reads, and what it fails on.

use std::fmt;

use datafusion::arrow::datatypes::{DataType, Fields};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads a line. Names are in lower case, as Hive has them, so two keys that differ only in capitals are a
/// duplicate. The error is that of Athena.
pub(super) fn read(line: &[u8]) -> Result<Map<String, Value>, String> {
    let line = line.trim_ascii();
    if !line.starts_with(b"{") {
        return Err("A JSONObject text must begin with '{' at 1 [character 2 line 1]".into());
    }
    let mut json = serde_json::Deserializer::from_slice(line);
    let row = Lower.deserialize(&mut json).and_then(|row| json.end().map(|()| row));
    match row {
        Ok(Value::Object(row)) => Ok(row),
        Ok(_) => Err("A JSONObject text must begin with '{' at 1 [character 2 line 1]".into()),
        Err(error) if error.is_eof() => {
            let end = line.len();
            Err(format!("A JSONObject text must end with '}}' at {end} [character {} line 1]", end + 1))
        }
        Err(error) => {
            let text = error.to_string();
            let place = text.rfind(" at line ").unwrap_or(text.len());
            Err(if text.starts_with(DUPLICATE) { text[..place].to_owned() } else { text })
        }
    }
}

const DUPLICATE: &str = "Duplicate key ";

/// Reads a value with all keys in lower case.
#[derive(Clone, Copy)]
struct Lower;

impl<'de> DeserializeSeed<'de> for Lower {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Lower {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            all.push(item);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let key = key.to_lowercase();
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("{DUPLICATE}\"{key}\"")));
            }
            let value = entries.next_value_seed(self)?;
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

/// The first column, by its index, whose value its type does not hold, and that value as text: a number with
/// a fraction or a text in a column of whole numbers, a text in a column of numbers.
pub(super) fn bad_value(row: &Map<String, Value>, columns: &Fields) -> Option<(usize, String)> {
    columns
        .iter()
        .enumerate()
        .find_map(|(index, column)| Some((index, misfit(row.get(column.name())?, column.data_type())?)))
}

fn misfit(value: &Value, kind: &DataType) -> Option<String> {
    let fits = match (value, kind) {
        (Value::Null, _) | (Value::Number(_), DataType::Float64) => true,
        (Value::Array(items), DataType::List(element)) => {
            return items.iter().find_map(|item| misfit(item, element.data_type()));
        }
        (Value::Object(fields), DataType::Struct(columns)) => {
            return bad_value(fields, columns).map(|(_, text)| text);
        }
        (Value::Number(number), DataType::Int64) => number.is_i64(),
        // A text that is a number is read as one.
        (Value::String(text), DataType::Int64) => text.parse::<i64>().is_ok(),
        (Value::String(text), DataType::Float64) => text.trim().parse::<f64>().is_ok(),
        (_, DataType::Boolean) => value.is_boolean(),
        (_, DataType::Struct(_) | DataType::List(_) | DataType::Int64 | DataType::Float64) => false,
        _ => true,
    };
    (!fits).then(|| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned))
}

/// Writes objects and arrays as JSON where the column is a text, as the `SerDe` of Athena does.
pub(super) fn write_as_text(row: &mut Map<String, Value>, columns: &Fields) {
    for column in columns {
        if let Some(value) = row.get_mut(column.name()) {
            write_value(value, column.data_type());
        }
    }
}

fn write_value(value: &mut Value, kind: &DataType) {
    match (&mut *value, kind) {
        (Value::Object(_) | Value::Array(_), DataType::Utf8) => *value = value.to_string().into(),
        (Value::Object(fields), DataType::Struct(columns)) => write_as_text(fields, columns),
        (Value::Array(items), DataType::List(element)) => {
            for item in items {
                write_value(item, element.data_type());
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Field;

    use super::*;

    #[test]
    fn line_that_the_serde_does_not_read_has_its_error() {
        for (line, error) in [
            ("[1, 2]", "A JSONObject text must begin with '{' at 1 [character 2 line 1]"),
            ("\"{}\"", "A JSONObject text must begin with '{' at 1 [character 2 line 1]"),
            ("NYA,1.5", "A JSONObject text must begin with '{' at 1 [character 2 line 1]"),
            ("{", "A JSONObject text must end with '}' at 1 [character 2 line 1]"),
            (r#"{"Close":1,"close":2}"#, "Duplicate key \"close\""),
            (r#"{"a":1,"a":2}"#, "Duplicate key \"a\""),
            (r#"{"o":[{"Url":1,"URL":2}]}"#, "Duplicate key \"url\""),
        ] {
            assert_eq!(read(line.as_bytes()).unwrap_err(), error, "{line}");
        }
        assert!(read(b"{\"a\":NaN}").is_err() && read(b"{} {}").is_err());
    }

    #[test]
    fn value_that_its_column_cannot_hold_is_found() {
        let columns: Fields = vec![
            Field::new("n", DataType::Int64, true),
            Field::new("flag", DataType::Boolean, true),
            Field::new("x", DataType::Float64, true),
            Field::new("list", DataType::new_list(DataType::Int64, true), true),
            Field::new("text", DataType::Utf8, true),
            Field::new("row", DataType::Struct(Fields::empty()), true),
        ]
        .into();
        let bad = |line: &str| bad_value(&read(line.as_bytes()).unwrap(), &columns);
        for line in
            [r#"{"n":1,"x":2,"text":5}"#, r#"{"n":"12","x":"1.5","list":null}"#, r#"{"n":null,"flag":true}"#]
        {
            assert_eq!(bad(line), None, "{line}");
        }
        for (line, index, text) in [
            (r#"{"n":100.25}"#, 0, "100.25"),
            (r#"{"n":"much"}"#, 0, "much"),
            (r#"{"n":10000000000000000000}"#, 0, "10000000000000000000"),
            (r#"{"flag":"maybe"}"#, 1, "maybe"),
            (r#"{"x":"much"}"#, 2, "much"),
            (r#"{"x":true}"#, 2, "true"),
            (r#"{"list":[1,1.5]}"#, 3, "1.5"),
            (r#"{"list":{"a":1}}"#, 3, r#"{"a":1}"#),
            (r#"{"row":[1]}"#, 5, "[1]"),
        ] {
            assert_eq!(bad(line), Some((index, text.into())), "{line}");
        }
    }
}
