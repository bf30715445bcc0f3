//! The status page, its feeds, its API and what monitors ask for.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use upgrade_herald::{
    domain::{campaign::upgrade::Urgency, outbox::Body},
    ports::Platform,
    report::bulletin::{
        AudienceView, Bulletin, ChainState, DutyView, EntryView, FeedbackView, LinkView, PlaceView,
        Reactions, Readiness, WindowView,
    },
    web::SiteContent,
    words::Zone,
};

use crate::{
    doubles::discord::Options,
    harness::world::{PATIENCE, World, later, now},
    stories::pages,
    support::{DevnetOptions, devnet::blob, installed, repo, wait},
};

const PLAN: &str = "
zone: Europe/Berlin
verification: { healthy_for: 20s, complete_after: 20s, max_block_gap: 60s }
feedback: { open_for: 30s, reactions: [{ emoji: 👍, means: all fine }] }
notices:
  - { id: board, phase: preparation, template: preparation/board, on: planned, board: true }
  - { id: announced, phase: preparation, template: preparation/announced, on: planned }
  - { id: reminder, phase: scheduling, template: scheduling/countdown, at: -30m }
  - { id: rescheduled, phase: scheduling, template: scheduling/rescheduled, on: rescheduled }
  - { id: applied, phase: validation, template: validation/applied, on: applied, feedback: true }
  - { id: verified, phase: validation, template: validation/verified, on: verified, picture: true }
  - { id: completed, phase: post-deployment, template: post-deployment/completed, on: completed }
  - { id: summary, phase: post-deployment, template: post-deployment/feedback-summary, on: feedback_closed }
  - { id: inward, phase: post-deployment, template: operations/review-draft, on: review_drafted, to: operators }
";

/// Where herald says that it serves something.
async fn address(w: &mut World, before: &str) -> Result<String> {
    w.herald.wait_for_output(before, PATIENCE).await?;
    let said = w.herald.stderr();
    let from = said.rfind(before).context("it is said")? + before.len();
    Ok(said[from..]
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .trim_end_matches('/')
        .to_owned())
}

