//! What Discord has around a message: channels that others follow, pins, and the server's calendar.

use std::time::Duration;

use serenity::all::{
    ChannelId, CreateScheduledEvent, EditScheduledEvent, MessageId, ScheduledEvent,
    ScheduledEventStatus, ScheduledEventType, Timestamp as Instant,
};

use super::{
    Discord,
    error::{Fault, MENDABLE_MS, code},
    forum,
    send::mark,
};
use crate::{
    domain::outbox::{CalendarEvent, CalendarEventStage, PostKey},
    ports::{Accepted, ChatError, Handling},
};

/// An event begins in the future when it is made: so much, at the least.
const MIN_EVENT_LEAD: Duration = Duration::from_secs(120);
const CHANGING_CALENDAR: &str = "the window in the server's calendar";
/// Characters of an event's description.
const ABOUT_MAX: usize = 1_000;

/// Hands a message on, pins it or takes the pin off. What is so already is left so.
pub(super) async fn handle(
    discord: &Discord,
    channel: ChannelId,
    message: MessageId,
    how: Handling,
) -> Result<(), ChatError> {
    let deadline = discord.deadline();
    let what = match how {
        Handling::Publish => "publishing",
        Handling::Close => {
            return Err(ChatError::Refused {
                reason: format!("{message} is no vote"),
                remedy: "reactions are counted here".into(),
            });
        }
        Handling::Pin => "pinning",
        Handling::Unpin => "taking a pin off",
    };
    let handle = async || match how {
        Handling::Pin => {
            discord
                .ask(deadline, || {
                    discord.http.pin_message(channel, message, None)
                })
                .await
        }
        Handling::Unpin => {
            discord
                .ask(deadline, || {
                    discord.http.unpin_message(channel, message, None)
                })
                .await
        }
        _ => match discord
            .ask(deadline, || {
                discord.http.crosspost_message(channel, message)
            })
            .await
        {
            Err(fault) if !fault.is(code::PUBLISHED_ALREADY) => Err(fault),
            _ => Ok(()),
        },
    };
    let mut done = handle().await;
    if forum::is_woken(discord, deadline, channel, &done).await {
        done = handle().await;
    }
    done.map_err(|fault| match how {
        Handling::Pin | Handling::Unpin if fault.is(code::MISSING_PERMISSIONS) => {
            lacking(what, "Pin Messages", &fault)
        }
        _ => forum::failed(discord, fault, what, channel),
    })
}

/// The one event with this key's mark in its description is made, changed or ended: whichever it takes.
pub(super) async fn calendar(
    discord: &Discord,
    key: &PostKey,
    wanted: &CalendarEvent,
) -> Result<Accepted, ChatError> {
    let deadline = discord.deadline();
    let failed = |fault: Fault| match fault {
        Fault::Unsure { reason, after_ms } => ChatError::Retry {
            reason: format!("{CHANGING_CALENDAR}: {reason}"),
            after_ms,
        },
        fault if fault.is(code::MISSING_PERMISSIONS) || fault.is(code::MISSING_ACCESS) => {
            lacking(CHANGING_CALENDAR, "Create Events", &fault)
        }
        fault => ChatError::Refused {
            reason: format!("{CHANGING_CALENDAR}: {}", fault.words()),
            remedy: "look at the upgrade's window, and at the server's events".into(),
        },
    };
    let mark = mark(key);
    let there = discord
        .ask(deadline, || {
            discord.http.get_scheduled_events(discord.guild, false)
        })
        .await
        .map_err(failed)?;
    let ours = |event: &&ScheduledEvent| {
        let marked = event
            .description
            .as_deref()
            .is_some_and(|about| about.ends_with(&mark));
        marked
            && matches!(
                event.status,
                ScheduledEventStatus::Scheduled | ScheduledEventStatus::Active
            )
    };
    let about = format!(
        "{}\n\n{mark}",
        crate::domain::outbox::cut(&wanted.about, ABOUT_MAX - mark.len() - 2)
    );
    let (opens, closes) = (
        at(wanted.opens.as_second())?,
        at(wanted.closes.as_second())?,
    );
    let Some(event) = there.iter().find(ours) else {
        // What has ended is listed no more, and what is over needs no event.
        if matches!(
            wanted.stage,
            CalendarEventStage::Completed | CalendarEventStage::Cancelled
        ) {
            return Ok(Accepted {
                id: String::new(),
                link: None,
            });
        }
        let soonest =
            Instant::now().unix_timestamp() + i64::try_from(MIN_EVENT_LEAD.as_secs()).unwrap_or(0);
        if closes.unix_timestamp() <= soonest {
            return Ok(Accepted {
                id: String::new(),
                link: None,
            });
        }
        let opens = if opens.unix_timestamp() < soonest {
            at(soonest)?
        } else {
            opens
        };
        let made = CreateScheduledEvent::new(ScheduledEventType::External, &wanted.name, opens)
            .end_time(closes)
            .location(&wanted.place)
            .description(about);
        let made = discord
            .ask(deadline, || {
                discord
                    .http
                    .create_scheduled_event(discord.guild, &made, None)
            })
            .await
            .map_err(failed)?;
        return Ok(event_accepted(discord, &made));
    };
    let is_active = event.status == ScheduledEventStatus::Active;
    let change = |edit: EditScheduledEvent<'static>| async move {
        discord
            .ask(deadline, || {
                discord
                    .http
                    .edit_scheduled_event(discord.guild, event.id, &edit, None)
            })
            .await
            .map_err(failed)
    };
    let words = || {
        EditScheduledEvent::new()
            .name(&wanted.name)
            .description(&about)
            .end_time(closes)
            .location(&wanted.place)
    };
    let changed = match (wanted.stage, is_active) {
        (CalendarEventStage::Scheduled, false) => change(words().start_time(opens)).await?,
        (CalendarEventStage::Scheduled | CalendarEventStage::Active, true) => {
            change(words()).await?
        }
        (CalendarEventStage::Active, false) => {
            change(words().status(ScheduledEventStatus::Active)).await?
        }
        (CalendarEventStage::Cancelled, false) => {
            change(words().status(ScheduledEventStatus::Canceled)).await?
        }
        (CalendarEventStage::Completed, false) => {
            change(EditScheduledEvent::new().status(ScheduledEventStatus::Active)).await?;
            change(words().status(ScheduledEventStatus::Completed)).await?
        }
        (CalendarEventStage::Completed | CalendarEventStage::Cancelled, true) => {
            change(words().status(ScheduledEventStatus::Completed)).await?
        }
    };
    Ok(event_accepted(discord, &changed))
}

fn event_accepted(discord: &Discord, event: &ScheduledEvent) -> Accepted {
    Accepted {
        id: event.id.to_string(),
        link: Some(format!(
            "https://discord.com/events/{}/{}",
            discord.guild, event.id
        )),
    }
}

/// Nothing is given up while somebody may allow it.
fn lacking(what: &str, permission: &str, fault: &Fault) -> ChatError {
    let reason = format!(
        "{what}: {}; allow the bot's role: {permission}",
        fault.words()
    );
    ChatError::Retry {
        reason,
        after_ms: Some(MENDABLE_MS),
    }
}

fn at(seconds: i64) -> Result<Instant, ChatError> {
    Instant::from_unix_timestamp(seconds).map_err(|_| ChatError::Refused {
        reason: "the window is at no time that Discord knows".into(),
        remedy: "look at the upgrade's window".into(),
    })
}
