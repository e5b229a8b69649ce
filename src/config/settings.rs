//! Settings as they were written: in the file, in the environment, each taken once and parsed.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, bail};
use ipnet::IpNet;
use url::Url;

/// Settings whose name in the environment is not made from their own.
const FIXED_NAMES: [(&str, &str); 1] = [("database_url", "DATABASE_URL")];
/// Read from the environment by others than the settings: tests, and the choice of the file.
const NOT_SETTINGS: [&str; 4] =
    ["KHABAR_CONFIG", "KHABAR_SAMPLES", "KHABAR_TEST_DATABASE", "KHABAR_URL"];

/// The settings as they were written, each taken once.
pub(super) struct Settings {
    values: BTreeMap<String, (String, String)>,
    pub(super) known: Vec<&'static str>,
    faults: Vec<String>,
}

impl Settings {
    pub(super) fn collect(
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
    pub(super) fn take<T>(
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

    pub(super) fn finish(mut self) -> anyhow::Result<()> {
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
    if value.chars().count() < 12 {
        Err("expected at least 12 characters".to_owned())
    } else {
        Ok(Some(value.to_owned()))
    }
}

pub(super) fn log_filter(value: &str) -> Result<String, String> {
    match value.parse::<tracing_subscriber::filter::Targets>() {
        Ok(_) => Ok(value.to_owned()),
        Err(_) => Err("expected a level (error, warn, info, debug, trace) or a filter such as info,khabar=debug".to_owned()),
    }
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
