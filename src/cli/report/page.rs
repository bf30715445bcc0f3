//! The review as one page: no script, nothing from outside, and nothing in it that wasn't escaped.

use std::fmt::Write as _;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{
    domain::{campaign::Campaign, people::feedback::FeedbackCount},
    report::{Punctuality, Report, punctuality},
    words::{
        Zone, context,
        html_preview::{base64, escape},
        picture,
    },
};

const STYLE: &str = include_str!("page.css");
/// Of a chart's longest bar.
const WIDEST: i64 = 420;

/// The whole page.
pub fn write(report: &Report, campaign: &Campaign, zone: &Zone) -> String {
    let style = base64(&Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; form-action 'none'"
    );
    let title = escape(&report.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}: review</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}: review</h1>\n<p>{} ({}) is <strong>{}</strong>. The window: {} to {}.</p>\n</header>\n<main>\n",
        escape(&report.upgrade),
        report.urgency,
        report.state,
        escape(&zone.written(report.opens)),
        escape(&zone.written(report.closes)),
    );
    posts(&mut out, report, zone);
    chains(&mut out, report, campaign, zone);
    people(&mut out, report, zone);
    out.push_str("</main>\n</body>\n</html>");
    out
}

fn table(out: &mut String, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let cells = |cells: &[String], tag: &str| {
        cells
            .iter()
            .map(|c| format!("<{tag}>{c}</{tag}>"))
            .collect::<String>()
    };
    let head: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
    let _ = writeln!(
        out,
        "<div class=\"wide\" tabindex=\"0\"><table><thead><tr>{}</tr></thead><tbody>",
        cells(&head, "th scope=\"col\"").replace("</th scope=\"col\">", "</th>")
    );
    rows.for_each(|row| out.push_str(&format!("<tr>{}</tr>\n", cells(&row, "td"))));
    out.push_str("</tbody></table></div>\n");
}

/// Bars with their names and values; the picture says nothing that the words beside it don't.
fn bars(out: &mut String, label: &str, bars: &[(String, i64, String, bool)]) {
    let longest = bars.iter().map(|b| b.1).max().unwrap_or(0).max(1);
    let height = 22 * bars.len();
    let _ = writeln!(
        out,
        "<svg role=\"img\" aria-label=\"{}\" viewBox=\"0 0 760 {height}\" width=\"760\" height=\"{height}\">",
        escape(label)
    );
    for (i, (name, value, shown, late)) in bars.iter().enumerate() {
        let (y, width) = (22 * i, (value * WIDEST / longest).max(1));
        let class = if *late { "late" } else { "bar" };
        let _ = writeln!(
            out,
            "<text x=\"0\" y=\"{}\">{}</text><rect class=\"{class}\" x=\"240\" y=\"{}\" width=\"{width}\" height=\"14\"/><text x=\"{}\" y=\"{}\">{}</text>",
            y + 15,
            escape(name),
            y + 4,
            246 + width,
            y + 15,
            escape(shown)
        );
    }
    out.push_str("</svg>\n");
}

fn posts(out: &mut String, report: &Report, zone: &Zone) {
    let Punctuality {
        posted,
        late,
        median_s,
        worst_s,
        missing,
    } = punctuality(&report.posts);
    let _ = writeln!(
        out,
        "<h2>Plan against actual</h2>\n<p>{posted} posts, {late} of them more than a minute late; half within {median_s} s of their time, the last within {worst_s} s. {missing} were never posted.</p>"
    );
    let mut worst: std::collections::BTreeMap<&str, i64> = std::collections::BTreeMap::new();
    for row in &report.posts {
        if let Some(late) = row.late_s {
            let known = worst.entry(&row.notice).or_default();
            *known = (*known).max(late);
        }
    }
    let lateness: Vec<_> = worst
        .into_iter()
        .map(|(name, s)| (name.to_owned(), s, format!("{s} s"), s > 60))
        .collect();
    bars(
        out,
        "Seconds from when each notice was due to when its last post was out; the table below has them",
        &lateness,
    );
    let row = |r: &crate::report::Row| {
        let link = r.link.as_ref().filter(|l| l.starts_with("https://"));
        let name = link.map_or(escape(&r.notice), |l| {
            format!(
                "<a rel=\"noreferrer\" href=\"{}\">{}</a>",
                escape(l),
                escape(&r.notice)
            )
        });
        let late = r.late_s.map_or("—".to_owned(), |s| format!("{s} s"));
        let reason = r
            .reason
            .as_ref()
            .filter(|_| r.state != "sent")
            .map(|r| format!(": {}", escape(r)))
            .unwrap_or_default();
        vec![
            name,
            r.phase.to_owned(),
            escape(&r.channel),
            escape(&zone.written(r.due)),
            late,
            format!("{}{reason}", r.state),
        ]
    };
    table(
        out,
        &["Notice", "Phase", "Channel", "Due", "Late by", "State"],
        report.posts.iter().map(row),
    );
}

