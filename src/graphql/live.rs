//! Subscription operations: what open pages hear of.

use std::sync::Arc;

use async_graphql::{Context, Error, ID, Object, SimpleObject, Subscription};
use futures_util::{Stream, StreamExt, future};
use uuid::Uuid;

use super::alert::{self, Alert};
use super::article::Article;
use super::comment::Comment;
use super::context::KhabarContext;
use super::edition;
use super::errors::error;
use super::ids::{self, Kind};
use super::loaders::{ArticleKey, CommentKey, Loaders};
use crate::domain::comment::CommentState;
use crate::domain::event::{Event, EventId, LastEventId, RecordedEvent};
use crate::domain::viewer::Permission;
use crate::live::{Bookmark, Missed};
use crate::storage::article::Visibility;

/// A story that readers did not see before.
#[derive(SimpleObject)]
pub struct ArticlePublishedEvent {
    /// Send the last one you got as `after` when you connect again, and you miss nothing.
    event_id: ID,
    /// The story as it is now.
    article: Article,
}

/// A comment that readers did not see before.
#[derive(SimpleObject)]
pub struct CommentCreatedEvent {
    /// Send the last one you got as `after` when you connect again, and you miss nothing.
    event_id: ID,
    /// The comment as it is now.
    comment: Comment,
}

/// Where the events stand.
#[derive(Default)]
pub struct LiveQuery;

#[Object]
impl LiveQuery {
    /// The newest event there is. Ask for it before the page, or first in the same query, and
    /// subscribe with it as `after`: nothing that the page does not show is missed, however long it
    /// takes to connect.
    async fn newest_event_id(&self, ctx: &Context<'_>) -> Result<ID, Error> {
        Ok(ctx.live()?.position().into())
    }
}

/// What open pages hear of.
#[derive(Default)]
pub struct LiveSubscription;

/// What open pages hear of, over graphql-transport-ws or server-sent events; one field in each
/// operation. Each event carries an `eventId`: whoever connects again with the last one as `after`
/// misses nothing. A stream of server-sent events also says where it begins, before there is any
/// event, and carries each `eventId` as the id of the event stream: a browser's EventSource resumes
/// by itself, with `Last-Event-ID`. Of that header and `after`, the later one counts. Where there
/// is no event yet to resume from, take `newestEventId`.
#[Subscription(name = "Subscription")]
impl LiveSubscription {
    /// Each story when readers see it for the first time, in the order of publication. One that is
    /// taken back before it could be delivered is left out.
    async fn article_published(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The edition's locale.")] locale: String,
        #[graphql(desc = "Only stories in this category or below it.")] category: Option<ID>,
        #[graphql(
            desc = "The last eventId you got; EVENT_GONE when it is too old to resume from."
        )]
        after: Option<ID>,
    ) -> Result<impl Stream<Item = Result<ArticlePublishedEvent, Error>> + use<>, Error> {
        let edition = edition::by_locale(ctx, &locale).await?;
        let edition =
            edition.ok_or_else(|| error("NOT_FOUND", format!("there is no edition {locale}")))?.id;
        let category = category.map(|id| ids::of(Kind::Category, &id));
        let loaders = ctx.loaders()?.clone();
        let (events, bookmark) = follow(ctx, after).await?;
        Ok(events.filter_map(move |event| {
            let (loaders, place) = (loaders.clone(), Place::of(&event, &bookmark));
            async move { place.mark(published(&loaders, event, edition, category).await) }
        }))
    }

    /// How an alert comes along, about once a second, until it is over. For editors.
    async fn alert_progressed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The alert.")] id: ID,
    ) -> Result<impl Stream<Item = Result<Alert, Error>> + use<>, Error> {
        ctx.require(Permission::PublishArticles)?;
        alert::progress(ctx.app()?.clone(), ids::of(Kind::Alert, &id)).await
    }

    /// Each comment under an article when readers see it for the first time, replies included, in
    /// order. NOT_FOUND when there is no such published article.
    async fn comment_created(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The article.")] article: ID,
        #[graphql(
            desc = "The last eventId you got; EVENT_GONE when it is too old to resume from."
        )]
        after: Option<ID>,
    ) -> Result<impl Stream<Item = Result<CommentCreatedEvent, Error>> + use<>, Error> {
        let article = ids::of(Kind::Article, &article);
        let loaders = ctx.loaders()?.clone();
        if loaders.load(ArticleKey(article, Visibility::Published)).await?.is_none() {
            return Err(error("NOT_FOUND", "there is no such article"));
        }
        let (events, bookmark) = follow(ctx, after).await?;
        Ok(events.filter_map(move |event| {
            let (loaders, place) = (loaders.clone(), Place::of(&event, &bookmark));
            async move { place.mark(commented(&loaders, event, article).await) }
        }))
    }
}

