//! The VAPID key file: made once, readable by its owner alone.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};

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
    match fs::read_to_string(&path) {
        Ok(json) => return parse(&json, &path),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    fs::create_dir_all(data_dir).with_context(|| format!("cannot create {}", data_dir.display()))?;
    let keys = VapidKeys::generate(clock);
    let draft = data_dir.join(format!("{FILE}.{}", clock.new_id().simple()));
    write_secret(&draft, &keys.to_json()?).with_context(|| format!("cannot write {}", draft.display()))?;
    // A link, not a rename: it fails when another process has put its keys there meanwhile.
    let linked = fs::hard_link(&draft, &path);
    fs::remove_file(&draft).with_context(|| format!("cannot remove {}", draft.display()))?;
    match linked {
        Ok(()) => Ok(keys),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let json = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            parse(&json, &path)
        }
        Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
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
            let start = || load_or_generate(folder.path(), &SystemClock).unwrap().public_key().to_owned();
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
