//! Every state of an upgrade in every view: all of them say the same.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{plan, standing, status};
use crate::{
    adapters::{room::Room, store::SqlStore},
    config::Origin,
    domain::{
        campaign::{
            Campaign,
            progress::State,
            upgrade::{Decision, Poll, Step, Upgrade, Window},
        },
        outbox::{Body, CalendarEventStage, KeyParts, Operation, Post, PostState},
    },
    lint::{self, Loaded},
    outbox::Core,
    ports::{Outlet, Platform, Readers},
    rehearsal::SteppedClock,
    report::{self, bulletin, markdown},
    web::SiteContent,
    words::{
        card,
        context::{self, RenderInput},
        icalendar,
        snapshot::ConfigSnapshot,
        templates,
    },
};

const OPENS: &str = "2027-03-09T13:00:00Z";
const REASON: &str = "A fault was found";

/// One state, and what every view has to say of it.
struct StateCase {
    name: &'static str,
    /// The state in one word, and as the page has it.
    word: &'static str,
    page: &'static str,
    /// The window is set.
    set: bool,
    called_off: bool,
    on_hold: bool,
    moved: u32,
    sequence: u32,
    /// The event on Discord, if there is one.
    event: Option<CalendarEventStage>,
    change: fn(&mut Campaign),
}

const SCHEDULED: StateCase = StateCase {
    name: "scheduled",
    word: "scheduled",
    page: "scheduled",
    set: true,
    called_off: false,
    on_hold: false,
    moved: 0,
    sequence: 0,
    event: Some(CalendarEventStage::Scheduled),
    change: |_| {},
};

fn poll(campaign: &mut Campaign) {
    let window = campaign.upgrade.window.clone();
    campaign.upgrade.poll = Some(Poll {
        decide_by: window
            .opens
            .checked_sub(SignedDuration::from_hours(48))
            .unwrap(),
        windows: vec![window.clone(), window],
    });
}

fn cases() -> Vec<StateCase> {
    use CalendarEventStage as Stage;
    vec![
        SCHEDULED,
        StateCase {
            name: "polled without a window",
            word: "planned",
            page: "planned, the window is being chosen",
            set: false,
            event: None,
            change: poll,
            ..SCHEDULED
        },
        StateCase {
            name: "moved",
            moved: 1,
            sequence: 2,
            change: |c| (c.revision, c.progress.moved) = (2, Some(1)),
            ..SCHEDULED
        },
        StateCase {
            name: "its end alone moved",
            sequence: 1,
            change: |c| c.progress.end_moved = 1,
            ..SCHEDULED
        },
        StateCase {
            name: "no-go",
            on_hold: true,
            change: |c| c.upgrade.decision = Some(Decision::NoGo(REASON.into())),
            ..SCHEDULED
        },
        StateCase {
            name: "delayed",
            word: "delayed",
            page: "delayed: its window is open, and nothing has begun",
            change: |c| c.progress.delayed = true,
            ..SCHEDULED
        },
        StateCase {
            name: "authorized",
            word: "authorized",
            page: "authorized: it may be applied at any time",
            event: Some(Stage::Active),
            change: |c| c.progress.state = State::Authorized,
            ..SCHEDULED
        },
        StateCase {
            name: "authorized, and no-go",
            word: "authorized",
            page: "authorized: it may be applied at any time",
            on_hold: true,
            event: Some(Stage::Active),
            change: |c| {
                c.progress.state = State::Authorized;
                c.upgrade.decision = Some(Decision::NoGo(REASON.into()));
            },
            ..SCHEDULED
        },
        StateCase {
            name: "applying",
            word: "applying",
            page: "under way",
            event: Some(Stage::Active),
            change: |c| c.progress.state = State::Applying,
            ..SCHEDULED
        },
        StateCase {
            name: "applied, whatever was said before",
            word: "applied",
            page: "applied, being verified",
            event: Some(Stage::Active),
            change: |c| {
                c.progress.state = State::Applied;
                c.upgrade.decision = Some(Decision::NoGo(REASON.into()));
            },
            ..SCHEDULED
        },
        StateCase {
            name: "verified",
            word: "verified",
            page: "applied and verified",
            event: Some(Stage::Completed),
            change: |c| c.progress.state = State::Verified,
            ..SCHEDULED
        },
        StateCase {
            name: "completed",
            word: "completed",
            page: "completed",
            event: Some(Stage::Completed),
            change: |c| c.progress.state = State::Completed,
            ..SCHEDULED
        },
        StateCase {
            name: "cancelled",
            word: "cancelled",
            page: "cancelled",
            called_off: true,
            sequence: 3,
            event: Some(Stage::Cancelled),
            change: |c| (c.revision, c.upgrade.cancelled) = (2, Some(REASON.into())),
            ..SCHEDULED
        },
        StateCase {
            name: "held back, and then cancelled",
            word: "cancelled",
            page: "cancelled",
            called_off: true,
            sequence: 3,
            event: Some(Stage::Cancelled),
            change: |c| {
                (c.revision, c.upgrade.cancelled) = (2, Some(REASON.into()));
                c.upgrade.decision = Some(Decision::NoGo("Too few are ready.".into()));
            },
            ..SCHEDULED
        },
        StateCase {
            name: "cancelled while people chose",
            word: "cancelled",
            page: "cancelled",
            set: false,
            called_off: true,
            sequence: 3,
            event: None,
            change: |c| {
                poll(c);
                (c.revision, c.upgrade.cancelled) = (2, Some(REASON.into()));
            },
            ..SCHEDULED
        },
        StateCase {
            name: "cancelled, and on again at another time",
            moved: 1,
            sequence: 4,
            change: |c| (c.revision, c.progress.moved) = (3, Some(1)),
            ..SCHEDULED
        },
        StateCase {
            name: "failed",
            word: "failed",
            page: "failed",
            called_off: true,
            sequence: 1,
            event: Some(Stage::Cancelled),
            change: |c| {
                c.progress.state = State::Applied;
                c.upgrade.failed = Some(REASON.into());
            },
            ..SCHEDULED
        },
        StateCase {
            name: "rolled back",
            word: "failed",
            page: "failed",
            called_off: true,
            sequence: 1,
            event: Some(Stage::Cancelled),
            change: |c| {
                c.progress.state = State::Applied;
                c.upgrade.failed = Some(REASON.into());
                let link = "https://example.org/rollback".to_owned();
                c.upgrade.steps.insert(Step::RolledBack, link);
            },
            ..SCHEDULED
        },
    ]
}

