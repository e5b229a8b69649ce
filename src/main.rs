//! The command line of Khabar.

use clap::Parser;
use khabar::cli::{Cli, causes, run_to_end};

fn main() -> std::process::ExitCode {
    match run_to_end(Cli::parse().run()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("khabar: {}", causes(&error));
            std::process::ExitCode::FAILURE
        }
    }
}