async fn get(address: &str) -> Result<(u16, String)> {
    let answer = reqwest::get(address).await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

/// A page that says this, waited for.
async fn says(address: &str, words: &str) -> Result<String> {
    let find = async || {
        get(address)
            .await
            .ok()
            .filter(|(status, text)| *status == 200 && text.contains(words))
            .map(|(_, text)| text)
    };
    wait::until(&format!("“{words}” at {address}"), PATIENCE, find).await
}

/// An answer of the API is as its description has it.
async fn described(page: &str, path: &str, template: &str) -> Result<Value> {
    let description: Value =
        serde_json::from_str(&get(&format!("{page}/api/v1/openapi.json")).await?.1)?;
    let schema = &description["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]
        ["schema"];
    ensure!(
        schema.is_object(),
        "{template} is described: {description:#}"
    );
    let mut whole = schema.clone();
    whole["components"] = description["components"].clone();
    let answer: Value = serde_json::from_str(&get(&format!("{page}{path}")).await?.1)?;
    let validator = jsonschema::validator_for(&whole)?;
    let wrong: Vec<String> = validator
        .iter_errors(&answer)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    ensure!(wrong.is_empty(), "{path}: {wrong:#?}");
    Ok(answer)
}

fn calendar(text: &str) -> Result<Vec<icalendar::Event>> {
    let read: icalendar::Calendar = text.parse().map_err(|e: String| anyhow::anyhow!(e))?;
    Ok(read
        .components
        .iter()
        .filter_map(|c| c.as_event().cloned())
        .collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_tells_a_whole_upgrade_with_and_without_a_script() -> Result<()> {
    use icalendar::Component;
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 500,
            ..Default::default()
        },
    )
    .await?;
    w.operators().await?;
    let deployment = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
    w.write(
        "herald.yaml",
        &format!("{deployment}web: {{ listen: \"127.0.0.1:0\", operations: \"127.0.0.1:0\" }}\n"),
    )?;
    w.write("plan.yaml", PLAN)?;
    w.start().await?;
    let page = address(&mut w, "the page is at ").await?;
    let monitors = address(&mut w, "/metrics at ").await?;
    says(&page, "Nothing is planned").await?;

    // Announced: it stands there with its notices, those to come among them; and nothing of what is for operators.
    let opens = later(now(), 3_600);
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(opens))?;
    says(&page, "Devnet runtime 2 is coming").await?;
    says(&page, "planned</span>").await?;
    // one chat may get the notice a moment after the other
    says(&page, "discord.com/channels").await?;
    let front = says(&page, "matrix.to").await?;
    for words in [
        "scheduled",
        "Update your node.",
        "action needed",
        "matrix.to",
        "discord.com/channels",
        "aria-current",
    ] {
        ensure!(front.contains(words), "{words}: {front}");
    }
    ensure!(
        !front.contains("inward") && !front.contains("ops-"),
        "{front}"
    );
    let events = calendar(&get(&format!("{page}/calendar.ics")).await?.1)?;
    let (uid, sequence) = (
        events[0].get_uid().map(str::to_owned),
        events[0].get_sequence(),
    );
    ensure!(
        events.len() == 1 && uid.is_some() && sequence == Some(0),
        "{events:?}"
    );

    let mut figures = get(&format!("{monitors}/metrics")).await?.1;

    // What is there already isn't sent again; what isn't there is said so; nothing can be ordered.
    let client = reqwest::Client::new();
    let whole = client.get(&page).send().await?;
    let policy = whole.headers()["content-security-policy"]
        .to_str()?
        .to_owned();
    ensure!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    wait::until("it is known already", PATIENCE, async || {
        let tag = client
            .get(&page)
            .send()
            .await
            .ok()?
            .headers()
            .get("etag")?
            .clone();
        let again = client.get(&page).header("if-none-match", tag);
        (again.send().await.ok()?.status() == 304).then_some(())
    })
    .await?;
    ensure!(
        get(&format!("{page}/upgrades/else")).await?.0 == 404
            && client.post(&page).send().await?.status() == 405,
        "neither"
    );
    ensure!(
        get(&format!("{page}/metrics")).await?.0 == 404,
        "monitors have an address of their own"
    );

    // The window moves: the same event, changed.
    let moved = later(opens, 1_800);
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(moved))?;
    says(&page, "It was moved once").await?;
    let events = calendar(&get(&format!("{page}/calendar.ics")).await?.1)?;
    ensure!(
        events.len() == 1
            && events[0].get_uid() == uid.as_deref()
            && events[0].get_sequence() > sequence,
        "{events:?}"
    );

    // Somebody has the page open when it happens, in another zone, and sees it without reloading.
    let chromium =
        std::env::var_os("HERALD_TEST_CHROMIUM").unwrap_or_else(|| "/usr/bin/chromium".into());
    let watching = std::path::Path::new(&chromium).exists().then(|| {
        let mut node = tokio::process::Command::new("node");
        node.arg(repo().join("tests/browser/live.mjs"))
            .args([&page, &pages::folder().to_string_lossy().into_owned()]);
        node.args(["page", "applied, being verified"])
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true);
        let at = installed("HERALD_TEST_BROWSER")?;
        anyhow::Ok(
            node.env("HERALD_TEST_CHROMIUM", &chromium)
                .env("HERALD_TEST_BROWSER", at)
                .spawn()?,
        )
    });
    let mut watching = watching.transpose()?;
    let lines = watching
        .as_mut()
        .and_then(|node| node.stdout.take())
        .map(|out| BufReader::new(out).lines());
    let mut lines = lines;
    if let Some(lines) = &mut lines {
        let opened: Value = serde_json::from_str(
            &tokio::time::timeout(5 * PATIENCE, lines.next_line())
                .await??
                .context("it opens")?,
        )?;
        ensure!(
            opened["time"]
                .as_str()
                .is_some_and(|t| t.contains("GMT+5:30") || t.contains("IST")),
            "its reader's own zone: {opened}"
        );
    }
    w.chain.authorize(&blob("mini-1000002")).await?;
    w.chain.apply(&blob("mini-1000002")).await?;
    if let Some(lines) = &mut lines {
        let seen = tokio::time::timeout(Duration::from_secs(600), lines.next_line())
            .await??
            .context("it sees it")?;
        let seen: Value = serde_json::from_str(&seen)?;
        ensure!(
            seen[0]["loads"] == 1 && seen[0]["said"] == serde_json::json!([]),
            "{seen:#}"
        );
        ensure!(
            seen[0]["news"].as_str().is_some_and(|n| !n.is_empty()) && seen[0]["open"] == 1,
            "said aloud, and left open: {seen:#}"
        );
    }

    figures.push_str(&get(&format!("{monitors}/metrics")).await?.1);

    // Verified, with its picture; then over, with what people said; its address stays.
    let at = format!("{page}/upgrades/v2");
    says(&at, "block-times.png").await?;
    let picture = client.get(format!("{at}/block-times.png")).send().await?;
    ensure!(
        picture.headers()["content-type"] == "image/png"
            && picture.bytes().await?.starts_with(b"\x89PNG"),
        "a picture"
    );
    if let Some(views) = pages::browse(
        "look.mjs",
        &[
            &page,
            &pages::folder().to_string_lossy(),
            "page",
            "noscript",
        ],
    )? {
        ensure!(views.len() == 6, "{views:#?}");
        for view in &views {
            pages::is_good(view)?;
            let text = view["text"].as_str().unwrap_or_default();
            ensure!(
                text.contains("Devnet runtime 2") && text.contains("What was said, and what comes"),
                "{view:#}"
            );
            ensure!(view["pictures"] == 1, "{view:#}");
        }
    }
    says(&at, "How it went for you").await?;
    says(&at, "<table>").await?;
    says(
        &format!("{page}/api/v1/upgrades/v2"),
        "\"state\":\"completed\"",
    )
    .await?;
    says(&format!("{page}/feed.atom"), "what you told us").await?;
    says(&format!("{page}/feed.atom"), "Devnet runtime 2: completed").await?;
    let both = async || {
        let whole = described(&page, "/api/v1/upgrades", "/api/v1/upgrades").await;
        let one = described(&page, "/api/v1/upgrades/v2", "/api/v1/upgrades/{id}").await;
        match (whole, one) {
            // The site's content changed between the two.
            (Ok(whole), Ok(one)) if whole["upgrades"][0] != one => None,
            (whole, one) => Some(whole.and(one)),
        }
    };
    let one = wait::until("the same in the list and alone", PATIENCE, both).await??;
    ensure!(
        one["state"] == "completed" && one["under_way"] == false,
        "{one:#}"
    );
    ensure!(
        one["chains"][0]["runs"] == 1_000_002 && one["feedback"]["replies"] == 0,
        "{one:#}"
    );

    // The feed has each notice once, the newest first, under an id that stays.
    let feed = feed_rs::parser::parse(get(&format!("{page}/feed.atom")).await?.1.as_bytes())?;
    let titles: Vec<&str> = feed
        .entries
        .iter()
        .filter_map(|e| e.title.as_ref())
        .map(|t| t.content.as_str())
        .collect();
    ensure!(
        titles.len() >= 6 && titles.last().is_some_and(|t| t.ends_with("is coming")),
        "{titles:?}"
    );
    let ids: BTreeSet<&str> = feed.entries.iter().map(|e| e.id.as_str()).collect();
    ensure!(
        ids.len() == titles.len()
            && feed
                .entries
                .iter()
                .all(|e| e.content.as_ref().is_some_and(|c| c.body.is_some())),
        "{feed:#?}"
    );
    ensure!(
        feed.entries
            .windows(2)
            .all(|two| two[0].published >= two[1].published),
        "the newest first"
    );

    // Monitors: figures that a parser reads; what is wrong in words, and well again.
    figures.push_str(&get(&format!("{monitors}/metrics")).await?.1);
    for figure in [
        "herald_active 1",
        "herald_posts{channel=\"discord\",operation=\"post\",state=\"sent\"}",
        "herald_post_lateness_seconds_bucket",
        "herald_chain_block{chain=\"devnet\"}",
        "herald_endpoint_answers{chain=\"devnet\"",
    ] {
        ensure!(figures.contains(figure), "{figure}: {figures}");
    }
    ensure!(figures.ends_with("# EOF\n"), "{figures}");
    ensure!(
        get(&format!("{monitors}/healthz")).await? == (200, "active\n".into()),
        "it lives"
    );
    w.discord.set_permissions(0);
    w.write(
        "upgrades/v3.yaml",
        &crate::stories::story::upgrade(later(now(), 7_200))
            .replace("id: v2", "id: v3")
            .replace("1000002", "1000003"),
    )?;
    wait::until("it isn't ready, and says why", PATIENCE, async || {
        get(&format!("{monitors}/readyz"))
            .await
            .ok()
            .filter(|(s, text)| {
                *s == 503 && text.contains("channel discord") && text.contains("allow its role")
            })
            .map(drop)
    })
    .await?;

    figures.push_str(&get(&format!("{monitors}/metrics")).await?.1);
    watched_for(&figures)?;

    // Told to stop, it ends although somebody follows.
    let mut following = client.get(format!("{page}/events")).send().await?;
    let told = following.chunk().await?.context("an edition")?;
    ensure!(
        String::from_utf8_lossy(&told).contains("event: edition"),
        "{told:?}"
    );
    w.herald.sigterm();
    ensure!(w.herald.wait(PATIENCE).await? == 0, "it stops when told");
    Ok(())
}

