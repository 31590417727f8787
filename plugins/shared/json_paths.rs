//! Paths into records, and the values at many paths of a JSON text, found in one pass. Values keep
//! their text.

use std::borrow::Cow;
use std::fmt;

use runner_core::TableHeader;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::text::listed;

/// The names in a JSON pointer, without their escapes (RFC 6901). The empty pointer has none.
pub(crate) fn pointer_names(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect()
}

/// A name as a JSON pointer writes it.
pub(crate) fn pointer_name(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Where a value is in a record: the name of a field, or a JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    text: String,
    /// At least one.
    pub(crate) names: Vec<String>,
}

impl From<String> for Path {
    fn from(text: String) -> Self {
        let names = if text.starts_with('/') { pointer_names(&text) } else { vec![text.clone()] };
        Path { text, names }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Path {
    /// The path as the pipeline file writes it.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// How to write a field that has this name, if the name begins as a pointer does and the record has the field.
    fn spelling(&self, mut names: impl Iterator<Item = impl AsRef<str>>) -> String {
        if self.text.starts_with('/') && names.any(|name| name.as_ref() == self.text) {
            return format!("; the field `{}` itself is written `/{}`", self.text, pointer_name(&self.text));
        }
        String::new()
    }

    /// The column of a table that it names.
    pub(crate) fn column_of(&self, header: &TableHeader) -> Option<usize> {
        let [name] = &self.names[..] else { return None };
        header.columns().iter().position(|column| *column.name == **name)
    }
}

/// The paths that are looked for, as a tree.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    root: Node,
    n_paths: usize,
}

/// What is looked for in one value.
#[derive(Debug, Default)]
struct Node {
    /// The number of the path that ends here.
    slot: Option<usize>,
    /// By name.
    children: Vec<Child>,
}

#[derive(Debug)]
struct Child {
    name: Box<str>,
    /// The name as the index of an item in an array.
    index: Option<usize>,
    node: Node,
}

/// What was found in one text.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    /// The text of the value at each path.
    pub(crate) values: Vec<Option<&'a str>>,
    /// The fields of the top level that no path takes as a whole, if they are wanted.
    pub(crate) rest: Option<Vec<(Cow<'a, str>, &'a str)>>,
}

impl Paths {
    /// Adds a path and returns its number; the same path has the same number.
    pub(crate) fn add(&mut self, names: &[String]) -> usize {
        let mut node = &mut self.root;
        for name in names {
            let index = match node.children.binary_search_by(|child| (*child.name).cmp(name)) {
                Ok(index) => index,
                Err(index) => {
                    // `01` is not the index of an item.
                    let item = name.parse::<usize>().ok().filter(|item| item.to_string() == *name);
                    let child = Child { name: name.as_str().into(), index: item, node: Node::default() };
                    node.children.insert(index, child);
                    index
                }
            };
            node = &mut node.children[index].node;
        }
        *node.slot.get_or_insert_with(|| {
            self.n_paths += 1;
            self.n_paths - 1
        })
    }

    /// Finds the values of all paths; an error if the text is not one JSON value.
    pub(crate) fn find<'a>(&self, text: &'a str, keeps_rest: bool) -> serde_json::Result<Found<'a>> {
        let mut found = Found { values: vec![None; self.n_paths], rest: keeps_rest.then(Vec::new) };
        self.root.search(text, true, &mut found)?;
        Ok(found)
    }
}

impl Node {
    /// Looks for the children of this node in a value.
    fn search<'a>(&self, text: &'a str, is_top: bool, found: &mut Found<'a>) -> serde_json::Result<()> {
        let mut json = serde_json::Deserializer::from_str(text);
        let level = Level { node: self, is_top, found };
        match text.trim_ascii_start().as_bytes().first() {
            Some(b'{') => json.deserialize_map(level)?,
            Some(b'[') => json.deserialize_seq(level)?,
            _ if is_top => drop(serde::de::IgnoredAny::deserialize(&mut json)?),
            _ => return Ok(()),
        }
        json.end()
    }

    /// Takes a value that was found at this node.
    fn take<'a>(&self, value: &'a str, found: &mut Found<'a>) -> serde_json::Result<()> {
        if let Some(slot) = self.slot {
            found.values[slot] = Some(value);
        }
        if self.children.is_empty() {
            return Ok(());
        }
        // The last of several equal keys counts, with all that is in it.
        self.children.iter().for_each(|child| child.node.forget(found));
        self.search(value, false, found)
    }

    fn forget(&self, found: &mut Found<'_>) {
        if let Some(slot) = self.slot {
            found.values[slot] = None;
        }
        self.children.iter().for_each(|child| child.node.forget(found));
    }
}

/// One object or array that is searched.
struct Level<'n, 'f, 'a> {
    node: &'n Node,
    is_top: bool,
    found: &'f mut Found<'a>,
}

impl<'a> Visitor<'a> for Level<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            let value: &'a RawValue = map.next_value()?;
            let children = &self.node.children;
            let child = children.binary_search_by(|child| (*child.name).cmp(&key)).ok();
            let child = child.map(|index| &children[index].node);
            if let Some(child) = child {
                child.take(value.get(), self.found).map_err(serde::de::Error::custom)?;
            }
            if self.is_top
                && child.is_none_or(|child| child.slot.is_none())
                && let Some(rest) = &mut self.found.rest
            {
                rest.push((key, value.get()));
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(value) = items.next_element::<&'a RawValue>()? {
            if let Some(child) = self.node.children.iter().find(|child| child.index == Some(index)) {
                child.node.take(value.get(), self.found).map_err(serde::de::Error::custom)?;
            }
            index += 1;
        }
        Ok(())
    }
}

/// A key; borrowed unless it has escapes.
#[derive(Deserialize)]
pub(crate) struct Key<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// How many names a message shows.
const SHOWN_NAMES: usize = 20;

/// Names the fields of a record that does not have the wanted one.
pub(crate) fn fields_of(text: &str, wanted: &Path) -> String {
    let Ok(Found { rest: Some(rest), .. }) = Paths::default().find(text, true) else {
        return "it is not an object".into();
    };
    if rest.is_empty() {
        let is_object = text.trim_ascii_start().starts_with('{');
        return if is_object { "it has no fields".into() } else { "it is not an object".into() };
    }
    let names = || rest.iter().map(|(key, _)| key);
    format!("it has {}{}", listed(names(), SHOWN_NAMES), wanted.spelling(names()))
}

/// Names the columns of a row that does not have the wanted one.
pub(crate) fn columns_of(header: &TableHeader, wanted: &Path) -> String {
    let columns = header.columns();
    let names = listed(columns.iter().map(|column| &column.name), SHOWN_NAMES);
    let spelling = match &wanted.names[..] {
        [first, _, ..] if columns.iter().any(|column| *column.name == **first) => {
            format!("; a cell has no fields: `parse_json` in a `remap` reads JSON in `{first}`")
        }
        _ => wanted.spelling(columns.iter().map(|column| &column.name)),
    };
    format!("it has {names}{spelling}")
}
