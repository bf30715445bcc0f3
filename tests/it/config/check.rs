//! `herald check` as the reviewer nobody has; and what it takes to begin an upgrade.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;
use tempfile::TempDir;
use upgrade_herald::{
    config::{self, Finding, Severity},
    lint,
};

use crate::{
    config::malformed::{origin, sample, write},
    process::cli::{changed, herald, make_own},
};

const PLAN: &str = "config/plan.yaml";
const UPGRADE: &str = "config/upgrades/upgrade.yaml";
const HERALD: &str = "config/herald.yaml";
const PEOPLE: &str = "config/people.yaml";
const POLL: &str = "config/upgrades/poll.yaml";

/// The sample of the malformed files, with an upgrade that is not given up, and with some changes.
fn with(changes: &[(&str, &str, &str)]) -> TempDir {
    let dir = sample();
    let gone = [
        (UPGRADE, "cancelled: The fix came otherwise.\n", ""),
        (POLL, "failed: A migration stopped.\n", ""),
    ];
    for (file, from, to) in gone.iter().chain(changes) {
        let text = fs::read_to_string(dir.path().join(file)).unwrap();
        assert!(text.contains(from), "{from:?} is in {file}");
        write(dir.path(), file, &text.replacen(from, to, 1));
    }
    dir
}

/// What the review says, as an operator reads it, files named from the folder.
fn reviewed(dir: &TempDir) -> Vec<String> {
    let findings: Vec<Finding> = match lint::load(&origin(dir.path())) {
        Ok(mut loaded) => {
            loaded.warnings.extend(lint::rules(&loaded.config));
            loaded.warnings
        }
        Err(findings) => findings,
    };
    let folder = format!("{}/", dir.path().display());
    findings
        .iter()
        .map(|f| f.to_string().replace(&folder, ""))
        .collect()
}

type Case = (
    &'static [(&'static str, &'static str, &'static str)],
    &'static str,
    &'static str,
);

