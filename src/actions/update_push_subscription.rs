//! A reader chooses anew, or the browser got another address.

use sea_orm::{ConnectionTrait, DbErr};

use super::choose_topics::{Choice, ChoiceCodes, choose_anew};
use super::create_push_subscription::{BrowserCodes, BrowserInput};
use super::takes_field_codes;
use crate::app::App;
use crate::domain::failure::{Failure, Rejection, both};
use crate::domain::token;
use crate::storage::browser::Browser;
use crate::storage::claim::{self, Claim};
use crate::storage::push_subscription::{Stored, delete, move_to};

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
    let (of_token, there) = claim::lock(tx, &app.vault, Some(hash), endpoint).await?;
    let known = match of_token {
        Some(claim) => Some(claim.subscription(tx).await?),
        None => None,
    };
    let old = known.as_ref().map(|known| (known.topics.clone(), known.manners));
    let known = known.ok_or_else(|| {
        let message = "opens no subscription; opt in again by pushSubscriptionCreate";
        Rejection::at("token", Code::TokenNotFound, message).into()
    });
    let choice = input.choice.over(tx, old.unwrap_or_default()).await;
    let ((known, browser), (topics, manners)) = both(both(known, browser), choice)?;
    choose_anew(app, tx, &known, (&topics, &manners)).await?;
    if let Some(browser) = browser {
        place(app, tx, &known, (&browser, names_key), there).await?;
    }
    change.commit().await?;
    Ok(Stored { topics, manners, ..known })
}

/// Puts a subscription at a browser's address, among those who are there already.
async fn place(
    app: &App,
    connection: &impl ConnectionTrait,
    known: &Stored,
    (browser, names_key): (&Browser, bool),
    there: Vec<Claim>,
) -> Result<(), DbErr> {
    let own = there.iter().find(|claim| claim.id == known.id);
    // The browser may have opted in at its new address before it said where it came from.
    let before = there.iter().find(|claim| own.is_none() && claim.is_by(browser));
    let replaced: Vec<i64> = before.iter().map(|before| before.id).collect();
    delete(connection, &replaced).await?;
    let now = app.now();
    let since = (own.or(before).map_or(now, |claim| claim.placed_at), now);
    let reaches = there.iter().find(|claim| !claim.is_decoy);
    let is_others = |claim: &Claim| claim.id != known.id && !replaced.contains(&claim.id);
    if reaches.is_some_and(is_others) {
        let decoy = (browser, app.clock.new_secret());
        return claim::become_decoy(connection, known.id, decoy, since).await;
    }
    let browser = match reaches {
        Some(reaches) => browser.at_address_of(reaches, names_key),
        None => browser.clone(),
    };
    move_to(connection, &app.vault, known, &browser, since).await
}
