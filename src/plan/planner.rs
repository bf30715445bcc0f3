//! Accepts upgrades, follows their files and the commands given for them, and plans their notices by the clock.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;

use super::{reminders, team_commands};
use crate::{
    config::{Finding, Plan, UpgradeFile},
    domain::{
        campaign::{
            self, Campaign,
            change::{self, ChangeError},
            progress::{Progress, State},
            upgrade::Upgrade,
        },
        outbox::{Post, PostKey, PostState, digest, occurrence_of},
        people::reply::{Outcome, Reply},
        plan::notice::{Happening, MissedPolicy, Trigger},
    },
    outbox::{Announcement, Core},
    ports::{Batch, Move, Request, StoreError, Supersede},
};

pub struct Planner {
    core: Arc<Core>,
}

/// The result of planning.
#[derive(Debug, Default)]
pub struct Planned {
    /// Upgrades that were accepted now.
    pub accepted: Vec<String>,
    /// Posts that were due before their upgrade was accepted.
    pub skipped: Vec<Post>,
    /// Files that can't be accepted.
    pub refused: Vec<Finding>,
    /// Edits of a file that a command contradicts: that file is not followed, the others are.
    pub contradicted: Vec<Finding>,
    /// Commands that were followed or refused.
    pub answered: usize,
}

impl Planner {
    pub fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Accepts what is new in the files in force, and follows what changed in them and what was commanded.
    pub async fn tick(&self) -> Result<Planned, StoreError> {
        let snapshot = self.core.snapshot();
        self.tick_with(&snapshot.config.upgrades).await
    }

    /// Does the same as [`Self::tick`] with these files.
    pub async fn tick_with(&self, files: &[UpgradeFile]) -> Result<Planned, StoreError> {
        let plan = async |batch: &mut Batch| self.plan(files, batch).await;
        let planned = self.core.outbox.transaction(plan).await?;
        if planned.answered > 0 {
            self.core.answered.notify_waiters();
        }
        Ok(planned)
    }

    async fn plan(&self, files: &[UpgradeFile], batch: &mut Batch) -> Result<Planned, StoreError> {
        let mut planned = Planned::default();
        let known = self.core.store.upgrades().await?;
        let mut after = known.clone();
        for file in files {
            self.follow_file(file, &known, &mut after, batch, &mut planned);
        }
        if !planned.refused.is_empty() {
            // The files are followed together or not at all: a refused file changes nothing.
            *batch = Batch::default();
            return Ok(planned);
        }
        let mut reasons = Vec::new();
        for request in self.core.store.requests().await? {
            let posts = if request.change.is_aside() {
                self.core.store.posts(&request.upgrade).await?
            } else {
                Vec::new()
            };
            let outcome = match self.follow_request(&request, &mut after, &posts, batch) {
                Ok(done) => {
                    reasons.extend(
                        request
                            .change
                            .reason()
                            .map(|r| (request.upgrade.clone(), r.to_owned())),
                    );
                    Outcome::Done(done)
                }
                Err(why) => Outcome::Refused(why),
            };
            planned.answered += 1;
            batch.answered.push((request.number, outcome));
        }
        for campaign in after {
            let before = known
                .iter()
                .find(|before| before.upgrade.id == campaign.upgrade.id);
            let reason = reasons
                .iter()
                .rev()
                .find(|(id, _)| *id == campaign.upgrade.id)
                .map(|(_, r)| r.as_str());
            self.turn(before, campaign, reason, batch, &mut planned)
                .await?;
        }
        // A post that exists already is not written again: a tick without news writes nothing.
        let mut new = Vec::new();
        for post in std::mem::take(&mut batch.posts) {
            if self.core.store.post(&post.key).await?.is_none() {
                new.push(post);
            }
        }
        batch.posts = new;
        Ok(planned)
    }

    /// Lists which of these files can't be followed, and why.
    pub async fn refusals(&self, files: &[UpgradeFile]) -> Result<Vec<Finding>, StoreError> {
        let known = self.core.store.upgrades().await?;
        let (mut after, mut batch, mut planned) =
            (known.clone(), Batch::default(), Planned::default());
        for file in files {
            self.follow_file(file, &known, &mut after, &mut batch, &mut planned);
        }
        Ok(planned.refused)
    }

