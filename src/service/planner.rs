//! Accepts upgrades and plans their notices by the clock.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Core, posts_of, unplanned};
use crate::{
    config::{Finding, Plan, UpgradeFile},
    domain::{
        notice::{Happening, Trigger},
        phase::{Progress, State},
        post::{Post, PostKey, PostState},
        upgrade::Upgrade,
    },
    ports::{Accepting, Batch, StoreError, Supersede},
};

pub struct Planner {
    core: Arc<Core>,
    files: Vec<UpgradeFile>,
}

/// What planning found.
#[derive(Debug, Default)]
pub struct Planned {
    /// Newly accepted upgrades.
    pub accepted: Vec<String>,
    /// Posts that were due before their upgrade was accepted.
    pub skipped: Vec<Post>,
    /// Files that can't be accepted.
    pub refused: Vec<Finding>,
}

impl Planner {
    pub fn new(core: Arc<Core>, files: Vec<UpgradeFile>) -> Self {
        Self { core, files }
    }

    /// Accepts what is new, follows a window that moved, and adds posts that a changed plan asks for.
    pub async fn tick(&self) -> Result<Planned, StoreError> {
        let _guard = self.core.ledger.lock().await;
        let now = self.core.clock.now();
        let known = self.core.store.upgrades().await?;
        let mut planned = Planned::default();
        let mut batch = Batch::default();
        for UpgradeFile { upgrade, file } in &self.files {
            let own = |k: &&Accepting| k.upgrade.id == upgrade.id || k.upgrade.joined.as_ref() == Some(&upgrade.id);
            // A campaign that nobody had planned goes on under the words of the file.
            let before = known.iter().find(own).or_else(|| unplanned::meant_by(&known, upgrade));
            match before {
                None if upgrade.window.opens <= now => {
                    let written = self.core.renderer.zone().written(upgrade.window.opens);
                    planned.refused.push(file.wrong(
                        &["window", "opens"],
                        format!("{} is new here, but its window opened already, {written}", upgrade.id),
                        "set a window that is still to come, or remove the file",
                    ));
                    continue;
                }
                None => planned.accepted.push(upgrade.id.clone()),
                Some(_) => {}
            }
            let accepted = merge(before, upgrade, now);
            if before.is_some_and(|b| accepted.revision > b.revision) {
                batch.supersede.push(Supersede { upgrade: accepted.upgrade.id.clone(), below: accepted.revision, due_by: Timestamp::MAX });
                batch.posts.extend(self.core.posts_on(&accepted, Happening::Rescheduled, "1", None));
            }
            let id = accepted.upgrade.id.clone();
            let posts = timed(&accepted.upgrade, accepted.revision, &self.core.plan, now);
            let old = self.core.store.posts(&id).await?;
            batch.replanned.extend(replanned(&old, &posts, accepted.revision, &self.core.plan));
            let new = posts.into_iter().filter(|p| !old.iter().any(|o| o.key == p.key));
            let new: Vec<Post> = new.collect();
            planned.skipped.extend(new.iter().filter(|p| p.state == PostState::Skipped).cloned());
            batch.posts.extend(new);
            batch.upgrades.push(accepted);
        }
        if !planned.refused.is_empty() {
            // All or nothing: a start that is refused changes nothing.
            return Ok(planned);
        }
        self.core.store.commit(batch).await?;
        self.core.posts.notify_waiters();
        Ok(planned)
    }
}

/// Posts that wait and that a changed plan has at another time, or no more.
fn replanned(old: &[Post], wanted: &[Post], revision: u32, plan: &Plan) -> Vec<(PostKey, Option<Timestamp>)> {
    // What waits for a happening has its time from that.
    let happened = |post: &Post| plan.notices.iter().any(|n| n.id == post.notice && matches!(n.trigger, Trigger::On(_)));
    let waiting = old.iter().filter(|p| p.state == PostState::Planned && p.attempts == 0 && p.revision == revision);
    waiting
        .filter(|post| !happened(post))
        .filter_map(|post| match wanted.iter().find(|w| w.key == post.key) {
            None => Some((post.key.clone(), None)),
            Some(same) if same.due.as_millisecond() != post.due.as_millisecond() => Some((post.key.clone(), Some(same.due))),
            Some(_) => None,
        })
        .collect()
}

/// The upgrade as the file now has it, with the progress it had.
fn merge(before: Option<&Accepting>, upgrade: &Upgrade, now: Timestamp) -> Accepting {
    match before {
        None => Accepting { upgrade: upgrade.clone(), progress: Progress::new(upgrade), revision: 1, accepted: now },
        Some(before) => {
            let mut accepted = before.clone();
            // The window of a campaign that nobody planned was made up: the file's own is no change of it.
            let moved =
                before.upgrade.window.opens != upgrade.window.opens && before.progress.state < State::Applied && !before.upgrade.unplanned;
            accepted.upgrade = upgrade.clone();
            if before.upgrade.id != upgrade.id {
                // What the campaign has told of other chains goes on.
                for (name, target) in &before.upgrade.chains {
                    accepted.upgrade.chains.entry(name.clone()).or_insert_with(|| target.clone());
                }
                accepted.upgrade.joined = Some(upgrade.id.clone());
                accepted.upgrade.id.clone_from(&before.upgrade.id);
            }
            accepted.revision += u32::from(moved);
            let fresh = Progress::new(&accepted.upgrade);
            let chains = accepted.upgrade.chains.clone();
            accepted.progress.chains.retain(|name, _| chains.contains_key(name));
            for (name, progress) in fresh.chains {
                accepted.progress.chains.entry(name).or_insert(progress);
            }
            accepted
        }
    }
}

/// Every post by the clock. What was due by `now` is skipped, not posted late: nobody had planned it
/// when it was due.
pub fn timed(upgrade: &Upgrade, revision: u32, plan: &Plan, now: Timestamp) -> Vec<Post> {
    let mut posts = Vec::new();
    for (index, notice) in plan.notices.iter().enumerate() {
        let times: Vec<(String, Timestamp)> = match &notice.trigger {
            Trigger::At(offset) => offset.from(upgrade.window.opens, &plan.zone).into_iter().map(|at| ("1".to_owned(), at)).collect(),
            Trigger::Cron(rule) => rule.occurrences(upgrade.window.opens, &plan.zone).into_iter().map(|at| (at.to_string(), at)).collect(),
            Trigger::On(_) => Vec::new(),
        };
        for (occurrence, due) in times {
            let mut made = posts_of(&upgrade.id, revision, notice, index, &occurrence, due, None);
            if due < now {
                made.iter_mut().for_each(|p| p.state = PostState::Skipped);
            }
            posts.append(&mut made);
        }
    }
    posts
}
