//! The real chain client and watcher over faulty nodes: what is final is told once, what isn't is never told.
//!
//! Each seed writes a script for a synthetic chain and for the nodes that serve it; how it falls in time, it
//! doesn't. At the end everything is healed, and facts and notices are compared with the script.
//! `HERALD_TEST_SEED=17` plays one seed again, `HERALD_TEST_SEED=200-999` many others.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::SignedDuration;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use upgrade_herald::{
    adapters::{node::Node, store::SqlStore},
    domain::{
        campaign::{
            Campaign,
            progress::VerificationRules,
            upgrade::{Target, Upgrade},
        },
        chain::fact::Fact,
        outbox::Operation,
    },
    lint::Loaded,
    outbox::Core,
    ports::{Batch, Chain, ChainError, Store},
    rehearsal::SteppedClock,
    watch::{catchup::MAX_GAP_READ_WHOLE_BLOCKS, watcher::Watcher},
    words::snapshot::ConfigSnapshot,
};

use crate::{
    doubles::node::{Branch, Endpoint, Script, Step, SyntheticChain, code_hash, version},
    harness::{dice::Dice, plans::every_notice},
};

const SCRIPTS: u64 = 200;
/// Scripts at a time: much of a script is waiting for a connection.
const AT_A_TIME: usize = 64;
/// How long a healed script may take until all is read.
const PATIENCE: Duration = Duration::from_secs(100);
/// Quiet blocks at the end, in which an upgrade is verified and completed.
const TAIL: u64 = 14;
const BLOCK_MS: u64 = 24_000;
pub(super) const CHAIN: &str = "relay";
/// The facts that a script decides.
const KINDS: [&str; 5] = [
    "authorized",
    "authorization_rejected",
    "sudo_failed",
    "code_updated",
    "applied",
];

/// The notices that follow from them; of others (a node that lags, a chain that stands still) the scripts say nothing.
const NOTICES: [&str; 7] = [
    "authorized",
    "rejected",
    "applied",
    "other-version",
    "verified",
    "completed",
    "reset",
];

/// What a node has seen, in the form that scripts and the store share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    block: u64,
    kind: &'static str,
    /// Of an authorization alone: the code's hash.
    code: String,
    /// Of a proof alone: the version.
    version: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    blocks: u64,
    faults: u64,
    connections: u64,
    facts: u64,
    announced_not_final: u64,
    missed: u64,
    twice: u64,
}

/// How one script ended: the figures, and what was wrong in words.
#[derive(Default)]
struct Verdict {
    figures: Figures,
    faults: Vec<String>,
}

impl Verdict {
    fn not_final(&mut self, what: String) {
        self.figures.announced_not_final += 1;
        self.faults.push(format!("not final: {what}"));
    }

    fn missed(&mut self, what: String) {
        self.figures.missed += 1;
        self.faults.push(format!("missed: {what}"));
    }

    fn twice(&mut self, what: String) {
        self.figures.twice += 1;
        self.faults.push(format!("twice: {what}"));
    }
}

/// Blocks whose events can't be seen. Where their state is pruned too, nor can the blocks that changed the version.
#[derive(Clone, Copy, Debug)]
struct Unseen {
    from: u64,
    to: u64,
    pruned: bool,
}

/// What happens on the honest chain: the steps, the target and the number of blocks.
struct Tale {
    steps: Vec<(u64, Step)>,
    target: u32,
    blocks: u64,
    /// Of more blocks than are read whole, herald is down before this one.
    leap: Option<u64>,
}

