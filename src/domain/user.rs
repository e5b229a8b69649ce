//! Staff: how they are named and what a password must be.

use uuid::Uuid;

use super::failure::{FieldCode, Rejection};
use super::viewer::Role;

/// Characters a password must have at least.
pub const MIN_PASSWORD: usize = 12;
/// Characters a password may have: hashing more would only burn time.
pub const MAX_PASSWORD: usize = 200;

/// A member of staff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The id.
    pub id: Uuid,
    /// Signs in with it; lower case, unique.
    pub email: String,
    /// As colleagues see it.
    pub name: String,
    /// What the user is.
    pub roles: Vec<Role>,
}

/// An e-mail address in the form it is kept and compared in: trimmed, lower case.
pub fn parse_email<C: From<FieldCode>>(email: &str) -> Result<String, Rejection<C>> {
    let email = email.trim().to_lowercase();
    let shaped = email
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if shaped && email.len() <= 254 && !email.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Ok(email)
    } else {
        Err(Rejection::invalid("email", "must be an e-mail address such as sara@news.example"))
    }
}

/// Checks the length of a new password. No other rule: length is what guessing costs.
pub fn check_password<C: From<FieldCode>>(password: &str) -> Result<(), Rejection<C>> {
    match password.chars().count() {
        length if length < MIN_PASSWORD => Err(Rejection::invalid(
            "password",
            format!("must have at least {MIN_PASSWORD} characters"),
        )),
        length if length > MAX_PASSWORD => Err(Rejection::at(
            "password",
            FieldCode::TooLong.into(),
            format!("is {length} characters long; at most {MAX_PASSWORD} are allowed"),
        )),
        _ => Ok(()),
    }
}

/// Roles as they are stored: words separated by commas.
pub fn roles_to_text(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",")
}

/// Roles from storage; `None` when a word is no role.
pub fn roles_from_text(text: &str) -> Option<Vec<Role>> {
    text.split(',').filter(|word| !word.is_empty()).map(Role::from_word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_in_one_form() {
        assert_eq!(parse_email::<FieldCode>(" Sara@News.example ").unwrap(), "sara@news.example");
        for bad in ["", "sara", "@news", "sara@", "a@b@c", "a b@c", "a\n@c"] {
            assert!(parse_email::<FieldCode>(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn passwords_are_long_enough_and_not_endless() {
        assert!(check_password::<FieldCode>("كلمة سر طويلة").is_ok());
        assert!(check_password::<FieldCode>("short").is_err());
        assert!(check_password::<FieldCode>(&"x".repeat(201)).is_err());
    }

    #[test]
    fn roles_survive_storage() {
        assert_eq!(roles_from_text(&roles_to_text(&Role::ALL)).unwrap(), Role::ALL);
        assert_eq!(roles_from_text("").unwrap(), []);
        assert_eq!(roles_from_text("KING"), None);
    }
}
