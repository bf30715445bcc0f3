//! Drives a rehearsal: settle everything, then jump to the next thing that is due.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{Act, EmbeddedChain, Output, Recording, Room, SteppedClock};
use crate::{
    chain::Node,
    config::{Config, People, Person, Readers, Role, UpgradeFile},
    domain::{
        notice::{Happening, Trigger},
        phase::State,
        post::{Operation, Post, PostState},
        roster::{Claim, Provider},
        schedule::Offset,
        upgrade::{Upgrade, Window},
    },
    ports::{Accepting, Asker, Chain, Clock, Platform, Store},
    service::{
        Book, Core, Outlet, context,
        dispatcher::Dispatcher,
        gate::{Gate, Who},
        planner::Planner,
        poll,
        rollcall::{self, Rollcall},
        summariser::Summariser,
        watcher::Watcher,
    },
    store::SqlStore,
    template::Renderer,
};

/// Blocks at least so far apart; further where a plan watches for long.
const BLOCK_TIME: SignedDuration = SignedDuration::from_secs(6);
const MOST_BLOCKS: i64 = 300;

pub struct Rehearsal {
    core: Arc<Core>,
    clock: Arc<SteppedClock>,
    /// Each chain of the upgrade, by name.
    chains: BTreeMap<String, EmbeddedChain>,
    watcher: Watcher,
    dispatcher: Dispatcher,
    summariser: Summariser,
    rollcall: Rollcall,
    gate: Gate,
    planner: Planner,
    rooms: Vec<(Platform, Arc<Room>)>,
    act: Act,
    /// When the chains act.
    window: Window,
    output: Output,
    shown_posts: BTreeSet<String>,
    shown_facts: usize,
    answered: bool,
    /// Posts that providers have reacted to.
    acknowledged: BTreeSet<String>,
    /// A pause before each post, so that it can be read.
    pace: Duration,
    start: Timestamp,
}

/// How it ended.
#[derive(Debug)]
pub struct Verdict {
    pub fine: bool,
    pub lines: Vec<String>,
}

impl Rehearsal {
    /// Everything is set up as `herald run` would, on embedded parts.
    pub async fn prepare(
        mut config: Config,
        renderer: Arc<Renderer>,
        recordings: BTreeMap<String, Recording>,
        act: Act,
        output: Output,
        pace: Duration,
    ) -> anyhow::Result<Self> {
        let upgrade = act.upgrade.clone();
        let window = act.window(&config.plan.zone);
        let start = start_time(&config, &upgrade);
        let clock = Arc::new(SteppedClock::new(start));
        // The chain stands still until the window: its clock then goes on as if it had not.
        let first_block = window.opens.checked_add(SignedDuration::from_secs(54)).unwrap_or(start);
        let mut chains = BTreeMap::new();
        let mut nodes: BTreeMap<String, Arc<dyn Chain>> = BTreeMap::new();
        for (name, recording) in recordings {
            let chain = EmbeddedChain::start(recording, first_block).await?;
            nodes.insert(name.clone(), Arc::new(Node::new(vec![chain.url()])));
            chains.insert(name, chain);
        }
        let store: Arc<dyn Store> = Arc::new(SqlStore::open("sqlite::memory:").await?);
        let rooms = [Platform::Discord, Platform::Matrix].map(|p| (p, Arc::new(Room::new(p))));
        let outlets = config.deployment.channels.iter().filter_map(|(name, channel)| {
            let (_, room) = rooms.iter().find(|(p, _)| *p == channel.platform)?;
            let (place, locale, mentions) = (channel.place.clone(), channel.locale.clone(), channel.mentions.clone());
            let outlet = Outlet { platform: channel.platform, chat: room.clone(), place, readers: channel.readers, locale, mentions };
            Some((name.clone(), outlet))
        });
        let outlets = outlets.collect();
        let file = crate::config::SourceFile { name: format!("upgrade {}", upgrade.id), text: String::new() };
        config.people = invented(&config.roster);
        config.upgrades = vec![UpgradeFile { upgrade: upgrade.clone(), file }];
        let core = Arc::new(Core::new(Book { config, renderer }, outlets, clock.clone(), store));
        Ok(Self {
            watcher: Watcher::new(core.clone(), nodes),
            dispatcher: Dispatcher::new(core.clone()),
            summariser: Summariser::new(core.clone()),
            rollcall: Rollcall::new(core.clone()),
            gate: Gate::new(core.clone()),
            planner: Planner::new(core.clone()),
            rooms: rooms.into(),
            core,
            clock,
            chains,
            act,
            window,
            output,
            shown_posts: BTreeSet::new(),
            shown_facts: 0,
            answered: false,
            acknowledged: BTreeSet::new(),
            pace,
            start,
        })
    }

