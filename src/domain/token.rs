//! Tokens: secrets that somebody holds and we do not. Only their hash is stored.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// A secret with a prefix that says what it is for: `khs_…` a session, `khc_…` a comment.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token of 32 random bytes.
    pub fn new(prefix: &str, secret: [u8; 32]) -> Self {
        Self(format!("{prefix}_{}", URL_SAFE_NO_PAD.encode(secret)))
    }

    /// A token as its holder sent it.
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The token as its holder keeps it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn hash(&self) -> [u8; 32] {
        hash(&self.0)
    }
}

/// The SHA-256 by which a token is found. 32 random bytes need no salt and no slow hash.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_it_is_for_and_hides_itself() {
        let token = Token::new("khs", [7; 32]);
        assert!(token.reveal().starts_with("khs_") && token.reveal().len() == 47);
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert_eq!(token.hash(), hash(token.reveal()));
    }
}
