//! Sealing what is stored: authenticated encryption with AES-256-GCM (NIST SP 800-38D).

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// Bytes of a key.
pub const KEY: usize = 32;
/// Bytes that sealing adds: the nonce in front and the tag behind.
pub const OVERHEAD: usize = NONCE_LEN + 16;

/// A random number that serves one sealing alone.
pub type SealingNonce = [u8; NONCE_LEN];

/// A key that seals and opens. Random nonces allow it four billion sealings.
#[derive(Clone)]
pub struct SealingKey(LessSafeKey);

impl SealingKey {
    /// A key from its bytes.
    pub fn new(bytes: &[u8; KEY]) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM, bytes).ok().map(LessSafeKey::new).map(Self)
    }

    /// Seals bytes for a place: what is sealed for one place opens in no other.
    pub fn seal(&self, nonce: SealingNonce, place: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let bytes = &mut sealed[NONCE_LEN..];
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(place), bytes).ok()?;
        sealed.extend_from_slice(tag.as_ref());
        Some(sealed)
    }

    /// What was sealed; `None` when it was sealed by another key or for another place, or changed.
    pub fn open(&self, place: &[u8], mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = *sealed.first_chunk()?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = self.0.open_within(nonce, Aad::from(place), &mut sealed, NONCE_LEN..).ok()?;
        let length = plain.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

/// What seals the newsroom's other keys. While another takes its place there are two or more: the first
/// seals, and each opens.
#[derive(Debug, Clone)]
pub struct MasterKey {
    first: SealingKey,
    older: Vec<SealingKey>,
}

impl MasterKey {
    /// The key that seals, and those that it has taken the place of.
    pub fn new(first: SealingKey, older: Vec<SealingKey>) -> Self {
        Self { first, older }
    }

    /// Seals a key for a place.
    pub fn seal(&self, nonce: SealingNonce, place: &[u8], key: &[u8; KEY]) -> Option<Vec<u8>> {
        self.first.seal(nonce, place, key)
    }

    /// What was sealed; `None` when it was for another place, or by a master key that is none of these.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Option<[u8; KEY]> {
        let keys = std::iter::once(&self.first).chain(&self.older);
        let mut opened = keys.filter_map(|key| key.open(place, sealed.to_vec()));
        opened.next()?.try_into().ok()
    }
}

impl From<SealingKey> for MasterKey {
    fn from(key: SealingKey) -> Self {
        Self::new(key, Vec::new())
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_opens_at_the_same_place() {
        let (key, other) =
            (SealingKey::new(&[1; KEY]).unwrap(), SealingKey::new(&[2; KEY]).unwrap());
        for plain in ["", "خبر", &"a".repeat(10_000)] {
            let sealed = key.seal([7; NONCE_LEN], b"here", plain.as_bytes()).unwrap();
            assert_eq!(sealed.len(), plain.len() + OVERHEAD);
            assert_eq!(key.open(b"here", sealed.clone()).unwrap(), plain.as_bytes());
            assert!(other.open(b"here", sealed.clone()).is_none());
            assert!(key.open(b"there", sealed.clone()).is_none());
            for at in [0, sealed.len() - 1] {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert!(key.open(b"here", changed).is_none());
            }
            assert!(key.open(b"here", sealed[..sealed.len() - 1].to_vec()).is_none());
        }
        assert!(key.open(b"here", Vec::new()).is_none());
    }
}
