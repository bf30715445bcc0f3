//! Commands beside a herald that runs, while a file is broken, a disk is full, or the store is another's.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use jiff::Timestamp;
use upgrade_herald::{
    adapters::store::Lock,
    config::Origin,
    domain::campaign::Campaign,
    lint,
    ports::{CampaignStore, RecordStore, RequestStore},
};

use crate::process::cli::{ended, herald, make_own, sample, store_with};

fn accepted() -> Campaign {
    let loaded = lint::load(&Origin::Embedded).unwrap();
    Campaign::new(
        loaded.config.upgrades[0].upgrade.clone(),
        Timestamp::UNIX_EPOCH,
    )
}

#[tokio::test]
async fn a_broken_file_keeps_nobody_from_looking_or_from_stopping_an_upgrade() {
    // The file, and what stands in it.
    let broken = [
        ("config/upgrades/other.yaml", "id: [\n"),
        ("config/plan.yaml", "plans: [\n"),
        ("config/people.yaml", "- what\n"),
        ("config/help.yaml", "topics: 7\n"),
        ("templates/preparation/announced.md.hbs", "{{#if}}"),
    ];
    for (file, text) in broken {
        let dir = sample();
        let store = store_with(dir.path(), &accepted()).await;
        store
            .set_trouble("files", Some("an invented trouble"), Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
        fs::write(dir.path().join(file), text).unwrap();
        let (code, said) = ended(dir.path(), &["status"]);
        let is_shown = |part: &str| said.contains(part);
        assert!(
            code == 0 && is_shown("(v2.3.1): scheduled") && is_shown("files: an invented trouble"),
            "{file}: {said}"
        );
        assert!(
            is_shown(file) && is_shown("passed over here"),
            "{file}: {said}"
        );
        let (code, said) = ended(
            dir.path(),
            &["no-go", "v2.3.1", "--reason", "A node is late."],
        );
        assert!(
            code == 0 && said.contains("Written down as change 1."),
            "{file}: {said}"
        );
        assert_eq!(store.requests().await.unwrap().len(), 1, "{file}");
        // What is to be posted is still looked at whole.
        let (code, said) = ended(dir.path(), &["check"]);
        assert!(code == 1 && said.contains(file), "{file}: {said}");
    }
    // So it is where no channel has a group or a language of the sample.
    let dir = sample();
    store_with(dir.path(), &accepted()).await;
    let file = dir.path().join("config/herald.yaml");
    let own = fs::read_to_string(&file)
        .unwrap()
        .replace("validators:", "operators:");
    fs::write(&file, own).unwrap();
    fs::write(dir.path().join("config/plan.yaml"), "plans: [\n").unwrap();
    let (code, said) = ended(
        dir.path(),
        &[
            "cancel",
            "v2.3.1",
            "--reason",
            "A fault was found.",
            "--confirm",
        ],
    );
    assert!(
        code == 0 && said.contains("Written down as change 1."),
        "{said}"
    );
    // Nobody stands in for people or providers that can't be read.
    let dir = sample();
    store_with(dir.path(), &accepted()).await;
    fs::write(dir.path().join("config/people.yaml"), "- what\n").unwrap();
    let (code, said) = ended(dir.path(), &["approve", "abcd", "--as", "Mara Linde"]);
    assert!(code == 1 && said.contains("Mara Linde"), "{said}");
    let dir = sample();
    store_with(dir.path(), &accepted()).await;
    fs::rename(dir.path().join("templates"), dir.path().join("elsewhere")).unwrap();
    let (code, said) = ended(dir.path(), &["status"]);
    assert!(code == 0 && said.contains("(v2.3.1): scheduled"), "{said}");
    fs::rename(dir.path().join("elsewhere"), dir.path().join("templates")).unwrap();
    fs::write(dir.path().join("config/herald.yaml"), "store: [\n").unwrap();
    let (code, said) = ended(dir.path(), &["status"]);
    assert!(
        code == 1 && said.contains("herald.yaml"),
        "without a store there is nothing to look at: {said}"
    );
}

#[tokio::test]
async fn a_result_that_a_full_disk_does_not_take_is_an_error() {
    let dir = sample();
    store_with(dir.path(), &accepted()).await;
    let commands = [
        "status",
        "report",
        "roster --csv",
        "plan --ics",
        "plan",
        "preview announced",
        "schema",
        "man",
        "completions bash",
    ];
    for command in commands {
        let args: Vec<&str> = command.split(' ').collect();
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let ended = Command::new(env!("CARGO_BIN_EXE_herald"))
            .args(args)
            .current_dir(dir.path())
            .stdout(full)
            .output()
            .unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        let is_told = said.contains("could not be written whole: No space left on device");
        assert!(
            ended.status.code() == Some(1) && is_told,
            "{command}: {said}"
        );
    }
}

#[tokio::test]
async fn a_store_that_is_none_of_ours_is_told_and_left_alone() {
    let dir = sample();
    make_own(dir.path());
    let file = dir.path().join("herald.db");
    let doctor = || {
        let output = herald(dir.path(), &["doctor"]);
        let said = String::from_utf8(output.stdout).unwrap();
        said.lines()
            .find(|line| line.contains("store"))
            .unwrap_or(&said)
            .to_owned()
    };
    assert!(
        doctor().contains("is made at the first start"),
        "{}",
        doctor()
    );
    type Make = fn(&Path);
    let strange: [(Make, &str); 3] = [
        (
            |file| fs::write(file, "x".repeat(5_000)).unwrap(),
            "is not a database",
        ),
        (|file| fs::create_dir(file).unwrap(), "it is a folder"),
        (|file| symlink("herald.db", file).unwrap(), "can't be"),
    ];
    for (make, why) in strange {
        make(&file);
        let said = doctor();
        assert!(said.contains(why) && !said.contains('✓'), "{why}: {said}");
        if file.is_dir() {
            fs::remove_dir(&file).unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
    }
}

#[tokio::test]
async fn a_second_herald_finds_the_lock_through_a_link() {
    let (dir, other) = (sample(), sample());
    let store = store_with(dir.path(), &accepted()).await;
    assert_eq!(store.upgrades().await.unwrap().len(), 1);
    let url = |dir: &Path| format!("sqlite://{}", dir.join("herald.db").display());
    symlink(dir.path().join("herald.db"), other.path().join("herald.db")).unwrap();
    let _held = Lock::take(&url(dir.path())).unwrap();
    let refused = Lock::take(&url(other.path())).unwrap_err().to_string();
    assert!(refused.contains("another herald runs on"), "{refused}");
}
