//! The chain itself: branches of blocks, each a function of the script.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use serde_json::{Value, json};
use subxt::{
    config::{
        Hasher,
        substrate::{BlakeTwo256, Digest, DigestItem, SubstrateHeader},
    },
    ext::codec::{Compact, Encode},
    utils::H256,
};
use upgrade_herald::{domain::hex, rehearsal::Recording};

pub type Header = SubstrateHeader<H256>;

/// Storage keys, in hex.
pub mod key {
    pub const EVENTS: &str = "0x26aa394eea5630e07c48ae0c9558cef780d41e5e16056765bc8461851072c9d7";
    pub const LAST_UPGRADE: &str =
        "0x26aa394eea5630e07c48ae0c9558cef7f9cce9c888469bb1a0dceaa129672ef8";
    pub const AUTHORIZED: &str =
        "0x26aa394eea5630e07c48ae0c9558cef72fa9f1bf25567808771bff091dc89ecd";
    pub const NOW: &str = "0xf0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb";
    /// `:code`, whose value is a few bytes that differ by version.
    pub const CODE: &str = "0x3a636f6465";
}

/// What happens in a block. Several steps may share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Root authorizes the code with this hash; it takes the place of an earlier one.
    Authorize(H256),
    /// New code is set: `CodeUpdated`. The state of this block calls itself by the new version, and the
    /// next block proves it. Any version may follow any other.
    Upgrade(u32),
    /// The authorized code is refused, and its authorization gone.
    Reject,
    /// A call by root is included and fails.
    SudoFailed,
    /// A transaction that changes nothing.
    Remark,
    /// The block comes so many milliseconds late.
    Pause(u64),
}

/// What is to happen on a chain.
#[derive(Clone, Debug)]
pub struct Script {
    /// How many blocks there may be.
    pub blocks: u64,
    pub block_ms: u64,
    /// The time of block 0.
    pub start_ms: u64,
    /// The version at the beginning.
    pub version: u32,
    /// Chains of different salts have no block in common.
    pub salt: u64,
    pub steps: Vec<(u64, Step)>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            blocks: 1_000,
            block_ms: 6_000,
            start_ms: 1_800_000_000_000,
            version: version(0),
            salt: 0,
            steps: Vec::new(),
        }
    }
}

/// The script's versions: `version(0)` runs at the beginning.
pub fn version(n: u32) -> u32 {
    1_000_001 + n
}

/// What stands for a version's code.
fn code_of(version: u32) -> Vec<u8> {
    format!("the code of {version}").into_bytes()
}

/// The hash that authorizes a version's code.
pub fn code_hash(version: u32) -> H256 {
    BlakeTwo256.hash(&code_of(version))
}

/// A line of blocks: the main one, or one that leaves another behind some block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Branch(usize);

impl Branch {
    pub const MAIN: Self = Self(0);
}

/// The state behind a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    pub authorized: Option<H256>,
    /// The code that is set: what `Core_version` answers.
    pub code: u32,
    /// `System.LastRuntimeUpgrade`: the code that has run.
    pub proven: u32,
    late_ms: u64,
}

struct Limb {
    parent: Branch,
    /// The last block it shares with its parent.
    shared: u64,
    steps: BTreeMap<u64, Vec<Step>>,
    /// The state from a block on, by that block.
    states: Vec<(u64, State)>,
    /// Of its own blocks, lowest first, as far as they were asked for.
    hashes: Vec<H256>,
}

struct Inner {
    limbs: Vec<Limb>,
    /// Blocks by hash, of those that anybody was told of.
    told: HashMap<H256, (Branch, u64)>,
}

pub struct SyntheticChain {
    pub blocks: u64,
    block_ms: u64,
    start_ms: u64,
    pub salt: u64,
    version: u32,
    inner: Mutex<Inner>,
}

impl SyntheticChain {
    pub fn new(script: Script) -> Arc<Self> {
        let chain = Self {
            blocks: script.blocks,
            block_ms: script.block_ms,
            start_ms: script.start_ms,
            salt: script.salt,
            version: script.version,
            inner: Mutex::new(Inner {
                limbs: Vec::new(),
                told: HashMap::new(),
            }),
        };
        let limb = chain.limb(Branch::MAIN, 0, script.steps.into_iter());
        chain.lock().limbs.push(limb);
        Arc::new(chain)
    }

    /// Another branch: the same up to block `shared`, then with these steps alone. Its first own block is the next one.
    pub fn fork(&self, shared: u64, steps: Vec<(u64, Step)>) -> Branch {
        self.fork_of(Branch::MAIN, shared, steps)
    }

    pub fn fork_of(&self, parent: Branch, shared: u64, steps: Vec<(u64, Step)>) -> Branch {
        assert!(
            steps.iter().all(|(block, _)| *block > shared),
            "a fork's steps come behind it"
        );
        let old: Vec<(u64, Step)> = {
            let inner = self.lock();
            let before = inner.limbs[parent.0].steps.range(..=shared);
            before
                .flat_map(|(block, steps)| steps.iter().map(|s| (*block, s.clone())))
                .collect()
        };
        let limb = self.limb(parent, shared, old.into_iter().chain(steps));
        let mut inner = self.lock();
        inner.limbs.push(limb);
        Branch(inner.limbs.len() - 1)
    }

