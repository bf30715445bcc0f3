//! Private reminders go to people who have asked for one.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        campaign::{Campaign, progress::State},
        outbox::{Post, PostState},
        plan::{notice::Notice, schedule::parse_length},
    },
    outbox::{Announcement, Core},
    ports::{Asker, Platform, Record, RecordKind, StoreError},
};

/// A reminder comes this long before the window if nobody says otherwise.
const DEFAULT_LEAD: SignedDuration = SignedDuration::from_hours(1);
const MAX_LEAD: SignedDuration = SignedDuration::from_hours(24 * 14);

/// A person's wish for a reminder.
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

/// Keeps or drops a person's wish, and returns the answer; `format_time` puts a time into words.
pub async fn subscribe(
    core: &Core,
    campaign: &Campaign,
    asker: &Asker<'_>,
    before: Option<&str>,
    format_time: impl Fn(Timestamp) -> String,
) -> Result<String, StoreError> {
    let (upgrade, now) = (&campaign.upgrade, core.clock.now());
    let id = format!("{} {}", asker.platform.name(), asker.user);
    if before.is_some_and(|b| b.eq_ignore_ascii_case("off")) {
        let gone = core
            .store
            .erase(RecordKind::Subscription, &upgrade.id, &id)
            .await?;
        return Ok(if gone {
            "I will not remind you."
        } else {
            "You have asked for no reminder."
        }
        .to_owned());
    }
    let length = match before.map(parse_length) {
        None => DEFAULT_LEAD,
        Some(Ok(length)) if !length.is_zero() && length <= MAX_LEAD => length,
        Some(_) => {
            return Ok(
                "Write how long before the window: 30m, 2h or 1d, up to 14d; or off.".to_owned(),
            );
        }
    };
    if upgrade.poll.is_some() {
        return Ok("The window is not set yet. Please ask again when it is.".to_owned());
    }
    let due = upgrade.window.opens.checked_sub(length).unwrap_or(now);
    if due <= now || upgrade.given_up() || campaign.progress.state > State::Scheduled {
        return Ok(format!(
            "The window opens {}: that is too soon for this reminder.",
            format_time(upgrade.window.opens)
        ));
    }
    let wish = Subscription {
        platform: asker.platform,
        user: asker.user.to_owned(),
        before: length.as_secs(),
    };
    let entry = Record::new(RecordKind::Subscription, &upgrade.id, id, now, &wish)?;
    core.store.write(&entry, true).await?;
    Ok(format!(
        "I will write to you alone, {}; should the window move, so does this. To stop it: subscribe off.",
        format_time(due)
    ))
}
