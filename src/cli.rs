//! The command line: what there is to run, and what each command needs.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};

use crate::actions::create_user::{self, create_user};
use crate::app::App;
use crate::config::Config;
use crate::domain::failure::Failure;
use crate::domain::viewer::Role;
use crate::storage::migrate;
use crate::{demo, graphql, import, keys, serve, telemetry};

/// A newsroom backend in one binary: articles, categories, guest comments, live streams and Web
/// Push alerts over GraphQL.
///
/// Without a command it serves: it makes what is missing (data folder, database, keys, a demo
/// newsroom, an administrator) and prints the addresses.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// The configuration file; khabar.example.toml explains every setting.
    #[arg(long, global = true, value_name = "FILE", env = "KHABAR_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the API and works on alerts in one process (the default).
    Serve,
    /// Works on alerts alone: run as many of these as you like beside one PostgreSQL.
    Worker,
    /// Changes the database's schema, or shows where it stands.
    Migrate {
        #[command(subcommand)]
        step: Migrate,
    },
    /// Takes over content from elsewhere. Running it again changes nothing that is there.
    Import {
        #[command(subcommand)]
        format: Import,
    },
    /// Manages staff.
    User {
        #[command(subcommand)]
        what: UserCommand,
    },
    /// Manages the keys that identify this newsroom to push services.
    Keys {
        #[command(subcommand)]
        what: KeysCommand,
    },
    /// Prints the GraphQL schema.
    Schema,
    /// Loads the demo newsroom into an empty database.
    Demo,
}

#[derive(Debug, Subcommand)]
enum Migrate {
    /// Applies every step that is not applied yet. Serving does so by itself.
    Up,
    /// Takes the newest steps back. What stands in their tables is lost.
    Down {
        /// How many.
        #[arg(default_value_t = 1)]
        steps: u32,
    },
    /// Lists the steps and whether they are applied.
    Status,
}

#[derive(Debug, Subcommand)]
enum Import {
    /// A WordPress export (WXR): articles, categories, tags, authors, comments.
    Wxr {
        /// The file, as WordPress wrote it.
        file: PathBuf,
        /// The locale of the edition to import into; found by the file's language when absent.
        #[arg(long, value_name = "LOCALE")]
        edition: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Adds a member of staff. The password is read from the terminal, or from standard input.
    Create {
        /// Signs in with it.
        email: String,
        /// As colleagues see it; the e-mail address when absent.
        #[arg(long)]
        name: Option<String>,
        /// ADMIN, EDITOR, REPORTER or MODERATOR; give it several times for several roles.
        #[arg(long = "role", required = true, value_parser = role)]
        roles: Vec<Role>,
    },
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Makes the VAPID key pair if there is none, and prints the public key.
    Generate,
}

impl Cli {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<()> {
        let command = self.command.unwrap_or(Command::Serve);
        if matches!(command, Command::Schema) {
            print!("{}", graphql::sdl());
            return Ok(());
        }
        let config = Config::load(self.config.as_deref())?;
        telemetry::log(&config)?;
        match command {
            Command::Serve => serve::serve(config).await,
            Command::Worker => serve::work(config).await,
            Command::Keys { what: KeysCommand::Generate } => generate_keys(&config),
            Command::Migrate { step } => run_migration(config, step).await,
            Command::Import { format: Import::Wxr { file, edition } } => {
                import_wxr(config, &file, edition.as_deref()).await
            }
            Command::User { what } => run_user(config, what).await,
            Command::Demo => {
                let app = App::open(config).await?;
                app.migrate().await?;
                println!("{}", demo::load(&app).await?);
                Ok(())
            }
            Command::Schema => Ok(()),
        }
    }
}

fn generate_keys(config: &Config) -> anyhow::Result<()> {
    let keys = keys::load_or_generate(&config.data_dir, &crate::domain::clock::SystemClock)?;
    println!("{}", keys.public_key());
    Ok(())
}

async fn run_migration(config: Config, step: Migrate) -> anyhow::Result<()> {
    let app = App::open(config).await?;
    match step {
        Migrate::Up => app.migrate().await?,
        Migrate::Down { steps } => {
            migrate::down(&app.db, Some(&app.migration_lock()), steps).await?
        }
        Migrate::Status => {}
    }
    for (name, applied) in migrate::status(&app.db).await? {
        println!("{} {name}", if applied { "applied" } else { "pending" });
    }
    Ok(())
}

async fn import_wxr(config: Config, file: &Path, edition: Option<&str>) -> anyhow::Result<()> {
    let app = App::open(config).await?;
    app.migrate().await?;
    let progress = import::progress_bar();
    let report = import::wxr::run(&app, file, edition, &progress).await;
    progress.finish_and_clear();
    print!("{}", report?);
    Ok(())
}

async fn run_user(config: Config, what: UserCommand) -> anyhow::Result<()> {
    let UserCommand::Create { email, name, roles } = what;
    let password = read_password()?;
    let app = App::open(config).await?;
    app.migrate().await?;
    let name = name.unwrap_or_else(|| email.clone());
    match create_user(&app, create_user::Input { email, name, roles, password }).await {
        Ok(user) => {
            println!("{} may sign in now", user.email);
            Ok(())
        }
        Err(Failure::Rejected(faults)) => {
            let faults =
                faults.iter().map(|fault| format!("{}: {}", fault.field.join("."), fault.message));
            bail!("the user was not added: {}", faults.collect::<Vec<_>>().join("; "))
        }
        Err(Failure::Internal(cause)) => Err(cause),
        Err(other) => bail!("the user was not added: {other}"),
    }
}

/// From the terminal without showing it, or the first line of what is piped in.
fn read_password() -> anyhow::Result<String> {
    use std::io::IsTerminal;
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password("Password: ").context("the password cannot be read");
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("the password cannot be read")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn role(word: &str) -> Result<Role, String> {
    Role::from_word(word).ok_or_else(|| "expected ADMIN, EDITOR, REPORTER or MODERATOR".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
