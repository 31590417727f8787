//! Refuses elements of `for_each` that make the same request.

use std::collections::{BTreeSet, HashMap};

use runner_core::{BuildContext, OptionError, Result};

use super::super::HttpConfig;
use super::super::request::Template;
use super::for_each::{ForEach, read_file};

/// Refuses elements that differ in nothing that the request or the records contain. `program` is the text of `remap`.
pub(crate) fn check(
    config: &HttpConfig,
    names: &[String],
    program: &str,
    context: &BuildContext,
) -> Result<()> {
    let Some(for_each) = &config.for_each else { return Ok(()) };
    let mut used: BTreeSet<String> = config.request_texts().flat_map(|(_, text)| variables(text)).collect();
    let is_in_request = names.iter().any(|name| used.contains(name));
    let is_in_program = |name: &&String| program.contains(&format!("%{name}"));
    used.extend(names.iter().filter(is_in_program).cloned());
    if is_in_request {
        let added = config.add.values().filter_map(|value| value.as_str());
        used.extend(added.flat_map(variables));
    }
    let advice = "put it into the path or the query of `endpoint`, `query`, `headers` or `body`, as in \
                  query = { symbol = \"{{ symbol }}\" }";
    let elements = match for_each {
        ForEach::Listed(elements) => elements.clone(),
        ForEach::File(path) => read_file(&context.folder.join(path))?,
        ForEach::Request(_) if names.iter().any(|name| used.contains(name)) => return Ok(()),
        ForEach::Request(_) => {
            let message =
                format!("all elements make the same request, since none of its fields is used; {advice}");
            return Err(OptionError::new("for_each", message));
        }
    };
    let mut seen = HashMap::new();
    for (index, element) in elements.iter().enumerate() {
        let key: Vec<_> = used.iter().map(|name| element.text(name)).collect();
        let Some((before, other)) = seen.insert(key, (index, element)) else { continue };
        let unused: Vec<String> = element
            .fields()
            .iter()
            .filter(|(name, value)| other.value(name) != Some(value))
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        let message = format!(
            "elements {} and {} make the same request, so that every record would be delivered for both, since {} is not \
             used; {advice}",
            before + 1,
            index + 1,
            unused.join(", ")
        );
        return Err(OptionError::new("for_each", message));
    }
    Ok(())
}

fn variables(text: &str) -> Vec<String> {
    Template::parse(text).variables().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use runner_core::testing::context;
    use serde_json::{Value, json};

    fn refusal(options: Value, program: &str) -> String {
        let mut table = json!({"endpoint": "http://a/prices"});
        table.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let config: HttpConfig = serde_json::from_value(table).unwrap();
        let context = context();
        let names = config.for_each.as_ref().unwrap().names(&context.folder).unwrap();
        check(&config, &names, program, &context).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn elements_that_make_the_same_request_are_refused() {
        let two = json!({"symbol": ["NYA", "IXIC"]});
        for (options, part) in [
            (json!({"for_each": two}), "`symbol` is not used"),
            (json!({"for_each": two, "add": {"Index": "{{ symbol }}"}}), "`symbol` is not used"),
            (
                json!({"for_each": {"symbol": ["A"], "year": [1, 2]}, "query": {"s": "{{ symbol }}"}}),
                "`year` is not used",
            ),
            (
                json!({"for_each": {"endpoint": "http://a/s", "fields": {"id": "/id"}}}),
                "none of its fields is used",
            ),
        ] {
            let refusal = refusal(options.clone(), "");
            assert!(refusal.starts_with("`for_each`: ") && refusal.contains(part), "{options}: {refusal}");
        }
    }

    #[test]
    fn elements_that_make_different_requests_or_records_are_accepted() {
        let two = json!({"symbol": ["NYA", "IXIC"]});
        let tables = json!([{"symbol": "^nya", "index": "NYA"}, {"symbol": "^ixic", "index": "IXIC"}]);
        for options in [
            json!({"for_each": two, "endpoint": "http://a/{{ symbol }}"}),
            json!({"for_each": two, "headers": {"X-Symbol": "{{symbol}}"}}),
            json!({"for_each": two, "body": "{\"s\": \"{{ symbol }}\"}"}),
            json!({"for_each": tables, "query": {"s": "{{ symbol }}"}, "add": {"Index": "{{ index }}"}}),
            json!({"for_each": {"symbol": ["NYA"]}, "add": {"Index": "{{ symbol }}"}}),
            json!({
                "for_each": {"s": ["A"], "as": ["x", "y"]}, "query": {"s": "{{ s }}"}, "add": {"as": "{{ as }}"},
            }),
        ] {
            assert_eq!(refusal(options.clone(), ""), "", "{options}");
        }
        assert_eq!(refusal(json!({"for_each": two}), ". = .[%symbol]"), "");
    }
}
