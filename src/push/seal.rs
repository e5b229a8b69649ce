//! Sealing: a message that only one browser can open (RFC 8291, in the coding of RFC 8188).

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::error::Unspecified;
use ring::hkdf::{self, HKDF_SHA256, KeyType, Prk};
use ring::rand::{SecureRandom, SystemRandom};

use crate::domain::push_subscription::PushKeys;

/// The one record's size, and the largest body that push services take (RFC 8030 §7.2).
const RECORD_SIZE: u32 = 4_096;
/// Bytes before the record: salt, record size, and the sender's public key with its length.
const HEADER: usize = 16 + 4 + 1 + 65;
/// Marks the last record (RFC 8188 §2).
const LAST: u8 = 2;

/// Seals a message with a new key pair and a new salt: neither ever serves two messages
/// (RFC 8291 §3.1). The body may be sent as it is, with `Content-Encoding: aes128gcm`.
///
/// Fails when the browser's key is no point of the curve, or the system gives no randomness.
pub fn seal(keys: &PushKeys, plaintext: &[u8]) -> Result<Vec<u8>, Unspecified> {
    Prepared::new(keys)?.seal(plaintext)
}

/// What makes the key of one message differ from any other. It cannot be copied, so it serves one message.
#[derive(Debug)]
pub struct Salt([u8; 16]);

impl Salt {
    /// New ones, so many: to ask the system for all of them costs as much as to ask for one.
    pub fn several(count: usize) -> Result<Vec<Self>, Unspecified> {
        let mut bytes = vec![0; 16 * count];
        random().fill(&mut bytes)?;
        let (salts, _) = bytes.as_chunks();
        Ok(salts.iter().copied().map(Self).collect())
    }
}

/// A key pair for one browser whose secret has been agreed upon: all of sealing that does not depend
/// on the message, and nine tenths of its cost.
///
/// It cannot be copied and is gone once it has sealed, so it serves one message at most.
pub struct Prepared {
    public: [u8; 65],
    material: [u8; 32],
}

impl Prepared {
    /// Bytes of its stored form.
    pub const BYTES: usize = 65 + 32;

    /// Makes a new key pair for a browser.
    pub fn new(keys: &PushKeys) -> Result<Self, Unspecified> {
        let private = EphemeralPrivateKey::generate(&ECDH_P256, &random())?;
        let public: [u8; 65] =
            private.compute_public_key()?.as_ref().try_into().map_err(|_| Unspecified)?;
        let browser = UnparsedPublicKey::new(&ECDH_P256, keys.p256dh);
        agree_ephemeral(private, &browser, |secret| Self::agreed(keys, public, secret))?
    }

    /// RFC 8291 §3.4: both public keys and the browser's secret go into the keying material.
    fn agreed(keys: &PushKeys, public: [u8; 65], secret: &[u8]) -> Result<Self, Unspecified> {
        let info = [b"WebPush: info\0".as_slice(), &keys.p256dh, &public];
        let mut material = [0; 32];
        expand(&hkdf::Salt::new(HKDF_SHA256, &keys.auth).extract(secret), &info, &mut material)?;
        Ok(Self { public, material })
    }

    /// Seals a message with a new salt.
    pub fn seal(self, plaintext: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let mut salt = Salt([0; 16]);
        random().fill(&mut salt.0)?;
        self.seal_with(salt, plaintext)
    }

    /// Seals a message with a salt that was made beforehand.
    pub fn seal_with(self, Salt(salt): Salt, plaintext: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let pseudorandom = hkdf::Salt::new(HKDF_SHA256, &salt).extract(&self.material);
        let (mut key, mut nonce) = ([0; 16], [0; 12]);
        expand(&pseudorandom, &[b"Content-Encoding: aes128gcm\0"], &mut key)?;
        expand(&pseudorandom, &[b"Content-Encoding: nonce\0"], &mut nonce)?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?);

        let mut body = Vec::with_capacity(HEADER + plaintext.len() + 1 + AES_128_GCM.tag_len());
        body.extend_from_slice(&salt);
        body.extend_from_slice(&RECORD_SIZE.to_be_bytes());
        body.push(65);
        body.extend_from_slice(&self.public);
        body.extend_from_slice(plaintext);
        body.push(LAST);
        let record = &mut body[HEADER..];
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), record)?;
        body.extend_from_slice(tag.as_ref());
        Ok(body)
    }

    /// Its stored form, which is as secret as the message will be.
    pub fn into_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..65].copy_from_slice(&self.public);
        bytes[65..].copy_from_slice(&self.material);
        bytes
    }

    /// What was stored. Whoever calls this has made sure that nobody else reads the same bytes.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let mut prepared = Self { public: [0; 65], material: [0; 32] };
        prepared.public.copy_from_slice(&bytes[..65]);
        prepared.material.copy_from_slice(&bytes[65..]);
        prepared
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prepared(…)")
    }
}

