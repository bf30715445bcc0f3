//! Counts feedback when its window closes, and votes when they are due, and has the result posted.
//! While the window is open, it finds out whether several people have the same problem.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{
    poll,
    reader::{Read, ReadPurpose, Reader},
};
use crate::{
    domain::{
        campaign::Campaign,
        outbox::{Operation, Post, PostState},
        people::feedback::{Heard, Summary, Voice, Words},
        plan::notice::Happening,
    },
    outbox::Core,
    ports::{Batch, Platform, RecordKind, StoreError},
    report,
    words::context,
};

/// The result of a tick.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summarised {
    /// The number of upgrades of which something was counted.
    pub upgrades: usize,
    /// True if something is due but can't be counted yet.
    pub waits: bool,
}

/// A channel is left out if it can't be read for this long after it was to be counted.
pub(crate) const READ_TIMEOUT: SignedDuration = SignedDuration::from_hours(24);

/// Open feedback is read with pauses between these lengths, by how long it is open.
const MAX_POLL_PAUSE: SignedDuration = SignedDuration::from_mins(2);
const MIN_POLL_PAUSE: SignedDuration = SignedDuration::from_secs(5);

pub struct Summariser {
    core: Arc<Core>,
    /// The time at which the open feedback of each upgrade was read last.
    looked: Mutex<BTreeMap<String, Timestamp>>,
    reader: Reader,
}

impl Summariser {
    pub fn new(core: Arc<Core>) -> Self {
        Self {
            reader: Reader::new(core.clone()),
            core,
            looked: Mutex::default(),
        }
    }

    /// Summarises each upgrade whose feedback window has closed, and counts the votes on windows
    /// that are due. A count that isn't possible yet is tried again at the next tick.
    pub async fn tick(&self) -> Result<Summarised, StoreError> {
        let mut summarised = Summarised::default();
        for campaign in self.core.store.upgrades().await? {
            for counted in [
                self.feedback(&campaign).await?,
                poll::count(&self.core, &self.reader, &campaign).await?,
            ] {
                summarised.upgrades += usize::from(counted == Counted::Now);
                summarised.waits |= counted == Counted::NotYet;
            }
            if campaign.progress.feedback.is_some() || campaign.upgrade.given_up() {
                self.core.troubles.over(&campaign.upgrade.id).await;
            }
        }
        Ok(summarised)
    }

    async fn feedback(&self, campaign: &Campaign) -> Result<Counted, StoreError> {
        let (snapshot, now) = (self.core.snapshot(), self.core.clock.now());
        let closes = context::closes(&campaign.progress, snapshot.plan())
            .filter(|_| campaign.progress.feedback.is_none());
        let Some(closes) = closes else {
            return Ok(Counted::Nothing);
        };
        let id = &campaign.upgrade.id;
        if closes > now {
            // People with the same problem are not left waiting for the summary.
            if !campaign.progress.told.contains(&Happening::ProblemRaised)
                && self.is_time(id, now)
                && let Some(summary) = self.summary(id, ReadPurpose::Glance).await?
            {
                return self.raise(id, &summary).await;
            }
            return Ok(Counted::Nothing);
        }
        let patient = closes
            .checked_add(READ_TIMEOUT)
            .is_ok_and(|until| now < until);
        let purpose = if patient {
            ReadPurpose::Count
        } else {
            ReadPurpose::LastCount
        };
        let Some(summary) = self.summary(id, purpose).await? else {
            return Ok(Counted::NotYet);
        };
        let close = async |batch: &mut Batch| self.close(id, summary, batch).await;
        self.core.outbox.transaction(close).await
    }

    /// Ends an upgrade's feedback with this summary.
    async fn close(
        &self,
        id: &str,
        summary: Summary,
        batch: &mut Batch,
    ) -> Result<Counted, StoreError> {
        let Some(mut campaign) = self.core.campaign(id).await? else {
            return Ok(Counted::Nothing);
        };
        campaign.progress.feedback = Some(summary);
        let outbox = &self.core.outbox;
        let snapshot = self.core.snapshot();
        let closed = outbox.posts_on(&campaign, Happening::FeedbackClosed, "1", None);
        let mut drafts = outbox.posts_about(&campaign, Happening::ReviewDrafted, "1", None);
        let out = self.core.store.posts(id).await?;
        let words = report::in_short(&snapshot, &campaign, &out);
        drafts
            .iter_mut()
            .for_each(|p| p.detail = Some(words.clone()));
        batch.posts.extend(closed);
        batch.posts.extend(drafts);
        batch.posts.extend(outbox.unpinned(&campaign, &out));
        batch.upgrades.push(campaign);
        Ok(Counted::Now)
    }