/// Whatever the alerts and the dashboard ask for is there.
fn watched_for(figures: &str) -> Result<()> {
    for file in ["packaging/alerts.yml", "packaging/dashboard.json"] {
        let text = std::fs::read_to_string(repo().join(file))?;
        let names: BTreeSet<&str> = text
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("herald_"))
            .collect();
        ensure!(names.len() >= 6, "{file}: {names:?}");
        for name in names {
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(name);
            ensure!(
                figures.contains(&format!("# TYPE {base} ")),
                "{file} asks for {name}, which is not there"
            );
        }
    }
    Ok(())
}

// --- texts that want out ---------------------------------------------------------------------

/// Sixty texts with a meaning in HTML, XML, JSON, calendars, addresses or on a screen.
fn hostile() -> Vec<String> {
    let run = "hostile()";
    let mut all: Vec<String> = [
        "<script>@</script>",
        "</title><script>@</script>",
        "\"><script>@</script>",
        "'><script>@</script>",
        "<img src=x onerror=@>",
        "<svg onload=@>",
        "<svg><script>@</script></svg>",
        "<math><mtext></mtext><script>@</script></math>",
        "<iframe srcdoc=\"<script>parent.@</script>\">",
        "<body onload=@>",
        "<details open ontoggle=@>",
        "<input autofocus onfocus=@>",
        "<video><source onerror=@>",
        "<a href=\"javascript:@\">x</a>",
        "<object data=\"javascript:@\">",
        "<embed src=\"javascript:@\">",
        "<base href=\"https://evil.example/\">",
        "<link rel=stylesheet href=//evil.example/a.css>",
        "<meta http-equiv=refresh content=\"0;url=https://evil.example/\">",
        "<style>*{display:none}</style>",
        "<form action=https://evil.example><button>x",
        "</bdi></section></main><script>@</script>",
        "--><script>@</script>",
        "<!--",
        "<![CDATA[<script>@</script>]]>",
        "]]><script>@</script>",
        "<?xml version=\"1.0\"?>",
        "<!DOCTYPE html>",
        "<!ENTITY x SYSTEM \"file:///etc/passwd\">",
        "&lt;script&gt;@&lt;/script&gt;",
        "&#60;script&#62;@",
        "&amp;",
        "& < > \" '",
        "\" onmouseover=\"@",
        "' onmouseover='@",
        "x\" style=\"position:fixed;inset:0\" y=\"",
        "`@`",
        "${@}",
        "{{@}}",
        "{{{this}}}",
        "<%= @ %>",
        "\\\"};@;//",
        "\\u003cscript\\u003e@",
        "javascript:@",
        "data:text/html,<script>@</script>",
        "[x](javascript:@)",
        "![x](https://evil.example/x.png)",
        "<https://evil.example/>",
        "**bold** _it_ `code` # not a title",
        "\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:evil",
        "a;b,c:d\\n\\,\\;",
        "\nATTACH:https://evil.example/x",
        "\u{202e}drawkcab\u{202c}",
        "\u{0}\u{1}\u{b}\u{1b}[31m\u{7f}",
        "\u{fffe}\u{ffff}\u{85}\u{2028}\u{2029}",
        "\u{feff}bom \u{200b}zero\u{200d}width",
        "🚀👩‍👩‍👧‍👦 ünïcödé العربية",
        "@everyone <@&1> <@1> @room",
        "%3Cscript%3E@%3C/script%3E",
        "../../etc/passwd?x=#y",
    ]
    .iter()
    .map(|text| text.replace('@', run))
    .collect();
    all.sort();
    all
}

