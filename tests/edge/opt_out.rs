//! The link that ends alerts, as it stands in notifications.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use khabar::actions::agree_on_opt_out_key::opt_out_key;
use serde_json::json;

use crate::Server;
use crate::site::{get, post};
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
}
