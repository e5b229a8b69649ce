//! Opting in to alerts, choosing anew, and opting out.

use async_graphql::{Context, Error, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use super::context::KhabarContext;
use super::errors::{settle, user_errors};
use super::ids::{self, Kind};
use super::patch;
use super::push_subscription::{PushSubscription, QuietHoursInput};
use crate::actions::choose_topics::Choice;
use crate::actions::create_push_subscription::{self, BrowserInput, create_push_subscription};
use crate::actions::delete_push_subscription::delete_push_subscription;
use crate::actions::update_push_subscription::{self, update_push_subscription};
use crate::domain::edition::canonical_locale;
use crate::rate_limit::Limited;

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
    /// `PushSubscription.options.applicationServerKey`, base64url: the webPushKey that the browser
    /// subscribed with. The present one when absent.
    application_server_key: Option<String>,
    /// The locale of the edition whose stories are alerted.
    locale: String,
    /// These categories and what is below them, at most 100. Without categories and tags, all.
    #[graphql(default)]
    categories: Vec<ID>,
    /// Stories with one of these tags, at most 100.
    #[graphql(default)]
    tags: Vec<ID>,
    /// Breaking news alone.
    #[graphql(default)]
    breaking_only: bool,
    /// When alerts are held back; never when absent.
    quiet_hours: Option<QuietHoursInput>,
    /// No more than so many alerts in 24 hours, 1 to 1000; as many as there are when absent.
    max_per_day: Option<i32>,
    /// Breaking news comes whatever the hour and the count.
    #[graphql(default)]
    breaking_always: bool,
    /// The token that an earlier call gave for this endpoint; needed when the browser's keys have
    /// changed since.
    token: Option<String>,
}

impl From<PushSubscriptionCreateInput> for create_push_subscription::Input {
    fn from(input: PushSubscriptionCreateInput) -> Self {
        let choice = Choice {
            locale: Some(canonical(input.locale)),
            categories: Some(decode(Kind::Category, &input.categories)),
            tags: Some(decode(Kind::Tag, &input.tags)),
            breaking_only: Some(input.breaking_only),
            quiet_hours: Some(input.quiet_hours.map(QuietHoursInput::parse)),
            max_per_day: Some(input.max_per_day),
            breaking_always: Some(input.breaking_always),
        };
        let keys = (input.keys, input.application_server_key);
        Self { browser: browser(input.endpoint, keys), choice, token: input.token }
    }
}

/// Where a browser is reached from now on.
#[derive(InputObject)]
pub struct PushSubscriptionBrowserInput {
    /// `PushSubscription.endpoint`.
    endpoint: String,
    /// The browser's keys.
    keys: PushSubscriptionKeysInput,
    /// `PushSubscription.options.applicationServerKey`, base64url: the webPushKey that the browser
    /// subscribed with. The present one when absent.
    application_server_key: Option<String>,
}

/// What is to change; what is absent stays as it was.
#[derive(InputObject)]
pub struct PushSubscriptionUpdateInput {
    /// Where the browser is reached from now on: for `pushsubscriptionchange`.
    browser: Option<PushSubscriptionBrowserInput>,
    /// The locale of the edition whose stories are alerted.
    locale: Option<String>,
    /// These categories and what is below them, at most 100. Without categories and tags, all.
    categories: Option<Vec<ID>>,
    /// Stories with one of these tags, at most 100.
    tags: Option<Vec<ID>>,
    /// Breaking news alone.
    breaking_only: Option<bool>,
    /// When alerts are held back; null for never.
    quiet_hours: MaybeUndefined<QuietHoursInput>,
    /// No more than so many alerts in 24 hours, 1 to 1000; null for as many as there are.
    max_per_day: MaybeUndefined<i32>,
    /// Breaking news comes whatever the hour and the count.
    breaking_always: Option<bool>,
}

impl From<PushSubscriptionUpdateInput> for update_push_subscription::Input {
    fn from(input: PushSubscriptionUpdateInput) -> Self {
        let choice = Choice {
            locale: input.locale.map(canonical),
            categories: input.categories.map(|ids| decode(Kind::Category, &ids)),
            tags: input.tags.map(|ids| decode(Kind::Tag, &ids)),
            breaking_only: input.breaking_only,
            quiet_hours: patch(input.quiet_hours).map(|hours| hours.map(QuietHoursInput::parse)),
            max_per_day: patch(input.max_per_day),
            breaking_always: input.breaking_always,
        };
        let browser =
            input.browser.map(|new| browser(new.endpoint, (new.keys, new.application_server_key)));
        Self { browser, choice }
    }
}

fn browser(
    endpoint: String,
    (keys, application_server_key): (PushSubscriptionKeysInput, Option<String>),
) -> BrowserInput {
    BrowserInput { endpoint, p256dh: keys.p256dh, auth: keys.auth, application_server_key }
}

fn canonical(locale: String) -> String {
    canonical_locale(&locale).unwrap_or(locale)
}

fn decode(kind: Kind, ids: &[ID]) -> Vec<uuid::Uuid> {
    ids.iter().map(|id| ids::of(kind, id)).collect()
}

user_errors!(
    PushSubscriptionCreateUserError,
    PushSubscriptionCreateUserErrorCode = create_push_subscription::Code {
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
        /// There is no such tag.
        TagNotFound,
        /// The browser subscribed with a key that is not the newsroom's: unsubscribe there, and
        /// subscribe again with webPushKey.
        KeyNotFound,
    }
);

/// What came of `pushSubscriptionCreate`.
#[derive(SimpleObject)]
pub struct PushSubscriptionCreatePayload {
    /// Keep it: it alone can change or delete the subscription, and it replaces an earlier one.
    /// Null when there are userErrors.
    token: Option<String>,
    /// What is wrong with the input; empty when it was kept.
    user_errors: Vec<PushSubscriptionCreateUserError>,
}

user_errors!(
    PushSubscriptionUpdateUserError,
    PushSubscriptionUpdateUserErrorCode = update_push_subscription::Code {
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
        /// There is no such tag.
        TagNotFound,
        /// The token opens nothing: the reader opted out, or the browser dropped the subscription.
        TokenNotFound,
        /// The browser subscribed with a key that is not the newsroom's: unsubscribe there, and
        /// subscribe again with webPushKey.
        KeyNotFound,
    }
);

/// What came of `pushSubscriptionUpdate`.
#[derive(SimpleObject)]
pub struct PushSubscriptionUpdatePayload {
    /// What the reader holds now; null when there are userErrors.
    push_subscription: Option<PushSubscription>,
    /// What is wrong with the input; empty when it was kept.
    user_errors: Vec<PushSubscriptionUpdateUserError>,
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
        let created = create_push_subscription(ctx.app()?, input.into()).await;
        let (token, user_errors) = settle(created)?;
        let token = token.map(|token| token.reveal().to_owned());
        Ok(Some(PushSubscriptionCreatePayload { token, user_errors }))
    }

    /// Changes what a reader's alerts are about, or moves them to the browser's new address. The
    /// token stays the same.
    async fn push_subscription_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token that pushSubscriptionCreate gave.")] token: String,
        input: PushSubscriptionUpdateInput,
    ) -> Result<Option<PushSubscriptionUpdatePayload>, Error> {
        ctx.limit(Limited::PushSubscription)?;
        let updated = update_push_subscription(ctx.app()?, &token, input.into()).await;
        let (held, user_errors) = settle(updated)?;
        let push_subscription = held.map(PushSubscription);
        Ok(Some(PushSubscriptionUpdatePayload { push_subscription, user_errors }))
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
