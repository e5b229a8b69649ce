//! The VAPID key file: made once, readable by its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};

use crate::data_folder;
use crate::domain::clock::Clock;
use crate::push::vapid::VapidKeys;

/// The file's name in the data folder.
pub const FILE: &str = "vapid.json";

/// The keys in the data folder; made if there are none yet.
///
/// Two processes that start at once end with the same keys: the file appears whole or not at all,
/// and who comes second reads what the first has written.
pub fn load_or_generate(data_dir: &Path, clock: &dyn Clock) -> anyhow::Result<VapidKeys> {
    let path = data_dir.join(FILE);
    if let Some(keys) = read(&path)? {
        return Ok(keys);
    }
    data_folder::make(data_dir)?;
    let folder =
        File::open(data_dir).with_context(|| format!("cannot open {}", data_dir.display()))?;
    // Held until the end. Not every file system locks folders: there, two first starts at the same
    // moment may see different keys, and the database refuses the second of them.
    if let Err(error) = folder.lock() {
        tracing::debug!(%error, "the data folder cannot be locked");
    }
    if let Some(keys) = read(&path)? {
        return Ok(keys);
    }
    let keys = VapidKeys::generate(clock);
    let draft = data_dir.join(format!("{FILE}.{}", clock.new_id().simple()));
    write_secret(&draft, &keys.to_json()?)
        .with_context(|| format!("cannot write {}", draft.display()))?;
    fs::rename(&draft, &path).with_context(|| format!("cannot write {}", path.display()))?;
    // Without this the file's name could be lost with the power, and every subscription with it.
    folder.sync_all().with_context(|| format!("cannot save {}", data_dir.display()))?;
    Ok(keys)
}

fn read(path: &Path) -> anyhow::Result<Option<VapidKeys>> {
    match fs::read_to_string(path) {
        Ok(json) => parse(&json, path).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn parse(json: &str, path: &Path) -> anyhow::Result<VapidKeys> {
    match VapidKeys::from_json(json) {
        Ok(keys) => Ok(keys),
        Err(error) => bail!(
            "{}: {error:#}. Restore the file from a backup: with other keys every reader has to subscribe again",
            path.display()
        ),
    }
}

fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::SystemClock;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_made_once_and_kept_secret() {
        let folder = tempfile::tempdir().unwrap();
        let first = load_or_generate(folder.path(), &SystemClock).unwrap();
        let again = load_or_generate(folder.path(), &SystemClock).unwrap();
        assert_eq!(first.public_key(), again.public_key());
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left behind");
    }

    #[test]
    fn processes_that_start_at_once_share_one_pair() {
        let folder = tempfile::tempdir().unwrap();
        let keys: Vec<String> = std::thread::scope(|scope| {
            let start =
                || load_or_generate(folder.path(), &SystemClock).unwrap().public_key().to_owned();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_damaged_file_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "{").unwrap();
        let error = load_or_generate(folder.path(), &SystemClock).unwrap_err().to_string();
        assert!(error.contains("vapid.json") && error.contains("backup"), "{error}");
    }
}
