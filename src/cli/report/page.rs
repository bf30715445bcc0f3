//! The review as one page: no script, and nothing from outside.

use std::collections::BTreeMap;

use jiff::Timestamp;
use maud::{Markup, html};

use crate::{
    cli::page::document,
    domain::{
        campaign::Campaign,
        chain::{block_times::Stretch, fact::Fact},
        people::feedback::FeedbackCount,
    },
    report::{ActRow, ChainRow, ProviderRow, Report, Row, punctuality},
    words::{Zone, context, html_preview::base64, picture},
};

const PAGE_CSS: &str = include_str!("page.css");
/// The length of a chart's longest bar.
const MAX_BAR_WIDTH: i64 = 420;
/// Posts that are later than this stand out.
const LATE_SECONDS: i64 = 60;

/// Draws the whole page.
pub fn write(report: &Report, campaign: &Campaign, zone: &Zone) -> String {
    let body = html! {
        header {
            h1 { (report.title) ": review" }
            p {
                (report.upgrade) " (" (report.urgency) ") is " strong { (report.state) } ". The window: "
                (zone.written(report.opens)) " to " (zone.written(report.closes)) "."
            }
        }
        main {
            (posts(report, zone))
            (chains(report, campaign, zone))
            (incidents(report, zone))
            (readiness(report, zone))
            (feedback(report))
            (decisions(report, zone))
            (checklist(report, zone))
        }
    };
    document(&format!("{}: review", report.title), PAGE_CSS, &body)
}

fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [Markup; N]>) -> Markup {
    html! {
        div class="wide" tabindex="0" {
            table {
                thead { tr { @for name in head { th scope="col" { (name) } } } }
                tbody { @for row in rows { tr { @for cell in row { td { (cell) } } } } }
            }
        }
    }
}

fn cell(text: impl maud::Render) -> Markup {
    html! { (text) }
}

/// One bar of a chart.
struct Bar {
    name: String,
    value: i64,
    shown: String,
    late: bool,
}

/// Draws bars with their names and values; the picture says nothing that the words beside it don't.
fn bars(label: &str, bars: &[Bar]) -> Markup {
    let longest = bars.iter().map(|b| b.value).max().unwrap_or(0).max(1);
    let height = 22 * bars.len();
    html! {
        svg role="img" aria-label=(label) viewBox=(format!("0 0 760 {height}")) width="760" height=(height) {
            @for (i, bar) in bars.iter().enumerate() {
                @let width = (bar.value * MAX_BAR_WIDTH / longest).max(1);
                text x="0" y=(22 * i + 15) { (bar.name) }
                rect class=(if bar.late { "late" } else { "bar" }) x="240" y=(22 * i + 4) width=(width) height="14" {}
                text x=(246 + width) y=(22 * i + 15) { (bar.shown) }
            }
        }
    }
}

fn posts(report: &Report, zone: &Zone) -> Markup {
    let mut worst: BTreeMap<&str, i64> = BTreeMap::new();
    for row in &report.posts {
        if let Some(late) = row.late_s {
            let known = worst.entry(&row.notice).or_default();
            *known = (*known).max(late);
        }
    }
    let lateness = worst.into_iter().map(|(name, seconds)| Bar {
        name: name.to_owned(),
        value: seconds,
        shown: format!("{seconds} s"),
        late: seconds > LATE_SECONDS,
    });
    html! {
        h2 { "Plan against actual" }
        p { (punctuality(&report.posts).words()) }
        (bars("Seconds from when each notice was due to when its last post was out; the table below has them", &lateness.collect::<Vec<_>>()))
        (table(
            ["Notice", "Phase", "Channel", "Due", "Late by", "State"],
            report.posts.iter().map(|row| post_row(row, zone)),
        ))
    }
}

fn post_row(row: &Row, zone: &Zone) -> [Markup; 6] {
    let link = row.link.as_ref().filter(|l| l.starts_with("https://"));
    let reason = row.reason.as_ref().filter(|_| row.state != "sent");
    [
        html! {
            @if let Some(link) = link {
                a rel="noreferrer" href=(link) { (row.notice) }
            } @else {
                (row.notice)
            }
        },
        cell(row.phase),
        cell(&row.channel),
        cell(zone.written(row.due)),
        cell(row.late_s.map_or("—".to_owned(), |s| format!("{s} s"))),
        html! { (row.state) @if let Some(reason) = reason { ": " (reason) } },
    ]
}

