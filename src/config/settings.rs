//! Settings as they were written: in the file, in the environment, each taken once and parsed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, bail};
use ipnet::IpNet;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::without_secrets;
use crate::domain::user::{MAX_PASSWORD, MIN_PASSWORD};

/// Settings whose name in the environment is not made from their own.
const FIXED_NAMES: [(&str, &str); 1] = [("database_url", "DATABASE_URL")];
/// Where a value of the environment comes from.
const FROM_ENVIRONMENT: &str = "the environment";
/// Read from the environment by others than the settings: tests, and the choice of the file.
const NOT_SETTINGS: [&str; 5] =
    ["KHABAR_CONFIG", "KHABAR_SAMPLES", "KHABAR_SOAK", "KHABAR_TEST_DATABASE", "KHABAR_URL"];

/// Edits between two names that make one likely to be meant by the other.
const NEAR: usize = 2;

/// A configuration file.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextFile<'a> {
    /// As faults name it.
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

/// The settings as they were written, each taken once.
pub(super) struct Settings {
    values: BTreeMap<String, (String, String)>,
    pub(super) known: Vec<&'static str>,
    faults: Vec<String>,
}

impl Settings {
    pub(super) fn collect(
        file: TextFile<'_>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> anyhow::Result<Self> {
        let table: toml::Table =
            file.text.parse().with_context(|| format!("{} is not valid TOML", file.name))?;
        let (mut values, mut faults) = (BTreeMap::new(), Vec::new());
        flatten((file.name, ""), table, &mut values);
        for (name, value) in environment {
            let name = name.to_string_lossy().into_owned();
            let fixed = FIXED_NAMES.iter().any(|(_, fixed)| *fixed == name);
            let ours = name.starts_with("KHABAR_") && !NOT_SETTINGS.contains(&name.as_str());
            if !fixed && !ours {
                continue;
            }
            match value.into_string() {
                Ok(value) => drop(values.insert(name, (value, FROM_ENVIRONMENT.to_owned()))),
                Err(_) => faults.push(format!("{name} is not valid UTF-8")),
            }
        }
        Ok(Self { values, known: Vec::new(), faults })
    }

    /// The setting's value: from the environment, else from the file, else the default.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.known.push(key);
        let in_file = self.values.remove(key);
        let named = environment_name(key);
        let in_environment = self.values.remove(&named).map(|(value, _)| (value, named));
        let Some((value, source)) = in_environment.or(in_file) else {
            return default;
        };
        parse(&value).unwrap_or_else(|allowed| {
            let shown = match key {
                "admin_password" => "…".to_owned(),
                "database_url" => format!("{:?}", without_secrets(&value)),
                _ => format!("{value:?}"),
            };
            self.faults.push(format!("{key} = {shown} (from {source}): {allowed}"));
            default
        })
    }

    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        for (key, (_, source)) in &self.values {
            let known = self.known.iter().map(|known| match source.as_str() {
                FROM_ENVIRONMENT => environment_name(known),
                _ => (*known).to_owned(),
            });
            let nearest = known.filter(|known| is_near(known, key)).min_by_key(|k| edits(k, key));
            let hint = nearest.map(|known| format!("; did you mean {known}?")).unwrap_or_default();
            self.faults.push(format!("{key} (from {source}) is no setting{hint}"));
        }
        if self.faults.is_empty() {
            return Ok(());
        }
        bail!("the configuration cannot be used:\n  {}", self.faults.join("\n  "))
    }
}

fn flatten(
    (file, prefix): (&str, &str),
    table: toml::Table,
    values: &mut BTreeMap<String, (String, String)>,
) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let text = match value {
            toml::Value::Table(inner) => {
                flatten((file, &key), inner, values);
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
        values.insert(key, (text, file.to_owned()));
    }
}

fn environment_name(key: &str) -> String {
    match FIXED_NAMES.iter().find(|(fixed, _)| *fixed == key) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("KHABAR_{}", key.replace('.', "_").to_uppercase()),
    }
}