fn tale(dice: &mut Dice) -> Tale {
    let (one, two) = (version(1), version(2));
    let mut steps = Vec::new();
    let mut at = dice.between(3, 7);
    let next = |dice: &mut Dice, at: u64| at + dice.between(1, 4);
    let kind = dice.roll(8);
    if dice.one_in(3) {
        steps.push((at, Step::SudoFailed));
        at = next(dice, at);
    }
    // A seventh kind by set_code, an eighth on which nothing happens.
    if kind < 6 {
        steps.push((at, Step::Authorize(code_hash(one))));
        at = next(dice, at);
    }
    match kind {
        1 => {
            steps.push((at, Step::Authorize(code_hash(two + 7))));
            at = next(dice, at);
        }
        2 => {
            steps.push((at, Step::Reject));
            at = next(dice, at);
            steps.push((at, Step::Authorize(code_hash(one))));
            at = next(dice, at);
        }
        3 => {
            // Delayed, by hours and by blocks.
            steps.push((at, Step::Pause(7_200_000)));
            at = next(dice, at) + dice.between(3, 8);
        }
        _ => {}
    }
    let mut target = one;
    match kind {
        4 => steps.push((at, Step::Upgrade(two))),
        5 => {
            // The version before the target first.
            target = two;
            steps.push((at, Step::Upgrade(one)));
            at = next(dice, at) + 1;
            steps.push((at, Step::Authorize(code_hash(two))));
            at = next(dice, at);
            steps.push((at, Step::Upgrade(two)));
        }
        7 => {}
        _ => steps.push((at, Step::Upgrade(one))),
    }
    let mut leap = None;
    if dice.one_in(12) {
        // Everything from some block on happens after a long absence, or near the end of it.
        let from = dice.between(2, at);
        let length = MAX_GAP_READ_WHOLE_BLOCKS + dice.between(10, 3_000);
        let later = length - dice.between(0, 8);
        for (block, _) in steps.iter_mut().filter(|(block, _)| *block > from) {
            *block += later;
        }
        at += length;
        leap = Some(from);
    }
    Tale {
        steps,
        target,
        blocks: at + TAIL,
        leap,
    }
}

/// The facts of the honest chain.
fn truth(steps: &[(u64, Step)]) -> Vec<Told> {
    let mut told = Vec::new();
    for (block, step) in steps {
        let mut tell = |block: u64, kind: &'static str, code: String, version: u32| {
            told.push(Told {
                block,
                kind,
                code,
                version,
            })
        };
        match step {
            Step::Authorize(hash) => tell(*block, "authorized", format!("{hash:?}"), 0),
            Step::Reject => tell(*block, "authorization_rejected", String::new(), 0),
            Step::SudoFailed => tell(*block, "sudo_failed", String::new(), 0),
            Step::Upgrade(version) => {
                tell(*block, "code_updated", String::new(), 0);
                tell(block + 1, "applied", String::new(), *version);
            }
            Step::Pause(_) | Step::Remark => {}
        }
    }
    told.sort();
    told
}

/// The notices that follow from facts, by occurrence.
fn notices(chain: &SyntheticChain, facts: &[Told], target: u32) -> BTreeSet<(String, String)> {
    let mut notices = BTreeSet::new();
    let (mut moved, mut applied, mut code) = (false, false, None);
    for fact in facts {
        let block = format!(
            "{CHAIN}:{}:{:?}",
            fact.block,
            chain.hash(Branch::MAIN, fact.block)
        );
        let mut tell = |notice: &str, occurrence: &str| {
            notices.insert((notice.to_owned(), occurrence.to_owned()))
        };
        if applied {
            continue;
        }
        match fact.kind {
            "authorized" => {
                if !moved || code.as_ref().is_some_and(|old| *old != fact.code) {
                    tell("authorized", &fact.code);
                }
                (moved, code) = (true, Some(fact.code.clone()));
            }
            "authorization_rejected" => {
                tell("rejected", &block);
            }
            "code_updated" => moved = true,
            "applied" if fact.version < target => {
                tell("other-version", &block);
            }
            "applied" => {
                applied = true;
                for notice in ["applied", "verified", "completed"] {
                    tell(notice, "1");
                }
            }
            _ => {}
        }
    }
    notices
}

/// herald, as far as chains go: it can be taken down and brought back on the same store.
pub(super) struct Herald {
    loaded: Arc<Loaded>,
    pub(super) store: Arc<dyn Store>,
    clock: Arc<SteppedClock>,
    urls: Vec<String>,
    pub(super) up: Option<(Watcher, Arc<Node>)>,
    last: std::sync::Mutex<String>,
}

impl Herald {
    pub(super) async fn new(loaded: Arc<Loaded>, target: u32, urls: Vec<String>) -> Self {
        Self::on("sqlite::memory:", loaded, target, urls).await
    }

