//! A reader opts in to alerts.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::choose_topics::{Choice, ChoiceCodes, choose_anew};
use super::takes_field_codes;
use crate::app::App;
use crate::domain::audience::{Manners, Topics};
use crate::domain::failure::{Failure, Faults, FieldCode, Rejection, both};
use crate::domain::push_subscription::{
    Endpoint, EndpointRules, PushKeys, parse_auth, parse_p256dh,
};
use crate::domain::token::{self, Token};
use crate::storage;
use crate::storage::browser::Browser;
use crate::storage::claim::{self, Claim};
use crate::storage::push_subscription::{insert, move_to, renew_token};

/// What the browser hands over, and what the reader chose.
#[derive(Debug, Clone)]
pub struct Input {
    /// Where the browser is reached.
    pub browser: BrowserInput,
    /// What the reader chose; the locale must be among it.
    pub choice: Choice,
    /// The token that an earlier call gave for this endpoint.
    pub token: Option<String>,
}

/// A `PushSubscription` as the browser writes it.
#[derive(Debug, Clone)]
pub struct BrowserInput {
    /// The address at the push service.
    pub endpoint: String,
    /// The browser's public key, base64url.
    pub p256dh: String,
    /// The authentication secret, base64url.
    pub auth: String,
    /// The newsroom's public key that the browser subscribed with; the present one when absent.
    pub application_server_key: Option<String>,
}

/// Why a subscription was not kept.
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

/// Codes for what may be wrong with a browser, beyond its fields.
pub(super) trait BrowserCodes: From<FieldCode> {
    /// The browser subscribed with a key that is not the newsroom's.
    const KEY_NOT_FOUND: Self;
}

/// Keeps a push subscription and answers the token that alone can change or delete it. A token that
/// is presented and good stays so.
///
/// The same endpoint again updates instead of doubling, for whoever proves to be the same browser:
/// by its keys, which only it and this newsroom know, or by the token. Anybody else gets a decoy (see
/// [`claim`]): so an endpoint can neither be taken over nor probed for.
pub async fn create_push_subscription(app: &App, input: Input) -> Result<Token, Failure<Code>> {
    let browser = input.browser.parse::<Code>(app).await;
    let names_key = input.browser.application_server_key.is_some();
    let change = app.begin().await?;
    let tx = change.transaction();
    let choice = input.choice.over(tx, (Topics::default(), Manners::default())).await;
    let (browser, (topics, manners)) = both(browser, choice)?;
    let presented = input.token.as_deref().map(token::hash);
    let token = Token::new("khp", app.clock.new_secret());
    let (hash, now) = (token.hash(), app.now());
    // Another tab may add the same endpoint between the look and the insert; then look again.
    loop {
        let (_, there) = claim::lock(tx, &app.vault, None, Some(&browser.endpoint)).await?;
        let is_taken = there.iter().any(|claim| !claim.is_decoy);
        let proves = |claim: &&Claim| claim.is_by(&browser) || claim.is_opened_by(presented);
        let Some(claim) = there.iter().find(proves) else {
            let (choice, token) = ((&topics, &manners), (hash, now));
            let decoy = (&browser, app.clock.new_secret());
            let inserted = match is_taken {
                true => claim::insert_decoy(tx, decoy, choice, token).await?,
                false => insert(tx, &app.vault, &browser, choice, token).await?,
            };
            if inserted {
                break;
            }
            continue;
        };
        let known = claim.subscription(tx).await?;
        let since = (claim.placed_at, now);
        if claim.is_decoy && is_taken {
            let decoy = (&browser, app.clock.new_secret());
            claim::become_decoy(tx, known.id, decoy, since).await?;
        } else {
            let browser = browser.at_address_of(claim, names_key);
            move_to(tx, &app.vault, &known, &browser, since).await?;
        }
        choose_anew(app, tx, &known, (&topics, &manners)).await?;
        if let Some(presented) = input.token.filter(|_| claim.is_opened_by(presented)) {
            // It stays good: another tab may hold it, and this answer may get lost.
            change.commit().await?;
            return Ok(Token::from_text(presented));
        }
        renew_token(tx, known.id, hash).await?;
        break;
    }
    change.commit().await?;
    Ok(token)
}

impl BrowserInput {
    /// The browser's address and keys, checked. Finds every fault.
    pub(super) async fn parse<C: BrowserCodes>(&self, app: &App) -> Result<Browser, Failure<C>> {
        let rules = EndpointRules {
            extra_hosts: app.config.push.extra_hosts.clone(),
            allow_loopback: app.config.push.allow_loopback,
        };
        let mut faults = Faults::default();
        let fault = |field: &'static str| move |fault: &str| Rejection::invalid(field, fault);
        let endpoint = Endpoint::parse(&self.endpoint, &rules).map_err(fault("endpoint"));
        let endpoint = faults.take(endpoint);
        let p256dh = faults.take(parse_p256dh(&self.p256dh).map_err(fault("keys.p256dh")));
        let auth = faults.take(parse_auth(&self.auth).map_err(fault("keys.auth")));
        let vapid_key_id = faults.take(self.vapid_key_id(app).await?);
        faults.check()?;
        match (endpoint, p256dh, auth, vapid_key_id) {
            (Some(endpoint), Some(p256dh), Some(auth), Some(vapid_key_id)) => {
                let service = endpoint.group(&rules);
                let keys = PushKeys { p256dh, auth };
                Ok(Browser { endpoint, service, keys, vapid_key_id })
            }
            _ => Err(anyhow::anyhow!("a field is missing though no fault was found").into()),
        }
    }

    /// Which of the newsroom's keys the browser subscribed with.
    async fn vapid_key_id<C: BrowserCodes>(
        &self,
        app: &App,
    ) -> Result<Result<i32, Rejection<C>>, Failure<C>> {
        let connection = app.db.connection();
        let known = match &self.application_server_key {
            // Read as leniently as the browser's own keys, and looked up as it is kept.
            Some(key) => match parse_p256dh(key) {
                Ok(key) => {
                    storage::vapid_key::id_of(connection, &URL_SAFE_NO_PAD.encode(key)).await?
                }
                Err(_) => None,
            },
            None => storage::vapid_key::newest(connection).await?.map(|(id, _)| id),
        };
        let message = "is not the newsroom's: unsubscribe in the browser, and subscribe again with webPushKey";
        Ok(known.ok_or_else(|| Rejection::at("applicationServerKey", C::KEY_NOT_FOUND, message)))
    }
}