    /// Follows one file, which may be new, edited or unchanged.
    fn follow_file(
        &self,
        UpgradeFile { upgrade, file }: &UpgradeFile,
        known: &[Campaign],
        after: &mut Vec<Campaign>,
        batch: &mut Batch,
        planned: &mut Planned,
    ) {
        let now = self.core.clock.now();
        // A file takes over the campaign that nobody had planned.
        let Some(before) = known
            .iter()
            .find(|campaign| campaign.is_called(&upgrade.id))
            .or_else(|| campaign::joined_by(known, upgrade))
        else {
            if upgrade.window.opens <= now && !upgrade.given_up() {
                let written = self
                    .core
                    .snapshot()
                    .renderer
                    .zone()
                    .written(upgrade.window.opens);
                planned.refused.push(file.wrong(
                    &["window", "opens"],
                    format!(
                        "{} is new here, but its window opened already, {written}",
                        upgrade.id
                    ),
                    "set a window that is still to come, or remove the file",
                ));
                return;
            }
            if let Some(poll) = upgrade
                .poll
                .as_ref()
                .filter(|poll| poll.decide_by <= now && !upgrade.given_up())
            {
                let written = self.core.snapshot().renderer.zone().written(poll.decide_by);
                planned.refused.push(file.wrong(
                    &["poll", "decide_by"],
                    format!("{} is new here, but the time to vote on its window is over, since {written}", upgrade.id),
                    "set a time that is still to come, or remove the file",
                ));
                return;
            }
            if !upgrade.given_up() {
                planned.accepted.push(upgrade.id.clone());
                after.push(Campaign {
                    file: Some(upgrade.clone()),
                    ..Campaign::new(upgrade.clone(), now)
                });
            }
            return;
        };
        let Some(campaign) = after
            .iter_mut()
            .find(|campaign| campaign.upgrade.id == before.upgrade.id)
        else {
            return;
        };
        match edited(campaign, upgrade) {
            Ok(merged) => *campaign = merged,
            Err(error) => {
                let mut finding = file.wrong(
                    &[conflict(&error)],
                    error.to_string(),
                    "the rest of the file is not followed either until then",
                );
                finding.severity = crate::config::Severity::Warning;
                let occurrence = digest(&[&format!("{upgrade:?}")]);
                batch.posts.extend(self.core.outbox.posts_about(
                    campaign,
                    Happening::Refused,
                    &occurrence,
                    Some(&finding.to_string()),
                ));
                planned.contradicted.push(finding);
            }
        }
    }

    /// Follows one request, or says why it can't be followed.
    fn follow_request(
        &self,
        request: &Request,
        after: &mut [Campaign],
        posts: &[Post],
        batch: &mut Batch,
    ) -> Result<Reply, Reply> {
        let Some(campaign) = after
            .iter_mut()
            .find(|campaign| campaign.is_called(&request.upgrade))
        else {
            return Err(Reply::UpgradeGone {
                upgrade: request.upgrade.clone(),
            });
        };
        if request.change.is_aside() {
            return team_commands::follow(&self.core, request, campaign, posts, batch);
        }
        let changed = request
            .change
            .to(&campaign.upgrade, campaign.progress.state >= State::Applied)
            .map_err(|error| error.reply())?;
        if matches!(request.change, change::Change::Reschedule { .. })
            && changed.window.opens <= self.core.clock.now()
        {
            return Err(Reply::IsOver);
        }
        campaign
            .commanded
            .extend(change::differing(&campaign.upgrade, &changed));
        campaign.upgrade = changed;
        if let change::Change::Reschedule { opens, closes, .. } = request.change {
            return Ok(Reply::Rescheduled {
                title: campaign.upgrade.title.clone(),
                author: request.author.clone(),
                opens,
                closes,
            });
        }
        Ok(Reply::Changed {
            command: request.change.name().to_owned(),
            title: campaign.upgrade.title.clone(),
            author: request.author.clone(),
        })
    }

