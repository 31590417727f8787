//! Lists of entries.

use super::*;

#[tokio::test]
async fn long_lists_have_pages() {
    let scene = Scene::new();
    for n in 0..5 {
        scene.ask("CreateDatabase", json!({ "DatabaseInput": { "Name": format!("d{n}") } })).await;
    }
    let databases =
        Scene::pages("/DatabaseList", json!({}), async |input| scene.ask("GetDatabases", input).await).await;
    let names: Vec<&Value> = databases.iter().map(|it| &it["Name"]).collect();
    assert_eq!(names, ["d0", "d1", "d2", "d3", "d4"]);
}
