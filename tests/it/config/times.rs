//! Times right for everyone: civil days and exact hours over every change of the clocks, and a clock that jumps.
//!
//! What is expected is found here by walking along a zone's own clock, not by asking the code under test.
//! `HERALD_TEST_SEED=17` plays one generated case again, `HERALD_TEST_SEED=200-999` a range of them.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::{DateTime, Weekday},
    tz::TimeZone,
};
use upgrade_herald::{
    adapters::{room::Room, store::SqlStore},
    config::{Origin, Plan, UpgradeFile},
    deliver::dispatcher::Dispatcher,
    domain::{
        campaign::upgrade::Upgrade,
        outbox::{PostKey, PostState},
        plan::{
            notice::{Happening, Notice, Phase, Trigger},
            schedule::{CronRule, Offset},
        },
    },
    lint::{self, Loaded},
    outbox::Core,
    plan::planner::{Planner, timed},
    ports::{Outlet, Platform, Readers, Store},
    words::snapshot::ConfigSnapshot,
};

use crate::harness::{
    chats::HookedChat, clocks::SettableClock, dice::Dice, hooks::FaultyConnection,
};

/// 16 that change their clocks in 2026 and mostly in 2027, by an hour, by half of one (Lord Howe) or by two (Troll), at night or at
/// midnight, for a summer or for a month (Casablanca), on quarters of an hour (Chatham); and 6 that don't.
const ZONES: [&str; 22] = [
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "America/Santiago",
    "America/Nuuk",
    "Atlantic/Azores",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Jerusalem",
    "Australia/Lord_Howe",
    "Australia/Adelaide",
    "Pacific/Chatham",
    "Antarctica/Troll",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "America/Phoenix",
    "UTC",
];
const CHANGING: usize = 16;
const CASES: u64 = 10_000;
/// One in so many goes through all services; the others through the planning alone.
const WHOLE: u64 = 16;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at + SignedDuration::from_secs(seconds)
}

/// An instant before every place on earth has come to `civil`.
fn well_before(civil: DateTime) -> Timestamp {
    later(TimeZone::UTC.to_timestamp(civil).unwrap(), -15 * 3600)
}

/// The first minute in which a clock on the wall has come to `civil` or is past it: in a gap that is the first
/// after it, in an overlap the first of the two.
fn minute_by_minute(civil: DateTime, zone: &TimeZone) -> Timestamp {
    let mut now = well_before(civil);
    while zone.to_datetime(now) < civil {
        now = later(now, 60);
    }
    now
}

/// The same in strides of an hour at most. A stride is never longer than what is missing, so only a gap can carry it
/// too far; then it is walked again by minutes.
fn in_strides(civil: DateTime, zone: &TimeZone) -> Timestamp {
    let mut now = well_before(civil);
    loop {
        let missing = zone.to_datetime(now).duration_until(civil).as_secs();
        if missing <= 0 {
            return now;
        }
        let next = later(now, missing.min(3600));
        if zone.to_datetime(next) > civil {
            while zone.to_datetime(now) < civil {
                now = later(now, 60);
            }
            return now;
        }
        now = next;
    }
}

/// When a zone changes its clocks in 2026 and 2027, and by how many seconds.
fn changes(zone: &TimeZone) -> Vec<(Timestamp, i64)> {
    let (mut found, last) = (Vec::new(), at("2028-01-01T00:00:00Z"));
    for transition in zone
        .following(at("2026-01-01T00:00:00Z"))
        .take_while(|t| t.timestamp() < last)
    {
        let before = zone.to_offset(later(transition.timestamp(), -1));
        let by = i64::from(transition.offset().seconds() - before.seconds());
        if by != 0 {
            found.push((transition.timestamp(), by));
        }
    }
    found
}

/// Civil times before, at the edges of, within and behind the hour that is left out or comes twice.
fn around(zone: &TimeZone, (change, by): (Timestamp, i64)) -> Vec<DateTime> {
    let before = zone.to_datetime(later(change, -1)) + 1.second();
    let (from, length) = if by > 0 {
        (before, by)
    } else {
        (before - by.abs().seconds(), -by)
    };
    [
        -86_400,
        -3600,
        -60,
        0,
        60,
        length / 2,
        length - 60,
        length,
        length + 60,
        length + 3600,
        86_400,
    ]
    .map(|seconds| from + seconds.seconds())
    .to_vec()
}

