//! Editions and the line above every page.

use serde_json::json;

use crate::support::{TestApp, operation};
use khabar::domain::viewer::Role;

#[tokio::test]
async fn the_header_is_written_as_the_locale_writes_it() {
    let newsroom = TestApp::with_newsroom().await;
    let answer = newsroom.test.read(&operation("SiteHeader"), json!({ "locale": "ar-iq" })).await;
    insta::assert_json_snapshot!(answer.at("/edition"), @r#"
    {
      "direction": "RTL",
      "localTime": {
        "formatted": "السبت 23 تشرين الثاني 07:39",
        "instant": "2024-11-23T04:39:00+00:00"
      },
      "locale": "ar-IQ",
      "name": "خبر",
      "place": {
        "name": "Erbil",
        "temperatureCelsius": null
      },
      "timeZone": "Asia/Baghdad"
    }
    "#);
}

#[tokio::test]
async fn an_unknown_locale_is_nothing() {
    let newsroom = TestApp::with_newsroom().await;
    for locale in ["de", "", "not a locale", "\u{0}"] {
        let answer =
            newsroom.test.read(&operation("SiteHeader"), json!({ "locale": locale })).await;
        assert_eq!(answer.data(), &json!({ "edition": null, "categories": [] }), "{locale:?}");
    }
}

#[tokio::test]
async fn admins_add_editions() {
    let newsroom = TestApp::with_newsroom().await;
    let document = "mutation($input: EditionCreateInput!) {
        editionCreate(input: $input) { edition { locale direction } userErrors { code field message } }
    }";
    let input = |locale: &str, zone: &str| json!({ "input": { "locale": locale, "name": "خەبەر", "direction": "RTL", "timeZone": zone } });
    let editor =
        newsroom.test.as_role(Role::Editor, document, input("ckb-IQ", "Asia/Baghdad")).await;
    assert_eq!(editor.error_codes(), ["FORBIDDEN"]);
    let added = newsroom.test.as_role(Role::Admin, document, input("CKB-iq", "Asia/Baghdad")).await;
    assert_eq!(
        added.at("/editionCreate/edition"),
        json!({ "locale": "ckb-IQ", "direction": "RTL" })
    );
    let again = newsroom.test.as_role(Role::Admin, document, input("ckb-IQ", "Asia/Baghdad")).await;
    assert_eq!(again.user_errors("editionCreate"), ["locale: LOCALE_TAKEN"]);
    let wrong = newsroom.test.as_role(Role::Admin, document, input("!", "Mars/Olympus")).await;
    assert_eq!(wrong.user_errors("editionCreate"), ["locale: INVALID", "timeZone: INVALID"]);
}

#[tokio::test]
async fn admins_change_editions() {
    let newsroom = TestApp::with_newsroom().await;
    let ask = "{ edition(locale: \"ar-IQ\") { id name timeZone alertsPerDay place { name } } }";
    let change =
        "mutation($id: ID!, $input: EditionUpdateInput!) { editionUpdate(id: $id, input: $input) {
        edition { name locale alertsPerDay } userErrors { code field } } }";
    let before = newsroom.test.read(ask, json!({})).await;
    let id = before.text("/edition/id");
    let update = async |role, input| {
        newsroom.test.as_role(role, change, json!({ "id": id, "input": input })).await
    };
    let refused = update(Role::Editor, json!({ "name": "x" })).await;
    assert_eq!(refused.error_codes(), ["FORBIDDEN"]);
    let wrong = json!({ "name": " ", "timeZone": "Mars/Olympus", "alertsPerDay": 0 });
    let wrong = update(Role::Admin, wrong).await;
    let faults = ["name: BLANK", "timeZone: INVALID", "alertsPerDay: INVALID"];
    assert_eq!(wrong.user_errors("editionUpdate"), faults);
    let capped = update(Role::Admin, json!({ "alertsPerDay": 3 })).await;
    let expected =
        json!({ "name": before.text("/edition/name"), "locale": "ar-IQ", "alertsPerDay": 3 });
    assert_eq!(capped.at("/editionUpdate/edition"), expected, "and nothing else");
    let freed = json!({ "alertsPerDay": null, "place": null, "name": "أخبار" });
    update(Role::Admin, freed).await.data();
    let after = newsroom.test.read(ask, json!({})).await;
    assert_eq!(after.at("/edition/place"), json!(null));
    assert_eq!(after.at("/edition/alertsPerDay"), json!(null));
    assert_eq!(after.text("/edition/name"), "أخبار");
    assert_eq!(after.at("/edition/timeZone"), before.at("/edition/timeZone"));
    let nobody = json!({ "id": "nothing", "input": {} });
    let nobody = newsroom.test.as_role(Role::Admin, change, nobody).await;
    assert_eq!(nobody.user_errors("editionUpdate"), ["id: EDITION_NOT_FOUND"]);
}
