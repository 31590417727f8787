//! Notices pages whose records differ in one member only: most likely the same page, with the time of the response in it.

use serde_json::{Map, Value};

use super::super::answer::Items;
use super::page_request::PageRequest;

/// How many records of a page are compared.
const COMPARED: usize = 5;

/// So many pages in a row must be alike.
const N_ALIKE: usize = 2;

/// Records with fewer members may be alike by chance.
const MIN_MEMBERS: usize = 3;

/// The front of the last page.
#[derive(Debug, Default)]
pub(crate) struct Likeness {
    request: Option<PageRequest>,
    front: Vec<Map<String, Value>>,
    n_alike: usize,
}

impl Likeness {
    /// Adds a page. Returns the member in which it differs from those before it, if all else is the same.
    pub(crate) fn add(&mut self, request: &PageRequest, items: &Items) -> Option<String> {
        if self.request.as_ref() == Some(request) {
            return None;
        }
        let front = items.front(COMPARED);
        let front: Vec<_> = front.iter().filter_map(|item| serde_json::from_slice(item).ok()).collect();
        let member = only_difference(&self.front, &front).map(str::to_owned);
        self.n_alike = if member.is_some() { self.n_alike + 1 } else { 0 };
        self.request = Some(request.clone());
        self.front = front;
        member.filter(|_| self.n_alike >= N_ALIKE)
    }
}

/// The member in which all records of two pages differ, if they differ in no other.
fn only_difference<'a>(before: &[Map<String, Value>], now: &'a [Map<String, Value>]) -> Option<&'a str> {
    if before.is_empty() || before.len() != now.len() {
        return None;
    }
    let mut found = None;
    for (before, now) in before.iter().zip(now) {
        if now.len() < MIN_MEMBERS || before.len() != now.len() {
            return None;
        }
        let mut differing = now.iter().filter(|(name, value)| before.get(*name) != Some(*value));
        let (Some((name, _)), None) = (differing.next(), differing.next()) else { return None };
        if found.is_some_and(|found| found != name) {
            return None;
        }
        found = Some(name);
    }
    found.map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::super::super::json::Pointer;
    use super::super::page_request::Place;
    use super::*;
    use serde_json::json;

    fn alike(pages: &[Value]) -> Vec<Option<String>> {
        let mut likeness = Likeness::default();
        let add = |(number, page): (usize, &Value)| {
            let body = bytes::Bytes::from(page.to_string());
            let items = Items::of_json(&body, &Pointer::default(), false, String::new()).unwrap();
            let request = PageRequest::first(Place::Page(number as u64));
            let found = likeness.add(&request, &items);
            assert_eq!(likeness.add(&request, &items), None, "the same page again");
            found
        };
        pages.iter().enumerate().map(add).collect()
    }

    #[test]
    fn pages_that_differ_in_one_member_are_noticed_at_the_third() {
        let page = |at: u64| json!([{"n": 1, "p": 2.5, "at": at}, {"n": 2, "p": 3.5, "at": at}]);
        let at = Some("at".to_owned());
        assert_eq!(alike(&[page(1), page(2), page(3), page(4)]), [None, None, at.clone(), at]);
    }

    #[test]
    fn other_pages_are_not_alike() {
        let page = |s: &str, p: f64| json!([{"s": s, "day": 1, "p": p}, {"s": s, "day": 2, "p": p}]);
        let few = |p: f64| json!([{"day": 1, "p": p}]);
        for pages in [
            [page("a", 1.0), page("b", 2.0), page("c", 3.0)],
            [few(1.0), few(2.0), few(3.0)],
            [json!([]), json!([]), json!([])],
            [json!([1, 2]), json!([1, 3]), json!([1, 4])],
            [page("a", 1.0), page("a", 1.0), page("a", 1.0)],
        ] {
            assert_eq!(alike(&pages), [None, None, None], "{pages:?}");
        }
    }
}
