//! The data folder: readers' endpoints and the newsroom's keys lie in it, so it is its owner's alone.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;

/// What marks a folder as Khabar's own.
const OURS: [&str; 3] = ["master.key", "vapid.json", "khabar.sqlite"];
/// Set on folders that everybody shares, such as `/tmp`.
const STICKY: u32 = 0o1000;

/// Makes the folder with its parents, readable by its owner alone, or makes it so.
///
/// A folder that holds other things is left as it is: closing it could lock out whom they belong to.
pub fn make(folder: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot create the data folder {}", folder.display());
    DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(cannot)?;
    let mode = fs::metadata(folder).with_context(cannot)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let empty = fs::read_dir(folder).with_context(cannot)?.next().is_none();
    let ours = empty || OURS.iter().any(|name| folder.join(name).exists());
    let closed = mode & STICKY == 0
        && ours
        && fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).is_ok();
    if !closed {
        tracing::warn!(
            "others on this machine may look into the data folder {}; close it with chmod 700",
            folder.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(folder: &Path) -> u32 {
        fs::metadata(folder).unwrap().permissions().mode() & 0o777
    }

    fn open_to_all(folder: &Path) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn it_is_made_for_its_owner_alone_and_tightened_when_it_is_ours() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("a/b");
        make(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        open_to_all(&folder);
        make(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700, "an empty one");
        fs::write(folder.join(OURS[0]), "").unwrap();
        open_to_all(&folder);
        make(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700, "one with keys");
    }

    #[test]
    fn a_folder_of_others_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("something"), "").unwrap();
        open_to_all(scratch.path());
        make(scratch.path()).unwrap();
        assert_eq!(mode(scratch.path()), 0o755);
    }
}
