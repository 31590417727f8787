//! A request for one page, as it is saved in the position.

use serde::{Deserialize, Serialize};

use super::count::PageCount;

/// A request for one page of a walk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Saved", try_from = "Saved")]
pub(crate) struct PageRequest {
    pub(crate) place: PagePlace,
    /// How many pages of the walk come before this one.
    pub(crate) n_pages: u64,
    /// How many elements these pages held.
    pub(crate) n_elements: u64,
}

/// What tells one page from the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PagePlace {
    /// The endpoint of the pipeline file.
    First,
    /// The page with this number.
    Page(u64),
    /// The page that begins with this element.
    Offset(u64),
    /// The cursor that the API returned.
    Cursor(String),
    /// The query parameters that the API returned, a JSON object.
    Parameters(String),
    /// The URL of the next page that a response contained, without the API key.
    Link(String),
}

impl PageRequest {
    /// The request for the first page of a walk.
    pub(crate) fn first(place: PagePlace) -> Self {
        PageRequest { place, n_pages: 0, n_elements: 0 }
    }

    /// The request for the page after this one, whose response contained `count`.
    pub(crate) fn next(&self, place: PagePlace, count: PageCount) -> Self {
        PageRequest { place, n_pages: self.n_pages + 1, n_elements: self.n_elements + count.step }
    }

    /// Whether pages are counted, so that one that does not exist may be the end.
    pub(crate) fn is_numbered(&self) -> bool {
        matches!(self.place, PagePlace::Page(_) | PagePlace::Offset(_))
    }
}

/// The form in a checkpoint: `"first"`, or a table such as `{"page": 7}`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Saved {
    First(First),
    Place {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        page: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parameters: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<String>,
        #[serde(default, skip_serializing_if = "is_zero")]
        n_pages: u64,
        #[serde(default, skip_serializing_if = "is_zero")]
        n_elements: u64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum First {
    First,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl From<PageRequest> for Saved {
    fn from(request: PageRequest) -> Self {
        let PageRequest { place, n_pages, n_elements } = request;
        let (mut page, mut offset, mut cursor, mut parameters, mut link) = (None, None, None, None, None);
        match place {
            PagePlace::First => return Saved::First(First::First),
            PagePlace::Page(number) => page = Some(number),
            PagePlace::Offset(number) => offset = Some(number),
            PagePlace::Cursor(text) => cursor = Some(text),
            PagePlace::Parameters(object) => parameters = Some(object),
            PagePlace::Link(text) => link = Some(text),
        }
        Saved::Place { page, offset, cursor, parameters, link, n_pages, n_elements }
    }
}

impl TryFrom<Saved> for PageRequest {
    type Error = &'static str;

    fn try_from(saved: Saved) -> Result<Self, Self::Error> {
        let (place, n_pages, n_elements) = match saved {
            Saved::First(First::First) => (PagePlace::First, 0, 0),
            Saved::Place { page, offset, cursor, parameters, link, n_pages, n_elements } => {
                let place = page.map(PagePlace::Page).or(offset.map(PagePlace::Offset));
                let place = place.or(cursor.map(PagePlace::Cursor)).or(link.map(PagePlace::Link));
                let place = place.or(parameters.map(PagePlace::Parameters));
                (place.ok_or("the request names no page")?, n_pages, n_elements)
            }
        };
        Ok(PageRequest { place, n_pages, n_elements })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn request_round_trips_and_earlier_forms_are_read() {
        for place in [
            PagePlace::First,
            PagePlace::Page(7),
            PagePlace::Offset(40),
            PagePlace::Cursor("b=".into()),
            PagePlace::Parameters(r#"{"after":7}"#.into()),
            PagePlace::Link("http://a/?x=1".into()),
        ] {
            let request = PageRequest::first(place.clone());
            let saved = serde_json::to_value(&request).unwrap();
            assert_eq!(serde_json::from_value::<PageRequest>(saved).unwrap(), request);
            let counted = PageRequest { n_pages: 2, n_elements: 9, ..request };
            if place != PagePlace::First {
                let saved = serde_json::to_value(&counted).unwrap();
                assert_eq!(serde_json::from_value::<PageRequest>(saved).unwrap(), counted);
            }
        }
        let read = |saved: Value| serde_json::from_value::<PageRequest>(saved);
        assert_eq!(read(json!("first")).unwrap().place, PagePlace::First);
        assert_eq!(read(json!({"page": 7})).unwrap(), PageRequest::first(PagePlace::Page(7)));
        assert!(read(json!({"n_pages": 1})).is_err());
    }
}
