//! The configuration, and the only reader of the configuration file and of the environment.
//!
//! A setting has one name, `push.subject`; in the environment it is `KHABAR_PUSH_SUBJECT`, which
//! wins over the file. Every fault is reported at once, with the setting, its value and what is
//! allowed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use url::Url;

/// Settings whose name in the environment is not made from their own.
const FIXED_NAMES: [(&str, &str); 1] = [("database_url", "DATABASE_URL")];
/// Read from the environment by others than the settings: tests, and the choice of the file.
const NOT_SETTINGS: [&str; 4] =
    ["KHABAR_CONFIG", "KHABAR_SAMPLES", "KHABAR_TEST_DATABASE", "KHABAR_URL"];

/// Everything an operator can set. `khabar.example.toml` explains each one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the database, keys and files live.
    pub data_dir: PathBuf,
    /// `sqlite:…` or `postgres://…`.
    pub database_url: String,
    /// The most connections to the database.
    pub database_connections: u32,
    /// What the readers' site is called from outside; canonical addresses begin with it.
    pub public_url: Url,
    /// The first administrator's password; generated and shown once when not set.
    pub admin_password: Option<String>,
    /// Whether an empty database gets the demo newsroom.
    pub demo: bool,
    /// What is logged, as `tracing` filters it.
    pub log: String,
    /// Log lines as JSON instead of text.
    pub log_json: bool,
    /// How long a staff session lasts.
    pub session: Duration,
    /// Comments that one address may post in a minute.
    pub comments_per_minute: u32,
    /// Sign-ins that one address may try in a minute.
    pub sign_ins_per_minute: u32,
    /// Push subscriptions that one address may post in a minute.
    pub push_subscriptions_per_minute: u32,
    /// The weather at the editions' places.
    pub weather: WeatherConfig,
    /// Web Push.
    pub push: PushConfig,
}

/// Settings of the weather.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeatherConfig {
    /// Whether to ask for it at all.
    pub enabled: bool,
    /// An Open-Meteo server.
    pub base_url: Url,
}

/// Settings of Web Push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushConfig {
    /// Whom a push service may write to: a `mailto:` or `https:` address (RFC 8292 §2.1).
    pub subject: String,
    /// How long a push service keeps an alert for a browser that is away.
    pub ttl: Duration,
    /// Requests under way at once to one push service.
    pub concurrency: u32,
    /// Hosts of push services besides the well-known ones.
    pub extra_hosts: Vec<String>,
    /// Lets endpoints be `http` on this machine. For tests only.
    pub allow_loopback: bool,
}

impl Config {
    /// Reads the file that `--config` or `KHABAR_CONFIG` names (or `khabar.toml`, if there is
    /// one), then the environment.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let named = file
            .map(Path::to_owned)
            .or_else(|| std::env::var_os("KHABAR_CONFIG").map(PathBuf::from));
        let file = match named {
            Some(path) => Some(path),
            None => Some(PathBuf::from("khabar.toml")).filter(|path| path.exists()),
        };
        let text = match &file {
            Some(path) => std::fs::read_to_string(path).with_context(|| {
                format!("the configuration file {} cannot be read", path.display())
            })?,
            None => String::new(),
        };
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::parse(&text, environment)
    }

    /// Makes a configuration of a file's text and of environment variables.
    pub fn parse(
        file: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let mut settings = Settings::collect(file, environment)?;
        let config = Self::read(&mut settings);
        settings.finish()?;
        Ok(config)
    }

    fn read(settings: &mut Settings) -> Self {
        let listen =
            settings.take("listen", SocketAddr::from(([127, 0, 0, 1], 8080)), socket_address);
        let data_dir = settings.take("data_dir", PathBuf::from("./data"), path);
        let default_database = format!("sqlite:{}", data_dir.join("khabar.sqlite").display());
        let default_site = local_address(listen);
        Self {
            listen,
            database_url: settings.take("database_url", default_database, database_url),
            data_dir,
            database_connections: settings
                .take("database_connections", 10, |v| number(v, 2, 1_000)),
            public_url: settings.take("public_url", default_site, web_url),
            admin_password: settings.take("admin_password", None, password),
            demo: settings.take("demo", true, switch),
            log: settings.take("log", "info".to_owned(), log_filter),
            log_json: settings.take("log_json", false, switch),
            session: settings.take("session_days", days(30), |v| number(v, 1, 365).map(days)),
            comments_per_minute: settings.take("comments_per_minute", 6, |v| number(v, 1, 100_000)),
            sign_ins_per_minute: settings
                .take("sign_ins_per_minute", 10, |v| number(v, 1, 100_000)),
            push_subscriptions_per_minute: settings
                .take("push_subscriptions_per_minute", 60, |v| number(v, 1, 100_000)),
            weather: WeatherConfig {
                enabled: settings.take("weather.enabled", true, switch),
                base_url: settings.take("weather.base_url", open_meteo(), web_url),
            },
            push: PushConfig {
                subject: settings.take(
                    "push.subject",
                    "mailto:newsroom@khabar.example".to_owned(),
                    subject,
                ),
                ttl: settings
                    .take("push.ttl_hours", hours(24), |v| number(v, 1, 24 * 28).map(hours)),
                concurrency: settings.take("push.concurrency", 64, |v| number(v, 1, 1_000)),
                extra_hosts: settings.take("push.extra_hosts", Vec::new(), hosts),
                allow_loopback: settings.take("push.allow_loopback", false, switch),
            },
        }
    }
}

