//! Listings: pages, prefixes, delimiters.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn listing_of_2500_keys_has_three_sorted_pages() {
    let scene = Scene::new();
    let mut expected: Vec<String> = (0..2_500).map(|n| format!("stock_market_{n}.json")).collect();
    for key in &expected {
        std::fs::write(scene.folder.path().join(BUCKET).join(key), key).unwrap();
    }
    expected.sort_unstable();
    let mut pages = scene.client.list_objects_v2().bucket(BUCKET).into_paginator().send();
    let mut sizes = Vec::new();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        sizes.push(page.contents().len());
        keys.extend(page.contents().iter().map(|it| it.key().unwrap().to_owned()));
    }
    assert_eq!((sizes, keys), (vec![1_000, 1_000, 500], expected.clone()));

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
async fn listing_agrees_with_head() {
    let scene = Scene::new();
    let e_tag = scene.put("a/b", b"four".to_vec()).await;
    let listed = scene.client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    let head = scene.client.head_object().bucket(BUCKET).key("a/b").send().await.unwrap();
    let object = &listed.contents()[0];
    assert_eq!((object.e_tag(), head.e_tag()), (Some(e_tag.as_str()), Some(e_tag.as_str())));
    assert_eq!((object.size(), head.content_length()), (Some(4), Some(4)));
    assert_eq!(object.last_modified().unwrap().secs(), head.last_modified().unwrap().secs());
}

#[tokio::test(flavor = "multi_thread")]
async fn common_prefixes_are_paged() {
    let scene = Scene::new();
    for key in ["a", "dir/1", "dir/2", "dir2/1", "z"] {
        scene.put(key, b"x".to_vec()).await;
    }
    let list = || scene.client.list_objects_v2().bucket(BUCKET).delimiter("/");
    let listed = list().send().await.unwrap();
    let groups: Vec<_> = listed.common_prefixes().iter().filter_map(|it| it.prefix()).collect();
    let keys: Vec<_> = listed.contents().iter().filter_map(|it| it.key()).collect();
    assert_eq!((groups, keys, listed.key_count()), (vec!["dir/", "dir2/"], vec!["a", "z"], Some(4)));

    let mut pages = list().max_keys(1).into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        names.extend(page.contents().iter().filter_map(|it| it.key().map(str::to_owned)));
        names.extend(page.common_prefixes().iter().filter_map(|it| it.prefix().map(str::to_owned)));
    }
    assert_eq!(names, ["a", "dir/", "dir2/", "z"]);

    let below = scene.client.list_objects_v2().bucket(BUCKET).prefix("dir/").start_after("dir/1");
    assert_eq!(below.send().await.unwrap().contents()[0].key(), Some("dir/2"));
    assert_eq!(code(list().max_keys(-1).send().await), "InvalidArgument");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_encoded_on_request() {
    let scene = Scene::new();
    scene.put("a b/ä+%.txt", b"x".to_vec()).await;
    let list = scene.client.list_objects_v2().bucket(BUCKET).prefix("a ");
    let listed = list.encoding_type(aws_sdk_s3::types::EncodingType::Url).send().await.unwrap();
    assert_eq!(listed.contents()[0].key(), Some("a%20b/%C3%A4%2B%25.txt"));
    assert_eq!(listed.prefix(), Some("a%20"));
}
