//! Brings in what other systems hold. One file a format; all that is written goes through actions.

pub mod report;
pub mod wxr;

pub use report::Report;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of the bytes read, on a terminal; elsewhere nothing.
pub fn progress_bar() -> ProgressBar {
    let template = "{bar:40} {percent:>3} %  {bytes_per_sec}  {elapsed} / {duration}";
    let bar = ProgressBar::no_length();
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
