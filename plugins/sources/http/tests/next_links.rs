//! Links to the next page, in a header or in the response.

use wiremock::matchers::{query_param, query_param_is_missing};

use super::*;

#[tokio::test]
async fn links_are_followed_to_the_last_page() {
    let server = MockServer::builder().start().await;
    let linked = |body: Value, link: &str| json_response(body).insert_header("Link", link);
    let first = linked(json!([1]), r#"</prices?page=2&k=s3cret>; rel="next", </prices?page=9>; rel="last""#);
    Mock::given(query_param_is_missing("page")).respond_with(first).mount(&server).await;
    Mock::given(query_param("page", "2")).respond_with(json_response(json!([2]))).mount(&server).await;
    let auth = json!({"strategy": "api_key", "in": "query", "name": "k", "value": "s3cret"});
    let run = run_once(&server, json!({"pagination": {"type": "link"}, "auth": auth})).await;
    assert_eq!(run.bodies, ["1", "2"]);
    let position = run.position.unwrap().to_string();
    assert!(!position.contains("s3cret"), "{position}");
    let requests = requests_to(&server).await;
    assert!(
        requests.iter().all(|request| request.url.query_pairs().filter(|(name, _)| name == "k").count() == 1)
    );
}

#[tokio::test]
async fn next_link_with_escapes_of_html_and_variables_is_followed() {
    for next in ["/prices?page={n}&amp;size=1", "/prices?size=1&#038;page={n}", "?size=1&amp;page={n}{&sort}"]
    {
        let server = respond(move |request: &Request| {
            let page = number(request, "page").unwrap_or(1);
            assert!(page == 1 || parameter(request, "size").is_some(), "{}", request.url);
            let next = next.replace("{n}", &(page + 1).to_string());
            let link = format!("<{next}>; rel=\"next\"");
            let answer = json_response(json!({"data": [page], "next": (page < 3).then_some(next)}));
            if page < 3 { answer.insert_header("Link", link) } else { answer }
        })
        .await;
        for pagination in [json!({"type": "link"}), json!({"type": "next_url", "next": "/next"})] {
            let run = run_once(&server, json!({"records": "/data", "pagination": pagination})).await;
            assert!(run.error.is_none() && run.bodies == numbers(1..4), "{next}: {run:?}");
        }
    }
}

#[tokio::test]
async fn next_link_that_is_relative_to_a_base_is_followed() {
    for (path, base, next) in [
        ("/wiki/rest/items", "https://team.example.com/wiki", "/rest/items?page="),
        ("/ex/7/wiki/rest/items", "https://team.example.com/wiki/", "/rest/items?page="),
        ("/ex/7/wiki/api/v2/items", "https://team.example.com/wiki", "/wiki/api/v2/items?page="),
        ("/items", "https://team.example.com/", "/items?page="),
        ("/items", "https://other.example.com/wiki", "/items?page="),
    ] {
        let server = respond(move |request: &Request| {
            assert_eq!(request.url.path(), path);
            let page = number(request, "page").unwrap_or(1);
            let next = (page < 3).then(|| format!("{next}{}", page + 1));
            json_response(json!({"data": [page], "_links": {"base": base, "next": next}}))
        })
        .await;
        let pagination = json!({"type": "next_url", "next": "/_links/next"});
        let endpoint = format!("{}{path}", server.uri());
        let options = json!({"endpoint": endpoint, "records": "/data", "pagination": pagination});
        let run = run_once(&server, options).await;
        assert!(run.error.is_none() && run.bodies == numbers(1..4), "{path}: {run:?}");
    }
}

#[tokio::test]
async fn saved_link_has_no_sent_value_and_asks_with_all_of_them() {
    let server = MockServer::builder().start().await;
    let link = "</prices?appid=s3cret%2F1&page=2&page_token=theirs&symbol=A>; rel=next";
    let first = json_response(json!([1])).insert_header("Link", link);
    Mock::given(query_param_is_missing("page")).respond_with(first).mount(&server).await;
    let second = json_response(json!([2, 3]));
    let asked = Mock::given(query_param("appid", "s3cret/1")).and(query_param("page_token", "theirs"));
    asked.and(query_param("page", "2")).respond_with(second).mount(&server).await;
    let options = json!({"pagination": {"type": "link"}, "query": {"appid": "s3cret/1", "symbol": "A"}});
    let part = run(&server, options.clone(), None, 2).await;
    assert_eq!(part.bodies, ["1", "2"]);
    let saved = part.position.clone().unwrap().to_string();
    assert!(
        saved.contains("?appid=***&page=2&page_token=theirs&symbol=***") && !saved.contains("s3cret"),
        "{saved}"
    );
    // A new key is used for the saved link too.
    let rest = run(&server, options.clone(), part.position.clone(), usize::MAX).await;
    assert_eq!(rest.bodies, ["3"], "{rest:?}");
    let mut renewed = options;
    renewed["query"]["appid"] = json!("renewed");
    let n_before = requests_to(&server).await.len();
    drop(run(&server, renewed, part.position, usize::MAX).await);
    let requests = requests_to(&server).await;
    assert!(requests[n_before].url.query().unwrap().starts_with("appid=renewed&page=2"));
}