    /// herald on a store of its own. One in memory is gone with its connection, which a busy machine may cost it.
    pub(super) async fn on(
        address: &str,
        loaded: Arc<Loaded>,
        target: u32,
        urls: Vec<String>,
    ) -> Self {
        let sample: Upgrade = loaded.config.upgrades[0].upgrade.clone();
        let clock = Arc::new(SteppedClock::new(sample.window.opens));
        let store: Arc<dyn Store> = Arc::new(SqlStore::open(address).await.unwrap());
        let chains = [(
            CHAIN.to_owned(),
            Target {
                spec_version: target,
                code_hash: None,
            },
        )]
        .into();
        let upgrade = Upgrade {
            id: "v2".into(),
            chains,
            ..sample.clone()
        };
        let campaign = Campaign::new(upgrade, sample.window.opens);
        store
            .commit(Batch {
                upgrades: vec![campaign],
                ..Batch::default()
            })
            .await
            .unwrap();
        let mut herald = Self {
            loaded,
            store,
            clock,
            urls,
            up: None,
            last: std::sync::Mutex::default(),
        };
        herald.start();
        herald
    }

    pub(super) fn start(&mut self) {
        let mut config = self.loaded.config.clone();
        let plan = &mut config.plan;
        let stretch = SignedDuration::from_millis(4 * i64::try_from(BLOCK_MS).unwrap());
        // Finality stands still in many scripts: that is no reason to wait for a healthier hour here.
        plan.rules = VerificationRules {
            healthy_for: stretch,
            complete_after: stretch,
            max_finality_lag: 1_000_000,
            after: Vec::new(),
            ..plan.rules.clone()
        };
        let core = Arc::new(Core::new(
            ConfigSnapshot {
                config,
                renderer: self.loaded.renderer.clone(),
            },
            BTreeMap::new(),
            self.clock.clone(),
            self.store.clone(),
        ));
        let node = Arc::new(Node::new(self.urls.clone()));
        self.up = Some((
            Watcher::new(
                core,
                [(CHAIN.to_owned(), node.clone() as Arc<dyn Chain>)].into(),
            ),
            node,
        ));
    }

    pub(super) fn stop(&mut self) {
        self.up = None;
    }

    /// An error is seen anew in the next one; the last is kept for the verdict.
    pub(super) async fn tick(&self) {
        if let Some((watcher, node)) = &self.up {
            let came_to = format!("{:?}; {:?}", watcher.tick(CHAIN).await, node.sight());
            *self.last.lock().unwrap() = came_to;
            let _ = timeout(Duration::from_millis(5), node.changed()).await;
        }
    }

    pub(super) async fn tick_until(&self, block: u64, patience: Duration) -> bool {
        let begun = Instant::now();
        loop {
            self.tick().await;
            if self.read().await >= block {
                return true;
            }
            if begun.elapsed() > patience {
                return false;
            }
            sleep(Duration::from_millis(25)).await;
        }
    }

    /// The last block that was read.
    pub(super) async fn read(&self) -> u64 {
        self.store
            .memories()
            .await
            .unwrap()
            .get(CHAIN)
            .map_or(0, |m| m.number)
    }

    pub(super) async fn facts(&self) -> Vec<Fact> {
        self.store.facts().await.unwrap()
    }
}

/// One script under way.
struct Play {
    dice: Dice,
    tale: Tale,
    chain: Arc<SyntheticChain>,
    nodes: Vec<Endpoint>,
    herald: Herald,
    verdict: Verdict,
    unseen: Vec<Unseen>,
    /// The node that finalizes what isn't so, or serves another chain.
    liar: Option<usize>,
    /// The newest finalized block of the honest chain.
    head: u64,
}

