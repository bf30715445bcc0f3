//! The lock of a store in a file: one process alone uses it. The lock is the operating system's, so it is gone with the
//! process, however that ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

use super::connect::file_of;
use crate::ports::StoreError;

/// As many links in a row are followed as Linux follows.
const MAX_LINKS: usize = 40;

/// The lock, held for as long as this lives.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code)] File);

impl Lock {
    /// Takes the lock of the file behind a `sqlite://…` address.
    pub fn take(url: &str) -> Result<Self, StoreError> {
        match Self::try_take(url)? {
            Some(lock) => Ok(lock),
            None => Err(StoreError::Refused(format!(
                "another herald runs on {}; stop it first, or give each a store of its own",
                file_of(url).display()
            ))),
        }
    }

    /// Says whether another process has it.
    pub fn is_held(url: &str) -> Result<bool, StoreError> {
        Ok(Self::try_take(url)?.is_none())
    }

    fn try_take(url: &str) -> Result<Option<Self>, StoreError> {
        let beside = beside(file_of(url));
        let unusable = |e| {
            StoreError::Refused(format!(
                "{} can't be used: {e}; check that its folder exists and may be written to",
                beside.display()
            ))
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&beside)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }
}

/// The lock's file. It stands beside the database itself, whatever links lead there.
fn beside(database: &Path) -> PathBuf {
    let mut database = database.to_owned();
    // A link may lead to a file that is still to be made.
    for _ in 0..MAX_LINKS {
        let Ok(target) = database.read_link() else {
            break;
        };
        database = database
            .parent()
            .map_or(target.clone(), |folder| folder.join(&target));
    }
    let real = database.canonicalize().or_else(|_| {
        // It is still to be made.
        let folder = database
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize()?;
        Ok::<_, std::io::Error>(folder.join(database.file_name().unwrap_or_default()))
    });
    let mut name = real.unwrap_or(database).into_os_string();
    name.push(".lock");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_herald_on_a_file_is_refused_until_the_first_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("herald.db").display());
        let first = Lock::take(&url).unwrap();
        assert!(
            Lock::take(&url)
                .unwrap_err()
                .to_string()
                .contains("another herald runs on")
        );
        drop(first);
        Lock::take(&url).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn a_link_leads_to_the_lock_of_the_file_itself() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (file, link) = (dir.path().join("herald.db"), other.path().join("linked.db"));
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let url = |path: &Path| format!("sqlite://{}", path.display());
        let _held = Lock::take(&url(&file)).unwrap();
        assert!(Lock::is_held(&url(&link)).unwrap());
        assert!(!Lock::is_held(&url(&other.path().join("new.db"))).unwrap());
        let (target, early) = (dir.path().join("later.db"), other.path().join("early.db"));
        std::os::unix::fs::symlink(&target, &early).unwrap();
        let _held = Lock::take(&url(&early)).unwrap();
        std::fs::write(&target, "").unwrap();
        assert!(Lock::is_held(&url(&early)).unwrap());
    }
}
