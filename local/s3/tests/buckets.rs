//! Buckets: create, head, delete.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn missing_bucket_is_an_error_of_every_call() {
    let scene = Scene::new();
    let s3 = &scene.client;
    let missing = "missing-bucket";
    let content = || ByteStream::from_static(b"x");
    assert_eq!(code(s3.put_object().bucket(missing).key("k").body(content()).send().await), "NoSuchBucket");
    assert_eq!(code(s3.get_object().bucket(missing).key("k").send().await), "NoSuchBucket");
    assert_eq!(code(s3.delete_object().bucket(missing).key("k").send().await), "NoSuchBucket");
    assert_eq!(code(s3.list_objects_v2().bucket(missing).send().await), "NoSuchBucket");
    assert_eq!(code(s3.list_objects().bucket(missing).send().await), "NoSuchBucket");
    assert_eq!(code(s3.create_multipart_upload().bucket(missing).key("k").send().await), "NoSuchBucket");
    assert_eq!(code(s3.delete_bucket().bucket(missing).send().await), "NoSuchBucket");
    // A HEAD has no body to say more in.
    let head = s3.head_object().bucket(missing).key("k").send().await;
    assert!(head.unwrap_err().into_service_error().is_not_found());
    assert!(s3.head_bucket().bucket(missing).send().await.unwrap_err().into_service_error().is_not_found());
    assert!(!scene.folder.path().join(missing).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn bucket_is_created_once_and_deleted_when_empty() {
    let scene = Scene::new();
    let s3 = &scene.client;
    s3.create_bucket().bucket("another-bucket").send().await.unwrap();
    assert_eq!(code(s3.create_bucket().bucket("another-bucket").send().await), "BucketAlreadyOwnedByYou");
    s3.head_bucket().bucket("another-bucket").send().await.unwrap();
    let buckets = s3.list_buckets().send().await.unwrap();
    let names: Vec<_> = buckets.buckets().iter().filter_map(|it| it.name()).collect();
    assert_eq!(names, ["a-bucket", "another-bucket"]);

    scene.put("folder/object", b"x".to_vec()).await;
    assert_eq!(code(s3.delete_bucket().bucket(BUCKET).send().await), "BucketNotEmpty");
    assert_eq!(scene.read("folder/object").await, b"x");
    s3.delete_object().bucket(BUCKET).key("folder/object").send().await.unwrap();
    s3.delete_bucket().bucket(BUCKET).send().await.unwrap();
    assert!(!scene.folder.path().join(BUCKET).exists());
}
