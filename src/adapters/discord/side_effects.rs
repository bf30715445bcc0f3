//! The things that Discord has around a message: channels that others follow, pins, and the server's calendar.

use std::time::Duration;

use serenity::{
    all::{
        ChannelId, CreateScheduledEvent, EditScheduledEvent, MessageId, ScheduledEvent,
        ScheduledEventStatus, ScheduledEventType, Timestamp,
    },
    http::Route,
};
use tokio::time::Instant;

use super::{
    Discord,
    error::{DiscordFault, MENDABLE_MS, code},
    forum, read,
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
            Ok(_) | Err(DiscordFault::Unreadable { .. }) => Ok(()),
            Err(fault) if fault.is(code::PUBLISHED_ALREADY) => Ok(()),
            Err(fault) => Err(fault),
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
    let route = Route::GuildScheduledEvents {
        guild_id: discord.guild,
    };
    let there = read::entries(discord, deadline, route, Vec::new())
        .await
        .map_err(calendar_error)?;
    let there: Vec<ScheduledEvent> = read::readable(discord, "reading the server's events", there);
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
    let reason = format!("{CHANGING_CALENDAR}: {}", fault.words());
    match fault {
        DiscordFault::Unsure { after_ms, .. } => ChatError::Retry { reason, after_ms },
        // It may be made, or it ended or was deleted since it was listed: the next try finds what is there then.
        DiscordFault::Unreadable { .. }
        | DiscordFault::Code {
            code: code::UNKNOWN_EVENT | code::EVENT_IS_OVER,
            ..
        } => ChatError::Retry {
            reason,
            after_ms: None,
        },
        fault if fault.is(code::MISSING_PERMISSIONS) || fault.is(code::MISSING_ACCESS) => {
            lacking(CHANGING_CALENDAR, "Create Events", &fault)
        }
        fault if fault.is(code::TOO_MANY_EVENTS) => ChatError::Retry {
            reason: format!("{reason}; end some of the server's events"),
            after_ms: Some(MENDABLE_MS),
        },
        _ => ChatError::Refused {
            reason,
            remedy: "look at the upgrade's window, and at the server's events".into(),
        },
    }
}

/// The soonest time at which an event may begin that is made or moved now, in seconds since 1970.
fn soonest_start() -> i64 {
    Timestamp::now().unix_timestamp() + i64::try_from(MIN_EVENT_LEAD.as_secs()).unwrap_or(0)
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
    let soonest = soonest_start();
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

/// A step by which an event becomes what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventStep {
    /// The event gets its words, those of its times that Discord takes (in seconds since 1970), and perhaps another status.
    Edit {
        starts: Option<i64>,
        ends: Option<i64>,
        status: Option<ScheduledEventStatus>,
    },
    Status(ScheduledEventStatus),
    /// Another event in the place of this one, which is over.
    Create,
}

/// The stage that is wanted of an event, and its times in seconds since 1970.
#[derive(Clone, Copy)]
struct WantedTimes {
    stage: CalendarEventStage,
    starts: i64,
    ends: i64,
}

/// The steps from an event as it is to what is wanted of it. Discord takes no start in the past and none of an event that
/// has begun, which it does by itself when its time has come.
fn steps(is_active: bool, starts: i64, wanted: WantedTimes, soonest: i64) -> Vec<EventStep> {
    use ScheduledEventStatus::{Active, Canceled, Completed};
    let edit = |starts, ends, status| EventStep::Edit {
        starts,
        ends,
        status,
    };
    let ends = Some(wanted.ends).filter(|ends| *ends > soonest.max(starts));
    match (wanted.stage, is_active) {
        (CalendarEventStage::Scheduled, true) if wanted.starts > soonest => {
            vec![EventStep::Status(Completed), EventStep::Create]
        }
        (CalendarEventStage::Scheduled, false) if starts.max(wanted.starts) > soonest => {
            let starts = wanted.starts.max(soonest);
            match wanted.ends > starts {
                true => vec![edit(Some(starts), Some(wanted.ends), None)],
                false => vec![edit(None, None, Some(Canceled))],
            }
        }
        (CalendarEventStage::Scheduled, _) | (CalendarEventStage::Active, true) => {
            vec![edit(None, ends, None)]
        }
        (CalendarEventStage::Active, false) => vec![edit(None, ends, Some(Active))],
        (CalendarEventStage::Cancelled, false) => vec![edit(None, None, Some(Canceled))],
        (CalendarEventStage::Completed, false) => {
            vec![EventStep::Status(Active), edit(None, None, Some(Completed))]
        }
        (CalendarEventStage::Completed | CalendarEventStage::Cancelled, true) => {
            vec![edit(None, None, Some(Completed))]
        }
    }
}

