//! Requests: commands that change an upgrade, or what is said and done around it. Whether given in a chat or on the command
//! line they are written down for the planner, which follows them, and are answered with what came of it.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use crate::{
    config::{Config, hint},
    domain::{
        campaign::{
            Campaign,
            change::Change,
            progress::State,
            upgrade::{Upgrade, Window},
        },
        outbox::{Post, digest},
        people::{
            command::{Command, Kind, Misread, Verb},
            reply::{MovedWindow, Outcome, Reply},
            value::{Channels, Confirmed, Delay, PlanTime},
        },
        plan::notice::{Happening, Trigger},
    },
    outbox::Core,
    ports::{AuditEntry, Record, RecordKind, Request, Store, StoreError},
};

/// A running planner answers well within this.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Another process that waits for an outcome looks at the store this often.
const POLL_EVERY: Duration = Duration::from_millis(200);

/// The change that a command asks for; `None` if it changes nothing, `Err` says what can't be.
pub fn change(
    command: &Command,
    upgrade: &Upgrade,
    config: &Config,
    now: Timestamp,
) -> Option<Result<Change, Reply>> {
    Some(Ok(match command.clone() {
        Command::Go { .. } => Change::Go,
        Command::NoGo { reason, .. } => Change::NoGo { reason },
        Command::Cancel {
            confirm, reason, ..
        } => {
            let cancel = Change::Cancel { reason };
            return Some(confirmed(cancel, confirm, upgrade, config));
        }
        Command::Reschedule {
            opens,
            closes,
            confirm,
            reason,
            ..
        } => {
            let window = moved_to(opens, closes, upgrade, config, now)
                .and_then(|window| meant(window, confirm, upgrade, config, now));
            return Some(window.map(|window| reschedule(window, reason)));
        }
        Command::Postpone {
            by,
            confirm,
            reason,
            ..
        } => {
            let window = moved_by(by, upgrade, config, now)
                .and_then(|window| meant(window, confirm, upgrade, config, now));
            return Some(window.map(|window| reschedule(window, reason)));
        }
        Command::Note { text, .. } => Change::Note { text },
        Command::Close { .. } => Change::Close,
        Command::Say { channel, text, .. } => Change::Say {
            channel: match channel {
                Channels::All => None,
                Channels::One(name) => Some(name),
            },
            text,
        },
        Command::Correct { post, text, .. } => Change::Correct { notice: post, text },
        Command::Announce { notice, .. } => Change::Announce { notice },
        Command::Tick { item, remark, .. } => Change::Tick { item, remark },
        Command::Untick { item, .. } => Change::Untick { item },
        Command::Status { .. }
        | Command::Schedule { .. }
        | Command::Checklist { .. }
        | Command::Ack { .. }
        | Command::Ready { .. }
        | Command::Feedback { .. }
        | Command::Withdraw { .. }
        | Command::Subscribe { .. }
        | Command::Help { .. }
        | Command::Preview { .. }
        | Command::Approve { .. }
        | Command::Roster { .. }
        | Command::Report { .. } => return None,
    }))
}

fn reschedule(window: Window, reason: Option<String>) -> Change {
    Change::Reschedule {
        opens: window.opens,
        closes: window.closes,
        reason,
    }
}

fn moved_to(
    opens: PlanTime,
    closes: Option<PlanTime>,
    upgrade: &Upgrade,
    config: &Config,
    now: Timestamp,
) -> Result<Window, Reply> {
    let instant = |part: &str, time: PlanTime| {
        time.at(&config.plan.zone)
            .ok_or_else(|| not_a_time(part, &time.to_string(), config))
    };
    let opens = instant("opens", opens)?;
    let closes = closes.map(|closes| instant("closes", closes)).transpose()?;
    window(opens, closes, upgrade, now)
}

fn moved_by(
    Delay(by): Delay,
    upgrade: &Upgrade,
    config: &Config,
    now: Timestamp,
) -> Result<Window, Reply> {
    let opens = by.from(upgrade.window.opens, &config.plan.zone);
    window(opens.ok_or(Reply::BeyondCalendar)?, None, upgrade, now)
}

