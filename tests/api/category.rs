//! The category tree.

use serde_json::{Value, json};

use crate::support::fixtures::{article_id, category_id};
use crate::support::{TestApp, operation};
use khabar::domain::viewer::Role;

const CREATE: &str = "mutation($input: CategoryCreateInput!) {
    categoryCreate(input: $input) { category { id path } userErrors { code field message } }
}";
const UPDATE: &str = "mutation($id: ID!, $input: CategoryUpdateInput!) {
    categoryUpdate(id: $id, input: $input) { category { slug } userErrors { code field message } }
}";
const MOVE: &str = "mutation($id: ID!, $input: CategoryMoveInput!) {
    categoryMove(id: $id, input: $input) { category { path } userErrors { code field message } }
}";
const DELETE: &str = "mutation($id: ID!, $replacement: ID) {
    categoryDelete(id: $id, replacement: $replacement) { deletedId replacement { slug } userErrors { code field message } }
}";

fn named(arabic: &str) -> Value {
    json!({ "names": [{ "locale": "ar-IQ", "name": arabic }] })
}

#[tokio::test]
async fn a_category_shows_the_stories_below_it() {
    let newsroom = TestApp::with_newsroom().await;
    newsroom.published("من العراق").await;
    let answer = newsroom
        .test
        .read(&operation("CategoryPage"), json!({ "slug": "العالم", "locale": "ar-IQ" }))
        .await;
    assert_eq!(answer.at("/category/articles/nodes/0/headline"), "من العراق");
    assert_eq!(answer.at("/category/children"), json!([{ "name": "العراق", "slug": "العراق" }]));

    let answer = newsroom
        .test
        .read(&operation("CategoryPage"), json!({ "slug": "iraq", "locale": "en" }))
        .await;
    assert_eq!(answer.at("/category/path"), "world/iraq");
    assert_eq!(answer.at("/category/ancestors"), json!([{ "name": "World", "slug": "world" }]));
    assert_eq!(
        answer.at("/category/articles/nodes"),
        json!([]),
        "an edition shows its own stories"
    );
}

#[tokio::test]
async fn only_admins_change_the_tree() {
    let newsroom = TestApp::with_newsroom().await;
    let id = category_id(newsroom.iraq.id);
    for (document, variables) in [
        (CREATE, json!({ "input": named("جديد") })),
        (UPDATE, json!({ "id": id, "input": named("جديد") })),
        (MOVE, json!({ "id": id, "input": {} })),
        (DELETE, json!({ "id": id })),
    ] {
        let reader = newsroom.test.read(document, variables.clone()).await;
        assert_eq!(reader.error_codes(), ["UNAUTHENTICATED"]);
        for role in [Role::Editor, Role::Reporter, Role::Moderator] {
            let staff = newsroom.test.as_role(role, document, variables.clone()).await;
            assert_eq!(staff.error_codes(), ["FORBIDDEN"], "{role:?}");
        }
    }
}

#[tokio::test]
async fn faults_in_a_new_category_are_all_named() {
    let newsroom = TestApp::with_newsroom().await;
    let names = json!([
        { "locale": "ar-IQ", "name": "العراق" },
        { "locale": "de", "name": "Irak" },
        { "locale": "en", "name": " " },
    ]);
    let input = json!({ "input": { "names": names } });
    let answer = newsroom.test.as_role(Role::Admin, CREATE, input).await;
    let expected =
        ["names.0.slug: SLUG_TAKEN", "names.1.locale: EDITION_NOT_FOUND", "names.2.name: BLANK"];
    assert_eq!(answer.user_errors("categoryCreate"), expected);
    let none =
        newsroom.test.as_role(Role::Admin, CREATE, json!({ "input": { "names": [] } })).await;
    assert_eq!(none.user_errors("categoryCreate"), ["names: BLANK"]);
    let mut orphan = named("يتيم");
    orphan["parent"] = "nonsense".into();
    let orphan = newsroom.test.as_role(Role::Admin, CREATE, json!({ "input": orphan })).await;
    assert_eq!(orphan.user_errors("categoryCreate"), ["parent: PARENT_NOT_FOUND"]);
}

#[tokio::test]
async fn an_old_slug_leads_to_the_new_one() {
    let newsroom = TestApp::with_newsroom().await;
    let variables = json!({ "id": category_id(newsroom.iraq.id), "input": named("بلاد الرافدين") });
    let renamed = newsroom.test.as_role(Role::Admin, UPDATE, variables).await;
    assert_eq!(renamed.at("/categoryUpdate/category/slug"), "بلاد-الرافدين");
    let document = "{ category(slug: \"العراق\", locale: \"ar-IQ\") { slug movedFrom } }";
    let found = newsroom.test.read(document, json!({})).await;
    assert_eq!(found.at("/category"), json!({ "slug": "بلاد-الرافدين", "movedFrom": "العراق" }));

    let new = newsroom.test.as_role(Role::Admin, CREATE, json!({ "input": named("العراق") })).await;
    assert_eq!(new.at("/categoryCreate/category/path"), "العراق", "a new one may take an old slug");
    let found = newsroom.test.read(document, json!({})).await;
    assert_eq!(found.at("/category/movedFrom"), json!(null));
}