#[test]
fn the_zones_are_what_they_are_chosen_for() {
    for (index, name) in ZONES.iter().enumerate() {
        let changes = changes(&zone(name));
        let (gaps, overlaps) = (
            changes.iter().any(|(_, by)| *by > 0),
            changes.iter().any(|(_, by)| *by < 0),
        );
        assert_eq!(
            (gaps, overlaps),
            (index < CHANGING, index < CHANGING),
            "{name}: {changes:?}"
        );
    }
    let shift = |name| changes(&zone(name))[0].1.abs();
    assert_eq!(
        (
            shift("Australia/Lord_Howe"),
            shift("Antarctica/Troll"),
            shift("Pacific/Chatham")
        ),
        (1800, 7200, 3600)
    );
}

#[test]
fn a_civil_day_lands_where_the_wall_clock_says() {
    let mut looked_at = (0, 0, 0);
    for name in ZONES {
        let zone = zone(name);
        let mut days = changes(&zone);
        if days.is_empty() {
            days = changes(&self::zone("Europe/Berlin"))
                .into_iter()
                .map(|(at, _)| (at, 3600))
                .collect();
        }
        for civil in days.into_iter().flat_map(|day| around(&zone, day)) {
            let wanted = minute_by_minute(civil, &zone);
            assert_eq!(in_strides(civil, &zone), wanted, "{civil} in {name}");
            match zone.to_ambiguous_timestamp(civil).offset() {
                jiff::tz::AmbiguousOffset::Gap { .. } => looked_at.0 += 1,
                jiff::tz::AmbiguousOffset::Fold { .. } => looked_at.1 += 1,
                _ => looked_at.2 += 1,
            }
            for (text, days) in [
                ("-1d", -1),
                ("-2d", -2),
                ("-1w", -7),
                ("-3w", -21),
                ("+1d", 1),
                ("+1w", 7),
                ("+30d", 30),
            ] {
                // The window stands at the same hour of the clock on the other day, if that day has this hour once.
                let opens = zone.to_ambiguous_timestamp(civil - i64::from(days).days());
                let Ok(opens) = opens.unambiguous() else {
                    continue;
                };
                let offset: Offset = text.parse().unwrap();
                assert_eq!(
                    offset.from(opens, &zone),
                    Some(wanted),
                    "{text} from {opens} is {civil} in {name}"
                );
            }
        }
    }
    assert!(
        looked_at.0 >= 100 && looked_at.1 >= 100 && looked_at.2 >= 300,
        "gaps, overlaps, others: {looked_at:?}"
    );
}

#[test]
fn exact_hours_are_exact_and_differ_from_days_by_the_change() {
    for name in ZONES {
        let zone = zone(name);
        for (change, by) in changes(&zone) {
            for (text, seconds) in [
                ("-24h", -86_400),
                ("-168h", -604_800),
                ("-1h", -3600),
                ("-90m", -5400),
                ("-30s", -30),
                ("+24h", 86_400),
                ("+168h", 604_800),
            ] {
                // Windows from which this lands before, in and behind the change.
                for beside in [-7200, -1, 0, 1, by.abs() / 2, by.abs(), 7200] {
                    let wanted = later(change, beside);
                    let opens = later(wanted, -seconds);
                    let offset: Offset = text.parse().unwrap();
                    assert_eq!(
                        offset.from(opens, &zone),
                        Some(wanted),
                        "{text} from {opens} in {name}"
                    );
                }
            }
            for (days, hours, length) in [
                ("-1d", "-24h", 1_i64),
                ("-1w", "-168h", 7),
                ("+1d", "+24h", 1),
                ("+1w", "+168h", 7),
            ] {
                let back = days.starts_with('-');
                let opens = later(change, if back { 11 * 3600 } else { -11 * 3600 });
                let from = |text: &str| text.parse::<Offset>().unwrap().from(opens, &zone).unwrap();
                let apart = from(days).duration_since(from(hours)).as_secs();
                assert_eq!(
                    apart,
                    if back { by } else { -by },
                    "{days} and {hours} over the change of {name}, {length} days"
                );
            }
        }
    }
}