    /// Plans what follows when a campaign changes from `before`, or only the plan has changed.
    async fn turn(
        &self,
        before: Option<&Campaign>,
        mut campaign: Campaign,
        reason: Option<&str>,
        batch: &mut Batch,
        planned: &mut Planned,
    ) -> Result<(), StoreError> {
        let was = before.map(|b| &b.upgrade);
        let joins = was.is_some_and(|w| w.unplanned) && !campaign.upgrade.unplanned;
        let open = campaign.progress.state < State::Applied;
        let old = if before.is_some() {
            self.core.store.posts(&campaign.upgrade.id).await?
        } else {
            Vec::new()
        };
        if let Some(was) = was {
            count_move(was, &mut campaign);
            if change::moves(was, &campaign.upgrade) && open && !joins {
                begin_revision(&mut campaign, batch);
            }
        }
        if was.is_some_and(|w| w.given_up() != campaign.upgrade.given_up()) {
            // An upgrade that was given up is not called verified, whatever its chains show.
            campaign.progress.closed = campaign.upgrade.given_up();
        }
        if campaign.upgrade.given_up() && was.is_some_and(|w| !w.given_up()) {
            let follow = to_follow(&old, self.core.clock.now());
            let moves = follow.map(|p| (p.key.clone(), Move::Supersede));
            batch.moves.extend(moves);
        }
        let stale = was
            .filter(|_| open && !joins)
            .and_then(|w| change::stale(w, &campaign.upgrade));
        if let Some(why) = stale {
            self.mark(batch, &campaign, &old, why);
        }
        let mut news = change::news(was, &campaign.upgrade);
        if joins {
            // The window of an upgrade that was seen before it was announced is not news.
            let of_window = [
                Happening::WindowSet,
                Happening::WindowChosen,
                Happening::Rescheduled,
            ];
            news.retain(|news| !of_window.contains(&news.happening));
        }
        batch
            .posts
            .extend(self.posts_on(&news, &campaign, reason, &old));
        self.plan_times(&campaign, &old, batch, planned).await?;
        if before.is_none() {
            let left_out = self.left_out(&batch.posts, &campaign);
            batch.posts.extend(left_out);
        }
        if before != Some(&campaign) {
            if before.is_some() {
                self.core.outbox.edits(batch, &campaign, &old);
            }
            batch.upgrades.push(campaign);
        }
        Ok(())
    }

    /// Makes the posts that tell of changes. What the public does not know yet is not taken back there.
    fn posts_on(
        &self,
        news: &[change::News],
        campaign: &Campaign,
        reason: Option<&str>,
        old: &[Post],
    ) -> Vec<Post> {
        let mut posts = Vec::new();
        let is_unknown = self.awaits_its_first_word(old);
        for news in news {
            let detail = news.detail.as_deref().or(reason);
            let occurrence = match news.happening {
                Happening::Rescheduled | Happening::Planned => "1".to_owned(),
                _ => once_more(occurrence_of(campaign.revision, detail), old),
            };
            let outbox = &self.core.outbox;
            let mut made = outbox.posts_about(campaign, news.happening, &occurrence, detail);
            if is_unknown && news.happening.answers() {
                made.retain(|post| !self.is_public(post));
            }
            posts.append(&mut made);
        }
        posts
    }

    /// The posts that tell operators which notices of a new upgrade the public does not get.
    fn left_out(&self, posts: &[Post], campaign: &Campaign) -> Vec<Post> {
        let mut notices: Vec<&str> = Vec::new();
        for post in posts.iter().filter(|p| {
            p.upgrade == campaign.upgrade.id
                && p.state == PostState::Skipped
                && p.is_message()
                && self.is_public(p)
        }) {
            if !notices.contains(&post.notice.as_str()) {
                notices.push(&post.notice);
            }
        }
        if notices.is_empty() {
            return Vec::new();
        }
        let notices = notices.join(", ");
        let outbox = &self.core.outbox;
        outbox.posts_about(campaign, Happening::Missed, "1", Some(&notices))
    }

    /// Returns whether people have approved nothing of an upgrade that its file has for the public.
    fn awaits_its_first_word(&self, old: &[Post]) -> bool {
        let mut public = old.iter().filter(|p| p.is_message() && self.is_public(p));
        public.clone().any(|p| p.state == PostState::Held)
            && !public.any(|p| matches!(p.state, PostState::Sending | PostState::Sent))
    }

    fn is_public(&self, post: &Post) -> bool {
        let snapshot = self.core.snapshot();
        snapshot.config.deployment.is_public(&post.channel)
    }

    /// Plans the posts that are due by the clock, and moves those whose time has changed.
    async fn plan_times(
        &self,
        campaign: &Campaign,
        old: &[Post],
        batch: &mut Batch,
        planned: &mut Planned,
    ) -> Result<(), StoreError> {
        let upgrade = &campaign.upgrade;
        if campaign.progress.finished() || upgrade.poll.is_some() || upgrade.unplanned {
            return Ok(());
        }
        let now = self.core.clock.now();
        let snapshot = self.core.snapshot();
        let mut posts = timed(upgrade, campaign.revision, snapshot.plan(), now);
        posts.retain(|p| self.core.outbox.is_possible(p));
        catch_up(&mut posts, campaign, old, snapshot.plan(), now);
        posts.extend(reminders::posts(&self.core, campaign, now).await?);
        let moves = replanned(old, &posts, campaign, snapshot.plan(), now);
        batch.moves.extend(moves);
        posts.retain(|p| !old.iter().any(|o| o.key == p.key));
        let skipped = posts.iter().filter(|p| p.state == PostState::Skipped);
        planned.skipped.extend(skipped.cloned());
        batch.posts.extend(posts);
        Ok(())
    }

