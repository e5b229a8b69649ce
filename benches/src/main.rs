//! What is claimed about Khabar's speed, measured beside others in the same run. `bin/bench` runs it.
//!
//! Whoever sends and whoever receives is a process of its own: this program again, under a name that
//! says which part it plays.

mod process;
mod push;
mod stats;
mod table;

use anyhow::bail;

fn main() -> anyhow::Result<()> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["push", options @ ..] if options.iter().all(|option| option.starts_with("--")) => {
            push::run(options)
        }
        ["push", part, specification] => push::play(part, specification),
        _ => bail!("what is measured: push [--short] [--rounds=N]"),
    }
}