    /// Tells operators of a problem that several people have, once.
    async fn raise(&self, id: &str, summary: &Summary) -> Result<Counted, StoreError> {
        let snapshot = self.core.snapshot();
        let feedback = &snapshot.plan().feedback;
        let problems = summary.reactions.iter().filter(|c| {
            feedback
                .meanings
                .iter()
                .any(|m| m.problem && m.emoji == c.emoji)
        });
        let Some(worst) = problems
            .max_by_key(|c| c.count)
            .filter(|c| c.count >= feedback.raise_at)
        else {
            return Ok(Counted::Nothing);
        };
        let quote = summary
            .quotes
            .first()
            .map(|q| format!("; the newest words: “{}”", q.text))
            .unwrap_or_default();
        let words = format!(
            "{} people say {} {}{quote}",
            worst.count, worst.emoji, worst.meaning
        );
        let outbox = &self.core.outbox;
        let tell = async |batch: &mut Batch| {
            let Some(mut campaign) = self.core.campaign(id).await? else {
                return Ok(Counted::Nothing);
            };
            if !campaign.progress.told.insert(Happening::ProblemRaised) {
                return Ok(Counted::Nothing);
            }
            batch.posts =
                outbox.posts_about(&campaign, Happening::ProblemRaised, "1", Some(&words));
            batch.upgrades.push(campaign);
            Ok(Counted::Now)
        };
        outbox.transaction(tell).await
    }

    fn is_time(&self, id: &str, now: Timestamp) -> bool {
        let pause = (self.core.snapshot().plan().feedback.open_for / 100)
            .clamp(MIN_POLL_PAUSE, MAX_POLL_PAUSE);
        let mut looked = self.looked.lock();
        if looked
            .get(id)
            .is_some_and(|at| *at <= now && now.duration_since(*at) < pause)
        {
            return false;
        }
        looked.insert(id.to_owned(), now);
        true
    }

    /// Sums up the answers until now; `None` if they can't be read and a count waits for them.
    async fn summary(
        &self,
        upgrade: &str,
        purpose: ReadPurpose,
    ) -> Result<Option<Summary>, StoreError> {
        let Some(heard) = self.read_threads(upgrade, purpose).await? else {
            return Ok(None);
        };
        let snapshot = self.core.snapshot();
        let config = &snapshot.config;
        let voice = |platform, user: &str| config.people.voice(&config.roster, platform, user);
        let voice_in = |channel: &str, user: &str| match self.core.outlets.get(channel) {
            Some(outlet) => voice(outlet.platform, user),
            None => Voice {
                who: user.to_owned(),
                audience: None,
            },
        };
        let said = self
            .core
            .store
            .entries(RecordKind::Feedback, upgrade)
            .await?;
        let words = said.iter().filter_map(|entry| {
            let told: Told = serde_json::from_value(entry.value.clone()).ok()?;
            Some(Words {
                voice: voice(told.platform, &told.user),
                at: entry.at,
                text: Some(told.text),
            })
        });
        Ok(Some(Summary::of(
            &heard,
            &words.collect::<Vec<_>>(),
            &snapshot.plan().feedback.meanings,
            voice_in,
        )))
    }

    /// Reads what each thread holds now; `None` if a thread is still to be opened or can't be read, and a count waits for
    /// it.
    async fn read_threads(
        &self,
        upgrade: &str,
        purpose: ReadPurpose,
    ) -> Result<Option<BTreeMap<String, Heard>>, StoreError> {
        let posts = self.core.store.posts(upgrade).await?;
        let mut all: BTreeMap<String, Heard> = BTreeMap::new();
        for thread in posts.iter().filter(|p| p.operation == Operation::Thread) {
            let is_to_come = matches!(thread.state, PostState::Planned | PostState::Sending);
            if purpose == ReadPurpose::Count && is_to_come {
                return Ok(None);
            }
            let (Some(root), Some(thread_id)) = (root_of(thread, &posts), &thread.remote) else {
                continue;
            };
            let message = (root, Some(thread_id.as_str()));
            match self.reader.read("feedback", thread, message, purpose).await {
                Read::Heard(heard) => {
                    let sum = all.entry(thread.channel.clone()).or_default();
                    sum.reactions.extend(heard.reactions);
                    sum.replies.extend(heard.replies);
                }
                Read::Never => {}
                Read::NotYet => return Ok(None),
            }
        }
        Ok(Some(all))
    }
}

/// Feedback that somebody gave by a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub platform: Platform,
    pub user: String,
    pub text: String,
}

/// The result of counting something of an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// There is nothing to count.
    Nothing,
    Now,
    /// The count is due, but a channel can't be read now.
    NotYet,
}

fn root_of<'a>(thread: &Post, posts: &'a [Post]) -> Option<&'a str> {
    let key = thread.key_beside(Operation::Post, 0);
    let root = posts.iter().find(|p| p.key == key)?;
    root.standing(posts).remote.as_deref()
}