#[expect(clippy::disallowed_methods, reason = "ring makes key pairs from its own source alone")]
fn random() -> SystemRandom {
    SystemRandom::new()
}

fn expand(pseudorandom: &Prk, info: &[&[u8]], out: &mut [u8]) -> Result<(), Unspecified> {
    pseudorandom.expand(info, Length(out.len()))?.fill(out)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert_message::MAX_PAYLOAD;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ece::crypto::EcKeyComponents;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
    }

    /// The keys of RFC 8291, Appendix A.
    fn browser() -> (EcKeyComponents, PushKeys) {
        let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
        let private: [u8; 32] = bytes("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94");
        let keys = PushKeys { p256dh: bytes(p256dh), auth: bytes("BTBZMqHH6r4Tts7J_aSIgg") };
        (EcKeyComponents::new(private.to_vec(), keys.p256dh.to_vec()), keys)
    }

    #[test]
    fn the_example_of_the_rfc_comes_out() {
        let (_, keys) = browser();
        let public = bytes(
            "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8",
        );
        let secret: [u8; 32] = bytes("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs");
        let salt = Salt(bytes("DGv6ra1nlYgDCS1FRnbzlw"));
        let sealed = Prepared::agreed(&keys, public, &secret)
            .and_then(|pair| pair.seal_with(salt, b"When I grow up, I want to be a watermelon"));
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(URL_SAFE_NO_PAD.encode(sealed.unwrap()), expected);
    }

    #[test]
    fn another_implementation_opens_it() {
        let (private, keys) = browser();
        for message in ["", "خبر عاجل", &"ا".repeat(1_000)] {
            let sealed = seal(&keys, message.as_bytes()).unwrap();
            let opened = ece::decrypt(&private, &keys.auth, &sealed).unwrap();
            assert_eq!(opened, message.as_bytes());
        }
    }

    #[test]
    fn the_crate_seals_alike() {
        use web_push::{ContentEncoding, SubscriptionInfo, WebPushMessageBuilder};
        let (private, keys) = browser();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let at = "https://push.example/x".to_owned();
        let browser = SubscriptionInfo::new(at, text(&keys.p256dh), text(&keys.auth));
        let mut message = WebPushMessageBuilder::new(&browser);
        message.set_payload(ContentEncoding::Aes128Gcm, "خبر عاجل".as_bytes());
        let theirs = message.build().unwrap().payload.unwrap().content;
        let ours = seal(&keys, "خبر عاجل".as_bytes()).unwrap();
        // The record's size, the key's length and the point's form.
        assert_eq!(theirs[16..22], ours[16..22]);
        for sealed in [theirs, ours] {
            let opened = ece::decrypt(&private, &keys.auth, &sealed).unwrap();
            assert_eq!(opened, "خبر عاجل".as_bytes());
        }
    }

    #[test]
    fn a_pair_made_beforehand_seals_alike() {
        let (private, keys) = browser();
        let stored = Prepared::new(&keys).unwrap().into_bytes();
        let sealed = Prepared::from_bytes(&stored).seal("خبر عاجل".as_bytes()).unwrap();
        assert_eq!(sealed[21..86], stored[..65]);
        let opened = ece::decrypt(&private, &keys.auth, &sealed).unwrap();
        assert_eq!(opened, "خبر عاجل".as_bytes());
    }

    #[test]
    fn no_key_and_no_salt_serves_twice() {
        let (_, keys) = browser();
        let (first, second) = (seal(&keys, b"x").unwrap(), seal(&keys, b"x").unwrap());
        assert_ne!(first[..16], second[..16]);
        assert_ne!(first[21..86], second[21..86]);
    }

    #[test]
    fn the_largest_message_makes_the_largest_body() {
        let (_, keys) = browser();
        assert_eq!(seal(&keys, &[7; MAX_PAYLOAD]).unwrap().len(), RECORD_SIZE as usize);
    }

    #[test]
    fn a_key_off_the_curve_seals_nothing() {
        let (_, mut keys) = browser();
        keys.p256dh[64] ^= 1;
        assert!(seal(&keys, b"x").is_err());
    }
}
