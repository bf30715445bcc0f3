//! The commands as an operator gives them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use upgrade_herald::{
    adapters::store::SqlStore,
    config::Origin,
    domain::campaign::Campaign,
    lint,
    ports::{Batch, CampaignStore, RequestStore},
};

use crate::{
    harness::{plans::ask_for_all, world},
    support::repo,
};

pub fn herald(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_herald"))
        .args(args)
        .current_dir(dir)
        .env_remove("RUST_LOG")
        .output()
        .expect("herald starts")
}

pub fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{l}: {e}")))
        .collect()
}

/// A copy of the sample configuration, with one change in one file.
pub fn changed(file: &str, from: &str, to: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for part in ["config", "config/upgrades", "templates"] {
        std::fs::create_dir_all(dir.path().join(part)).unwrap();
    }
    copy(&repo().join("config"), &dir.path().join("config"));
    copy(&repo().join("templates"), &dir.path().join("templates"));
    let path = dir.path().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from:?} is in {file}");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    dir
}

/// The words of the sample with names of one's own in place of invented ones.
fn with_own_names(text: &str) -> String {
    text.replace("example.", "harbour.")
        .replace("1100000000000000", "1200000000000000")
}

/// A file of the sample as somebody has it who wrote their own, so that it may be run.
fn own(text: &str) -> String {
    with_own_names(text) + "# ours\n"
}

/// All files in a folder, however deep.
fn files_below(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// Gives the files of a copy names of one's own.
pub fn make_own(dir: &Path) {
    for file in files_below(&dir.join("config")).unwrap() {
        if let Ok(text) = std::fs::read_to_string(&file) {
            std::fs::write(&file, own(&text)).unwrap();
        }
    }
}

/// As [`changed`], with names of one's own, which `check` and `run` ask for.
fn owned(file: &str, from: &str, to: &str) -> tempfile::TempDir {
    let dir = changed(file, from, to);
    make_own(dir.path());
    dir
}

/// A copy of the sample configuration.
pub fn sample() -> tempfile::TempDir {
    changed("config/herald.yaml", "sqlite://", "sqlite://./")
}

/// The store of the sample configuration in a folder, in which a campaign is accepted.
pub async fn store_with(dir: &Path, campaign: &Campaign) -> SqlStore {
    let url = lint::load(&Origin::Embedded)
        .unwrap()
        .config
        .deployment
        .store
        .url;
    let file = dir.join(url.trim_start_matches("sqlite://"));
    let store = SqlStore::open(&format!("sqlite://{}", file.display()))
        .await
        .unwrap();
    let batch = Batch {
        upgrades: vec![campaign.clone()],
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
    store
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&source, &target);
        } else {
            std::fs::copy(&source, &target).unwrap();
        }
    }
}

