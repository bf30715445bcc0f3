//! The sample plans with every notice that they have: those too that a team asks for by removing a `#`.

use std::{fs, path::Path};

use upgrade_herald::{
    config::Origin,
    lint::{self, Loaded},
};

use crate::support::repo;

/// Asks for every notice of the plan in a folder.
pub fn ask_for_all(dir: &Path) {
    let path = dir.join("config/plan.yaml");
    let plan = fs::read_to_string(&path).unwrap();
    fs::write(&path, plan.replace("# - { id:", "- { id:")).unwrap();
}

/// The sample configuration with every notice.
pub fn every_notice() -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config");
    fs::create_dir_all(config.join("upgrades")).unwrap();
    let sample = repo().join("config");
    for file in [
        "herald.yaml",
        "plan.yaml",
        "people.yaml",
        "help.yaml",
        "checklist.yaml",
        "upgrades/v2.3.1.yaml",
    ] {
        fs::copy(sample.join(file), config.join(file)).unwrap();
    }
    std::os::unix::fs::symlink(sample.join("roster"), config.join("roster")).unwrap();
    ask_for_all(dir.path());
    let origin = Origin::Folder {
        config,
        templates: repo().join("templates"),
    };
    lint::load(&origin).unwrap_or_else(|findings| panic!("{findings:?}"))
}
