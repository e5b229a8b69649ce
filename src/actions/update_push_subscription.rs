//! A reader chooses anew, or the browser got another address.

use super::choose_topics::{Choice, ChoiceCodes, choose_anew};
use super::create_push_subscription::{BrowserCodes, BrowserInput};
use super::takes_field_codes;
use crate::app::App;
use crate::domain::failure::{Failure, Rejection, both};
use crate::domain::token;
use crate::storage::decoy;
use crate::storage::push_subscription::{Stored, delete, lock_both, move_to};

/// What is to change; what is absent stays as it was.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// Where the browser is reached from now on.
    pub browser: Option<BrowserInput>,
    /// What the reader chose.
    pub choice: Choice,
}

/// Why a subscription was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A field is blank.
    Blank,
    /// A field is too long.
    TooLong,
    /// A field is malformed.
    Invalid,
    /// There is no edition of this locale.
    EditionNotFound,
    /// There is no such category.
    CategoryNotFound,
    /// There is no such tag.
    TagNotFound,
    /// The token opens nothing.
    TokenNotFound,
    /// The browser subscribed with a key that is not the newsroom's.
    KeyNotFound,
}
takes_field_codes!(Code);

impl ChoiceCodes for Code {
    const EDITION_NOT_FOUND: Self = Self::EditionNotFound;
    const CATEGORY_NOT_FOUND: Self = Self::CategoryNotFound;
    const TAG_NOT_FOUND: Self = Self::TagNotFound;
}

impl BrowserCodes for Code {
    const KEY_NOT_FOUND: Self = Self::KeyNotFound;
}

/// Changes the subscription of a token and answers what it holds now.
///
/// A new address that is somebody else's stays theirs, and the answer does not tell: the subscription is a
/// decoy from then on.
pub async fn update_push_subscription(
    app: &App,
    presented: &str,
    input: Input,
) -> Result<Stored, Failure<Code>> {
    let browser = match &input.browser {
        Some(browser) => browser.parse::<Code>(app).await.map(Some),
        None => Ok(None),
    };
    let browser = browser.map_err(|failure| failure.below("browser"));
    let names_key =
        input.browser.as_ref().is_some_and(|browser| browser.application_server_key.is_some());
    let change = app.begin().await?;
    let tx = change.transaction();
    let hash = token::hash(presented);
    let endpoint = browser.as_ref().ok().and_then(Option::as_ref).map(|browser| &browser.endpoint);
    let (known, there) = lock_both(tx, &app.vault, hash, endpoint).await?;
    let old = known.as_ref().map(|known| (known.topics.clone(), known.manners));
    let known = known.ok_or_else(|| {
        let message = "opens no subscription; opt in again by pushSubscriptionCreate";
        Rejection::at("token", Code::TokenNotFound, message).into()
    });
    let choice = input.choice.over(tx, old.unwrap_or_default()).await;
    let ((known, browser), (topics, manners)) = both(both(known, browser), choice)?;
    choose_anew(app, tx, &known, (&topics, &manners)).await?;
    if let Some(browser) = browser {
        let browser = match &there {
            Some(there) => browser.at_address_of(there, names_key),
            None => browser,
        };
        let other = there.filter(|there| there.id != known.id);
        if other.as_ref().is_none_or(|other| other.is_of(&browser.keys)) {
            // The browser may have opted in at its new address before it said where it came from.
            let other: Vec<i64> = other.iter().map(|other| other.id).collect();
            delete(tx, &other).await?;
            move_to(tx, &app.vault, &known, &browser, app.now()).await?;
        } else {
            decoy::take_place(tx, known.id, &browser, app.now()).await?;
        }
    }
    change.commit().await?;
    Ok(Stored { topics, manners, ..known })
}
