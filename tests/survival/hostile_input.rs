//! Subscriptions that no browser ever handed over, made from a seed.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use khabar::domain::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::dice::Dice;

/// A host that is trusted and that nothing ever resolves (RFC 6761 §6.4).
pub(crate) const TRUSTED: &str = "push.invalid";

/// Hosts of push services, and what lies below them.
const GOOD_HOSTS: [&str; 6] = [
    "push.invalid",
    "up.push.invalid",
    "fcm.googleapis.com",
    "updates.push.services.mozilla.com",
    "web.push.apple.com",
    "wns2-par02p.notify.windows.com",
];

/// Hosts that look like those, or like none at all.
const BAD_HOSTS: [&str; 34] = [
    "push.invalid.evil.example",
    "xpush.invalid",
    "push-invalid",
    "push.invalid.",
    ".push.invalid",
    "push..invalid",
    "push.invalid@evil.example",
    "fcm.googleapis.com@evil.example",
    "fcm.googleapis.com.evil.example",
    "fcm.googleapis.com.",
    "fcm-googleapis.com",
    "fcm.g\u{043e}\u{043e}gleapis.com",
    "xn--fcm-googleapis-com",
    "fcm.googleapis.c\u{03bf}m",
    "googleapis.com",
    "apple.com",
    "evil.example#fcm.googleapis.com",
    "evil.example?fcm.googleapis.com",
    "evil.example/fcm.googleapis.com",
    "evil.example\\@push.invalid",
    "evil.example%2f.push.invalid",
    "evil.example%00.push.invalid",
    "evil.example\u{2044}push.invalid",
    "metadata.google.internal",
    "localhost",
    "localhost.localdomain",
    "ip6-localhost",
    "kubernetes.default.svc",
    "127.0.0.1.nip.io",
    "",
    " ",
    "[push.invalid]",
    "*",
    "%70ush.inval%69d%00",
];

/// Text that has broken something somewhere.
const NAUGHTY: [&str; 24] = [
    "",
    "\u{0}",
    "\u{feff}",
    "\u{202e}moc.elgoog\u{202c}",
    "\u{2066}x\u{2069}",
    "\u{fff9}\u{fffa}\u{fffb}",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
    "Z\u{334}\u{321}\u{35c}a\u{321}\u{35d}l\u{30f}go",
    "العراق",
    "'; DROP TABLE push_subscriptions; --",
    "\" OR 1=1 --",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "../../../../etc/passwd",
    "%2e%2e%2f%2e%2e%2f",
    "%",
    "%zz",
    "%c0%ae%c0%ae",
    "\r\nHost: evil.example\r\n\r\n",
    "%0d%0aHost:%20evil.example",
    "null",
    "NaN",
    "\\\\server\\share",
];

const SCHEMES: [&str; 16] = [
    "http",
    "HTTP",
    "ftp",
    "file",
    "gopher",
    "ws",
    "wss",
    "data",
    "javascript",
    "blob",
    "about",
    "unix",
    "",
    "https+x",
    "view-source:https",
    "jar:https",
];

/// What is to become of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is as good as a browser's.
    Keep,
    /// It must not be stored.
    Refuse,
    /// Either, as long as what is stored lies at a push service.
    Either,
}

/// Makes inputs. The ports are of this machine; nobody may be led there.
pub(crate) struct Maker {
    pub(crate) dice: Dice,
    pub(crate) ports: Vec<u16>,
    pub(crate) locale: &'static str,
    made: u64,
}

impl Maker {
    pub(crate) fn new(seed: u64, ports: Vec<u16>, locale: &'static str) -> Self {
        Self { dice: Dice::of(seed), ports, locale, made: 0 }
    }

