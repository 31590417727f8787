//! Uploads in several parts.

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::*;

async fn begin(scene: &Scene, key: &str) -> String {
    let begun = scene.client.create_multipart_upload().bucket(BUCKET).key(key).content_type("text/csv");
    begun.send().await.unwrap().upload_id.unwrap()
}

async fn upload(scene: &Scene, key: &str, id: &str, number: i32, content: Vec<u8>) -> CompletedPart {
    let part = scene.client.upload_part().bucket(BUCKET).key(key).upload_id(id).part_number(number);
    let e_tag = part.body(content.into()).send().await.unwrap().e_tag.unwrap();
    CompletedPart::builder().part_number(number).e_tag(e_tag).build()
}

fn all(parts: impl IntoIterator<Item = CompletedPart>) -> CompletedMultipartUpload {
    CompletedMultipartUpload::builder().set_parts(Some(parts.into_iter().collect())).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_uploaded_in_any_order() {
    let scene = Scene::new();
    scene.put("large", b"small".to_vec()).await;
    let id = begin(&scene, "large").await;
    let third = upload(&scene, "large", &id, 3, vec![b'3'; 10]).await;
    let first = upload(&scene, "large", &id, 1, vec![b'1'; 2_000_000]).await;
    let second = upload(&scene, "large", &id, 2, vec![b'2'; 20]).await;
    assert_eq!(scene.read("large").await, b"small");

    let complete = scene.client.complete_multipart_upload().bucket(BUCKET).key("large").upload_id(&id);
    let done = complete.multipart_upload(all([first, second, third])).send().await.unwrap();
    let expected = [vec![b'1'; 2_000_000], vec![b'2'; 20], vec![b'3'; 10]].concat();
    assert!(scene.read("large").await == expected);
    let listed = scene.client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    assert_eq!(listed.contents()[0].e_tag(), done.e_tag());
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_with_wrong_parts_is_refused_and_can_continue() {
    let scene = Scene::new();
    let id = begin(&scene, "large").await;
    let first = upload(&scene, "large", &id, 1, vec![b'1'; 10]).await;
    let last = upload(&scene, "large", &id, 2, vec![b'2'; 10]).await;
    let complete = |key: &str, parts| {
        let complete = scene.client.complete_multipart_upload().bucket(BUCKET).key(key).upload_id(&id);
        complete.multipart_upload(all(parts)).send()
    };
    let missing = CompletedPart::builder().part_number(3).e_tag("x").build();
    let wrong = CompletedPart::builder().part_number(1).e_tag("x").build();
    assert_eq!(code(complete("large", vec![last, first.clone()]).await), "InvalidPartOrder");
    assert_eq!(code(complete("large", vec![wrong]).await), "InvalidPart");
    assert_eq!(code(complete("large", vec![first.clone(), missing]).await), "InvalidPart");
    assert_eq!(code(complete("other", vec![first.clone()]).await), "NoSuchUpload");
    complete("large", vec![first.clone()]).await.unwrap();
    assert_eq!(code(complete("large", vec![first]).await), "NoSuchUpload");
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_upload_leaves_nothing() {
    let scene = Scene::new();
    let id = begin(&scene, "large").await;
    upload(&scene, "large", &id, 1, vec![b'1'; 10]).await;
    scene.client.abort_multipart_upload().bucket(BUCKET).key("large").upload_id(&id).send().await.unwrap();
    assert_eq!(scene.n_staged(), 0);
    for missing in [&*id, "../x"] {
        let part = scene.client.upload_part().bucket(BUCKET).key("large").upload_id(missing).part_number(1);
        assert_eq!(code(part.body(ByteStream::from_static(b"x")).send().await), "NoSuchUpload");
    }
}