/// The words of every view.
struct Views {
    status: String,
    status_json: Value,
    plan: String,
    plan_ics: String,
    page: String,
    page_ics: String,
    api: Value,
    feed: String,
    board: String,
    card: String,
    answer: String,
    schedule: String,
    event: Result<CalendarEventStage, String>,
    report: String,
    short_report: String,
}

struct World {
    loaded: Loaded,
    snapshot: ConfigSnapshot,
    core: Core,
    outlet: Outlet,
    upgrade: Upgrade,
}

async fn world() -> World {
    let loaded = lint::load(&Origin::Embedded).unwrap();
    let snapshot = || ConfigSnapshot {
        config: loaded.config.clone(),
        renderer: loaded.renderer.clone(),
    };
    let opens: Timestamp = OPENS.parse().unwrap();
    let clock = Arc::new(SteppedClock::new(
        opens.checked_sub(SignedDuration::from_hours(24)).unwrap(),
    ));
    let store = Arc::new(SqlStore::open("sqlite::memory:").await.unwrap());
    let mut upgrade = loaded.config.upgrades[0].upgrade.clone();
    upgrade.window = Window {
        opens,
        closes: opens.checked_add(SignedDuration::from_hours(2)).unwrap(),
    };
    World {
        core: Core::new(snapshot(), Default::default(), clock, store),
        snapshot: snapshot(),
        outlet: Outlet {
            platform: Platform::Discord,
            chat: Arc::new(Room::new(Platform::Discord)),
            place: "1".into(),
            readers: Readers::Public,
            locale: "en".into(),
            mentions: Default::default(),
        },
        loaded,
        upgrade,
    }
}

impl World {
    /// A post that is out, since the page shows nothing before.
    fn announcement(&self) -> Post {
        let parts = KeyParts {
            upgrade: &self.upgrade.id,
            revision: 1,
            notice: "announced",
            occurrence: "1",
            channel: "discord-upgrades",
            operation: Operation::Post,
            edition: 0,
        };
        let body = Body {
            text: "It is announced.".into(),
            ..Body::default()
        };
        Post {
            state: PostState::Sent,
            sent: Some(self.core.clock.now()),
            body: Some(body),
            ..Post::planned(parts, 0, self.core.clock.now())
        }
    }

