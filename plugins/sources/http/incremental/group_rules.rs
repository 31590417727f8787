//! The options that say what a saved position means.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::super::json::Fields;
use super::cursor_value::CursorValue;
use super::groups::Groups;
use super::{Incremental, Lag};

/// The options by which positions and their rows were found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GroupRules {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    by: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare: Option<Vec<String>>,
    /// In seconds, if it is a duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<CursorValue>,
}

/// What a change of the options leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RulesChange {
    /// The positions are those of other groups.
    OtherGroups,
    /// Rows near the position are not recognized.
    OtherRows,
}

impl GroupRules {
    pub(crate) fn of(options: &Incremental) -> Self {
        let names = |fields: &Fields| fields.0.iter().map(ToString::to_string).collect();
        GroupRules {
            by: names(&options.by),
            key: options.key.as_ref().map(names),
            compare: options.compare.as_ref().map(names),
            lag: options.lag.map(|lag| match lag {
                Lag::Time(span) => span.as_secs_f64(),
                Lag::Number(number) => number,
            }),
            cursor: Some(options.cursor.to_string()),
            start: options.start(),
        }
    }

    /// The change for which rows before the position may be expected, which are not delivered.
    pub(crate) fn change_before_position(&self, options: &Incremental) -> Option<String> {
        let now = GroupRules::of(options);
        if let (Some(before), Some(cursor)) = (&self.cursor, now.cursor)
            && *before != cursor
        {
            return Some(format!("`incremental.cursor` has changed from `{before}` to `{cursor}`"));
        }
        let start = now.start.as_ref();
        let is_earlier =
            |before: &CursorValue| start.is_none_or(|start| start.compare(before) == Some(Ordering::Less));
        self.start
            .as_ref()
            .is_some_and(is_earlier)
            .then(|| "`incremental.start` is earlier than before".to_owned())
    }
}

impl Groups {
    /// What is different for these positions, which `rules` have found. Those of an earlier release are not known.
    pub(crate) fn change(&self, rules: Option<&GroupRules>, options: &Incremental) -> Option<RulesChange> {
        let now = GroupRules::of(options);
        let has_other_groups = match rules {
            Some(rules) => rules.by != now.by,
            // The positions show whether there was a `by`.
            None => self.are_one() != now.by.is_empty(),
        };
        let has_other_rows = rules.is_some_and(|rules| {
            (&rules.key, &rules.compare) != (&now.key, &now.compare)
                || now.lag.unwrap_or(0.0) > rules.lag.unwrap_or(0.0)
        });
        match (has_other_groups, has_other_rows) {
            _ if self.is_empty() => None,
            (true, _) => Some(RulesChange::OtherGroups),
            (false, true) => Some(RulesChange::OtherRows),
            (false, false) => None,
        }
    }

    /// The positions for a walk: those that `rules` have found, or new ones if `by` is another one.
    pub(crate) fn for_walk(&self, rules: Option<&GroupRules>, options: &Incremental) -> Self {
        match self.change(rules, options) {
            Some(RulesChange::OtherGroups) => self.begun_again(),
            _ => self.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RulesChange::{OtherGroups, OtherRows};
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn changed_options_are_found() {
        let options = |more: Value| -> Incremental {
            let mut table = json!({"cursor": "t"});
            table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value(table).unwrap()
        };
        let groups = |names: &[&str]| -> Groups {
            let groups = names.iter().map(|name| ((*name).to_owned(), json!({"newest": 5})));
            serde_json::from_value(Value::Object(groups.collect())).unwrap()
        };
        let (one, two) = (groups(&[""]), groups(&["A", "B"]));
        for (before, after, change) in [
            (json!({}), json!({}), None),
            (json!({}), json!({"by": "s"}), Some(OtherGroups)),
            (json!({"by": "s"}), json!({}), Some(OtherGroups)),
            (json!({"by": "s"}), json!({"by": ["s", "t"]}), Some(OtherGroups)),
            (json!({}), json!({"key": "a"}), Some(OtherRows)),
            (json!({"key": "a"}), json!({"key": "a", "compare": ["b"]}), Some(OtherRows)),
            (json!({"lag": "1d"}), json!({"lag": "2d"}), Some(OtherRows)),
            (json!({"lag": "2d"}), json!({"lag": "1d"}), None),
        ] {
            let rules = GroupRules::of(&options(before.clone()));
            let saved = serde_json::to_value(&rules).unwrap();
            assert_eq!(serde_json::from_value::<GroupRules>(saved).unwrap(), rules);
            assert_eq!(two.change(Some(&rules), &options(after.clone())), change, "{before} {after}");
            assert_eq!(Groups::default().change(Some(&rules), &options(after)), None);
        }
        for (before, after, is_expected) in [
            (json!({"start": 5}), json!({"start": 5}), false),
            (json!({"start": 5}), json!({"start": 6}), false),
            (json!({}), json!({"start": 6}), false),
            (json!({"start": 5}), json!({"start": 4}), true),
            (json!({"start": 5}), json!({}), true),
            (json!({}), json!({"cursor": "u"}), true),
            (json!({"start": "2024-01-02"}), json!({"start": "2024-01-01T00:00:00Z"}), true),
        ] {
            let rules = GroupRules::of(&options(before.clone()));
            let found = rules.change_before_position(&options(after.clone()));
            assert_eq!(found.is_some(), is_expected, "{before} {after}");
            assert_eq!(GroupRules::default().change_before_position(&options(after)), None);
        }
        // An earlier release has saved no rules.
        let by = options(json!({"by": "s"}));
        assert_eq!((one.change(None, &by), two.change(None, &by)), (Some(OtherGroups), None));
        let none = options(json!({"key": "a"}));
        assert_eq!((one.change(None, &none), two.change(None, &none)), (None, Some(OtherGroups)));
        assert_eq!(two.for_walk(None, &none).begin.unwrap().text(), "5");
    }
}