    /// Plays the upgrade to its end, or until nothing more can come.
    pub async fn run(mut self) -> anyhow::Result<Verdict> {
        let planned = self.planner.tick().await?;
        if let Some(refused) = planned.refused.first() {
            anyhow::bail!("{refused}");
        }
        let book = self.core.book();
        let rules = book.plan().rules.clone();
        let watched = rules.healthy_for + rules.complete_after;
        let spacing = BLOCK_TIME.max((watched / i32::try_from(MOST_BLOCKS)?).min(rules.max_block_gap / 2));
        let mut next_block = self.window.opens.checked_add(SignedDuration::from_secs(60))?;
        let give_up = self.window.closes.checked_add(watched * 2)?.checked_add(book.plan().feedback.open_for)?;
        self.settle().await?;
        loop {
            let accepted = self.accepted().await?;
            let goes_on = self.chain_goes_on(&accepted);
            let due = self.next_due(&accepted).await?;
            let block = goes_on.then_some(next_block);
            let Some(at) = due.into_iter().chain(block).min() else { break };
            if at > give_up {
                break;
            }
            self.clock.step_to(at);
            if block == Some(at) {
                self.next_blocks(at);
                // Once nothing is recorded any more, an upgrade that is not applied is only waited for.
                let waits = self.left() == 0 && accepted.progress.state < State::Applied;
                next_block = at.checked_add(if waits { spacing.max(rules.max_block_gap) } else { spacing })?;
            }
            self.show_progress(&accepted);
            self.settle().await?;
            self.twist().await?;
        }
        let verdict = self.verdict(give_up).await?;
        self.output.finish();
        Ok(verdict)
    }

    /// What comes in between, when its time has come: a command, as an operator would give it.
    async fn twist(&mut self) -> anyhow::Result<()> {
        let posts = self.core.store.posts(&self.act.upgrade.id).await?;
        let Some((change, words)) = self.act.command(&posts, &self.core.book().plan().zone) else { return Ok(()) };
        self.act.twist = None;
        self.output.say(&format!("\n  ○ {words}"));
        self.core.store.request(&self.act.upgrade.id, &change, "an invented operator", self.clock.now()).await?;
        self.planner.tick().await?;
        self.settle().await
    }

    async fn accepted(&self) -> anyhow::Result<Accepting> {
        self.core.accepted(&self.act.upgrade.id).await?.ok_or_else(|| anyhow::anyhow!("the upgrade was not accepted"))
    }

    /// The next block of every chain; says so where the recording ends.
    fn next_blocks(&self, at: Timestamp) {
        for (name, chain) in &self.chains {
            let before = chain.synthetic();
            chain.next_block(at);
            if before == 0 && chain.synthetic() > 0 {
                self.output
                    .say(&format!("\n  ○ {name}: the recording ends with block {}; empty blocks go on, synthetic", chain.head() - 1));
            }
        }
    }

    /// Recorded blocks that are still to come.
    fn left(&self) -> usize {
        self.chains.values().map(EmbeddedChain::left).sum()
    }

    /// Blocks come while recorded ones are left, and while the upgrade is being watched.
    fn chain_goes_on(&self, accepted: &Accepting) -> bool {
        let state = accepted.progress.state;
        if accepted.progress.finished() {
            return false;
        }
        let window_open = self.clock.now() < self.window.closes;
        let watched = matches!(state, State::Applied | State::Verified);
        self.left() > 0 || watched || (window_open && matches!(state, State::Authorized | State::Applying))
    }

    async fn next_due(&self, accepted: &Accepting) -> anyhow::Result<Option<Timestamp>> {
        let mut next = Vec::new();
        for channel in self.dispatcher.channels() {
            next.extend(self.core.store.next_time(&channel).await?);
        }
        next.extend(self.gate.next_time().await?);
        next.extend(self.rollcall.next_time().await?);
        if accepted.progress.feedback.is_none() {
            next.extend(context::closes(&accepted.progress, self.core.book().plan()));
        }
        next.extend(poll::due(accepted));
        Ok(next.into_iter().min())
    }

