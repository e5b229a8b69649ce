//! The links that stand in notifications: to the story, and out.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use khabar::actions::agree_on_opt_out_key::opt_out_key;
use khabar::actions::alert_input::Input;
use khabar::actions::create_alert::create_alert;
use khabar::domain::viewer::Viewer;
use serde_json::json;

use reqwest::StatusCode;

use crate::Server;
use crate::site::{get, get_in, post};
use crate::support::alerts::LOOPBACK;
use crate::support::push_service::PushService;

#[tokio::test]
async fn the_link_of_a_notification_ends_alerts_and_tells_strangers_nothing() {
    let server = Server::start_with(LOOPBACK).await;
    let newsroom = &server.newsroom;
    let key = newsroom.test.vapid_key().await;
    let push = PushService::start(&key, Arc::clone(&newsroom.test.app.clock)).await;
    let browser = push.browser("reader");
    let token = newsroom.test.opt_in(&browser, json!({})).await;
    let link = opt_out_key(&newsroom.test.app).await.unwrap().token(1);
    let unsigned = [1_i64.to_be_bytes().to_vec(), vec![0; 16]].concat();
    let unsigned = format!("/alerts/opt-out/{}", URL_SAFE_NO_PAD.encode(unsigned));
    get(&server, &unsigned).await.shows("lang=\"en\"");
    post(&server, &unsigned, &[]).await.shows("Alerts are off");
    let held = "query($token: String!) { pushSubscription(token: $token) { breakingOnly } }";
    let held =
        async || newsroom.test.read(held, json!({ "token": token })).await.at("/pushSubscription");
    assert!(held().await.is_object(), "whoever makes a link up ends nobody's alerts");

    // The browser's keys are new since the notification came.
    newsroom.test.opt_in(&browser.with_new_keys(), json!({ "token": token })).await;
    let link = format!("/alerts/opt-out/{link}");
    get(&server, &link).await.shows("هل تريد إيقاف جميع إشعاراتنا");
    assert!(held().await.is_object(), "a look ends nothing");
    post(&server, &link, &[]).await.shows("أُوقفت الإشعارات");
    assert!(held().await.is_null());
    post(&server, &link, &[]).await.shows("Alerts are off");
    let spent = async |languages| get_in(&server, &link, languages).await;
    spent("fr-FR, ar-IQ;q=0.9, en;q=0.8").await.shows("هل تريد إيقاف جميع إشعاراتنا");
    spent("ckb").await.shows("lang=\"ckb\"");
    spent("fr").await.shows("lang=\"en\"");
}

#[tokio::test]
async fn a_notification_leads_to_its_story_and_a_stray_link_to_the_front_page() {
    let server = Server::start().await;
    let newsroom = &server.newsroom;
    let story = newsroom.published("خبر").await;
    let app = &newsroom.test.app;
    let alert = create_alert(app, &Viewer::System, story.id, Input::default()).await.unwrap();
    newsroom.test.run_jobs().await;
    let leads_to = async |link: String| {
        let page = get(&server, &link).await;
        assert_eq!(page.status, StatusCode::FOUND, "{link}");
        page.header("location").to_owned()
    };
    let found = leads_to(format!("/alerts/{}/ar-IQ", alert.id)).await;
    assert!(found.starts_with(&format!("{}ar-IQ/", app.config.public_url)), "{found}");
    let home = app.config.public_url.to_string();
    assert_eq!(leads_to(format!("/alerts/{}/ar-IQ", story.id)).await, home);
    assert_eq!(leads_to("/alerts/nope/ar-IQ".to_owned()).await, home);
}
