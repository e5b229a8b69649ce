//! Decides to notify readers, in the transaction of whatever the alert is about.

use chrono::TimeDelta;

use crate::app::App;
use crate::domain::alert::{Alert, AlertState, MAX_BODY, MAX_TITLE, Urgency};
use crate::domain::article::Article;
use crate::domain::failure::{Failure, Faults, FieldCode};
use crate::domain::job::Job;
use crate::domain::text;
use crate::domain::viewer::Viewer;
use crate::storage::{self, Change};

/// What readers are to be told; what is absent comes from the story.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// The headline when absent.
    pub title: Option<String>,
    /// The sub-headline, or else the excerpt, when absent.
    pub body: Option<String>,
    /// High for breaking news and normal for the rest when absent.
    pub urgency: Option<Urgency>,
}

/// Writes the alert of a story and the job that plans it into the caller's change.
///
/// Its faults lie at `alert.title` and `alert.body`.
pub(super) async fn queue_alert<C: From<FieldCode>>(
    app: &App,
    change: &mut Change,
    viewer: &Viewer,
    article: &Article,
    input: Input,
) -> Result<Alert, Failure<C>> {
    let told = article.text.subheadline.as_ref().unwrap_or(&article.text.excerpt);
    let mut faults = Faults::default();
    let title = match &input.title {
        Some(title) => faults.text("alert.title", text::line(title, MAX_TITLE)),
        None => Some(text::shorten(&article.text.headline, MAX_TITLE)),
    };
    let body = match &input.body {
        Some(body) => faults.text("alert.body", text::optional_line(Some(body), MAX_BODY)),
        None => Some(Some(text::shorten(told, MAX_BODY))),
    };
    faults.check()?;
    let lasts = TimeDelta::from_std(app.config.push.ttl).map_err(anyhow::Error::from)?;
    let usual = if article.breaking { Urgency::High } else { Urgency::Normal };
    let alert = Alert {
        id: app.clock.new_id(),
        article_id: article.id,
        edition_id: article.edition_id,
        category_id: article.category_id,
        breaking: article.breaking,
        title: title.unwrap_or_default(),
        body: body.flatten().unwrap_or_default(),
        state: AlertState::Queued,
        urgency: input.urgency.unwrap_or(usual),
        accepted: 0,
        gone: 0,
        failed: 0,
        created_at: app.now(),
        expires_at: app.now() + lasts,
    };
    storage::alert::insert(change.transaction(), &alert, viewer.user_id()).await?;
    change.enqueue(Job::PlanAlert { alert_id: alert.id });
    Ok(alert)
}