    fn written(&self, template: &str, campaign: &Campaign) -> String {
        let config = &self.snapshot.config;
        let input = RenderInput::default();
        let notice = config.plan.notices(campaign.upgrade.urgency).first();
        let context = context::of(campaign, notice, config, &input).into();
        let renderer = &self.snapshot.renderer;
        let text = renderer.markdown(template, "en", &context).unwrap();
        renderer.plain(&text, self.core.clock.now())
    }

    async fn views(&self, campaign: &Campaign) -> Views {
        let (snapshot, now) = (&self.snapshot, self.core.clock.now());
        let (zone, id) = (snapshot.renderer.zone(), &campaign.upgrade.id);
        let posts = [self.announcement()];
        let bulletin = bulletin::bulletin(snapshot, campaign, &posts, now).unwrap();
        let site = SiteContent::write(
            vec![bulletin],
            "Upgrades",
            "https://example.org/",
            zone,
            now,
        );
        let read = |path: &str| {
            let (_, bytes) = site.read(path).unwrap();
            String::from_utf8(bytes.to_vec()).unwrap()
        };
        let notice = snapshot
            .config
            .plan
            .notices(campaign.upgrade.urgency)
            .first();
        let event = card::event(snapshot, campaign, notice.unwrap(), &self.outlet, now);
        let events = plan::events(&self.loaded, campaign);
        let report = report::of(&self.core, snapshot, campaign).await.unwrap();
        Views {
            status: standing::lines(campaign, zone).join("\n"),
            status_json: status::campaign_json(campaign, &posts),
            plan: plan::lines(&self.loaded, campaign, now).join("\n"),
            plan_ics: icalendar::write("", &events, now).replace("\r\n ", ""),
            page: read(&format!("/upgrades/{id}")),
            page_ics: read("/calendar.ics").replace("\r\n ", ""),
            api: serde_json::from_str(&read(&format!("/api/v1/upgrades/{id}"))).unwrap(),
            feed: read("/feed.atom"),
            board: self.written("preparation/board", campaign),
            card: self.written(templates::CARD, campaign),
            answer: self.written("answers/status", campaign),
            schedule: self.written("answers/schedule", campaign),
            event: event.map(|event| event.stage),
            report: markdown::markdown(&report, zone),
            short_report: report::in_short(snapshot, campaign, &posts),
        }
    }
}

/// Each view with the text that says the state in it, and the reason or what holds the upgrade back.
fn say_the_state(views: &Views, case: &StateCase) {
    let word = case.word;
    let named = |what: &str| format!("{}: {what}", case.name);
    for (view, text, said) in [
        ("status", &views.status, format!("): {word}")),
        ("plan", &views.plan, format!("): {word}")),
        ("page", &views.page, case.page.to_owned()),
        ("report", &views.report, format!("is **{word}**")),
        ("short report", &views.short_report, format!(" is {word}")),
        ("board", &views.board, format!("Now: {word}")),
        ("card", &views.card, word.to_owned()),
        ("answer", &views.answer, format!(" — {word}")),
    ] {
        assert!(text.contains(&said), "{}: {said}: {text}", named(view));
    }
    assert_eq!(views.api["state"], word, "{}", named("API"));
    assert_eq!(views.status_json["state"], word, "{}", named("status"));
    let reasons = [
        ("status", &views.status),
        ("plan", &views.plan),
        ("page", &views.page),
        ("board", &views.board),
        ("answer", &views.answer),
        ("schedule", &views.schedule),
    ];
    for (view, text) in reasons {
        let is_said = text.contains(REASON);
        assert_eq!(
            is_said,
            case.called_off || case.on_hold,
            "{}: {text}",
            named(view)
        );
    }
    for (view, text, said) in [
        ("status", &views.status, "no-go: "),
        ("plan", &views.plan, "no-go: "),
        ("page", &views.page, "On hold: "),
        ("board", &views.board, "on hold"),
        ("card", &views.card, "on hold"),
        ("answer", &views.answer, "on hold"),
        ("schedule", &views.schedule, "on hold"),
    ] {
        assert_eq!(text.contains(said), case.on_hold, "{}: {text}", named(view));
    }
    assert_eq!(
        views.api["no_go"].is_string(),
        case.on_hold,
        "{}",
        named("API")
    );
    assert_eq!(views.api["reason"].is_string(), case.called_off);
    for report in [&views.report, &views.short_report] {
        assert_eq!(report.contains(REASON), case.called_off, "{report}");
    }
}