/// An upgrade that says one text wherever it can say anything.
fn saying(text: &str) -> Bulletin {
    let at: Timestamp = "2027-03-09T13:00:00Z".parse().expect("a time");
    let own = || text.to_owned();
    let html = format!("<h2>{text}</h2>\n<p>{text}</p>");
    let said = |platform, body: Body| EntryView {
        key: format!("{platform:?}"),
        notice: own(),
        phase: "preparation",
        title: own(),
        posted: true,
        at,
        changed: None,
        text: Some(own()),
        places: vec![PlaceView {
            channel: own(),
            platform: "discord",
            link: Some(format!("https://example.org/{text}")),
        }],
        body: Some((platform, body)),
    };
    let reactions = || {
        vec![Reactions {
            emoji: own(),
            meaning: own(),
            count: 3,
        }]
    };
    Bulletin {
        id: "v1".into(),
        title: own(),
        summary: own(),
        urgency: Urgency::Routine,
        state: "failed",
        reason: Some(own()),
        no_go: Some(own()),
        under_way: true,
        window: WindowView {
            opens: at,
            closes: at,
            set: true,
            moved: 2,
        },
        chains: vec![ChainState {
            name: own(),
            stage: "applied",
            runs: Some(1),
            target: 2,
            applied_in: Some(3),
            migration: Some((1, Some(2))),
        }],
        duties: vec![DutyView {
            audience: "validators",
            required: true,
            what: own(),
            node_version: Some(own()),
            by: Some(at),
        }],
        changes: vec![own()],
        links: vec![
            LinkView {
                name: own(),
                url: format!("https://example.org/{text}"),
            },
            LinkView {
                name: own(),
                url: own(),
            },
        ],
        readiness: Some(Readiness {
            of: 3,
            acknowledged: 2,
            ready: 1,
        }),
        feedback: Some(FeedbackView {
            replies: 1,
            reactions: reactions(),
            audiences: vec![AudienceView {
                audience: None,
                replies: 1,
                reactions: reactions(),
            }],
        }),
        feedback_closes: Some(at),
        timeline: vec![
            said(
                Platform::Matrix,
                Body {
                    text: own(),
                    html: Some(html),
                    ..Body::default()
                },
            ),
            said(
                Platform::Discord,
                Body {
                    text: own(),
                    ..Body::default()
                },
            ),
        ],
        pictured: false,
        sequence: 3,
        accepted: at,
        picture: None,
        unplanned: false,
        colour: 0,
    }
}

