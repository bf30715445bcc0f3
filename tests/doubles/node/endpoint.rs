//! One node that serves a chain, and what can go wrong with it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde::{Deserialize, Serialize};
use subxt::utils::H256;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::{
    chain::{Branch, SyntheticChain},
    rpc,
};

/// What a node was asked, by method (and function, where one is called), and how many bytes of JSON went in and out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    pub calls: BTreeMap<String, u64>,
    pub received: u64,
    pub sent: u64,
    pub connections: u64,
}

impl Counts {
    pub fn total(&self) -> u64 {
        self.calls.values().sum()
    }

    pub fn of(&self, method: &str) -> u64 {
        self.calls.get(method).copied().unwrap_or(0)
    }
}

/// A way in which a method fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodFault {
    /// The node does not have it.
    Absent,
    /// The node refuses with an error of its own.
    Refused,
    /// Its answers are larger than the node sends.
    TooBig,
    /// Nothing comes.
    Silent,
    /// The answer is of another type.
    WrongType,
    /// One request too many, each time.
    OverLimit,
}

/// The fault of one block's storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Its events hold one of a pallet that the metadata doesn't have.
    Events,
    /// The node refuses its events as too big.
    BigEvents,
    /// The answer with its events is larger than a client takes, so that the connection breaks.
    HugeEvents,
    /// No value of its state is answered.
    State,
}

/// A bucket of requests: so many fit, and so many a second come in.
pub(super) struct Limit {
    per_second: f64,
    burst: f64,
    left: f64,
    at: Instant,
}

impl Limit {
    pub fn take(&mut self) -> bool {
        let filled = self.at.elapsed().as_secs_f64() * self.per_second;
        (self.left, self.at) = ((self.left + filled).min(self.burst), Instant::now());
        let served = self.left >= 1.0;
        if served {
            self.left -= 1.0;
        }
        served
    }
}

/// What a node shows and does now.
pub(super) struct Control {
    pub chain: Arc<SyntheticChain>,
    pub branch: Branch,
    /// The newest finalized block that there is.
    target: u64,
    /// The one that is shown, while finality stands still.
    stalled_at: Option<u64>,
    behind: u64,
    best: Option<(Branch, u64)>,
    /// By branch, the newest block that was shown: a block that left the best branch can still be asked for.
    shown: BTreeMap<Branch, u64>,
    pub oldest: u64,
    pub silent: bool,
    pub refusing: bool,
    /// The answer, counted from now, at which the connection breaks.
    pub break_at: Option<u32>,
    /// Methods that fail, each in its way.
    pub failing: BTreeMap<String, MethodFault>,
    /// The block whose storage is refused, in its way.
    pub unreadable: Option<(u64, Unreadable)>,
    pub limit: Option<Limit>,
    /// Refusals of a connection that are still to come, as HTTP 429.
    pub too_many: u32,
    /// Requests that were over the limit.
    pub over_limit: u64,
    /// Raised to break all connections, to end all subscriptions, to forget all subscriptions.
    pub broken: u64,
    pub ended: u64,
    pub forgotten: u64,
    pub counts: Counts,
}

impl Control {
    pub fn finalized(&self) -> u64 {
        self.stalled_at
            .unwrap_or(self.target.saturating_sub(self.behind))
    }

    /// The best block: never below the finalized one.
    pub fn best(&self) -> (Branch, u64) {
        let finalized = self.finalized();
        self.best
            .filter(|(_, number)| *number > finalized)
            .unwrap_or((self.branch, finalized))
    }

    /// The branch on which a block of this number is numbered: the finalized one, and the best one above it.
    pub fn branch_at(&self, number: u64) -> Option<Branch> {
        let (best, highest) = self.best();
        if number <= self.finalized() {
            Some(self.branch)
        } else {
            (number <= highest).then_some(best)
        }
    }

    /// A block by its hash, if this node has seen it.
    pub fn find(&self, hash: H256) -> Option<(Branch, u64)> {
        let (branch, number) = self.chain.find(hash)?;
        let seen = self
            .shown
            .iter()
            .any(|(shown, up_to)| number <= *up_to && self.chain.owner(*shown, number) == branch);
        seen.then_some((branch, number))
    }

    fn note(&mut self) {
        let (finalized, best) = ((self.branch, self.finalized()), self.best());
        for (branch, number) in [finalized, best] {
            let highest = self.shown.entry(branch).or_default();
            *highest = number.max(*highest);
        }
    }
}

pub(super) struct Shared {
    control: Mutex<Control>,
    pub changed: watch::Sender<u64>,
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node on a loopback port of its own. It begins at block 1.
pub struct Endpoint {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.server.abort();
        self.drop_connections();
    }
}