#[tokio::test]
async fn a_category_moves_with_all_below_it_and_never_below_itself() {
    let newsroom = TestApp::with_newsroom().await;
    let baghdad = newsroom.test.category(Some(newsroom.iraq.id), "بغداد", "Baghdad").await;
    let asia = newsroom.test.category(None, "آسيا", "Asia").await;
    let into_child = json!({ "id": category_id(newsroom.world.id), "input": { "parent": category_id(baghdad.id) } });
    let cycle = newsroom.test.as_role(Role::Admin, MOVE, into_child).await;
    assert_eq!(cycle.user_errors("categoryMove"), ["parent: CYCLE"]);
    let itself = json!({ "id": category_id(asia.id), "input": { "parent": category_id(asia.id) } });
    let cycle = newsroom.test.as_role(Role::Admin, MOVE, itself).await;
    assert_eq!(cycle.user_errors("categoryMove"), ["parent: CYCLE"]);

    let to_asia =
        json!({ "id": category_id(newsroom.iraq.id), "input": { "parent": category_id(asia.id) } });
    let moved = newsroom.test.as_role(Role::Admin, MOVE, to_asia).await;
    assert_eq!(moved.at("/categoryMove/category/path"), "آسيا/العراق");
    let path = "{ category(slug: \"بغداد\", locale: \"ar-IQ\") { path } }";
    assert_eq!(newsroom.test.read(path, json!({})).await.at("/category/path"), "آسيا/العراق/بغداد");
    newsroom.published("خبر").await;
    for (slug, count) in [("العالم", 0), ("آسيا", 1)] {
        let page = newsroom
            .test
            .read(&operation("CategoryPage"), json!({ "slug": slug, "locale": "ar-IQ" }))
            .await;
        assert_eq!(page.at("/category/articles/nodes").as_array().unwrap().len(), count, "{slug}");
    }
    let to_root = json!({ "id": category_id(newsroom.iraq.id), "input": {} });
    let moved = newsroom.test.as_role(Role::Admin, MOVE, to_root).await;
    assert_eq!(moved.at("/categoryMove/category/path"), "العراق");
}

#[tokio::test]
async fn the_tree_does_not_grow_too_deep() {
    let newsroom = TestApp::with_newsroom().await;
    let mut parent = newsroom.iraq.id;
    for level in 3..=8 {
        let name = format!("مستوى {level}");
        parent = newsroom.test.category(Some(parent), &name, &name).await.id;
    }
    let mut input = named("أعمق");
    input["parent"] = category_id(parent).into();
    let deeper = newsroom.test.as_role(Role::Admin, CREATE, json!({ "input": input })).await;
    assert_eq!(deeper.user_errors("categoryCreate"), ["parent: TOO_DEEP"]);
    let above = newsroom.test.category(None, "فوق", "Above").await;
    let under = json!({ "id": category_id(newsroom.world.id), "input": { "parent": category_id(above.id) } });
    let deeper = newsroom.test.as_role(Role::Admin, MOVE, under).await;
    assert_eq!(deeper.user_errors("categoryMove"), ["parent: TOO_DEEP"]);
}

#[tokio::test]
async fn a_category_in_use_goes_only_with_a_replacement() {
    let newsroom = TestApp::with_newsroom().await;
    let article = newsroom.published("خبر").await;
    let baghdad = newsroom.test.category(Some(newsroom.iraq.id), "بغداد", "Baghdad").await;
    let id = category_id(newsroom.iraq.id);
    let refused = newsroom.test.as_role(Role::Admin, DELETE, json!({ "id": id })).await;
    assert_eq!(refused.user_errors("categoryDelete"), ["replacement: IN_USE"]);
    let message = refused.text("/categoryDelete/userErrors/0/message");
    assert!(message.contains("1 articles, 1 subcategories"), "{message}");
    let below = json!({ "id": id, "replacement": category_id(baghdad.id) });
    let refused = newsroom.test.as_role(Role::Admin, DELETE, below).await;
    assert_eq!(refused.user_errors("categoryDelete"), ["replacement: CYCLE"]);

    let replaced = json!({ "id": id, "replacement": category_id(newsroom.world.id) });
    let deleted = newsroom.test.as_role(Role::Admin, DELETE, replaced).await;
    assert_eq!(deleted.at("/categoryDelete/deletedId"), id.as_str());
    assert_eq!(deleted.at("/categoryDelete/userErrors"), json!([]));

    let document = "query($id: ID!) {
        article(id: $id) { category { name } }
        old: category(slug: \"العراق\", locale: \"ar-IQ\") { slug movedFrom children { slug } }
        oldEnglish: category(slug: \"iraq\", locale: \"en\") { slug }
    }";
    let answer = newsroom.test.read(document, json!({ "id": article_id(article.id) })).await;
    assert_eq!(
        answer.data(),
        &json!({
            "article": { "category": { "name": "العالم" } },
            "old": { "slug": "العالم", "movedFrom": "العراق", "children": [{ "slug": "بغداد" }] },
            "oldEnglish": { "slug": "world" },
        })
    );
    let leaf = json!({ "id": category_id(baghdad.id) });
    let deleted = newsroom.test.as_role(Role::Admin, DELETE, leaf).await;
    assert_eq!(deleted.at("/categoryDelete/userErrors"), json!([]));
    let gone = newsroom
        .test
        .read("{ category(slug: \"بغداد\", locale: \"ar-IQ\") { id } }", json!({}))
        .await;
    assert_eq!(gone.at("/category"), json!(null));
}