/// Whether one name is likely to be meant by the other.
fn is_near(known: &str, key: &str) -> bool {
    edits(known, key) <= NEAR || (known.starts_with(key) && known[key.len()..].starts_with('_'))
}

/// Letters to add, drop or change to make one name the other (Levenshtein's distance). For
/// `KHABAR_X` and `X`, the prefix counts as nothing.
fn edits(one: &str, other: &str) -> usize {
    let bare = |name: &str| name.trim_start_matches("KHABAR_").chars().collect::<Vec<_>>();
    let (one, other) = (bare(one), bare(other));
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut above_left = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let change = above_left + usize::from(a != b);
            above_left = row[j + 1];
            row[j + 1] = change.min(above_left + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

pub(super) fn socket_address(value: &str) -> Result<SocketAddr, String> {
    value.parse().map_err(|_| {
        "expected an IP address and a port, such as 127.0.0.1:8080 or [::]:8080".to_owned()
    })
}

pub(super) fn path(value: &str) -> Result<PathBuf, String> {
    if value.trim().is_empty() {
        Err("expected a folder".to_owned())
    } else {
        Ok(PathBuf::from(value))
    }
}

pub(super) fn database_url(value: &str) -> Result<String, String> {
    let known =
        ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| value.starts_with(scheme));
    if known {
        Ok(value.to_owned())
    } else {
        Err("expected sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME".to_owned())
    }
}

pub(super) fn number(value: &str, least: u32, most: u32) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("expected a whole number from {least} to {most}"))
}

pub(super) fn web_url(value: &str) -> Result<Url, String> {
    let url = Url::parse(value)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| "expected an address such as https://news.example/".to_owned())
}

pub(super) fn switch(value: &str) -> Result<bool, String> {
    match value.to_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

pub(super) fn password(value: &str) -> Result<Option<String>, String> {
    if (MIN_PASSWORD..=MAX_PASSWORD).contains(&value.chars().count()) {
        Ok(Some(value.to_owned()))
    } else {
        Err(format!("expected {MIN_PASSWORD} to {MAX_PASSWORD} characters"))
    }
}

pub(super) fn log_filter(value: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    // A word alone would be taken for the name of a part that logs nothing.
    let bare_words_are_levels = value.split(',').map(str::trim).all(|part| {
        part.contains('=') || part.contains('[') || LEVELS.contains(&part.to_lowercase().as_str())
    });
    if bare_words_are_levels && EnvFilter::try_new(value).is_ok() {
        return Ok(value.to_owned());
    }
    Err("expected a level (off, error, warn, info, debug, trace) or a filter such as info,khabar=debug".to_owned())
}

pub(super) fn subject(value: &str) -> Result<String, String> {
    let known = ["mailto:", "https://"]
        .iter()
        .any(|scheme| value.len() > scheme.len() && value.starts_with(scheme));
    if known {
        Ok(value.to_owned())
    } else {
        Err("expected mailto:SOMEBODY@HOST or an https address".to_owned())
    }
}

pub(super) fn hosts(value: &str) -> Result<Vec<String>, String> {
    let hosts = value.split(',').map(str::trim).filter(|host| !host.is_empty());
    hosts
        .map(|host| match url::Host::parse(host) {
            Ok(url::Host::Domain(domain)) => Ok(domain),
            _ => Err("expected host names separated by commas".to_owned()),
        })
        .collect()
}

pub(super) fn networks(value: &str) -> Result<Vec<IpNet>, String> {
    let networks = value.split(',').map(str::trim).filter(|network| !network.is_empty());
    networks
        .map(|text| {
            let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            // Bits behind the prefix are a slip: 10.0.0.1/8 would trust all of 10.0.0.0/8.
            network.ok().filter(|network| network.addr() == network.network()).ok_or_else(|| {
                "expected addresses or networks, such as 127.0.0.1, 10.0.0.0/8".to_owned()
            })
        })
        .collect()
}