/// Changes, the line they are found at (by a word that stands in it), and what is said.
const CASES: [Case; 80] = [
    (
        &[(PLAN, "least_notice: 7d", "least_notice: 14d")],
        "least_notice: 14d",
        "error: people are to hear of an upgrade 14 days before its window; the first they hear is `first`, 7 days before it",
    ),
    (
        &[(
            UPGRADE,
            "opens: 2031-03-11 14:00, closes: 2031-03-11 16:00",
            "opens: 2031-03-15 14:00, closes: 2031-03-15 16:00",
        )],
        "opens: 2031",
        "error: the window opens on a Saturday (Europe/Berlin), which the routine plan does not allow",
    ),
    (
        &[(
            UPGRADE,
            "opens: 2031-03-11 14:00, closes: 2031-03-11 16:00",
            "opens: 2031-03-30 02:30, closes: 2031-03-30 06:00",
        )],
        "opens: 2031",
        "warning: in Europe/Berlin no clock shows `2031-03-30 02:30`, since they change then; it is read as 2031-03-30T03:00:00+02:00",
    ),
    (
        &[(
            UPGRADE,
            "opens: 2031-03-11 14:00, closes: 2031-03-11 16:00",
            "opens: 2031-10-26 02:30, closes: 2031-10-26 06:00",
        )],
        "opens: 2031",
        "warning: in Europe/Berlin clocks show twice `2031-10-26 02:30`, since they change then; it is read as 2031-10-26T02:30:00+02:00",
    ),
    (
        &[(
            UPGRADE,
            "opens: 2031-03-11 14:00",
            "opens: 2031-03-11 15:30",
        )],
        "opens: 2031",
        "error: the window opens in the night of people in Singapore (22:30), which the routine plan",
    ),
    (
        &[
            (
                PLAN,
                "window: { weekends: true, nights: true }",
                "window: { weekends: false, nights: true }",
            ),
            (
                "config/upgrades/poll.yaml",
                "opens: 2031-05-07 14:00, closes: 2031-05-07",
                "opens: 2031-05-10 14:00, closes: 2031-05-10",
            ),
        ],
        "opens: 2031-05-10",
        "error: the window opens on a Saturday",
    ),
    (
        &[
            (PLAN, "posts_per_day: 8", "posts_per_day: 1"),
            (PLAN, "after: 23h", "after: 1h"),
        ],
        "posts_per_day: 1",
        "error: 2 posts on 2031-03-11 for v2.3.1, in news, room; the routine plan allows 1 a channel and day: done, later",
    ),
    (
        &[
            (PLAN, "posts_per_day: 8", "posts_per_day: 1"),
            (PLAN, "\"0 10 * *", "\"0 10,11 * *"),
        ],
        "posts_per_day: 1",
        "error: 2 posts on 2031-03-10 for v2.3.1, in news, room; the routine plan allows 1 a channel and day: countdown\n",
    ),
    (
        &[
            (PLAN, "mentions_per_upgrade: 4", "mentions_per_upgrade: 1"),
            (
                PLAN,
                "channels: [news, room]",
                "channels: [news, room]\n        mention: [validators]",
            ),
        ],
        "mentions_per_upgrade: 1",
        "error: 2 posts notify people in news for v2.3.1; the routine plan allows 1",
    ),
    (
        &[(
            PLAN,
            "title: How long it still is",
            "title: How long it is until the window of this upgrade opens, and where",
        )],
        "title: How long",
        "error: this title has 64 characters, and 60 fit",
    ),
    (
        &[(
            PLAN,
            "cron: { expression: \"0 10 * * Mon-Fri\", zone: Asia/Singapore, from: -4d, until: -1d }",
            "at: -168h",
        )],
        "at: -168h",
        "warning: `first` and `countdown` come at the same time in news, for v2.3.1",
    ),
    (
        &[(PLAN, "\"0 10 * * Mon-Fri\"", "\"0 10 31 2 *\"")],
        "0 10 31 2",
        "warning: `countdown` never comes for v2.3.1",
    ),
    (
        &[(PLAN, "at: -24h }", "at: -99999999d }")],
        "at: -99999999d",
        "warning: `soon` would come outside of the calendar for v2.4.0",
    ),
    (
        &[
            ("config/herald.yaml", "for: operators", "for: public"),
            (
                PLAN,
                "approval: two,\n          ask_before: 24h, useful_for: 2h,",
                "",
            ),
        ],
        "to: operators",
        "warning: `unseen` goes nowhere: no channel is for operators",
    ),
    (
        &[(PLAN, "overdue_after: 30m", "overdue_after: 3h")],
        "overdue_after: 3h",
        "warning: the window of v2.3.1 is over after 2 hours, so with overdue_after 3 hours operators are never asked",
    ),
    (
        &[(PLAN, "delayed_after: 1h", "delayed_after: 10m")],
        "delayed_after: 10m",
        "error: people would hear of a delay after 10 minutes, and operators are asked only after 30 minutes",
    ),
    (
        &[
            (PLAN, "on: verified", "on: feedback_closed"),
            (PLAN, "feedback: true", "feedback: false"),
        ],
        "on: feedback_closed",
        "warning: `later` waits for feedback, and no notice asks for it",
    ),
    (
        &[(PLAN, "on: blind", "on: poll_closed")],
        "on: poll_closed",
        "warning: `unseen` waits for votes, and no notice asks for them",
    ),
    (
        &[(PLAN, "silent: [reviewed", "silent: [applied")],
        "silent: [applied",
        "error: `applied` is silent, and the notice `done` tells it",
    ),
    (
        &[(PLAN, "silent: [reviewed", "silent: [scheduled")],
        "silent: [scheduled",
        "error: `scheduled` is silent, and shown on the board",
    ),
    (
        &[(PLAN, "board: true", "board: false")],
        "board: [scheduled",
        "error: there is no status board in the plan for routine, expedited, emergency",
    ),
    (
        &[(
            "config/people.yaml",
            "[communication_team, core_developer]",
            "[core_developer]",
        )],
        "approval: two",
        "error: `first` needs the approval of 2, and 1 may give it",
    ),
    (
        &[
            (PLAN, "on: applied,", "on: applied, audiences: [users],"),
            (PLAN, "after: 23h", "after: 23h, audiences: [users]"),
            (PLAN, "at: -1h", "at: -1h, audiences: [users]"),
        ],
        "notices:\n  - { id: done",
        "warning: nobody speaks to these audiences in the plan for emergency: validators, developers",
    ),
    (
        &[(UPGRADE, "title: An invented", "title: TODO an invented")],
        "title: TODO",
        "error: `TODO` is still to be filled in",
    ),
    (
        &[(UPGRADE, "closes: 2031-03-11", "closes: 2032-03-11")],
        "window: { opens",
        "warning: the window is open for 366 days",
    ),
    (
        &[(UPGRADE, "by: 2031-03-11 10:00", "by: 2020-03-11 10:00")],
        "  validators: {",
        "before the window\n    hint: write when it has to be done",
    ),
    (
        &[(UPGRADE, "by: 2031-03-11 10:00", "by: 2031-03-12 10:00")],
        "  validators: {",
        "after the window\n    hint: write when it has to be done",
    ),
    (
        &[(UPGRADE, "by: 2031-03-11 10:00", "by: 2031-03-11 15:00")],
        "  validators: {",
        "warning: `by` is 1 hour after the window opens\n    hint: write when it has to be done",
    ),
    (
        &[(UPGRADE, "invented runtime 2.3.1", "invented runtime #2")],
        "title: An",
        "warning: `#2` and what follows is a comment, which nobody reads",
    ),
    (
        &[
            (
                POLL,
                "relay: { spec_version: 2004000 }",
                "relay: { spec_version: 2003001 }",
            ),
            (
                POLL,
                "opens: 2031-05-07 14:00, closes: 2031-05-07 16:00",
                "opens: 2031-03-11 15:00, closes: 2031-03-11 18:00",
            ),
            (POLL, "decide_by: 2031-05-01", "decide_by: 2031-03-01"),
            (UPGRADE, "id: v2.3.1", "id: v2.3.1"),
        ],
        "spec_version: 2003001, code",
        "error: config/upgrades/poll.yaml brings `relay` to the same version in the same hours",
    ),
    (
        &[(PLAN, "[24h, 48h]", "[24h, 48h, 24h]")],
        "remind: {",
        "warning: 24h stands here twice",
    ),
    (
        &[(PLAN, "[24h, 48h]", "[24h, 80h]")],
        "remind: {",
        "warning: nobody is reminded after 80h: they have 72h to answer",
    ),
    (
        &[
            (PLAN, "posts_per_day: 8", "posts_per_day: 1"),
            (PLAN, "\"0 10 * * Mon-Fri\"", "\"* * * * *\""),
        ],
        "posts_per_day: 1",
        "error: 600 posts on 2031-03-07 (and too many on 1 more) for v2.3.1, in news, room; the routine plan allows 1 a channel and day: countdown\n",
    ),
    (
        &[(PLAN, "\"0 10 * * Mon-Fri\"", "\"0 10 1-14 * Mon-Fri\"")],
        "cron: {",
        "comes only on days that are both the day of the month and the weekday",
    ),
    (
        &[(
            HERALD,
            "\"1100000000000000003\"",
            "\"01100000000000000003\"",
        )],
        "  desk:",
        "error: this is not a place on discord",
    ),
    (
        &[(
            HERALD,
            "\"#upgrades:example.org\"",
            "\"#upgrades:example.org \"",
        )],
        "  room:",
        "error: this is not a place on matrix",
    ),
    (
        &[(
            HERALD,
            "[wss://people.example.org]",
            "[wss://RELAY.example.net/]",
        )],
        "  relay: {",
        "error: this is a node of `people` as well, and a node serves one chain",
    ),
    (
        &[(HERALD, "  people: { endpoints", "  Relay: { endpoints")],
        "  relay: {",
        "error: `Relay` and `relay` are one name to people",
    ),
    (
        &[(HERALD, "  desk: {", "  ROOM: {")],
        "  room:",
        "error: `ROOM` and `room` are one name to people",
    ),
    (
        &[(HERALD, "  desk: {", "  -desk: {")],
        "  -desk:",
        "error: `-desk` looks like an option on the command line",
    ),
    (
        &[(
            HERALD,
            "[\"1100000000000000007\"]",
            "[\"1100000000000000001\"]",
        )],
        "  news:",
        "error: this is the id of the server, which would call everybody in it",
    ),
    (
        &[(
            PEOPLE,
            "\"1100000000000000012\"",
            "\"01100000000000000012\"",
        )],
        "name: Ben",
        "error: this is not an account on Discord",
    ),
    (
        &[(PEOPLE, "name: Ben Invented", "name: anna  invented")],
        "name: anna  ",
        "error: `anna  invented` stands above already",
    ),
    (
        &[(PEOPLE, "\"@ben:example.org\"", "\"@anna:EXAMPLE.org\"")],
        "name: Ben",
        "error: `@anna:example.org` belongs to somebody above already",
    ),
    (
        &[(PLAN, "{ id: soon", "{ id: Done")],
        "  - { id: done",
        "error: the expedited plan has a notice `Done` of its own",
    ),
    (
        &[(PLAN, "- id: countdown", "- id: FIRST")],
        "- id: FIRST",
        "error: a notice `first` stands above already",
    ),
    (
        &[(PLAN, "Asia/Singapore: 2", "europe/berlin: 2")],
        "  zones:",
        "error: `Europe/Berlin` is this zone already",
    ),
    (
        &[(PLAN, "night: 22:00-06:00", "night: 06:00-06:00")],
        "  night:",
        "error: `06:00-06:00` is a night of no length",
    ),
    (
        &[(PLAN, "emoji: \"❓\"", "emoji: \"❓❓\"")],
        "means: a question",
        "error: `❓❓` is not one emoji",
    ),
    (
        &[(PLAN, "emoji: \"❓\"", "emoji: \"👍️\"")],
        "means: a question",
        "means “all fine” above",
    ),
    (
        &[(PLAN, "\"0 10 * * Mon-Fri\"", "\"0 25 * * Mon-Fri\"")],
        "cron: {",
        "(minute hour day month weekday): `25` is no hour, which is 0 to 23",
    ),
    (
        &[
            (POLL, "id: v2.4.0", "id: V2.3.1"),
            (UPGRADE, "id: v2.3.1", "id: v2.3.1"),
        ],
        "id: v2.3.1",
        "error: config/upgrades/poll.yaml has the id `V2.3.1` already",
    ),
    (
        &[(
            POLL,
            "opens: 2031-05-07 14:00, closes: 2031-05-07 16:00",
            "opens: 2031-05-06T12:00:00Z, closes: 2031-05-06T14:00:00Z",
        )],
        "opens: 2031-05-06T",
        "error: this is window 1 of the poll once more",
    ),
    (
        &[(UPGRADE, "id: v2.3.1", "id: -x")],
        "id: -x",
        "error: `-x` can't be an id",
    ),
    (
        &[(UPGRADE, "id: v2.3.1", "id: Unplanned-relay-12")],
        "id: Unplanned",
        "can't be an id\n    hint: take another: herald gives such ids",
    ),
    (
        &[(
            UPGRADE,
            "opens: 2031-03-11 14:00, closes: 2031-03-11 16:00",
            "opens: 2031-03-11 16:00, closes: 2031-03-11 16:00",
        )],
        "opens: 2031",
        "error: the window closes as it opens",
    ),
    (
        &[(
            UPGRADE,
            "opens: 2031-03-11 14:00, closes: 2031-03-11 16:00",
            "opens: 2031-03-11T14:00:00Z, closes: 2031-03-11 14:30",
        )],
        "opens: 2031",
        "error: the window closes before it opens: at 2031-03-11 14:30:00 CET, and it opens at 2031-03-11 15:00:00 CET",
    ),
    (
        &[(
            UPGRADE,
            "opens: 2031-03-11 14:00, closes: 2031-03-11 16:00",
            "opens: 2031-02-29 14:00, closes: 2031-03-11 16:00",
        )],
        "opens: 2031",
        "error: `2031-02-29 14:00` is a day that no calendar has\n    hint: 2031-02 has 28 days",
    ),
    (
        &[(
            UPGRADE,
            "opens: 2031-03-11 14:00, closes: 2031-03-11 16:00",
            "opens: 2031-03-11 14:00, closes: 9999-12-31 14:00",
        )],
        "opens: 2031",
        "error: `9999-12-31 14:00` is outside of the calendar",
    ),
    (
        &[(
            UPGRADE,
            "opens: 2031-03-11 14:00, closes: 2031-03-11 16:00",
            "opens: 2031-03-11 14:00:60, closes: 2031-03-11 16:00",
        )],
        "opens: 2031",
        "error: `2031-03-11 14:00:60` has a second that no clock of ours shows",
    ),
    (
        &[(
            UPGRADE,
            "opens: 2031-03-11 14:00, closes: 2031-03-11 16:00",
            "opens: 2031-03-11, closes: 2031-03-12",
        )],
        "opens: 2031",
        "error: `2031-03-11` has no hour\n    hint: write the hour as well, such as 2031-03-11 14:00",
    ),
    (
        &[(UPGRADE, "by: 2031-03-11 10:00", "by: 2031-03-11")],
        "  validators: {",
        "error: `2031-03-11` has no hour",
    ),
    (
        &[(POLL, "decide_by: 2031-05-01 12:00", "decide_by: 2031-05-01")],
        "decide_by:",
        "error: `2031-05-01` has no hour",
    ),
    (
        &[(
            UPGRADE,
            "by: 2031-03-11 10:00",
            "by: \"2031-03-11T14:00:00+01:00[America/New_York]\"",
        )],
        "  validators: {",
        "has an offset that its zone doesn't have then",
    ),
    (
        &[(
            UPGRADE,
            "go: true",
            "cancelled: It is off.\nfailed: It broke.",
        )],
        "failed:",
        "error: it can't be cancelled and have failed",
    ),
    (
        &[(
            UPGRADE,
            "spec_version: 2003001, code",
            "spec_version: 0, code",
        )],
        "spec_version: 0",
        "error: 0 is no version that a chain can change to",
    ),
    (
        &[(
            UPGRADE,
            "spec_version: 2003001, code",
            "spec_version: 4294967296, code",
        )],
        "spec_version: 4294967296",
        "not a whole number from 0 to 4294967295\n    hint: write 4294967295 at most",
    ),
    (
        &[(
            UPGRADE,
            "title: An invented runtime 2.3.1",
            "title: |\n  An invented runtime\n  2.3.1",
        )],
        "title: |",
        "error: this has more than one line",
    ),
    (
        &[(UPGRADE, "urgency: routine", " urgency: routine")],
        "urgency: routine",
        "error: a space that is none stands in the key `urgency`",
    ),
    (
        &[(UPGRADE, "rollback: Run the node of before.", "rollback:")],
        "rollback:",
        "error: nothing is written here",
    ),
    (
        &[(
            HERALD,
            "postgres://herald@db.example.org/herald",
            "postgres://herald@db.example.org/herald?password=invented",
        )],
        "store:",
        "error: a password does not belong into this file",
    ),
    (
        &[(
            HERALD,
            "store: { url: \"postgres://herald@db.example.org/herald\", password: { env: HERALD_STORE_PASSWORD } }",
            "store: { url: \"sqlite://herald.db?mode=memory\" }",
        )],
        "store: { url",
        "error: this store keeps nothing: after a restart everything would be posted anew",
    ),
    (
        &[(
            HERALD,
            "wss://relay.example.net]",
            "\"wss://RELAY.example.org.:0443//?#x\"]",
        )],
        "wss://RELAY",
        "error: this is the node of endpoint 1, and one node counts once",
    ),
    (
        &[(
            HERALD,
            "wss://relay.example.net]",
            "\"wss://relay.example.net:99999\"]",
        )],
        "99999",
        "error: this is not a WebSocket address",
    ),
    (
        &[(
            HERALD,
            "place: \"#upgrades:example.org\"",
            "place: \"#upgrades\"",
        )],
        "#upgrades",
        "error: this is not a place on matrix",
    ),
    (
        &[(HERALD, "  news: {", "  All: {")],
        "  All: {",
        "error: `All` can't be a name: commands take it for all, or for none",
    ),
    (
        &[(
            UPGRADE,
            "title: An invented runtime 2.3.1",
            "title: An invented \u{202e}runtime 2.3.1",
        )],
        "title: An",
        "error: a character that nobody sees, or that turns the order of others, stands here: U+202E",
    ),
    (
        &[(
            UPGRADE,
            "rollback: Run the node of before.",
            "rollback: \"n/a\"",
        )],
        "rollback:",
        "error: `rollback: n/a` says it with `n/a` as its words",
    ),
    (
        &[(
            UPGRADE,
            "opens: 2031-03-11 14:00,",
            "opens: \"2031-03-11 14:00+25:00\",",
        )],
        "opens: \"2031",
        "has an offset that no place has: clocks differ from UTC by -12:00 to +14:00",
    ),
    (
        &[(
            UPGRADE,
            "spec_version: 2003001, code",
            "spec_version: 2003001.0, code",
        )],
        "spec_version: 2003001.0",
        "hint: write it with digits alone, without quotes: 2003001",
    ),
];

