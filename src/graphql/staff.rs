//! Staff: who is asking, signing in and out.

use async_graphql::{Context, Enum, Error, ID, InputObject, Object, SimpleObject};

use super::context::KhabarContext;
use super::errors::{settle, user_errors};
use super::ids::{self, Kind};
use crate::actions::sign_in::{self, sign_in};
use crate::actions::sign_out::sign_out;
use crate::domain::clock::Timestamp;
use crate::domain::user as domain;
use crate::domain::viewer;
use crate::rate_limit::Limited;
use crate::storage;

/// A member of staff.
#[derive(SimpleObject)]
pub struct User {
    /// The global id.
    id: ID,
    /// As colleagues see it.
    name: String,
    /// Signs in with it.
    email: String,
    /// What the user is; who may do what follows from it.
    roles: Vec<Role>,
}

impl From<domain::User> for User {
    fn from(user: domain::User) -> Self {
        let roles = user.roles.into_iter().map(Role::from).collect();
        Self { id: ids::encode(Kind::User, user.id), name: user.name, email: user.email, roles }
    }
}

/// What a member of staff is.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "viewer::Role")]
pub enum Role {
    /// Manages editions, categories and people; may do everything.
    Admin,
    /// Writes and publishes.
    Editor,
    /// Writes.
    Reporter,
    /// Rules on comments.
    Moderator,
}

/// Looks staff up.
#[derive(Default)]
pub struct StaffQuery;

#[Object]
impl StaffQuery {
    /// The member of staff who is asking; null for a reader.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Option<User>, Error> {
        let Some(id) = ctx.viewer().user_id() else {
            return Ok(None);
        };
        Ok(storage::user::by_id(ctx.app()?.db.connection(), id).await?.map(User::from))
    }
}

/// Who wants to sign in.
#[derive(InputObject)]
pub struct SignInInput {
    /// Case does not matter.
    email: String,
    /// As it was chosen.
    #[graphql(secret)]
    password: String,
}

user_errors!(
    SignInUserError,
    SignInUserErrorCode = sign_in::Code {
        /// A required field has nothing visible in it.
        Blank,
        /// More characters than the field allows.
        TooLong,
        /// Not of the form that the message asks for.
        Invalid,
        /// No such user, or not the password: which of the two is not told.
        WrongCredentials,
    }
);

/// What came of `signIn`.
#[derive(SimpleObject)]
pub struct SignInPayload {
    /// Send it as `Authorization: Bearer …`, or as `Authorization` in a socket's connection_init.
    /// Shown once.
    token: Option<String>,
    /// When the session ends.
    expires_at: Option<Timestamp>,
    /// Who signed in; null when there are userErrors.
    user: Option<User>,
    /// What is wrong with the input; empty when somebody is signed in.
    user_errors: Vec<SignInUserError>,
}

/// What came of `signOut`.
#[derive(SimpleObject)]
pub struct SignOutPayload {
    /// Always true: the token is worth nothing from now on.
    signed_out: bool,
}

/// Signs staff in and out.
#[derive(Default)]
pub struct StaffMutation;

#[Object]
impl StaffMutation {
    /// Opens a session for a member of staff. RATE_LIMITED when one address tries too often.
    async fn sign_in(
        &self,
        ctx: &Context<'_>,
        input: SignInInput,
    ) -> Result<Option<SignInPayload>, Error> {
        ctx.limit(Limited::SignIn)?;
        let (signed_in, user_errors) =
            settle(sign_in(ctx.app()?, &input.email, &input.password).await)?;
        Ok(Some(match signed_in {
            Some(signed_in) => SignInPayload {
                token: Some(signed_in.token.reveal().to_owned()),
                expires_at: Some(signed_in.expires_at),
                user: Some(signed_in.user.into()),
                user_errors,
            },
            None => SignInPayload { token: None, expires_at: None, user: None, user_errors },
        }))
    }

    /// Ends the session whose token this request carries.
    async fn sign_out(&self, ctx: &Context<'_>) -> Result<Option<SignOutPayload>, Error> {
        let (done, _) =
            settle::<_, _, std::convert::Infallible>(sign_out(ctx.app()?, ctx.viewer()).await)?;
        Ok(done.map(|()| SignOutPayload { signed_out: true }))
    }
}