    fn limb(&self, parent: Branch, shared: u64, steps: impl Iterator<Item = (u64, Step)>) -> Limb {
        let mut by_block: BTreeMap<u64, Vec<Step>> = BTreeMap::new();
        for (block, step) in steps {
            by_block.entry(block).or_default().push(step);
        }
        let mut state = State {
            authorized: None,
            code: self.version,
            proven: self.version,
            late_ms: 0,
        };
        let mut states = vec![(0, state)];
        for (block, steps) in &by_block {
            if state.proven != state.code {
                // The block behind an upgrade proves it.
                let proven_at = states.last().map_or(0, |(at, _)| at + 1);
                state.proven = state.code;
                states.push((proven_at, state));
            }
            for step in steps {
                match step {
                    Step::Authorize(hash) => state.authorized = Some(*hash),
                    Step::Upgrade(version) => (state.code, state.authorized) = (*version, None),
                    Step::Reject => state.authorized = None,
                    Step::Pause(ms) => state.late_ms += ms,
                    Step::SudoFailed | Step::Remark => {}
                }
            }
            states.push((*block, state));
        }
        if let Some((at, last)) = states.last().copied().filter(|(_, s)| s.proven != s.code) {
            states.push((
                at + 1,
                State {
                    proven: last.code,
                    ..last
                },
            ));
        }
        Limb {
            parent,
            shared,
            steps: by_block,
            states,
            hashes: Vec::new(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The branch that a block of `branch` is of: its own, or one that it came from.
    pub fn owner(&self, branch: Branch, number: u64) -> Branch {
        self.lock().owner(branch, number)
    }

    pub fn hash(&self, branch: Branch, number: u64) -> H256 {
        self.lock().hash(self, branch, number)
    }

    pub fn header(&self, branch: Branch, number: u64) -> Header {
        let mut inner = self.lock();
        let parent = if number == 0 {
            H256::zero()
        } else {
            inner.hash(self, branch, number - 1)
        };
        let owner = inner.owner(branch, number);
        self.header_on(&inner, owner, number, parent)
    }

    fn header_on(&self, inner: &Inner, branch: Branch, number: u64, parent_hash: H256) -> Header {
        let mut root = [0; 32];
        root[..8].copy_from_slice(&self.salt.to_le_bytes());
        root[8..16].copy_from_slice(&(branch.0 as u64).to_le_bytes());
        root[16..24].copy_from_slice(&number.to_le_bytes());
        let slot = self.time(inner, branch, number) / self.block_ms;
        let digest = Digest {
            logs: vec![DigestItem::PreRuntime(
                *b"aura",
                slot.to_le_bytes().to_vec(),
            )],
        };
        Header {
            parent_hash,
            number,
            state_root: H256(root),
            extrinsics_root: H256::zero(),
            digest,
        }
    }

    fn time(&self, inner: &Inner, branch: Branch, number: u64) -> u64 {
        self.start_ms + number * self.block_ms + inner.limbs[branch.0].state(number).late_ms
    }

    /// A block that anybody was told of.
    pub fn find(&self, hash: H256) -> Option<(Branch, u64)> {
        self.lock().told.get(&hash).copied()
    }

    /// Remembers that a block was told of, so that it may be asked for by its hash.
    pub fn tell(&self, branch: Branch, number: u64) -> H256 {
        let mut inner = self.lock();
        let hash = inner.hash(self, branch, number);
        let owner = inner.owner(branch, number);
        inner.told.insert(hash, (owner, number));
        hash
    }

    pub fn state(&self, branch: Branch, number: u64) -> State {
        self.lock().limbs[branch.0].state(number)
    }

    /// What a storage key holds behind a block, in bytes.
    pub fn storage(&self, branch: Branch, number: u64, name: &str) -> Option<Vec<u8>> {
        let inner = self.lock();
        let limb = &inner.limbs[branch.0];
        let state = limb.state(number);
        match name {
            key::EVENTS => (number > 0).then(|| limb.events(number)),
            key::NOW => Some(self.time(&inner, branch, number).encode()),
            key::LAST_UPGRADE => Some((Compact(state.proven), "devnet").encode()),
            key::AUTHORIZED => state.authorized.map(|hash| (hash, true).encode()),
            key::CODE => Some(code_of(state.code)),
            _ => None,
        }
    }

    /// What a runtime function answers behind a block, in hex.
    pub fn call(
        &self,
        branch: Branch,
        number: u64,
        function: &str,
        argument: &str,
    ) -> Option<String> {
        let recorded = recorded();
        match function {
            "Core_version" => Some(core_version(self.state(branch, number).code)),
            "Metadata_metadata_versions" => recorded.versions.clone(),
            "Metadata_metadata_at_version" => recorded.at.get(argument).cloned(),
            "Metadata_metadata" => recorded.plain.clone(),
            _ => None,
        }
    }

    /// Computes the hashes of the main branch up to a block, which takes a while for a million.
    pub fn prepare(&self, blocks: u64) {
        self.hash(Branch::MAIN, blocks);
    }
}

impl Inner {
    fn owner(&self, mut branch: Branch, number: u64) -> Branch {
        while branch != Branch::MAIN && number <= self.limbs[branch.0].shared {
            branch = self.limbs[branch.0].parent;
        }
        branch
    }

    fn hash(&mut self, chain: &SyntheticChain, branch: Branch, number: u64) -> H256 {
        let branch = self.owner(branch, number);
        let first = if branch == Branch::MAIN {
            0
        } else {
            self.limbs[branch.0].shared + 1
        };
        let index = usize::try_from(number - first).expect("it fits");
        let have = self.limbs[branch.0].hashes.len();
        if have <= index {
            let mut parent = match self.limbs[branch.0].hashes.last() {
                Some(hash) => *hash,
                None if first == 0 => H256::zero(),
                None => self.hash(chain, branch, first - 1),
            };
            for next in first + have as u64..=number {
                parent = BlakeTwo256.hash(&chain.header_on(self, branch, next, parent).encode());
                self.limbs[branch.0].hashes.push(parent);
            }
        }
        self.limbs[branch.0].hashes[index]
    }
}

impl Limb {
    fn state(&self, number: u64) -> State {
        let next = self.states.partition_point(|(from, _)| *from <= number);
        self.states[next - 1].1
    }

    /// `System.Events`: an inherent, then a transaction a step.
    fn events(&self, number: u64) -> Vec<u8> {
        let mut events = vec![record(0, INHERENT)];
        let steps = self.steps.get(&number).into_iter().flatten();
        let before = number.checked_sub(1).map_or(H256::zero(), |n| {
            self.state(n).authorized.unwrap_or_default()
        });
        let mut authorized = before;
        for (index, step) in (1_u32..).zip(steps.filter(|s| !matches!(s, Step::Pause(_)))) {
            match step {
                Step::Authorize(hash) => {
                    authorized = *hash;
                    events.push(record(index, &(0_u8, 6_u8, hash, true).encode()));
                    events.push(record(index, SUDO_FINE));
                }
                Step::Upgrade(version) => {
                    events.push(record(index, &(0_u8, 2_u8, code_hash(*version)).encode()))
                }
                Step::Reject => events.push(record(
                    index,
                    &(0_u8, 7_u8, authorized, BAD_ORIGIN).encode(),
                )),
                Step::SudoFailed => events.push(record(index, SUDO_FAILED)),
                Step::Remark | Step::Pause(_) => {}
            }
            events.push(record(index, TRANSACTION));
        }
        let mut bytes = Compact(u32::try_from(events.len()).expect("it fits")).encode();
        bytes.extend(events.concat());
        bytes
    }
}

/// `System.ExtrinsicSuccess` as recorded: of an inherent, and of a transaction.
const INHERENT: &[u8] = &[0, 0, 0x22, 0x90, 0x75, 0x3e, 0x55, 0x17, 0x02, 0x00];
const TRANSACTION: &[u8] = &[0, 0, 0x02, 0x93, 0xaa, 0x67, 0x69, 0x4f, 0x01, 0x01];
/// `Sudo.Sudid`, whose call succeeded, and whose call failed with `BadOrigin`.
const SUDO_FINE: &[u8] = &[2, 0, 0];
const SUDO_FAILED: &[u8] = &[2, 0, 1, BAD_ORIGIN];
/// `DispatchError::BadOrigin`.
const BAD_ORIGIN: u8 = 2;

/// An event with its phase (of the transaction with this index) and without topics.
fn record(transaction: u32, event: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(transaction.to_le_bytes());
    bytes.extend(event);
    bytes.push(0);
    bytes
}

struct Recorded {
    core_version: Vec<u8>,
    versions: Option<String>,
    at: BTreeMap<String, String>,
    plain: Option<String>,
}

/// The runtime that the embedded recording was made with; its versions differ by their number alone.
fn recorded() -> &'static Recorded {
    static RECORDED: OnceLock<Recorded> = OnceLock::new();
    RECORDED.get_or_init(|| {
        let recording = Recording::embedded().expect("the embedded recording");
        let first = &recording.blocks[0];
        let metadata = &recording.metadata[&first.runtime_version.spec_version.to_string()];
        Recorded {
            core_version: hex::decode(&first.core_version).expect("hex"),
            versions: metadata.versions.clone(),
            at: metadata.at.clone(),
            plain: metadata.plain.clone(),
        }
    })
}

/// `Core_version`: behind two names (`devnet`) and the authoring version stands the number.
fn core_version(version: u32) -> String {
    const AT: usize = 7 + 7 + 4;
    let mut bytes = recorded().core_version.clone();
    bytes[AT..AT + 4].copy_from_slice(&version.to_le_bytes());
    hex::encode(&bytes)
}

/// `state_getRuntimeVersion`.
pub fn runtime_version(version: u32) -> Value {
    json!({
        "specName": "devnet", "implName": "devnet", "authoringVersion": 1, "specVersion": version,
        "implVersion": 0, "apis": [], "transactionVersion": 1, "stateVersion": 1
    })
}
