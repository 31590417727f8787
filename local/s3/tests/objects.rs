//! Objects: put, get, copy, delete; conditions and keys.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use tokio::task::JoinSet;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn missing_object_and_folder_are_not_found() {
    let scene = Scene::new();
    scene.put("a/b", b"x".to_vec()).await;
    for key in ["c", "a", "a/", "a/b/c", "a/b/"] {
        let got = scene.client.get_object().bucket(BUCKET).key(key).send().await;
        assert_eq!(code(got), "NoSuchKey", "{key}");
        let head = scene.client.head_object().bucket(BUCKET).key(key).send().await;
        assert!(head.unwrap_err().into_service_error().is_not_found(), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_one_whole_object_while_it_is_replaced() {
    let scene = Scene::new();
    scene.put("shared", vec![0; 1000]).await;
    let mut all = JoinSet::new();
    for n in 1..=64_u8 {
        let (put, get) = (scene.client.put_object(), scene.client.get_object());
        let put = put.bucket(BUCKET).key("shared").body(vec![n; 1000].into());
        let get = get.bucket(BUCKET).key("shared");
        all.spawn(async move { drop(put.send().await.expect("written")) });
        all.spawn(async move {
            let body = get.send().await.expect("an object").body.collect().await.expect("whole").to_vec();
            assert!(body.len() == 1000 && body.iter().all(|byte| *byte == body[0]));
        });
    }
    all.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_object_leaves_nothing() {
    let scene = Scene::new();
    for key in ["a/b/c", "x", "y", "z"] {
        scene.put(key, b"x".to_vec()).await;
    }
    scene.client.delete_object().bucket(BUCKET).key("a/b/c").send().await.unwrap();
    scene.client.delete_object().bucket(BUCKET).key("never was").send().await.unwrap();
    scene.put("a", b"where a folder was".to_vec()).await;

    let keys =
        ["x", "y", "z", "a", "never was"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(keys.to_vec())).build().unwrap();
    let deleted = scene.client.delete_objects().bucket(BUCKET).delete(delete).send().await.unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (5, 0));
    assert_eq!(scene.client.list_objects_v2().bucket(BUCKET).send().await.unwrap().key_count(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_files_are_refused() {
    let scene = Scene::new();
    scene.put("taken", b"x".to_vec()).await;
    std::fs::write(scene.folder.path().join("secret"), "x").unwrap();
    let put = async |key: &str| {
        let put = scene.client.put_object().bucket(BUCKET).key(key).body(ByteStream::from_static(b"y"));
        refused(put.send().await)
    };
    for key in ["../secret", "a/../b", "a/./b", "..", "/", "a//b", "/a", "a/b//"] {
        let (code, message) = put(key).await;
        assert_eq!(code, "InvalidArgument", "{key}: {message}");
        assert!(message.contains(&format!("{key:?}")), "{message}");
        let got = scene.client.get_object().bucket(BUCKET).key(key).send().await;
        assert_eq!(self::code(got), "InvalidArgument");
    }
    scene.put(&"k".repeat(250), b"x".to_vec()).await;

    assert!(put("taken/below").await.1.contains("cannot be an object taken/below"));
    scene.put("folder/object", b"x".to_vec()).await;
    assert!(put("folder").await.1.contains("objects below it"));
    assert_eq!(std::fs::read(scene.folder.path().join("secret")).unwrap(), b"x");
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_has_the_content_of_its_source() {
    let scene = Scene::new();
    scene.put("from", b"one".to_vec()).await;
    scene.put("there already", b"another".to_vec()).await;
    for to in ["new/copy", "there already", "from"] {
        let copy = scene.client.copy_object().bucket(BUCKET).key(to).copy_source(format!("{BUCKET}/from"));
        copy.send().await.unwrap();
        assert_eq!(scene.read(to).await, b"one");
    }
    let copy = |from: &str| scene.client.copy_object().bucket(BUCKET).key("from").copy_source(from).send();
    assert_eq!(code(copy("a-bucket/missing").await), "NoSuchKey");
    assert_eq!(code(copy("missing-bucket/from").await), "NoSuchBucket");
    assert_eq!(code(copy("a-bucket/../secret").await), "InvalidArgument");
}

#[tokio::test(flavor = "multi_thread")]
async fn get_follows_ranges_and_put_follows_if_match() {
    let scene = Scene::new();
    let e_tag = scene.put("digits", b"0123456789".to_vec()).await;
    for (range, expected) in
        [("bytes=2-4", "234"), ("bytes=7-", "789"), ("bytes=-2", "89"), ("bytes=0-99", "0123456789")]
    {
        let got = scene.client.get_object().bucket(BUCKET).key("digits").range(range).send().await.unwrap();
        assert_eq!(got.body.collect().await.unwrap().to_vec(), expected.as_bytes(), "{range}");
    }
    let get = || scene.client.get_object().bucket(BUCKET).key("digits");
    assert_eq!(code(get().range("bytes=10-").send().await), "InvalidRange");
    let put = |key, e_tag: &str| scene.client.put_object().bucket(BUCKET).key(key).if_match(e_tag).send();
    assert_eq!(code(put("absent", &e_tag).await), "NoSuchKey");
    assert_eq!(code(put("digits", "\"other\"").await), "PreconditionFailed");
    put("digits", &e_tag).await.unwrap();
}