/// The settings as they were written, each taken once.
struct Settings {
    values: BTreeMap<String, (String, String)>,
    known: Vec<&'static str>,
    faults: Vec<String>,
}

impl Settings {
    fn collect(
        file: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let table: toml::Table =
            file.parse().context("the configuration file is not valid TOML")?;
        let mut values = BTreeMap::new();
        flatten("", table, &mut values);
        for (name, value) in environment {
            let fixed = FIXED_NAMES.iter().find(|(_, fixed)| *fixed == name);
            let is_setting = name.starts_with("KHABAR_") && !NOT_SETTINGS.contains(&name.as_str());
            if let Some((key, _)) = fixed {
                values.insert((*key).to_owned(), (value, name));
            } else if is_setting {
                values.insert(name.clone(), (value, name));
            }
        }
        Ok(Self { values, known: Vec::new(), faults: Vec::new() })
    }

    /// The setting's value: from the environment, else from the file, else the default.
    fn take<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.known.push(key);
        let in_file = self.values.remove(key);
        let Some((value, source)) = self.values.remove(&environment_name(key)).or(in_file) else {
            return default;
        };
        parse(&value).unwrap_or_else(|allowed| {
            let shown =
                if key.contains("password") { "…".to_owned() } else { format!("{value:?}") };
            self.faults.push(format!("{key} = {shown} (from {source}): {allowed}"));
            default
        })
    }

    fn finish(mut self) -> anyhow::Result<()> {
        for (key, (_, source)) in &self.values {
            let nearest = self.known.iter().max_by_key(|known| likeness(known, key));
            let hint = nearest.map(|known| format!("; did you mean {known}?")).unwrap_or_default();
            self.faults.push(format!("{key} (from {source}) is no setting{hint}"));
        }
        if self.faults.is_empty() {
            return Ok(());
        }
        bail!("the configuration cannot be used:\n  {}", self.faults.join("\n  "))
    }
}

fn flatten(prefix: &str, table: toml::Table, values: &mut BTreeMap<String, (String, String)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let text = match value {
            toml::Value::Table(inner) => {
                flatten(&key, inner, values);
                continue;
            }
            toml::Value::String(text) => text,
            toml::Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect::<Vec<_>>()
                .join(","),
            other => other.to_string(),
        };
        values.insert(key, (text, "the configuration file".to_owned()));
    }
}

fn environment_name(key: &str) -> String {
    format!("KHABAR_{}", key.replace('.', "_").to_uppercase())
}

/// How many letters two names share from the beginning and from the end.
fn likeness(known: &str, key: &str) -> usize {
    let key = key.trim_start_matches("KHABAR_").replace('.', "_").to_lowercase();
    let known = known.replace('.', "_");
    let from_start = known.chars().zip(key.chars()).take_while(|(a, b)| a == b).count();
    from_start + known.chars().rev().zip(key.chars().rev()).take_while(|(a, b)| a == b).count()
}

/// The address under which this machine reaches the server itself.
pub fn local_address(listen: SocketAddr) -> Url {
    let host = match listen {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => format!("127.0.0.1:{}", v4.port()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => format!("[::1]:{}", v6.port()),
        other => other.to_string(),
    };
    #[expect(clippy::expect_used, reason = "a socket address always makes an address of the web")]
    Url::parse(&format!("http://{host}/")).expect("host and port")
}

fn open_meteo() -> Url {
    #[expect(clippy::expect_used, reason = "a constant")]
    Url::parse("https://api.open-meteo.com/").expect("a constant address")
}

fn days(days: u32) -> Duration {
    hours(days * 24)
}

fn hours(hours: u32) -> Duration {
    Duration::from_secs(u64::from(hours) * 3_600)
}

fn socket_address(value: &str) -> Result<SocketAddr, String> {
    value.parse().map_err(|_| {
        "expected an IP address and a port, such as 127.0.0.1:8080 or [::]:8080".to_owned()
    })
}

fn path(value: &str) -> Result<PathBuf, String> {
    if value.trim().is_empty() {
        Err("expected a folder".to_owned())
    } else {
        Ok(PathBuf::from(value))
    }
}

fn database_url(value: &str) -> Result<String, String> {
    let known =
        ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| value.starts_with(scheme));
    if known {
        Ok(value.to_owned())
    } else {
        Err("expected sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME".to_owned())
    }
}

