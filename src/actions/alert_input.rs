//! What an editor says of an alert, parsed alike when it is decided and when it is corrected.

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;
use url::Url;
use uuid::Uuid;

use crate::app::App;
use crate::domain::alert::{
    Action, Alert, AlertState, MAX_ACTION, MAX_ACTIONS, MAX_BODY, MAX_TITLE, Urgency, Words,
};
use crate::domain::clock::Timestamp;
use crate::domain::failure::{Failure, Faults, FieldCode, Rejection};
use crate::domain::text;
use crate::storage;

/// Characters of an address in an alert.
const MAX_URL: usize = 500;
/// How long ahead an alert may be decided.
const LATEST: TimeDelta = TimeDelta::days(366);

/// What readers are to be told. What is absent stays as it was, or comes from the story.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// The headline when absent.
    pub title: Option<String>,
    /// The sub-headline, or else the excerpt, when absent.
    pub body: Option<String>,
    /// The words for readers of further editions.
    pub translations: Option<Vec<Translation>>,
    /// The story's picture when absent; `Some(None)` for none.
    pub image: Option<Option<String>>,
    /// Buttons.
    pub actions: Option<Vec<Action>>,
    /// High for breaking news and normal for the rest when absent.
    pub urgency: Option<Urgency>,
    /// When it is to be sent; at once when absent. `Some(None)` sends one that waits at once.
    pub scheduled_at: Option<Option<Timestamp>>,
    /// Alerts readers once more of a story that they have been alerted of.
    pub again: bool,
}

/// Words for the readers of another edition.
#[derive(Debug, Clone)]
pub struct Translation {
    /// The edition's locale.
    pub locale: String,
    /// The first line.
    pub title: String,
    /// What stands under it.
    pub body: String,
}

/// What can be wrong with an alert besides its fields' form.
pub(super) trait AlertCodes: From<FieldCode> {
    /// There is no edition of this locale.
    const EDITION_NOT_FOUND: Self;
}

impl Input {
    /// The alert as the input says it, over an earlier one. Finds every fault.
    pub(super) async fn over<C: AlertCodes>(
        &self,
        app: &App,
        connection: &impl ConnectionTrait,
        mut alert: Alert,
    ) -> Result<Alert, Failure<C>> {
        let mut faults = Faults::default();
        if let Some(title) = &self.title {
            let title = faults.text("title", text::line(title, MAX_TITLE));
            alert.words.title = title.unwrap_or_default();
        }
        if let Some(body) = &self.body {
            let body = faults.text("body", text::optional_line(Some(body), MAX_BODY));
            alert.words.body = body.flatten().unwrap_or_default();
        }
        if let Some(translations) = &self.translations {
            alert.translations.clear();
            for (number, translation) in translations.iter().enumerate() {
                let at = format!("translations.{number}");
                let told = parse_translation(connection, translation, &at, &mut faults).await?;
                let known = |(edition, _): &(Uuid, Words)| told.iter().any(|(id, _)| id == edition);
                if alert.translations.iter().any(known)
                    || told.iter().any(|(id, _)| *id == alert.edition_id)
                {
                    let message = "another text is for this edition already";
                    faults.push(Rejection::invalid(&format!("{at}.locale"), message));
                }
                alert.translations.extend(told);
            }
        }
        if let Some(image) = &self.image {
            let image = image.as_deref().map(|image| address("image", image));
            alert.image = image.and_then(|image| faults.take(image));
        }
        if let Some(actions) = &self.actions {
            alert.actions = parse_actions(actions, "actions", &mut faults);
        }
        alert.urgency = self.urgency.unwrap_or(alert.urgency);
        match self.scheduled_at {
            Some(Some(at)) => alert.scheduled_at = faults.take(schedule(at, app.now())),
            Some(None) if alert.state == AlertState::Scheduled => {
                alert.scheduled_at = Some(app.now());
            }
            Some(None) | None => {}
        }
        faults.check()?;
        Ok(alert)
    }
}

fn schedule<C: From<FieldCode>>(at: Timestamp, now: Timestamp) -> Result<Timestamp, Rejection<C>> {
    let is_soon = now < at && at - now <= LATEST;
    is_soon.then_some(at).ok_or_else(|| {
        let message = format!(
            "must lie in the future and at most {} days ahead; leave it out, or null in a correction, to send at once",
            LATEST.num_days()
        );
        Rejection::invalid("scheduledAt", message)
    })
}

async fn parse_translation<C: AlertCodes>(
    connection: &impl ConnectionTrait,
    translation: &Translation,
    at: &str,
    faults: &mut Faults<C>,
) -> Result<Option<(Uuid, Words)>, sea_orm::DbErr> {
    let title = faults.text(&format!("{at}.title"), text::line(&translation.title, MAX_TITLE));
    let body = text::optional_line(Some(&translation.body), MAX_BODY);
    let body = faults.text(&format!("{at}.body"), body);
    let edition = storage::edition::by_locale(connection, &translation.locale).await?;
    let Some(edition) = edition else {
        let message = format!("there is no edition {}", translation.locale);
        faults.push(Rejection::at(&format!("{at}.locale"), C::EDITION_NOT_FOUND, message));
        return Ok(None);
    };
    let words = |title| Words { title, body: body.flatten().unwrap_or_default() };
    Ok(title.map(|title| (edition.id, words(title))))
}

fn parse_actions<C: From<FieldCode>>(
    actions: &[Action],
    field: &str,
    faults: &mut Faults<C>,
) -> Vec<Action> {
    if actions.len() > MAX_ACTIONS {
        let message = format!(
            "holds {} buttons; at most {MAX_ACTIONS} is allowed beside the one that opts out",
            actions.len()
        );
        faults.push(Rejection::at(field, FieldCode::TooLong.into(), message));
        return Vec::new();
    }
    let parse = |(number, action): (usize, &Action)| {
        let at = format!("{field}.{number}");
        let title = faults.text(&format!("{at}.title"), text::line(&action.title, MAX_ACTION));
        let url = faults.take(address(&format!("{at}.url"), &action.url));
        Some(Action { title: title?, url: url? })
    };
    actions.iter().enumerate().filter_map(parse).collect()
}

/// An https address.
fn address<C: From<FieldCode>>(field: &str, text: &str) -> Result<String, Rejection<C>> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https");
    let url = url.map(String::from).filter(|url| url.len() <= MAX_URL);
    url.ok_or_else(|| {
        let message = format!("must be an https address of at most {MAX_URL} characters");
        Rejection::invalid(field, message)
    })
}
