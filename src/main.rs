//! The command line of Khabar.
fn main() {}
