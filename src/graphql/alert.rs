//! Alerts to read: what readers are told, and how far it has come.

use std::time::Duration;

use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, Error, ID, InputObject, Object, SimpleObject};
use futures_util::{Stream, stream};
use uuid::Uuid;

use super::article::{Article, vanished};
use super::context::KhabarContext;
use super::edition::Edition;
use super::errors::error;
use super::ids::{self, Kind};
use super::loaders::{AheadKey, ArticleKey, EditionKey, GivenUpKey, RetryingKey};
use super::paging::{PageArgs, connection};
use crate::app::App;
use crate::domain::alert as domain;
use crate::domain::audience::Subject;
use crate::domain::clock::Timestamp;
use crate::domain::page::Cursor;
use crate::domain::viewer::Permission;
use crate::storage;
use crate::storage::audience::Size;

/// How often somebody who watches an alert hears of it.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// An alert.
pub struct Alert(pub domain::Alert);

/// How far the delivery of an alert has come.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "domain::AlertState")]
pub enum AlertState {
    /// Decided for later, at `scheduledAt`.
    Scheduled,
    /// Decided; its audience is not divided into shards yet.
    Queued,
    /// On its way.
    Sending,
    /// Every subscription has been dealt with.
    Done,
    /// Called back: whoever had not been told by then is not told.
    Cancelled,
}

/// How soon devices should be woken (RFC 8030 §5.3).
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "domain::Urgency")]
pub enum AlertUrgency {
    /// When on power and Wi-Fi.
    VeryLow,
    /// When on either.
    Low,
    /// As soon as the device does something anyway.
    Normal,
    /// At once, on a low battery too.
    High,
}

/// What readers of one further edition see.
pub struct AlertTranslation(Uuid, domain::Words);

/// What readers of one further edition see.
#[Object]
impl AlertTranslation {
    /// Whose readers.
    async fn edition(&self, ctx: &Context<'_>) -> Result<Edition, Error> {
        let edition = ctx.loaders()?.load(EditionKey(self.0)).await?;
        edition.map(Edition).ok_or_else(|| vanished("edition"))
    }

    /// The first line of the notification.
    async fn title(&self) -> &str {
        &self.1.title
    }

    /// What stands under it.
    async fn body(&self) -> &str {
        &self.1.body
    }
}

/// A button under a notification.
#[derive(SimpleObject)]
pub struct AlertAction {
    /// What stands on it.
    title: String,
    /// What it opens.
    url: String,
}

/// Messages that have something in common: what the push services said of them last.
#[derive(SimpleObject)]
pub struct AlertAnswer {
    /// The HTTP status of the last answer; null when there was none, or the message was not sent yet.
    status: Option<i32>,
    /// How many.
    count: i64,
}

impl From<(Option<i32>, i64)> for AlertAnswer {
    fn from((status, count): (Option<i32>, i64)) -> Self {
        Self { status, count }
    }
}

/// The decision to notify readers of one story, and how far it has come. For editors.
#[Object]
impl Alert {
    /// The global id.
    pub async fn id(&self) -> ID {
        ids::encode(Kind::Alert, self.0.id)
    }

    /// The story; null when it is not before readers and the viewer may not see it.
    async fn article(&self, ctx: &Context<'_>) -> Result<Option<Article>, Error> {
        let key = ArticleKey(self.0.article_id, ctx.visibility());
        Ok(ctx.loaders()?.load(key).await?.map(Article::from))
    }

    /// How far it has come.
    async fn state(&self) -> AlertState {
        self.0.state.into()
    }

    /// The first line of the notification.
    async fn title(&self) -> &str {
        &self.0.words.title
    }

    /// What stands under it.
    async fn body(&self) -> &str {
        &self.0.words.body
    }

    /// The words for readers of further editions.
    async fn translations(&self) -> Vec<AlertTranslation> {
        let further = self.0.translations.iter().cloned();
        further.map(|(edition, words)| AlertTranslation(edition, words)).collect()
    }

    /// A picture, as an https address.
    async fn image(&self) -> Option<&str> {
        self.0.image.as_deref()
    }

    /// Buttons, beside the one that opts out.
    async fn actions(&self) -> Vec<AlertAction> {
        let actions = self.0.actions.iter().cloned();
        actions.map(|action| AlertAction { title: action.title, url: action.url }).collect()
    }

    /// How soon devices should be woken.
    async fn urgency(&self) -> AlertUrgency {
        self.0.urgency.into()
    }

