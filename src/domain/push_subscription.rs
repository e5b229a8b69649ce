//! Push subscriptions: what a browser hands over (W3C Push API), parsed before it is trusted.
//!
//! An endpoint is an address that this server will send requests to, chosen by a stranger. So it
//! must belong to a push service: compared as parsed hosts, never as strings.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha256};
use url::{Host, Position, Url};
use uuid::Uuid;

/// Characters an endpoint may have.
const MAX_ENDPOINT: usize = 2_048;
/// Categories one reader may choose, and tags.
pub const MAX_TOPICS: usize = 100;

/// The push services of Chrome, Firefox, Safari and Edge.
const PUSH_SERVICES: [&str; 5] = [
    "fcm.googleapis.com",
    "jmt17.google.com",
    "updates.push.services.mozilla.com",
    "push.apple.com",
    "notify.windows.com",
];

/// Every other one, in metrics.
const OTHER: &str = "other";

/// Which endpoints are accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointRules {
    /// Hosts that the operator trusts besides the well-known ones.
    pub extra_hosts: Vec<String>,
    /// Accepts `http` and any port on this machine's loopback addresses. For tests.
    pub allow_loopback: bool,
}

/// The address of a browser at its push service. A capability: whoever knows it can send, so it is
/// never written to a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// The endpoint, or what is wrong with it in words.
    pub fn parse(text: &str, rules: &EndpointRules) -> Result<Self, &'static str> {
        let mut url = Url::parse(text).map_err(|_| "is no address")?;
        url.set_fragment(None);
        // As it is stored, escapes included: what is accepted today must be readable tomorrow.
        if text.len() > MAX_ENDPOINT || url.as_str().len() > MAX_ENDPOINT {
            return Err("is longer than 2048 characters");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not contain a user name");
        }
        match url.host() {
            Some(host) if rules.allow_loopback && is_loopback(&host) && is_web(&url) => {
                Ok(Self(url))
            }
            Some(Host::Domain(domain)) if is_trusted(domain, rules) => {
                if url.scheme() != "https" || url.port().is_some() {
                    Err("must be https on the usual port")
                } else if url.path() == "/" && url.query().is_none() {
                    Err("names a push service and no browser")
                } else {
                    Ok(Self(url))
                }
            }
            _ => Err("is at no push service that this newsroom knows; its operator can add one"),
        }
    }

    /// One that was accepted by the rules of its day.
    pub fn stored(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "is no address")?;
        match url.host() {
            // The transport looks where a name leads; an address that is written out leads nowhere
            // but to this machine.
            Some(host) if is_web(&url) && (url.domain().is_some() || is_loopback(&host)) => {
                Ok(Self(url))
            }
            _ => Err("is no address of the web"),
        }
    }

    /// The address to send to.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Scheme, host and port: whom a VAPID token is for (RFC 8292 §2).
    pub fn origin(&self) -> &str {
        // There is no user name in front of the host: such an address is refused.
        &self.0[..Position::BeforePath]
    }

    /// The push service's well-known name, or `other`: few enough to label metrics with.
    pub fn service(&self) -> &'static str {
        let domain = self.0.domain().unwrap_or_default();
        let known = PUSH_SERVICES.into_iter().find(|service| is_within(domain, service));
        known.unwrap_or(OTHER)
    }

    /// Every name that [`Self::service`] gives.
    pub fn services() -> impl Iterator<Item = &'static str> {
        PUSH_SERVICES.into_iter().chain([OTHER])
    }

    /// Which push service it belongs to, however many hosts that has: those who follow these rules
    /// cannot make up new ones.
    pub fn group(&self, rules: &EndpointRules) -> String {
        let domain = self.0.domain().unwrap_or_default();
        let extra = rules.extra_hosts.iter().map(String::as_str);
        let known = PUSH_SERVICES.into_iter().chain(extra).find(|host| is_within(domain, host));
        known.unwrap_or_else(|| self.origin()).to_owned()
    }

    /// Whether it is on this machine itself, by name or by address.
    pub fn is_loopback(&self) -> bool {
        self.0.host().is_some_and(|host| is_loopback(&host))
    }

    /// The SHA-256 by which a subscription is found.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_str().as_bytes()).into()
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({}/…)", self.origin())
    }
}

