//! Brings in what other systems hold. One file a format; all that is written goes through actions.

pub mod report;
pub mod wxr;

pub use report::Report;
