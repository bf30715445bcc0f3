//! Reminders in private, for who has asked for one.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        campaign::progress::State,
        outbox::post::{Post, PostState},
        plan::{notice::Notice, schedule::parse_length},
    },
    outbox::{Core, PRIVATE, posts_of},
    ports::{Accepting, Asker, Entry, EntryKind, Platform, StoreError},
};

/// So long before the window without another word.
const USUAL: SignedDuration = SignedDuration::from_hours(1);
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 14);

/// Who wants to hear when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Wish {
    platform: Platform,
    user: String,
    /// Seconds before the window opens.
    before: i64,
}

/// The reminders of an upgrade, as its window is now.
pub async fn posts(core: &Core, accepted: &Accepting, now: Timestamp) -> Result<Vec<Post>, StoreError> {
    let mut posts = Vec::new();
    for entry in core.store.entries(EntryKind::Subscription, &accepted.upgrade.id).await? {
        let Ok(wish) = serde_json::from_value::<Wish>(entry.value) else { continue };
        let Some((channel, _)) = PRIVATE.into_iter().find(|(_, platform)| *platform == wish.platform) else { continue };
        let Ok(due) = accepted.upgrade.window.opens.checked_sub(SignedDuration::from_secs(wish.before)) else { continue };
        let notice = Notice { channels: vec![channel.to_owned()], ..Notice::private() };
        let occurrence = format!("{} {}", wish.before, wish.user);
        let mut made = posts_of(&accepted.upgrade.id, accepted.revision, &notice, 0, &occurrence, due, None);
        if due < now {
            made.iter_mut().for_each(|p| p.state = PostState::Skipped);
        }
        posts.append(&mut made);
    }
    Ok(posts)
}

/// The account that a private post is for.
pub fn reader(post: &Post) -> Option<&str> {
    let is_private = PRIVATE.iter().any(|(name, _)| *name == post.channel);
    post.occurrence.split_once(' ').map(|(_, user)| user).filter(|_| is_private)
}

/// Somebody wants a reminder, another, or none any more; `written` puts a time into words. What came of it.
pub async fn subscribe(
    core: &Core,
    accepted: &Accepting,
    asker: &Asker<'_>,
    before: Option<&str>,
    written: impl Fn(Timestamp) -> String,
) -> Result<String, StoreError> {
    let (upgrade, now) = (&accepted.upgrade, core.clock.now());
    let id = format!("{} {}", asker.platform.name(), asker.user);
    if before.is_some_and(|b| b.eq_ignore_ascii_case("off")) {
        let gone = core.store.erase(EntryKind::Subscription, &upgrade.id, &id).await?;
        return Ok(if gone { "I will not remind you." } else { "You have asked for no reminder." }.to_owned());
    }
    let length = match before.map(parse_length) {
        None => USUAL,
        Some(Ok(length)) if !length.is_zero() && length <= LONGEST => length,
        Some(_) => return Ok("Write how long before the window: 30m, 2h or 1d, up to 14d; or off.".to_owned()),
    };
    if upgrade.poll.is_some() {
        return Ok("The window is not set yet. Please ask again when it is.".to_owned());
    }
    let due = upgrade.window.opens.checked_sub(length).unwrap_or(now);
    if due <= now || upgrade.given_up() || accepted.progress.state > State::Scheduled {
        return Ok(format!("The window opens {}: that is too soon for this reminder.", written(upgrade.window.opens)));
    }
    let wish = Wish { platform: asker.platform, user: asker.user.to_owned(), before: length.as_secs() };
    let value = serde_json::to_value(wish).map_err(|e| StoreError(e.to_string()))?;
    let entry = Entry { kind: EntryKind::Subscription, upgrade: upgrade.id.clone(), id, at: now, value };
    core.store.write(&entry, true).await?;
    Ok(format!("I will write to you alone, {}; should the window move, so does this. To stop it: subscribe off.", written(due)))
}
