//! Opting in to alerts and out of them.

use async_graphql::{Context, Error, ID, InputObject, Object, SimpleObject};

use super::context::KhabarContext;
use super::errors::{settle, user_errors};
use super::ids::{self, Kind};
use crate::actions::create_push_subscription::{self, create_push_subscription};
use crate::actions::delete_push_subscription::delete_push_subscription;
use crate::domain::edition::canonical_locale;
use crate::rate_limit::Limited;

/// What a browser needs to subscribe.
#[derive(Default)]
pub struct PushSubscriptionQuery;

#[Object]
impl PushSubscriptionQuery {
    /// The newsroom's public VAPID key, 65 bytes in base64url: the `applicationServerKey` of
    /// `PushManager.subscribe()` (RFC 8292).
    async fn web_push_key(&self, ctx: &Context<'_>) -> Result<String, Error> {
        Ok(ctx.app()?.vapid.public_key().to_owned())
    }
}

/// A browser's keys, as `PushSubscription.toJSON().keys` gives them.
#[derive(InputObject)]
pub struct PushSubscriptionKeysInput {
    /// The browser's public key: 65 bytes in base64url.
    p256dh: String,
    /// The authentication secret: 16 bytes in base64url.
    auth: String,
}

/// What the browser hands over, and what the reader chose.
#[derive(InputObject)]
pub struct PushSubscriptionCreateInput {
    /// `PushSubscription.endpoint`: https at a push service that the newsroom knows.
    endpoint: String,
    /// The browser's keys.
    keys: PushSubscriptionKeysInput,
    /// The locale of the edition whose stories are alerted.
    locale: String,
    /// These categories and what is below them, at most 100; all of them when empty.
    #[graphql(default)]
    categories: Vec<ID>,
    /// Breaking news alone.
    #[graphql(default)]
    breaking_only: bool,
    /// The token that an earlier call gave for this endpoint; needed when the browser's keys have
    /// changed since.
    token: Option<String>,
}

user_errors!(PushSubscriptionCreateUserError, PushSubscriptionCreateUserErrorCode = create_push_subscription::Code {
    /// A required field has nothing visible in it.
    Blank,
    /// More items than the field allows.
    TooLong,
    /// Not of the form that the message asks for.
    Invalid,
    /// There is no edition of this locale.
    EditionNotFound,
    /// There is no such category.
    CategoryNotFound,
});

/// What came of `pushSubscriptionCreate`.
#[derive(SimpleObject)]
pub struct PushSubscriptionCreatePayload {
    /// Keep it: it alone can change or delete the subscription, and it replaces an earlier one.
    /// Null when there are userErrors.
    token: Option<String>,
    /// What is wrong with the input; empty when it was kept.
    user_errors: Vec<PushSubscriptionCreateUserError>,
}

/// What came of `pushSubscriptionDelete`.
#[derive(SimpleObject)]
pub struct PushSubscriptionDeletePayload {
    /// Always true: nothing is kept under this token any more, whether or not there was something.
    deleted: bool,
}

/// Opts readers in and out.
#[derive(Default)]
pub struct PushSubscriptionMutation;

#[Object]
impl PushSubscriptionMutation {
    /// Opts a browser in to alerts, or changes what they are about. The same endpoint again updates
    /// instead of doubling; the answer never tells whether it was known.
    async fn push_subscription_create(
        &self,
        ctx: &Context<'_>,
        input: PushSubscriptionCreateInput,
    ) -> Result<Option<PushSubscriptionCreatePayload>, Error> {
        ctx.limit(Limited::PushSubscription)?;
        let input = create_push_subscription::Input {
            endpoint: input.endpoint,
            p256dh: input.keys.p256dh,
            auth: input.keys.auth,
            locale: canonical_locale(&input.locale).unwrap_or(input.locale),
            categories: input.categories.iter().map(|id| ids::of(Kind::Category, id)).collect(),
            breaking_only: input.breaking_only,
            token: input.token,
        };
        let (token, user_errors) = settle(create_push_subscription(ctx.app()?, input).await)?;
        let token = token.map(|token| token.reveal().to_owned());
        Ok(Some(PushSubscriptionCreatePayload { token, user_errors }))
    }

    /// Opts a browser out: nothing is sent to it any more.
    async fn push_subscription_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token that pushSubscriptionCreate gave.")] token: String,
    ) -> Result<Option<PushSubscriptionDeletePayload>, Error> {
        let deleted = delete_push_subscription(ctx.app()?, &token).await;
        let (done, _) = settle::<_, _, std::convert::Infallible>(deleted)?;
        Ok(done.map(|()| PushSubscriptionDeletePayload { deleted: true }))
    }
}
