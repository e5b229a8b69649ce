//! Push: one encrypted request per subscription. Knows nothing about articles.

mod answer;
mod connection;
mod gate;
mod lines;
pub mod outcome;
mod pace;
mod post;
pub mod seal;
mod sender;
mod silence;
mod tally;
mod transport;
pub mod vapid;
mod ways;

pub use outcome::Outcome;
pub use pace::Resting;
pub use seal::Prepared;
pub use sender::{Letter, Message, Sender, Sent};
