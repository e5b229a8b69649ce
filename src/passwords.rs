//! Password hashes: argon2id, off the reactor, two at a time.

use std::sync::Arc;

use anyhow::Context;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

use crate::domain::clock::Clock;

/// How many passwords are worked on at once; each takes 19 MiB.
const AT_ONCE: usize = 2;

/// Makes and checks password hashes.
#[derive(Debug, Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    turns: Arc<Semaphore>,
    /// Stands in for the hash of a user who does not exist, so that the answer takes as long.
    nobody: Arc<str>,
}

impl Passwords {
    /// The parameters that OWASP recommends: 19 MiB, two passes, one lane.
    pub fn new(clock: &dyn Clock) -> anyhow::Result<Self> {
        Self::with_params(Params::new(19 * 1_024, 2, 1, None).context("argon2 parameters")?, clock)
    }

    /// Weak and quick, for tests alone.
    pub fn quick(clock: &dyn Clock) -> anyhow::Result<Self> {
        Self::with_params(Params::new(8, 1, 1, None).context("argon2 parameters")?, clock)
    }

    fn with_params(params: Params, clock: &dyn Clock) -> anyhow::Result<Self> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&argon2, "nobody has this password", &salt(clock))?;
        Ok(Self { argon2, turns: Arc::new(Semaphore::new(AT_ONCE)), nobody: nobody.into() })
    }

    /// The hash to store, in PHC string format.
    pub async fn hash(&self, password: &str, clock: &dyn Clock) -> anyhow::Result<String> {
        let (argon2, password, salt) = (self.argon2.clone(), password.to_owned(), salt(clock));
        let _turn = self.turns.acquire().await?;
        tokio::task::spawn_blocking(move || hash(&argon2, &password, &salt)).await?
    }

    /// Whether the password is the one behind the hash. Without a hash it takes as long, and is not.
    pub async fn verify(&self, password: &str, stored: Option<&str>) -> anyhow::Result<bool> {
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.nobody).to_owned();
        let (argon2, password) = (self.argon2.clone(), password.to_owned());
        let _turn = self.turns.acquire().await?;
        let matches = tokio::task::spawn_blocking(move || {
            let stored = PasswordHash::new(&stored)
                .map_err(|error| anyhow::anyhow!("stored hash: {error}"))?;
            Ok::<_, anyhow::Error>(argon2.verify_password(password.as_bytes(), &stored).is_ok())
        });
        Ok(matches.await?? && known)
    }
}

fn salt(clock: &dyn Clock) -> [u8; 16] {
    let mut salt = [0; 16];
    clock.fill_random(&mut salt);
    salt
}

fn hash(argon2: &Argon2<'_>, password: &str, salt: &[u8]) -> anyhow::Result<String> {
    let hash = argon2.hash_password_with_salt(password.as_bytes(), salt);
    Ok(hash.map_err(|error| anyhow::anyhow!("cannot hash a password: {error}"))?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::SystemClock;

    #[tokio::test]
    async fn the_right_password_and_no_other() {
        let passwords = Passwords::quick(&SystemClock).unwrap();
        let stored = passwords.hash("a long password", &SystemClock).await.unwrap();
        assert!(stored.starts_with("$argon2id$"), "{stored}");
        assert!(passwords.verify("a long password", Some(&stored)).await.unwrap());
        assert!(!passwords.verify("another password", Some(&stored)).await.unwrap());
        assert!(!passwords.verify("nobody has this password", None).await.unwrap());
    }
}
