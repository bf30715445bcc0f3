//! Private reminders go to people who have asked for one.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        campaign::{Campaign, progress::State},
        outbox::{Post, PostState},
        people::{reply::Reply, value::Reminder},
        plan::notice::Notice,
    },
    outbox::{Announcement, Core},
    ports::{Asker, Platform, Record, RecordKind, StoreError},
};

/// A reminder comes so long before the window unless its reader says otherwise.
pub const USUAL_REMINDER: Reminder = Reminder::Before(SignedDuration::from_hours(1));

/// Somebody's wish for a reminder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Subscription {
    platform: Platform,
    user: String,
    /// Seconds before the window opens.
    before: i64,
}

/// Makes the reminders of an upgrade, by its window as it is now.
pub async fn posts(
    core: &Core,
    campaign: &Campaign,
    now: Timestamp,
) -> Result<Vec<Post>, StoreError> {
    let mut posts = Vec::new();
    for entry in core
        .store
        .entries(RecordKind::Subscription, &campaign.upgrade.id)
        .await?
    {
        let Ok(wish) = serde_json::from_value::<Subscription>(entry.value) else {
            continue;
        };
        let Some(channel) = wish.platform.private_channel() else {
            continue;
        };
        let Ok(due) = campaign
            .upgrade
            .window
            .opens
            .checked_sub(SignedDuration::from_secs(wish.before))
        else {
            continue;
        };
        let notice = Notice {
            channels: vec![channel],
            ..Notice::private()
        };
        let occurrence = format!("{} {}", wish.before, wish.user);
        let announcement = Announcement {
            upgrade: &campaign.upgrade.id,
            revision: campaign.revision,
            notice: &notice,
            index: 0,
            occurrence: &occurrence,
            due,
        };
        let mut made = announcement.posts();
        if due < now {
            made.iter_mut().for_each(|p| p.state = PostState::Skipped);
        }
        posts.append(&mut made);
    }
    Ok(posts)
}

/// Somebody wants a reminder, another, or none any more.
pub async fn subscribe(
    core: &Core,
    campaign: &Campaign,
    asker: &Asker<'_>,
    reminder: Reminder,
) -> Result<Reply, StoreError> {
    let (upgrade, now) = (&campaign.upgrade, core.clock.now());
    let id = format!("{} {}", asker.platform.name(), asker.user);
    let Reminder::Before(length) = reminder else {
        let gone = core
            .store
            .erase(RecordKind::Subscription, &upgrade.id, &id)
            .await?;
        return Ok(if gone {
            Reply::ReminderOff
        } else {
            Reply::NoReminder
        });
    };
    if upgrade.poll.is_some() {
        return Ok(Reply::WindowNotSet);
    }
    let due = upgrade.window.opens.checked_sub(length).unwrap_or(now);
    if due <= now || upgrade.given_up() || campaign.progress.state > State::Scheduled {
        return Ok(Reply::ReminderTooSoon {
            opens: upgrade.window.opens,
        });
    }
    let wish = Subscription {
        platform: asker.platform,
        user: asker.user.to_owned(),
        before: length.as_secs(),
    };
    let entry = Record::new(RecordKind::Subscription, &upgrade.id, id, now, &wish)?;
    core.store.write(&entry, true).await?;
    Ok(Reply::ReminderSet { at: due })
}