/// What a cron expression that is due once a day has between two instants.
fn once_a_day(
    civil: DateTime,
    zone: &TimeZone,
    (first, last): (Timestamp, Timestamp),
    only: impl Fn(Weekday) -> bool,
) -> Vec<Timestamp> {
    let (mut day, end) = (
        zone.to_datetime(first).date() - 2.days(),
        zone.to_datetime(last).date() + 2.days(),
    );
    let mut found = Vec::new();
    while day <= end {
        let due = in_strides(day.to_datetime(civil.time()), zone);
        if only(day.weekday()) && due >= first && due < last && found.last() != Some(&due) {
            found.push(due);
        }
        day += 1.day();
    }
    found
}

#[test]
fn a_cron_in_a_named_zone_has_each_civil_day_once() {
    let plan_zone = zone("Asia/Tokyo");
    for name in ZONES {
        let zone = zone(name);
        for (change, by) in changes(&zone) {
            for civil in around(&zone, (change, by)) {
                let expression = format!("{} {} * * *", civil.minute(), civil.hour());
                // Ten whole days in the plan's zone, which has no change: as many civil times in the other.
                let rule = CronRule::new(
                    &expression,
                    zone.clone(),
                    "-5d".parse().unwrap(),
                    "+5d".parse().unwrap(),
                )
                .unwrap();
                let opens = later(change, 7 * 3600 + 17 * 60);
                let bounds = (later(opens, -5 * 86_400), later(opens, 5 * 86_400));
                let got = rule.occurrences(opens, &plan_zone);
                assert_eq!(
                    got,
                    once_a_day(civil, &zone, bounds, |_| true),
                    "{expression} in {name}"
                );
                assert_eq!(got.len(), 10, "{expression} in {name}: {got:?}");
                // Bounds at the very change.
                for offset in [-1, 0, 1] {
                    let opens = later(change, offset + 2 * 86_400);
                    let rule = CronRule::new(
                        &expression,
                        zone.clone(),
                        "-48h".parse().unwrap(),
                        "0".parse().unwrap(),
                    )
                    .unwrap();
                    let bounds = (later(change, offset), opens);
                    let wanted = once_a_day(civil, &zone, bounds, |_| true);
                    assert_eq!(
                        rule.occurrences(opens, &plan_zone),
                        wanted,
                        "{expression} in {name} from {}",
                        bounds.0
                    );
                }
            }
        }
    }
}

// --- generated -----------------------------------------------------------------------------

fn any_zone(dice: &mut Dice) -> &'static str {
    ZONES[dice.roll(ZONES.len() as u64) as usize]
}

/// A plan, a window, and when what is due, as walked along the zones' clocks.
struct Case {
    plan: Plan,
    upgrade: Upgrade,
    zone_name: &'static str,
    /// Notice and instant, in order of time and plan.
    wanted: Vec<(String, Timestamp)>,
}

fn offset_text(dice: &mut Dice) -> (String, i64, bool) {
    let sign = if dice.roll(4) == 0 { 1 } else { -1 };
    let (unit, most, seconds, civil) = [
        ("d", 14, 86_400, true),
        ("w", 3, 604_800, true),
        ("h", 200, 3600, false),
        ("m", 3000, 60, false),
    ][dice.roll(4) as usize];
    let number = dice.between_signed(0, most);
    (
        format!("{}{number}{unit}", if sign < 0 { "-" } else { "+" }),
        sign * number * seconds,
        civil,
    )
}

fn walked(
    opens: Timestamp,
    (_, seconds, civil): &(String, i64, bool),
    zone: &TimeZone,
) -> Timestamp {
    if *civil {
        in_strides(zone.to_datetime(opens) + (seconds / 86_400).days(), zone)
    } else {
        later(opens, *seconds)
    }
}