#[test]
fn nothing_that_anybody_writes_gets_out_of_its_place_in_page_feed_calendar_or_api() -> Result<()> {
    use icalendar::Component;
    let texts = hostile();
    ensure!(texts.len() == 60, "{}", texts.len());
    let zone = Zone(jiff::tz::TimeZone::UTC);
    let at: Timestamp = "2027-01-01T00:00:00Z".parse()?;
    let dir = tempfile::tempdir()?;
    let mut escapes = Vec::new();
    for (i, text) in texts
        .iter()
        .enumerate()
        .map(|(i, text)| (format!("{i:02}"), text.as_str()))
        .chain([("benign".to_owned(), "benign")])
    {
        let bulletin = saying(text);
        let edition = SiteContent::write(
            vec![bulletin.clone()],
            text,
            "https://example.org/",
            &zone,
            at,
        );
        let read = |path: &str| {
            edition
                .read(path)
                .map(|(_, bytes)| bytes.to_vec())
                .context("it is there")
        };
        std::fs::write(dir.path().join(format!("{i}.html")), read("/upgrades/v1")?)?;
        // The feed: two entries, whose titles are the text, as far as XML can write it.
        let feed = feed_rs::parser::parse(&read("/feed.atom")?[..])
            .with_context(|| format!("{text:?}"))?;
        if feed.entries.len() != 2
            || feed
                .links
                .iter()
                .any(|l| !l.href.starts_with("https://example.org/"))
        {
            escapes.push(format!("feed: {text:?} {feed:#?}"));
        }
        // The calendar: one event, which says all of it.
        let events = calendar(&String::from_utf8(read("/calendar.ics")?)?)?;
        if events.len() != 1
            || events[0].get_uid() != Some("v1@upgrade-herald")
            || events[0].property_value("ATTACH").is_some()
        {
            escapes.push(format!("calendar: {text:?} {events:#?}"));
        }
        let api: Value = serde_json::from_slice(&read("/api/v1/upgrades/v1")?)?;
        if api["title"] != text || api["timeline"][0]["text"] != text {
            escapes.push(format!("api: {text:?} {api:#}"));
        }
    }
    if let Some(pages) = pages::browse("hostile.mjs", &[&dir.path().to_string_lossy()])? {
        let of = |file: &str| {
            pages
                .iter()
                .find(|p| p["file"] == file)
                .cloned()
                .unwrap_or_default()
        };
        let wanted = of("benign.html");
        ensure!(
            pages.len() == 61 && wanted["shape"].as_str().is_some_and(|s| s.len() > 1_000),
            "{wanted:#}"
        );
        // What words may be made of; links are looked at one by one.
        let harmless = [
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "p",
            "div",
            "ul",
            "ol",
            "li",
            "strong",
            "em",
            "code",
            "pre",
            "a",
            "blockquote",
            "br",
            "time",
            "span",
        ];
        for page in &pages {
            let words = page["words"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            let strange: Vec<&str> = words
                .filter(|w| {
                    !w.split('[')
                        .next()
                        .is_some_and(|tag| harmless.contains(&tag))
                        || w.contains("on") && w.contains("[on")
                })
                .collect();
            let still = page["ran"] == 0
                && page["asked"] == serde_json::json!([])
                && page["links"] == serde_json::json!([]);
            // An address that isn't one makes no link, so that place alone may differ.
            if !still || !strange.is_empty() || page["shape"] != wanted["shape"] {
                escapes.push(format!("page: {page:#} {strange:?}"));
            }
        }
    }
    println!(
        "{{\"texts\":{},\"escapes\":{}}}",
        texts.len(),
        escapes.len()
    );
    ensure!(escapes.is_empty(), "{escapes:#?}");
    Ok(())
}
