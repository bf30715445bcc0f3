//! Plays a drill: what herald says, to whom and when, with the services, the plan and the templates of `herald run`.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::{
    clock::SteppedClock, drill::Drill, drill_chain::DrillChain, driver::outlets, people::invented,
    services::RehearsalServices,
};
use crate::{
    adapters::{room::Room, store::SqlStore},
    config::{Config, SourceFile, UpgradeFile},
    domain::{
        campaign::upgrade::{Duty, Target, Upgrade, Window},
        outbox::{Post, PostState},
        plan::notice::{Audience, Happening, Trigger},
    },
    outbox::Core,
    ports::{Chain, Clock, Platform, Readers, Store},
    words::{Renderer, as_words, snapshot::ConfigSnapshot},
};

/// A block is made so often.
const BLOCK_TIME: SignedDuration = SignedDuration::from_secs(6);
/// The nodes are looked at with each so many blocks, about as often as `herald run` looks.
const LOOK_EVERY_BLOCKS: u64 = 5;

/// What a drill came to.
#[derive(Clone, Debug)]
pub struct DrillResult {
    pub entries: Vec<DrillEntry>,
    /// The time to the first true word for operators, who read everything, and for everybody.
    pub operators: Option<SignedDuration>,
    pub public: Option<SignedDuration>,
    pub false_all_clears: Vec<Timestamp>,
}

/// One line of a drill: what people knew, or what herald says.
#[derive(Clone, Debug)]
pub struct DrillEntry {
    pub at: Timestamp,
    /// The readers, where herald says it.
    pub readers: Option<Readers>,
    pub text: String,
}

/// Plays one drill.
pub struct DrillPlayer {
    drill: Drill,
}

impl DrillPlayer {
    pub fn new(drill: Drill) -> Self {
        Self { drill }
    }

    fn planned(&self) -> Upgrade {
        let target = Target {
            spec_version: self.drill.upgrade.to,
            code_hash: self.drill.upgrade.code_hash.clone(),
        };
        let window = Window {
            opens: self.drill.upgrade.opens,
            closes: self.drill.upgrade.closes,
        };
        let duty = |required, what: &str| Duty {
            required,
            what: what.to_owned(),
            node_version: None,
            by: None,
        };
        let duties = [
            (
                Audience::Validators,
                duty(true, "Update your node and watch it through the upgrade."),
            ),
            (
                Audience::Developers,
                duty(false, "Test your tools against the new metadata."),
            ),
            (Audience::Users, duty(false, "Nothing to do.")),
        ];
        let chains = [(self.drill.chain.clone(), target)].into();
        Upgrade {
            summary: format!("A drill: {}.", self.drill.title),
            urgency: self.drill.upgrade.urgency,
            duties: duties.into(),
            ..Upgrade::new("drill", &self.drill.upgrade.title, window, chains)
        }
    }

    /// Plays the drill by a plan.
    pub async fn play(
        &self,
        mut config: Config,
        renderer: Arc<Renderer>,
    ) -> anyhow::Result<DrillResult> {
        let clock = Arc::new(SteppedClock::new(self.drill.upgrade.accepted));
        let rooms = Platform::ALL.map(|p| (p, Arc::new(Room::new(p))));
        let outlets = outlets(&config, &rooms);
        let file = SourceFile {
            name: "drill.yaml".to_owned(),
            text: String::new(),
        };
        config.people = invented(&config.roster);
        config.upgrades = vec![UpgradeFile {
            upgrade: self.planned(),
            file,
        }];
        // Nobody is there to agree to a notice.
        let plans = config.plan.plans.values_mut();
        for notice in plans.flat_map(|plan| &mut plan.notices) {
            notice.approval.persons = 0;
        }
        let store: Arc<dyn Store> = Arc::new(SqlStore::open("sqlite::memory:").await?);
        let core = Core::new(
            ConfigSnapshot { config, renderer },
            outlets,
            clock.clone(),
            store,
        );
        let core = Arc::new(core);
        let chain = Arc::new(DrillChain::new(&self.drill));
        let node: BTreeMap<String, Arc<dyn Chain>> =
            [(self.drill.chain.clone(), chain.clone() as Arc<dyn Chain>)].into();
        let services = RehearsalServices::new(&core, &node);
        let planned = services.planner.tick().await?;
        if let Some(refused) = planned.refused.first() {
            anyhow::bail!("{refused}");
        }
        self.wait_for_blocks(&core, &services, &clock).await?;
        self.play_blocks(&services, &clock, &chain).await?;
        let posts = core.store.posts("drill").await?;
        Ok(self.result(&core, &posts))
    }

    /// Posts what is due before the first block.
    async fn wait_for_blocks(
        &self,
        core: &Core,
        services: &RehearsalServices,
        clock: &SteppedClock,
    ) -> anyhow::Result<()> {
        loop {
            post_due(services).await?;
            let mut next = self.drill.begins;
            for channel in services.dispatcher.channels() {
                next = next.min(core.store.next_time(&channel).await?.unwrap_or(next));
            }
            if next <= clock.now() || next >= self.drill.begins {
                clock.step_to(self.drill.begins);
                return post_due(services).await;
            }
            clock.step_to(next);
        }
    }

