//! Instants that clients send.

use std::borrow::Cow;

use async_graphql::registry::Registry;
use async_graphql::{InputType, InputValueError, InputValueResult, Value};

use crate::domain::clock::{self, Timestamp};

/// A `DateTime` in the input. Refused with an example, which the library's own scalar has none of, and when
/// databases cannot keep it or calendars write it.
#[derive(Debug, Clone, Copy)]
pub struct Instant(pub Timestamp);

impl InputType for Instant {
    type RawValueType = Timestamp;

    fn type_name() -> Cow<'static, str> {
        <Timestamp as InputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <Timestamp as InputType>::create_type_info(registry)
    }

    fn parse(value: Option<Value>) -> InputValueResult<Self> {
        let at = <Timestamp as InputType>::parse(value).ok().filter(|at| clock::is_kept(*at));
        at.map(Self).ok_or_else(|| {
            let message =
                "expected a time with its offset, in the years 1 to 9999, such as 2026-01-31T18:00:00+03:00";
            InputValueError::custom(message).with_extension("code", "BAD_USER_INPUT")
        })
    }

    fn to_value(&self) -> Value {
        InputType::to_value(&self.0)
    }

    fn as_raw_value(&self) -> Option<&Timestamp> {
        Some(&self.0)
    }
}

impl From<Instant> for Timestamp {
    fn from(instant: Instant) -> Self {
        instant.0
    }
}