/// A window that is still to come, as long as the one before where nobody says when it closes.
fn window(
    opens: Timestamp,
    closes: Option<Timestamp>,
    upgrade: &Upgrade,
    now: Timestamp,
) -> Result<Window, Reply> {
    let length = upgrade.window.closes.duration_since(upgrade.window.opens);
    let closes = match closes {
        Some(closes) => closes,
        None => opens
            .checked_add(length)
            .map_err(|_| Reply::BeyondCalendar)?,
    };
    if opens <= now {
        return Err(Reply::OverAlready { at: opens });
    }
    Ok(Window { opens, closes })
}

/// The window, if somebody says that they mean it.
fn meant(
    window: Window,
    confirm: Option<Confirmed>,
    upgrade: &Upgrade,
    config: &Config,
    now: Timestamp,
) -> Result<Window, Reply> {
    if confirm.is_some() {
        return Ok(window);
    }
    let (plan, urgency, opens) = (&config.plan, upgrade.urgency, window.opens);
    // Who is told that there is more time is promised nothing less.
    let soon = opens < upgrade.window.opens && plan.promised_notice(urgency, opens, now).is_some();
    let is_behind = |by: Timestamp| by > opens && by <= upgrade.window.opens;
    let behind = upgrade.duties.iter();
    let behind = behind.filter(|(_, duty)| duty.by.is_some_and(is_behind));
    let moved = MovedWindow {
        opens,
        weekend: plan.is_on_weekend(urgency, opens),
        asleep: plan.asleep(urgency, opens),
        soon,
        behind: behind
            .map(|(audience, _)| audience.name().to_owned())
            .collect(),
    };
    Err(unconfirmed(
        Happening::Rescheduled,
        Some(moved),
        upgrade,
        config,
    ))
}

/// An end of the upgrade, if somebody says that they mean it.
pub fn confirmed(
    end: Change,
    confirm: Option<Confirmed>,
    upgrade: &Upgrade,
    config: &Config,
) -> Result<Change, Reply> {
    let happening = match end {
        Change::Fail { .. } => Happening::Failed,
        _ => Happening::Cancelled,
    };
    // What ended already is refused, and needs no yes for that.
    if confirm.is_some() || upgrade.given_up() {
        return Ok(end);
    }
    Err(unconfirmed(happening, None, upgrade, config))
}

/// Says where a command is posted at once, and whom it notifies.
fn unconfirmed(
    happening: Happening,
    moved: Option<MovedWindow>,
    upgrade: &Upgrade,
    config: &Config,
) -> Reply {
    let deployment = &config.deployment;
    let (mut channels, mut notified) = (BTreeSet::new(), BTreeSet::new());
    let notices = config.plan.notices(upgrade.urgency).iter();
    for notice in notices.filter(|n| n.trigger == Trigger::On(happening)) {
        let public = notice.channels.iter().filter(|c| deployment.is_public(c));
        for channel in public {
            channels.insert(channel.clone());
            if deployment.notifies(channel, &notice.mention) {
                notified.insert(channel.clone());
            }
        }
    }
    Reply::Unconfirmed {
        moved,
        channels: channels.into_iter().collect(),
        notified: notified.into_iter().collect(),
    }
}

fn not_a_time(part: &str, text: &str, config: &Config) -> Reply {
    Reply::NotATime {
        part: part.to_owned(),
        text: text.to_owned(),
        zone: config.plan.zone_name.clone(),
    }
}

/// Why a command was not understood.
pub fn misread(misread: &Misread, config: &Config) -> Reply {
    match misread {
        Misread::Verb(_) => Reply::Words {
            words: misread.to_string(),
        },
        Misread::Missing {
            verb: Verb::Approve,
            ..
        } => Reply::MissingCode,
        Misread::Missing { verb, part } => Reply::MissingPart {
            command: verb.name().to_owned(),
            part: part.name.to_owned(),
            about: part.about.to_owned(),
        },
        Misread::TooMuch { verb, word } => Reply::TooMuch {
            command: verb.name().to_owned(),
            word: word.clone(),
        },
        Misread::TooLong { part, length, most } => Reply::TooLong {
            part: part.name.to_owned(),
            length: *length,
            most: *most,
        },
        Misread::Unclosed => Reply::Unclosed,
        Misread::Unreadable { part, text, .. } => match part.kind {
            Kind::Time => not_a_time(part.name, text, config),
            Kind::Length => Reply::NotALength {
                part: part.name.to_owned(),
                text: text.clone(),
            },
            Kind::Before => Reply::NotAReminder,
            Kind::List => Reply::NoChecklistPart { text: text.clone() },
            Kind::Confirm => Reply::NotConfirmed { text: text.clone() },
            // Any text is one of these.
            Kind::Topic
            | Kind::Code
            | Kind::Notice
            | Kind::Upgrade
            | Kind::Item
            | Kind::Channel
            | Kind::Node
            | Kind::Words(_) => Reply::Words {
                words: misread.to_string(),
            },
        },
    }
}