/// Takes an event to what is wanted of it, by the steps that Discord allows.
async fn change_event(
    discord: &Discord,
    deadline: Instant,
    event: &ScheduledEvent,
    wanted: &MarkedEvent<'_>,
) -> Result<Accepted, ChatError> {
    let times = WantedTimes {
        stage: wanted.event.stage,
        starts: wanted.opens.unix_timestamp(),
        ends: wanted.closes.unix_timestamp(),
    };
    let is_active = event.status == ScheduledEventStatus::Active;
    let starts = event.start_time.unix_timestamp();
    for step in steps(is_active, starts, times, soonest_start()) {
        let edit = match step {
            EventStep::Create => return create_event(discord, deadline, wanted).await,
            EventStep::Status(status) => EditScheduledEvent::new().status(status),
            EventStep::Edit {
                starts,
                ends,
                status,
            } => {
                let mut edit = EditScheduledEvent::new()
                    .name(&wanted.event.name)
                    .description(&wanted.about)
                    .location(&wanted.event.place);
                if let Some(starts) = starts {
                    edit = edit.start_time(at(starts)?);
                }
                if let Some(ends) = ends {
                    edit = edit.end_time(at(ends)?);
                }
                if let Some(status) = status {
                    edit = edit.status(status);
                }
                edit
            }
        };
        let edited = discord
            .ask(deadline, || {
                discord
                    .http
                    .edit_scheduled_event(discord.guild, event.id, &edit, None)
            })
            .await;
        match edited {
            Ok(_) | Err(DiscordFault::Unreadable { .. }) => {}
            Err(fault) => return Err(calendar_error(fault)),
        }
    }
    Ok(event_accepted(discord, event))
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;
    const SOONEST: i64 = NOW + 120;
    const HOUR: i64 = 3_600;

    fn to(is_active: bool, starts: i64, stage: CalendarEventStage, opens: i64) -> Vec<EventStep> {
        let wanted = WantedTimes {
            stage,
            starts: opens,
            ends: opens + HOUR,
        };
        steps(is_active, starts, wanted, SOONEST)
    }

    #[test]
    fn no_start_in_the_past_is_asked_for_and_what_has_begun_is_ended_and_made_anew() {
        use CalendarEventStage::{Active, Cancelled, Completed, Scheduled};
        use ScheduledEventStatus as Status;
        let edit = |starts, ends, status| EventStep::Edit {
            starts,
            ends,
            status,
        };
        let (future, past) = (NOW + HOUR, NOW - HOUR / 2);
        // To come: it moves with its window.
        assert_eq!(
            to(false, future, Scheduled, future + HOUR),
            [edit(Some(future + HOUR), Some(future + 2 * HOUR), None)]
        );
        // The window is open: the start is left out, whether Discord has begun the event or is about to.
        for is_active in [false, true] {
            assert_eq!(
                to(is_active, past, Scheduled, past),
                [edit(None, Some(past + HOUR), None)]
            );
        }
        // Moved after the event began by itself.
        assert_eq!(
            to(true, past, Scheduled, future),
            [EventStep::Status(Status::Completed), EventStep::Create]
        );
        // Moved to a time that has passed: from now, or not at all.
        assert_eq!(
            to(false, future, Scheduled, past),
            [edit(Some(SOONEST), Some(past + HOUR), None)]
        );
        assert_eq!(
            to(false, future, Scheduled, NOW - 2 * HOUR),
            [edit(None, None, Some(Status::Canceled))]
        );
        // Over time: nothing in the past is said of it.
        assert_eq!(
            to(true, past, Active, NOW - 2 * HOUR),
            [edit(None, None, None)]
        );
        assert_eq!(
            to(false, past, Completed, NOW - 2 * HOUR),
            [
                EventStep::Status(Status::Active),
                edit(None, None, Some(Status::Completed))
            ]
        );
        assert_eq!(
            to(true, past, Cancelled, future),
            [edit(None, None, Some(Status::Completed))]
        );
    }
}