fn number(value: &str, least: u32, most: u32) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("expected a whole number from {least} to {most}"))
}

fn web_url(value: &str) -> Result<Url, String> {
    let url = Url::parse(value)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| "expected an address such as https://news.example/".to_owned())
}

fn switch(value: &str) -> Result<bool, String> {
    match value.to_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

fn password(value: &str) -> Result<Option<String>, String> {
    if value.chars().count() < 12 {
        Err("expected at least 12 characters".to_owned())
    } else {
        Ok(Some(value.to_owned()))
    }
}

fn log_filter(value: &str) -> Result<String, String> {
    match value.parse::<tracing_subscriber::filter::Targets>() {
        Ok(_) => Ok(value.to_owned()),
        Err(_) => Err("expected a level (error, warn, info, debug, trace) or a filter such as info,khabar=debug".to_owned()),
    }
}

fn subject(value: &str) -> Result<String, String> {
    let known = ["mailto:", "https://"]
        .iter()
        .any(|scheme| value.len() > scheme.len() && value.starts_with(scheme));
    if known {
        Ok(value.to_owned())
    } else {
        Err("expected mailto:SOMEBODY@HOST or an https address".to_owned())
    }
}

fn hosts(value: &str) -> Result<Vec<String>, String> {
    let hosts = value.split(',').map(str::trim).filter(|host| !host.is_empty());
    hosts
        .map(|host| match url::Host::parse(host) {
            Ok(url::Host::Domain(domain)) => Ok(domain),
            _ => Err("expected host names separated by commas".to_owned()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(file: &str, environment: &[(&str, &str)]) -> anyhow::Result<Config> {
        Config::parse(file, environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
    }

    fn fault(file: &str, environment: &[(&str, &str)]) -> String {
        parse(file, environment).unwrap_err().to_string()
    }

    #[test]
    fn the_example_explains_every_setting_and_holds_the_defaults() {
        let example = include_str!("../khabar.example.toml");
        let mut settings = Settings::collect(example, []).unwrap();
        let defaults = parse("", &[]).unwrap();
        assert_eq!(Config::read(&mut settings), defaults);
        settings.finish().unwrap();

        let mut names = Settings::collect("", []).unwrap();
        Config::read(&mut names);
        for key in names.known {
            let name = key.rsplit('.').next().unwrap();
            assert!(
                example.contains(&format!("\n{name} ="))
                    || example.contains(&format!("\n# {name} =")),
                "{key}"
            );
        }
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let config =
            parse("listen = \"1.2.3.4:5\"\n[push]\nttl_hours = 2", &[("KHABAR_LISTEN", "[::]:80")])
                .unwrap();
        assert_eq!(config.listen.to_string(), "[::]:80");
        assert_eq!(config.public_url.as_str(), "http://[::1]/");
        assert_eq!(config.push.ttl, hours(2));
    }

    #[test]
    fn the_database_lives_in_the_data_folder_unless_said_otherwise() {
        assert_eq!(
            parse("", &[("KHABAR_DATA_DIR", "/x")]).unwrap().database_url,
            "sqlite:/x/khabar.sqlite"
        );
        let config = parse("", &[("DATABASE_URL", "postgres://h/n")]).unwrap();
        assert_eq!(config.database_url, "postgres://h/n");
    }

    #[test]
    fn every_fault_names_setting_value_and_what_is_allowed() {
        let message = fault("[push]\nttl_hours = 0", &[("KHABAR_DEMO", "maybe")]);
        assert!(message.contains("push.ttl_hours = \"0\" (from the configuration file): expected a whole number from 1 to 672"), "{message}");
        assert!(
            message.contains("demo = \"maybe\" (from KHABAR_DEMO): expected on or off"),
            "{message}"
        );
    }

    #[test]
    fn an_unknown_setting_is_a_fault_with_a_hint() {
        assert!(fault("[push]\nttl = 1", &[]).contains(
            "push.ttl (from the configuration file) is no setting; did you mean push.ttl_hours?"
        ));
        assert!(fault("", &[("KHABAR_LISTENS", "x")]).contains("did you mean listen?"));
    }

    #[test]
    fn passwords_are_not_repeated() {
        let message = fault("", &[("KHABAR_ADMIN_PASSWORD", "hunter2")]);
        assert!(
            message.contains("at least 12 characters") && !message.contains("hunter2"),
            "{message}"
        );
    }
}
