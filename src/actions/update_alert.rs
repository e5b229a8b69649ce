//! Corrects an alert: what readers have on their screens is replaced, not added to.

use chrono::TimeDelta;
use uuid::Uuid;

use super::alert_input::{AlertCodes, Input};
use super::lock_alert::lock_alert;
use super::takes_field_codes;
use crate::app::App;
use crate::domain::alert::{Alert, AlertState, Counts};
use crate::domain::failure::{Failure, Rejection};
use crate::domain::job::Job;
use crate::domain::viewer::{Permission, Viewer};
use crate::storage;

/// Why an alert was not corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A field is blank.
    Blank,
    /// A field is too long.
    TooLong,
    /// A field is malformed.
    Invalid,
    /// There is no such alert.
    AlertNotFound,
    /// There is no edition of this locale.
    EditionNotFound,
    /// It was called back, or is a test, or its story is not before readers.
    WrongState,
}
takes_field_codes!(Code);

impl AlertCodes for Code {
    const EDITION_NOT_FOUND: Self = Self::EditionNotFound;
}

/// Changes what an alert says. One that is on its way, or has been delivered, is delivered anew in a
/// further round: by the same `Topic` and `tag`, so that it takes the first one's place.
pub async fn update_alert(
    app: &App,
    viewer: &Viewer,
    id: Uuid,
    input: Input,
) -> Result<Alert, Failure<Code>> {
    viewer.check(Permission::PublishArticles)?;
    let mut change = app.begin().await?;
    let tx = change.transaction();
    let Some((old, is_published)) = lock_alert(tx, id).await? else {
        return Err(Rejection::at("id", Code::AlertNotFound, "there is no such alert").into());
    };
    let wrong = |message| Err(Rejection::at("id", Code::WrongState, message).into());
    if old.test {
        // A further round of it would reach everybody.
        return wrong("it is a test, which goes to one browser; send another by alertTest");
    }
    if old.state == AlertState::Cancelled {
        return wrong("the alert was called back; create another one");
    }
    if !is_published {
        return wrong("its story is not before readers; publish it first");
    }
    if input.scheduled_at.is_some() && old.state != AlertState::Scheduled {
        let message = "the alert is out already; only one that waits is sent at another time";
        return Err(Rejection::at("scheduledAt", Code::WrongState, message).into());
    }
    let lasts = TimeDelta::from_std(app.config.push.ttl).map_err(anyhow::Error::from)?;
    let new = input.over::<Code>(app, tx, old.clone()).await?;
    if new == old {
        // A click that came twice: nobody is to be told the same again.
        return Ok(old);
    }
    let new = match old.state {
        AlertState::Scheduled => {
            let sent_at = new.scheduled_at.unwrap_or(app.now());
            Alert { expires_at: sent_at + lasts, ..new }
        }
        // Nobody has been told yet: it is told in the new words.
        AlertState::Queued => new,
        AlertState::Sending | AlertState::Done | AlertState::Cancelled => {
            storage::alert_round::end_delivery(tx, id, app.now()).await?;
            // The further round reaches them too, and may give them up itself.
            let missed = storage::alert_shard::forget_missed(tx, id, false).await?;
            let failed = -missed - storage::alert_dead_letter::exhume(tx, id).await?;
            let counts = Counts { failed, ..Counts::default() };
            storage::alert_round::count(tx, id, (counts, false)).await?;
            Alert {
                state: AlertState::Queued,
                round: old.round + 1,
                expires_at: app.now() + lasts,
                finished_at: None,
                ..new
            }
        }
    };
    storage::alert::update(tx, &new).await?;
    change.enqueue_at(Job::PlanAlert { alert_id: id }, new.scheduled_at.unwrap_or(app.now()));
    change.commit().await?;
    Ok(new)
}
