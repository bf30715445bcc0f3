//! Requests are orders that change an upgrade, whether given in a chat or on the command line. They
//! are written to the store for the planner, which follows them, and answered with the outcome.

use crate::ports::AuditEntry;
use std::time::Duration;

use jiff::Timestamp;

use crate::{
    config::{Config, instant},
    domain::{
        campaign::{Campaign, change::Change, progress::State, upgrade::Upgrade},
        outbox::digest,
        people::command::{Order, Verb},
        plan::schedule::Offset,
    },
    ports::{Record, RecordKind, Store, StoreError},
};

/// A running planner answers well within this time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_EVERY: Duration = Duration::from_millis(200);

/// Reads an order's change: `None` if it changes no upgrade, `Err` if it can't be done.
pub fn change(
    order: &Order,
    upgrade: &Upgrade,
    config: &Config,
    now: Timestamp,
) -> Option<Result<Change, String>> {
    let reason = || order.get("reason").map(str::to_owned);
    Some(Ok(match order.verb {
        Verb::Go => Change::Go,
        Verb::NoGo => Change::NoGo {
            reason: order.need("reason").to_owned(),
        },
        Verb::Cancel => Change::Cancel {
            reason: order.need("reason").to_owned(),
        },
        Verb::Reschedule | Verb::Postpone => {
            return Some(window(order, upgrade, config, now).map(|(opens, closes)| {
                Change::Reschedule {
                    opens,
                    closes,
                    reason: reason(),
                }
            }));
        }
        Verb::Note => Change::Note {
            text: order.need("text").to_owned(),
        },
        Verb::Close => Change::Close,
        Verb::Say => Change::Say {
            channel: Some(order.need("channel").to_owned()).filter(|c| c != "all"),
            text: order.need("text").to_owned(),
        },
        Verb::Correct => Change::Correct {
            notice: order.need("post").to_owned(),
            text: order.need("text").to_owned(),
        },
        Verb::Announce => Change::Announce {
            notice: order.need("notice").to_owned(),
        },
        Verb::Tick => Change::Tick {
            item: order.need("item").to_owned(),
            remark: order.get("remark").map(str::to_owned),
        },
        Verb::Untick => Change::Untick {
            item: order.need("item").to_owned(),
        },
        Verb::Status
        | Verb::Schedule
        | Verb::Checklist
        | Verb::Ack
        | Verb::Ready
        | Verb::Feedback
        | Verb::Withdraw
        | Verb::Subscribe
        | Verb::Help
        | Verb::Preview
        | Verb::Approve
        | Verb::Roster
        | Verb::Report => return None,
    }))
}

/// Reads the new window from an order.
fn window(
    order: &Order,
    upgrade: &Upgrade,
    config: &Config,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), String> {
    let plan = &config.plan;
    let time = |part: &str, text: &str| {
        let unclear = || {
            format!(
                "{part} {text} is not a time; write 2026-12-01 14:00 (in {}) or 2026-12-01T13:00:00Z",
                plan.zone_name
            )
        };
        instant(text, &plan.zone).ok_or_else(unclear)
    };
    let beyond = || "that is beyond the calendar".to_owned();
    let length = upgrade.window.closes.duration_since(upgrade.window.opens);
    let opens = match order.verb {
        Verb::Postpone => {
            let by = order.need("by");
            let offset: Offset = format!("+{by}")
                .parse()
                .map_err(|_| format!("by {by} is not a length; write 30m, 2h or 1d"))?;
            offset
                .from(upgrade.window.opens, &plan.zone)
                .ok_or_else(beyond)?
        }
        _ => time("opens", order.need("opens"))?,
    };
    let closes = match order.get("closes") {
        Some(closes) => time("closes", closes)?,
        None => opens.checked_add(length).map_err(|_| beyond())?,
    };
    if opens <= now {
        return Err(format!(
            "{} is over already; name a time that is still to come",
            plan_time(config, opens)
        ));
    }
    Ok((opens, closes))
}

fn plan_time(config: &Config, at: Timestamp) -> String {
    crate::words::Zone(config.plan.zone.clone()).written(at)
}

