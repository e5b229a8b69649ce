//! Decides to notify readers, in the transaction of whatever the alert is about.

use chrono::TimeDelta;

use super::alert_input::{AlertCodes, Input};
use crate::app::App;
use crate::domain::alert::{Alert, AlertState, Counts, MAX_BODY, MAX_TITLE, Urgency, Words};
use crate::domain::article::Article;
use crate::domain::failure::{Failure, Rejection};
use crate::domain::job::Job;
use crate::domain::text;
use crate::domain::viewer::Viewer;
use crate::storage::{self, Change};

/// What can be wrong with a new alert.
pub(super) trait QueueCodes: AlertCodes {
    /// Readers have been alerted of the story.
    const ALERT_EXISTS: Self;
}

/// Writes the alert of a story and the job that plans it into the caller's change.
///
/// A second alert of one story must be asked for by name: a click that came twice is none.
pub(super) async fn queue_alert<C: QueueCodes>(
    app: &App,
    change: &mut Change,
    viewer: &Viewer,
    article: &Article,
    input: &Input,
) -> Result<Alert, Failure<C>> {
    let earlier = storage::alert::latest_of_article(change.transaction(), article.id).await?;
    if let Some(earlier) = earlier.filter(|_| !input.again) {
        let at = earlier.scheduled_at.unwrap_or(earlier.created_at).format("%Y-%m-%dT%H:%M:%SZ");
        let message = match earlier.state {
            AlertState::Scheduled => format!(
                "an alert of this story waits for {at}; change it by alertUpdate, or say again: true for another one"
            ),
            _ => format!(
                "readers were alerted of this story at {at}; correct that alert by alertUpdate, or say again: true"
            ),
        };
        return Err(Rejection::at("", C::ALERT_EXISTS, message).into());
    }
    let plain = of_story(app, article)?;
    let tags = storage::tag::of_articles(change.transaction(), &[article.id]).await?;
    let plain = Alert { tags: tags.into_iter().map(|(_, tag)| tag.id).collect(), ..plain };
    let lasts = plain.expires_at - plain.created_at;
    let alert = input.over(app, change.transaction(), plain).await?;
    let alert = match alert.scheduled_at {
        Some(scheduled_at) => {
            Alert { state: AlertState::Scheduled, expires_at: scheduled_at + lasts, ..alert }
        }
        None => alert,
    };
    storage::alert::insert(change.transaction(), &alert, viewer.user_id()).await?;
    let job = Job::PlanAlert { alert_id: alert.id };
    change.enqueue_at(job, alert.scheduled_at.unwrap_or(app.now()));
    Ok(alert)
}

/// The alert that a story makes when nobody says otherwise.
pub(super) fn of_story<C>(app: &App, article: &Article) -> Result<Alert, Failure<C>> {
    let told = article.text.subheadline.as_ref().unwrap_or(&article.text.excerpt);
    let lasts = TimeDelta::from_std(app.config.push.ttl).map_err(anyhow::Error::from)?;
    let image = article.text.image.as_ref().map(|image| image.url.clone());
    Ok(Alert {
        id: app.clock.new_id(),
        article_id: article.id,
        edition_id: article.edition_id,
        category_id: article.category_id,
        tags: Vec::new(),
        breaking: article.breaking,
        words: Words {
            title: text::shorten(&article.text.headline, MAX_TITLE),
            body: text::shorten(told, MAX_BODY),
        },
        translations: Vec::new(),
        image: image.filter(|url| url.starts_with("https:")),
        actions: Vec::new(),
        urgency: if article.breaking { Urgency::High } else { Urgency::Normal },
        state: AlertState::Queued,
        test: false,
        round: 1,
        audience: 0,
        counts: Counts::default(),
        clicked: 0,
        created_at: app.now(),
        scheduled_at: None,
        started_at: None,
        round_started_at: None,
        dealt_before: 0,
        dealt_at_start: 0,
        expires_at: app.now() + lasts,
        finished_at: None,
    })
}