type Followed = Result<Arc<RecordedEvent>, Error>;

/// An event's place, and the bookmark that is put there once the event is passed on.
struct Place(Option<EventId>, Bookmark);

impl Place {
    fn of(event: &Followed, bookmark: &Bookmark) -> Self {
        Self(event.as_ref().ok().map(|event| event.id), bookmark.clone())
    }

    fn mark<T>(self, passed_on: Result<Option<T>, Error>) -> Option<Result<T, Error>> {
        if let (Ok(Some(_)), Some(id)) = (&passed_on, self.0) {
            self.1.put(id);
        }
        passed_on.transpose()
    }
}

/// The events from now on, or from after the last one the client had, and where it stands.
///
/// A browser repeats the address it connected to, with an `after` that is as old as the page; the
/// header tells what it has heard since. So the later of the two counts.
async fn follow(
    ctx: &Context<'_>,
    after: Option<ID>,
) -> Result<(impl Stream<Item = Followed> + use<>, Bookmark), Error> {
    let header = ctx.data_opt::<LastEventId>().map(|id| parse(&id.0)).transpose()?;
    let after = after.map(|id| parse(&id.0)).transpose()?.max(header);
    let bookmark = ctx.data_opt::<Bookmark>().cloned().unwrap_or_default();
    let events = ctx.live()?.follow(after, &bookmark).await.map_err(|missed| match missed {
        Missed::Gone(_) => error("EVENT_GONE", missed.to_string()),
        Missed::Unreadable(cause) => Error::new_with_source(cause),
    })?;
    // After an error nothing more comes: the client resumes from the last event it got.
    let failed = std::sync::atomic::AtomicBool::new(false);
    let events = events.map(|event| event.map_err(Error::new_with_source));
    let events = events.take_while(move |event| {
        let over = failed.swap(event.is_err(), std::sync::atomic::Ordering::Relaxed);
        future::ready(!over)
    });
    Ok((events, bookmark))
}

fn parse(id: &str) -> Result<EventId, Error> {
    let message = "that is no event id; read the page again and subscribe without one";
    id.parse().map_err(|_| error("EVENT_GONE", message))
}

async fn published(
    loaders: &Loaders,
    event: Followed,
    edition: Uuid,
    category: Option<Uuid>,
) -> Result<Option<ArticlePublishedEvent>, Error> {
    let event = event?;
    let Some(Event::ArticlePublished { article_id, edition_id, category_path }) = &event.event
    else {
        return Ok(None);
    };
    let wanted =
        *edition_id == edition && category.is_none_or(|category| category_path.contains(&category));
    if !wanted {
        return Ok(None);
    }
    let article = loaders.load(ArticleKey(*article_id, Visibility::Published)).await?;
    Ok(article.map(|article| ArticlePublishedEvent {
        event_id: event.id.into(),
        article: article.into(),
    }))
}

async fn commented(
    loaders: &Loaders,
    event: Followed,
    article: Uuid,
) -> Result<Option<CommentCreatedEvent>, Error> {
    let event = event?;
    let Some(Event::CommentCreated { comment_id, article_id }) = event.event else {
        return Ok(None);
    };
    if article_id != article
        || loaders.load(ArticleKey(article, Visibility::Published)).await?.is_none()
    {
        return Ok(None);
    }
    let comment = loaders.load(CommentKey(comment_id)).await?;
    let shown = comment.filter(|comment| comment.state == CommentState::Approved);
    Ok(shown.map(|comment| CommentCreatedEvent {
        event_id: event.id.into(),
        comment: Comment(comment),
    }))
}