async fn play(seed: u64, loaded: Arc<Loaded>) -> Verdict {
    let mut dice = Dice::new(seed);
    let tale = tale(&mut dice);
    let script = Script {
        blocks: tale.blocks,
        block_ms: BLOCK_MS,
        steps: tale.steps.clone(),
        salt: seed,
        ..Script::default()
    };
    let chain = SyntheticChain::new(script);
    let mut nodes = Vec::new();
    let lies = seed.is_multiple_of(4);
    for _ in 0..if lies {
        dice.between(2, 3)
    } else {
        dice.between(1, 3)
    } {
        nodes.push(Endpoint::start(chain.clone()).await);
    }
    let herald = Herald::new(
        loaded,
        tale.target,
        nodes.iter().map(Endpoint::url).collect(),
    )
    .await;
    let mut play = Play {
        dice,
        tale,
        chain,
        nodes,
        herald,
        verdict: Verdict::default(),
        unseen: Vec::new(),
        liar: None,
        head: 1,
    };
    if !play.herald.tick_until(1, PATIENCE).await {
        play.verdict.missed("the first block".into());
        return play.verdict;
    }
    let mut head = 1;
    // From here to there one of the nodes lies.
    let lie = lies.then(|| (play.dice.between(2, 10), play.dice.between(11, 20)));
    while head < play.tale.blocks {
        let before = head;
        head = (head + play.dice.between(1, 4)).min(play.tale.blocks);
        if let Some((from, to)) = lie {
            if play.liar.is_none() && (from..to).contains(&head) {
                play.lie(before).await;
            } else if play.liar.is_some() && head >= to {
                play.heal_liar();
            }
        }
        if play.tale.leap.is_some_and(|from| before >= from) {
            head = play.leap(before).await;
        }
        play.head = head;
        play.nodes.iter().for_each(|node| node.advance_to(head));
        play.step(head).await;
        play.check_not_ahead(head).await;
    }
    play.end().await;
    play.verdict
}

impl Play {
    /// Another node than the one that lies.
    fn any(&mut self) -> usize {
        let n = self.dice.roll(self.nodes.len() as u64) as usize;
        if self.liar == Some(n) {
            (n + 1) % self.nodes.len()
        } else {
            n
        }
    }

    /// Steps that make herald speak, on blocks that never become final.
    fn falsehood(&mut self, behind: u64) -> Vec<(u64, Step)> {
        let wrong = version(u32::try_from(self.dice.between(1, 3)).unwrap());
        let steps = [
            Step::Authorize(code_hash(wrong + 50)),
            Step::Upgrade(wrong),
            Step::Reject,
            Step::SudoFailed,
        ];
        let mut told = Vec::new();
        for step in steps {
            if self.dice.one_in(2) {
                told.push((behind + self.dice.between(1, 2), step));
            }
        }
        told.sort_by_key(|(block, _)| *block);
        told
    }

    /// One fault, or none, and some ticks.
    async fn step(&mut self, head: u64) {
        let n = self.any();
        // Beside a liar the others are sound: who is alone with it can't tell.
        let fault = if self.liar.is_some() {
            self.dice.roll(3)
        } else {
            self.dice.roll(24)
        };
        self.verdict.figures.faults += u64::from(fault < 17);
        match fault {
            0..=2 => {
                let behind = head.saturating_sub(self.dice.roll(3));
                let steps = self.falsehood(behind);
                let fork = self.chain.fork(behind, steps);
                self.nodes[n].set_best(fork, head + self.dice.between(1, 3));
            }
            3 => self.nodes[n].stall(),
            4 => self.nodes.iter().for_each(Endpoint::go_on),
            5 => self.nodes[n].end_subscriptions(),
            6 if self.dice.one_in(3) => self.nodes[n].end_subscriptions_silently(),
            7 => self.nodes[n].drop_connections(),
            8 | 9 => {
                let answer = self.dice.between(1, 14);
                self.nodes[n].drop_mid_answer(u32::try_from(answer).unwrap());
            }
            10 => {
                self.nodes[n].stop_answering();
                let pause = Duration::from_millis(self.dice.between(5, 60));
                let resume = async {
                    sleep(pause).await;
                    self.nodes[n].resume();
                };
                tokio::join!(self.herald.tick(), resume);
            }
            11 => {
                self.nodes[n].refuse();
                self.nodes[n].drop_connections();
            }
            12 => self.nodes.iter().for_each(Endpoint::accept),
            13 => self.nodes[n].restart(),
            14 => self.nodes[n].behind(self.dice.between(1, 3)),
            15 => self.herald.stop(),
            16 if self.dice.one_in(3) => self.prune(head).await,
            _ => {}
        }
        if self.herald.up.is_none() && self.dice.one_in(2) && fault != 15 {
            self.herald.start();
        }
        if self.herald.up.is_some() {
            if self.dice.one_in(3) {
                // Long enough for a connection that is made anew.
                self.herald
                    .tick_until(head, Duration::from_millis(1_300))
                    .await;
            } else {
                for _ in 0..self.dice.between(0, 3) {
                    self.herald.tick().await;
                }
            }
        }
    }

