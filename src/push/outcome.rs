//! Outcomes: what a push service's answer means for the message and for the subscription.

use std::time::Duration;

use chrono::DateTime;
use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};

use crate::domain::clock::Timestamp;

/// No wait that a service asks for counts as longer: by then no message is news any more.
const LONGEST_WAIT: Duration = Duration::from_secs(28 * 24 * 3_600);

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The push service has it and will deliver it.
    Accepted,
    /// The browser dropped this endpoint: the subscription is to be deleted.
    Gone,
    /// The push service takes only shorter messages.
    TooLarge,
    /// Too many requests: worth trying again after a while, or when the service said.
    Wait {
        /// How it was said.
        status: u16,
        /// How long to wait.
        after: Option<Duration>,
    },
    /// A fault of ours: clock, key, subject or audience. The subscription is innocent.
    Refused(u16),
    /// The push service failed, or could not be reached: worth trying again.
    Failed(Option<u16>),
}

impl Outcome {
    /// What an answer means (RFC 8030 §5, §7.3, and what real services do).
    pub fn of_answer(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Self {
        match status.as_u16() {
            200..=299 => Self::Accepted,
            // Keeping a dropped endpoint costs a request on every alert.
            404 | 410 => Self::Gone,
            413 => Self::TooLarge,
            // Windows' service says 406 where others say 429.
            status @ (406 | 429 | 503) => Self::Wait { status, after: retry_after(headers, now) },
            code @ (401 | 403) => Self::Refused(code),
            code => Self::Failed(Some(code)),
        }
    }

    /// Whether another try may end otherwise. What was shortened already and is still too large will
    /// not be taken, nor what is malformed.
    pub fn may_change(self) -> bool {
        const MALFORMED: [u16; 6] = [400, 405, 411, 414, 415, 431];
        match self {
            Self::Accepted | Self::TooLarge => false,
            Self::Failed(status) => status.is_none_or(|status| !MALFORMED.contains(&status)),
            Self::Gone | Self::Wait { .. } | Self::Refused(_) => true,
        }
    }

    /// The word for it in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Gone => "gone",
            Self::TooLarge => "too_large",
            Self::Wait { .. } => "throttled",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }

    /// The status code behind it, where it is worth remembering.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Accepted => None,
            Self::Gone => Some(410),
            Self::TooLarge => Some(413),
            Self::Wait { status, .. } | Self::Refused(status) => Some(status),
            Self::Failed(status) => status,
        }
    }
}

/// Seconds, or a date (RFC 9110 §10.2.3). A number beyond all bounds counts as the longest wait.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.parse().map_or(LONGEST_WAIT, Duration::from_secs)
    } else {
        let date = DateTime::parse_from_rfc2822(&value.replace("GMT", "+0000")).ok()?;
        (date.to_utc() - now).to_std().unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16, after: Option<&str>) -> Outcome {
        let mut headers = HeaderMap::new();
        if let Some(after) = after {
            headers.insert(RETRY_AFTER, after.parse().unwrap());
        }
        let now = "2024-11-23T04:39:00Z".parse().unwrap();
        Outcome::of_answer(StatusCode::from_u16(status).unwrap(), &headers, now)
    }

    /// How long an answer says to wait.
    fn waits(status: u16, after: Option<&str>) -> Option<Duration> {
        match outcome(status, after) {
            Outcome::Wait { status: said, after } if said == status => after,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_answer_means_what_it_means() {
        for (status, expected) in [
            (200, Outcome::Accepted),
            (201, Outcome::Accepted),
            (202, Outcome::Accepted),
            (301, Outcome::Failed(Some(301))),
            (400, Outcome::Failed(Some(400))),
            (401, Outcome::Refused(401)),
            (403, Outcome::Refused(403)),
            (404, Outcome::Gone),
            (406, Outcome::Wait { status: 406, after: None }),
            (410, Outcome::Gone),
            (413, Outcome::TooLarge),
            (429, Outcome::Wait { status: 429, after: None }),
            (500, Outcome::Failed(Some(500))),
            (503, Outcome::Wait { status: 503, after: None }),
        ] {
            assert_eq!(outcome(status, None), expected, "{status}");
        }
    }

    #[test]
    fn a_wait_is_read_in_both_forms() {
        assert_eq!(waits(429, Some("120")), Some(Duration::from_secs(120)));
        let date = Some("Sat, 23 Nov 2024 04:40:00 GMT");
        assert_eq!(waits(503, date), Some(Duration::from_secs(60)));
        let past = Some("Sat, 23 Nov 2024 04:00:00 GMT");
        assert_eq!(waits(429, past), Some(Duration::ZERO));
        for vague in ["soon", "", "-1", "1.5"] {
            assert_eq!(waits(429, Some(vague)), None, "{vague}");
        }
    }

    #[test]
    fn no_wait_is_too_long_to_reckon_with() {
        for after in ["18446744073709551615", "99999999999999999999", "9223372036854775"] {
            assert_eq!(waits(429, Some(after)), Some(LONGEST_WAIT), "{after}");
        }
        let date = Some("Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(waits(503, date), Some(LONGEST_WAIT));
    }
}