#[test]
fn what_a_plan_does_not_keep_is_found_where_it_stands() {
    let good = reviewed(&with(&[]));
    for (changes, line, said) in CASES {
        let dir = with(changes);
        let file = changes.iter().map(|(file, ..)| *file).rfind(|file| {
            fs::read_to_string(dir.path().join(file))
                .unwrap()
                .contains(line)
        });
        let file = file.unwrap_or(PLAN);
        let text = fs::read_to_string(dir.path().join(file)).unwrap();
        let at = text
            .find(line)
            .unwrap_or_else(|| panic!("{line} is in {file}"));
        let number = text[..at].lines().count().max(1) + usize::from(text[..at].ends_with('\n'));
        let findings = reviewed(&dir);
        let found = findings
            .iter()
            .find(|f| f.contains(said))
            .unwrap_or_else(|| panic!("{said}: {findings:#?}"));
        assert!(
            found.starts_with(&format!("{file}:{number}:")) && found.contains("\n    hint: "),
            "line {number}: {found}"
        );
        assert!(
            !good.iter().any(|f| f.contains(said)),
            "that is not said without the change: {said}"
        );
    }
}

#[test]
fn what_the_plan_never_says_is_listed() {
    let said = reviewed(&with(&[]));
    insta::assert_snapshot!(said.join("\n"), @r##"
    config/plan.yaml:61:1: warning: nothing is said when this happens in the plan for routine, expedited, emergency: planned, under_review, window_proposed, window_set, window_chosen, changed, go, no_go, delayed, cancelled, failed, rolled_back, poll_closed, held, expired, missed, refused, unacknowledged, unready, roll_called, problem_raised, review_drafted, unplanned, referendum, dispatch_failed, authorized, go_ahead, estimate_moved, first_applied, transaction_version, migration_started, changes_pending, completed, feedback_closed, rescheduled, authorization_rejected, sudo_failed, code_refused, pvf_rejected, discarded, version_unexpected, migration_failed, migration_stuck, unapplied, unverified, overdue, stalled, lagging, recovered, parachains_stopped, parachains_recovered, reset, unexamined, sighted
        hint: add a notice with `on:`, or list it under `board` or `silent`
    config/plan.yaml:61:1: warning: there is no notice of these phases in the plan for emergency: Preparation, Scheduling
        hint: add one, or give another its phase
    config/plan.yaml:61:1: warning: there is no notice of these phases in the plan for expedited: Scheduling
        hint: add one, or give another its phase
    "##);
}

#[test]
fn a_template_that_nothing_uses_is_named() {
    let dir = with(&[]);
    write(
        dir.path(),
        "templates/scheduling/forgotten.md.hbs",
        "Nobody reads this.",
    );
    write(
        dir.path(),
        "templates/partials/shared.md.hbs",
        "Everybody reads this.",
    );
    write(
        dir.path(),
        "templates/validation/done.md.hbs",
        "{{> shared}}",
    );
    let said = reviewed(&dir)
        .into_iter()
        .filter(|f| f.contains("nothing uses"))
        .collect::<Vec<_>>();
    assert_eq!(
        said,
        [
            "templates/scheduling/forgotten.md.hbs:1:1: warning: nothing uses `scheduling/forgotten`\n    hint: name it in a notice, or remove the file"
        ]
    );
}

#[test]
fn a_window_that_is_nearer_than_the_plan_gives_notice_is_a_warning() {
    let dir = with(&[]);
    let config = lint::load(&origin(dir.path()))
        .map_err(|f| format!("{f:?}"))
        .unwrap()
        .config;
    let said = |now: &str| {
        lint::near(&config, now.parse().unwrap())
            .iter()
            .map(|f| f.message.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(said("2031-03-01T12:00:00Z"), [] as [&str; 0]);
    assert_eq!(
        said("2031-03-10T13:00:00Z"),
        [
            "if this upgrade is new, the time of these notices is over: first, countdown (left out)",
            "the window opens in 1 day; the routine plan gives people 7 days"
        ]
    );
    assert_eq!(
        said("2031-03-11T10:00:00Z"),
        [
            "if this upgrade is new, the time of these notices is over: first, countdown (left out)",
            "`by` is over since 1 hour",
            "the window opens in 3 hours; the routine plan gives people 7 days"
        ]
    );
    assert_eq!(
        said("2031-03-12T12:00:00Z"),
        [] as [&str; 0],
        "what is past is no news"
    );
    assert!(
        lint::near(&config, "2031-03-10T13:00:00Z".parse().unwrap())
            .iter()
            .all(|f| f.severity == Severity::Warning)
    );
}

#[test]
fn what_herald_puts_around_a_post_has_to_fit_as_well() {
    let long = |template: &str, length: usize, changes: &[(&str, &str, &str)]| {
        let dir = with(changes);
        write(
            dir.path(),
            &format!("templates/{template}.md.hbs"),
            &"word ".repeat(length / 5),
        );
        reviewed(&dir)
            .into_iter()
            .filter(|f| f.contains("with every value at its longest"))
            .collect::<Vec<_>>()
    };
    // 1,989 characters, and the mark with its empty line.
    let marked = long("preparation/first", 1990, &[]);
    insta::assert_snapshot!(marked.join("\n"), @r"
    templates/preparation/first.md.hbs:1:1: error: with every value at its longest, and with the request to approve it, this makes 2031 characters; a post on Discord holds 2000
        hint: shorten the template; notices are never split
    templates/preparation/first.md.hbs:1:1: error: with every value at its longest, and with the line on top of a post that no longer holds, this makes 2004 characters; a post on Discord holds 2000
        hint: shorten the template; notices are never split
    ");
    assert_eq!(
        long("validation/done", 1990, &[]),
        [] as [&str; 0],
        "nothing is put around this one"
    );
    let mentions = long(
        "validation/done",
        1990,
        &[(PLAN, "after: 23h", "after: 23h, mention: [validators]")],
    );
    insta::assert_snapshot!(mentions.join("\n"), @r"
    templates/validation/done.md.hbs:1:1: error: with every value at its longest, and with those it mentions, this makes 2015 characters; a post on Discord holds 2000
        hint: shorten the template; notices are never split
    ");
    let asked = long(
        "validation/done",
        1990,
        &[(PLAN, "after: 23h", "after: 23h, approval: one")],
    );
    insta::assert_snapshot!(asked.join("\n"), @r"
    templates/validation/done.md.hbs:1:1: error: with every value at its longest, and with the request to approve it, this makes 2031 characters; a post on Discord holds 2000
        hint: shorten the template; notices are never split
    ");
    let room = [
        (
            PLAN,
            "template: preparation/first\n        cron",
            "template: scheduling/long\n        cron",
        ),
        (PLAN, "channels: [news, room]", "channels: [room]"),
    ];
    let matrix = long("scheduling/long", 31_000, &room);
    insta::assert_snapshot!(matrix.join("\n"), @r"
    templates/scheduling/long.md.hbs:1:1: error: with every value at its longest, and with the line on top of a post that no longer holds, this makes 62040 bytes; a post on Matrix holds 60000
        hint: shorten the template; notices are never split
    ");
}

#[test]
fn strict_takes_a_warning_for_an_error() {
    let dir = with(&[]);
    make_own(dir.path());
    let lax = herald(dir.path(), &["check"]);
    assert_eq!(lax.status.code(), Some(0), "{lax:?}");
    let strict = herald(dir.path(), &["check", "--strict"]);
    let said = String::from_utf8_lossy(&strict.stdout).into_owned();
    assert!(
        strict.status.code() == Some(1)
            && said.contains(": warning: ")
            && said.contains("0 errors, "),
        "{said}"
    );
}

/// Values that a schema and a reviewer are content with, for each TODO by its key.
fn filled(text: &str) -> String {
    let opens = text
        .lines()
        .find_map(|l| l.trim().strip_prefix("opens: "))
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let by_key = |line: &str| match line.trim().split(':').next().unwrap() {
        "by" => format!("{opens} 10:00"),
        "node_version" => "v1.22.0".into(),
        key if line.contains("spec_version") => {
            assert!(!key.is_empty());
            "9000000".into()
        }
        _ => "words".into(),
    };
    let line = |line: &str| {
        if line.trim_start().starts_with('#') {
            line.to_owned()
        } else {
            line.replace("TODO", &by_key(line))
        }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_new_upgrade_is_begun_filled_in_and_good() {
    let dir = changed("config/plan.yaml", "zone", "zone");
    make_own(dir.path());
    let new = |args: &[&str]| herald(dir.path(), &[&["new", "upgrade"], args].concat());
    let first = new(&["v9.9.9", "--urgency", "expedited"]);
    let told = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(
        first.status.success()
            && told.contains("config/upgrades/v9.9.9.yaml")
            && told.contains("herald check"),
        "{first:?}"
    );
    let file = dir.path().join("config/upgrades/v9.9.9.yaml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("# yaml-language-server: $schema=../schemas/upgrade.schema.json\n")
            && text.contains("urgency: expedited"),
        "{text}"
    );

    // Each TODO is named, one by one, and nothing else.
    let check = herald(dir.path(), &["check", "--json"]);
    let findings: Vec<Value> = String::from_utf8_lossy(&check.stdout)
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let todo: Vec<u64> = (1..)
        .zip(text.lines())
        .filter(|(_, l)| !l.trim_start().starts_with('#') && l.contains("TODO"))
        .map(|(n, _)| n)
        .collect();
    let named: Vec<u64> = findings
        .iter()
        .filter(|f| f["severity"] == "error")
        .map(|f| f["line"].as_u64().unwrap())
        .collect();
    assert!(todo.len() > 8 && named == todo, "{todo:?}: {findings:#?}");
    assert!(
        findings.iter().all(
            |f| f["severity"] == "warning" || f["message"] == "`TODO` is still to be filled in"
        ),
        "{findings:#?}"
    );

    let again = new(&["v9.9.9"]);
    assert!(
        !again.status.success()
            && String::from_utf8_lossy(&again.stderr).contains("is there already"),
        "{again:?}"
    );
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        text,
        "and nothing is overwritten"
    );

    fs::write(&file, filled(&text)).unwrap();
    let schema = jsonschema::validator_for(&config::schemas()["upgrade"]).unwrap();
    let value: Value = serde_yaml::from_str(&filled(&text)).unwrap();
    assert!(
        schema.is_valid(&value),
        "{:?}",
        schema
            .iter_errors(&value)
            .map(|e| e.to_string())
            .collect::<Vec<_>>()
    );
    let check = herald(dir.path(), &["check"]);
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stdout)
    );

    for (args, word) in [
        (&["../v1"][..], "can't be an id"),
        (&["--", "-x"], "can't be an id"),
        (&["unplanned-x"], "herald gives such ids"),
        (&["V9.9.9"], "v9.9.9.yaml is there already"),
        (&["v1", "--urgency", "rutine"], "did you mean `routine`?"),
    ] {
        let output = new(args);
        assert!(
            !output.status.success() && String::from_utf8_lossy(&output.stderr).contains(word),
            "{output:?}"
        );
    }
    let elsewhere = new(&["v9.9.10", "--dir", "drafts"]);
    let draft = fs::read_to_string(dir.path().join("drafts/v9.9.10.yaml")).unwrap();
    assert!(
        elsewhere.status.success()
            && !draft.contains("$schema")
            && draft.contains("urgency: routine"),
        "{draft}"
    );
}

#[test]
fn a_proposal_is_printed_from_its_template_and_missed_where_there_is_none() {
    let dir = changed("config/plan.yaml", "zone", "zone");
    let template = "templates/appendix/proposal.md.hbs";
    for file in [template, "templates/appendix/proposal.de.md.hbs"] {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    let missing = herald(dir.path(), &["new", "proposal", "v2.3.1"]);
    assert!(
        !missing.status.success() && String::from_utf8_lossy(&missing.stderr).contains(template),
        "{missing:?}"
    );
    write(
        dir.path(),
        template,
        "# {{upgrade.title}}\n\nThe window opens {{time window.opens}}.\n",
    );
    let printed = herald(dir.path(), &["new", "proposal", "v2.3.1"]);
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert_eq!(
        text,
        "# Paseo runtime 2\\.3\\.1\n\nThe window opens Tue 9 Mar 2027, 14:00 CET (13:00 UTC).\n",
        "{printed:?}"
    );
    let unknown = herald(dir.path(), &["new", "proposal", "v2.3.2"]);
    assert!(
        !unknown.status.success()
            && String::from_utf8_lossy(&unknown.stderr).contains("did you mean `v2.3.1`?"),
        "{unknown:?}"
    );
}

#[test]
fn schemas_are_written_to_a_folder_or_printed_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let out = herald(dir.path(), &["schema", "--out", "made/here"]);
    assert!(out.status.success(), "{out:?}");
    let printed: BTreeMap<String, Value> =
        serde_json::from_slice(&herald(dir.path(), &["schema"]).stdout).unwrap();
    assert_eq!(
        printed.keys().collect::<Vec<_>>(),
        [
            "checklist",
            "help",
            "herald",
            "people",
            "plan",
            "upgrade",
            "words"
        ]
    );
    for (name, schema) in printed {
        let file: &Path = &dir.path().join(format!("made/here/{name}.schema.json"));
        let written: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        assert!(
            written == schema && schema["title"].as_str().unwrap().contains(&name),
            "{name}"
        );
    }
}