fn is_trusted(domain: &str, rules: &EndpointRules) -> bool {
    let extra = rules.extra_hosts.iter().map(String::as_str);
    PUSH_SERVICES.into_iter().chain(extra).any(|host| is_within(domain, host))
}

/// Whether a domain is the host or below it. A final dot makes it another name: two spellings of one
/// endpoint would be two subscriptions of one reader. Labels are not empty: no resolver takes those.
fn is_within(domain: &str, host: &str) -> bool {
    let below = domain.strip_suffix(host).and_then(|rest| rest.strip_suffix('.'));
    domain == host || below.is_some_and(|labels| labels.split('.').all(|label| !label.is_empty()))
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(domain) => *domain == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// The keys of a browser: with them, and only with them, it can be written to (RFC 8291 §2).
#[derive(Clone, PartialEq, Eq)]
pub struct PushKeys {
    /// The browser's public key: an uncompressed point on P-256.
    pub p256dh: [u8; 65],
    /// The authentication secret.
    pub auth: [u8; 16],
}

impl std::fmt::Debug for PushKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PushKeys(…)")
    }
}

/// Browsers write base64url without padding; some libraries do otherwise.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The browser's public key, checked to lie on the curve (RFC 8291 §7).
pub fn parse_p256dh(text: &str) -> Result<[u8; 65], &'static str> {
    let bytes: [u8; 65] = decode(text).ok_or("must be 65 bytes in base64url")?;
    match p256::PublicKey::from_sec1_bytes(&bytes) {
        Ok(_) if bytes[0] == 4 => Ok(bytes),
        _ => Err("is no point of P-256"),
    }
}

/// The authentication secret.
pub fn parse_auth(text: &str) -> Result<[u8; 16], &'static str> {
    decode(text).ok_or("must be 16 bytes in base64url")
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let url_safe = text.trim().replace('+', "-").replace('/', "_");
    URL_SAFE.decode(url_safe).ok()?.try_into().ok()
}

