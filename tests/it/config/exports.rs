//! The plan as others read it: a calendar file, and a page with every post.

use icalendar::{Calendar, CalendarComponent, Component, Event};
use upgrade_herald::{
    config::Origin, domain::plan::notice::Trigger, lint, plan::planner::timed, ports::Readers,
};

use crate::{
    process::cli::{changed, herald, sample, store_with},
    support::repo,
};

fn said(dir: &std::path::Path, args: &[&str]) -> String {
    let output = herald(dir, args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn events(text: &str) -> Vec<Event> {
    let calendar: Calendar = text.parse().unwrap_or_else(|e| panic!("{e}: {text}"));
    let event = |component: CalendarComponent| match component {
        CalendarComponent::Event(event) => event,
        other => panic!("not an event: {other:?}"),
    };
    calendar.components.into_iter().map(event).collect()
}

/// What the standard asks of every line, whatever a parser lets pass.
fn strictly_written(text: &str) {
    assert!(text.ends_with("END:VCALENDAR\r\n"));
    for line in text.trim_end_matches("\r\n").split("\r\n") {
        assert!(line.len() <= 75, "{} octets: {line}", line.len());
        assert!(!line.contains(['\r', '\n']), "a bare end of line: {line:?}");
    }
    let whole = text.replace("\r\n ", "");
    for line in whole.trim_end_matches("\r\n").split("\r\n") {
        let (name, _) = line
            .split_once(':')
            .unwrap_or_else(|| panic!("no property: {line}"));
        assert!(
            name.chars().all(|c| c.is_ascii_uppercase() || c == '-'),
            "{name}"
        );
    }
    for event in whole.split("BEGIN:VEVENT\r\n").skip(1) {
        for name in [
            "UID",
            "DTSTAMP",
            "SEQUENCE",
            "DTSTART",
            "DTEND",
            "SUMMARY",
            "DESCRIPTION",
            "TRANSP",
        ] {
            assert_eq!(
                event.matches(&format!("\r\n{name}:")).count()
                    + usize::from(event.starts_with(&format!("{name}:"))),
                1,
                "{name}"
            );
        }
    }
}

#[test]
fn the_timeline_goes_into_a_calendar() {
    let loaded = lint::load(&Origin::Embedded).unwrap();
    let upgrade = &loaded.config.upgrades[0].upgrade;
    let text = said(repo(), &["plan", "--ics"]);
    strictly_written(&text);
    let events = events(&text);

    let window = events
        .iter()
        .find(|e| e.get_uid() == Some("v2.3.1@upgrade-herald"))
        .expect("the window");
    assert_eq!(
        (window.get_summary(), window.property_value("TRANSP")),
        (Some("Paseo runtime 2.3.1"), Some("OPAQUE"))
    );
    assert_eq!(
        (
            window.property_value("DTSTART"),
            window.property_value("DTEND")
        ),
        (Some("20270309T130000Z"), Some("20270309T150000Z"))
    );
    let description = window.get_description().unwrap();
    for words in [
        "For validators, action needed: Update your node",
        "Node v1.21.0 or newer",
        "For users, no action",
        "https://releases.",
    ] {
        assert!(description.contains(words), "{words}: {description}");
    }

    let posts = timed(upgrade, 1, &loaded.config.plan, jiff::Timestamp::UNIX_EPOCH);
    let mut wanted: Vec<(String, String)> = posts
        .iter()
        .map(|p| {
            (
                p.due.strftime("%Y%m%dT%H%M%SZ").to_string(),
                format!("v2.3.1/{}/{}@upgrade-herald", p.notice, p.occurrence),
            )
        })
        .collect();
    wanted.sort();
    wanted.dedup();
    let notices = events
        .iter()
        .filter(|e| e.property_value("TRANSP") == Some("TRANSPARENT"));
    let got: Vec<(String, String)> = notices
        .map(|e| {
            (
                e.property_value("DTSTART").unwrap().to_owned(),
                e.get_uid().unwrap().to_owned(),
            )
        })
        .collect();
    assert_eq!(got, wanted, "each notice by the clock once, in order");
    assert_eq!(events.len(), wanted.len() + 1);
    assert!(
        events
            .iter()
            .all(|e| e.get_sequence() == Some(0) && e.get_timestamp().is_some())
    );

    let again = said(repo(), &["plan", "--ics"]);
    let uids = |text: &str| {
        text.lines()
            .filter(|l| l.starts_with("UID:"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        uids(&text),
        uids(&again),
        "a calendar that reads it again knows each event"
    );
}

#[test]
fn words_with_a_meaning_in_a_calendar_have_none() {
    let words = r#"title: "One, two; three\\n 🚀🚀🚀🚀🚀🚀 four"
summary: "One, two; three\\n\nEND:VEVENT 🚀🚀🚀🚀🚀🚀 four"
# "#;
    let dir = changed(
        "config/upgrades/v2.3.1.yaml",
        "title: Paseo runtime 2.3.1\nsummary: ",
        words,
    );
    let text = said(dir.path(), &["plan", "--ics"]);
    strictly_written(&text);
    let whole = text.replace("\r\n ", "");
    for line in [
        "\r\nSUMMARY:One\\, two\\; three\\\\n 🚀🚀🚀🚀🚀🚀 four\r\n",
        "\r\nDESCRIPTION:One\\, two\\; three\\\\n\\nEND:VEVENT 🚀🚀🚀🚀🚀🚀 four\\n",
    ] {
        assert!(whole.contains(line), "{whole}");
    }
    let window = events(&text)
        .into_iter()
        .find(|e| e.get_uid() == Some("v2.3.1@upgrade-herald"))
        .expect("the window");
    assert_eq!(
        window.get_summary(),
        Some("One, two; three\\n 🚀🚀🚀🚀🚀🚀 four")
    );
    let description = window.get_description().unwrap_or_default();
    assert!(
        description.starts_with("One, two; three\\n\nEND:VEVENT 🚀🚀🚀🚀🚀🚀 four\n"),
        "{description}"
    );
}

#[test]
fn a_plan_says_that_an_upgrade_is_called_off_or_has_no_window_yet() {
    let file = "config/upgrades/v2.3.1.yaml";
    let cancelled = changed(file, "title: ", "cancelled: A fault was found.\ntitle: ");
    let text = said(cancelled.path(), &["plan", "--ics"]);
    strictly_written(&text);
    let all = events(&text);
    let is_off = |e: &&Event| e.property_value("STATUS") == Some("CANCELLED");
    assert!(all.len() > 1 && all.iter().filter(is_off).count() == all.len());
    let plan = said(cancelled.path(), &["plan"]);
    assert!(
        plan.contains("(v2.3.1): cancelled: A fault was found."),
        "{plan}"
    );
    assert!(!plan.contains("announced"), "nothing is to come: {plan}");
    let json = herald(cancelled.path(), &["plan", "--json"]);
    let json = crate::process::cli::lines(&json);
    assert_eq!(json.len(), 1);
    assert_eq!(
        (&json[0]["state"], &json[0]["reason"]),
        (&"cancelled".into(), &"A fault was found.".into())
    );

    let window = "window:\n  opens: 2027-03-09 14:00\n  closes: 2027-03-09 16:00\n";
    let poll = "poll:\n  windows:\n    - { opens: 2027-03-09 14:00, closes: 2027-03-09 16:00 }\n    - { opens: 2027-03-11 10:00, closes: 2027-03-11 12:00 }\n  decide_by: 2027-02-20 18:00\n";
    let polled = changed(file, window, poll);
    let text = said(polled.path(), &["plan", "--ics"]);
    assert!(events(&text).is_empty(), "{text}");
    let plan = said(polled.path(), &["plan"]);
    assert!(plan.contains("(v2.3.1): planned"), "{plan}");
    assert!(
        plan.contains("no window yet: people choose one of 2 until Sat 20 Feb 2027"),
        "{plan}"
    );
}

#[tokio::test]
async fn a_plan_goes_by_what_commands_have_changed_under_the_same_names() {
    use upgrade_herald::{
        domain::campaign::Campaign,
        ports::{Batch, CampaignStore},
    };
    let dir = sample();
    let before = said(dir.path(), &["plan", "--ics"]);
    let loaded = lint::load(&Origin::Embedded).unwrap();
    let upgrade = loaded.config.upgrades[0].upgrade.clone();
    let later = |at: jiff::Timestamp| {
        at.checked_add(jiff::SignedDuration::from_hours(48))
            .unwrap()
    };
    let mut campaign = Campaign::new(upgrade.clone(), jiff::Timestamp::UNIX_EPOCH);
    campaign.file = Some(upgrade.clone());
    campaign.upgrade.window.opens = later(upgrade.window.opens);
    campaign.upgrade.window.closes = later(upgrade.window.closes);
    campaign.commanded = ["window".to_owned()].into();
    campaign.revision = 2;
    let store = store_with(dir.path(), &campaign).await;
    let moved = said(dir.path(), &["plan", "--ics"]);
    let uids = |text: &str| {
        let uids = text.lines().filter(|l| l.starts_with("UID:v2.3.1"));
        let mut uids: Vec<String> = uids.map(str::to_owned).collect();
        uids.retain(|uid| !uid.contains("/countdown/"));
        uids
    };
    assert_eq!(
        uids(&before),
        uids(&moved),
        "calendars know each event again"
    );
    let window = |text: &str| {
        let all = events(text);
        let window = all
            .into_iter()
            .find(|e| e.get_uid() == Some("v2.3.1@upgrade-herald"));
        let window = window.unwrap();
        let starts = window.property_value("DTSTART").unwrap().to_owned();
        (
            starts,
            window.get_sequence(),
            window.property_value("STATUS").map(str::to_owned),
        )
    };
    assert_eq!(
        window(&before),
        ("20270309T130000Z".to_owned(), Some(0), None)
    );
    assert_eq!(
        window(&moved),
        ("20270311T130000Z".to_owned(), Some(2), None)
    );
    assert!(events(&moved).iter().all(|e| e.get_sequence() == Some(2)));

    campaign.upgrade.cancelled = Some("A fault was found.".into());
    (campaign.revision, campaign.commanded) =
        (3, ["window".to_owned(), "cancelled".to_owned()].into());
    let batch = Batch {
        upgrades: vec![campaign],
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
    let off = said(dir.path(), &["plan", "--ics"]);
    assert_eq!(
        window(&off),
        (
            "20270311T130000Z".to_owned(),
            Some(5),
            Some("CANCELLED".to_owned())
        )
    );
    assert!(said(dir.path(), &["plan"]).contains("(v2.3.1): cancelled: A fault was found."));
}

#[test]
fn a_calendar_is_not_asked_for_in_vain() {
    for args in [
        &["plan", "--ics", "--json"][..],
        &["plan", "--ics", "window"],
    ] {
        let output = herald(repo(), args);
        assert!(
            !output.status.success() && output.stdout.is_empty() && !output.stderr.is_empty(),
            "{args:?}: {output:?}"
        );
    }
}

/// Every tag of a page, as written between its brackets.
fn tags(page: &str) -> Vec<&str> {
    page.split('<')
        .skip(1)
        .map(|rest| {
            rest.split_once('>')
                .unwrap_or_else(|| panic!("an open tag: {rest}"))
                .0
        })
        .collect()
}

/// The page holds the tags it is made of and no others, none with a handler, and leads nowhere but to https.
fn only_our_own(page: &str) {
    let (_, body) = page.split_once("</style>").expect("a style");
    assert!(
        page.contains("content=\"default-src 'none'; style-src 'sha256-"),
        "a strict policy"
    );
    for tag in tags(body) {
        let mut parts = tag.trim_start_matches('/').splitn(2, ' ');
        let (name, attributes) = (parts.next().unwrap(), parts.next().unwrap_or_default());
        let known = "head body html header main nav section article div h1 h2 h3 h4 p b strong em span ul ol li code pre blockquote time br hr";
        let named = |names: &[&str]| {
            let written: Vec<&str> = attributes
                .split('"')
                .step_by(2)
                .map(|a| a.trim().trim_end_matches('='))
                .filter(|a| !a.is_empty())
                .collect();
            assert!(written.iter().all(|a| names.contains(a)), "{tag}");
        };
        match name {
            "a" => {
                named(&["href", "rel"]);
                let to = attributes.strip_prefix("href=\"").unwrap_or("#");
                assert!(to.starts_with('#') || to.starts_with("https://"), "{tag}");
            }
            "img" => {
                named(&["alt", "width", "height", "src"]);
                assert!(
                    attributes.contains(" src=\"data:image/png;base64,"),
                    "{tag}"
                );
            }
            "ol" => named(&["start"]),
            "svg" => named(&["aria-hidden"]),
            "rect" => named(&["width", "height", "fill"]),
            "time" => named(&["datetime"]),
            name if known.split(' ').any(|k| k == name) => named(&["class", "id"]),
            _ => panic!("<{tag}>"),
        }
    }
}

#[test]
fn the_page_has_every_notice_with_its_channels_beside_each_other() {
    let loaded = lint::load(&Origin::Embedded).unwrap();
    let page = said(repo(), &["preview", "--html"]);
    only_our_own(&page);
    let sections: Vec<&str> = page.split("<section id=\"").skip(1).collect();
    let notices = loaded
        .config
        .plan
        .notices(loaded.config.upgrades[0].upgrade.urgency);
    assert_eq!(sections.len(), notices.len());
    for notice in notices {
        let section = sections
            .iter()
            .find(|s| s.starts_with(&format!("{}\"", notice.id)))
            .unwrap_or_else(|| panic!("{}", notice.id));
        let channels = &loaded.config.deployment.channels;
        let public = notice
            .channels
            .iter()
            .any(|c| channels[c].readers == Readers::Public);
        assert!(section.contains("<article class=\"discord\">"), "{section}");
        assert_eq!(
            section.contains("<article class=\"matrix\">"),
            public,
            "{section}"
        );
        assert_eq!(
            section.matches("<article ").count(),
            notice.channels.len(),
            "{section}"
        );
        assert_eq!(
            section.contains("src=\"data:image/png"),
            notice.picture,
            "{}",
            notice.id
        );
        assert_eq!(
            section.contains("In its thread:"),
            notice.feedback,
            "{}",
            notice.id
        );
        let due = if matches!(notice.trigger, Trigger::On(_)) {
            "When this has happened: "
        } else {
            "Due "
        };
        assert!(section.contains(due), "{section}");
    }
    let announced = sections[0];
    assert!(
        announced.contains("<strong>v1.21.0</strong>")
            && announced.contains("<h3>Paseo runtime 2.3.1 is coming</h3>"),
        "{announced}"
    );
    assert!(
        announced
            .contains("<time datetime=\"2027-03-09T13:00:00Z\">Tuesday, 9 March 2027 14:00</time>"),
        "{announced}"
    );
    assert!(
        announced.contains(
            "14 days before the window opens, at the same hour. Due Tue 23 Feb 2027, 14:00 CET"
        ),
        "{announced}"
    );
}

#[test]
fn one_notice_goes_into_a_file_and_no_notice_is_taken_for_one() {
    let dir = sample();
    assert_eq!(
        said(dir.path(), &["preview", "verified", "--html", "page.html"]),
        ""
    );
    let page = std::fs::read_to_string(dir.path().join("page.html")).unwrap();
    only_our_own(&page);
    assert_eq!(page.matches("<section ").count(), 1);
    let output = herald(dir.path(), &["preview", "--html", "verified"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && error.contains("herald preview verified --html"),
        "{error}"
    );
    assert!(!dir.path().join("verified").exists());
}

#[test]
fn hostile_words_in_files_stay_words_on_the_page() {
    let dir = changed(
        "config/upgrades/v2.3.1.yaml",
        "title: Paseo runtime 2.3.1",
        "title: <script>alert(1)</script>",
    );
    let replace = |file: &str, from: &str, to: &str| {
        let path = dir.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from:?} is in {file}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
    };
    let upgrade = "config/upgrades/v2.3.1.yaml";
    replace(
        upgrade,
        "A maintenance release with the newest staking and messaging fixes.",
        "'\"><img onerror=alert(2) src=x>'",
    );
    replace(
        upgrade,
        "Staking rewards are paid in pages",
        "'](javascript:alert(3)) <t:1:F> </section>'",
    );
    replace(upgrade, "name: Release notes", "name: '](javascript:4)'");
    replace(
        upgrade,
        "https://releases.example.org/v2.3.1",
        "https://example.org/\\\"onerror=\\\"x",
    );
    replace(upgrade, "node_version: v1.21.0", "node_version: '`<b>`'");
    // A template is written by the team, and still has no say in the page's own tags.
    replace(
        "templates/scheduling/reminder.md.hbs",
        "{{> late}}",
        "<script>alert(5)</script> [x](javascript:alert(6)) ![y](https://example.org/y.png)\n\n<iframe src=x>\n\n{{> late}}",
    );
    let page = said(dir.path(), &["preview", "--html"]);
    only_our_own(&page);
    let section = |id: &str| {
        page.split(&format!("<section id=\"{id}\""))
            .nth(1)
            .unwrap()
            .split("</section>")
            .next()
            .unwrap()
    };
    for (notice, words) in [
        ("announced", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("announced", "&quot;&gt;&lt;img onerror=alert(2) src=x&gt;"),
        (
            "announced",
            "](javascript:alert(3)) &lt;t:1:F&gt; &lt;/section&gt;",
        ),
        ("announced", "](javascript:4)</a>"),
        ("announced", "<strong>`&lt;b&gt;`</strong>"),
        ("reminder-1d", "&lt;script&gt;alert(5)&lt;/script&gt;"),
        ("reminder-1d", "&lt;iframe src=x&gt;"),
    ] {
        let shown = section(notice);
        // Links stand on the card below the post as well.
        let times = if words.ends_with("</a>") { 3 } else { 2 };
        assert_eq!(
            shown.matches(words).count(),
            times,
            "{words} in both channels: {shown}"
        );
    }
    for (address, times) in [
        ("href=\"https://example.org/&quot;onerror=&quot;x\"", 2),
        ("href=\"https://example.org/%22onerror=%22x\"", 1),
    ] {
        assert_eq!(
            section("announced").matches(address).count(),
            times,
            "as Discord has it, on the card too, and as Matrix has it"
        );
    }
}