    /// Marks each post that is out and wrong, because the window or the duties have changed.
    fn mark(&self, batch: &mut Batch, campaign: &Campaign, old: &[Post], why: &str) {
        let snapshot = self.core.snapshot();
        let stale = |p: &&Post| {
            let notice = snapshot.plan().notice(campaign.upgrade.urgency, &p.notice);
            p.is_message()
                && matches!(p.state, PostState::Sent | PostState::Sending)
                && notice.is_some_and(|n| n.of_the_window() && !n.live)
        };
        for root in old.iter().filter(stale) {
            self.core.outbox.mark(batch, root, old, why);
        }
    }
}

/// Counts how often the window was moved, and how often its end alone was.
fn count_move(was: &Upgrade, campaign: &mut Campaign) {
    let (upgrade, progress) = (&campaign.upgrade, &mut campaign.progress);
    if was.window.opens == upgrade.window.opens {
        progress.end_moved += u32::from(was.window != upgrade.window);
    } else if was.poll.is_none() && upgrade.poll.is_none() && !was.unplanned {
        // A window that people have chosen, or that was made up, was not moved.
        progress.moved = progress.moved.map(|times| times + 1);
    }
}

/// Begins the plan of a window that was moved: what is planned for the one before is superseded.
fn begin_revision(campaign: &mut Campaign, batch: &mut Batch) {
    campaign.revision += 1;
    campaign.progress.delayed = false;
    // A new poll needs new votes.
    campaign.progress.votes = None;
    campaign.progress.told.remove(&Happening::Overdue);
    campaign.progress.told.remove(&Happening::Delayed);
    batch.supersede.push(Supersede {
        upgrade: campaign.upgrade.id.clone(),
        below: campaign.revision,
        due_by: Timestamp::MAX,
    });
}

