//! `herald roster`: who has answered and who is ready, for the record.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::open::open;
use crate::{
    domain::people::roster::{Answer, Claim, Provider},
    report::roll::{self, Roll},
    words::Zone,
};

/// Show which providers have answered and which are ready; as CSV or JSON, each answer with its time, for the record
#[derive(Debug, Args)]
pub struct RosterArgs {
    /// The upgrade's id [default: the one that is under way, or the last]
    upgrade: Option<String>,
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// A line of JSON for each answer
    #[arg(long)]
    json: bool,
}

pub async fn run(folder: Option<PathBuf>, args: RosterArgs) -> Result<ExitCode> {
    let opened = open(folder).await?;
    let campaign = opened.campaign(args.upgrade.as_deref()).await?;
    let core = opened.core();
    let snapshot = core.snapshot();
    let posts = core.store.posts(&campaign.upgrade.id).await?;
    let view = RosterView {
        upgrade: &campaign.upgrade.id,
        providers: &snapshot.config.roster,
        roll: roll::roll(&core, &snapshot, &campaign, &posts).await?,
    };
    if args.json {
        view.print_json();
    } else if args.csv {
        view.print_csv();
    } else {
        view.print(snapshot.renderer.zone());
    }
    Ok(ExitCode::SUCCESS)
}

/// The providers of an upgrade, and what they have answered.
struct RosterView<'a> {
    upgrade: &'a str,
    providers: &'a [Provider],
    roll: Roll<'a>,
}

impl RosterView<'_> {
    fn is_on_the_roster(&self, answer: &Answer) -> bool {
        self.providers.iter().any(|p| p.id == answer.provider)
    }

    fn is_late(&self, answer: &Answer) -> bool {
        let until = match answer.claim {
            Claim::Acknowledged => {
                let ask = self.roll.asks.iter().find(|ask| ask.id == answer.of);
                ask.map(|ask| ask.by)
            }
            Claim::Ready => self.roll.ready_by,
        };
        until.is_some_and(|by| answer.at > by)
    }

    fn print_json(&self) {
        for a in &self.roll.answers {
            out!(
                "{}",
                json!({ "upgrade": self.upgrade, "provider": a.provider, "on_the_roster": self.is_on_the_roster(a), "claim": a.claim, "node": node(a), "notice": a.notice,
                        "link": a.link, "person": a.person, "account": a.account, "how": a.how, "at": a.at, "late": self.is_late(a) })
            );
        }
    }

    fn print_csv(&self) {
        out!("upgrade,provider,on the roster,claim,node,notice,link,person,account,how,at,late");
        for a in &self.roll.answers {
            let row = [
                self.upgrade,
                &a.provider,
                yes(self.is_on_the_roster(a)),
                a.claim.name(),
                node(a),
                &a.notice,
                a.link.as_deref().unwrap_or_default(),
                &a.person,
                &a.account,
                &a.how,
                &a.at.to_string(),
                yes(self.is_late(a)),
            ];
            out!("{}", row.map(csv).join(","));
        }
    }

    fn print(&self, zone: &Zone) {
        let roll = &self.roll;
        let Some(ask) = roll.ask() else {
            out!(
                "{} providers; nothing has asked them for an answer yet.",
                self.providers.len()
            );
            return;
        };
        let ready_by = roll
            .ready_by
            .map(|by| format!(", ready until {}", zone.written(by)));
        out!(
            "{}: answers until {}{}",
            ask.notice,
            zone.written(ask.by),
            ready_by.unwrap_or_default()
        );
        let time = |at: Option<Timestamp>| at.map_or("no".to_owned(), |at| zone.written(at));
        for standing in &roll.standings {
            out!(
                "  {}: answered {}, ready {} ({} of {} nodes)",
                standing.provider.name,
                time(standing.acknowledged),
                time(standing.ready),
                standing.ready_nodes,
                standing.provider.nodes.len()
            );
        }
    }
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

fn node(answer: &Answer) -> &str {
    if answer.claim == Claim::Ready {
        &answer.of
    } else {
        ""
    }
}

/// A field as spreadsheets take it: in quotation marks where it needs them, and never as a formula.
fn csv(field: &str) -> String {
    let harmless = if field.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{field}")
    } else {
        field.to_owned()
    };
    if harmless.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", harmless.replace('"', "\"\""))
    } else {
        harmless
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_neither_two_fields_nor_a_formula() {
        assert_eq!(
            ["plain", "a,b", "a \"b\"", "=1+1", "@ines:example.org"].map(csv),
            [
                "plain",
                "\"a,b\"",
                "\"a \"\"b\"\"\"",
                "'=1+1",
                "'@ines:example.org"
            ]
        );
    }
}
