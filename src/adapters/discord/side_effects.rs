//! The things that Discord has around a message: channels that others follow, pins, and the server's calendar.

use std::time::Duration;

use serenity::all::{
    ChannelId, CreateScheduledEvent, EditScheduledEvent, MessageId, ScheduledEvent,
    ScheduledEventStatus, ScheduledEventType, Timestamp,
};
use tokio::time::Instant;

use super::{
    Discord,
    error::{DiscordFault, MENDABLE_MS, code},
    forum,
    send::mark,
};
use crate::{
    domain::outbox::{CalendarEvent, CalendarEventStage, PostKey, cut},
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

/// Makes, changes or ends the one event with this key's mark in its description, whichever it takes.
pub(super) async fn calendar(
    discord: &Discord,
    key: &PostKey,
    wanted: &CalendarEvent,
) -> Result<Accepted, ChatError> {
    let deadline = discord.deadline();
    let mark = mark(key);
    let about = cut(&wanted.about, ABOUT_MAX - mark.len() - 2);
    let wanted = MarkedEvent {
        event: wanted,
        about: format!("{about}\n\n{mark}"),
        opens: at(wanted.opens.as_second())?,
        closes: at(wanted.closes.as_second())?,
    };
    let there = discord
        .ask(deadline, || {
            discord.http.get_scheduled_events(discord.guild, false)
        })
        .await
        .map_err(calendar_error)?;
    let is_ours = |event: &&ScheduledEvent| {
        let about = event.description.as_deref();
        about.is_some_and(|about| about.ends_with(&mark))
            && matches!(
                event.status,
                ScheduledEventStatus::Scheduled | ScheduledEventStatus::Active
            )
    };
    match there.iter().find(is_ours) {
        Some(event) => change_event(discord, deadline, event, &wanted).await,
        None => create_event(discord, deadline, &wanted).await,
    }
}

/// An event as it is wanted, in Discord's own types.
struct MarkedEvent<'a> {
    event: &'a CalendarEvent,
    /// The description, which ends in the key's mark.
    about: String,
    opens: Timestamp,
    closes: Timestamp,
}

fn calendar_error(fault: DiscordFault) -> ChatError {
    match fault {
        DiscordFault::Unsure { reason, after_ms } => ChatError::Retry {
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
    }
}

/// Creates the event, unless its window is over: Discord lists an event that has ended no more.
async fn create_event(
    discord: &Discord,
    deadline: Instant,
    wanted: &MarkedEvent<'_>,
) -> Result<Accepted, ChatError> {
    let is_over = matches!(
        wanted.event.stage,
        CalendarEventStage::Completed | CalendarEventStage::Cancelled
    );
    let soonest =
        Timestamp::now().unix_timestamp() + i64::try_from(MIN_EVENT_LEAD.as_secs()).unwrap_or(0);
    if is_over || wanted.closes.unix_timestamp() <= soonest {
        return Ok(Accepted {
            id: String::new(),
            link: None,
        });
    }
    let opens = at(wanted.opens.unix_timestamp().max(soonest))?;
    let event = CreateScheduledEvent::new(ScheduledEventType::External, &wanted.event.name, opens)
        .end_time(wanted.closes)
        .location(&wanted.event.place)
        .description(&wanted.about);
    let created = discord
        .ask(deadline, || {
            discord
                .http
                .create_scheduled_event(discord.guild, &event, None)
        })
        .await
        .map_err(calendar_error)?;
    Ok(event_accepted(discord, &created))
}

/// Changes an event's words, and takes it from its status to the wanted one, by the steps that Discord allows.
async fn change_event(
    discord: &Discord,
    deadline: Instant,
    event: &ScheduledEvent,
    wanted: &MarkedEvent<'_>,
) -> Result<Accepted, ChatError> {
    let change = |edit: EditScheduledEvent<'static>| async move {
        discord
            .ask(deadline, || {
                discord
                    .http
                    .edit_scheduled_event(discord.guild, event.id, &edit, None)
            })
            .await
            .map_err(calendar_error)
    };
    let words = EditScheduledEvent::new()
        .name(&wanted.event.name)
        .description(&wanted.about)
        .end_time(wanted.closes)
        .location(&wanted.event.place);
    let is_active = event.status == ScheduledEventStatus::Active;
    let edit = match (wanted.event.stage, is_active) {
        (CalendarEventStage::Scheduled, false) => words.start_time(wanted.opens),
        (CalendarEventStage::Scheduled | CalendarEventStage::Active, true) => words,
        (CalendarEventStage::Active, false) => words.status(ScheduledEventStatus::Active),
        (CalendarEventStage::Cancelled, false) => words.status(ScheduledEventStatus::Canceled),
        (CalendarEventStage::Completed, false) => {
            change(EditScheduledEvent::new().status(ScheduledEventStatus::Active)).await?;
            words.status(ScheduledEventStatus::Completed)
        }
        (CalendarEventStage::Completed | CalendarEventStage::Cancelled, true) => {
            words.status(ScheduledEventStatus::Completed)
        }
    };
    let changed = change(edit).await?;
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
fn lacking(what: &str, permission: &str, fault: &DiscordFault) -> ChatError {
    let reason = format!(
        "{what}: {}; allow the bot's role: {permission}",
        fault.words()
    );
    ChatError::Retry {
        reason,
        after_ms: Some(MENDABLE_MS),
    }
}

fn at(seconds: i64) -> Result<Timestamp, ChatError> {
    Timestamp::from_unix_timestamp(seconds).map_err(|_| ChatError::Refused {
        reason: "the window is at no time that Discord knows".into(),
        remedy: "look at the upgrade's window".into(),
    })
}
