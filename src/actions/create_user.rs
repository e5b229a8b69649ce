//! Adds a member of staff.

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
        let message = format!("there is a user {} already", user.email);
        return Err(Rejection::at("email", Code::EmailTaken, message).into());
    }
    storage::user::insert(change.transaction(), &user, hash, app.now()).await?;
    change.commit().await?;
    Ok(user)
}

/// Adds the first administrator to a newsroom without users.
///
/// Answers the password if one had to be made: it is shown once and stored nowhere.
pub async fn create_first_admin(app: &App) -> Result<Option<String>, Failure<Code>> {
    if storage::user::exists_any(app.db.connection()).await? {
        return Ok(None);
    }
    let (password, made) = match &app.config.admin_password {
        Some(password) => (password.clone(), None),
        None => {
            let password = make_password(&*app.clock);
            (password.clone(), Some(password))
        }
    };
    let input = Input {
        email: FIRST_ADMIN.to_owned(),
        name: "Administrator".to_owned(),
        roles: vec![Role::Admin],
        password,
    };
    match create_user(app, input).await {
        Ok(_) => Ok(made),
        // Two instances that start at once on one empty database: the other was faster.
        Err(Failure::Rejected(faults))
            if faults.iter().all(|fault| fault.code == Code::EmailTaken) =>
        {
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
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
