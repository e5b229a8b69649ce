//! A reader opts in to alerts, or changes what the alerts are about.

use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::takes_field_codes;
use crate::app::App;
use crate::domain::failure::{Failure, Faults, Rejection};
use crate::domain::push_subscription::{
    Endpoint, EndpointRules, MAX_CATEGORIES, PushKeys, Topics, parse_auth, parse_p256dh,
};
use crate::domain::token::{self, Token};
use crate::storage;
use crate::storage::push_subscription::Stored;

/// What the browser hands over, and what the reader chose.
#[derive(Debug, Clone)]
pub struct Input {
    /// The address at the push service.
    pub endpoint: String,
    /// The browser's public key, base64url.
    pub p256dh: String,
    /// The authentication secret, base64url.
    pub auth: String,
    /// The edition's locale.
    pub locale: String,
    /// These categories and what is below them; all when empty.
    pub categories: Vec<Uuid>,
    /// Breaking news alone.
    pub breaking_only: bool,
    /// The token that an earlier call gave for this endpoint.
    pub token: Option<String>,
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
}
takes_field_codes!(Code);

/// Keeps a push subscription and answers the token that alone can change or delete it.
///
/// The same endpoint again updates instead of doubling, for whoever proves to be the same browser:
/// by its keys, which only it and this newsroom know, or by the token. Anybody else gets an answer
/// that looks the same, and a token that opens nothing: so an endpoint can neither be taken over
/// nor probed for.
pub async fn create_push_subscription(app: &App, input: Input) -> Result<Token, Failure<Code>> {
    let (endpoint, keys) = parse(app, &input)?;
    let change = app.begin().await?;
    let tx = change.transaction();
    let topics = parse_topics(tx, &input).await?;
    let presented = input.token.as_deref().map(token::hash);
    let token = Token::new("khp", app.clock.new_secret());
    let (browser, now) = ((&endpoint, &keys), app.now());
    // Another tab may add the same endpoint between the look and the insert; then look again.
    loop {
        let known = storage::push_subscription::lock_by_endpoint(tx, &endpoint).await?;
        let Some(known) = known else {
            let hash = token.hash();
            if storage::push_subscription::insert(tx, browser, &topics, hash, now).await? {
                break;
            }
            continue;
        };
        if is_same_browser(&known, &keys, presented) {
            let written = (token.hash(), now);
            storage::push_subscription::update(tx, &known, &keys, &topics, written).await?;
        }
        break;
    }
    change.commit().await?;
    Ok(token)
}

fn is_same_browser(known: &Stored, keys: &PushKeys, presented: Option<[u8; 32]>) -> bool {
    let same_secret = known.keys.auth.ct_eq(&keys.auth) & known.keys.p256dh.ct_eq(&keys.p256dh);
    let same_token = presented.is_some_and(|hash| known.token_hash.ct_eq(&hash).into());
    bool::from(same_secret) || same_token
}

fn parse(app: &App, input: &Input) -> Result<(Endpoint, PushKeys), Failure<Code>> {
    let rules = EndpointRules {
        extra_hosts: app.config.push.extra_hosts.clone(),
        allow_loopback: app.config.push.allow_loopback,
    };
    let mut faults = Faults::default();
    let mut take = |field: &str, fault: &str| faults.push(Rejection::invalid(field, fault));
    let endpoint =
        Endpoint::parse(&input.endpoint, &rules).map_err(|fault| take("endpoint", fault));
    let p256dh = parse_p256dh(&input.p256dh).map_err(|fault| take("keys.p256dh", fault));
    let auth = parse_auth(&input.auth).map_err(|fault| take("keys.auth", fault));
    if input.categories.len() > MAX_CATEGORIES {
        let message = format!(
            "holds {} categories; at most {MAX_CATEGORIES} are allowed",
            input.categories.len()
        );
        faults.push(Rejection::at("categories", Code::TooLong, message));
    }
    faults.check()?;
    match (endpoint, p256dh, auth) {
        (Ok(endpoint), Ok(p256dh), Ok(auth)) => Ok((endpoint, PushKeys { p256dh, auth })),
        _ => Err(anyhow::anyhow!("a field is missing though no fault was found").into()),
    }
}

async fn parse_topics(
    tx: &impl sea_orm::ConnectionTrait,
    input: &Input,
) -> Result<Topics, Failure<Code>> {
    let mut faults = Faults::default();
    let edition = storage::edition::by_locale(tx, &input.locale).await?;
    if edition.is_none() {
        let message = format!("there is no edition {}", input.locale);
        faults.push(Rejection::at("locale", Code::EditionNotFound, message));
    }
    let mut categories = input.categories.clone();
    categories.sort_unstable();
    categories.dedup();
    if storage::category::hold(tx, &categories).await? != categories.len() {
        faults.push(Rejection::at(
            "categories",
            Code::CategoryNotFound,
            "names a category that does not exist",
        ));
    }
    faults.check()?;
    let edition_id = edition.map(|edition| edition.id).unwrap_or_default();
    Ok(Topics { edition_id, categories, breaking_only: input.breaking_only })
}
