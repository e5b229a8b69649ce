//! The command line: what there is to run, and what each command needs.

mod alert;
mod keys;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};

use self::alert::AlertCommand;
use crate::actions::create_edition::{self, create_edition};
use crate::actions::create_user::{self, create_user};
use crate::app::App;
use crate::config::Config;
use crate::domain::edition::{Direction, Place};
use crate::domain::failure::Failure;
use crate::domain::viewer::{Role, Viewer};
use crate::storage::migrate;
use crate::{demo, graphql, import, serve, telemetry};

/// How long what cannot be interrupted may hold up the end.
const LINGER: Duration = Duration::from_secs(1);

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
    Worker {
        /// Where it serves /metrics and /health/live, such as 127.0.0.1:9090; nowhere when absent.
        #[arg(long, value_name = "ADDRESS", value_parser = address)]
        metrics: Option<SocketAddr>,
    },
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
    /// Manages the language editions of the site.
    Edition {
        #[command(subcommand)]
        what: EditionCommand,
    },
    /// Manages staff.
    User {
        #[command(subcommand)]
        what: UserCommand,
    },
    /// Alerts readers, and shows how alerts come along.
    Alert {
        #[command(subcommand)]
        what: AlertCommand,
    },
    /// Manages the keys that seal what is stored of readers and identify this newsroom to push
    /// services.
    Keys {
        #[command(subcommand)]
        what: keys::KeysCommand,
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
enum EditionCommand {
    /// Adds a language edition, behind the others.
    Create {
        /// BCP 47, such as ar-IQ.
        locale: String,
        /// What readers call it.
        #[arg(long)]
        name: String,
        /// An IANA time zone, such as Asia/Baghdad: in it readers see the time.
        #[arg(long, default_value = "UTC")]
        time_zone: String,
        /// Which way its text runs, ltr or rtl; that of the language when absent.
        #[arg(long, value_parser = direction)]
        direction: Option<Direction>,
        /// The town it is at home in, for the weather: NAME,LATITUDE,LONGITUDE in degrees.
        #[arg(long, value_parser = place, allow_hyphen_values = true)]
        place: Option<Place>,
    },
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Adds a member of staff. The password is asked for on a terminal, else it is the first line
    /// of standard input.
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

impl Cli {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<()> {
        let command = self.command.unwrap_or(Command::Serve);
        if matches!(command, Command::Schema) {
            return say(&graphql::sdl());
        }
        let config = Config::load(self.config.as_deref())?;
        telemetry::log(&config)?;
        match command {
            Command::Serve => serve::serve(config).await,
            Command::Worker { metrics } => serve::work(config, metrics).await,
            Command::Keys { what } => what.run(config).await,
            Command::Migrate { step } => run_migration(config, step).await,
            Command::Import { format: Import::Wxr { file, edition } } => {
                import_wxr(config, &file, edition.as_deref()).await
            }
            Command::Edition { what } => run_edition(config, what).await,
            Command::User { what } => run_user(config, what).await,
            Command::Alert { what } => alert::run(config, what).await,
            Command::Demo => {
                let app = App::open(config).await?;
                app.migrate().await?;
                say(&format!("{}\n", demo::load(&app).await?))
            }
            Command::Schema => Ok(()),
        }
    }
}

async fn run_migration(config: Config, step: Migrate) -> anyhow::Result<()> {
    let app = match step {
        Migrate::Up => App::open(config).await?,
        Migrate::Down { .. } | Migrate::Status => App::open_existing(config).await?,
    };
    match step {
        Migrate::Up => app.migrate().await?,
        Migrate::Down { steps } => {
            migrate::down(&app.db, Some(&app.migration_lock()), steps).await?
        }
        Migrate::Status => {}
    }
    let line = |(name, applied): (String, bool)| {
        format!("{} {name}\n", if applied { "applied" } else { "pending" })
    };
    say(&migrate::status(&app.db).await?.into_iter().map(line).collect::<String>())
}

async fn import_wxr(config: Config, file: &Path, edition: Option<&str>) -> anyhow::Result<()> {
    let app = App::open_existing(config).await?;
    app.migrate().await?;
    let progress = import::progress_bar();
    let report = import::wxr::run(&app, file, edition, &progress).await;
    progress.finish_and_clear();
    say(&report?.to_string())
}

async fn run_edition(config: Config, what: EditionCommand) -> anyhow::Result<()> {
    let EditionCommand::Create { locale, name, time_zone, direction, place } = what;
    let app = App::open(config).await?;
    app.migrate().await?;
    let direction = direction.unwrap_or_else(|| Direction::of_locale(&locale));
    let input =
        create_edition::Input { locale, name, direction, time_zone, place, alerts_per_day: None };
    let edition = create_edition(&app, &Viewer::System, input)
        .await
        .map_err(Failure::into_words)
        .context("the edition was not added")?;
    say(&format!("the edition {} is there\n", edition.locale))
}

async fn run_user(config: Config, what: UserCommand) -> anyhow::Result<()> {
    let UserCommand::Create { email, name, roles } = what;
    let app = App::open_existing(config).await?;
    let password = read_password()?;
    app.migrate().await?;
    let name = name.unwrap_or_else(|| email.clone());
    let user = create_user(&app, create_user::Input { email, name, roles, password })
        .await
        .map_err(Failure::into_words)
        .context("the user was not added")?;
    say(&format!("{} may sign in now\n", user.email))
}

/// From the terminal without showing it, twice, or the first line of what is piped in.
fn read_password() -> anyhow::Result<String> {
    use std::io::IsTerminal;
    if std::io::stdin().is_terminal() {
        let ask =
            |prompt| rpassword::prompt_password(prompt).context("the password cannot be read");
        let password = ask("Password: ")?;
        ensure!(ask("The same again: ")? == password, "the two passwords differ; try again");
        return Ok(password);
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("the password cannot be read")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 127.0.0.1:9090".to_owned())
}

fn role(word: &str) -> Result<Role, String> {
    Role::from_word(word).ok_or_else(|| "expected ADMIN, EDITOR, REPORTER or MODERATOR".to_owned())
}

fn direction(word: &str) -> Result<Direction, String> {
    Direction::from_word(word).ok_or_else(|| "expected ltr or rtl".to_owned())
}

fn place(text: &str) -> Result<Place, String> {
    let parts: Vec<&str> = text.rsplitn(3, ',').collect();
    let degrees = |part: &str| part.trim().parse::<f64>().ok();
    match parts.as_slice() {
        [longitude, latitude, name] => match (degrees(latitude), degrees(longitude)) {
            (Some(latitude), Some(longitude)) => {
                Ok(Place { name: (*name).to_owned(), latitude, longitude })
            }
            _ => Err("latitude and longitude are numbers of degrees".to_owned()),
        },
        _ => Err("expected NAME,LATITUDE,LONGITUDE, such as Erbil,36.19,44.01".to_owned()),
    }
}

/// Writes to standard output. Whoever closed the other end has read enough: that is no error.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written to")
        }
        _ => Ok(()),
    }
}

