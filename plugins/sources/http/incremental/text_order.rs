//! The order of texts that are neither dates nor numbers.

use std::cmp::Ordering;

/// Compares two texts; `None` if they differ in a number whose order is not that of its text, as in `P-9` and `P-10`.
pub(super) fn compare(a: &str, b: &str) -> Option<Ordering> {
    let order = a.cmp(b);
    // The digits of an id of fixed length are not a number.
    let numbers = match (a.strip_prefix("0x"), b.strip_prefix("0x")) {
        _ if a.len() == b.len() => None,
        // Such as a block of Ethereum.
        (Some(a), Some(b)) => Some(order_of(a).cmp(&order_of(b))),
        _ => compare_numbers(a, b),
    };
    numbers.is_none_or(|numbers| numbers == order).then_some(order)
}

/// The order of the first numbers that differ, if the texts are equal apart from numbers.
fn compare_numbers(mut a: &str, mut b: &str) -> Option<Ordering> {
    let mut found = None;
    let mut before = "";
    loop {
        let (between, digits_a) = a.split_at(a.find(|c: char| c.is_ascii_digit()).unwrap_or(a.len()));
        let digits_b = b.strip_prefix(between)?;
        let (number_a, number_b);
        (number_a, a) = split_number(digits_a);
        (number_b, b) = split_number(digits_b);
        if number_a.is_empty() || number_b.is_empty() {
            return found.filter(|_| digits_a.is_empty() && digits_b.is_empty());
        }
        let is_fraction = between == "." && before != "." && !a.starts_with('.') && !b.starts_with('.');
        let order = order_of(number_a).cmp(&order_of(number_b));
        if found.is_none() && order != Ordering::Equal {
            if is_fraction {
                return None;
            }
            found = Some(order);
        }
        before = between;
    }
}

/// The digits at the beginning, and what follows.
fn split_number(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// What orders whole numbers of any length.
fn order_of(digits: &str) -> (usize, &str) {
    let digits = digits.trim_start_matches('0');
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_different_lengths_are_not_compared_as_text() {
        for (a, b) in [
            ("P-9", "P-10"),
            ("9 days", "10 days"),
            ("1.9.0", "1.10.0"),
            ("1.0.9", "1.0.10"),
            ("2024M9", "2024M10"),
            ("0xfffffff", "0x10000000"),
            ("0xa", "0x10"),
            ("+5", "+13"),
            ("a/2/x/9", "a/2/x/11"),
        ] {
            assert_eq!((compare(a, b), compare(b, a)), (None, None), "{a} {b}");
        }
    }

    #[test]
    fn text_is_compared_where_numbers_have_the_same_order_or_are_none() {
        for (less, greater) in [
            ("P-09", "P-10"),
            ("0x9f", "0xa0"),
            ("0x1", "0x10"),
            ("P-1", "P-10"),
            ("P-10", "Q-9"),
            ("P-10", "P-9x"),
            ("64f1e2a0", "6500e2f1"),
            ("2024-W05-1T10:00:00.45Z", "2024-W05-1T10:00:00.5Z"),
            ("7d9f2c1e-5b1a", "7d9f2c1e-5b1a-4c3d"),
            ("a", "b10"),
            ("2024-Q4", "2025-Q1"),
        ] {
            assert_eq!(compare(less, greater), Some(Ordering::Less), "{less} {greater}");
            assert_eq!(compare(greater, less), Some(Ordering::Greater), "{less} {greater}");
        }
        assert_eq!(compare("a1", "a1"), Some(Ordering::Equal));
    }
}