fn chains(report: &Report, campaign: &Campaign, zone: &Zone) -> Markup {
    let proof = |p: Option<(u64, Option<Timestamp>)>| {
        html! {
            @if let Some((block, at)) = p {
                "block " (block) @if let Some(at) = at { ", " (zone.written(at)) }
            } @else { "—" }
        }
    };
    let mean = |s: &Option<Stretch>| {
        let mean = s.as_ref().and_then(|s| s.mean());
        mean.map_or("—".to_owned(), |m| format!("{m:.1} s"))
    };
    let row = |c: &ChainRow| {
        [
            cell(&c.chain),
            cell(c.target),
            cell(c.runs.map_or("—".to_owned(), |v| v.to_string())),
            cell(c.stage.name()),
            proof(c.authorized),
            proof(c.applied),
            cell(format!("{} / {}", mean(&c.before), mean(&c.after))),
        ]
    };
    let head = [
        "Chain",
        "Target",
        "Runs",
        "Stage",
        "Authorized",
        "Applied",
        "Block time before / after",
    ];
    html! {
        h2 { "Chains" }
        (table(head, report.chains.iter().map(row)))
        @if let Some(times) = context::pictured(&campaign.progress) {
            @let picture = picture::block_times(&times);
            p { img alt=(picture.alt) src={ "data:image/png;base64," (base64(&picture.png)) }; }
        }
    }
}

fn incidents(report: &Report, zone: &Zone) -> Markup {
    let row = |f: &Fact| {
        [
            cell(f.kind().name().replace('_', " ")),
            cell(&f.chain),
            cell(f.block),
            cell(f.time.map_or("—".to_owned(), |at| zone.written(at))),
            cell(f.detail()),
        ]
    };
    html! {
        h2 { "Incidents" }
        @if report.incidents.is_empty() {
            p { "None." }
        } @else {
            (table(["What", "Chain", "Block", "When", "Detail"], report.incidents.iter().map(row)))
        }
    }
}

fn readiness(report: &Report, zone: &Zone) -> Markup {
    let time = |at: Option<Timestamp>| cell(at.map_or("no".to_owned(), |at| zone.written(at)));
    let row = |r: &ProviderRow| {
        [
            cell(&r.name),
            time(r.acknowledged),
            time(r.ready),
            html! { (r.ready_nodes) " of " (r.nodes) },
        ]
    };
    let head = [
        "Provider",
        "Answered the last notice that asks",
        "Ready",
        "Nodes ready",
    ];
    html! {
        @if !report.readiness.is_empty() {
            h2 { "Readiness" }
            (table(head, report.readiness.iter().map(row)))
        }
    }
}

fn feedback(report: &Report) -> Markup {
    let counts = |label: &str, counts: &[FeedbackCount]| {
        let counts = counts.iter().map(|c| Bar {
            name: format!("{} {}", c.emoji, c.meaning),
            value: c.count.into(),
            shown: c.count.to_string(),
            late: false,
        });
        bars(label, &counts.collect::<Vec<_>>())
    };
    html! {
        h2 { "Feedback" }
        @if let Some(feedback) = &report.feedback {
            (counts("Reactions; each person counts once", &feedback.reactions))
            p { (feedback.replies) " replies." }
            @for of in &feedback.audiences {
                @let who = of.audience.map_or("not listed", |a| a.name());
                h3 { (who) }
                (counts(&format!("Reactions of {who}"), &of.reactions))
            }
            @for quote in &feedback.quotes { blockquote { (quote.text) } }
        } @else {
            p { "Not counted yet." }
        }
    }
}

fn decisions(report: &Report, zone: &Zone) -> Markup {
    let row = |r: &ActRow| {
        [
            cell(zone.written(r.at)),
            cell(&r.act.who),
            cell(&r.act.place),
            cell(&r.act.what),
            cell(&r.act.outcome),
        ]
    };
    html! {
        h2 { "Decisions" }
        (table(["When", "Who", "Where", "What", "Outcome"], report.acts.iter().map(row)))
    }
}

fn checklist(report: &Report, zone: &Zone) -> Markup {
    let done = report.done.iter().map(|(item, tick)| {
        [
            cell(&item.item),
            cell(&item.text),
            html! { "done: " (tick.by) ", " (zone.written(tick.at)) },
        ]
    });
    let open = report.open.iter().map(|item| {
        [
            cell(&item.item),
            cell(&item.text),
            html! { "open: " (item.role.people()) },
        ]
    });
    html! {
        h2 { "Checklist" }
        (table(["Step", "What", "State"], done.chain(open)))
    }
}