/// Each view with its window, or without one as long as none is set.
fn say_the_window(views: &Views, case: &StateCase) {
    let named = |what: &str| format!("{}: {what}", case.name);
    let written = "Tue 9 Mar 2027, 14:00 CET";
    for (view, text, none) in [
        ("status", &views.status, "no window"),
        ("plan", &views.plan, "no window"),
        ("page", &views.page, "The window is being chosen."),
        ("report", &views.report, "No window is set yet."),
        ("short report", &views.short_report, "No window is set yet."),
        ("card", &views.card, "no window yet"),
    ] {
        let has_window = text.contains(written);
        let said = (has_window, text.contains(none));
        assert_eq!(said, (case.set, !case.set), "{}: {text}", named(view));
    }
    // These say no more of the window once nobody waits for it.
    let waits = case.set && !case.called_off;
    for (view, text) in [
        ("board", &views.board),
        ("answer", &views.answer),
        ("schedule", &views.schedule),
    ] {
        assert_eq!(text.contains(written), waits, "{}: {text}", named(view));
    }
    let by_clock = views.schedule.contains("You hear from us:");
    assert_eq!(by_clock, waits, "{}: {}", named("schedule"), views.schedule);
    let reminders = views.plan.contains("reminder-1d ");
    assert_eq!(reminders, waits, "{}: {}", named("plan"), views.plan);
    assert_eq!(views.api["window"]["set"], case.set, "{}", named("API"));
    assert_eq!(views.api["window"]["moved"], case.moved, "{}", named("API"));
    for (view, text) in [
        ("page", &views.page),
        ("report", &views.report),
        ("short report", &views.short_report),
    ] {
        let said = text.contains("moved once");
        assert_eq!(said, case.moved == 1 && case.set, "{}: {text}", named(view));
    }
}

/// Both calendars have the window under one name and number, called off or not.
fn say_it_to_calendars(views: &Views, case: &StateCase) {
    let event = |text: &str| {
        let uid = "UID:v2.3.1@upgrade-herald\r\n";
        let event = text.split("BEGIN:VEVENT\r\n").find(|e| e.starts_with(uid));
        event.map(str::to_owned)
    };
    for (view, text) in [("plan", &views.plan_ics), ("page", &views.page_ics)] {
        let Some(event) = event(text) else {
            assert!(!case.set, "{}: {view}: {text}", case.name);
            assert!(!text.contains("BEGIN:VEVENT"), "{text}");
            continue;
        };
        let sequence = format!("\r\nSEQUENCE:{}\r\n", case.sequence);
        assert!(
            case.set && event.contains(&sequence),
            "{}: {event}",
            case.name
        );
        assert!(
            event.contains("\r\nDTSTART:20270309T130000Z\r\n"),
            "{event}"
        );
        let is_off = event.contains("\r\nSTATUS:CANCELLED\r\n");
        assert_eq!(is_off, case.called_off, "{}: {view}: {event}", case.name);
        assert_eq!(
            event.contains(REASON),
            case.called_off || (view == "page" && case.on_hold)
        );
    }
    let all = views.plan_ics.matches("BEGIN:VEVENT").count();
    let off = views.plan_ics.matches("STATUS:CANCELLED").count();
    assert_eq!(off, if case.called_off { all } else { 0 }, "{}", case.name);
    assert_eq!(views.event.clone().ok(), case.event, "{}", case.name);
    assert!(views.feed.contains("It is announced."), "{}", views.feed);
}

#[tokio::test]
async fn every_view_says_the_same_of_every_state() {
    let w = world().await;
    let cases = cases();
    for case in &cases {
        let mut campaign = Campaign::new(w.upgrade.clone(), w.core.clock.now());
        (case.change)(&mut campaign);
        let views = w.views(&campaign).await;
        say_the_state(&views, case);
        say_the_window(&views, case);
        say_it_to_calendars(&views, case);
    }
    assert_eq!(cases.len(), 18);
}

