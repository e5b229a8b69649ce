//! What a reader holds: a push subscription, as the token shows it.

use async_graphql::{Context, Error, InputObject, Object, SimpleObject};

use super::article::vanished;
use super::category::Category;
use super::context::KhabarContext;
use super::credit::Tag;
use super::edition::Edition;
use super::loaders::{CategoryKey, EditionKey};
use crate::actions::choose_topics::Quiet;
use crate::domain::clock::Timestamp;
use crate::domain::quiet_hours::{self, format_time};
use crate::domain::token;
use crate::rate_limit::Limited;
use crate::storage;
use crate::storage::push_subscription::Stored;

/// A browser that opted in, as the reader chose. Its endpoint and keys are shown to nobody.
pub struct PushSubscription(pub Stored);

/// A browser that opted in, as the reader chose. Its endpoint and keys are shown to nobody.
#[Object]
impl PushSubscription {
    /// The edition whose stories are alerted.
    async fn edition(&self, ctx: &Context<'_>) -> Result<Edition, Error> {
        let edition = ctx.loaders()?.load(EditionKey(self.0.topics.edition_id)).await?;
        edition.map(Edition).ok_or_else(|| vanished("edition"))
    }

    /// These categories and what is below them. Without categories and tags, every story.
    async fn categories(&self, ctx: &Context<'_>) -> Result<Vec<Category>, Error> {
        let loaders = ctx.loaders()?;
        let keys = self.0.topics.categories.iter().map(|id| loaders.load(CategoryKey(*id)));
        let chosen = futures_util::future::try_join_all(keys).await?;
        let edition = self.0.topics.edition_id;
        Ok(chosen.into_iter().flatten().map(|category| Category::new(category, edition)).collect())
    }

    /// Stories with one of these tags.
    async fn tags(&self, ctx: &Context<'_>) -> Result<Vec<Tag>, Error> {
        let connection = ctx.app()?.db.connection();
        let tags = storage::tag::by_ids(connection, &self.0.topics.tags).await?;
        Ok(tags.into_iter().map(Tag).collect())
    }

    /// Breaking news alone.
    async fn breaking_only(&self) -> bool {
        self.0.topics.breaking_only
    }

    /// When alerts are held back; null for never.
    async fn quiet_hours(&self) -> Option<QuietHours> {
        self.0.manners.quiet.map(Into::into)
    }

    /// No more than so many alerts in 24 hours; null for as many as there are.
    async fn max_per_day(&self) -> Option<u16> {
        self.0.manners.max_per_day
    }

    /// Whether breaking news comes whatever the hour and the count.
    async fn breaking_always(&self) -> bool {
        self.0.manners.breaking_always
    }

    /// When the reader opted in.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at
    }
}

/// When alerts are held back, every day. What is still news when they end is delivered then.
#[derive(SimpleObject)]
pub struct QuietHours {
    /// `HH:MM`, by the reader's clock.
    from: String,
    /// `HH:MM`; before `from` when the quiet hours run over midnight.
    until: String,
    /// An IANA time zone, such as `Asia/Baghdad`.
    time_zone: String,
}

impl From<quiet_hours::QuietHours> for QuietHours {
    fn from(quiet: quiet_hours::QuietHours) -> Self {
        Self {
            from: format_time(quiet.from()),
            until: format_time(quiet.until()),
            time_zone: quiet.time_zone().name().to_owned(),
        }
    }
}

/// When alerts are held back, every day.
#[derive(InputObject)]
pub struct QuietHoursInput {
    /// `HH:MM` on a quarter of an hour, by the reader's clock.
    from: String,
    /// `HH:MM` on a quarter of an hour; before `from` to run over midnight.
    until: String,
    /// An IANA time zone: `Intl.DateTimeFormat().resolvedOptions().timeZone` in a browser.
    time_zone: String,
}

impl QuietHoursInput {
    /// The same for the action.
    pub(super) fn parse(self) -> Quiet {
        Quiet { from: self.from, until: self.until, time_zone: self.time_zone }
    }
}

/// What a browser needs to subscribe, and what it holds.
#[derive(Default)]
pub struct PushSubscriptionQuery;

#[Object]
impl PushSubscriptionQuery {
    /// The newsroom's public VAPID key, 65 bytes in base64url: the `applicationServerKey` of
    /// `PushManager.subscribe()` (RFC 8292). It changes rarely: a browser whose subscription has
    /// another one in its `options` goes on hearing alerts, and should subscribe anew.
    async fn web_push_key(&self, ctx: &Context<'_>) -> Result<String, Error> {
        let newest = storage::vapid_key::newest(ctx.app()?.db.connection()).await?;
        newest.map(|(_, key)| key).ok_or_else(|| vanished("VAPID key"))
    }

    /// What a token holds; null when it opens nothing.
    async fn push_subscription(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token that pushSubscriptionCreate gave.")] token: String,
    ) -> Result<Option<PushSubscription>, Error> {
        ctx.limit(Limited::PushSubscription)?;
        let app = ctx.app()?;
        let hash = token::hash(&token);
        let held = storage::push_subscription::by_token(app.db.connection(), &app.vault, hash);
        let held = held.await?;
        Ok(held.map(PushSubscription))
    }
}