    /// Lets every service come to rest: the clock does not move while anything is left to do.
    async fn settle(&mut self) -> anyhow::Result<()> {
        loop {
            let mut busy = false;
            for (name, chain) in self.watcher.chains() {
                busy |= self.read_to_head(name, chain.as_ref()).await?;
            }
            busy |= !self.gate.tick().await?.nothing();
            // Operators' channels first: people agree to what they have seen, before it is due.
            let readers = |name: &String| self.core.outlets.get(name).map(|o| o.readers);
            let (operators, public): (Vec<String>, Vec<String>) =
                self.dispatcher.channels().into_iter().partition(|name| readers(name) == Some(Readers::Operators));
            for channel in &operators {
                busy |= !self.dispatcher.tick(channel).await?.is_empty();
            }
            self.show().await?;
            busy |= self.people_approve().await?;
            for channel in &public {
                busy |= !self.dispatcher.tick(channel).await?.is_empty();
            }
            busy |= self.summariser.tick().await?.upgrades > 0;
            busy |= self.rollcall.tick().await?.posts > 0;
            self.show().await?;
            busy |= self.people_answer().await?;
            busy |= self.providers_answer().await?;
            if !busy {
                return Ok(());
            }
        }
    }

    /// Reads a chain to its head, chain by chain, so that two rehearsals say the same in the same order.
    /// A new head comes over a socket: it is on its way until it is read. True if there was one.
    async fn read_to_head(&self, name: &str, chain: &dyn Chain) -> anyhow::Result<bool> {
        let head = self.chains.get(name).map_or(0, EmbeddedChain::head);
        let mut busy = false;
        loop {
            busy |= self.watcher.tick(name).await? > 0;
            if self.core.store.memories().await?.get(name).is_some_and(|m| m.number >= head) {
                return Ok(busy);
            }
            tokio::time::timeout(Duration::from_secs(60), chain.changed())
                .await
                .map_err(|_| anyhow::anyhow!("block {head} of the embedded {name} did not arrive within a minute"))?;
        }
    }

    async fn show(&mut self) -> anyhow::Result<()> {
        for fact in self.core.store.facts().await?.iter().skip(self.shown_facts) {
            self.output.fact(fact);
            self.shown_facts += 1;
        }
        let mut posts = self.core.store.posts(&self.act.upgrade.id).await?;
        posts.retain(|p| p.state == PostState::Sent && !self.shown_posts.contains(&p.key.0));
        posts.sort_by_key(|p| (p.sent, p.rank));
        for post in posts {
            let platform = self.core.outlets.get(&post.channel).map_or(Platform::Matrix, |o| o.platform);
            self.output.post(&post, platform);
            self.shown_posts.insert(post.key.0);
            tokio::time::sleep(self.pace).await;
        }
        Ok(())
    }

    /// Invented people agree to what they are asked about.
    async fn people_approve(&self) -> anyhow::Result<bool> {
        let mut busy = false;
        let now = self.clock.now();
        for open in self.gate.open().await?.into_iter().filter(|o| !o.consent.complete() && o.ask <= now && now < o.until) {
            let needed = (open.consent.persons as usize).saturating_sub(open.consent.given.len());
            for person in self.core.book().config.people.all.iter().filter(|p| p.roles.contains(&Role::CommunicationTeam)).take(needed) {
                let account = person.discord.as_deref().unwrap_or_default();
                let approved = self.gate.approve(&open.consent.code, Who::Account(Platform::Discord, account)).await;
                approved.map_err(|error| anyhow::anyhow!("{}: {error}", open.notice))?;
            }
            let who = if needed == 1 { "an invented person approves" } else { "two invented people approve" };
            self.output.say(&format!("\n  ○ {who} {}", open.notice));
            busy = true;
        }
        Ok(busy)
    }

    /// Once the threads are open, invented people react and reply in each.
    async fn people_answer(&mut self) -> anyhow::Result<bool> {
        if self.answered {
            return Ok(false);
        }
        let posts = self.core.store.posts(&self.act.upgrade.id).await?;
        let threads: Vec<&Post> = posts.iter().filter(|p| p.operation == Operation::Thread).collect();
        if threads.is_empty() || threads.iter().any(|p| p.state != PostState::Sent) {
            return Ok(false);
        }
        self.answered = true;
        for thread in threads {
            let Some(outlet) = self.core.outlets.get(&thread.channel) else { continue };
            let Some((_, room)) = self.rooms.iter().find(|(p, _)| *p == outlet.platform) else { continue };
            let root = thread.remote.as_deref().unwrap_or_default();
            let people = &self.core.book().config.people.all;
            for (meaning, person) in self.core.book().plan().feedback.meanings.iter().zip(people).take(2) {
                room.react(root, account(person, outlet.platform), &meaning.emoji);
            }
            if let Some(person) = people.first() {
                room.reply(&outlet.place, root, account(person, outlet.platform), "My node imports blocks again.", self.clock.now());
            }
            self.output.say(&format!("\n  ○ {}: two invented people react, one replies in the thread", thread.channel));
        }
        Ok(true)
    }