fn chains(out: &mut String, report: &Report, campaign: &Campaign, zone: &Zone) {
    out.push_str("<h2>Chains</h2>\n");
    let proof = |p: Option<(u64, Option<Timestamp>)>| {
        p.map_or("—".to_owned(), |(block, at)| {
            format!(
                "block {block}{}",
                at.map(|at| format!(", {}", escape(&zone.written(at))))
                    .unwrap_or_default()
            )
        })
    };
    let mean = |s: &Option<crate::domain::chain::block_times::Stretch>| {
        s.as_ref()
            .and_then(|s| s.mean())
            .map_or("—".to_owned(), |m| format!("{m:.1} s"))
    };
    let row = |c: &crate::report::ChainRow| {
        vec![
            escape(&c.chain),
            c.target.to_string(),
            c.runs.map_or("—".to_owned(), |v| v.to_string()),
            c.stage.name().to_owned(),
            proof(c.authorized),
            proof(c.applied),
            format!("{} / {}", mean(&c.before), mean(&c.after)),
        ]
    };
    table(
        out,
        &[
            "Chain",
            "Target",
            "Runs",
            "Stage",
            "Authorized",
            "Applied",
            "Block time before / after",
        ],
        report.chains.iter().map(row),
    );
    if let Some(times) = context::pictured(&campaign.progress) {
        let picture = picture::block_times(&times);
        let _ = writeln!(
            out,
            "<p><img alt=\"{}\" src=\"data:image/png;base64,{}\"></p>",
            escape(&picture.alt),
            base64(&picture.png)
        );
    }
    out.push_str("<h2>Incidents</h2>\n");
    if report.incidents.is_empty() {
        out.push_str("<p>None.</p>\n");
    } else {
        let row = |f: &crate::domain::chain::fact::Fact| {
            let at = f
                .time
                .map_or("—".to_owned(), |at| escape(&zone.written(at)));
            vec![
                f.kind().name().replace('_', " "),
                escape(&f.chain),
                f.block.to_string(),
                at,
                escape(&f.detail()),
            ]
        };
        table(
            out,
            &["What", "Chain", "Block", "When", "Detail"],
            report.incidents.iter().map(row),
        );
    }
}

fn counted(out: &mut String, label: &str, counts: &[FeedbackCount]) {
    let of = |c: &FeedbackCount| {
        (
            format!("{} {}", c.emoji, c.meaning),
            i64::from(c.count),
            c.count.to_string(),
            false,
        )
    };
    bars(out, label, &counts.iter().map(of).collect::<Vec<_>>());
}

fn people(out: &mut String, report: &Report, zone: &Zone) {
    if !report.readiness.is_empty() {
        out.push_str("<h2>Readiness</h2>\n");
        let at = |at: Option<Timestamp>| at.map_or("no".to_owned(), |at| escape(&zone.written(at)));
        let row = |r: &crate::report::ProviderRow| {
            vec![
                escape(&r.name),
                at(r.acknowledged),
                at(r.ready),
                format!("{} of {}", r.ready_nodes, r.nodes),
            ]
        };
        table(
            out,
            &[
                "Provider",
                "Answered the last notice that asks",
                "Ready",
                "Nodes ready",
            ],
            report.readiness.iter().map(row),
        );
    }
    out.push_str("<h2>Feedback</h2>\n");
    match &report.feedback {
        None => out.push_str("<p>Not counted yet.</p>\n"),
        Some(feedback) => {
            counted(
                out,
                "Reactions; each person counts once",
                &feedback.reactions,
            );
            let _ = writeln!(out, "<p>{} replies.</p>", feedback.replies);
            for of in &feedback.audiences {
                let who = of.audience.map_or("not listed", |a| a.name());
                let _ = writeln!(out, "<h3>{who}</h3>");
                counted(out, &format!("Reactions of {who}"), &of.reactions);
            }
            for quote in &feedback.quotes {
                let _ = writeln!(out, "<blockquote>{}</blockquote>", escape(&quote.text));
            }
        }
    }
    out.push_str("<h2>Decisions</h2>\n");
    let row = |r: &crate::report::ActRow| {
        vec![
            escape(&zone.written(r.at)),
            escape(&r.act.who),
            escape(&r.act.place),
            escape(&r.act.what),
            escape(&r.act.outcome),
        ]
    };
    table(
        out,
        &["When", "Who", "Where", "What", "Outcome"],
        report.acts.iter().map(row),
    );
    out.push_str("<h2>Checklist</h2>\n");
    let done = report.done.iter().map(|(i, t)| {
        vec![
            escape(&i.item),
            escape(&i.text),
            format!("done: {}, {}", escape(&t.by), escape(&zone.written(t.at))),
        ]
    });
    let open = report.open.iter().map(|i| {
        vec![
            escape(&i.item),
            escape(&i.text),
            format!("open: {}", i.role.people()),
        ]
    });
    table(out, &["Step", "What", "State"], done.chain(open));
}
