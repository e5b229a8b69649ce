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
