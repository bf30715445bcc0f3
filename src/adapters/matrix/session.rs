//! The session kept between runs: a file only its owner may read, replaced in one step.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The account and the token that proves it. There is no `Debug`, which would show the token.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub user: String,
    pub device: String,
    pub access_token: String,
}

pub(super) fn path(store: &Path) -> PathBuf {
    store.join("session.json")
}

/// Makes the store's directory, closed to others.
pub(super) fn make_dir(store: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(store)
}

/// `None` when there is none. What is wrong with a broken one isn't quoted: it may hold a token.
pub(super) fn read(store: &Path) -> io::Result<Option<Kept>> {
    let text = match fs::read(path(store)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let kept = serde_json::from_slice(&text).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "it isn't a session herald has written",
        )
    })?;
    Ok(Some(kept))
}

/// Forgets the session.
pub(super) fn remove(store: &Path) -> io::Result<()> {
    match fs::remove_file(path(store)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes beside and renames, so that a crash leaves the old session or the new one.
pub(super) fn write(store: &Path, kept: &Kept) -> io::Result<()> {
    let beside = store.join("session.json.new");
    // created anew: a file left there by others would keep its own mode
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(&serde_json::to_vec(kept)?)?;
    file.sync_all()?;
    fs::rename(&beside, path(store))?;
    File::open(store)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_session_is_kept_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("a/b");
        make_dir(&store).unwrap();
        assert!(read(&store).unwrap().is_none());
        for token in ["one", "two"] {
            write(
                &store,
                &Kept {
                    user: "@h:x".into(),
                    device: "D".into(),
                    access_token: token.into(),
                },
            )
            .unwrap();
            assert_eq!(read(&store).unwrap().unwrap().access_token, token);
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path(&store)), mode(&store)), (0o600, 0o700));
    }

    #[test]
    fn a_broken_one_is_not_quoted() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            path(dir.path()),
            r#"{"user":"@h:x","device":7,"access_token":"syt_secret"}"#,
        )
        .unwrap();
        let error = read(dir.path()).err().unwrap();
        assert!(!error.to_string().contains("syt_"));
    }
}
