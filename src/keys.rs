//! The master key file: made once, readable by its owner alone. It opens what is stored of readers
//! and of the newsroom's VAPID keys.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::data_folder;
use crate::domain::clock::Clock;
use crate::domain::sealing::{KEY, MasterKey, SealingKey};
use crate::domain::vapid_keys::VapidKeys;

/// The file's name in the data folder.
pub const FILE: &str = "master.key";
/// What to do without the one that opens what is stored.
pub const WHERE_IT_IS: &str = "copy it from the data folder of another machine of this newsroom, or from a backup. \
                               If it is lost for good: khabar keys adopt";
/// Where an older version kept its VAPID keys.
pub const OLD_VAPID_FILE: &str = "vapid.json";

/// The master key in the data folder; `None` when there is none.
pub fn load(data_dir: &Path) -> anyhow::Result<Option<MasterKey>> {
    read(&data_dir.join(FILE))
}

/// The master key in the data folder; made if there is none yet.
///
/// Two processes that start at once end with the same key: the file appears whole or not at all,
/// and who comes second reads what the first has written.
pub fn load_or_generate(data_dir: &Path, clock: &dyn Clock) -> anyhow::Result<MasterKey> {
    let path = data_dir.join(FILE);
    if let Some(key) = read(&path)? {
        return Ok(key);
    }
    data_folder::make(data_dir)?;
    let folder =
        File::open(data_dir).with_context(|| format!("cannot open {}", data_dir.display()))?;
    // Held until the end. Not every file system locks folders: there, two first starts at the same
    // moment may see different keys, and the database refuses the second of them.
    if let Err(error) = folder.lock() {
        tracing::debug!(%error, "the data folder cannot be locked");
    }
    if let Some(key) = read(&path)? {
        return Ok(key);
    }
    write(&path, &line(&clock.new_secret()), clock)?;
    read(&path)?.with_context(|| format!("{} is gone again", path.display()))
}

/// Puts a new key in front of those in the file: it seals from now on, and each still opens. Answers
/// all of them.
pub fn begin_rotation(data_dir: &Path, clock: &dyn Clock) -> anyhow::Result<MasterKey> {
    let path = data_dir.join(FILE);
    let older = text(&path)?.with_context(|| format!("there is no {}", path.display()))?;
    write(&path, &(line(&clock.new_secret()) + &older), clock)?;
    read(&path)?.with_context(|| format!("{} is gone again", path.display()))
}

/// Leaves the first key in the file alone.
pub fn end_rotation(data_dir: &Path, clock: &dyn Clock) -> anyhow::Result<()> {
    let path = data_dir.join(FILE);
    let all = text(&path)?.with_context(|| format!("there is no {}", path.display()))?;
    write(&path, all.split_inclusive('\n').next().unwrap_or_default(), clock)
}

/// The VAPID keys that an older version kept in the data folder.
pub fn old_vapid_keys(data_dir: &Path) -> anyhow::Result<Option<VapidKeys>> {
    let path = data_dir.join(OLD_VAPID_FILE);
    let Some(json) = text(&path)? else { return Ok(None) };
    let keys = VapidKeys::from_json(&json);
    keys.map(Some).with_context(|| format!("{}: restore it from a backup", path.display()))
}

fn read(path: &Path) -> anyhow::Result<Option<MasterKey>> {
    let Some(text) = text(path)? else { return Ok(None) };
    let key = |line: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(line).ok()?;
        SealingKey::new(&<[u8; KEY]>::try_from(bytes).ok()?)
    };
    let keys: Option<Vec<SealingKey>> = text.split_whitespace().map(key).collect();
    let mut keys = keys.unwrap_or_default().into_iter();
    let Some(first) = keys.next() else {
        bail!(
            "{} is damaged. Restore it from a backup: with another key every reader has to subscribe again",
            path.display()
        );
    };
    if fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0) {
        tracing::warn!(
            "others on this machine may read {}; close it with chmod 600",
            path.display()
        );
    }
    Ok(Some(MasterKey::new(first, keys.collect())))
}

fn line(key: &[u8; KEY]) -> String {
    format!("{}\n", URL_SAFE_NO_PAD.encode(key))
}

fn text(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(anyhow!(error).context(format!("cannot read {}", path.display()))),
    }
}

/// Writes a file that its owner alone can read; it appears whole or not at all.
fn write(path: &Path, text: &str, clock: &dyn Clock) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let draft = path.with_added_extension(clock.new_id().simple().to_string());
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .with_context(cannot)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(cannot)?;
    fs::rename(&draft, path).with_context(cannot)?;
    // Without this the file's name could be lost with the power, and every subscription with it.
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::SystemClock;

    /// What only the same key opens.
    fn seal(key: &MasterKey) -> Vec<u8> {
        key.seal([0; 12], b"test", &[1; KEY]).unwrap()
    }

    #[test]
    fn the_key_is_made_once_and_kept_secret() {
        let folder = tempfile::tempdir().unwrap();
        let first = load_or_generate(folder.path(), &SystemClock).unwrap();
        let again = load_or_generate(folder.path(), &SystemClock).unwrap();
        assert_eq!(seal(&first), seal(&again));
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left behind");
    }

    #[test]
    fn processes_that_start_at_once_share_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let keys: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let start = || seal(&load_or_generate(folder.path(), &SystemClock).unwrap());
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn while_a_key_takes_anothers_place_both_open() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let old = load_or_generate(folder, &SystemClock).unwrap();
        let both = begin_rotation(folder, &SystemClock).unwrap();
        assert_eq!(both.open(b"test", &seal(&old)), Some([1; KEY]));
        assert_eq!(old.open(b"test", &seal(&both)), None, "the new one seals");
        // Cut short and begun again.
        let three = begin_rotation(folder, &SystemClock).unwrap();
        assert!([&old, &both].iter().all(|key| three.open(b"test", &seal(key)).is_some()));
        end_rotation(folder, &SystemClock).unwrap();
        let new = load_or_generate(folder, &SystemClock).unwrap();
        assert!([&old, &both].iter().all(|key| new.open(b"test", &seal(key)).is_none()));
        assert_eq!(seal(&new), seal(&three));
        let mode = fs::metadata(folder.join(FILE)).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, fs::read_dir(folder).unwrap().count()), (0o600, 1));
    }

    #[test]
    fn a_damaged_file_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        for damaged in ["", "{", "AAAA"] {
            fs::write(folder.path().join(FILE), damaged).unwrap();
            let error = load_or_generate(folder.path(), &SystemClock).unwrap_err().to_string();
            assert!(error.contains("master.key") && error.contains("backup"), "{error}");
        }
    }

    #[test]
    fn keys_of_an_older_version_are_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(old_vapid_keys(folder.path()).unwrap().is_none());
        let keys = VapidKeys::generate(&SystemClock);
        let file = folder.path().join(OLD_VAPID_FILE);
        fs::write(&file, keys.to_json().unwrap()).unwrap();
        assert_eq!(old_vapid_keys(folder.path()).unwrap().unwrap().public_key(), keys.public_key());
        fs::write(&file, "{").unwrap();
        let error = old_vapid_keys(folder.path()).unwrap_err().to_string();
        assert!(error.contains("backup"), "{error}");
    }
}
