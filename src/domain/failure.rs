//! How an action fails: by whose fault, and what the caller may be told.

use std::time::Duration;

use super::text::TextFault;

/// One fault in what the caller sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection<C> {
    /// What kind of fault it is, for programs.
    pub code: C,
    /// Where in the input it lies, outermost field first; empty when it is no single field.
    pub field: Vec<String>,
    /// What is wrong and what to do, for people.
    pub message: String,
}

impl<C> Rejection<C> {
    /// A fault at a field; nested fields are separated by dots: `keys.p256dh`.
    pub fn at(field: &str, code: C, message: impl Into<String>) -> Self {
        let field = field.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Self { code, field, message: message.into() }
    }
}

/// The faults that any typed field can have. Each action's code takes them in by `From`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldCode {
    /// Nothing visible was given.
    Blank,
    /// More than the limit that the message names.
    TooLong,
    /// Not of the form that the message asks for.
    Invalid,
}

impl<C: From<FieldCode>> Rejection<C> {
    /// A text's fault at a field.
    pub fn text(field: &str, fault: TextFault) -> Self {
        let code = match fault {
            TextFault::Blank => FieldCode::Blank,
            TextFault::TooLong { .. } => FieldCode::TooLong,
        };
        Self::at(field, code.into(), fault.message())
    }

    /// A field that is not of the form it should be.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::at(field, FieldCode::Invalid.into(), message)
    }
}

/// Why an action did not happen. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum Failure<C> {
    /// The input is at fault: every fault that was found, not just the first.
    #[error("the input was rejected")]
    Rejected(Vec<Rejection<C>>),
    /// Nobody is signed in, and somebody must be.
    #[error("sign in first")]
    Unauthenticated,
    /// Who is signed in may not do this.
    #[error("not permitted")]
    Forbidden,
    /// There is no such thing, or none that the viewer may see.
    #[error("not found")]
    NotFound,
    /// Too often; worth trying again after a while.
    #[error("too many requests")]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Our fault. Logged with its cause at the boundary, never shown.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

impl<C> Failure<C> {
    /// The same of an input that stands at a field of another one.
    pub fn below(self, field: &str) -> Self {
        let Self::Rejected(mut faults) = self else { return self };
        for fault in &mut faults {
            fault.field.insert(0, field.to_owned());
        }
        Self::Rejected(faults)
    }

    /// The same in words, for whoever has the machine: every fault with its field, or the cause.
    pub fn into_words(self) -> anyhow::Error {
        let Self::Rejected(faults) = self else {
            return match self {
                Self::Internal(cause) => cause,
                other => anyhow::anyhow!("{other}"),
            };
        };
        let words = faults.into_iter().map(|fault| match fault.field.join(".") {
            none if none.is_empty() => fault.message,
            field => format!("{field}: {}", fault.message),
        });
        anyhow::anyhow!("{}", words.collect::<Vec<_>>().join("; "))
    }
}

/// Both of two inputs, or the faults of both.
pub fn both<A, B, C>(
    one: Result<A, Failure<C>>,
    other: Result<B, Failure<C>>,
) -> Result<(A, B), Failure<C>> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(Failure::Rejected(mut faults)), Err(Failure::Rejected(more))) => {
            faults.extend(more);
            Err(Failure::Rejected(faults))
        }
        (Err(Failure::Rejected(_)), Err(worse)) | (Err(worse), _) | (_, Err(worse)) => Err(worse),
    }
}

impl<C> From<Rejection<C>> for Failure<C> {
    fn from(rejection: Rejection<C>) -> Self {
        Self::Rejected(vec![rejection])
    }
}

/// Collects faults while an input is parsed, so that the caller hears of all of them at once.
#[derive(Debug)]
pub struct Faults<C>(Vec<Rejection<C>>);

impl<C> Default for Faults<C> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<C> Faults<C> {
    /// Adds a fault.
    pub fn push(&mut self, rejection: Rejection<C>) {
        self.0.push(rejection);
    }

    /// Takes the value out of a result, or keeps its fault.
    pub fn take<T>(&mut self, result: Result<T, Rejection<C>>) -> Option<T> {
        result.map_err(|rejection| self.0.push(rejection)).ok()
    }

    /// Takes the text out of a result, or keeps its fault at the field.
    pub fn text<T>(&mut self, field: &str, result: Result<T, TextFault>) -> Option<T>
    where
        C: From<FieldCode>,
    {
        self.take(result.map_err(|fault| Rejection::text(field, fault)))
    }

    /// Fails with everything collected, if anything was.
    pub fn check(self) -> Result<(), Failure<C>> {
        if self.0.is_empty() { Ok(()) } else { Err(Failure::Rejected(self.0)) }
    }
}
