//! Publishes an article, and queues its alert together, so neither exists without the other.

use uuid::Uuid;

use super::alert_input::{self, AlertCodes};
use super::queue_alert::{QueueCodes, queue_alert};
use super::takes_field_codes;
use crate::app::App;
use crate::domain::alert::Alert;
use crate::domain::article::{Article, ArticleState};
use crate::domain::event::Event;
use crate::domain::failure::{Failure, Rejection};
use crate::domain::viewer::{Permission, Viewer};
use crate::storage;
use crate::storage::article::Visibility;

/// How the article is to be published.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// The version that was read; refused when somebody has changed the article since.
    pub lock_version: Option<i32>,
    /// Readers who opted in are told, if this is given.
    pub alert: Option<alert_input::Input>,
}

/// What was published.
#[derive(Debug)]
pub struct Published {
    /// The article as readers see it.
    pub article: Article,
    /// The alert, if one was asked for.
    pub alert: Option<Alert>,
}

/// Why an article was not published.
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
    /// The article's state does not allow it.
    WrongState,
    /// Somebody has changed the article in the meantime.
    Stale,
    /// There is no edition of the locale that an alert names.
    EditionNotFound,
    /// Readers have been alerted of the article.
    AlertExists,
}
takes_field_codes!(Code);

impl AlertCodes for Code {
    const EDITION_NOT_FOUND: Self = Self::EditionNotFound;
}

impl QueueCodes for Code {
    const ALERT_EXISTS: Self = Self::AlertExists;
}

/// Makes the latest revision what readers see.
///
/// An article that readers did not see before is announced to open pages; publishing edits of one
/// that is out already is not.
pub async fn publish_article(
    app: &App,
    viewer: &Viewer,
    id: Uuid,
    input: Input,
) -> Result<Published, Failure<Code>> {
    viewer.check(Permission::PublishArticles)?;
    let mut change = app.begin().await?;
    let tx = change.transaction();
    let locked = storage::article_write::lock(tx, id).await?;
    let article = storage::article::with_latest_text(tx, id).await?;
    let (Some(_), Some(article)) = (locked, article) else {
        return Err(Rejection::at("id", Code::ArticleNotFound, "there is no such article").into());
    };
    check_publishable(&article, &input)?;

    let announced = article.state == ArticleState::Published;
    let published = Article {
        state: ArticleState::Published,
        updated_at: app.now(),
        published_at: article.published_at.or(Some(app.now())),
        ..article
    };
    let category_path = storage::category::path(tx, published.category_id).await?;
    storage::article_write::update(tx, &published, Some(published.latest_revision_id)).await?;
    let shown =
        storage::article::by_id(tx, id, Visibility::Published).await?.ok_or(Failure::NotFound)?;
    if !announced {
        change.record(Event::ArticlePublished {
            article_id: id,
            edition_id: published.edition_id,
            category_path,
        });
    }
    // One that was taken back and comes again has been alerted of, even if that was called back.
    let by_itself = app.config.push.breaking_alerts
        && shown.breaking
        && !announced
        && !storage::alert::any_of_article(change.transaction(), id).await?;
    let alert = match input.alert.or(by_itself.then(alert_input::Input::default)) {
        Some(alert) => {
            let queued = queue_alert::<Code>(app, &mut change, viewer, &shown, &alert).await;
            Some(queued.map_err(|failure| failure.below("alert"))?)
        }
        None => None,
    };
    change.commit().await?;
    Ok(Published { article: shown, alert })
}

fn check_publishable(article: &Article, input: &Input) -> Result<(), Failure<Code>> {
    if !article.state.may_publish() {
        let message = format!("an article in state {} cannot be published", article.state.as_str());
        return Err(Rejection::at("id", Code::WrongState, message).into());
    }
    match input.lock_version {
        Some(version) if version != article.lock_version => {
            let message = format!(
                "the article was changed since version {version} (it is now at {}); read it again before you publish",
                article.lock_version
            );
            Err(Rejection::at("lockVersion", Code::Stale, message).into())
        }
        _ => Ok(()),
    }
}