    /// An input for `pushSubscriptionCreate`, and what is to become of it.
    pub(crate) fn input(&mut self) -> (Value, Verdict) {
        self.made += 1;
        let (endpoint, of_endpoint) = self.endpoint();
        let (keys, of_keys) = if self.dice.one_in(3) {
            self.bad_keys()
        } else {
            (json!({ "p256dh": self.p256dh(), "auth": self.auth(16) }), Verdict::Keep)
        };
        let mut input = json!({ "endpoint": endpoint, "keys": keys, "locale": self.locale });
        let of_choice = if self.dice.one_in(4) { self.spoil(&mut input) } else { Verdict::Keep };
        let parts = [of_endpoint, of_keys, of_choice];
        let all = if parts.contains(&Verdict::Refuse) {
            Verdict::Refuse
        } else if parts.contains(&Verdict::Either) {
            Verdict::Either
        } else {
            Verdict::Keep
        };
        (input, all)
    }

    /// Good inputs but for one field, which holds each naughty text in turn.
    pub(crate) fn naughty(&mut self) -> Vec<Value> {
        let mut inputs = Vec::new();
        for pointer in ["/endpoint", "/locale", "/token", "/keys/p256dh", "/keys/auth"] {
            for text in NAUGHTY {
                let endpoint = format!("https://{TRUSTED}/naughty/{}", inputs.len());
                let keys = json!({ "p256dh": self.p256dh(), "auth": self.auth(16) });
                let mut input = json!({ "endpoint": endpoint, "keys": keys, "token": null });
                input["locale"] = json!(self.locale);
                *input.pointer_mut(pointer).unwrap() = json!(text);
                inputs.push(input);
            }
        }
        inputs
    }

    fn endpoint(&mut self) -> (String, Verdict) {
        let path = format!("push/{}-{}", self.made, self.dice.next());
        let good = format!("https://{}/{path}", self.dice.pick(&GOOD_HOSTS));
        match self.dice.below(10) {
            0 => (good, Verdict::Keep),
            1 => (format!("https://{}/{path}", self.dice.pick(&BAD_HOSTS)), Verdict::Refuse),
            2 | 3 => (self.loopback(&path), Verdict::Refuse),
            4 => {
                let scheme = *self.dice.pick(&SCHEMES);
                (good.replacen("https", scheme, 1), Verdict::Refuse)
            }
            5 => {
                let host = *self.dice.pick(&GOOD_HOSTS);
                let before = *self.dice.pick(&["user@", "user:secret@", ":x@", "%40@", "a:b:c@"]);
                let after = *self.dice.pick(&["", ":443", ":8443"]);
                (format!("https://{before}{host}{after}/{path}"), Verdict::Refuse)
            }
            6 => {
                let port = *self.dice.pick(&[":80", ":22", ":0", ":65536", ":-1", ":x", ":8443"]);
                (good.replacen("/push/", &format!("{port}/push/"), 1), Verdict::Refuse)
            }
            7 => (format!("{good}{}", self.dice.pick(&NAUGHTY)), Verdict::Either),
            8 => (self.mutated(&good), Verdict::Either),
            _ => match self.dice.below(3) {
                0 => (format!("{good}{}", "a".repeat(2_048)), Verdict::Refuse),
                1 => (format!("{good}{}", "ا".repeat(1_000)), Verdict::Refuse),
                _ => ((*self.dice.pick(&NAUGHTY)).to_owned(), Verdict::Refuse),
            },
        }
    }

    /// This machine, or one beside it, in any of the ways to write that.
    fn loopback(&mut self, path: &str) -> String {
        let addresses = [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "127.255.255.254",
            "0",
            "0.0.0.0",
            "0x7f000001",
            "0x7f.1",
            "0X7F.0.0.1",
            "2130706433",
            "017700000001",
            "0177.0.0.01",
            "127.0.0.1.",
            "１２７.０.０.１",
            "①②⑦.⓪.⓪.①",
            "127。0。0。1",
            "%31%32%37.0.0.1",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[0:0:0:0:0:0:0:1]",
            "[::1%25lo]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "ｌｏｃａｌｈｏｓｔ",
            "169.254.169.254",
            "10.0.0.1",
            "192.168.0.1",
            "100.64.0.1",
        ];
        let scheme = *self.dice.pick(&["http", "https"]);
        let address = *self.dice.pick(&addresses);
        let port = *self.dice.pick(&self.ports.clone());
        let colon = if self.dice.one_in(5) { String::new() } else { format!(":{port}") };
        format!("{scheme}://{address}{colon}/{path}")
    }

