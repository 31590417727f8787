//! Finds the name that was probably meant.

/// The most similar of `known`, if any is; one that differs in case alone is always.
pub fn similar<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |name: &str| {
        if name.eq_ignore_ascii_case(typed) { 0 } else { strsim::damerau_levenshtein(typed, name) }
    };
    let near = known.into_iter().map(|name| (distance(name), name)).filter(|(distance, name)| {
        let length = name.len().max(typed.len());
        *distance <= 1 + length / 4 && *distance < length
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_name_is_found_in_any_case() {
        assert_eq!(similar("throttl", ["to_json", "throttle"]), Some("throttle"));
        assert_eq!(similar("A", ["b", "a"]), Some("a"));
        assert_eq!(similar("KAFKA", ["kafka"]), Some("kafka"));
        assert_eq!(similar("x", ["a", "b"]), None);
        assert_eq!(similar("", ["a"]), None);
    }
}
