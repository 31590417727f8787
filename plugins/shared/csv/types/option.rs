//! Reads the option `types`.

use std::fmt;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{DeclaredColumn, Types};
use crate::shared::values::{ReadTime, TypeName, ValueType};

impl<'de> Deserialize<'de> for Types {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TypesVisitor)
    }
}

struct TypesVisitor;

impl<'de> Visitor<'de> for TypesVisitor {
    type Value = Types;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"infer\", \"string\" or a table such as { Volume = \"float\" }")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Types, E> {
        match text {
            "infer" => Ok(Types::Infer),
            "string" => Ok(Types::String),
            _ => Err(E::custom(format!(
                "`{text}` is neither \"infer\" nor \"string\" nor a table such as {{ Volume = \"float\" }}"
            ))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Types, A::Error> {
        let mut columns: Vec<DeclaredColumn> = Vec::new();
        while let Some((name, DeclaredType { value_type, parse })) = map.next_entry::<String, _>()? {
            if columns.iter().any(|known| known.name == name) {
                return Err(A::Error::custom(format!("column `{name}` is declared twice")));
            }
            columns.push(DeclaredColumn { name, value_type, parse });
        }
        Ok(Types::Declared(columns))
    }
}

/// The type of one column: its name, or a table.
struct DeclaredType {
    value_type: ValueType,
    parse: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypeTable {
    r#type: TypeName,
    #[serde(default)]
    parse: Option<String>,
}

impl<'de> Deserialize<'de> for DeclaredType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TypeVisitor;

        impl<'de> Visitor<'de> for TypeVisitor {
            type Value = DeclaredType;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a type such as \"float\", or a table such as { type = \"date\", parse = \"%d/%m/%Y\" }",
                )
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<DeclaredType, E> {
                let name = TypeName::deserialize(text.into_deserializer())?;
                Ok(DeclaredType { value_type: ValueType::new(name, None, None), parse: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DeclaredType, A::Error> {
                let TypeTable { r#type, parse } = TypeTable::deserialize(MapAccessDeserializer::new(map))?;
                if parse.is_some() && !r#type.is_time() {
                    return Err(A::Error::custom("`parse` is for dates and timestamps"));
                }
                let read = parse.clone().map(ReadTime::try_from).transpose().map_err(A::Error::custom)?;
                Ok(DeclaredType { value_type: ValueType::new(r#type, read, None), parse })
            }
        }

        deserializer.deserialize_any(TypeVisitor)
    }
}

/// The schema of [`Types`].
pub(crate) fn types_schema(_: &mut SchemaGenerator) -> Schema {
    let names = ["integer", "float", "boolean", "string", "date", "timestamp"];
    let table = json_schema!({
        "type": "object",
        "properties": {
            "type": { "type": "string", "enum": names },
            "parse": { "type": "string", "minLength": 1 }
        },
        "required": ["type"],
        "additionalProperties": false
    });
    let kind = json_schema!({ "oneOf": [{ "type": "string", "enum": names }, table] });
    json_schema!({
        "oneOf": [
            { "type": "string", "enum": ["infer", "string"] },
            { "type": "object", "additionalProperties": kind }
        ]
    })
}
