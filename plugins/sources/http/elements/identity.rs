//! Which fields identify an element in positions: those that its request contains.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use url::form_urlencoded;

use super::super::source::HttpPosition;
use super::for_each::{Element, id_of};

/// Identifies elements by the fields that requests use, so that other fields may change. Elements that make
/// the same request, and those whose fields are not used, are identified by all fields.
pub(super) fn identify(elements: Vec<Arc<Element>>, used: &BTreeSet<&str>) -> Vec<Arc<Element>> {
    let ids: Vec<Option<Arc<str>>> = elements.iter().map(|element| element.id_by(used)).collect();
    let mut n_elements: HashMap<Arc<str>, usize> = HashMap::new();
    for id in ids.iter().flatten() {
        *n_elements.entry(Arc::clone(id)).or_default() += 1;
    }
    let identified = |(element, id): (Arc<Element>, Option<Arc<str>>)| match id {
        Some(id) if n_elements[&id] == 1 && id != element.id => Arc::new(element.with_id(id)),
        _ => element,
    };
    elements.into_iter().zip(ids).map(identified).collect()
}

impl HttpPosition {
    /// Takes over the positions of elements that were saved under all of their fields. If none was saved under
    /// the present values, the only one of the same request is meant.
    pub(super) fn adopt_positions(&mut self, elements: &[Arc<Element>], used: &BTreeSet<&str>) {
        let is_missing = |element: &&Arc<Element>| !self.elements.contains_key(&element.id);
        let missing: Vec<&Arc<Element>> = elements.iter().filter(is_missing).collect();
        if missing.is_empty() || self.elements.is_empty() {
            return;
        }
        let listed: BTreeSet<&str> = elements.iter().map(|element| &*element.id).collect();
        let mut saved: HashMap<Arc<str>, Vec<Arc<str>>> = HashMap::new();
        for old in self.elements.keys().filter(|old| !listed.contains(&***old)) {
            let fields = form_urlencoded::parse(old.as_bytes()).filter(|(name, _)| used.contains(&**name));
            let id = id_of(fields);
            if !id.is_empty() {
                saved.entry(id).or_default().push(Arc::clone(old));
            }
        }
        let mut moved: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        for element in missing {
            let all = element.id_by_all();
            let old = if self.elements.contains_key(&all) {
                Some(all)
            } else {
                saved.get(&element.id).filter(|old| old.len() == 1).map(|old| Arc::clone(&old[0]))
            };
            moved.extend(old.map(|old| (old, Arc::clone(&element.id))));
        }
        for (old, new) in moved {
            if let Some(position) = Arc::make_mut(&mut self.elements).remove(&old) {
                Arc::make_mut(&mut self.elements).insert(Arc::clone(&new), position);
            }
            if let Some(done) = Arc::make_mut(&mut self.done).iter_mut().find(|done| **done == old) {
                *done = new;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::source::{ElementPosition, ElementState};
    use super::*;
    use serde_json::json;

    fn element(id: u32, stars: u32) -> Arc<Element> {
        Arc::new(Element::new([("id".to_owned(), json!(id)), ("stars".to_owned(), json!(stars))]))
    }

    fn ids(elements: &[Arc<Element>]) -> Vec<&str> {
        elements.iter().map(|element| &*element.id).collect()
    }

    /// A position with one saved element per identity, told apart by `n_grown`.
    fn saved(ids: &[&str]) -> HttpPosition {
        let mut position = HttpPosition::default();
        for (id, n_grown) in ids.iter().zip(1..) {
            let state = ElementState { n_grown, ..ElementState::default() };
            let element = ElementPosition { state: state.into(), walk: None };
            position = position.with_element(&Arc::from(*id), element);
        }
        position
    }

    #[test]
    fn element_is_identified_by_the_fields_of_its_request() {
        let used = BTreeSet::from(["id", "since"]);
        let all = vec![element(1, 5), element(2, 5), element(2, 6)];
        // The second and third make the same request.
        assert_eq!(ids(&identify(all.clone(), &used)), ["id=1", "id=2&stars=5", "id=2&stars=6"]);
        let none = BTreeSet::from(["since"]);
        assert_eq!(ids(&identify(all, &none)), ["id=1&stars=5", "id=2&stars=5", "id=2&stars=6"]);
    }

    #[test]
    fn position_under_all_fields_is_taken_over() {
        let used = BTreeSet::from(["id"]);
        let elements = identify(vec![element(1, 5), element(2, 7), element(3, 9)], &used);
        for (before, taken) in [
            (&["id=1&stars=5", "id=2&stars=7", "id=3&stars=9"][..], [1, 2, 3]),
            // The stars of the first have changed; of those of the second it is not known which is meant.
            (&["id=1&stars=4", "id=2&stars=5", "id=2&stars=6"][..], [1, 0, 0]),
            (&["id=2&stars=5", "id=2&stars=7"][..], [0, 2, 0]),
            (&["id=1", "id=1&stars=5"][..], [1, 0, 0]),
        ] {
            let mut position = saved(before);
            position.adopt_positions(&elements, &used);
            let found = elements.iter().map(|element| position.element(&element.id).state.n_grown);
            assert_eq!(found.collect::<Vec<_>>(), taken, "{before:?}");
        }
        let mut position = saved(&["id=1&stars=5"]);
        position.done = Arc::new(vec!["id=1&stars=5".into()]);
        position.adopt_positions(&elements, &used);
        assert_eq!(*position.done, [Arc::from("id=1")]);
        assert_eq!(position.elements.len(), 1);
    }
}