    /// Every node forgets the state of older blocks, some of which weren't read yet.
    async fn prune(&mut self, head: u64) {
        let oldest = head.saturating_sub(self.dice.between(0, 4));
        if oldest + TAIL > self.tale.blocks {
            return; // what is seen so late isn't verified before the end
        }
        let from = self.herald.read().await + 1;
        if from < oldest {
            self.unseen.push(Unseen {
                from,
                to: oldest,
                pruned: true,
            });
        }
        self.nodes.iter().for_each(|node| node.prune_before(oldest));
    }

    /// herald is down while more blocks pass than are read whole.
    async fn leap(&mut self, before: u64) -> u64 {
        self.tale.leap = None;
        self.herald.stop();
        self.nodes.iter().for_each(Endpoint::heal);
        let read = self.herald.read().await;
        let head = (before + MAX_GAP_READ_WHOLE_BLOCKS + 2).max(self.tale.blocks - TAIL - 2);
        self.unseen.push(Unseen {
            from: read + 1,
            to: head,
            pruned: false,
        });
        self.nodes.iter().for_each(|node| node.advance_to(head));
        self.herald.start();
        // Read in one leap: a connection that breaks now would make two of it.
        if !self.herald.tick_until(head, PATIENCE).await {
            self.verdict.missed(format!("block {head}, behind a leap"));
        }
        head
    }

    /// One node finalizes a fork on which something else happened, or serves another chain.
    async fn lie(&mut self, shared: u64) {
        self.nodes.iter().for_each(Endpoint::heal);
        self.herald.stop();
        let before = self.calls();
        self.herald.start();
        if !self.herald.tick_until(shared, PATIENCE).await {
            self.verdict.missed(format!("block {shared}, before a lie"));
        }
        if !self.is_connected_with_all(&before).await {
            self.verdict.missed("a connection with every node".into());
        }
        let steps = self.falsehood(shared);
        let n = self.dice.roll(self.nodes.len() as u64) as usize;
        if self.dice.one_in(4) {
            let script = Script {
                blocks: self.tale.blocks,
                block_ms: BLOCK_MS,
                steps,
                salt: u64::MAX,
                ..Script::default()
            };
            self.nodes[n].serve(SyntheticChain::new(script), shared);
        } else {
            let fork = self.chain.fork(shared, steps);
            self.nodes[n].follow(fork);
        }
        self.liar = Some(n);
    }

    /// How many calls each node has had.
    fn calls(&self) -> Vec<u64> {
        self.nodes
            .iter()
            .map(|node| node.counts().total())
            .collect()
    }

    /// Waits until herald has asked every node, and has nothing more to ask.
    async fn is_connected_with_all(&self, before: &[u64]) -> bool {
        let (start, mut last, mut quiet) = (Instant::now(), self.calls(), 0);
        while quiet < 4 && start.elapsed() < PATIENCE {
            sleep(Duration::from_millis(50)).await;
            let now = self.calls();
            let asked = now.iter().zip(before).all(|(now, before)| now > before);
            quiet = if asked && now == last { quiet + 1 } else { 0 };
            last = now;
        }
        quiet == 4
    }

    fn heal_liar(&mut self) {
        if let Some(n) = self.liar.take() {
            self.nodes[n].heal();
            if self.nodes[n].chain_salt() == u64::MAX {
                self.nodes[n].serve(self.chain.clone(), self.head);
            }
        }
    }

    /// While the script runs: nothing stands on a block that isn't final yet.
    async fn check_not_ahead(&mut self, head: u64) {
        for fact in self.herald.facts().await {
            if fact.block > head {
                self.verdict.not_final(format!(
                    "{} of block {} when {head} was final",
                    fact.kind().name(),
                    fact.block
                ));
            }
        }
    }

