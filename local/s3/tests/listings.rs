//! Listings: pages, prefixes, delimiters.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn first_version_of_the_call_has_pages_by_marker() {
    let scene = Scene::new();
    let mut expected: Vec<String> = (0..2_500).map(|n| format!("stock_market_{n}.json")).collect();
    for key in &expected {
        std::fs::write(scene.folder.path().join(BUCKET).join(key), key).unwrap();
    }
    expected.sort_unstable();
    let mut marker = None;
    let mut keys = Vec::new();
    loop {
        let list = scene.client.list_objects().bucket(BUCKET).max_keys(999).set_marker(marker);
        let page = list.send().await.unwrap();
        keys.extend(page.contents().iter().map(|it| it.key().unwrap().to_owned()));
        marker = page.next_marker().map(Into::into);
        if page.is_truncated() != Some(true) {
            break;
        }
    }
    assert_eq!(keys, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_all_sizes_have_the_same_sorted_items() {
    let scene = Scene::new();
    for key in ["a", "b-1", "b/1", "b/2/x", "b/2/y", "b0", "c d/e", "ä"] {
        scene.put(key, key.as_bytes().to_vec()).await;
    }
    std::fs::create_dir_all(scene.folder.path().join(BUCKET).join("b/empty/empty")).unwrap();
    for (prefix, delimiter, after, expected) in [
        ("", None, "", "a b-1 b/1 b/2/x b/2/y b0 c d/e ä"),
        ("", Some("/"), "", "a b-1 b/ b0 c d/ ä"),
        ("", Some("/"), "b/", "b0 c d/ ä"),
        ("b", None, "b/2/x", "b/2/y b0"),
        ("b/", Some("/"), "", "b/1 b/2/"),
        ("b/2", Some("-"), "", "b/2/x b/2/y"),
        ("x/", None, "", ""),
    ] {
        for limit in [1, 2, 100] {
            let list = scene.client.list_objects_v2().bucket(BUCKET).prefix(prefix).start_after(after);
            let list = list.set_delimiter(delimiter.map(Into::into)).max_keys(limit);
            let mut pages = list.into_paginator().send();
            let mut names = Vec::new();
            while let Some(page) = pages.next().await {
                let page = page.unwrap();
                let mut of_page: Vec<String> =
                    page.contents().iter().filter_map(|it| it.key.clone()).collect();
                of_page.extend(page.common_prefixes().iter().filter_map(|it| it.prefix.clone()));
                of_page.sort_unstable();
                assert_eq!(page.key_count(), Some(of_page.len() as i32));
                assert!(of_page.len() == limit as usize || page.next_continuation_token().is_none());
                names.extend(of_page);
            }
            assert_eq!(names.join(" "), expected, "{prefix:?} after {after:?}, {limit} a page");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_encoded_on_request() {
    let scene = Scene::new();
    scene.put("a b/ä+%.txt", b"x".to_vec()).await;
    let list = scene.client.list_objects_v2().bucket(BUCKET).prefix("a ");
    let listed = list.encoding_type(aws_sdk_s3::types::EncodingType::Url).send().await.unwrap();
    assert_eq!(listed.contents()[0].key(), Some("a+b/%C3%A4%2B%25.txt"));
    assert_eq!(listed.prefix(), Some("a+"));
}