/// The outcome of a request.
pub enum RequestOutcome {
    Done(String),
    Refused(String),
    /// No planner follows it now; it waits in the store under this number.
    Waits(i64),
}

/// Writes an act to the audit log. The act has been done already, so an error is only logged.
pub async fn record(store: &dyn Store, upgrade: &str, act: &AuditEntry, now: Timestamp) {
    let id = digest(&[
        &now.as_nanosecond().to_string(),
        &act.who,
        &act.what,
        &act.outcome,
    ]);
    let result = match Record::new(RecordKind::Act, upgrade, id, now, act) {
        Ok(entry) => store.write(&entry, false).await.map(|_| ()),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        tracing::error!(act = act.what, who = act.who, "not written down: {error}");
    }
}

/// Writes a change to the store, and waits for its outcome.
pub async fn give(
    store: &dyn Store,
    campaign: &Campaign,
    change: &Change,
    author: &str,
    now: Timestamp,
) -> Result<RequestOutcome, StoreError> {
    // A change is refused here already, where a person looks; the planner checks it again.
    if let Err(error) = change.to(&campaign.upgrade, campaign.progress.state >= State::Applied) {
        return Ok(RequestOutcome::Refused(error.to_string()));
    }
    let number = store
        .request(&campaign.upgrade.id, change, author, now)
        .await?;
    let mut waited = Duration::ZERO;
    while waited < ANSWER_TIMEOUT {
        if let Some(outcome) = store.outcome(number).await? {
            return Ok(match outcome.strip_prefix("refused: ") {
                Some(why) => RequestOutcome::Refused(why.to_owned()),
                None => RequestOutcome::Done(outcome),
            });
        }
        tokio::time::sleep(POLL_EVERY).await;
        waited += POLL_EVERY;
    }
    Ok(RequestOutcome::Waits(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Origin, lint};

    #[test]
    fn a_window_moves_to_a_time_or_by_a_length_in_the_plans_zone() {
        let config = lint::load(&Origin::Embedded).unwrap().config;
        let mut upgrade = config.upgrades[0].upgrade.clone();
        // Berlin's clocks go back in the night after.
        upgrade.window.opens = "2027-10-30T12:00:00Z".parse().unwrap();
        upgrade.window.closes = "2027-10-30T14:00:00Z".parse().unwrap();
        let now = "2027-10-30T12:30:00Z".parse().unwrap();
        let of = |line: &str| match change(&Order::from_line(line).unwrap(), &upgrade, &config, now)
            .unwrap()
        {
            Ok(Change::Reschedule {
                opens,
                closes,
                reason,
            }) => format!("{opens} {closes} {}", reason.unwrap_or_default()),
            Ok(other) => format!("{other:?}"),
            Err(error) => error,
        };
        assert_eq!(
            of("reschedule 2027-11-02 14:00 late"),
            "2027-11-02T13:00:00Z 2027-11-02T15:00:00Z late"
        );
        assert_eq!(
            of("reschedule 2027-11-02T14:00:00Z 2027-11-02 18:00"),
            "2027-11-02T14:00:00Z 2027-11-02T17:00:00Z "
        );
        assert_eq!(
            of("postpone 1d"),
            "2027-10-31T13:00:00Z 2027-10-31T15:00:00Z ",
            "the same hour of the next day"
        );
        assert_eq!(
            of("postpone 24h"),
            "2027-10-31T12:00:00Z 2027-10-31T14:00:00Z "
        );
        assert_eq!(
            of("postpone 20m"),
            "Sat 30 Oct 2027, 14:20 CEST (12:20 UTC) is over already; name a time that is still to come"
        );
        assert!(of("postpone 2x").starts_with("by 2x is not a length"));
        assert!(of("reschedule 2027-13-02").starts_with(
            "opens 2027-13-02 is not a time; write 2026-12-01 14:00 (in Europe/Berlin)"
        ));
        assert_eq!(of("cancel it rains"), r#"Cancel { reason: "it rains" }"#);
        assert!(change(&Order::new(Verb::Status), &upgrade, &config, now).is_none());
    }
}