/// Numbers an announcement that is repeated later, so that it gets a post of its own.
fn once_more(occurrence: String, old: &[Post]) -> String {
    let again = |post: &&Post| {
        post.occurrence
            .strip_prefix(&occurrence)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let said: BTreeSet<&str> = old
        .iter()
        .filter(|p| p.is_message())
        .filter(again)
        .map(|p| p.occurrence.as_str())
        .collect();
    if said.is_empty() {
        occurrence
    } else {
        format!("{occurrence}-{}", said.len())
    }
}

/// Lists the posts that were to come some time after a happening, or that people have not agreed to.
fn to_follow(old: &[Post], now: Timestamp) -> impl Iterator<Item = &Post> {
    let waits = move |p: &Post| p.due > now || p.state == PostState::Held && p.fact.is_none();
    old.iter()
        .filter(move |p| p.revision == 0 && waits(p) && comes_with_notice(p))
}

/// A notice's message, or a companion that the plan has beside it.
fn comes_with_notice(post: &Post) -> bool {
    post.is_message() || post.waits_with_its_message()
}

/// Returns the field of a conflict, to find its place in the file.
fn conflict(error: &ChangeError) -> &str {
    match error {
        ChangeError::Conflict(fields) => fields.first().map_or("id", String::as_str),
        _ => "id",
    }
}

/// Makes announcements that were missed due now, and takes out those that a channel has from before its window moved.
fn catch_up(posts: &mut Vec<Post>, campaign: &Campaign, old: &[Post], plan: &Plan, now: Timestamp) {
    let catches_up = |post: &Post| {
        plan.notice(campaign.upgrade.urgency, &post.notice)
            .is_some_and(|notice| notice.if_missed == MissedPolicy::Now)
    };
    let is_out = |post: &Post| {
        old.iter().any(|o| {
            o.is_message()
                && matches!(o.state, PostState::Sending | PostState::Sent)
                && o.revision < post.revision
                && (&o.notice, &o.channel) == (&post.notice, &post.channel)
        })
    };
    posts.retain(|post| !(catches_up(post) && is_out(post)));
    // A notice that came into the plan later was missed by nobody.
    let was_missed = |post: &Post| {
        post.state == PostState::Skipped && (post.due <= campaign.accepted || campaign.revision > 1)
    };
    for post in posts.iter_mut().filter(|p| was_missed(p) && catches_up(p)) {
        (post.state, post.due) = (PostState::Planned, now);
    }
}

/// Lists the waiting posts that a changed plan has at another time, or no more.
fn replanned(
    old: &[Post],
    wanted: &[Post],
    campaign: &Campaign,
    plan: &Plan,
    now: Timestamp,
) -> Vec<(PostKey, Move)> {
    // A notice that waits for a happening has its time from that.
    let happened = |post: &Post| {
        plan.notice(campaign.upgrade.urgency, &post.notice)
            .is_some_and(|n| !n.trigger.is_by_clock())
    };
    let waits = |p: &&Post| {
        matches!(p.state, PostState::Planned | PostState::Held)
            && p.revision == campaign.revision
            && comes_with_notice(p)
    };
    old.iter()
        .filter(waits)
        .filter(|post| {
            !happened(post)
                && !campaign
                    .progress
                    .announced
                    .contains(&team_commands::early(post))
        })
        .filter_map(|post| match wanted.iter().find(|w| w.key == post.key) {
            None => Some((post.key.clone(), Move::Supersede)),
            // What catches up is due already, and has been since its upgrade was accepted.
            Some(same) if same.due == now && post.due <= now => None,
            Some(same) if same.due.as_millisecond() != post.due.as_millisecond() => {
                Some((post.key.clone(), Move::Due(same.due)))
            }
            Some(_) => None,
        })
        .collect()
}

/// The campaign of a file as it will be once the file is followed: what commands have changed stays.
pub fn as_filed(known: &[Campaign], file: &Upgrade, now: Timestamp) -> Campaign {
    let Some(before) = known.iter().find(|campaign| campaign.is_called(&file.id)) else {
        return Campaign::new(file.clone(), now);
    };
    let mut campaign = edited(before, file).unwrap_or_else(|_| before.clone());
    if change::moves(&before.upgrade, &campaign.upgrade) {
        campaign.revision += 1;
    }
    count_move(&before.upgrade, &mut campaign);
    campaign
}

/// Takes the upgrade from its file, where no command says otherwise, with the progress it had.
fn edited(before: &Campaign, file: &Upgrade) -> Result<Campaign, ChangeError> {
    let mut campaign = before.clone();
    campaign.file = Some(file.clone());
    if before.upgrade.unplanned {
        // The file's words take the place of herald's own.
        campaign.upgrade = told_as(&before.upgrade, file);
    } else {
        // A store of an earlier version did not keep the file, so what is known stands for it.
        let last = before.file.as_ref().map_or_else(
            || before.upgrade.clone(),
            |last| told_as(&before.upgrade, last),
        );
        let merged = change::merge(
            &before.upgrade,
            &last,
            &told_as(&before.upgrade, file),
            &before.commanded,
        )?;
        (campaign.upgrade, campaign.commanded) = (merged.upgrade, merged.commanded);
    }
    let fresh = Progress::new(&campaign.upgrade);
    let chains = campaign.upgrade.chains.clone();
    campaign
        .progress
        .chains
        .retain(|name, _| chains.contains_key(name));
    for (name, progress) in fresh.chains {
        campaign.progress.chains.entry(name).or_insert(progress);
    }
    Ok(campaign)
}

/// Reads a file for a campaign that may have another id, and keeps the campaign's other chains.
fn told_as(campaign: &Upgrade, file: &Upgrade) -> Upgrade {
    if campaign.id == file.id {
        return file.clone();
    }
    let mut told = Upgrade {
        id: campaign.id.clone(),
        joined: Some(file.id.clone()),
        ..file.clone()
    };
    for (name, target) in &campaign.chains {
        told.chains
            .entry(name.clone())
            .or_insert_with(|| target.clone());
    }
    told
}

/// Makes every post by the clock. A post that was due by `now` is skipped, not posted late: nobody
/// had planned it when it was due.
pub fn timed(upgrade: &Upgrade, revision: u32, plan: &Plan, now: Timestamp) -> Vec<Post> {
    let mut posts = Vec::new();
    for (index, notice) in plan.notices(upgrade.urgency).iter().enumerate() {
        for due in notice.trigger.times(upgrade.window.opens, &plan.zone) {
            let occurrence = match notice.trigger {
                Trigger::Cron(_) => due.to_string(),
                Trigger::At(_) | Trigger::On(_) => "1".to_owned(),
            };
            let announcement = Announcement {
                upgrade: &upgrade.id,
                revision,
                notice,
                index,
                occurrence: &occurrence,
                due,
            };
            let mut made = announcement.posts();
            if due < now {
                made.iter_mut().for_each(|p| p.state = PostState::Skipped);
            }
            posts.append(&mut made);
        }
    }
    posts
}
