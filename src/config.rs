//! The configuration, and the only reader of the configuration file and of the environment.
//!
//! A setting has one name, `push.subject`; in the environment it is `KHABAR_PUSH_SUBJECT`, which
//! wins over the file. Every fault is reported at once, with the setting, its value and what is
//! allowed.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use ipnet::IpNet;
use url::Url;

mod settings;

use settings::{
    Settings, TextFile, database_url, hosts, log_filter, networks, number, password, path,
    socket_address, subject, switch, web_url,
};

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
    /// Proxies that are believed when they name the client's address.
    pub trusted_proxies: Vec<IpNet>,
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
    /// Requests under way at once to one push service, at most.
    pub concurrency: u32,
    /// Requests a second to one push service, at most.
    pub per_second: u32,
    /// Whether keys are prepared before the news breaks.
    pub prepared_keys: bool,
    /// Certificates of authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Hosts of push services besides the well-known ones.
    pub extra_hosts: Vec<String>,
    /// Whether breaking news alerts readers when it is published, without being told to.
    pub breaking_alerts: bool,
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
        let name = file.unwrap_or_default().display().to_string();
        Self::of(TextFile { name: &name, text: &text }, std::env::vars_os())
    }

    /// Makes a configuration of a file's text and of environment variables.
    pub fn parse(
        file: &str,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> anyhow::Result<Self> {
        Self::of(TextFile { name: "the configuration file", text: file }, environment)
    }

    fn of(
        file: TextFile<'_>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
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
            trusted_proxies: settings.take("trusted_proxies", Vec::new(), networks),
            comments_per_minute: settings.take("comments_per_minute", 6, |v| number(v, 1, 100_000)),
            sign_ins_per_minute: settings
                .take("sign_ins_per_minute", 10, |v| number(v, 1, 100_000)),
            push_subscriptions_per_minute: settings.take(
                "push_subscriptions_per_minute",
                60,
                |v| number(v, 1, 100_000),
            ),
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
                concurrency: settings.take("push.concurrency", 256, |v| number(v, 1, 10_000)),
                per_second: settings.take("push.per_second", 20_000, |v| number(v, 1, 10_000_000)),
                prepared_keys: settings.take("push.prepared_keys", true, switch),
                ca_file: settings.take("push.ca_file", None, |v| path(v).map(Some)),
                extra_hosts: settings.take("push.extra_hosts", Vec::new(), hosts),
                breaking_alerts: settings.take("push.breaking_alerts", false, switch),
                allow_loopback: settings.take("push.allow_loopback", false, switch),
            },
        }
    }
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

