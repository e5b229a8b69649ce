//! Adds a member of staff.

use sea_orm::SqlErr;

use super::takes_field_codes;
use crate::app::App;
use crate::domain::failure::{Failure, Faults, Rejection};
use crate::domain::user::{User, check_password, parse_email};
use crate::domain::viewer::Role;
use crate::domain::{clock::Clock, text};
use crate::storage;

/// The e-mail address of the administrator that an empty newsroom begins with.
pub const FIRST_ADMIN: &str = "admin@khabar.example";
/// Letters of generated passwords: none that look alike.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Who the user is to be.
#[derive(Debug, Clone)]
pub struct Input {
    /// Signs in with it.
    pub email: String,
    /// As colleagues see it.
    pub name: String,
    /// What the user is; at least one role.
    pub roles: Vec<Role>,
    /// At least 12 characters.
    pub password: String,
}

/// Why a user was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A field is blank.
    Blank,
    /// A field is too long.
    TooLong,
    /// A field is malformed.
    Invalid,
    /// A user with this e-mail address exists.
    EmailTaken,
}
takes_field_codes!(Code);

/// Adds a member of staff. Called from the command line, by whoever has the machine.
pub async fn create_user(app: &App, input: Input) -> Result<User, Failure<Code>> {
    let mut faults = Faults::default();
    let email = faults.take(parse_email(&input.email));
    let name = faults.text("name", text::line(&input.name, 80));
    faults.take(check_password(&input.password));
    if input.roles.is_empty() {
        faults.push(Rejection::at("roles", Code::Blank, "give at least one role"));
    }
    faults.check()?;
    let (Some(email), Some(name)) = (email, name) else {
        return Err(anyhow::anyhow!("a field is missing though no fault was found").into());
    };
    let hash = app.passwords.hash(&input.password, &*app.clock).await?;
    let user = User { id: app.clock.new_id(), email, name, roles: input.roles };

    let change = app.begin().await?;
    if storage::user::email_taken(change.transaction(), &user.email).await? {
        return Err(email_taken(&user.email));
    }
    match storage::user::insert(change.transaction(), &user, hash, app.now()).await {
        Ok(()) => {}
        // Two who add the same address at the same moment: the second is told.
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
            return Err(email_taken(&user.email));
        }
        Err(error) => return Err(error.into()),
    }
    change.commit().await?;
    Ok(user)
}

fn email_taken(email: &str) -> Failure<Code> {
    let message = format!("there is a user {email} already");
    Rejection::at("email", Code::EmailTaken, message).into()
}

/// What became of the first administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstAdmin {
    /// There were users already.
    NotNeeded,
    /// Added, with the password that the configuration names.
    Added,
    /// Added, with a password that was made: it is shown once and stored nowhere.
    AddedWith(String),
}

/// Adds the first administrator to a newsroom without users.
///
/// Of instances that start at once on one empty database, one adds it.
pub async fn create_first_admin(app: &App) -> anyhow::Result<FirstAdmin> {
    if storage::user::exists_any(app.db.connection()).await? {
        return Ok(FirstAdmin::NotNeeded);
    }
    app.alone(add_first_admin(app)).await
}

async fn add_first_admin(app: &App) -> anyhow::Result<FirstAdmin> {
    if storage::user::exists_any(app.db.connection()).await? {
        return Ok(FirstAdmin::NotNeeded);
    }
    let (password, added) = match &app.config.admin_password {
        Some(password) => (password.clone(), FirstAdmin::Added),
        None => {
            let password = make_password(&*app.clock);
            (password.clone(), FirstAdmin::AddedWith(password))
        }
    };
    let input = Input {
        email: FIRST_ADMIN.to_owned(),
        name: "Administrator".to_owned(),
        roles: vec![Role::Admin],
        password,
    };
    create_user(app, input).await.map_err(Failure::into_words)?;
    Ok(added)
}

/// 20 letters and digits in groups of five: 100 random bits.
fn make_password(clock: &dyn Clock) -> String {
    let secret = clock.new_secret();
    let letters: Vec<u8> =
        secret[..20].iter().map(|byte| LETTERS[usize::from(byte % 32)]).collect();
    let groups: Vec<String> =
        letters.chunks(5).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    groups.join("-")
}
