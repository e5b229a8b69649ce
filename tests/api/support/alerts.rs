//! Newsrooms whose readers opted in.

use std::sync::Arc;

use serde_json::{Value, json};

use super::push_service::{Browser, PushService};
use super::{Answer, Newsroom, TestApp, operation};

/// Settings that let endpoints be on this machine.
pub const LOOPBACK: &str = "[push]\nallow_loopback = \"on\"\nttl_hours = 24";

impl TestApp {
    /// Posts a subscription; `choices` are further fields of the input.
    pub async fn post_subscription(&self, browser: &Browser, choices: Value) -> Answer {
        let mut input =
            json!({ "endpoint": browser.endpoint, "keys": browser.keys(), "locale": "ar-IQ" });
        input.as_object_mut().unwrap().extend(choices.as_object().unwrap().clone());
        self.read(&operation("PushSubscriptionCreate"), json!({ "input": input })).await
    }

    /// Opts a browser in and returns the token.
    pub async fn opt_in(&self, browser: &Browser, choices: Value) -> String {
        let answer = self.post_subscription(browser, choices).await;
        assert_eq!(answer.user_errors("pushSubscriptionCreate"), Vec::<String>::new());
        answer.text("/pushSubscriptionCreate/token")
    }
}

impl Newsroom {
    /// A newsroom that alerts browsers at a push service of its own.
    pub async fn with_push() -> (Self, PushService) {
        Self::with_push_by("").await
    }

    /// The same, with further settings of alerts.
    pub async fn with_push_by(settings: &str) -> (Self, PushService) {
        let settings = format!("{LOOPBACK}\n{settings}");
        let newsroom = TestApp::start_with(&settings).await.found().await;
        let key = newsroom.test.vapid_key().await;
        let push = PushService::start(&key, Arc::clone(&newsroom.test.app.clock)).await;
        (newsroom, push)
    }
}