    /// Whether it reaches those who want breaking news alone.
    async fn breaking(&self) -> bool {
        self.0.breaking
    }

    /// 1, and one more with each correction. The counters below count over all rounds.
    async fn round(&self) -> i32 {
        self.0.round
    }

    /// About how many subscriptions it concerns; 0 until that is reckoned, a moment after its
    /// delivery begins.
    async fn audience(&self) -> i64 {
        self.0.audience
    }

    /// About how many have yet to be dealt with.
    async fn queued(&self) -> i64 {
        self.0.queued()
    }

    /// Messages that push services took so far.
    async fn accepted(&self) -> i64 {
        self.0.counts.accepted
    }

    /// Subscriptions that turned out to be gone, or ended while their message was on its way. Whoever opts
    /// out before it comes to them is counted nowhere.
    async fn gone(&self) -> i64 {
        self.0.counts.gone
    }

    /// Messages that will be tried again.
    async fn retrying(&self, ctx: &Context<'_>) -> Result<i64, Error> {
        let waiting = ctx.loaders()?.load_or_default(RetryingKey(self.0.id)).await?;
        Ok(waiting.into_iter().map(|(_, count)| count).sum())
    }

    /// The same, by what the push services said last.
    async fn retrying_after(&self, ctx: &Context<'_>) -> Result<Vec<AlertAnswer>, Error> {
        let waiting = ctx.loaders()?.load_or_default(RetryingKey(self.0.id)).await?;
        Ok(waiting.into_iter().map(AlertAnswer::from).collect())
    }

    /// Messages that were given up; `alertReplay` tries those again whose readers are still subscribed.
    async fn failed(&self) -> i64 {
        self.0.counts.failed
    }

    /// Those of them whose readers are still subscribed, by what the push services said last; forgotten
    /// after 28 days.
    async fn given_up(&self, ctx: &Context<'_>) -> Result<Vec<AlertAnswer>, Error> {
        let buried = ctx.loaders()?.load_or_default(GivenUpKey(self.0.id)).await?;
        Ok(buried.into_iter().map(AlertAnswer::from).collect())
    }

    /// Messages that were not sent: the reader had had enough for the day, or slept until it was
    /// old news.
    async fn suppressed(&self) -> i64 {
        self.0.counts.suppressed
    }

    /// How often the story was opened from it.
    async fn clicked(&self) -> i64 {
        self.0.clicked
    }

    /// Subscriptions dealt with a second, since its delivery began; null before.
    async fn per_second(&self, ctx: &Context<'_>) -> Result<Option<f64>, Error> {
        Ok(self.0.per_second(ctx.app()?.now()))
    }

    /// When it will be done if it goes on like this and nobody is tried again; null when it is not on its
    /// way, nothing has been dealt with yet, or nothing is left but what is tried again.
    async fn estimated_done_at(&self, ctx: &Context<'_>) -> Result<Option<Timestamp>, Error> {
        let ahead = ctx.loaders()?.load_or_default(AheadKey(self.0.id)).await?;
        Ok(self.0.estimated_done_at(ctx.app()?.now(), &ahead))
    }

    /// When the quiet hours end of the last of those who slept when it began: it is SENDING until then. Null
    /// when none of them sleeps any more; whoever fell asleep since is among `retrying`.
    async fn held_back_until(&self, ctx: &Context<'_>) -> Result<Option<Timestamp>, Error> {
        let ahead = ctx.loaders()?.load_or_default(AheadKey(self.0.id)).await?;
        Ok(ahead.held_back_until(ctx.app()?.now()))
    }

    /// When it was decided.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at
    }

    /// When it is to be sent; null when that was at once.
    async fn scheduled_at(&self) -> Option<Timestamp> {
        self.0.scheduled_at
    }

    /// When its delivery began.
    async fn started_at(&self) -> Option<Timestamp> {
        self.0.started_at
    }

    /// When it stops being news: nothing is tried again after this.
    async fn expires_at(&self) -> Timestamp {
        self.0.expires_at
    }

    /// When every subscription had been dealt with, or it was called back.
    async fn finished_at(&self) -> Option<Timestamp> {
        self.0.finished_at
    }
}

/// The alert with an id; none for whoever may not see any.
pub(super) async fn by_id(ctx: &Context<'_>, id: Uuid) -> Result<Option<Alert>, Error> {
    if !ctx.viewer().may(Permission::PublishArticles) {
        return Ok(None);
    }
    Ok(storage::alert::by_id(ctx.app()?.db.connection(), id).await?.map(Alert))
}

