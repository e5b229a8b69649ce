//! Sealing, one core: the product's against the bare cryptography, written out with nothing else.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use ece::crypto::EcKeyComponents;
use khabar::domain::push_subscription::PushKeys;
use khabar::push::seal::seal;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};

use super::browsers::Browsers;
use crate::stats::median;

/// Messages in a row before the other one has its turn.
const BLOCK: u64 = 250;

/// What sealing a message takes, in microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Sealing {
    /// The bare cryptography.
    pub bare: f64,
    /// The product's.
    pub ours: f64,
    /// How much of the bare loop's speed the product reaches.
    pub share: f64,
}

#[expect(clippy::disallowed_methods, reason = "ring makes key pairs from its own source alone")]
fn random() -> SystemRandom {
    SystemRandom::new()
}

/// Measures both in turn.
pub fn measure(browsers: &Browsers, payload: &[u8], blocks: usize) -> anyhow::Result<Sealing> {
    compare(browsers, payload)?;
    let random = random();
    let (mut bares, mut all, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..blocks {
        let bare = time(browsers, |keys| bare(&random, keys, payload))?;
        let ours = time(browsers, |keys| seal(keys, payload))?;
        bares.push(bare);
        all.push(ours);
        shares.push(bare / ours);
    }
    Ok(Sealing { bare: median(&bares), ours: median(&all), share: median(&shares) })
}

/// Both must be opened by a third implementation before they are timed.
fn compare(browsers: &Browsers, payload: &[u8]) -> anyhow::Result<()> {
    for number in 0..20 {
        let browser = browsers.of(number);
        let private = EcKeyComponents::new(browser.private.to_vec(), browser.keys.p256dh.to_vec());
        let bodies = [bare(&random(), &browser.keys, payload), seal(&browser.keys, payload)];
        for body in bodies {
            let body = body.map_err(|_| anyhow!("a message is not sealed"))?;
            let opened = ece::decrypt(&private, &browser.keys.auth, &body)?;
            ensure!(opened == payload, "a sealed message opens to something else");
        }
    }
    Ok(())
}

/// Microseconds a message.
fn time(
    browsers: &Browsers,
    seal: impl Fn(&PushKeys) -> Result<Vec<u8>, Unspecified>,
) -> anyhow::Result<f64> {
    let began = Instant::now();
    for number in 0..BLOCK {
        let body = seal(&browsers.of(number).keys);
        black_box(body.map_err(|_| anyhow!("a message is not sealed"))?);
    }
    let took: Duration = began.elapsed();
    Ok(took.as_secs_f64() * 1e6 / BLOCK as f64)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// RFC 8291 with a fresh key pair and salt, from top to bottom.
fn bare(random: &SystemRandom, browser: &PushKeys, payload: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let private = EphemeralPrivateKey::generate(&ECDH_P256, random)?;
    let public = private.compute_public_key()?;
    let theirs = UnparsedPublicKey::new(&ECDH_P256, &browser.p256dh);
    let mut material = [0; 32];
    agree_ephemeral(private, &theirs, |secret| {
        let info = [b"WebPush: info\0".as_slice(), &browser.p256dh, public.as_ref()];
        let first = Salt::new(HKDF_SHA256, &browser.auth).extract(secret);
        first.expand(&info, Length(32))?.fill(&mut material)
    })??;
    let (mut salt, mut key, mut nonce) = ([0; 16], [0; 16], [0; 12]);
    random.fill(&mut salt)?;
    let second = Salt::new(HKDF_SHA256, &salt).extract(&material);
    second.expand(&[b"Content-Encoding: aes128gcm\0"], Length(16))?.fill(&mut key)?;
    second.expand(&[b"Content-Encoding: nonce\0"], Length(12))?.fill(&mut nonce)?;
    let mut body = Vec::with_capacity(86 + payload.len() + 17);
    body.extend_from_slice(&salt);
    body.extend_from_slice(&[0, 0, 16, 0, 65]);
    body.extend_from_slice(public.as_ref());
    body.extend_from_slice(payload);
    body.push(2);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut body[86..])?;
    body.extend_from_slice(tag.as_ref());
    Ok(body)
}
