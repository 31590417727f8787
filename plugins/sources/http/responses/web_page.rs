//! Recognizes a web page in the place of a response: a login page, or one about maintenance.

use super::body_status::contains_any;
use super::response::Response;
use crate::shared::formats::text::TextKind;

/// Words in the title of a page that says that the API is not available for a time.
const TEMPORARY: &str = "MAINTENANCE|UNAVAILABLE|OFFLINE|TRY AGAIN|BE BACK|BAD GATEWAY|GATEWAY TIMEOUT|GATEWAY TIME OUT|\
    TOO MANY REQUESTS|OVERLOADED|UPGRADING";

pub(super) fn is_web_page(response: &Response) -> bool {
    TextKind::of(&response.body, false) == Some(TextKind::Html)
        || response.content_type().starts_with("text/html")
}

/// The title of a web page.
pub(super) fn title_of(response: &Response) -> Option<String> {
    if !is_web_page(response) {
        return None;
    }
    let page = String::from_utf8_lossy(&response.body);
    let in_lower_case = page.to_ascii_lowercase();
    let tag = in_lower_case.find("<title")?;
    let begin = tag + in_lower_case[tag..].find('>')? + 1;
    let end = begin + in_lower_case[begin..].find("</title")?;
    let title = page[begin..end].trim();
    (!title.is_empty()).then(|| title.to_owned())
}

/// Whether a title says that the API is not available for a time.
pub(super) fn is_temporary(title: &str) -> bool {
    contains_any(title, TEMPORARY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_tells_whether_the_api_is_not_available() {
        for title in [
            "Down for Maintenance",
            "503 Service Temporarily Unavailable",
            "We'll be back soon",
            "Bad Gateway",
        ] {
            assert!(is_temporary(title), "{title}");
        }
        for title in ["Log in", "Maintenanceless", "Just a moment...", "Example Domain", "Cookie consent"] {
            assert!(!is_temporary(title), "{title}");
        }
    }
}