    /// Most of the roster's invented people react to a post that asks for it; the last one has to be reminded.
    async fn providers_answer(&mut self) -> anyhow::Result<bool> {
        let book = self.core.book();
        let urgency = self.act.upgrade.urgency;
        let posts = self.core.store.posts(&self.act.upgrade.id).await?;
        let asks = |p: &&Post| {
            let notice = book.plan().notice(urgency, &p.notice);
            let reminds = notice.is_some_and(|n| n.trigger == Trigger::On(Happening::Unacknowledged));
            p.operation == Operation::Post && p.state == PostState::Sent && (reminds || notice.is_some_and(|n| n.acknowledge))
        };
        let mut busy = false;
        let unready = |p: &&Post| book.plan().notice(urgency, &p.notice).is_some_and(|n| n.trigger == Trigger::On(Happening::Unready));
        for post in posts.iter().filter(unready).filter(|p| p.state == PostState::Sent && p.operation == Operation::Post) {
            let accepted = self.accepted().await?;
            let Some(outlet) = self.core.outlets.get(&post.channel).filter(|_| self.acknowledged.insert(post.key.0.clone())) else {
                continue;
            };
            for person in book.config.people.all.iter().filter(|p| p.provider.is_some()) {
                let asker = Asker::new(outlet.platform, account(person, outlet.platform), &outlet.place);
                rollcall::claim(&self.core, &accepted, &asker, Claim::Ready, None).await?;
            }
            self.output.say(&format!("\n  ○ {}: every provider gives the command upgrade ready", post.channel));
            busy = true;
        }
        for post in posts.iter().filter(asks) {
            if !self.acknowledged.insert(post.key.0.clone()) {
                continue;
            }
            let Some(outlet) = self.core.outlets.get(&post.channel) else { continue };
            let Some((_, room)) = self.rooms.iter().find(|(p, _)| *p == outlet.platform) else { continue };
            let providers = book.config.people.all.iter().filter(|p| p.provider.is_some());
            let reminder = book.plan().notice(urgency, &post.notice).is_some_and(|n| !n.acknowledge);
            let mut answering: Vec<&Person> = providers.collect();
            let last = answering.pop();
            if reminder {
                // Reminded, the last one answers where it was asked.
                answering = last.into_iter().collect();
            }
            let asked = posts.iter().filter(|p| p.channel == post.channel && p.state == PostState::Sent && p.operation == Operation::Post);
            let asked = asked.filter(|p| book.plan().notice(urgency, &p.notice).is_some_and(|n| n.acknowledge)).max_by_key(|p| p.sent);
            let Some(root) = asked.and_then(|p| p.remote.as_deref()) else { continue };
            for person in &answering {
                room.react(root, account(person, outlet.platform), &book.plan().acknowledge);
            }
            if let Some(first) = answering.first() {
                let rest = if answering.len() > 1 { format!(" and {} more react", answering.len() - 1) } else { " reacts".to_owned() };
                self.output.say(&format!("\n  ○ {}: {}{rest} with {}", post.channel, first.name, book.plan().acknowledge));
            }
            busy = true;
        }
        Ok(busy)
    }

    fn show_progress(&self, accepted: &Accepting) {
        let now = self.clock.now();
        let closes = context::closes(&accepted.progress, self.core.book().plan());
        let (phase, percent) = match accepted.progress.state {
            State::Completed => ("Post-Deployment", 85),
            State::Applied | State::Verified => ("Validation", 70),
            _ if now >= self.window.opens => ("Execution", 55),
            _ => {
                let all = self.window.opens.duration_since(self.start).as_secs().max(1);
                let done = now.duration_since(self.start).as_secs();
                let percent = u64::try_from(done * 50 / all).unwrap_or(0);
                (if percent < 10 { "Preparation" } else { "Scheduling" }, percent)
            }
        };
        let percent = if closes.is_some_and(|at| now >= at) { 100 } else { percent };
        self.output.progress(percent, phase, now);
    }