/// Whom one message goes to.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// The subscription's id.
    pub id: i64,
    /// Counts the keys that this endpoint has had.
    pub generation: i64,
    /// Which push service it belongs to.
    pub service_id: i32,
    /// The edition that the reader chose.
    pub edition_id: Uuid,
    /// Which VAPID key the browser subscribed with.
    pub vapid_key_id: i32,
    /// Where it is sent.
    pub endpoint: Endpoint,
    /// For whose eyes.
    pub keys: PushKeys,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules() -> EndpointRules {
        EndpointRules { extra_hosts: vec!["push.example.org".to_owned()], allow_loopback: false }
    }

    #[test]
    fn endpoints_of_push_services_are_accepted() {
        for good in [
            "https://fcm.googleapis.com/fcm/send/abc:def",
            "https://updates.push.services.mozilla.com/wpush/v2/gAAAA",
            "https://web.push.apple.com/QGuQ",
            "https://wns2-par02p.notify.windows.com/w/?token=x",
            "https://push.example.org/up?token=1",
            "https://FCM.googleapis.com:443/x",
        ] {
            assert!(Endpoint::parse(good, &rules()).is_ok(), "{good}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "nonsense",
            "/relative",
            "http://fcm.googleapis.com/x",
            "https://fcm.googleapis.com:8443/x",
            "https://user:secret@fcm.googleapis.com/x",
            "https://fcm.googleapis.com.evil.example/x",
            "https://evilfcm.googleapis.com.example/",
            "https://xfcm.googleapis.com/x",
            "https://fcm.googleapis.com./x",
            "https://.fcm.googleapis.com/x",
            "https://a..fcm.googleapis.com/x",
            "https://169.254.169.254/a.google.com/",
            "https://evil.example/fcm.googleapis.com",
            "https://evil.example#fcm.googleapis.com",
            "https://127.0.0.1/x",
            "http://localhost:9/x",
            "https://[::1]/x",
            "https://0x7f000001/",
            "https://2130706433/",
            "file:///etc/passwd",
            "gopher://fcm.googleapis.com/",
        ] {
            assert!(Endpoint::parse(bad, &rules()).is_err(), "{bad}");
        }
        let long = format!("https://fcm.googleapis.com/{}", "a".repeat(2_048));
        assert!(Endpoint::parse(&long, &rules()).is_err());
        let long_once_escaped = format!("https://fcm.googleapis.com/{}", "ا".repeat(1_000));
        assert!(Endpoint::parse(&long_once_escaped, &rules()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_read_again_as_the_same(path in "\\PC{0,900}") {
            let text = format!("https://fcm.googleapis.com/{path}");
            if let Ok(endpoint) = Endpoint::parse(&text, &rules()) {
                let again = Endpoint::parse(endpoint.url().as_str(), &rules()).unwrap();
                prop_assert_eq!(again.hash(), endpoint.hash());
            }
        }
    }

    #[test]
    fn loopback_is_for_tests_alone() {
        let rules = EndpointRules { allow_loopback: true, ..EndpointRules::default() };
        for good in ["http://127.0.0.1:4000/p", "http://localhost:1/p", "http://[::1]:2/p"] {
            assert!(Endpoint::parse(good, &rules).is_ok(), "{good}");
        }
        for bad in ["http://192.168.0.1/p", "http://127.0.0.1.example/p", "gopher://127.0.0.1:1/p"]
        {
            assert!(Endpoint::parse(bad, &rules).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_stored_was_accepted_once_and_is_no_address_of_the_inside_all_the_same() {
        for good in
            ["https://retired.example/x", "https://fcm.googleapis.com/x", "http://[::1]:2/p"]
        {
            assert_eq!(Endpoint::stored(good).unwrap().url().as_str(), good);
        }
        for bad in
            ["", "/relative", "file:///etc/passwd", "http://169.254.169.254/", "http://[fe80::1]/"]
        {
            assert!(Endpoint::stored(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_origin_keeps_an_unusual_port() {
        let rules = EndpointRules { allow_loopback: true, ..EndpointRules::default() };
        let endpoint = Endpoint::parse("http://127.0.0.1:4000/secret", &rules).unwrap();
        assert_eq!(endpoint.origin(), "http://127.0.0.1:4000");
        assert!(!format!("{endpoint:?}").contains("secret"));
    }

    #[test]
    fn services_have_few_names() {
        for (endpoint, service) in [
            ("https://web.push.apple.com/QGuQ", "push.apple.com"),
            ("https://wns2-par02p.notify.windows.com/w/", "notify.windows.com"),
            ("https://push.example.org/up", "other"),
        ] {
            assert_eq!(Endpoint::parse(endpoint, &rules()).unwrap().service(), service);
        }
    }

    #[test]
    fn keys_are_read_however_they_are_padded_and_checked() {
        // The browser's keys of RFC 8291, Appendix A.
        let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
        let auth = "BTBZMqHH6r4Tts7J_aSIgg";
        assert!(parse_p256dh(p256dh).is_ok() && parse_auth(auth).is_ok());
        assert!(
            parse_p256dh(&format!("{p256dh}=")).is_ok() && parse_auth(&format!("{auth}==")).is_ok()
        );
        assert!(parse_p256dh(&p256dh.replace('_', "/").replace('-', "+")).is_ok());
        assert!(parse_p256dh(&p256dh.replace("BCVx", "BCVy")).is_err(), "not on the curve");
        for bad in ["", "AAAA", &"A".repeat(87), "💥"] {
            assert!(parse_p256dh(bad).is_err() && parse_auth(bad).is_err(), "{bad}");
        }
    }
}
