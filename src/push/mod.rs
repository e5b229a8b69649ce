//! Push: one encrypted request per subscription. Knows nothing about articles.

pub mod outcome;
pub mod seal;
mod sender;
mod transport;
pub mod vapid;

pub use outcome::Outcome;
pub use sender::{Message, Sender};