/// Runs to the end, and waits only a moment for what cannot be interrupted, such as the look-up of a
/// name, which may take half a minute where there is no network.
pub fn run_to_end<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(LINGER);
    done
}

/// What went wrong, cause by cause. Libraries repeat their cause in their own words: said once.
pub fn causes(error: &anyhow::Error) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if !said.iter().any(|above| above.contains(&cause)) {
            said.push(cause);
        }
    }
    said.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_end_does_not_wait_for_what_cannot_be_interrupted() {
        let began = std::time::Instant::now();
        run_to_end(async {
            tokio::task::spawn_blocking(|| std::thread::sleep(10 * LINGER));
            Ok(())
        })
        .unwrap();
        assert!(began.elapsed() < 3 * LINGER, "{:?}", began.elapsed());
    }

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow::anyhow!("no file").context("cannot open: no file").context("starting");
        assert_eq!(causes(&error), "starting: cannot open: no file");
    }

    #[test]
    fn a_place_has_a_name_and_a_position() {
        let erbil = place("أربيل, العراق,36.19,-44.01").unwrap();
        assert_eq!((erbil.name.as_str(), erbil.longitude), ("أربيل, العراق", -44.01));
        assert!(place("Erbil").is_err() && place("Erbil,north,east").is_err());
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