impl Case {
    fn new(seed: u64, loaded: &Loaded) -> Self {
        let mut dice = Dice::new(seed);
        let zone_name = any_zone(&mut dice);
        let zone = zone(zone_name);
        let opens = match changes(&zone) {
            // Most windows stand within days of a change of the clocks, many at its very hour.
            changes if !changes.is_empty() && dice.roll(4) > 0 => {
                let (change, _) = changes[dice.roll(changes.len() as u64) as usize];
                later(
                    change,
                    dice.between_signed(-15, 15) * 86_400 + dice.between_signed(-180, 180) * 60,
                )
            }
            _ => later(
                at("2026-01-01T00:00:00Z"),
                dice.between_signed(0, 730 * 1440) * 60,
            ),
        };
        let sample = Notice::new(
            "sample",
            Phase::Scheduling,
            "scheduling/reminder",
            Trigger::On(Happening::Applied),
        );
        let (mut notices, mut wanted) = (Vec::new(), Vec::new());
        for number in 0..dice.between_signed(1, 6) {
            let id = format!("n{number}");
            let (trigger, times) = if dice.roll(3) == 0 {
                Self::cron(&mut dice, opens, &zone)
            } else {
                Self::at(&mut dice, opens, &zone)
            };
            wanted.extend(times.into_iter().map(|at| (id.clone(), at)));
            notices.push(Notice {
                id,
                trigger,
                channels: vec!["a".into(), "b".into()],
                feedback: false,
                ..sample.clone()
            });
        }
        wanted.sort_by_key(|(_, at)| *at);
        let mut upgrade = loaded.config.upgrades[0].upgrade.clone();
        (upgrade.window.opens, upgrade.window.closes) = (opens, later(opens, 7200));
        let mut plan = Plan {
            zone,
            zone_name: zone_name.to_owned(),
            ..loaded.config.plan.clone()
        };
        plan.plans
            .values_mut()
            .for_each(|p| p.notices.clone_from(&notices));
        Self {
            plan,
            upgrade,
            zone_name,
            wanted,
        }
    }

    fn at(dice: &mut Dice, opens: Timestamp, zone: &TimeZone) -> (Trigger, Vec<Timestamp>) {
        let offset = offset_text(dice);
        (
            Trigger::At(offset.0.parse().unwrap()),
            vec![walked(opens, &offset, zone)],
        )
    }

    fn cron(dice: &mut Dice, opens: Timestamp, plan_zone: &TimeZone) -> (Trigger, Vec<Timestamp>) {
        let zone = zone(any_zone(dice));
        let civil = DateTime::constant(2027, 1, 1, dice.roll(24) as i8, dice.roll(60) as i8, 0, 0);
        let (from, until) = (offset_text(dice), offset_text(dice));
        let (from, until) = if from.1 <= until.1 {
            (from, until)
        } else {
            (until, from)
        };
        let weekdays = dice.roll(2) == 0;
        let expression = format!(
            "{} {} * * {}",
            civil.minute(),
            civil.hour(),
            if weekdays { "Mon-Fri" } else { "*" }
        );
        let rule = CronRule::new(
            &expression,
            zone.clone(),
            from.0.parse().unwrap(),
            until.0.parse().unwrap(),
        )
        .unwrap();
        let bounds = (
            walked(opens, &from, plan_zone),
            walked(opens, &until, plan_zone),
        );
        let only = |day| !weekdays || !matches!(day, Weekday::Saturday | Weekday::Sunday);
        (
            Trigger::Cron(Box::new(rule)),
            once_a_day(civil, &zone, bounds, only),
        )
    }

    /// What the planner makes of it is what was walked, each once a channel.
    fn planned(&self) -> Result<(), String> {
        let mut posts = timed(&self.upgrade, 1, &self.plan, Timestamp::UNIX_EPOCH);
        posts.sort_by_key(|p| (p.due, p.rank));
        for channel in ["a", "b"] {
            let got: Vec<(String, Timestamp)> = posts
                .iter()
                .filter(|p| p.channel == channel)
                .map(|p| (p.notice.clone(), p.due))
                .collect();
            if got != self.wanted {
                return Err(format!(
                    "{} opens {}: {got:?} instead of {:?}",
                    self.zone_name, self.upgrade.window.opens, self.wanted
                ));
            }
        }
        let mut keys: Vec<&PostKey> = posts.iter().map(|p| &p.key).collect();
        keys.sort();
        keys.dedup();
        if keys.len() == posts.len() {
            Ok(())
        } else {
            Err("two posts have one key".into())
        }
    }
}

/// herald as it plans and posts, on embedded parts.
struct Stage {
    clock: Arc<SettableClock>,
    chats: BTreeMap<&'static str, Arc<FaultyConnection>>,
    store: Arc<dyn Store>,
    core: Arc<Core>,
    planner: Planner,
}