#[tokio::test]
async fn an_upgrade_that_failed_is_told_by_what_the_chain_runs() {
    let w = world().await;
    // Whether it runs; what a post, a mark and the edited "applied" say, and don't.
    let cases = [
        (false, "did not go through", "runs, but has failed"),
        (true, "runs, but has failed", "did not go through"),
    ];
    for (runs, said, unsaid) in cases {
        let mut campaign = Campaign::new(w.upgrade.clone(), w.core.clock.now());
        campaign.upgrade.failed = Some(REASON.into());
        if runs {
            campaign.progress.state = State::Applied;
        }
        for template in ["execution/failed", "scheduling/mark"] {
            let text = w.written(template, &campaign);
            assert!(text.contains(said) && !text.contains(unsaid), "{text}");
        }
        let applied = w.written("validation/applied", &campaign);
        assert!(applied.contains("It has failed"), "{applied}");
        assert!(!applied.contains("not every chain"), "{applied}");
        assert!(!applied.contains("until \"verified\""), "{applied}");
    }
}

#[tokio::test]
async fn what_a_file_hides_is_harmless_in_a_terminal() {
    let w = world().await;
    let mut campaign = Campaign::new(w.upgrade.clone(), w.core.clock.now());
    campaign.upgrade.title = "One\u{1b}[2J\u{1b}]0;two\u{7}\r\u{9b}31m\u{202e}three".into();
    campaign.upgrade.cancelled = Some("a\u{1b}[31m fault\u{2066}".into());
    let views = w.views(&campaign).await;
    for text in [views.status, views.plan] {
        let is_harmful = |c: char| crate::words::is_disruptive(c) && c != '\n';
        assert!(!text.contains(is_harmful), "{text:?}");
        assert!(text.contains("One [2J ]0;two   31m three") && text.contains("a [31m fault "));
    }
}

#[tokio::test]
async fn nothing_of_discords_markup_leaves_discord_and_a_correction_is_newer_in_the_feed() {
    let w = world().await;
    let campaign = Campaign::new(w.upgrade.clone(), w.core.clock.now());
    let (snapshot, now) = (&w.snapshot, w.core.clock.now());
    let written = |posts: &[Post]| {
        let bulletin = bulletin::bulletin(snapshot, &campaign, posts, now).unwrap();
        let zone = snapshot.renderer.zone();
        let site = SiteContent::write(
            vec![bulletin],
            "Upgrades",
            "https://example.org/",
            zone,
            now,
        );
        let read = |path: &str| {
            let (_, bytes) = site.read(path).unwrap();
            String::from_utf8(bytes.to_vec()).unwrap()
        };
        [
            read("/upgrades/v2.3.1"),
            read("/feed.atom"),
            read("/api/v1/upgrades"),
        ]
    };
    let mut post = w.announcement();
    let opens = w.upgrade.window.opens.as_second();
    let said = format!(
        "## Opens <t:{opens}:R>: node\\_version\n**Now:** <t:{opens}:F> · Tue 9 Mar 2027, 14:00 CET (13:00 UTC)\n- ``a`b``, [more](<https://example.org/a_b>)\n<@&1100000000000000011>"
    );
    post.body = Some(Body {
        text: said,
        mentions: vec!["1100000000000000011".into()],
        ..Body::default()
    });
    for text in written(std::slice::from_ref(&post)) {
        for mark in ["<t:", "&lt;t:", "**", "\\_", "](", "<@", "&lt;@", ":R>"] {
            assert!(!text.contains(mark), "{mark}: {text}");
        }
        assert!(text.contains("Opens in 1 day: node_version"), "{text}");
    }
    let [_, feed, api] = written(std::slice::from_ref(&post));
    let api: Value = serde_json::from_str(&api).unwrap();
    assert_eq!(
        api["upgrades"][0]["timeline"][0]["text"],
        "Opens in 1 day: node_version\nNow: Tue 9 Mar 2027, 14:00 CET (13:00 UTC)\n• a`b, more (https://example.org/a_b)"
    );
    let updated = |feed: &str| {
        let parts = feed.split("<updated>").skip(1);
        let times = parts.filter_map(|part| part.split_once("</updated>"));
        times.map(|(at, _)| at.to_owned()).collect::<Vec<_>>()
    };
    let published = "2027-03-08T13:00:00+00:00";
    assert_eq!(
        updated(&feed),
        [published; 2],
        "of the feed and of its entry"
    );
    let corrected = Post {
        state: PostState::Sent,
        sent: now.checked_add(SignedDuration::from_mins(90)).ok(),
        body: post.body.clone(),
        ..post.beside(Operation::Mark, 1)
    };
    let [_, feed, _] = written(&[post, corrected]);
    assert_eq!(updated(&feed), ["2027-03-08T14:30:00+00:00"; 2]);
    assert!(feed.contains(&format!("<published>{published}")), "{feed}");
}