impl Endpoint {
    pub async fn start(chain: Arc<SyntheticChain>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a loopback port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let control = Control {
            chain,
            branch: Branch::MAIN,
            target: 1,
            stalled_at: None,
            behind: 0,
            best: None,
            shown: BTreeMap::from([(Branch::MAIN, 1)]),
            oldest: 0,
            silent: false,
            refusing: false,
            break_at: None,
            failing: BTreeMap::new(),
            unreadable: None,
            limit: None,
            too_many: 0,
            over_limit: 0,
            broken: 0,
            ended: 0,
            forgotten: 0,
            counts: Counts::default(),
        };
        let shared = Arc::new(Shared {
            control: Mutex::new(control),
            changed: watch::Sender::new(0),
        });
        let server = tokio::spawn(rpc::serve(listener, shared.clone()));
        Self {
            shared,
            address,
            server,
        }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    fn change<T>(&self, what: impl FnOnce(&mut Control) -> T) -> T {
        let result = {
            let mut control = self.shared.lock();
            let result = what(&mut control);
            control.note();
            result
        };
        self.shared.changed.send_modify(|turn| *turn += 1);
        result
    }

    // --- heads -----------------------------------------------------------------------------

    /// Blocks up to this one are finalized; subscribers are told of the newest alone, as real nodes do.
    pub fn advance_to(&self, number: u64) {
        self.change(|c| {
            assert!(
                number <= c.chain.blocks,
                "the script has {} blocks",
                c.chain.blocks
            );
            c.target = number;
        });
    }

    /// The finalized block that is shown.
    pub fn finalized(&self) -> u64 {
        self.shared.lock().finalized()
    }

    /// The best block, maybe on a fork that is never finalized.
    pub fn set_best(&self, branch: Branch, number: u64) {
        self.change(|c| c.best = Some((branch, number)));
    }

    /// Finality stands still where it is, until [`Self::go_on`].
    pub fn stall(&self) {
        self.change(|c| c.stalled_at = Some(c.finalized()));
    }

    pub fn go_on(&self) {
        self.change(|c| c.stalled_at = None);
    }

    /// This node is always so many blocks behind.
    pub fn behind(&self, blocks: u64) {
        self.change(|c| c.behind = blocks);
    }

    /// Finalizes another branch: a node that was made to believe something else, or is healed of it.
    pub fn follow(&self, branch: Branch) {
        self.change(|c| {
            c.branch = branch;
            c.best = None;
        });
    }

    /// Serves another chain under the same address, up to this block.
    pub fn serve(&self, chain: Arc<SyntheticChain>, number: u64) {
        self.change(|c| {
            (c.chain, c.branch, c.target, c.best, c.stalled_at) =
                (chain, Branch::MAIN, number, None, None);
            c.shown.clear();
            c.broken += 1;
        });
    }

    /// The salt of the chain that is served now.
    pub fn chain_salt(&self) -> u64 {
        self.shared.lock().chain.salt
    }

    /// State of older blocks is discarded; their headers remain.
    pub fn prune_before(&self, number: u64) {
        self.change(|c| c.oldest = c.oldest.max(number));
    }

    // --- faults ----------------------------------------------------------------------------

    /// Each subscription is ended by the node, which clients see as the end of a stream without an error.
    pub fn end_subscriptions(&self) {
        self.change(|c| c.ended += 1);
    }

    /// Subscriptions are forgotten: the connection stands, and no head comes any more.
    pub fn end_subscriptions_silently(&self) {
        self.change(|c| c.forgotten += 1);
    }

    pub fn drop_connections(&self) {
        self.change(|c| c.broken += 1);
    }

    /// The connection breaks in the middle of the `n`th next answer (from 1).
    pub fn drop_mid_answer(&self, n: u32) {
        self.change(|c| c.break_at = Some(n.max(1)));
    }

    /// From now on a method fails, or a function of the runtime: `state_call Core_version`.
    pub fn fail(&self, method: &str, fault: MethodFault) {
        self.change(|c| c.failing.insert(method.to_owned(), fault));
    }

    /// The storage of one block can't be had, or can't be read.
    pub fn make_unreadable(&self, number: u64, how: Unreadable) {
        self.change(|c| c.unreadable = Some((number, how)));
    }

    /// Serves so many requests a second and no more, after as many at once.
    pub fn limit(&self, per_second: u32) {
        let rate = f64::from(per_second);
        self.change(|c| {
            c.limit = Some(Limit {
                per_second: rate,
                burst: rate,
                left: rate,
                at: Instant::now(),
            });
        });
    }

    /// Requests that were refused since they were over the limit.
    pub fn over_limit(&self) -> u64 {
        self.shared.lock().over_limit
    }

    /// The next connections are refused, as HTTP 429.
    pub fn refuse_as_too_many(&self, connections: u32) {
        self.change(|c| c.too_many = connections);
    }

    /// Connections stand, and nothing is answered.
    pub fn stop_answering(&self) {
        self.change(|c| c.silent = true);
    }

    /// What was asked meanwhile is answered now.
    pub fn resume(&self) {
        self.change(|c| c.silent = false);
    }

    /// New connections are closed at once.
    pub fn refuse(&self) {
        self.change(|c| c.refusing = true);
    }

    pub fn accept(&self) {
        self.change(|c| c.refusing = false);
    }

    /// Comes back under the same address, and knows of no client.
    pub fn restart(&self) {
        self.change(|c| {
            (c.silent, c.refusing, c.break_at) = (false, false, None);
            c.broken += 1;
        });
    }

    /// Nothing is wrong any more. What is pruned remains so, and who was forgotten isn't told.
    pub fn heal(&self) {
        self.change(|c| {
            (
                c.silent,
                c.refusing,
                c.break_at,
                c.behind,
                c.stalled_at,
                c.best,
            ) = (false, false, None, 0, None, None);
            c.branch = Branch::MAIN;
        });
    }

    // --- figures ---------------------------------------------------------------------------

    pub fn counts(&self) -> Counts {
        self.shared.lock().counts.clone()
    }

    pub fn reset_counts(&self) {
        self.shared.lock().counts = Counts::default();
    }
}
