//! Databases of clients.

use super::*;

#[tokio::test]
async fn database_is_created_once_and_found_in_any_case() {
    let scene = Scene::new();
    scene
        .ask("CreateDatabase", json!({ "DatabaseInput": { "Name": "Realtime-DE-db", "Description": "d" } }))
        .await;
    let answer = scene.ask("GetDatabase", json!({ "Name": "realtime-de-DB" })).await;
    assert_eq!(answer["Database"]["Name"], "realtime-de-db");
    assert_eq!(answer["Database"]["Description"], "d");
    let again =
        scene.refusal("CreateDatabase", json!({ "DatabaseInput": { "Name": "realtime-de-db" } })).await;
    assert!(again.starts_with("AlreadyExistsException"), "{again}");
    let missing = scene.refusal("GetDatabase", json!({ "Name": "other" })).await;
    assert_eq!(missing, "EntityNotFoundException: Database other not found.");
}

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