#[test]
fn a_rehearsal_of_the_defaults_ends_well_and_says_each_notice_once_a_channel() {
    let dir = tempfile::tempdir().unwrap(); // no config here: the embedded one
    let output = herald(
        dir.path(),
        &["rehearse", "--once", "--json", "--plan", "all"],
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let all = lines(&output);
    let facts: Vec<&str> = all.iter().filter_map(|l| l["kind"].as_str()).collect();
    assert_eq!(
        facts,
        ["authorized", "code_updated", "applied"].repeat(3),
        "one is cancelled"
    );
    let mut posts: Vec<String> = all
        .iter()
        .filter(|l| l["notice"].is_string())
        .map(|l| format!("{} {}", l["key"], l["platform"]))
        .collect();
    let number = posts.len();
    posts.sort();
    posts.dedup();
    assert_eq!(posts.len(), number, "nothing twice");
    let said = |act: &str, notice: &str, operation: &str| {
        let of = |l: &&Value| {
            l["upgrade"].as_str().is_some_and(|u| u.ends_with(act))
                && l["notice"] == notice
                && l["operation"] == operation
        };
        all.iter()
            .filter(of)
            .filter(|l| l["channel"] == "discord-upgrades")
            .count()
    };
    for act in ["routine", "expedited", "emergency"] {
        for notice in ["applied", "verified", "completed", "feedback"] {
            assert_eq!(said(act, notice, "post"), 1, "{notice} of the {act} one");
        }
    }
    assert_eq!(
        (
            said("routine", "rescheduled", "post"),
            said("routine", "announced", "mark"),
            said("routine", "announced", "post")
        ),
        (1, 1, 1),
        "it is marked, and not announced again"
    );
    assert_eq!(
        (
            said("cancelled", "cancelled", "post"),
            said("cancelled", "announced", "mark"),
            said("cancelled", "reminder-1d", "post")
        ),
        (1, 1, 0)
    );
    for post in all.iter().filter(|l| l["notice"].is_string()) {
        assert_eq!(
            post["due"], post["posted"],
            "a stepped clock is never late: {post}"
        );
        // A pin or an entry in the calendar says nothing in the channel.
        let silent = ["pin", "unpin", "publish", "event"]
            .iter()
            .any(|operation| post["operation"] == *operation);
        for field in ["channel", "key", "text"]
            .into_iter()
            .filter(|field| !silent || *field != "text")
        {
            assert!(
                post[field].as_str().is_some_and(|s| !s.is_empty()),
                "{field} of {post}"
            );
        }
    }
}

#[test]
fn a_shell_and_a_manual_know_each_command() {
    let dir = tempfile::tempdir().unwrap();
    let script = herald(dir.path(), &["completions", "bash"]);
    let path = dir.path().join("herald.bash");
    std::fs::write(&path, &script.stdout).unwrap();
    let read = std::process::Command::new("bash")
        .arg("-n")
        .arg(&path)
        .status();
    assert!(read.unwrap().success());
    let manual = herald(dir.path(), &["man"]);
    let said = [&script.stdout[..], &manual.stdout[..]].map(String::from_utf8_lossy);
    for text in said {
        for command in ["rehearse", "doctor", "init", "reschedule"] {
            assert!(text.contains(command), "{command} in {text}");
        }
    }
    let pages = herald(dir.path(), &["man", "--out", "pages"]);
    assert!(pages.status.success());
    assert!(dir.path().join("pages/herald-rehearse.1").is_file());
}

#[test]
fn an_upgrade_of_ones_own_is_rehearsed_from_today_and_what_is_past_is_named() {
    let dir = changed("config/herald.yaml", "sqlite://", "sqlite://./");
    let now = world::now();
    let at = |hours: i64| world::later(now, hours * 3_600);
    let mut upgrade =
        std::fs::read_to_string(dir.path().join("config/upgrades/v2.3.1.yaml")).unwrap();
    for (hour, from_opening) in [(10, -4), (12, -2), (14, 0), (16, 2)] {
        let time = at(5 * 24 + from_opening).to_string();
        upgrade = upgrade.replace(&format!("2027-03-09 {hour}:00"), &time);
    }
    std::fs::write(dir.path().join("own.yaml"), upgrade).unwrap();
    let output = herald(dir.path(), &["rehearse", "--once", "--upgrade", "own.yaml"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let past = said
        .lines()
        .find(|line| line.starts_with("The time of these notices has passed"));
    let past = past.unwrap_or_else(|| panic!("{said}"));
    assert!(
        past.contains("Reminder, one week before") && !past.contains("Announcement"),
        "{past}"
    );
    // The announcement is made up for, and nothing is posted before today.
    assert!(said.contains("· announced · post · "), "{said}");
    let first = said.lines().find(|line| line.starts_with("── ")).unwrap();
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    // Midnight may pass between the two.
    let dates = [now, world::later(now, 3_600)].map(|at| {
        let at = at.to_zoned_datetime(zone.clone());
        at.strftime("%-d %b %Y").to_string()
    });
    assert!(dates.iter().any(|date| first.contains(date)), "{first}");
}

#[test]
fn a_recording_that_never_upgrades_ends_with_1_and_says_what_is_missing() {
    let file = repo().join("tests/recordings/mini-setcode.json");
    let dir = changed("config/herald.yaml", "paseo:", "devnet:");
    let upgrade = "id: other\ntitle: Another one\nurgency: routine\nmethod: sudo\nwindow: { opens: 2031-01-07 14:00, closes: 2031-01-07 16:00 }\n\
                   chains: { devnet: { spec_version: 1000003 } }\naudiences:\n  validators: { action: none, what: a }\n  developers: { action: none, what: b }\n  users: { action: none, what: c }\n";
    std::fs::remove_file(dir.path().join("config/upgrades/v2.3.1.yaml")).unwrap();
    std::fs::write(dir.path().join("other.yaml"), upgrade).unwrap();
    let output = herald(
        dir.path(),
        &[
            "rehearse",
            "--once",
            "--json",
            "--upgrade",
            "other.yaml",
            "--recording",
            file.to_str().unwrap(),
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("Not completed"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let all = lines(&output);
    assert!(all.iter().any(|l| l["kind"] == "version_unexpected"));
    assert!(
        all.iter().any(|l| l["notice"] == "other-version"),
        "people are told"
    );
    assert!(
        !all.iter()
            .any(|l| l["notice"] == "applied" || l["notice"] == "completed"),
        "and nothing is said to be done"
    );
}

#[test]
fn check_preview_plan_answer_on_the_sample() {
    let dir = sample();
    make_own(dir.path());
    let good = herald(dir.path(), &["check"]);
    assert!(
        good.status.success() && String::from_utf8_lossy(&good.stdout).contains("Good"),
        "{good:?}"
    );
    let preview = herald(repo(), &["preview", "announced"]);
    let text = String::from_utf8_lossy(&preview.stdout).into_owned();
    assert!(
        text.contains("<t:") && text.contains("<h2>") && text.contains("v1.21.0"),
        "{text}"
    );
    let plan = herald(repo(), &["plan", "--json"]);
    assert!(plan.status.success() && lines(&plan).len() >= 7);
    let none = herald(repo(), &["preview", "anounced"]);
    assert!(
        !none.status.success()
            && String::from_utf8_lossy(&none.stderr).contains("did you mean `announced`?")
    );
}

/// file, what stands there, what it becomes, the place (`L`: the line where it stands), a word of the message, a word of the hint
const WRONG: [(&str, &str, &str, &str, &str, &str); 40] = [
    (
        "config/plan.yaml",
        "template: preparation/announced",
        "templat: preparation/announced",
        "config/plan.yaml:L:9",
        "templat",
        "template",
    ),
    (
        "config/plan.yaml",
        "zone: Europe/Berlin",
        "zone: Europe/Berlinn",
        "config/plan.yaml:L:1",
        "not a time zone",
        "IANA",
    ),
    (
        "config/plan.yaml",
        "Asia/Singapore: 2",
        "Asia/Singapur: 2",
        "config/plan.yaml:L:51",
        "not a time zone",
        "IANA",
    ),
    (
        "config/plan.yaml",
        "America/New_York: 3",
        "America/New_York: -3",
        "config/plan.yaml:L:30",
        "not a weight",
        "compared",
    ),
    (
        "config/plan.yaml",
        "zones: { Europe/Berlin: 5, America/New_York: 3, Asia/Singapore: 2 }",
        "zones: {}",
        "config/plan.yaml:L:3",
        "no zone is named",
        "leave `people` out",
    ),
    (
        "config/plan.yaml",
        "at: -7d",
        "at: 7 days",
        "config/plan.yaml:L:9",
        "not an offset",
        "-7d",
    ),
    (
        "config/plan.yaml",
        "on: applied",
        "on: aplied",
        "config/plan.yaml:",
        "nothing is called",
        "applied",
    ),
    (
        "config/plan.yaml",
        "max_finality_lag: 20 ",
        "max_finality_lag: many ",
        "config/plan.yaml:L:21",
        "not a whole number",
        "digits alone",
    ),
    (
        "config/plan.yaml",
        "id: verified,",
        "id: applied,",
        "config/plan.yaml:",
        "stands above already",
        "own",
    ),
    (
        "config/plan.yaml",
        "template: scheduling/reminder",
        "template: scheduling/remindr",
        "config/plan.yaml:L:9",
        "no template",
        "scheduling/reminder",
    ),
    (
        "config/plan.yaml",
        "on: blind, to: operators",
        "on: blind",
        "config/plan.yaml:",
        "operators alone",
        "to: operators",
    ),
    (
        "config/plan.yaml",
        "stalled_after: 3m",
        "stalled_after: 0m",
        "config/plan.yaml:L:",
        "can't be nothing",
        "10m",
    ),
    (
        "config/plan.yaml",
        "at: -1d }",
        "at: -1d, live: true }",
        "config/plan.yaml:",
        "kept up to date",
        "remove `live`",
    ),
    (
        "config/plan.yaml",
        "at: -1d }",
        "cron: { expression: \"0 10 * * 1\", from: -6d, until: -2d } }",
        "config/plan.yaml:L:159",
        "weekdays",
        "for example",
    ),
    (
        "config/plan.yaml",
        "at: -1d }",
        "at: -1d, on: applied }",
        "config/plan.yaml:",
        "only one",
        "at: -1d",
    ),
    (
        "config/plan.yaml",
        "at: -1d }",
        "at: -1d, channels: [discord-upgrade] }",
        "config/plan.yaml:",
        "no channel",
        "discord-upgrades",
    ),
    (
        "config/herald.yaml",
        "platform: discord",
        "platform: dicsord",
        "config/herald.yaml:",
        "dicsord",
        "discord",
    ),
    (
        "config/herald.yaml",
        "\"#upgrades:example.org\"",
        "upgrades",
        "config/herald.yaml:L:5",
        "not a place on matrix",
        "alias",
    ),
    (
        "config/herald.yaml",
        "[wss://paseo.example.org, wss://paseo.example.net]",
        "[https://paseo.example.org]",
        "config/herald.yaml:",
        "not a WebSocket address",
        "wss://",
    ),
    (
        "config/herald.yaml",
        "lease: 30s",
        "lease: 5s",
        "config/herald.yaml:",
        "does not hold",
        "defaults",
    ),
    (
        "config/herald.yaml",
        "sqlite://herald.db",
        "mysql://herald",
        "config/herald.yaml:",
        "not a store",
        "sqlite://",
    ),
    (
        "config/herald.yaml",
        "sqlite://herald.db",
        "postgres://herald:swordfish@db.example.org/herald",
        "config/herald.yaml:",
        "a password does not belong into this file",
        "password: { env: NAME }",
    ),
    (
        "config/herald.yaml",
        "sqlite://herald.db",
        "sqlite://herald.db\n  password: { env: X }",
        "config/herald.yaml:",
        "a file has no password",
        "take `password` out",
    ),
    (
        "config/herald.yaml",
        "guild: \"1100000000000000001\"",
        "guild: home",
        "config/herald.yaml:",
        "not a server's id",
        "developer mode",
    ),
    (
        "config/herald.yaml",
        "{ env: HERALD_DISCORD_TOKEN }",
        "{ }",
        "config/herald.yaml:",
        "one source",
        "never the secret",
    ),
    (
        "config/herald.yaml",
        "{ env: HERALD_DISCORD_TOKEN }",
        "{ env: MTA4.an-invented.token }",
        "config/herald.yaml:",
        "no environment variable can have",
        "such as HERALD_TOKEN",
    ),
    (
        "config/herald.yaml",
        "place: \"1100000000000000003\"",
        "place: \"1100000000000000002\"",
        "config/herald.yaml:",
        "`discord-operations` and `discord-upgrades` are one place",
        "name another place",
    ),
    (
        "config/herald.yaml",
        "delivery:  ",
        "web: { listen: \"127.0.0.1:0\", address: https://example.org/status/ }\ndelivery:  ",
        "config/herald.yaml:",
        "not the address of a site of its own",
        "without a path",
    ),
    (
        "config/plan.yaml",
        "{ emoji: \"❓\", means: a question }",
        "{ emoji: \"👍\", means: a question }",
        "config/plan.yaml:",
        "means “all fine” above",
        "another emoji",
    ),
    (
        "config/herald.yaml",
        "wss://paseo.example.net]",
        "wss://Paseo.example.org:443/]",
        "config/herald.yaml:",
        "one node counts once",
        "remove this one",
    ),
    (
        "config/upgrades/v2.3.1.yaml",
        "summary: A maintenance",
        "cancelled: no\nsummary: A maintenance",
        "config/upgrades/v2.3.1.yaml:",
        "`cancelled: no` says it with `no`",
        "remove `cancelled`",
    ),
    (
        "config/upgrades/v2.3.1.yaml",
        "summary: A maintenance",
        "failed: false\nsummary: A maintenance",
        "config/upgrades/v2.3.1.yaml:",
        "`failed: false`",
        "remove `failed`",
    ),
    (
        "config/upgrades/v2.3.1.yaml",
        "summary: A maintenance",
        "no_go: off\nsummary: A maintenance",
        "config/upgrades/v2.3.1.yaml:",
        "`no_go: off`",
        "remove `no_go`",
    ),
    (
        "config/upgrades/v2.3.1.yaml",
        "summary: A maintenance",
        "rollback: 'No'\nsummary: A maintenance",
        "config/upgrades/v2.3.1.yaml:",
        "`rollback: No`",
        "remove `rollback`",
    ),
    (
        "config/upgrades/v2.3.1.yaml",
        "opens: 2027-03-09 14:00",
        "opens: next Tuesday",
        "config/upgrades/v2.3.1.yaml:",
        "not a time",
        "2026-12-01 14:00",
    ),
    (
        "config/upgrades/v2.3.1.yaml",
        "closes: 2027-03-09 16:00",
        "closes: 2027-03-09 13:00",
        "config/upgrades/v2.3.1.yaml:",
        "before it opens",
        "swap",
    ),
    (
        "config/upgrades/v2.3.1.yaml",
        "paseo: { spec",
        "paseoo: { spec",
        "config/upgrades/v2.3.1.yaml:",
        "no chain `paseoo`",
        "paseo",
    ),
    (
        "config/upgrades/v2.3.1.yaml",
        "method: sudo ",
        "method: sudo\nmethod: sudo ",
        "config/upgrades/v2.3.1.yaml:",
        "second time",
        "keep one",
    ),
    (
        "templates/scheduling/reminder.md.hbs",
        "{{upgrade.title}}",
        "{{upgrade.titel}}",
        "templates/scheduling/reminder.md.hbs:1:",
        "no variable `upgrade.titel`",
        "title",
    ),
    (
        "templates/scheduling/reminder.md.hbs",
        "{{> late}}",
        "{{#if lte}}x{{/if}}",
        "templates/scheduling/reminder.md.hbs:3:",
        "no variable `lte`",
        "late",
    ),
];

#[test]
fn what_is_wrong_is_refused_with_its_place_and_a_hint() {
    for (file, from, to, place, message, hint) in WRONG {
        let dir = owned(file, from, to);
        let sample = std::fs::read_to_string(repo().join(file)).unwrap();
        let line = sample
            .lines()
            .position(|l| l.contains(from.lines().next().unwrap_or_default()))
            .map_or(0, |i| i + 1);
        let place = &place.replace(":L:", &format!(":{line}:"));
        for command in ["check", "rehearse"] {
            let output = herald(dir.path(), &[command]);
            let said = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            assert_eq!(
                output.status.code(),
                Some(1),
                "{command} with {to:?}: {said}"
            );
            let line = said
                .lines()
                .find(|l| l.contains("error:"))
                .unwrap_or_default();
            assert!(
                line.starts_with(place) && line.contains(&with_own_names(message)),
                "{command} with {to:?}: {said}"
            );
            assert!(
                said.lines()
                    .any(|l| l.trim_start().starts_with("hint:")
                        && l.contains(&with_own_names(hint))),
                "{command} with {to:?}: {said}"
            );
        }
    }
}

#[test]
fn a_partial_that_includes_itself_is_refused() {
    let dir = owned(
        "templates/partials/links.md.hbs",
        "{{#each links}}",
        "{{> window}}{{#each links}}",
    );
    std::fs::write(
        dir.path().join("templates/partials/window.md.hbs"),
        "{{> links}}",
    )
    .unwrap();
    let output = herald(dir.path(), &["check"]);
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("include each other"),
        "{output:?}"
    );
}

#[test]
fn missing_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let said =
        |dir: &Path, args: &[&str]| String::from_utf8_lossy(&herald(dir, args).stderr).into_owned();
    assert!(
        said(dir.path(), &["run"]).contains("config: error: there is no such folder"),
        "{}",
        said(dir.path(), &["run"])
    );
    let dir = owned("config/plan.yaml", "zone", "zone");
    std::fs::remove_file(dir.path().join("config/plan.yaml")).unwrap();
    assert!(said(dir.path(), &["run"]).contains("config/plan.yaml: error: can't be read"));
    for file in ["people", "help", "checklist"] {
        let dir = owned(
            "config/plan.yaml",
            "id: reminder-1d,",
            "id: reminder-1d, needs: [\"1.1\"],",
        );
        std::fs::remove_file(dir.path().join(format!("config/{file}.yaml"))).unwrap();
        let output = herald(dir.path(), &["check"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let missing =
            format!("config/{file}.yaml: error: there is no such file, and notices of the plan ");
        assert!(
            said.starts_with(&missing) && said.contains("\n1 error, "),
            "{said}"
        );
    }
    let dir = owned("config/plan.yaml", "zone", "zone");
    std::fs::remove_file(dir.path().join("config/upgrades/v2.3.1.yaml")).unwrap();
    assert!(said(dir.path(), &["preview", "go"]).contains("no upgrade is planned"));
    let none: PathBuf = dir.path().join("none.json");
    assert!(
        said(repo(), &["rehearse", "--recording", none.to_str().unwrap()])
            .contains("none.json can't be read")
    );
}

#[test]
fn an_upgrade_nobody_has_recorded_is_rehearsed_on_all_its_chains() {
    let dir = changed(
        "config/upgrades/v2.3.1.yaml",
        "paseo: { spec_version: 2003001 }",
        "paseo: { spec_version: 2003001 }\n  people: { spec_version: 2004003 }",
    );
    let deployment = dir.path().join("config/herald.yaml");
    let text = std::fs::read_to_string(&deployment).unwrap();
    std::fs::write(
        &deployment,
        text.replace(
            "chains:\n",
            "chains:\n  people: { endpoints: [wss://people.example.org] }\n",
        ),
    )
    .unwrap();
    let output = herald(
        dir.path(),
        &[
            "rehearse",
            "--once",
            "--json",
            "--upgrade",
            "config/upgrades/v2.3.1.yaml",
        ],
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let all = lines(&output);
    let applied: Vec<String> = all
        .iter()
        .filter(|l| l["kind"] == "applied")
        .map(|l| format!("{} {}", l["chain"], l["spec_version"]))
        .collect();
    assert_eq!(applied, ["\"paseo\" 2003001", "\"people\" 2004003"]);
    let told = all
        .iter()
        .filter(|l| l["notice"] == "applied" && l["operation"] == "post")
        .count();
    assert_eq!(told, 2, "said once a channel, when both have applied");
}

#[test]
fn a_secret_written_where_its_source_belongs_is_not_shown() {
    // By itself, as a variable's name that can or can't be one, and as a file's.
    for written in [
        "MTA4-AN-INVENTED-TOKEN",
        "{ env: MTA4.an-invented.token }",
        "{ env: syt_MTA4_an_invented_token }",
        "{ file: MTA4.an-invented.token }",
        "{ file: MTA4/an-invented/token }",
    ] {
        let dir = owned(
            "config/herald.yaml",
            "{ env: HERALD_DISCORD_TOKEN }",
            written,
        );
        for command in ["check", "run", "doctor"] {
            let output = herald(dir.path(), &[command]);
            let said = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            let refused =
                command == "check" && !written.contains("env: syt") && !written.contains("file");
            assert!(
                (output.status.code() == Some(1) || !refused) && !said.contains("MTA4"),
                "{command} with {written}: {said}"
            );
        }
    }
}

#[test]
fn a_secret_in_any_other_value_is_refused_and_not_shown() {
    const SECRET: &str = "MTA4MTA4MTA4.GabcDE.an-invented-token";
    for (from, written) in [
        ("token: {", "token:SECRET {"),
        ("token: {", "SECRET: {"),
        ("guild: \"1100000000000000001\"", "guild: SECRET"),
        ("{ env: HERALD_DISCORD_TOKEN }", "!SECRET x"),
        ("homeserver: https://", "homeserver: https://ada:SECRET@"),
        ("homeserver: https://", "homeserver: SECRET@"),
        (
            "wss://paseo.example.org",
            "https://paseo.example.org/SECRET",
        ),
        (
            "wss://paseo.example.org",
            "wss://a.example.org/SECRET, wss://a.example.org/SECRET",
        ),
        (
            "place: \"",
            "place: \"https://discord.com/api/webhooks/1/SECRET",
        ),
    ] {
        let dir = owned(
            "config/herald.yaml",
            from,
            &written.replace("SECRET", SECRET),
        );
        for command in ["check", "doctor"] {
            let output = herald(dir.path(), &[command]);
            let said = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(
                output.status.code() == Some(1) && !said.contains("invented"),
                "{command} with {written}: {said}"
            );
        }
    }
}

#[test]
fn a_preview_has_the_words_of_the_upgrade_s_own_file() {
    for (key, notice) in [
        ("cancelled", "cancelled"),
        ("failed", "failed"),
        ("no_go", "no-go"),
    ] {
        let words = format!("{key}: Invented words of ours.\nid:");
        let dir = owned("config/upgrades/v2.3.1.yaml", "id:", &words);
        let output = herald(dir.path(), &["preview", notice]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("Invented words of ours."), "{output:?}");
    }
}

/// What an upgrade costs a channel if nobody asks for more. The board is one of the posts, and notifies nobody.
#[test]
fn a_routine_upgrade_is_eight_posts_and_four_of_them_notify() {
    let dir = owned("config/plan.yaml", "zone", "zone");
    let said = String::from_utf8(herald(dir.path(), &["plan"]).stdout).unwrap();
    let channel = "discord-upgrades: 8 posts if all goes well, 4 notify people";
    assert!(said.contains(channel), "{said}");
    ask_for_all(dir.path());
    let checked = herald(dir.path(), &["check", "--strict"]);
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "with every notice: {said}");
}

#[test]
fn a_template_that_needs_a_fact_is_refused_for_a_notice_by_the_clock() {
    let dir = owned(
        "templates/scheduling/reminder.md.hbs",
        "{{> late}}",
        "{{time fact.time}}",
    );
    let output = herald(dir.path(), &["check"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.code() == Some(1)
            && said.contains("reminder.md.hbs")
            && said.contains("no fact"),
        "{said}"
    );
}

#[test]
fn without_files_nothing_is_called_good() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["check"][..],
        &["plan"],
        &["plan", "window", "--url", "ws://127.0.0.1:9"],
        &["preview"],
        &["new", "proposal", "v2.3.1"],
        &["doctor"],
        &["status"],
    ] {
        let (code, said) = ended(dir.path(), args);
        assert!(
            code == 1 && said.contains("config: error: there is no such folder"),
            "{args:?}: {code} {said}"
        );
    }
    let dir = sample();
    make_own(dir.path());
    let (_, said) = ended(dir.path(), &["check"]);
    assert!(
        said.contains(" in config and templates, 0 warnings"),
        "{said}"
    );
}

/// Runs a command and returns its exit code with all that it says.
pub fn ended(dir: &Path, args: &[&str]) -> (i32, String) {
    let output = herald(dir, args);
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
    (output.status.code().unwrap(), said.concat())
}

#[tokio::test]
async fn a_command_that_waits_is_shown_can_be_taken_back_and_counts_for_the_next() {
    let dir = sample();
    let upgrade = lint::load(&Origin::Embedded).unwrap().config.upgrades[0]
        .upgrade
        .clone();
    let opens = upgrade.window.opens.to_string();
    let store = store_with(
        dir.path(),
        &Campaign::new(upgrade, jiff::Timestamp::UNIX_EPOCH),
    )
    .await;
    let herald = |args: &[&str]| ended(dir.path(), args);
    let moved = |to: &str| herald(&["reschedule", "v2.3.1", "--confirm", "--opens", to]);

    let (code, said) = herald(&["reschedule", "v2.3.1", "--opens", "2027-03-10 14:00"]);
    let (told, end) = (
        "The window would open Wed 10 Mar 2027, 14:00 CET (13:00 UTC). This is posted at once in ",
        "give the command again with confirm=yes",
    );
    assert!(
        code == 1 && said.contains(told) && said.contains(end),
        "{said}"
    );
    for ends in ["cancel", "fail"] {
        let (code, said) = herald(&[ends, "v2.3.1", "--reason", "A fault was found."]);
        assert!(
            code == 1 && said.contains("This is posted at once in ") && said.contains(end),
            "{said}"
        );
    }
    let (code, said) = moved("2027-03-10 14:00");
    assert!(
        code == 0 && said.contains("Written down as change 1."),
        "{said}"
    );
    // Back to the time that the file has: that is a change, once the first one is followed.
    let (code, said) = moved(&opens);
    assert!(
        code == 0
            && said.contains("Written down as change 2.")
            && said.contains("Followed before it: change 1 of v2.3.1, reschedule 2027-03-10T13"),
        "{said}"
    );
    let (code, said) = moved(&opens);
    assert!(code == 1 && said.contains("that is so already"), "{said}");
    let (_, said) = herald(&["status"]);
    for number in 1..=2 {
        let line = format!("`herald discard {number}` takes it back");
        assert!(said.contains(&line), "{line}: {said}");
    }
    let (_, said) = herald(&["status", "--json"]);
    assert!(said.contains(r#""change":2"#), "{said}");

    let (code, said) = herald(&["discard", "1", "--as", "Tessa Test"]);
    assert!(
        code == 0 && said.contains("Change 1 is taken back"),
        "{said}"
    );
    let (code, said) = herald(&["discard", "1"]);
    assert!(code == 1 && said.contains("no change 1 waits"), "{said}");
    let (code, said) = herald(&[
        "cancel",
        "v2.3.1",
        "--confirm",
        "--reason",
        "A fault was found.",
    ]);
    assert!(code == 0 && said.contains("change 2 of v2.3.1"), "{said}");
    let (code, said) = herald(&["go", "v2.3.1"]);
    assert!(code == 1 && said.contains("given up already"), "{said}");
    assert_eq!(store.requests().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_command_about_what_is_not_there_is_refused_at_once() {
    let dir = sample();
    let upgrade = lint::load(&Origin::Embedded).unwrap().config.upgrades[0]
        .upgrade
        .clone();
    let store = store_with(
        dir.path(),
        &Campaign::new(upgrade, jiff::Timestamp::UNIX_EPOCH),
    )
    .await;
    for (command, why) in [
        (
            "say nowhere Hello",
            "there is no channel nowhere: there are: ",
        ),
        (
            "say discord-upgrade Hello",
            "did you mean discord-upgrades?",
        ),
        ("tick 9.9", "the checklist has no item 9.9"),
        ("untick 9.9", "the checklist has no item 9.9"),
        ("announce nope", "The plan has no notice nope: there are: "),
        ("announce anounced", "did you mean announced?"),
        (
            "correct nope Words",
            "The plan has no notice nope: there are: ",
        ),
    ] {
        let (code, said) = ended(dir.path(), &["order", "v2.3.1", command]);
        assert!(code == 1 && said.contains(why), "{command}: {said}");
    }
    let (code, said) = ended(dir.path(), &["go", "v2.3.1", "--as", " "]);
    assert!(code == 2 && said.contains("at least one letter"), "{said}");
    assert!(store.requests().await.unwrap().is_empty());
}