    /// Makes one block after the other, and does what the steps say.
    async fn play_blocks(
        &self,
        services: &RehearsalServices,
        clock: &SteppedClock,
        chain: &DrillChain,
    ) -> anyhow::Result<()> {
        let mut steps = self.drill.steps.iter().peekable();
        let (mut now, mut blocks) = (self.drill.begins, 0_u64);
        while now < self.drill.ends {
            while let Some(step) = steps.next_if(|step| step.at <= now) {
                chain.take(step);
            }
            clock.step_to(now);
            if chain.make_block(now) {
                services.watcher.tick(&self.drill.chain).await?;
            }
            if blocks.is_multiple_of(LOOK_EVERY_BLOCKS) {
                services.watcher.observe(&self.drill.chain).await?;
            }
            post_due(services).await?;
            (now, blocks) = (now.checked_add(BLOCK_TIME)?, blocks + 1);
        }
        Ok(())
    }

    fn result(&self, core: &Core, posts: &[Post]) -> DrillResult {
        let snapshot = core.snapshot();
        // A notice that comes some time after a happening speaks of something else.
        let happening = |post: &Post| {
            let notice = snapshot
                .plan()
                .notice(self.drill.upgrade.urgency, &post.notice)?;
            match notice.trigger {
                Trigger::On(happening) if notice.delay.is_zero() => Some(happening),
                _ => None,
            }
        };
        let readers = |post: &Post| Some(core.outlets.get(&post.channel)?.readers);
        let mut sent: Vec<(Timestamp, Readers, &Post)> = posts
            .iter()
            .filter(|post| post.is_message() && post.state == PostState::Sent)
            .filter_map(|post| Some((post.sent?, readers(post)?, post)))
            .collect();
        sent.sort_by_key(|(at, _, post)| (*at, post.rank));
        let is_true = |at: Timestamp, post: &Post| {
            let says = |h: Happening| self.drill.truth.happenings.contains(&h);
            at >= self.drill.truth.since && happening(post).is_some_and(says)
        };
        let first = |public: bool| {
            let told = sent.iter().find(|(at, readers, post)| {
                is_true(*at, post) && (!public || *readers == Readers::Public)
            });
            told.map(|(at, _, _)| at.duration_since(self.drill.truth.since))
        };
        let is_all_clear = |(at, _, post): &&(Timestamp, Readers, &Post)| {
            let clear = matches!(
                happening(post),
                Some(Happening::Verified | Happening::Completed)
            );
            clear
                && self
                    .drill
                    .truth
                    .no_all_clear_from
                    .is_some_and(|from| *at >= from)
        };
        let mut false_all_clears: Vec<Timestamp> = sent
            .iter()
            .filter(is_all_clear)
            .map(|(at, _, _)| *at)
            .collect();
        false_all_clears.dedup();
        let (operators, public) = (first(false), first(true));
        let mut entries: Vec<DrillEntry> = self
            .drill
            .known
            .iter()
            .map(|known| DrillEntry {
                at: known.at,
                readers: None,
                text: known.text.clone(),
            })
            .collect();
        let mut told: BTreeMap<(Timestamp, &str), DrillEntry> = BTreeMap::new();
        // Reminders by the clock say nothing of what went wrong.
        let of_chain = sent.iter().filter(|(_, _, post)| happening(post).is_some());
        for (at, readers, post) in of_chain.copied() {
            let entry = told.entry((at, post.notice.as_str()));
            let entry = entry.or_insert_with(|| DrillEntry {
                at,
                readers: Some(readers),
                text: summary(post, at),
            });
            // What everybody reads, operators read too.
            if readers == Readers::Public {
                entry.readers = Some(readers);
            }
        }
        entries.extend(told.into_values());
        entries.sort_by_key(|entry| entry.at);
        DrillResult {
            entries,
            operators,
            public,
            false_all_clears,
        }
    }
}

/// Posts all that is due now.
async fn post_due(services: &RehearsalServices) -> anyhow::Result<()> {
    loop {
        let mut busy = !services.gate.tick().await?.is_empty();
        for channel in services.dispatcher.channels() {
            busy |= !services.dispatcher.tick(&channel).await?.is_empty();
        }
        busy |= services.summariser.tick().await?.upgrades > 0;
        if !busy {
            return Ok(());
        }
    }
}

/// A post's headline and its first sentence, as people read them.
fn summary(post: &Post, at: Timestamp) -> String {
    let text = post.body.as_ref().map_or("", |body| body.text.as_str());
    let text = as_words(text, at).replace("**", "");
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let headline = lines
        .next()
        .unwrap_or_default()
        .trim_start_matches(['#', ' ']);
    let is_duty = |line: &str| line.starts_with(MUST) || line.starts_with(['-', '•']);
    let first = lines.find(|line| !is_duty(line)).unwrap_or_default();
    let sentence = first.split_inclusive(". ").next().unwrap_or_default();
    let stop = if headline.ends_with(['?', '!', '.']) {
        ""
    } else {
        "."
    };
    format!("{headline}{stop} {sentence}").trim_end().to_owned()
}

/// The question that stands above many posts.
const MUST: &str = "Must I ";
