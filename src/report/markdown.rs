//! Writes the review as Markdown, ready for an issue.

use std::fmt::Write as _;

use super::{Report, punctuality};
use crate::{domain::people::feedback::Summary, words::Zone};

/// Escapes what people wrote, so that it can't format, link or mention in somebody's issue.
fn cell(text: &str) -> String {
    crate::words::escape(text)
        .replace('|', "\\|")
        .replace("\\\\|", "\\|")
}

/// Writes the report as Markdown, ready for an issue.
pub fn markdown(report: &Report, zone: &Zone) -> String {
    let mut out = String::new();
    head(&mut out, report, zone);
    posts(&mut out, report, zone);
    chains(&mut out, report, zone);
    readiness(&mut out, report, zone);
    feedback(&mut out, report.feedback.as_ref());
    incidents(&mut out, report, zone);
    decisions(&mut out, report, zone);
    checklist(&mut out, report, zone);
    out.trim_end().to_owned()
}

fn head(out: &mut String, report: &Report, zone: &Zone) {
    let Report {
        title,
        upgrade,
        state,
        urgency,
        ..
    } = report;
    let _ = writeln!(out, "# Review: {}\n", cell(title));
    let reason = report
        .reason
        .as_ref()
        .map(|reason| format!(": {}", cell(reason)));
    let reason = reason.unwrap_or_default();
    let window = match report.set {
        true => format!(
            "The window: {} to {}.",
            zone.written(report.opens),
            zone.written(report.closes)
        ),
        false => "No window is set yet.".to_owned(),
    };
    let _ = writeln!(
        out,
        "{} ({urgency}) is **{state}**{reason}. {window}\n",
        cell(upgrade)
    );
    match report.moved {
        0 => {}
        1 => out.push_str("The window was moved once.\n\n"),
        n => {
            let _ = writeln!(out, "The window was moved {n} times.\n");
        }
    }
}

fn posts(out: &mut String, report: &Report, zone: &Zone) {
    let _ = writeln!(
        out,
        "## Plan against actual\n\n{}\n",
        punctuality(&report.posts).words()
    );
    let _ = writeln!(
        out,
        "| Notice | Phase | Channel | Due | Late by | State |\n|---|---|---|---|---|---|"
    );
    for row in &report.posts {
        let late = row.late_s.map_or("—".to_owned(), |s| format!("{s} s"));
        let notice = row
            .link
            .as_ref()
            .filter(|_| row.state == "sent")
            .map_or(cell(&row.notice), |link| {
                format!("[{}]({link})", cell(&row.notice))
            });
        let reason = row
            .reason
            .as_ref()
            .filter(|_| row.state != "sent")
            .map(|r| format!(": {}", cell(r)))
            .unwrap_or_default();
        let _ = writeln!(
            out,
            "| {notice} | {} | {} | {} | {late} | {}{reason} |",
            row.phase,
            cell(&row.channel),
            zone.written(row.due),
            row.state
        );
    }
}

fn chains(out: &mut String, report: &Report, zone: &Zone) {
    let _ = writeln!(
        out,
        "\n## Chains\n\n| Chain | Target | Runs | Stage | Authorized | Applied | Block time before / after | Failed transactions | Finality behind |\n|---|---|---|---|---|---|---|---|---|"
    );
    for chain in &report.chains {
        let proof = |p: Option<(u64, Option<jiff::Timestamp>)>| {
            p.map_or("—".to_owned(), |(block, at)| {
                format!(
                    "block {block}{}",
                    at.map(|at| format!(", {}", zone.written(at)))
                        .unwrap_or_default()
                )
            })
        };
        let mean = |s: Option<&crate::domain::chain::block_times::Stretch>| {
            s.and_then(|s| s.mean())
                .map_or("—".to_owned(), |m| format!("{m:.1} s"))
        };
        let failed = chain.after.as_ref().map_or("—".to_owned(), |s| {
            format!("{} of {}", s.failed, s.transactions)
        });
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} / {} | {failed} | {} |",
            cell(&chain.chain),
            chain.target,
            chain.runs.map_or("—".to_owned(), |v| v.to_string()),
            chain.stage.name(),
            proof(chain.authorized),
            proof(chain.applied),
            mean(chain.before.as_ref()),
            mean(chain.after.as_ref()),
            chain
                .worst_lag
                .map_or("—".to_owned(), |lag| format!("{lag} blocks")),
        );
    }
}