impl Stage {
    async fn set(case: &Case, loaded: &Loaded, start: Timestamp, faults: Option<u64>) -> Self {
        let clock = Arc::new(SettableClock::new(start));
        let chats: BTreeMap<&str, Arc<FaultyConnection>> = [("a", 1), ("b", 2)]
            .map(|(name, n)| {
                (
                    name,
                    Arc::new(FaultyConnection::new(
                        clock.clone(),
                        faults.map(|seed| Dice::new(seed * 3 + n)),
                    )),
                )
            })
            .into();
        let store: Arc<dyn Store> = Arc::new(SqlStore::open("sqlite::memory:").await.unwrap());
        let outlet = |connection: &Arc<FaultyConnection>| Outlet {
            platform: Platform::Discord,
            chat: Arc::new(HookedChat {
                inner: Arc::new(Room::new(Platform::Discord)),
                hook: connection.clone(),
            }),
            place: "here".into(),
            readers: Readers::Public,
            locale: "en".into(),
            mentions: BTreeMap::new(),
        };
        let outlets = chats
            .iter()
            .map(|(name, chat)| ((*name).to_owned(), outlet(chat)))
            .collect();
        let mut config = loaded.config.clone();
        config.plan = case.plan.clone();
        config.upgrades = vec![UpgradeFile {
            upgrade: case.upgrade.clone(),
            file: loaded.config.upgrades[0].file.clone(),
        }];
        let snapshot = ConfigSnapshot {
            config,
            renderer: loaded.renderer.clone(),
        };
        let core = Arc::new(Core::new(snapshot, outlets, clock.clone(), store.clone()));
        let planner = Planner::new(core.clone());
        Self {
            clock,
            chats,
            store,
            core,
            planner,
        }
    }

    /// What a loop does when it wakes; the process may die in it, and is started again.
    async fn wake(&self) {
        for (name, chat) in &self.chats {
            let dispatcher = Dispatcher::new(self.core.clone());
            let died = tokio::select! {
                biased;
                done = dispatcher.tick(name) => { done.unwrap(); false }
                () = chat.dies.notified() => true,
            };
            if died {
                self.store.begin_anew().await.unwrap();
                self.planner.tick().await.unwrap();
            }
        }
    }

    /// Whether every post is out, and if not, the first that isn't.
    async fn left(&self, upgrade: &str) -> Option<String> {
        let posts = self.store.posts(upgrade).await.unwrap();
        let open = posts
            .into_iter()
            .find(|p| !matches!(p.state, PostState::Sent | PostState::Skipped));
        open.map(|p| {
            format!(
                "{} in {}, due {}, is {:?}: {:?}",
                p.notice, p.channel, p.due, p.state, p.error
            )
        })
    }
}

/// Plays a case through planner, store and dispatcher with a clock that sleeps, runs ahead and is set back.
async fn play(seed: u64, case: &Case, loaded: &Loaded) -> Result<usize, String> {
    let mut dice = Dice::new(seed ^ 0x00c1_0c4b);
    let opens = case.upgrade.window.opens;
    let start = later(opens, -dice.between_signed(1, 20 * 1440) * 60);
    let stage = Stage::set(case, loaded, start, Some(seed)).await;
    stage.planner.tick().await.map_err(|e| e.to_string())?;
    let wanted: Vec<&(String, Timestamp)> =
        case.wanted.iter().filter(|(_, at)| *at >= start).collect();
    let last = wanted.last().map_or(start, |(_, at)| *at);
    // Time as it is, and by how much the clock is off.
    let (mut now, mut off) = (start, 0);
    for _ in 0..60 {
        match dice.roll(6) {
            0 => off = dice.between_signed(0, 9 * 3600),
            1 => off = 0,
            2 => off = -dice.between_signed(0, 5 * 3600),
            _ => {}
        }
        // A tick, a while, or a night in which the machine slept.
        now = later(
            now,
            [
                30,
                dice.between_signed(60, 7200),
                dice.between_signed(3600, 4 * 86_400),
            ][dice.roll(3) as usize],
        )
        .min(later(last, 60));
        stage.clock.set(later(now, off));
        stage.wake().await;
    }
    // All is well again: whatever was begun by a clock that was ahead must not wait for that hour.
    stage
        .chats
        .values()
        .for_each(|chat| *chat.dice.lock().unwrap() = None);
    for minute in 1..=10 {
        stage.clock.set(later(last, 60 * minute));
        stage.wake().await;
    }
    if let Some(left) = stage.left(&case.upgrade.id).await {
        return Err(format!(
            "{left}, ten minutes after the last was due ({last})"
        ));
    }
    for (name, chat) in &stage.chats {
        let posts = stage
            .store
            .posts(&case.upgrade.id)
            .await
            .map_err(|e| e.to_string())?;
        let mut due: Vec<_> = posts
            .iter()
            .filter(|p| p.channel == *name && p.state == PostState::Sent)
            .collect();
        due.sort_by_key(|p| (p.due, p.rank));
        let planned: Vec<(&str, Timestamp)> =
            due.iter().map(|p| (p.notice.as_str(), p.due)).collect();
        if planned
            != wanted
                .iter()
                .map(|(notice, at)| (notice.as_str(), *at))
                .collect::<Vec<_>>()
        {
            return Err(format!("{name}: {planned:?} is out instead of {wanted:?}"));
        }
        if chat.keys() != due.iter().map(|p| p.key.clone()).collect::<Vec<_>>() {
            return Err(format!(
                "{name}: not each once, or not in order: {:?} instead of {due:?}",
                chat.sent.lock().unwrap()
            ));
        }
        let sent = chat.sent.lock().unwrap();
        if let Some((post, (_, when))) = due
            .iter()
            .zip(sent.iter())
            .find(|(post, (_, when))| *when < post.due)
        {
            return Err(format!(
                "{name}: {} was due {} and said at {when}",
                post.notice, post.due
            ));
        }
    }
    Ok(wanted.len() * stage.chats.len())
}

