//! Objects: put, got, copied, deleted; conditions and names.

use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use tokio::task::JoinSet;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_a_plain_file_with_headers_and_survives_a_restart() {
    let scene = Scene::new();
    let put = scene.client.put_object().bucket(BUCKET).key("a/b c.json").body(ByteStream::from_static(b"{}"));
    let put = put.content_type("application/json").metadata("maker", "test").send().await.unwrap();
    assert_eq!(std::fs::read(scene.folder.path().join(BUCKET).join("a/b c.json")).unwrap(), b"{}");

    let scene = scene.restart().await;
    assert_eq!(scene.read("a/b c.json").await, b"{}");
    let head = scene.client.head_object().bucket(BUCKET).key("a/b c.json").send().await.unwrap();
    assert_eq!(head.content_type(), Some("application/json"));
    assert_eq!(head.metadata().unwrap()["maker"], "test");
    assert_eq!((head.e_tag(), head.content_length()), (put.e_tag(), Some(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_object_and_a_folder_are_no_object() {
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
async fn of_32_writers_who_want_to_be_the_first_one_is() {
    let scene = Scene::new();
    let mut writers = JoinSet::new();
    for n in 0..32 {
        let put = scene.client.put_object().bucket(BUCKET).key("contested").if_none_match("*");
        let put = put.body(ByteStream::from(format!("writer {n}").into_bytes()));
        writers.spawn(async move { (n, put.send().await) });
    }
    let mut winner = None;
    while let Some(done) = writers.join_next().await {
        match done.unwrap() {
            (n, Ok(_)) => assert_eq!(winner.replace(n), None, "a second winner"),
            (_, lost) => {
                let status = lost.as_ref().unwrap_err().raw_response().unwrap().status().as_u16();
                assert_eq!((status, code(lost).as_str()), (412, "PreconditionFailed"));
            }
        }
    }
    let winner = winner.expect("a winner");
    assert_eq!(scene.read("contested").await, format!("writer {winner}").into_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_among_writers_see_one_whole_object() {
    let scene = Scene::new();
    scene.put("shared", vec![0; 1000]).await;
    let mut all = JoinSet::new();
    for n in 1..=64_u8 {
        let (put, get) = (scene.client.put_object(), scene.client.get_object());
        let put = put.bucket(BUCKET).key("shared").body(vec![n; 1000].into());
        let get = get.bucket(BUCKET).key("shared");
        all.spawn(async move { drop(put.send().await.expect("written")) });
        // The client compares what it reads with the checksum that comes along.
        all.spawn(async move {
            let body = get.send().await.expect("an object").body.collect().await.expect("whole").to_vec();
            assert!(body.len() == 1000 && body.iter().all(|byte| *byte == body[0]));
        });
    }
    all.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_others_put_there_or_changed_is_an_object() {
    let scene = Scene::new();
    let path = scene.folder.path().join(BUCKET).join("results/rows.csv");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "a,b\n").unwrap();
    assert_eq!(scene.read("results/rows.csv").await, b"a,b\n");

    let old = scene.put("results/rows.csv", b"c,d\n".to_vec()).await;
    std::fs::write(&path, "e,f\n").unwrap();
    let later = std::time::SystemTime::now() + Duration::from_secs(5);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    let listed = scene.client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    assert_ne!(listed.contents()[0].e_tag(), Some(old.as_str()));
    assert_eq!(scene.read("results/rows.csv").await, b"e,f\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_object_leaves_nothing_and_makes_room() {
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
    assert_eq!(scene.side_cars(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_files_cannot_have_are_refused_with_a_reason() {
    let scene = Scene::new();
    scene.put("taken", b"x".to_vec()).await;
    std::fs::write(scene.folder.path().join("secret"), "x").unwrap();
    let put = async |key: &str| {
        let put = scene.client.put_object().bucket(BUCKET).key(key).body(ByteStream::from_static(b"y"));
        refused(put.send().await)
    };
    for key in ["../secret", "a/../b", "a/./b", "a//b", "/a"] {
        let (code, message) = put(key).await;
        assert_eq!(code, "InvalidArgument", "{key}: {message}");
        assert!(message.contains(&format!("{key:?}")), "{message}");
        assert_eq!(
            self::code(scene.client.get_object().bucket(BUCKET).key(key).send().await),
            "InvalidArgument"
        );
    }
    let (code, message) = put(&"k".repeat(200)).await;
    assert_eq!(code, "KeyTooLongError");
    assert!(message.contains("200 bytes long; 160 are allowed"), "{message}");
    scene.put(&"k".repeat(160), b"x".to_vec()).await;

    assert!(put("taken/below").await.1.contains("There is an object taken,"));
    scene.put("folder/object", b"x".to_vec()).await;
    assert!(put("folder").await.1.contains("There are objects below folder/"));
    assert_eq!(std::fs::read(scene.folder.path().join("secret")).unwrap(), b"x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_content_headers_and_etag_of_its_source() {
    let scene = Scene::new();
    let put = scene.client.put_object().bucket(BUCKET).key("from").body(ByteStream::from_static(b"one"));
    let put = put.content_type("text/plain").send().await.unwrap();
    scene.put("there already", b"another".to_vec()).await;
    for to in ["new/copy", "there already", "from"] {
        let copy = scene.client.copy_object().bucket(BUCKET).key(to).copy_source(format!("{BUCKET}/from"));
        copy.send().await.unwrap();
        let head = scene.client.head_object().bucket(BUCKET).key(to).send().await.unwrap();
        assert_eq!((head.e_tag(), head.content_type()), (put.e_tag(), Some("text/plain")));
        assert_eq!(scene.read(to).await, b"one");
    }
    let copy = |from: &str| scene.client.copy_object().bucket(BUCKET).key("from").copy_source(from).send();
    assert_eq!(code(copy("a-bucket/missing").await), "NoSuchKey");
    assert_eq!(code(copy("missing-bucket/from").await), "NoSuchBucket");
    assert_eq!(code(copy("a-bucket/../secret").await), "InvalidArgument");

    let copy = scene.client.copy_object().bucket(BUCKET).key("there already").copy_source("a-bucket/from");
    assert_eq!(code(copy.copy_source_if_match("\"other\"").send().await), "PreconditionFailed");
    assert_eq!(scene.read("there already").await, b"one");
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_and_conditions_of_a_get_are_kept() {
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
    get().if_match(&e_tag).send().await.unwrap();
    let absent = scene.client.put_object().bucket(BUCKET).key("absent").body(ByteStream::from_static(b"x"));
    assert_eq!(code(absent.if_match(&e_tag).send().await), "NoSuchKey");
    assert_eq!(code(get().if_match("\"other\"").send().await), "PreconditionFailed");
    let unchanged = get().if_none_match(&e_tag).send().await.unwrap_err();
    assert_eq!(unchanged.raw_response().unwrap().status().as_u16(), 304);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_can_be_signed_for_somebody_without_keys() {
    let scene = Scene::new();
    scene.put("shared file", b"for all".to_vec()).await;
    let soon = PresigningConfig::expires_in(Duration::from_mins(1)).unwrap();
    let signed = scene.client.get_object().bucket(BUCKET).key("shared file").presigned(soon).await.unwrap();
    let (status, body) = crate::web::tests::get(signed.uri()).await;
    assert_eq!((status, body.as_str()), (200, "for all"));
    let (status, body) = crate::web::tests::get(&signed.uri().replace("shared", "other")).await;
    assert_eq!(status, 403, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bytes_are_refused_and_what_was_there_stays() {
    let scene = Scene::new();
    scene.put("old", b"old".to_vec()).await;
    for key in ["old", "new"] {
        let put = scene.client.put_object().bucket(BUCKET).key(key).body(ByteStream::from_static(b"x"));
        assert_eq!(code(put.checksum_crc32("AAAAAA==").send().await), "BadDigest");
    }
    assert_eq!(scene.read("old").await, b"old");
    assert_eq!(code(scene.client.get_object().bucket(BUCKET).key("new").send().await), "NoSuchKey");
    assert_eq!(scene.side_cars(), 2);
    assert_eq!(std::fs::read_dir(scene.folder.path().join(".stage")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_system_says_against_writing_reaches_the_writer() {
    let scene = Scene::new();
    std::fs::write(scene.folder.path().join(".stage"), "where a folder should be").unwrap();
    let put = scene.client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"x"));
    let (code, message) = refused(put.send().await);
    assert_eq!(code, "InternalError");
    assert!(message.contains("The folder of the offline cloud cannot be used:"), "{message}");
    assert!(message.contains("os error"), "{message}");
    assert_eq!(scene.side_cars(), 1);
}
