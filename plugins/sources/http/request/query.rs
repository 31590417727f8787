//! Changes parameters in the query of a URL; the others stay byte for byte.

use reqwest::Url;

/// Replaces values of query parameters; the others stay byte for byte.
pub(crate) fn replace_values(url: &mut Url, new_value: impl Fn(&str, &str) -> Option<String>) {
    let Some(query) = url.query() else { return };
    let piece = |piece: &str| {
        let (name, value) = url::form_urlencoded::parse(piece.as_bytes()).next()?;
        let value = new_value(&name, &value)?;
        Some(url::form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish())
    };
    let pieces: Vec<String> = query.split('&').map(|it| piece(it).unwrap_or_else(|| it.to_owned())).collect();
    url.set_query(Some(&pieces.join("&")));
}

/// Replaces a query parameter; the others stay byte for byte.
pub(crate) fn set_parameter(url: &mut Url, name: &str, value: Option<&str>) {
    let is_other = |piece: &&str| {
        !piece.is_empty() && url::form_urlencoded::parse(piece.as_bytes()).all(|(known, _)| known != name)
    };
    let kept: Vec<&str> = url.query().unwrap_or_default().split('&').filter(is_other).collect();
    let kept = (!kept.is_empty()).then(|| kept.join("&"));
    url.set_query(kept.as_deref());
    if let Some(value) = value {
        url.query_pairs_mut().append_pair(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::client::HIDDEN;
    use super::*;

    #[test]
    fn set_parameter_leaves_other_parameters_unchanged() {
        let mut url = Url::parse("http://a/?q=x%20y&page=1&page=2&flag").unwrap();
        set_parameter(&mut url, "page", Some("3 4"));
        assert_eq!(url.query(), Some("q=x%20y&flag&page=3+4"));
        set_parameter(&mut url, "q", None);
        set_parameter(&mut url, "flag", None);
        set_parameter(&mut url, "page", None);
        assert_eq!(url.as_str(), "http://a/");
    }

    #[test]
    fn replace_values_keeps_the_order_and_other_parameters() {
        let mut url = Url::parse("http://a/?q=x%20y&appid=a%2Fb&appid=c&flag").unwrap();
        replace_values(&mut url, |name, value| {
            ((name, value) == ("appid", "a/b")).then(|| HIDDEN.to_owned())
        });
        assert_eq!(url.query(), Some("q=x%20y&appid=***&appid=c&flag"));
        replace_values(&mut url, |_, value| (value == HIDDEN).then(|| "a/b".to_owned()));
        assert_eq!(url.query(), Some("q=x%20y&appid=a%2Fb&appid=c&flag"));
    }
}