/// The seeds to play instead, if some are named.
#[allow(
    clippy::disallowed_methods,
    reason = "a developer names a seed for one run"
)]
fn named() -> Option<std::ops::RangeInclusive<u64>> {
    let text = std::env::var("HERALD_TEST_SEED").ok()?;
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    Some(first.parse().expect("a seed")..=last.parse().expect("a seed"))
}

#[tokio::test]
async fn each_notice_comes_once_and_in_order_however_the_clock_jumps() {
    let loaded = lint::load(&Origin::Embedded).unwrap();
    let (seeds, one) = (named().unwrap_or(0..=CASES - 1), named().is_some());
    let (mut cases, mut whole, mut notices, mut posts) = (0, 0, 0, 0);
    for seed in seeds {
        let case = Case::new(seed, &loaded);
        case.planned()
            .unwrap_or_else(|error| panic!("HERALD_TEST_SEED={seed}: {error}"));
        (cases, notices) = (cases + 1, notices + case.wanted.len());
        if one || seed % WHOLE == 0 {
            posts += play(seed, &case, &loaded)
                .await
                .unwrap_or_else(|error| panic!("HERALD_TEST_SEED={seed}: {error}"));
            whole += 1;
        }
    }
    println!("{{\"cases\":{cases},\"notices\":{notices},\"whole\":{whole},\"posts\":{posts}}}");
    assert!(
        one || (cases >= 10_000 && whole >= 500 && notices > cases && posts > whole),
        "{cases} {notices} {whole} {posts}"
    );
}

#[tokio::test]
async fn a_clock_that_was_ahead_and_is_set_back_holds_up_no_post() {
    let loaded = lint::load(&Origin::Embedded).unwrap();
    let mut case = Case::new(0, &loaded);
    let offset = "-1h".parse().unwrap();
    for plan in case.plan.plans.values_mut() {
        plan.notices.truncate(1);
        plan.notices[0].trigger = Trigger::At(offset);
    }
    let due = later(case.upgrade.window.opens, -3600);
    // A try that failed and waits for its next, and one in which the process died and whose lease goes on.
    for fault in ["fails", "dies"] {
        let stage = Stage::set(&case, &loaded, later(due, -60), None).await;
        stage.planner.tick().await.unwrap();
        stage.clock.set(later(due, 5 * 3600));
        for chat in stage.chats.values() {
            let roll = if fault == "fails" { 0 } else { 2 };
            let seed = (0..)
                .find(|seed| Dice::new(*seed).roll(12) == roll)
                .unwrap();
            *chat.dice.lock().unwrap() = Some(Dice::new(seed));
        }
        stage.wake().await;
        stage
            .chats
            .values()
            .for_each(|chat| *chat.dice.lock().unwrap() = None);
        assert!(
            stage.left(&case.upgrade.id).await.is_some(),
            "{fault}: the first try comes to nothing"
        );
        stage.clock.set(later(due, 30));
        stage.wake().await;
        assert_eq!(stage.left(&case.upgrade.id).await, None, "{fault}");
        for chat in stage.chats.values() {
            assert_eq!(chat.keys().len(), 1, "{fault}: and it is said once");
        }
    }
}
