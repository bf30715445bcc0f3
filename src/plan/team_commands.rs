//! Team commands leave the upgrade as it is: they add a line to the status, say something
//! unplanned, correct a post, announce a notice early, tick an item of the checklist or close
//! feedback.
//!
//! The planner follows them like those that change an upgrade, in the transaction in which they are
//! answered, so a crash neither loses nor repeats one.

use crate::{
    config::hint,
    domain::{
        campaign::{
            Campaign,
            change::Change,
            progress::{State, Tick},
        },
        outbox::{Post, PostState},
        people::reply::Reply,
        plan::notice::{Notice, SAID_NOTICE},
    },
    outbox::{Announcement, Core},
    ports::{Batch, Move, Readers, Request},
};

/// Follows a request, or says why it can't be followed.
pub fn follow(
    core: &Core,
    request: &Request,
    campaign: &mut Campaign,
    posts: &[Post],
    batch: &mut Batch,
) -> Result<Reply, Reply> {
    let now = core.clock.now();
    match &request.change {
        Change::Note { text } => {
            campaign.progress.add_note(now, text.clone());
            Ok(Reply::NoteStands)
        }
        Change::Close => close(core, campaign),
        Change::Say { channel, text } => {
            say(core, request, campaign, channel.as_deref(), text, batch)
        }
        Change::Correct { notice, text } => correct(core, campaign, notice, text, posts, batch),
        Change::Announce { notice } => announce(core, campaign, notice, posts, batch),
        Change::Tick { item, remark } => tick(core, request, campaign, item, remark.as_deref()),
        Change::Untick { item } => match campaign.progress.ticks.remove(item) {
            Some(_) => Ok(Reply::Unticked { item: item.clone() }),
            None => Err(Reply::NotTicked { item: item.clone() }),
        },
        // These change the upgrade itself: the planner follows them.
        Change::Reschedule { .. }
        | Change::Cancel { .. }
        | Change::Fail { .. }
        | Change::Go
        | Change::NoGo { .. }
        | Change::Step { .. } => Err(Reply::SoAlready),
    }
}

fn close(core: &Core, campaign: &mut Campaign) -> Result<Reply, Reply> {
    if campaign.progress.feedback.is_some() {
        return Err(Reply::FeedbackClosedAlready);
    }
    if campaign.progress.applied_at.is_none() || campaign.progress.state < State::Applied {
        return Err(Reply::FeedbackNotOpen);
    }
    campaign.progress.feedback_closes = Some(core.clock.now());
    Ok(Reply::FeedbackClosedNow)
}

fn tick(
    core: &Core,
    request: &Request,
    campaign: &mut Campaign,
    item: &str,
    remark: Option<&str>,
) -> Result<Reply, Reply> {
    let item = item.to_owned();
    let snapshot = core.snapshot();
    let checklist = &snapshot.config.checklist;
    let Some(step) = checklist.step(&item) else {
        return Err(Reply::UnknownItem { item });
    };
    if let Some(tick) = campaign.progress.ticks.get(&item) {
        let by = tick.by.clone();
        return Err(Reply::TickedAlready { item, by });
    }
    campaign.progress.ticks.insert(
        item.clone(),
        Tick {
            at: core.clock.now(),
            by: request.author.clone(),
            remark: remark.map(str::to_owned),
        },
    );
    let is_done =
        |step: &&crate::config::ChecklistItem| campaign.progress.ticks.contains_key(&step.item);
    Ok(Reply::Ticked {
        item,
        text: step.text.clone(),
        done: checklist.process.iter().filter(is_done).count(),
        of: checklist.process.len(),
    })
}

fn say(
    core: &Core,
    request: &Request,
    campaign: &Campaign,
    channel: Option<&str>,
    text: &str,
    batch: &mut Batch,
) -> Result<Reply, Reply> {
    let channels: Vec<String> = match channel {
        Some(name) if core.outlets.contains_key(name) => vec![name.to_owned()],
        Some(name) => {
            return Err(Reply::UnknownChannel {
                channel: name.to_owned(),
                hint: hint(name, core.outlets.keys().map(String::as_str)),
            });
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
    Ok(Reply::SaidIn { channels })
}

fn correct(
    core: &Core,
    campaign: &Campaign,
    notice: &str,
    text: &str,
    posts: &[Post],
    batch: &mut Batch,
) -> Result<Reply, Reply> {
    let is_out = |p: &&Post| p.is_message() && p.state == PostState::Sent && p.notice == notice;
    let Some(last) = posts.iter().filter(is_out).max_by_key(|p| (p.sent, p.due)) else {
        return Err(Reply::NothingToCorrect {
            notice: notice.to_owned(),
            said: SAID_NOTICE.to_owned(),
        });
    };
    let same =
        |p: &&Post| is_out(p) && (p.revision, &p.occurrence) == (last.revision, &last.occurrence);
    let mut channels = Vec::new();
    for root in posts.iter().filter(same) {
        channels.push(root.channel.clone());
        let detail = Post::correction_detail(text);
        core.outbox.mark(batch, root, posts, &detail);
    }
    let live = core
        .snapshot()
        .plan()
        .notice(campaign.upgrade.urgency, notice)
        .is_some_and(|n| n.live);
    Ok(Reply::Corrected {
        notice: notice.to_owned(),
        channels,
        live,
    })
}

fn announce(
    core: &Core,
    campaign: &mut Campaign,
    notice: &str,
    posts: &[Post],
    batch: &mut Batch,
) -> Result<Reply, Reply> {
    let now = core.clock.now();
    let waits = |p: &&Post| {
        p.is_message()
            && matches!(p.state, PostState::Planned | PostState::Held)
            && p.notice == notice
    };
    let Some(next) = posts.iter().filter(waits).min_by_key(|p| p.due) else {
        return Err(Reply::NothingPlanned {
            notice: notice.to_owned(),
        });
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
    Ok(Reply::DueNow {
        notice: notice.to_owned(),
    })
}

/// The name under which a planned post is kept that goes out before its time, in all channels.
pub fn early(post: &Post) -> String {
    format!("{} {} {}", post.revision, post.notice, post.occurrence)
}
