//! A reader opts in, changes the mind, and opts out; strangers can do neither for them.

use chrono::TimeDelta;
use serde_json::json;

use crate::alert::alert;
use crate::support::alerts::LOOPBACK;
use crate::support::fixtures::category_id;
use crate::support::push_service::{Behaviour, Browser};
use crate::support::{Newsroom, TestApp, operation};

#[tokio::test]
async fn the_same_endpoint_again_updates_instead_of_doubling() {
    let (newsroom, push) = Newsroom::with_push().await;
    let browser = push.browser("reader");
    let first = newsroom.test.opt_in(&browser, json!({ "breakingOnly": true })).await;
    let second = newsroom.test.opt_in(&browser, json!({})).await;
    assert_ne!(first, second);
    alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(push.received(&browser).len(), 1);
}

#[tokio::test]
async fn a_stranger_who_knows_the_endpoint_changes_nothing_and_learns_nothing() {
    let (newsroom, push) = Newsroom::with_push().await;
    let browser = push.browser("reader");
    let token = newsroom.test.opt_in(&browser, json!({})).await;
    let stranger = browser.with_new_keys();
    let unknown = push.browser("unknown");
    let choice = json!({ "breakingOnly": true });
    let known = newsroom.test.post_subscription(&stranger, choice.clone()).await;
    let fresh = newsroom.test.post_subscription(&unknown, choice).await;
    let shape = |answer: &crate::support::Answer| {
        let token = answer.text("/pushSubscriptionCreate/token");
        (token.len(), answer.user_errors("pushSubscriptionCreate"))
    };
    assert_eq!(shape(&known), shape(&fresh));

    // What the tokens show is alike, now and after whatever a browser may do with its own.
    let shows = async |token: String| {
        let query = "query($token: String!) { pushSubscription(token: $token) { breakingOnly maxPerDay edition { locale } } }";
        newsroom.test.read(query, json!({ "token": token })).await.data().clone()
    };
    let token_of = |answer: &crate::support::Answer| answer.text("/pushSubscriptionCreate/token");
    let (decoy, real) = (token_of(&known), token_of(&fresh));
    assert_eq!(shows(decoy.clone()).await, shows(real.clone()).await);
    assert_eq!(shows(real.clone()).await["pushSubscription"]["breakingOnly"], true);
    let update = operation("PushSubscriptionUpdate");
    for (token, browser) in [(&decoy, &stranger), (&real, &unknown)] {
        let moved = json!({ "endpoint": browser.endpoint, "keys": browser.keys() });
        let input = json!({ "maxPerDay": 3, "browser": moved });
        let answer = newsroom.test.read(&update, json!({ "token": token, "input": input })).await;
        assert_eq!(answer.user_errors("pushSubscriptionUpdate"), Vec::<String>::new());
    }
    assert_eq!(shows(decoy.clone()).await, shows(real.clone()).await);
    for (token, browser) in [(&decoy, &stranger), (&real, &unknown)] {
        let again = token_of(&newsroom.test.post_subscription(browser, json!({})).await);
        assert_ne!(again, *token, "the same browser without its token gets another");
        assert!(shows(token.clone()).await["pushSubscription"].is_null());
        let present = json!({ "token": again });
        for browser in [browser.clone(), browser.with_new_keys()] {
            let presenting = newsroom.test.post_subscription(&browser, present.clone()).await;
            assert_eq!(token_of(&presenting), again, "one that is presented and good stays so");
        }
    }

    // The stranger can end nothing but the decoy; the reader's token opens what it opened.
    let delete = operation("PushSubscriptionDelete");
    let stolen = known.text("/pushSubscriptionCreate/token");
    let answer = newsroom.test.read(&delete, json!({ "token": stolen })).await;
    assert_eq!(answer.at("/pushSubscriptionDelete/deleted"), true);
    alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(push.received(&browser).len(), 1);

    newsroom.test.read(&delete, json!({ "token": token })).await.data();
    alert(&newsroom, "خبر آخر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(push.received(&browser).len(), 1, "nothing after opting out");
}

/// What a prober sees of an endpoint by a sequence of calls, which `dice` decide: whether an answer is the
/// token that was presented, and which tokens open something after each call.
async fn probe(newsroom: &Newsroom, browsers: &[Browser], dice: &[u8]) -> Vec<Vec<bool>> {
    let test = &newsroom.test;
    let (mut tokens, mut seen): (Vec<String>, Vec<Vec<bool>>) = (Vec::new(), Vec::new());
    for dice in dice.chunks_exact(3) {
        test.advance(TimeDelta::seconds(1));
        let browser = &browsers[usize::from(dice[1]) % browsers.len()];
        let token = tokens.get(usize::from(dice[2]) % (tokens.len() + 2)).cloned();
        let mut told = Vec::new();
        match (dice[0] % 4, &token) {
            (0, Some(token)) => {
                let delete = operation("PushSubscriptionDelete");
                test.read(&delete, json!({ "token": token })).await.data();
            }
            (1, Some(token)) => {
                let browser = json!({ "endpoint": browser.endpoint, "keys": browser.keys() });
                let moves = json!({ "token": token, "input": { "browser": browser } });
                let moved = test.read(&operation("PushSubscriptionUpdate"), moves).await;
                told.push(moved.user_errors("pushSubscriptionUpdate").is_empty());
            }
            (_, token) => {
                let answer = test.opt_in(browser, json!({ "token": token })).await;
                told.push(Some(&answer) == token.as_ref());
                tokens.push(answer);
            }
        }
        for token in &tokens {
            let query = "query($token: String!) { pushSubscription(token: $token) { maxPerDay } }";
            let shown = test.read(query, json!({ "token": token })).await;
            told.push(!shown.at("/pushSubscription").is_null());
        }
        seen.push(told);
    }
    seen
}

#[tokio::test]
async fn no_calls_in_a_row_tell_whether_an_endpoint_is_known() {
    let (newsroom, push) = Newsroom::with_push().await;
    let mut readers = Vec::new();
    for round in 0..48 {
        let known = push.browser(&format!("known{round}"));
        let unknown = push.browser(&format!("unknown{round}"));
        newsroom.test.opt_in(&known, json!({})).await;
        let dice = newsroom.test.app.clock.new_secret();
        let mut seen = Vec::new();
        for probed in [&known, &unknown] {
            let own = push.browser(&format!("own-{}", seen.len() + 2 * round));
            let browsers = [&own, probed, probed].map(Browser::with_new_keys);
            seen.push(probe(&newsroom, &browsers, &dice).await);
        }
        assert_eq!(seen[0], seen[1], "{dice:?}");
        readers.push(known);
    }
    alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    for reader in &readers {
        assert_eq!(push.titles(reader), ["خبر"], "who was there is there");
    }
}

#[tokio::test]
async fn a_browser_that_is_gone_takes_along_whoever_else_claims_its_endpoint() {
    let (newsroom, push) = Newsroom::with_push().await;
    let (known, other) = (push.browser("known"), push.browser("other"));
    newsroom.test.opt_in(&known, json!({})).await;
    let stays = newsroom.test.opt_in(&other, json!({})).await;
    let decoy = newsroom.test.opt_in(&known.with_new_keys(), json!({})).await;
    push.script(&known, [Behaviour::Status(410)]);
    alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    let query = "query($token: String!) { pushSubscription(token: $token) { maxPerDay } }";
    for (token, is_there) in [(decoy, false), (stays, true)] {
        let shown = newsroom.test.read(query, json!({ "token": token })).await;
        assert_eq!(shown.at("/pushSubscription").is_object(), is_there);
    }
}

#[tokio::test]
async fn new_keys_come_with_the_old_token() {
    let (newsroom, push) = Newsroom::with_push().await;
    let browser = push.browser("reader");
    let token = newsroom.test.opt_in(&browser, json!({})).await;
    let renewed = browser.with_new_keys();
    newsroom.test.opt_in(&renewed, json!({ "token": token })).await;
    push.know(&renewed);
    alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(push.statuses(&renewed), [201]);
}

#[tokio::test]
async fn two_tabs_at_once_keep_one_subscription() {
    let (newsroom, push) = Newsroom::with_push().await;
    for round in 0..5 {
        let browser = push.browser(&format!("reader{round}"));
        let tabs = (0..4).map(|_| newsroom.test.opt_in(&browser, json!({})));
        futures_util::future::join_all(tabs).await;
    }
    alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(push.answered().len(), 5);
}

#[tokio::test]
async fn every_fault_is_named_at_its_field() {
    let test = TestApp::start_with(LOOPBACK).await.found().await.test;
    let endpoint = "https://169.254.169.254/fcm.googleapis.com";
    let keys = json!({ "p256dh": "AAAA", "auth": "" });
    let quiet = json!({ "from": "22:01", "until": "25:00", "timeZone": "Baghdad" });
    let input = json!({
        "input": { "endpoint": endpoint, "keys": keys, "locale": "fr", "quietHours": quiet },
    });
    let answer = test.read(&operation("PushSubscriptionCreate"), input).await;
    let faults = ["endpoint: INVALID", "keys.p256dh: INVALID", "keys.auth: INVALID"];
    let chosen = [
        "locale: EDITION_NOT_FOUND",
        "quietHours.timeZone: INVALID",
        "quietHours.from: INVALID",
        "quietHours.until: INVALID",
    ];
    assert_eq!(answer.user_errors("pushSubscriptionCreate"), [&faults[..], &chosen[..]].concat());
    assert_eq!(answer.at("/pushSubscriptionCreate/token"), serde_json::Value::Null);
    let browser = json!({ "endpoint": endpoint, "keys": keys });
    let input = json!({ "browser": browser, "locale": "fr", "quietHours": quiet });
    let moved = json!({ "token": "khp_unknown", "input": input });
    let answer = test.read(&operation("PushSubscriptionUpdate"), moved).await;
    let below = faults.map(|fault| format!("browser.{fault}"));
    let expected = [&["token: TOKEN_NOT_FOUND".to_owned()], &below[..], &chosen.map(str::to_owned)];
    assert_eq!(answer.user_errors("pushSubscriptionUpdate"), expected.concat());
}

#[tokio::test]
async fn editions_and_categories_must_exist() {
    let (newsroom, push) = Newsroom::with_push().await;
    let choice = json!({ "locale": "fr", "categories": [category_id(uuid::Uuid::from_u128(9))] });
    let answer = newsroom.test.post_subscription(&push.browser("reader"), choice).await;
    let faults = answer.user_errors("pushSubscriptionCreate");
    assert_eq!(faults, ["locale: EDITION_NOT_FOUND", "categories.0: CATEGORY_NOT_FOUND"]);
}

#[tokio::test]
async fn loopback_is_refused_unless_a_test_allows_it() {
    let (newsroom, push) = Newsroom::with_push().await;
    let strict = TestApp::with_newsroom().await;
    let answer = strict.test.post_subscription(&push.browser("reader"), json!({})).await;
    assert_eq!(answer.user_errors("pushSubscriptionCreate"), ["endpoint: INVALID"]);
    drop(newsroom);
}

#[tokio::test]
async fn the_public_key_is_a_point_in_base64url() {
    let test = TestApp::start().await;
    let key = test.read(&operation("WebPushKey"), json!({})).await.text("/webPushKey");
    khabar::domain::push_subscription::parse_p256dh(&key).unwrap();
}

#[tokio::test]
async fn a_token_that_was_replaced_opens_nothing() {
    let (newsroom, push) = Newsroom::with_push().await;
    let browser = push.browser("reader");
    let first = newsroom.test.opt_in(&browser, json!({})).await;
    newsroom.test.opt_in(&browser, json!({})).await;
    let delete = operation("PushSubscriptionDelete");
    let answer = newsroom.test.read(&delete, json!({ "token": first })).await;
    assert_eq!(answer.at("/pushSubscriptionDelete/deleted"), true);
    alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(push.received(&browser).len(), 1);
}