    /// Everything is healed and read to the end; then what was told is compared with what was so.
    async fn end(&mut self) {
        self.heal_liar();
        for node in &self.nodes {
            node.heal();
            node.advance_to(self.tale.blocks);
        }
        if self.herald.up.is_none() {
            self.herald.start();
        }
        if !self.herald.tick_until(self.tale.blocks, PATIENCE).await {
            let (read, wanted) = (self.herald.read().await, self.tale.blocks);
            let last = self.herald.last.lock().unwrap().clone();
            self.verdict
                .missed(format!("blocks: {read} of {wanted} were read; {last}"));
        }
        self.verdict.figures.blocks = self.tale.blocks;
        let found = self.found().await;
        let truth = truth(&self.tale.steps);
        self.verdict.figures.facts = truth.len() as u64;
        self.verdict.figures.connections = self
            .nodes
            .iter()
            .map(|node| node.counts().connections)
            .sum();
        self.compare_facts(&truth, &found);
        let expected = notices(
            &self.chain,
            if self.unseen.is_empty() {
                &truth
            } else {
                &found
            },
            self.tale.target,
        );
        if truth
            .iter()
            .any(|t| t.kind == "applied" && t.version >= self.tale.target)
            != expected.iter().any(|(n, _)| n == "applied")
        {
            self.verdict.missed("that it is applied".into());
        }
        self.compare_notices(&expected).await;
    }

    /// The facts in the store that a script decides; each must be of a block of the honest chain.
    async fn found(&mut self) -> Vec<Told> {
        let mut found = Vec::new();
        for fact in self.herald.facts().await {
            let honest = format!(
                "{:?}",
                self.chain
                    .hash(Branch::MAIN, fact.block.min(self.tale.blocks))
            );
            if !fact.hash.is_empty() && fact.hash != honest {
                self.verdict.not_final(format!(
                    "{} of block {} {}",
                    fact.kind().name(),
                    fact.block,
                    fact.hash
                ));
            }
            if let Some(kind) = KINDS.into_iter().find(|k| *k == fact.kind().name()) {
                let code = if kind == "authorized" {
                    fact.detail()
                } else {
                    String::new()
                };
                let version = if kind == "applied" {
                    fact.spec_version
                } else {
                    0
                };
                found.push(Told {
                    block: fact.block,
                    kind,
                    code,
                    version,
                });
            }
        }
        found.sort();
        found
    }

    fn compare_facts(&mut self, truth: &[Told], found: &[Told]) {
        for fact in truth.iter().filter(|f| !found.contains(f)) {
            let versions = matches!(fact.kind, "code_updated" | "applied");
            let excused = self
                .unseen
                .iter()
                .any(|u| (u.from..=u.to + 1).contains(&fact.block) && (u.pruned || !versions));
            if !excused {
                self.verdict.missed(format!("{fact:?}"));
            }
        }
        for fact in found.iter().filter(|f| !truth.contains(f)) {
            // Behind what can't be seen, state tells what events no longer do.
            let state = self.chain.state(Branch::MAIN, fact.block);
            let so = match fact.kind {
                "authorized" => state
                    .authorized
                    .is_some_and(|hash| format!("{hash:?}") == fact.code),
                "applied" => state.proven == fact.version,
                _ => false,
            };
            if !so || self.unseen.is_empty() {
                self.verdict.not_final(format!("{fact:?}"));
            }
        }
        for kind in ["authorized", "code_updated", "applied"] {
            let count = |told: &[Told]| told.iter().filter(|t| t.kind == kind).count();
            if count(found) > count(truth) {
                self.verdict.twice(format!(
                    "{kind}: {} times for {}",
                    count(found),
                    count(truth)
                ));
            }
        }
    }