/// A database's address as it may be shown: without user, password and parameters.
pub fn without_secrets(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return url.to_owned();
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split('?').next().unwrap_or_default();
    let shown = match rest.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => rest.to_owned(),
    };
    if scheme.is_empty() { shown } else { format!("{scheme}://{shown}") }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(file: &str, environment: &[(&str, &str)]) -> anyhow::Result<Config> {
        Config::parse(file, environment.iter().map(|(n, v)| (OsString::from(n), OsString::from(v))))
    }

    fn fault(file: &str, environment: &[(&str, &str)]) -> String {
        parse(file, environment).unwrap_err().to_string()
    }

    #[test]
    fn the_example_explains_every_setting_and_holds_the_defaults() {
        let example = include_str!("../khabar.example.toml");
        let example_file = TextFile { name: "", text: example };
        let mut settings = Settings::collect(example_file, []).unwrap();
        let defaults = parse("", &[]).unwrap();
        assert_eq!(Config::read(&mut settings), defaults);
        settings.finish().unwrap();

        let mut names = Settings::collect(TextFile { name: "", text: "" }, []).unwrap();
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
        assert!(fault("listn = 1", &[]).contains("did you mean listen?"));
        let message = fault("", &[("KHABAR_LISTN", "x")]);
        assert!(
            message.contains(
                "KHABAR_LISTN (from the environment) is no setting; did you mean KHABAR_LISTEN?"
            ),
            "{message}"
        );
        let message = fault("", &[("KHABAR_FROBNICATE", "x")]);
        assert!(
            message.ends_with("KHABAR_FROBNICATE (from the environment) is no setting"),
            "{message}"
        );
    }

    #[test]
    fn the_database_has_one_name_in_the_environment() {
        let message = fault("", &[("KHABAR_DATABASE_URL", "sqlite:x")]);
        assert!(message.contains("KHABAR_DATABASE_URL (from the environment) is no setting; did you mean DATABASE_URL?"), "{message}");
    }

    #[test]
    fn secrets_of_a_database_are_not_repeated() {
        for url in ["mysql://me:secret@h/n", "me:secret@h/n", "x://h/n?password=secret"] {
            let message = fault("", &[("DATABASE_URL", url)]);
            assert!(message.contains("h/n") && !message.contains("secret"), "{message}");
        }
        assert_eq!(without_secrets("postgres://me:a@b@h:5/n?x=y"), "postgres://…@h:5/n");
        assert_eq!(without_secrets("postgres://h/n"), "postgres://h/n");
        assert_eq!(without_secrets("sqlite:a@b?mode=ro"), "sqlite:a@b?mode=ro");
    }

    #[test]
    fn a_value_that_is_no_text_is_a_fault() {
        use std::os::unix::ffi::OsStringExt;
        for name in ["KHABAR_DEMO", "DATABASE_URL"] {
            let value = OsString::from_vec(vec![b'o', 0xff]);
            let message = Config::parse("", [(name.into(), value)]).unwrap_err().to_string();
            assert!(message.contains(&format!("{name} is not valid UTF-8")), "{message}");
        }
        let other = OsString::from_vec(vec![0xff]);
        assert!(Config::parse("", [("HOME".into(), other)]).is_ok(), "of no interest");
    }

    #[test]
    fn a_bad_filter_says_where_it_stands_and_what_would_do() {
        for filter in ["verbose", "info,khabar=loud", "khabar==debug"] {
            let message = fault("", &[("KHABAR_LOG", filter)]);
            assert!(
                message.contains("(from KHABAR_LOG): expected a level")
                    && message.contains("info,khabar=debug"),
                "{message}"
            );
        }
        for filter in ["info", "WARN", "info,khabar=debug", "warn,khabar[request]=trace", "off"] {
            assert!(parse("", &[("KHABAR_LOG", filter)]).is_ok(), "{filter}");
        }
    }

    #[test]
    fn proxies_are_addresses_or_networks() {
        let file = "trusted_proxies = [\"10.0.0.0/8\", \"::1\"]";
        let config = parse(file, &[]).unwrap();
        let trusted: Vec<String> = config.trusted_proxies.iter().map(IpNet::to_string).collect();
        assert_eq!(trusted, ["10.0.0.0/8", "::1/128"]);
        let listed = parse("", &[("KHABAR_TRUSTED_PROXIES", "127.0.0.1, fd00::/8")]).unwrap();
        assert_eq!(listed.trusted_proxies.len(), 2);
        for bad in ["proxy.example", "10.0.0.0/33", "10.0.0.1/8"] {
            let message = fault("", &[("KHABAR_TRUSTED_PROXIES", bad)]);
            assert!(message.contains("expected addresses or networks"), "{bad}: {message}");
        }
    }

    #[test]
    fn passwords_are_not_repeated() {
        for password in ["hunter2", &"hunter2".repeat(40)] {
            let message = fault("", &[("KHABAR_ADMIN_PASSWORD", password)]);
            let says =
                "admin_password = … (from KHABAR_ADMIN_PASSWORD): expected 12 to 200 characters";
            assert!(message.contains(says) && !message.contains("hunter2"), "{message}");
        }
    }
}
