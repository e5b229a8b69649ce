//! Sends an alert to one's own browser, to see it before readers do.

use chrono::TimeDelta;
use uuid::Uuid;

use super::alert_input::{AlertCodes, Input};
use super::queue_alert::of_story;
use super::takes_field_codes;
use crate::app::App;
use crate::domain::alert::{Alert, AlertState};
use crate::domain::failure::{Failure, Rejection};
use crate::domain::token;
use crate::domain::viewer::{Permission, Viewer};
use crate::storage;
use crate::storage::alert_retry::Retry;

/// How long a test is news.
const LASTS: TimeDelta = TimeDelta::minutes(10);

/// Why nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A field is blank.
    Blank,
    /// A field is too long.
    TooLong,
    /// A field is malformed.
    Invalid,
    /// There is no such article.
    ArticleNotFound,
    /// There is no edition of this locale.
    EditionNotFound,
    /// The token opens no subscription.
    TokenNotFound,
}
takes_field_codes!(Code);

impl AlertCodes for Code {
    const EDITION_NOT_FOUND: Self = Self::EditionNotFound;
}

/// Sends the alert of a story, a draft too, to the subscription of a token and to nobody else.
pub async fn test_alert(
    app: &App,
    viewer: &Viewer,
    (article_id, presented): (Uuid, &str),
    input: Input,
) -> Result<Alert, Failure<Code>> {
    viewer.check(Permission::PublishArticles)?;
    let change = app.begin().await?;
    let tx = change.transaction();
    let Some(article) = storage::article::with_latest_text(tx, article_id).await? else {
        return Err(
            Rejection::at("article", Code::ArticleNotFound, "there is no such article").into()
        );
    };
    let hash = token::hash(presented);
    let Some(browser) = storage::push_subscription::by_token(tx, &app.vault, hash).await? else {
        let message = "opens no subscription; opt in with this browser first";
        return Err(Rejection::at("token", Code::TokenNotFound, message).into());
    };
    let plain = of_story(app, &article)?;
    let alert = input.over::<Code>(app, tx, plain).await?;
    let alert = Alert {
        edition_id: browser.topics.edition_id,
        words: alert.words_for(browser.topics.edition_id).clone(),
        translations: Vec::new(),
        state: AlertState::Sending,
        audience: 1,
        test: true,
        scheduled_at: None,
        expires_at: app.now() + LASTS,
        ..alert
    };
    storage::alert::insert(tx, &alert, viewer.user_id()).await?;
    // One exception to an alert that reaches nobody else.
    let retry = Retry {
        push_subscription_id: browser.id,
        service_id: browser.service_id,
        attempts: 0,
        last_status: None,
    };
    let once = vec![(retry, app.now())];
    storage::alert_retry::insert_all(tx, alert.id, once).await?;
    change.commit().await?;
    app.db.wake();
    Ok(alert)
}