/// Looks alerts up.
#[derive(Default)]
pub struct AlertQuery;

#[Object]
impl AlertQuery {
    /// An alert; null when there is none. For editors.
    async fn alert(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Alert>, Error> {
        ctx.require(Permission::PublishArticles)?;
        by_id(ctx, ids::of(Kind::Alert, &id)).await
    }

    /// Alerts, the latest first. For editors.
    async fn alerts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "From the beginning, 1 to 100; 20 when nothing is said.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
        #[graphql(desc = "From the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only those before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Cursor, Alert>, Error> {
        ctx.require(Permission::PublishArticles)?;
        let request = PageArgs { first, after, last, before }.parse()?;
        let found = storage::alert::page(ctx.app()?.db.connection(), &request).await?;
        let cursor = |alert: &domain::Alert| Cursor { at: alert.created_at, id: alert.id };
        Ok(connection(found, cursor, Alert))
    }

    /// How many readers an alert would reach, before anything is sent; null without such a story. For editors.
    /// EDITION_NOT_FOUND when a locale is of no edition.
    async fn alert_audience(
        &self,
        ctx: &Context<'_>,
        input: AlertAudienceInput,
    ) -> Result<Option<AlertAudience>, Error> {
        ctx.require(Permission::PublishArticles)?;
        let connection = ctx.app()?.db.connection();
        let id = ids::of(Kind::Article, &input.article);
        let Some(article) = storage::article::by_id(connection, id, ctx.visibility()).await? else {
            return Ok(None);
        };
        let mut editions = vec![article.edition_id];
        for locale in &input.locales {
            let unknown = || error("EDITION_NOT_FOUND", format!("there is no edition {locale}"));
            let edition = storage::edition::by_locale(connection, locale).await?;
            editions.push(edition.ok_or_else(unknown)?.id);
        }
        let tags = storage::tag::of_articles(connection, &[article.id]).await?;
        let subject = Subject {
            editions,
            category_path: storage::category::path(connection, article.category_id).await?,
            tags: tags.into_iter().map(|(_, tag)| tag.id).collect(),
            breaking: input.breaking.unwrap_or(article.breaking),
            at: ctx.app()?.now(),
        };
        let size = storage::audience::size(connection, &subject).await?;
        Ok(Some(size.into()))
    }
}

/// Whom an alert would be for.
#[derive(InputObject)]
pub struct AlertAudienceInput {
    /// The story, a draft too: its edition, its category with all above it, and its tags decide.
    article: ID,
    /// The locales of further editions.
    #[graphql(default)]
    locales: Vec<String>,
    /// Whether it is breaking news; as the story is when absent.
    breaking: Option<bool>,
}

/// How many readers an alert would reach, caps and quiet hours aside.
#[derive(SimpleObject)]
pub struct AlertAudience {
    /// Subscriptions.
    count: u64,
    /// Whether that is projected from a sample, as it is where the editions' subscriptions lie in more than
    /// a hundred ranges of a thousand ids.
    is_estimate: bool,
}

impl From<Size> for AlertAudience {
    fn from(size: Size) -> Self {
        Self { count: size.count, is_estimate: !size.exact }
    }
}

/// An alert each time that it has come further, until it is over.
pub(super) async fn progress(
    app: App,
    id: Uuid,
) -> Result<impl Stream<Item = Result<Alert, Error>> + use<>, Error> {
    let first = storage::alert::by_id(app.db.connection(), id).await?;
    let first = first.ok_or_else(|| super::errors::error("NOT_FOUND", "there is no such alert"))?;
    let watch = (app, Some(first), None::<domain::Alert>);
    Ok(stream::unfold(watch, |(app, first, seen)| async move {
        if let Some(first) = first {
            return Some((Ok(Alert(first.clone())), (app, None, Some(first))));
        }
        let seen = seen.filter(|alert| alert.state.may_cancel())?;
        loop {
            tokio::time::sleep(PROGRESS_EVERY).await;
            match storage::alert::by_id(app.db.connection(), seen.id).await {
                Ok(Some(alert)) if alert == seen => {}
                Ok(alert) => {
                    let alert = alert?;
                    return Some((Ok(Alert(alert.clone())), (app, None, Some(alert))));
                }
                Err(error) => return Some((Err(error.into()), (app, None, None))),
            }
        }
    }))
}
