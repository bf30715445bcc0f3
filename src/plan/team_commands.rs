//! Team commands leave the upgrade as it is: they add a line to the status, say something
//! unplanned, correct a post, announce a notice early, tick an item of the checklist or close
//! feedback.
//!
//! The planner follows them like those that change an upgrade, in the transaction in which they are
//! answered, so a crash neither loses nor repeats one.

use crate::{
    domain::{
        campaign::{
            Campaign,
            change::Change,
            progress::{State, Tick},
        },
        outbox::{Post, PostState},
        plan::notice::{Notice, SAID},
    },
    outbox::{Announcement, Core},
    ports::{Batch, Move, Readers, Request},
};

/// Follows a command: `Ok` says what came of it, `Err` why nothing did.
pub fn follow(
    core: &Core,
    request: &Request,
    campaign: &mut Campaign,
    posts: &[Post],
    batch: &mut Batch,
) -> Result<String, String> {
    let now = core.clock.now();
    match &request.change {
        Change::Note { text } => {
            campaign.progress.add_note(now, text.clone());
            Ok("the line stands in the status now".to_owned())
        }
        Change::Close => {
            if campaign.progress.feedback.is_some() {
                return Err("feedback is closed already".to_owned());
            }
            if campaign.progress.applied_at.is_none() || campaign.progress.state < State::Applied {
                return Err("feedback is not open yet: the upgrade is not applied".to_owned());
            }
            campaign.progress.feedback_closes = Some(now);
            Ok("feedback is closed; it is counted and told now".to_owned())
        }
        Change::Say { channel, text } => {
            say(core, request, campaign, channel.as_deref(), text, batch)
        }
        Change::Correct { notice, text } => correct(core, campaign, notice, text, posts, batch),
        Change::Announce { notice } => announce(core, campaign, notice, posts, batch),
        Change::Tick { item, remark } => {
            let snapshot = core.snapshot();
            let step = snapshot
                .config
                .checklist
                .step(item)
                .ok_or_else(|| format!("the checklist has no item {item}"))?;
            if let Some(tick) = campaign.progress.ticks.get(item) {
                return Err(format!("{item} is ticked already, by {}", tick.by));
            }
            campaign.progress.ticks.insert(
                item.clone(),
                Tick {
                    at: now,
                    by: request.author.clone(),
                    remark: remark.clone(),
                },
            );
            let done = snapshot
                .config
                .checklist
                .process
                .iter()
                .filter(|i| campaign.progress.ticks.contains_key(&i.item))
                .count();
            Ok(format!(
                "{item} is done: {} ({done} of {})",
                step.text,
                snapshot.config.checklist.process.len()
            ))
        }
        Change::Untick { item } => match campaign.progress.ticks.remove(item) {
            Some(_) => Ok(format!("{item} is open again")),
            None => Err(format!("{item} is not ticked")),
        },
        _ => Err("that is no such act".to_owned()),
    }
}

fn say(
    core: &Core,
    request: &Request,
    campaign: &Campaign,
    channel: Option<&str>,
    text: &str,
    batch: &mut Batch,
) -> Result<String, String> {
    let channels: Vec<String> = match channel {
        Some(name) if core.outlets.contains_key(name) => vec![name.to_owned()],
        Some(name) => {
            return Err(format!(
                "there is no channel {name}: {}",
                crate::config::suggest(
                    name,
                    core.outlets.keys().map(String::as_str).collect::<Vec<_>>()
                )
                .replace('`', "")
            ));
        }
        None => core
            .outlets
            .iter()
            .filter(|(_, o)| o.readers == Readers::Public)
            .map(|(name, _)| name.clone())
            .collect(),
    };
    let notice = Notice {
        channels: channels.clone(),
        ..Notice::said()
    };
    // Each command makes a post of its own, even if the words were said before.
    let announcement = Announcement {
        upgrade: &campaign.upgrade.id,
        revision: 0,
        notice: &notice,
        index: 0,
        occurrence: &request.number.to_string(),
        due: core.clock.now(),
    };
    let mut posts = announcement.posts();
    posts
        .iter_mut()
        .for_each(|p| p.detail = Some(text.to_owned()));
    batch.posts.extend(posts);
    Ok(format!("it goes to {}", channels.join(", ")))
}

fn correct(
    core: &Core,
    campaign: &Campaign,
    notice: &str,
    text: &str,
    posts: &[Post],
    batch: &mut Batch,
) -> Result<String, String> {
    let is_out = |p: &&Post| p.is_message() && p.state == PostState::Sent && p.notice == notice;
    let Some(last) = posts.iter().filter(is_out).max_by_key(|p| (p.sent, p.due)) else {
        return Err(format!(
            "no post of {notice} is out; write the id of its notice, or {SAID} for words of your own"
        ));
    };
    let same =
        |p: &&Post| is_out(p) && (p.revision, &p.occurrence) == (last.revision, &last.occurrence);
    let mut channels = Vec::new();
    for root in posts.iter().filter(same) {
        channels.push(root.channel.as_str());
        let detail = Post::correction_detail(text);
        batch.posts.push(core.outbox.mark(root, posts, &detail));
    }
    let live = core
        .snapshot()
        .plan()
        .notice(campaign.upgrade.urgency, notice)
        .is_some_and(|n| n.live);
    let hint = if live {
        ", until herald writes it anew: it is kept up to date"
    } else {
        ""
    };
    Ok(format!(
        "the correction stands on top of {notice} in {}{hint}",
        channels.join(", ")
    ))
}

fn announce(
    core: &Core,
    campaign: &mut Campaign,
    notice: &str,
    posts: &[Post],
    batch: &mut Batch,
) -> Result<String, String> {
    let now = core.clock.now();
    let waits = |p: &&Post| {
        p.is_message()
            && matches!(p.state, PostState::Planned | PostState::Held)
            && p.notice == notice
    };
    let Some(next) = posts.iter().filter(waits).min_by_key(|p| p.due) else {
        return Err(format!(
            "nothing of {notice} is planned; for words of your own there is say"
        ));
    };
    let same = |p: &&Post| {
        p.notice == notice && (p.revision, &p.occurrence) == (next.revision, &next.occurrence)
    };
    let waiting =
        |p: &&Post| matches!(p.state, PostState::Planned | PostState::Held) && p.due > now;
    batch.moves.extend(
        posts
            .iter()
            .filter(same)
            .filter(waiting)
            .map(|p| (p.key.clone(), Move::Due(now))),
    );
    // Without this the planner would move the post back to its own time.
    campaign.progress.announced.insert(early(next));
    Ok(format!("{notice} is due now"))
}

/// Names an occurrence of a notice that goes out before its time, in all channels.
pub fn early(post: &Post) -> String {
    format!("{} {} {}", post.revision, post.notice, post.occurrence)
}