/// A request is answered, or still waits.
pub enum RequestStatus {
    Answered(Outcome),
    /// Nobody follows it now: it is written down under this number.
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

/// The commands for an upgrade that wait to be followed, oldest first.
pub async fn waiting(store: &dyn Store, upgrade: &str) -> Result<Vec<Request>, StoreError> {
    let mut requests = store.requests().await?;
    requests.retain(|request| request.upgrade == upgrade);
    Ok(requests)
}

/// The upgrade as it will be once the commands that wait have been followed.
pub fn once_followed(campaign: &Campaign, waiting: &[Request]) -> Upgrade {
    let applied = is_applied(campaign);
    let follow = |upgrade: Upgrade, request: &Request| {
        // One that can't be followed is refused by the planner, and leaves the upgrade as it is.
        request.change.to(&upgrade, applied).unwrap_or(upgrade)
    };
    waiting.iter().fold(campaign.upgrade.clone(), follow)
}

/// A command that waits, in one line.
pub fn in_words(request: &Request) -> String {
    let Request {
        number,
        upgrade,
        change,
        author,
        ..
    } = request;
    format!("change {number} of {upgrade}, {change} (asked for by {author})")
}

fn is_applied(campaign: &Campaign) -> bool {
    campaign.progress.state >= State::Applied
}

/// A change that somebody asks for, with the files by which it is looked at.
pub struct NewRequest<'a> {
    pub config: &'a Config,
    pub campaign: &'a Campaign,
    pub change: &'a Change,
    pub author: &'a str,
}

impl NewRequest<'_> {
    /// Writes the change down, unless it is refused here already, where a person looks; the planner looks again.
    async fn write_down(
        &self,
        store: &dyn Store,
        now: Timestamp,
    ) -> Result<RequestStatus, StoreError> {
        let id = &self.campaign.upgrade.id;
        let refused = |reply| Ok(RequestStatus::Answered(Outcome::Refused(reply)));
        let upgrade = once_followed(self.campaign, &waiting(store, id).await?);
        if let Err(error) = self.change.to(&upgrade, is_applied(self.campaign)) {
            return refused(error.reply());
        }
        let posts = store.posts(id).await?;
        if let Some(unknown) = unknown(self.change, self.config, &upgrade, &posts) {
            return refused(unknown);
        }
        let number = store.request(id, self.change, self.author, now).await?;
        Ok(RequestStatus::Waits(number))
    }
}

/// Says which name in a change is that of nothing, if one is.
fn unknown(change: &Change, config: &Config, upgrade: &Upgrade, posts: &[Post]) -> Option<Reply> {
    match change {
        Change::Say {
            channel: Some(channel),
            ..
        } => {
            let known = config.deployment.channels.keys().map(String::as_str);
            let is_unknown = known.clone().all(|name| name != channel);
            is_unknown.then(|| Reply::UnknownChannel {
                channel: channel.clone(),
                hint: hint(channel, known),
            })
        }
        Change::Correct { notice, .. } | Change::Announce { notice } => {
            let notices = config.plan.notices(upgrade.urgency);
            let known = notices.iter().map(|n| n.id.as_str());
            let is_known = config.plan.notice(upgrade.urgency, notice).is_some()
                // A notice that the plan has no more may have posts.
                || posts.iter().any(|post| post.notice == *notice);
            (!is_known).then(|| Reply::UnknownNotice {
                notice: notice.clone(),
                hint: hint(notice, known),
            })
        }
        Change::Tick { item, .. } | Change::Untick { item } => {
            let is_unknown = config.checklist.step(item).is_none();
            is_unknown.then(|| Reply::UnknownItem { item: item.clone() })
        }
        _ => None,
    }
}

