//! Pages that overlap, and ends that count something else.

use super::*;

fn options(more: Value) -> Value {
    let mut options = page_options();
    options["pagination"] = with(options["pagination"].take(), &more);
    options
}

#[tokio::test]
async fn page_number_that_the_api_takes_for_an_offset_is_an_error() {
    let server = paged(|first| json!({"data": (first..25.min(first + 10)).collect::<Vec<_>>()})).await;
    let run = run_once(&server, page_options()).await;
    assert_eq!(run.bodies, numbers(1..11), "no copy is delivered");
    let failure = run.failure();
    assert_contains(&failure, &["fatal: ", "type = \"offset\", param = \"page\""]);
    // The other type reads all of them, and none twice.
    let pagination = json!({"type": "offset", "param": "page"});
    let whole = run_once(&server, json!({"records": "/data", "pagination": pagination})).await;
    assert!(whole.error.is_none() && whole.bodies == numbers(0..25), "{whole:?}");
}

#[tokio::test]
async fn ignored_page_is_an_error_even_if_the_walk_would_end() {
    for ends in [json!({"total": "/count"}), json!({"max_pages": 2}), json!({"last": "/pages"})] {
        let server = paged(|_| json!({"data": [1, 2, 3], "count": 6, "pages": 2})).await;
        let run = run_once(&server, options(ends.clone())).await;
        assert_eq!(run.bodies, numbers(1..4), "{ends}");
        assert!(run.failure().contains("does the API read `page`?"), "{ends} {}", run.failure());
        assert!(run.failure().contains("a member that tells them apart"), "{ends} {}", run.failure());
    }
}

#[tokio::test]
async fn first_page_again_behind_the_last_is_an_error_that_repeats_no_record() {
    for size in [2, 20] {
        let server = paged(move |page| {
            let first = if page <= 3 { (page - 1) * size } else { 0 };
            json!({"data": (first..first + size).collect::<Vec<_>>()})
        })
        .await;
        let run = run_once(&server, page_options()).await;
        assert_eq!(run.bodies, numbers(0..3 * size), "no copy is delivered");
        assert_contains(
            &run.failure(),
            &["page=4", "every record of the first page", "its first or its last page"],
        );
    }
}

/// An API that reads `page`, or an `offset` at which a page begins.
async fn listed(records: &'static [u32], size: usize) -> MockServer {
    respond(move |request: &Request| {
        let (name, value) = request.url.query_pairs().next().expect("a place");
        let number: usize = value.parse().expect("a number");
        let first = if name == "page" { (number - 1) * size } else { number };
        if first % size != 0 {
            return ResponseTemplate::new(404);
        }
        let first = first.min(records.len());
        json_response(json!({"data": records[first..records.len().min(first + size)]}))
    })
    .await
}

#[tokio::test]
async fn records_that_are_equal_by_chance_end_no_run() {
    let lists: [(&[u32], usize); 8] = [
        (&[1, 1, 2, 3], 1),
        (&[7, 7, 7, 8], 2),
        // The API has no page at offset 1.
        (&[1, 2, 2, 3], 2),
        (&[5, 0, 0, 0, 0, 0, 0, 2], 4),
        (&[0, 0, 0, 0, 0, 0, 0, 2], 4),
        (&[1, 2, 1, 2, 1, 2], 2),
        (&[1, 2, 1, 3], 1),
        (&[1, 2, 1, 1, 3], 1),
    ];
    for (records, size) in lists {
        let all: Vec<String> = records.iter().map(ToString::to_string).collect();
        for place in ["page", "offset"] {
            let server = listed(records, size).await;
            let pagination = json!({"type": place, "param": place});
            let run = run_once(&server, json!({"records": "/data", "pagination": pagination})).await;
            assert!(run.error.is_none() && run.bodies == all, "{place} {run:?}");
        }
    }
}

#[tokio::test]
async fn total_that_counts_pages_ends_no_walk() {
    let pages = |page: usize| (page * 10 - 10..25.min(page * 10)).collect::<Vec<_>>();
    let server = paged(move |page| json!({"data": pages(page), "n": 3, "count": 25})).await;
    let run = run_once(&server, options(json!({"total": "/n"}))).await;
    assert!(run.error.is_none() && run.bodies == numbers(0..25), "{run:?}");
    let run = run_once(&server, options(json!({"total": "/count"}))).await;
    assert!(run.error.is_none() && run.bodies == numbers(0..25), "{run:?}");
}

#[tokio::test]
async fn ignored_parameter_of_a_request_with_a_body_names_the_body() {
    let server = paged(|_| json!({"data": [1, 2, 3]})).await;
    let mut options = page_options();
    options["body"] = json!("{}");
    options["method"] = json!("POST");
    let failure = run_once(&server, options).await.failure();
    assert_contains(&failure, &["`in = \"body\"`"]);
}