    /// The text with a few characters of it changed.
    fn mutated(&mut self, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        for _ in 0..=self.dice.below(3) {
            let at = self.dice.below(characters.len());
            let odd = [
                '\u{0}', ' ', '\t', '\n', '@', ':', '/', '\\', '#', '?', '%', '.', 'ا', '\u{202e}',
            ];
            match self.dice.below(3) {
                0 => drop(characters.remove(at)),
                1 => characters[at] = *self.dice.pick(&odd),
                _ => characters.insert(at, *self.dice.pick(&odd)),
            }
        }
        characters.into_iter().collect()
    }

    fn bad_keys(&mut self) -> (Value, Verdict) {
        let (p256dh, auth) = (self.p256dh(), self.auth(16));
        let point = URL_SAFE_NO_PAD.decode(&p256dh).unwrap();
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let p256dh = match self.dice.below(12) {
            // Padding and the other alphabet are forgiven.
            0 => {
                let auth = URL_SAFE.encode(URL_SAFE_NO_PAD.decode(auth).unwrap());
                let keys = json!({ "p256dh": STANDARD.encode(&point), "auth": auth });
                return (keys, Verdict::Keep);
            }
            // A compressed point: the same on the curve, but not what RFC 8291 sends.
            1 => encoded(&[&[2 + (point[64] & 1)][..], &point[1..33]].concat()),
            // Off the curve.
            2 => encoded(&[&point[..64], &[point[64] ^ 1]].concat()),
            3 => encoded(&[4; 65]),
            // The point at infinity, and its name with room for a point.
            4 => encoded(&[0]),
            5 => encoded(&[0; 65]),
            // The hybrid form, and none at all.
            6 => encoded(&[&[6 + (point[64] & 1)][..], &point[1..]].concat()),
            7 => encoded(&point[..64]),
            8 => encoded(&[&point[..], &[0]].concat()),
            9 => format!("{p256dh}===="),
            10 => (*self.dice.pick(&NAUGHTY)).to_owned(),
            _ => {
                let length = *self.dice.pick(&[0, 1, 15, 17, 32, 4_096]);
                return (json!({ "p256dh": p256dh, "auth": self.auth(length) }), Verdict::Refuse);
            }
        };
        (json!({ "p256dh": p256dh, "auth": auth }), Verdict::Refuse)
    }

    /// Makes what the reader chose wrong, or the form of it.
    fn spoil(&mut self, input: &mut Value) -> Verdict {
        let naughty = json!(self.dice.pick(&NAUGHTY));
        let many = json!(vec!["x"; 101]);
        let (field, value) = match self.dice.below(12) {
            0 => ("locale", naughty),
            1 => ("locale", json!("tlh-KX")),
            2 => ("categories", json!([naughty])),
            3 => ("categories", many),
            4 => ("tags", json!([naughty])),
            5 => ("maxPerDay", json!(*self.dice.pick(&[0, -1, 1_001, i32::MIN, i32::MAX]))),
            6 => (
                "quietHours",
                json!({ "from": naughty, "until": "25:61", "timeZone": "Mars/Phobos" }),
            ),
            7 => ("endpoint", json!(*self.dice.pick(&[0, -1]))),
            8 => ("keys", Value::Null),
            9 => ("keys", json!([{ "p256dh": {} }])),
            10 => ("unheardOf", naughty),
            // A token that is none is as good as no token.
            _ => {
                input["token"] = naughty;
                return Verdict::Either;
            }
        };
        input[field] = value;
        Verdict::Refuse
    }

    /// The public key of a browser.
    fn p256dh(&mut self) -> String {
        use p256::elliptic_curve::sec1::ToEncodedPoint;
        let scalar = (0..4).flat_map(|_| self.dice.next().to_be_bytes()).collect::<Vec<u8>>();
        let secret = p256::SecretKey::from_slice(&scalar);
        let secret = secret.unwrap_or_else(|_| p256::SecretKey::from_slice(&[1; 32]).unwrap());
        URL_SAFE_NO_PAD.encode(secret.public_key().to_encoded_point(false).as_bytes())
    }

    fn auth(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        SystemClock.fill_random(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}
