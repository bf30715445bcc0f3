//! `herald roster`: who has answered and who is ready, for the record.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use serde_json::json;

use super::report;
use crate::{
    domain::people::roster::{Answer, Claim},
    report::roll,
};

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RosterFormat {
    Table,
    Csv,
    Json,
}

pub async fn run(
    folder: Option<PathBuf>,
    id: Option<String>,
    form: RosterFormat,
) -> Result<ExitCode> {
    let (core, campaign) = match report::opened(folder, id).await? {
        Ok(opened) => opened,
        Err(code) => return Ok(code),
    };
    let snapshot = core.snapshot();
    let posts = core.store.posts(&campaign.upgrade.id).await?;
    let roll = roll::roll(&core, &snapshot, &campaign, &posts).await?;
    let name = |id: &str| {
        snapshot
            .config
            .roster
            .iter()
            .find(|p| p.id == id)
            .map_or("", |p| p.name.as_str())
    };
    let late = |a: &Answer| {
        let until = match a.claim {
            Claim::Acknowledged => roll
                .asks
                .iter()
                .find(|ask| ask.id == a.of)
                .map(|ask| ask.by),
            Claim::Ready => roll.ready_by,
        };
        until.is_some_and(|by| a.at > by)
    };
    match form {
        RosterFormat::Json => {
            for a in &roll.answers {
                let on = snapshot.config.roster.iter().any(|p| p.id == a.provider);
                out!(
                    "{}",
                    json!({ "upgrade": campaign.upgrade.id, "provider": a.provider, "on_the_roster": on, "claim": a.claim, "node": node(a), "notice": a.notice,
                            "link": a.link, "person": a.person, "account": a.account, "how": a.how, "at": a.at, "late": late(a) })
                );
            }
        }
        RosterFormat::Csv => {
            out!(
                "upgrade,provider,on the roster,claim,node,notice,link,person,account,how,at,late"
            );
            for a in &roll.answers {
                let on = snapshot.config.roster.iter().any(|p| p.id == a.provider);
                let row = [
                    &campaign.upgrade.id,
                    &a.provider,
                    yes(on),
                    a.claim.name(),
                    node(a),
                    &a.notice,
                    a.link.as_deref().unwrap_or_default(),
                    &a.person,
                    &a.account,
                    &a.how,
                    &a.at.to_string(),
                    yes(late(a)),
                ];
                out!("{}", row.map(csv).join(","));
            }
        }
        RosterFormat::Table => {
            let zone = snapshot.renderer.zone();
            let Some(ask) = roll.ask() else {
                out!(
                    "{} providers; nothing has asked them for an answer yet.",
                    snapshot.config.roster.len()
                );
                return Ok(ExitCode::SUCCESS);
            };
            out!(
                "{}: answers until {}{}",
                ask.notice,
                zone.written(ask.by),
                roll.ready_by
                    .map(|by| format!(", ready until {}", zone.written(by)))
                    .unwrap_or_default()
            );
            for s in &roll.standings {
                let at =
                    |at: Option<jiff::Timestamp>| at.map_or("no".to_owned(), |at| zone.written(at));
                out!(
                    "  {}: answered {}, ready {} ({} of {} nodes)",
                    name(&s.provider.id),
                    at(s.acknowledged),
                    at(s.ready),
                    s.ready_nodes,
                    s.provider.nodes.len()
                );
            }
        }
    }
    Ok(ExitCode::SUCCESS)
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