    async fn verdict(&mut self, give_up: Timestamp) -> anyhow::Result<Verdict> {
        let accepted = self.accepted().await?;
        let posts = self.core.store.posts(&self.act.upgrade.id).await?;
        let count = |state: PostState| posts.iter().filter(|p| p.state == state).count();
        let (sent, skipped, parked) = (count(PostState::Sent), count(PostState::Skipped), count(PostState::Parked));
        let expired = count(PostState::Expired);
        let open = count(PostState::Planned) + count(PostState::Sending) + count(PostState::Held);
        let days = self.clock.now().duration_since(self.start).as_hours() / 24;
        let mut lines = vec![format!(
            "{} ({}) in {days} days: {sent} posts in {} channels, {} facts.",
            self.act.upgrade.title,
            self.act.upgrade.urgency.name(),
            self.core.outlets.len(),
            self.shown_facts
        )];
        if accepted.upgrade.given_up() {
            lines.push(format!("  {}: {}", accepted.standing(), accepted.upgrade.cancelled.as_deref().unwrap_or_default()));
        }
        for (name, chain) in accepted.progress.chains.iter().filter(|_| !accepted.upgrade.given_up()) {
            let version = chain.spec_version.map_or("no block seen".to_owned(), |v| format!("runs spec_version {v}"));
            let proof = chain.applied.as_ref().map(|f| format!(", proven in block {}", f.block)).unwrap_or_default();
            lines.push(format!("  {name}: {}, {version}{proof}", chain.stage.name()));
        }
        let synthetic: usize = self.chains.values().map(EmbeddedChain::synthetic).sum();
        if synthetic > 0 {
            lines.push(format!("  {synthetic} blocks behind the recording were synthetic and empty"));
        }
        if let Some(feedback) = &accepted.progress.feedback {
            let counts: Vec<String> = feedback.reactions.iter().map(|c| format!("{} {}", c.emoji, c.count)).collect();
            lines.push(format!("  feedback: {}, {} replies", counts.join(", "), feedback.replies));
        }
        for (state, number) in [("skipped", skipped), ("expired", expired), ("parked", parked), ("still open", open)] {
            if number > 0 {
                lines.push(format!("  {state}: {number} posts"));
            }
        }
        for post in posts.iter().filter(|p| p.state == PostState::Parked) {
            lines.push(format!("    {} in {}: {}", post.notice, post.channel, post.error.as_deref().unwrap_or("no reason kept")));
        }
        let fine = accepted.progress.finished() && parked == 0 && open == 0;
        if !fine {
            let zone = self.core.book().renderer.zone().written(give_up);
            lines.push(format!("  Not completed: the upgrade is {}; nothing more came by {zone}.", accepted.standing()));
        }
        Ok(Verdict { fine, lines })
    }
}

/// Who approves in a rehearsal, and who answers for the providers.
fn invented(roster: &[Provider]) -> People {
    let person = |name: String, number: usize, role: Role, provider: Option<String>| Person {
        discord: Some((1_400_000_000_000_000_001_u64 + number as u64).to_string()),
        matrix: Some(format!("@person{}:example.org", number + 1)),
        name,
        roles: vec![role],
        audience: None,
        provider,
    };
    let team = ["Ada (invented)", "Ben (invented)"].into_iter().map(|name| (name.to_owned(), Role::CommunicationTeam, None));
    let providers = roster.iter().map(|p| (p.name.clone(), Role::Validator, Some(p.id.clone())));
    let all = team.chain(providers).enumerate().map(|(i, (name, role, provider))| person(name, i, role, provider)).collect();
    People { all, ..People::default() }
}

fn account(person: &Person, platform: Platform) -> &str {
    let account = match platform {
        Platform::Discord => &person.discord,
        Platform::Matrix => &person.matrix,
    };
    account.as_deref().unwrap_or_default()
}

/// What each chain of an upgrade plays: the recording where it reaches the chain's target, and the
/// embedded one under the target's number elsewhere. A recording asked for is played in any case.
pub fn cast(upgrade: &Upgrade, asked: Option<Recording>) -> Result<BTreeMap<String, Recording>, String> {
    let mut parts = BTreeMap::new();
    if let Some(recording) = asked {
        let (_, reached) = recording.versions();
        let fitting = upgrade.chains.iter().find(|(_, t)| t.spec_version == reached).or_else(|| upgrade.chains.iter().next());
        parts.extend(fitting.map(|(name, _)| (name.clone(), recording)));
    }
    for (name, target) in &upgrade.chains {
        if !parts.contains_key(name) {
            parts.insert(name.clone(), Recording::embedded()?.renumbered(target.spec_version));
        }
    }
    Ok(parts)
}

/// An hour before the first notice by the clock.
fn start_time(config: &Config, upgrade: &Upgrade) -> Timestamp {
    let epoch = upgrade.window.opens.checked_sub(SignedDuration::from_hours(24 * 400)).unwrap_or(upgrade.window.opens);
    let posts = crate::service::planner::timed(upgrade, 1, &config.plan, epoch);
    let first = posts.iter().map(|p| p.due).min().unwrap_or(upgrade.window.opens).min(upgrade.window.opens);
    Offset::Exact(-3600).from(first, &config.plan.zone).unwrap_or(first)
}
