//! Alerting readers, correcting, calling back, trying again.

use async_graphql::{Context, Error, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use super::alert::{Alert, AlertUrgency};
use super::alert_preview::{self, AlertPreview};
use super::context::KhabarContext;
use super::errors::{settle, user_errors};
use super::ids::{self, Kind};
use super::instant::Instant;
use super::patch;
use crate::actions::alert_input::{Input, Translation};
use crate::actions::cancel_alert::{self, cancel_alert};
use crate::actions::create_alert::{self, create_alert, preview_alert};
use crate::actions::replay_alert::{self, replay_alert};
use crate::actions::test_alert::{self, test_alert};
use crate::actions::update_alert::{self, update_alert};
use crate::domain::alert::Action;
use crate::domain::edition::canonical_locale;

/// Words for the readers of a further edition. They are led to the story in their language, if
/// there is one.
#[derive(InputObject)]
pub struct AlertTranslationInput {
    /// The edition's locale.
    locale: String,
    /// At most 200 characters.
    title: String,
    /// At most 500 characters.
    #[graphql(default)]
    body: String,
}

/// A button under a notification.
#[derive(InputObject)]
pub struct AlertActionInput {
    /// At most 40 characters.
    title: String,
    /// The https address that it opens.
    url: String,
}

/// What readers are to be told. What is absent comes from the story; in a correction it stays.
#[derive(InputObject, Default)]
pub struct AlertInput {
    /// At most 200 characters; the headline when absent.
    title: Option<String>,
    /// At most 500 characters; the sub-headline or the excerpt when absent.
    body: Option<String>,
    /// Reaches the readers of these editions too, in these words.
    translations: Option<Vec<AlertTranslationInput>>,
    /// An https address; the story's picture when absent, none when null.
    image: MaybeUndefined<String>,
    /// At most one button, beside the one that opts out.
    actions: Option<Vec<AlertActionInput>>,
    /// HIGH for breaking news and NORMAL for the rest when absent.
    urgency: Option<AlertUrgency>,
    /// When it is to be sent, at most 366 days ahead; at once when absent. Null in a correction sends one
    /// that waits at once.
    scheduled_at: MaybeUndefined<Instant>,
    /// Alerts readers once more of a story that they have been alerted of. Without it a second alert
    /// is refused, so that a click that came twice does no harm.
    #[graphql(default)]
    again: bool,
}

impl From<AlertInput> for Input {
    fn from(input: AlertInput) -> Self {
        let translation = |one: AlertTranslationInput| Translation {
            locale: canonical_locale(&one.locale).unwrap_or(one.locale),
            title: one.title,
            body: one.body,
        };
        let action = |one: AlertActionInput| Action { title: one.title, url: one.url };
        Self {
            title: input.title,
            body: input.body,
            translations: input.translations.map(|all| all.into_iter().map(translation).collect()),
            image: patch(input.image),
            actions: input.actions.map(|all| all.into_iter().map(action).collect()),
            urgency: input.urgency.map(Into::into),
            scheduled_at: patch(input.scheduled_at).map(|at| at.map(Into::into)),
            again: input.again,
        }
    }
}

user_errors!(
    AlertCreateUserError,
    AlertCreateUserErrorCode = create_alert::Code {
        /// A required field has nothing visible in it.
        Blank,
        /// More characters or items than the field allows.
        TooLong,
        /// Not of the form that the message asks for.
        Invalid,
        /// There is no such article before readers.
        ArticleNotFound,
        /// There is no edition of this locale.
        EditionNotFound,
        /// Readers have been alerted of the story; say `again` to alert them once more.
        AlertExists,
    }
);

user_errors!(
    AlertUpdateUserError,
    AlertUpdateUserErrorCode = update_alert::Code {
        /// A required field has nothing visible in it.
        Blank,
        /// More characters or items than the field allows.
        TooLong,
        /// Not of the form that the message asks for.
        Invalid,
        /// There is no such alert.
        AlertNotFound,
        /// There is no edition of this locale.
        EditionNotFound,
        /// It was called back, or is a test, or its story is not before readers; or it is out and cannot be put off.
        WrongState,
    }
);

user_errors!(
    AlertCancelUserError,
    AlertCancelUserErrorCode = cancel_alert::Code {
        /// There is no such alert.
        AlertNotFound,
        /// It is over.
        WrongState,
    }
);

user_errors!(
    AlertReplayUserError,
    AlertReplayUserErrorCode = replay_alert::Code {
        /// There is no such alert.
        AlertNotFound,
        /// It has not begun, or is old and not over yet, or was called back, or its story is not before readers.
        WrongState,
        /// Nobody was given up who is still subscribed.
        NothingToReplay,
    }
);

user_errors!(
    AlertTestUserError,
    AlertTestUserErrorCode = test_alert::Code {
        /// A required field has nothing visible in it.
        Blank,
        /// More characters or items than the field allows.
        TooLong,
        /// Not of the form that the message asks for.
        Invalid,
        /// There is no such article.
        ArticleNotFound,
        /// There is no edition of this locale.
        EditionNotFound,
        /// The token opens no subscription.
        TokenNotFound,
    }
);

/// Defines the payload of a mutation that answers with an alert.
macro_rules! alert_payload {
    ($payload:ident, $error:ident, $mutation:literal) => {
        #[doc = concat!("What came of `", $mutation, "`.")]
        #[derive(SimpleObject)]
        pub struct $payload {
            /// The alert; null when there are userErrors.
            alert: Option<Alert>,
            /// What is wrong with the input; empty when it was done.
            user_errors: Vec<$error>,
        }
    };
}

alert_payload!(AlertCreatePayload, AlertCreateUserError, "alertCreate");
alert_payload!(AlertUpdatePayload, AlertUpdateUserError, "alertUpdate");
alert_payload!(AlertCancelPayload, AlertCancelUserError, "alertCancel");
alert_payload!(AlertReplayPayload, AlertReplayUserError, "alertReplay");
alert_payload!(AlertTestPayload, AlertTestUserError, "alertTest");

/// What came of `alertPreview`.
#[derive(SimpleObject)]
pub struct AlertPreviewPayload {
    /// The alert as it would be; null when there are userErrors.
    preview: Option<AlertPreview>,
    /// Why it would be refused; empty when it would not.
    user_errors: Vec<AlertCreateUserError>,
}

/// Alerts readers.
#[derive(Default)]
pub struct AlertMutation;

#[Object]
impl AlertMutation {
    /// Alerts readers of a published story, now or at `scheduledAt`. For editors.
    async fn alert_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The story.")] article: ID,
        #[graphql(desc = "What the story does not say by itself.")] input: Option<AlertInput>,
    ) -> Result<Option<AlertCreatePayload>, Error> {
        let article = ids::of(Kind::Article, &article);
        let created =
            create_alert(ctx.app()?, ctx.viewer(), article, input.unwrap_or_default().into()).await;
        let (alert, user_errors) = settle(created)?;
        Ok(Some(AlertCreatePayload { alert: alert.map(Alert), user_errors }))
    }

    /// Shows what `alertCreate` would do with the same input, and does nothing. A story that is not out is
    /// taken as if it were published with the alert. For editors.
    async fn alert_preview(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The story.")] article: ID,
        #[graphql(desc = "What the story does not say by itself.")] input: Option<AlertInput>,
    ) -> Result<Option<AlertPreviewPayload>, Error> {
        let (app, article) = (ctx.app()?, ids::of(Kind::Article, &article));
        let previewed =
            preview_alert(app, ctx.viewer(), article, input.unwrap_or_default().into()).await;
        let (previewed, user_errors) = settle(previewed)?;
        let preview = match previewed {
            Some(previewed) => Some(alert_preview::preview(app, previewed).await?),
            None => None,
        };
        Ok(Some(AlertPreviewPayload { preview, user_errors }))
    }

    /// Corrects an alert. What readers have on their screens is replaced, not added to: the message
    /// goes out anew to all of them under the same tag. One that waits is changed, or sent at another
    /// time by `scheduledAt`. For editors.
    async fn alert_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The alert.")] id: ID,
        input: AlertInput,
    ) -> Result<Option<AlertUpdatePayload>, Error> {
        let id = ids::of(Kind::Alert, &id);
        let updated = update_alert(ctx.app()?, ctx.viewer(), id, input.into()).await;
        let (alert, user_errors) = settle(updated)?;
        Ok(Some(AlertUpdatePayload { alert: alert.map(Alert), user_errors }))
    }

    /// Calls an alert back. Workers finish the page in hand, some hundred messages, and send nothing
    /// more. For editors.
    async fn alert_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The alert.")] id: ID,
    ) -> Result<Option<AlertCancelPayload>, Error> {
        let id = ids::of(Kind::Alert, &id);
        let (alert, user_errors) = settle(cancel_alert(ctx.app()?, ctx.viewer(), id).await)?;
        Ok(Some(AlertCancelPayload { alert: alert.map(Alert), user_errors }))
    }

    /// Tries those again whom an alert was given up for in the last 28 days, and nobody else. One that is DONE
    /// is news again for as long as a new one; one that is SENDING, to readers who sleep perhaps, tries them
    /// for as long as it is news. For editors.
    async fn alert_replay(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The alert.")] id: ID,
    ) -> Result<Option<AlertReplayPayload>, Error> {
        let id = ids::of(Kind::Alert, &id);
        let (alert, user_errors) = settle(replay_alert(ctx.app()?, ctx.viewer(), id).await)?;
        Ok(Some(AlertReplayPayload { alert: alert.map(Alert), user_errors }))
    }

    /// Sends the alert of a story, a draft too, to one's own browser and to nobody else, and at once whatever
    /// `scheduledAt` says. For editors.
    async fn alert_test(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The story.")] article: ID,
        #[graphql(desc = "The token that pushSubscriptionCreate gave this browser.")] token: String,
        #[graphql(desc = "What the story does not say by itself.")] input: Option<AlertInput>,
    ) -> Result<Option<AlertTestPayload>, Error> {
        let story = (ids::of(Kind::Article, &article), token.as_str());
        let tested =
            test_alert(ctx.app()?, ctx.viewer(), story, input.unwrap_or_default().into()).await;
        let (alert, user_errors) = settle(tested)?;
        Ok(Some(AlertTestPayload { alert: alert.map(Alert), user_errors }))
    }
}
