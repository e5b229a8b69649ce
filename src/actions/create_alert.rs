//! Alerts readers of a story that is out.

use uuid::Uuid;

use super::alert_input::{AlertCodes, Input};
use super::queue_alert::{QueueCodes, queue_alert};
use super::takes_field_codes;
use crate::app::App;
use crate::domain::alert::Alert;
use crate::domain::failure::{Failure, Rejection};
use crate::domain::viewer::{Permission, Viewer};
use crate::storage::article::Visibility;
use crate::storage::audience::Size;
use crate::storage::{self, Change};

/// Why readers were not alerted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A field is blank.
    Blank,
    /// A field is too long.
    TooLong,
    /// A field is malformed.
    Invalid,
    /// There is no such article before readers.
    ArticleNotFound,
    /// There is no edition of this locale.
    EditionNotFound,
    /// Readers have been alerted of the story.
    AlertExists,
}
takes_field_codes!(Code);

impl AlertCodes for Code {
    const EDITION_NOT_FOUND: Self = Self::EditionNotFound;
}

impl QueueCodes for Code {
    const ALERT_EXISTS: Self = Self::AlertExists;
}

/// Decides to alert readers of a published story, now or later.
pub async fn create_alert(
    app: &App,
    viewer: &Viewer,
    article_id: Uuid,
    input: Input,
) -> Result<Alert, Failure<Code>> {
    let mut change = begin(app, viewer, article_id).await?;
    let tx = change.transaction();
    let article = storage::article::by_id(tx, article_id, Visibility::Published).await?;
    let Some(article) = article else {
        let message = "there is no such article before readers; publish it first";
        return Err(Rejection::at("article", Code::ArticleNotFound, message).into());
    };
    let alert = queue_alert(app, &mut change, viewer, &article, &input).await?;
    change.commit().await?;
    Ok(alert)
}

/// The alert as it would be, and how many it would concern; of a story that is not out, as if it were
/// published with one. Whatever would be refused is; nothing is kept.
pub async fn preview_alert(
    app: &App,
    viewer: &Viewer,
    article_id: Uuid,
    input: Input,
) -> Result<(Alert, Size), Failure<Code>> {
    let mut change = begin(app, viewer, article_id).await?;
    let tx = change.transaction();
    let article = match storage::article::by_id(tx, article_id, Visibility::Published).await? {
        Some(article) => Some(article),
        None => storage::article::with_latest_text(tx, article_id).await?,
    };
    let Some(article) = article else {
        let message = "there is no such article";
        return Err(Rejection::at("article", Code::ArticleNotFound, message).into());
    };
    // Written like any other, and dropped instead of committed.
    let alert = queue_alert(app, &mut change, viewer, &article, &input).await?;
    drop(change);
    let size = storage::audience::size_of(app.db.connection(), &alert).await?;
    Ok((alert, size))
}

/// A change that has its article to itself: two clicks come one after the other.
async fn begin(app: &App, viewer: &Viewer, article_id: Uuid) -> Result<Change, Failure<Code>> {
    viewer.check(Permission::PublishArticles)?;
    let change = app.begin().await?;
    storage::article_write::lock(change.transaction(), article_id).await?;
    Ok(change)
}