/// Gives a change to the planner of this process, and waits for the bell that it rings when it has answered.
pub async fn give(core: &Core, request: &NewRequest<'_>) -> Result<RequestStatus, StoreError> {
    let given = request.write_down(&*core.store, core.clock.now()).await?;
    let RequestStatus::Waits(number) = given else {
        return Ok(given);
    };
    core.requests.notify_one();
    let answered = async {
        loop {
            let rung = core.answered.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            if let Some(outcome) = core.store.outcome(number).await? {
                return Ok(RequestStatus::Answered(outcome));
            }
            rung.await;
        }
    };
    tokio::time::timeout(ANSWER_TIMEOUT, answered)
        .await
        .unwrap_or(Ok(RequestStatus::Waits(number)))
}

/// Gives a change to the planner of another process, and looks again and again for what came of it, if one runs.
pub async fn give_elsewhere(
    store: &dyn Store,
    request: &NewRequest<'_>,
    now: Timestamp,
) -> Result<RequestStatus, StoreError> {
    let given = request.write_down(store, now).await?;
    let RequestStatus::Waits(number) = given else {
        return Ok(given);
    };
    // Only replicas that share a store write down which of them is active.
    let may_run = !request.config.deployment.store.shared()
        || store.replicas().await?.iter().any(|replica| replica.active);
    let mut waited = Duration::ZERO;
    while may_run && waited < ANSWER_TIMEOUT {
        if let Some(outcome) = store.outcome(number).await? {
            return Ok(RequestStatus::Answered(outcome));
        }
        tokio::time::sleep(POLL_EVERY).await;
        waited += POLL_EVERY;
    }
    Ok(RequestStatus::Waits(number))
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
        let renderer = lint::load(&Origin::Embedded).unwrap().renderer;
        let of = |line: &str| match Command::from_line(line)
            .map_err(|error| misread(&error, &config))
            .and_then(|command| change(&command, &upgrade, &config, now).unwrap())
        {
            Ok(Change::Reschedule {
                opens,
                closes,
                reason,
            }) => format!("{opens} {closes} {}", reason.unwrap_or_default()),
            Ok(other) => format!("{other:?}"),
            Err(reply) => renderer.english_words(&reply),
        };
        assert_eq!(
            of("reschedule 2027-11-02 14:00 confirm=yes late"),
            "2027-11-02T13:00:00Z 2027-11-02T15:00:00Z late"
        );
        assert_eq!(
            of("reschedule 2027-11-02T14:00:00Z 2027-11-02 18:00 confirm=yes"),
            "2027-11-02T14:00:00Z 2027-11-02T17:00:00Z "
        );
        assert_eq!(
            of("postpone 1d confirm=yes"),
            "2027-10-31T13:00:00Z 2027-10-31T15:00:00Z ",
            "the same hour of the next day"
        );
        assert_eq!(
            of("postpone 24h confirm=yes"),
            "2027-10-31T12:00:00Z 2027-10-31T14:00:00Z "
        );
        assert_eq!(
            of("postpone 20m"),
            "Sat 30 Oct 2027, 14:20 CEST (12:20 UTC) is over already; name a time that is still to come"
        );
        assert_eq!(
            of("reschedule 2027-10-31 02:30"),
            "The window would open Sun 31 Oct 2027, 02:30 CEST (00:30 UTC), on a weekend, in the night of people in Berlin (02:30). This is posted at once in discord-upgrades, matrix-upgrades, and notifies people in discord-upgrades, matrix-upgrades. To do it, give the command again with confirm=yes (--confirm in a shell)."
        );
        assert_eq!(
            of("reschedule 2027-10-31 02:30 confirm=yes late"),
            "2027-10-31T00:30:00Z 2027-10-31T02:30:00Z late"
        );
        assert_eq!(of("postpone 1d confirm=no"), "confirm takes yes, not no");
        assert!(of("postpone 2x").starts_with("by 2x is not a length"));
        assert!(of("reschedule 2027-13-02").starts_with(
            "opens 2027-13-02 is not a time; write 2026-12-01 14:00 (in Europe/Berlin)"
        ));
        assert_eq!(
            of("cancel it rains"),
            "This is posted at once in discord-upgrades, matrix-upgrades, and notifies people in discord-upgrades, matrix-upgrades. To do it, give the command again with confirm=yes (--confirm in a shell)."
        );
        assert_eq!(
            of("cancel confirm=yes it rains"),
            r#"Cancel { reason: "it rains" }"#
        );
        assert!(
            change(
                &Command::from_line("status").unwrap(),
                &upgrade,
                &config,
                now
            )
            .is_none()
        );
    }
}
