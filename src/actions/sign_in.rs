//! A member of staff signs in.

use chrono::TimeDelta;

use super::takes_field_codes;
use crate::app::App;
use crate::domain::clock::Timestamp;
use crate::domain::failure::{Failure, FieldCode, Rejection};
use crate::domain::token::{self, Token};
use crate::domain::user::{MAX_PASSWORD, User, parse_email};
use crate::domain::viewer::Viewer;
use crate::storage;
use crate::storage::session::NewSession;

/// Somebody who is signed in now.
#[derive(Debug)]
pub struct SignedIn {
    /// Who it is.
    pub user: User,
    /// Travels as `Authorization: Bearer …`.
    pub token: Token,
    /// When the session ends.
    pub expires_at: Timestamp,
}

/// Why nobody was signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A field is blank.
    Blank,
    /// A field is too long.
    TooLong,
    /// A field is malformed.
    Invalid,
    /// No such user, or not the password: which of the two is not told.
    WrongCredentials,
}
takes_field_codes!(Code);

/// Opens a session. An unknown address takes as long as a wrong password and is answered alike.
pub async fn sign_in(app: &App, email: &str, password: &str) -> Result<SignedIn, Failure<Code>> {
    if password.chars().count() > MAX_PASSWORD {
        return Err(Rejection::at("password", FieldCode::TooLong.into(), "is too long").into());
    }
    let email = parse_email::<Code>(email)?;
    let found = storage::user::by_email(app.db.connection(), &email).await?;
    let hash = found.as_ref().map(|(_, hash)| hash.as_str());
    let right = app.passwords.verify(password, hash).await?;
    let Some((user, _)) = found.filter(|_| right) else {
        let message = "no user has this e-mail address and this password";
        return Err(Rejection::at("", Code::WrongCredentials, message).into());
    };
    let lasts = TimeDelta::from_std(app.config.session).map_err(anyhow::Error::from)?;
    let signed_in = SignedIn {
        user,
        token: Token::new("khs", app.clock.new_secret()),
        expires_at: app.now() + lasts,
    };
    let session = NewSession {
        id: app.clock.new_id(),
        user_id: signed_in.user.id,
        token_hash: signed_in.token.hash(),
        expires_at: signed_in.expires_at,
    };
    let change = app.begin().await?;
    storage::session::insert(change.transaction(), session, app.now()).await?;
    change.commit().await?;
    Ok(signed_in)
}

/// Who a token stands for; `None` when its session has ended, or there never was one.
pub async fn viewer_of(app: &App, token: &str) -> Result<Option<Viewer>, sea_orm::DbErr> {
    let connection = app.db.connection();
    let session = storage::session::by_token(connection, token::hash(token), app.now()).await?;
    let Some((session_id, user_id)) = session else {
        return Ok(None);
    };
    let user = storage::user::by_id(connection, user_id).await?;
    Ok(user.map(|user| Viewer::Staff { id: user.id, session_id, roles: user.roles }))
}