fn incidents(out: &mut String, report: &Report, zone: &Zone) {
    let _ = writeln!(out, "\n## Incidents\n");
    for fact in &report.incidents {
        let at = fact
            .time
            .map(|at| format!(" ({})", zone.written(at)))
            .unwrap_or_default();
        let _ = writeln!(
            out,
            "- {} on {}, block {}{at}{}",
            fact.kind().name().replace('_', " "),
            cell(&fact.chain),
            fact.block,
            detail(&fact.detail())
        );
    }
    if report.incidents.is_empty() {
        let _ = writeln!(out, "None.");
    }
}

fn decisions(out: &mut String, report: &Report, zone: &Zone) {
    let _ = writeln!(out, "\n## Decisions\n");
    for row in &report.acts {
        let act = &row.act;
        let _ = writeln!(
            out,
            "- {} — {} in {}: {} → {}",
            zone.written(row.at),
            cell(&act.who),
            cell(&act.place),
            cell(&act.what),
            cell(&act.outcome)
        );
    }
    if report.acts.is_empty() {
        let _ = writeln!(out, "No command was given.");
    }
}

fn checklist(out: &mut String, report: &Report, zone: &Zone) {
    let _ = writeln!(out, "\n## Checklist\n");
    for (item, tick) in &report.done {
        let _ = writeln!(
            out,
            "- [x] {} {} ({}, {}){}",
            item.item,
            cell(&item.text),
            cell(&tick.by),
            zone.written(tick.at),
            tick.remark.as_deref().map(detail).unwrap_or_default()
        );
    }
    for item in &report.open {
        let _ = writeln!(
            out,
            "- [ ] {} {} ({})",
            item.item,
            cell(&item.text),
            item.role.people()
        );
    }
}

fn detail(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {}", cell(text))
    }
}

fn readiness(out: &mut String, report: &Report, zone: &Zone) {
    if report.readiness.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\n## Readiness\n\n| Provider | Answered the last notice that asks | Ready | Nodes ready |\n|---|---|---|---|"
    );
    for row in &report.readiness {
        let time_or_no =
            |at: Option<jiff::Timestamp>| at.map_or("no".to_owned(), |at| zone.written(at));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} of {} |",
            cell(&row.name),
            time_or_no(row.acknowledged),
            time_or_no(row.ready),
            row.ready_nodes,
            row.nodes
        );
    }
}

fn feedback(out: &mut String, feedback: Option<&Summary>) {
    let _ = writeln!(out, "\n## Feedback\n");
    let Some(feedback) = feedback else {
        let _ = writeln!(out, "Not counted yet.");
        return;
    };
    let write_counts = |counts: &[crate::domain::people::feedback::FeedbackCount]| {
        counts
            .iter()
            .map(|c| format!("{} {} {}", c.emoji, cell(&c.meaning), c.count))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let _ = writeln!(
        out,
        "{}; {} replies.\n",
        write_counts(&feedback.reactions),
        feedback.replies
    );
    for row in &feedback.audiences {
        let who = row.audience.map_or("not listed", |a| a.name());
        let _ = writeln!(
            out,
            "- {who}: {}; {} replies",
            write_counts(&row.reactions),
            row.replies
        );
    }
    for quote in &feedback.quotes {
        let _ = writeln!(out, "\n> {}", cell(&quote.text));
    }
}