    async fn compare_notices(&mut self, expected: &BTreeSet<(String, String)>) {
        let mut posts: BTreeMap<(String, String), BTreeMap<String, u32>> = BTreeMap::new();
        let mut blocks: BTreeMap<(String, u64), BTreeSet<String>> = BTreeMap::new();
        for post in self
            .herald
            .store
            .posts("v2")
            .await
            .unwrap()
            .into_iter()
            .filter(|p| p.operation == Operation::Post && NOTICES.contains(&p.notice.as_str()))
        {
            if let Some(fact) = &post.fact {
                blocks
                    .entry((post.notice.clone(), fact.block))
                    .or_default()
                    .insert(post.occurrence.clone());
            }
            *posts
                .entry((post.notice, post.occurrence))
                .or_default()
                .entry(post.channel)
                .or_default() += 1;
        }
        for (notice, channels) in &posts {
            if !expected.contains(notice) {
                self.verdict.not_final(format!("the notice {notice:?}"));
            }
            if channels.values().any(|n| *n > 1) {
                self.verdict.twice(format!("the notice {notice:?}"));
            }
        }
        for notice in expected.iter().filter(|n| !posts.contains_key(n)) {
            self.verdict.missed(format!("the notice {notice:?}"));
        }
        for (notice, _) in blocks
            .iter()
            .filter(|(_, occurrences)| occurrences.len() > 1)
        {
            self.verdict
                .twice(format!("the notice {notice:?}, under several occurrences"));
        }
    }
}

/// The seeds to play instead, if some are named.
#[allow(clippy::disallowed_methods, reason = "the test's own switch")]
fn named() -> Option<RangeInclusive<u64>> {
    let text = std::env::var("HERALD_TEST_SEED").ok()?;
    let (from, to) = text.split_once('-').unwrap_or((&text, &text));
    Some(from.parse().ok()?..=to.parse().ok()?)
}

/// A head of one node, and a block of that number of another, on which it isn't final.
#[tokio::test]
async fn a_block_is_never_of_a_node_on_which_it_is_not_final() {
    let chain = SyntheticChain::new(Script::default());
    let (ahead, behind) = (
        Endpoint::start(chain.clone()).await,
        Endpoint::start(chain.clone()).await,
    );
    ahead.advance_to(5);
    behind.advance_to(3);
    behind.set_best(chain.fork(3, vec![(5, Step::SudoFailed)]), 6);
    let node = Node::new(vec![ahead.url(), behind.url()]);
    assert_eq!(node.head(None).await.unwrap().number, 5);
    ahead.refuse();
    ahead.drop_connections();
    // The end of the connection is noticed, and the other node is taken.
    sleep(Duration::from_millis(1_500)).await;
    match node.block(5).await {
        Ok(block) => assert_eq!(block.hash, format!("{:?}", chain.hash(Branch::MAIN, 5))),
        // Nor has it pruned what it doesn't have yet.
        Err(error) => assert!(
            !matches!(error, ChainError::Gone(_) | ChainError::Absent(_)),
            "{error}"
        ),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_nodes_do_what_is_final_is_told_once_and_nothing_else() {
    let loaded = Arc::new(every_notice());
    let seeds = named().unwrap_or(0..=SCRIPTS - 1);
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let begun = Instant::now();
    let mut plays = JoinSet::new();
    for seed in seeds {
        let (loaded, places) = (loaded.clone(), places.clone());
        plays.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            (seed, play(seed, loaded).await)
        });
    }
    let (mut sum, mut scripts, mut failed) = (Figures::default(), 0, BTreeMap::new());
    while let Some(played) = plays.join_next().await {
        let (seed, verdict) = played.unwrap();
        scripts += 1;
        sum.blocks += verdict.figures.blocks;
        sum.faults += verdict.figures.faults;
        sum.connections += verdict.figures.connections;
        sum.facts += verdict.figures.facts;
        sum.announced_not_final += verdict.figures.announced_not_final;
        sum.missed += verdict.figures.missed;
        sum.twice += verdict.figures.twice;
        if !verdict.faults.is_empty() {
            failed.insert(seed, verdict.faults);
        }
    }
    let line = serde_json::json!({
        "scripts": scripts, "blocks": sum.blocks, "faults": sum.faults, "connections": sum.connections, "facts": sum.facts,
        "announced_not_final": sum.announced_not_final,
        "missed": sum.missed, "twice": sum.twice, "failed_seeds": failed.keys().collect::<Vec<_>>(),
        "seconds": begun.elapsed().as_secs(),
    });
    println!("{line}");
    assert!(
        failed.is_empty(),
        "play one again with HERALD_TEST_SEED=N: {failed:#?}"
    );
}
