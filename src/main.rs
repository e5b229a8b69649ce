//! The command line of Khabar.

use clap::Parser;
use khabar::cli::Cli;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(cli.run()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Says what went wrong, cause by cause, without the machinery around it.
fn fail(error: &anyhow::Error) -> std::process::ExitCode {
    eprintln!("khabar: {error:#}");
    std::process::ExitCode::FAILURE
}
