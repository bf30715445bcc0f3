//! Stages that no recording holds, in the words of real runtimes: events and storage are encoded with
//! their own metadata, put into a recorded block, and read by the real chain client.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use jiff::Timestamp;
use serde_json::Value as Json;
use subxt::{
    OnlineClient, OnlineClientAtBlock, SubstrateConfig,
    ext::{
        codec::{Compact, Encode},
        scale_value::{
            Composite, Value, ValueDef,
            scale::{decode_as_type, encode_as_type},
        },
    },
};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use upgrade_herald::{
    adapters::node::Node,
    domain::{
        chain::{
            block::Kin,
            fact::Fact,
            memory::{Memory, enactment_name},
            reading,
        },
        hex,
    },
    ports::Chain,
    rehearsal::{EmbeddedChain, Recording},
};

use crate::support::repo;

const PASEO: &str = "paseo-1001002-to-1002000";
const PEOPLE: &str = "people-paseo-1002006-to-2000006";

fn recording(name: &str) -> Recording {
    Recording::parse(
        &std::fs::read_to_string(repo().join(format!("tests/recordings/{name}.json"))).unwrap(),
    )
    .unwrap()
}

/// A recorded runtime, to encode with, and the recording that is being rewritten.
struct Stage {
    at: OnlineClientAtBlock<SubstrateConfig>,
    recording: Recording,
    now: Timestamp,
    _chain: EmbeddedChain,
}

impl Stage {
    /// The runtime of block `number`.
    async fn of(name: &str, number: u64) -> Self {
        let now = Timestamp::from_second(1_900_000_000).unwrap();
        let recording = recording(name);
        let chain = EmbeddedChain::start(recording.clone(), now).await.unwrap();
        while chain.head() < number {
            chain.next_block(now);
        }
        let client = OnlineClient::<SubstrateConfig>::from_insecure_url(chain.url())
            .await
            .unwrap();
        let at = client.at_block(number).await.unwrap();
        Self {
            at,
            recording,
            now,
            _chain: chain,
        }
    }

    fn encoded(&self, value: &Value, type_id: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_as_type(value, type_id, self.at.metadata_ref().types(), &mut bytes).unwrap();
        bytes
    }

    /// An event of the block's end, its fields in their order.
    fn event(&self, pallet: &str, name: &str, fields: &[Value]) -> Vec<u8> {
        let pallet = self.at.metadata_ref().pallet_by_name(pallet).unwrap();
        let variant = pallet
            .event_variants()
            .unwrap()
            .iter()
            .find(|v| v.name == name)
            .unwrap();
        assert_eq!(variant.fields.len(), fields.len(), "{name}");
        let mut bytes = vec![1, pallet.event_index(), variant.index];
        for (value, field) in fields.iter().zip(&variant.fields) {
            bytes.extend(self.encoded(value, field.ty.id));
        }
        bytes.push(0); // no topics
        bytes
    }

    /// What a dispatch that failed with this error of a pallet has as its result.
    fn failed(&self, pallet: &str, error: &str) -> Value {
        let pallet = self.at.metadata_ref().pallet_by_name(pallet).unwrap();
        let error = pallet
            .error_variants()
            .unwrap()
            .iter()
            .find(|v| v.name == error)
            .unwrap()
            .index;
        let fields = [
            ("index", Value::u128(pallet.error_index().into())),
            ("error", Value::from_bytes([error, 0, 0, 0])),
        ];
        Value::unnamed_variant("Module", [Value::named_composite(fields)])
    }

    fn events(&mut self, block: usize, events: &[Vec<u8>]) {
        let count = u32::try_from(events.len()).unwrap();
        let bytes = [Compact(count).encode(), events.concat()].concat();
        let key = self.recording.keys["events"].clone();
        self.recording.blocks[block]
            .storage
            .insert(key, hex::encode(&bytes));
    }

    fn store(&mut self, block: usize, pallet: &str, entry: &str, keys: Vec<Value>, value: &[u8]) {
        let key = match keys.is_empty() {
            true => self
                .at
                .storage()
                .entry((pallet, entry))
                .unwrap()
                .key_prefix()
                .to_vec(),
            false => self
                .at
                .storage()
                .entry((pallet, entry))
                .unwrap()
                .fetch_key(keys)
                .unwrap(),
        };
        self.recording.blocks[block]
            .storage
            .insert(hex::encode(&key), hex::encode(value));
    }

    /// Reads blocks 2 to `last` through the real client; the memory is that after block 1.
    async fn facts(&self, chain: &str, last: u64, kin: &Kin) -> Vec<Fact> {
        let served = EmbeddedChain::start(self.recording.clone(), self.now)
            .await
            .unwrap();
        while served.head() < last {
            served.next_block(self.now);
        }
        let node = Node::new(vec![served.url()]);
        let mut memory = Memory::first(String::new(), &node.block(1).await.unwrap());
        let mut all = Vec::new();
        for number in 2..=last {
            let block = node.block(number).await.unwrap();
            assert_eq!(
                block.parent, memory.hash,
                "block {number} stands on the one before"
            );
            let (facts, after) = reading::read(&block, chain, &memory, kin);
            memory = after;
            all.extend(facts);
        }
        all
    }
}

fn shown(facts: &[Fact]) -> Vec<String> {
    let line = |f: &Fact| {
        let expected = f
            .expected
            .as_ref()
            .map(|e| format!(" at {} {}", e.chain, e.block))
            .unwrap_or_default();
        let on =
            f.on.as_ref()
                .map(|on| format!(" on {on}"))
                .unwrap_or_default();
        format!(
            "{} {} {} {}{expected}{on}",
            f.block,
            f.chain,
            f.kind().name(),
            f.detail()
        )
    };
    facts.iter().map(line).collect()
}

fn ok() -> Value {
    Value::unnamed_variant("Ok", [Value::unnamed_composite([])])
}

#[tokio::test]
async fn a_real_relay_tells_of_its_parachains_upgrade() {
    let mut stage = Stage::of(PASEO, 1).await;
    let check = |name: &str, para: u128| {
        stage.event(
            "Paras",
            name,
            &[Value::from_bytes([7; 32]), Value::u128(para)],
        )
    };
    let (started, other) = (
        check("PvfCheckStarted", 1004),
        check("PvfCheckStarted", 2000),
    );
    let (campaign, rejected) = (
        check("PvfCheckAccepted", 1004),
        check("PvfCheckRejected", 1000),
    );
    // Each candidate's head is an event too, whose fields nobody reads.
    let noted = stage.event("Paras", "NewHeadNoted", &[Value::u128(1004)]);
    stage.events(1, &[]);
    stage.events(2, &[noted, started, other, campaign, rejected]);
    let upcoming = |list: &[(u32, u32)]| list.to_vec().encode();
    stage.store(
        2,
        "Paras",
        "UpcomingUpgrades",
        vec![],
        &upcoming(&[(1004, 600), (2000, 600)]),
    );
    for block in 3..=4 {
        stage.store(
            block,
            "Paras",
            "UpcomingUpgrades",
            vec![],
            &upcoming(&[(1004, 600), (2000, 600), (1000, 650)]),
        );
    }
    let paras: BTreeMap<u32, String> =
        [(1000, "asset-hub".to_owned()), (1004, "people".to_owned())].into();
    let facts = stage.facts("relay", 4, &Kin { paras, relay: None }).await;
    let expected = [
        "2 people pvf_check started on relay",
        "2 people pvf_check accepted on relay",
        "2 asset-hub pvf_check rejected on relay",
        "2 people go_ahead  at relay 600 on relay",
        "3 relay code_updated ",
        "3 asset-hub go_ahead  at relay 650 on relay",
        "4 relay applied from 1001002",
    ];
    assert_eq!(shown(&facts), expected);
}

#[tokio::test]
async fn a_real_relays_pending_configuration_is_read_bit_by_bit() {
    let mut stage = Stage::of(PASEO, 4).await;
    let metadata = stage.at.metadata_ref();
    let storage = metadata
        .pallet_by_name("Configuration")
        .unwrap()
        .storage()
        .unwrap();
    let ty = |entry: &str| storage.entry_by_name(entry).unwrap().value_ty();
    // The configuration of Paseo's genesis as its newer runtime has it: by its defaults, where it is not in the state.
    let active = storage
        .entry_by_name("ActiveConfig")
        .unwrap()
        .default_value()
        .unwrap()
        .to_vec();
    let config: Value<()> = decode_as_type(&mut &active[..], ty("ActiveConfig"), metadata.types())
        .unwrap()
        .remove_context();
    let changed = |config: &Value<()>, name: &str, to: Value<()>| {
        let mut config = config.clone();
        let ValueDef::Composite(Composite::Named(fields)) = &mut config.value else {
            panic!("a configuration has names: {config:?}");
        };
        let field = fields.iter_mut().find(|(field, _)| field == name).unwrap();
        field.1 = to;
        config
    };
    let bits = |bits: [bool; 8]| Value::bit_sequence(bits.into_iter().collect());
    let first = changed(
        &config,
        "node_features",
        bits([false, true, false, false, false, false, false, true]),
    );
    let second = changed(&first, "max_code_size", Value::u128(77));
    let pending = Value::unnamed_composite([
        Value::unnamed_composite([Value::u128(47_733), first]),
        Value::unnamed_composite([Value::u128(47_735), second]),
    ]);
    let pending = stage.encoded(&pending, ty("PendingConfigs"));
    stage.store(4, "Configuration", "ActiveConfig", vec![], &active);
    stage.store(4, "Configuration", "PendingConfigs", vec![], &pending);
    let served = EmbeddedChain::start(stage.recording.clone(), stage.now)
        .await
        .unwrap();
    while served.head() < 4 {
        served.next_block(stage.now);
    }
    let (url, calls) = counted(served.url()).await;
    let node = Node::new(vec![url]);
    node.block(4).await.unwrap();
    calls.lock().unwrap().clear();
    let read = node.pending_changes(4).await.unwrap();
    let calls = calls.lock().unwrap().clone();
    assert!(calls.values().sum::<u32>() <= 6, "{calls:?}");
    let told = "session 47733: node feature 1 on, node feature 7 on; session 47735: max_code_size from 0 to 77";
    assert_eq!(read.to_string(), told);
}

#[tokio::test]
async fn a_real_relay_tells_of_its_referenda() {
    let mut stage = Stage::of(PASEO, 1).await;
    let tally = Value::named_composite([
        ("ayes", Value::u128(9)),
        ("nays", Value::u128(1)),
        ("support", Value::u128(5)),
    ]);
    let confirmed = |index: u128| {
        stage.event(
            "Referenda",
            "Confirmed",
            &[Value::u128(index), tally.clone()],
        )
    };
    let aborted = stage.event("Referenda", "ConfirmAborted", &[Value::u128(385)]);
    let call = |referendum: u32, result: Value| {
        let task = Value::unnamed_composite([Value::u128(3), Value::u128(0)]);
        let id = Value::unnamed_variant("Some", [Value::from_bytes(enactment_name(referendum))]);
        stage.event("Scheduler", "Dispatched", &[task, id, result])
    };
    let refused = stage.failed("System", "FailedToExtractRuntimeVersion");
    let (first, second) = (
        [confirmed(383), confirmed(384), aborted],
        [
            call(383, ok()),
            call(384, Value::unnamed_variant("Err", [refused])),
            call(385, ok()), // not known to be one's enactment
        ],
    );
    stage.events(1, &[]);
    stage.events(2, &first);
    // Block 3's state answers with the new runtime already; its events are the old one's.
    stage.events(3, &second);
    for (referendum, place) in [(383, 0_u32), (384, 1)] {
        stage.store(
            2,
            "Scheduler",
            "Lookup",
            vec![Value::from_bytes(enactment_name(referendum))],
            &(3_u32, place).encode(),
        );
    }
    let facts = stage.facts("relay", 3, &Kin::default()).await;
    let expected = [
        "2 relay referendum 383 confirmed",
        "2 relay referendum 384 confirmed",
        "2 relay referendum 385 confirm aborted",
        "2 relay scheduled 383 at relay 3",
        "2 relay scheduled 384 at relay 3",
        "3 relay dispatched 383 ok",
        "3 relay dispatched 384 System.FailedToExtractRuntimeVersion",
    ];
    assert_eq!(shown(&facts), expected);
}

#[tokio::test]
async fn a_real_relays_refusals_have_names() {
    let mut stage = Stage::of(PASEO, 1).await;
    let err = |error: Value| Value::unnamed_variant("Err", [error]);
    let weight = Value::named_composite([
        ("actual_weight", Value::unnamed_variant("None", [])),
        ("pays_fee", Value::unnamed_variant("Yes", [])),
    ]);
    let with_post_info =
        |error: Value| Value::named_composite([("post_info", weight.clone()), ("error", error)]);
    let events = [
        stage.event(
            "Sudo",
            "Sudid",
            &[err(stage.failed("System", "InvalidSpecName"))],
        ),
        stage.event(
            "Sudo",
            "Sudid",
            &[err(Value::unnamed_variant("BadOrigin", []))],
        ),
        stage.event(
            "Sudo",
            "Sudid",
            &[err(Value::unnamed_variant(
                "Token",
                [Value::unnamed_variant("FundsUnavailable", [])],
            ))],
        ),
        stage.event(
            "Whitelist",
            "WhitelistedCallDispatched",
            &[
                Value::from_bytes([7; 32]),
                err(with_post_info(stage.failed("Scheduler", "Named"))),
            ],
        ),
    ];
    let events: Vec<_> = events
        .into_iter()
        .chain([
            stage.event(
                "Utility",
                "BatchInterrupted",
                &[
                    Value::u128(1),
                    stage.failed("System", "SpecVersionNeedsToIncrease"),
                ],
            ),
            stage.event(
                "Utility",
                "ItemFailed",
                &[stage.failed("Scheduler", "Named")],
            ),
        ])
        .collect();
    stage.events(1, &[]);
    stage.events(2, &events);
    let expected = [
        "2 relay sudo_failed System.InvalidSpecName",
        "2 relay sudo_failed BadOrigin",
        "2 relay sudo_failed Token.FundsUnavailable",
        "2 relay dispatched whitelisted call Scheduler.Named",
        "2 relay code_refused System.SpecVersionNeedsToIncrease",
    ];
    assert_eq!(
        shown(&stage.facts("relay", 2, &Kin::default()).await),
        expected
    );
}

#[tokio::test]
async fn a_real_parachain_tells_where_its_relay_let_it_go_ahead() {
    let mut stage = Stage::of(PEOPLE, 1).await;
    let applied = stage.event(
        "ParachainSystem",
        "ValidationFunctionApplied",
        &[Value::u128(8_000_123)],
    );
    let updated = stage.event("System", "CodeUpdated", &[]);
    for block in 1..=2 {
        stage.events(block, &[]);
    }
    stage.events(
        3,
        &[stage.event("ParachainSystem", "ValidationFunctionStored", &[])],
    );
    stage.events(4, &[updated, applied]);
    stage.store(
        4,
        "ParachainSystem",
        "LastRelayChainBlockNumber",
        vec![],
        &8_000_124_u32.encode(),
    );
    let facts = stage.facts("people", 5, &Kin::default()).await;
    let kinds: Vec<String> = shown(&facts)
        .into_iter()
        .filter(|f| !f.contains("authorized"))
        .collect();
    assert_eq!(
        kinds,
        [
            "3 people code_stored ",
            "4 people code_updated relay block 8000123",
            "5 people applied from 1002006"
        ]
    );

    let served = EmbeddedChain::start(stage.recording.clone(), stage.now)
        .await
        .unwrap();
    while served.head() < 4 {
        served.next_block(stage.now);
    }
    let block = Node::new(vec![served.url()]).block(4).await.unwrap();
    assert_eq!(
        (block.relay_number, block.slot),
        (Some(8_000_124), Some(141_666_670))
    );
}

#[tokio::test]
async fn a_real_parachain_tells_of_migrations_and_refusals() {
    // Block 5 is the first that the new runtime wrote, which has migrations of several blocks.
    let mut stage = Stage::of(PEOPLE, 5).await;
    let step = |name: &str| {
        stage.event(
            "MultiBlockMigrations",
            name,
            &[Value::u128(1), Value::u128(3)],
        )
    };
    let (advanced, completed) = (step("MigrationAdvanced"), step("MigrationCompleted"));
    let started = stage.event("MultiBlockMigrations", "UpgradeStarted", &[Value::u128(4)]);
    let done = stage.event("MultiBlockMigrations", "UpgradeCompleted", &[]);
    stage.events(5, &[started, advanced]);
    let refusal = [
        Value::from_bytes([7; 32]),
        stage.failed("System", "SpecVersionNeedsToIncrease"),
    ];
    let refused = stage.event("System", "RejectedInvalidAuthorizedUpgrade", &refusal);
    stage.events(6, &[completed, done, refused]);
    let facts = stage.facts("people", 6, &Kin::default()).await;
    let told: Vec<String> = shown(&facts)
        .into_iter()
        .filter(|f| f.starts_with(['5', '6']) && !f.contains("applied"))
        .collect();
    let expected = [
        "5 people migration_started 4",
        "5 people migration_step 1",
        "6 people migration_step 1",
        "6 people migration_completed ",
        "6 people authorization_rejected System.SpecVersionNeedsToIncrease",
    ];
    assert_eq!(told, expected);
}

/// Calls by method.
type Calls = Arc<Mutex<BTreeMap<String, u32>>>;

/// Stands before a node and counts what it is asked; says where.
async fn counted(node: String) -> (String, Calls) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (url, calls) = (
        format!("ws://{}", listener.local_addr().unwrap()),
        Calls::default(),
    );
    let counter = calls.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (mut out, mut questions) = tokio_tungstenite::accept_async(stream)
                .await
                .unwrap()
                .split();
            let (mut ask, mut answers) = tokio_tungstenite::connect_async(&node)
                .await
                .unwrap()
                .0
                .split();
            let counter = counter.clone();
            tokio::spawn(async move {
                while let Some(Ok(message)) = questions.next().await {
                    if let Message::Text(text) = &message {
                        let method = serde_json::from_str::<Json>(text).unwrap()["method"]
                            .as_str()
                            .unwrap()
                            .to_owned();
                        *counter.lock().unwrap().entry(method).or_default() += 1;
                    }
                    ask.send(message).await.unwrap();
                }
            });
            tokio::spawn(async move {
                while let Some(Ok(message)) = answers.next().await {
                    out.send(message).await.unwrap();
                }
            });
        }
    });
    (url, calls)
}

#[tokio::test]
async fn a_block_in_which_nothing_happens_costs_few_calls() {
    for (name, number) in [("mini-authorize", 2), (PASEO, 5), (PEOPLE, 6)] {
        let stage = Stage::of(name, 1).await;
        let served = EmbeddedChain::start(stage.recording.clone(), stage.now)
            .await
            .unwrap();
        while served.head() < 6 {
            served.next_block(stage.now);
        }
        let (url, calls) = counted(served.url()).await;
        let node = Node::new(vec![url]);
        node.block(number - 1).await.unwrap();
        // What follows the heads asks of its own at the start: it has done so when half a second has brought no call more.
        let made = || calls.lock().unwrap().values().sum::<u32>();
        let mut before = 0;
        while made() > before {
            before = made();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        calls.lock().unwrap().clear();
        node.block(number).await.unwrap();
        let calls = calls.lock().unwrap().clone();
        // Its version, its header and its state, and perhaps its hash.
        for method in ["state_call", "chain_getHeader", "state_queryStorageAt"] {
            assert_eq!(calls.get(method), Some(&1), "{name}: {calls:?}");
        }
        assert!(calls.values().sum::<u32>() <= 4, "{name}: {calls:?}");
    }
}

/// Stands before a node: what `method` asks is answered by an error, or (without words) never.
async fn faulty(
    node: String,
    methods: &'static [&'static str],
    words: Option<&'static str>,
) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (mut out, mut questions) = tokio_tungstenite::accept_async(stream)
                .await
                .unwrap()
                .split();
            let (mut ask, mut answers) = tokio_tungstenite::connect_async(&node)
                .await
                .unwrap()
                .0
                .split();
            let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel::<Message>();
            let errors = tx.clone();
            tokio::spawn(async move {
                while let Some(Ok(message)) = questions.next().await {
                    if let Message::Text(text) = &message {
                        let asked = serde_json::from_str::<Json>(text).unwrap();
                        if methods.contains(&asked["method"].as_str().unwrap()) {
                            if let Some(words) = words {
                                let error = serde_json::json!({ "jsonrpc": "2.0", "id": asked["id"], "error": { "code": -32005, "message": words } });
                                let _ = errors.send(Message::Text(error.to_string().into()));
                            }
                            continue;
                        }
                    }
                    if ask.send(message).await.is_err() {
                        return;
                    }
                }
            });
            tokio::spawn(async move {
                while let Some(Ok(message)) = answers.next().await {
                    let _ = tx.send(message);
                }
            });
            tokio::spawn(async move {
                while let Some(message) = rx.recv().await {
                    if out.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

async fn served(name: &str) -> EmbeddedChain {
    let stage = Stage::of(name, 1).await;
    let served = EmbeddedChain::start(stage.recording.clone(), stage.now)
        .await
        .unwrap();
    while served.head() < 5 {
        served.next_block(stage.now);
    }
    served
}

#[tokio::test]
async fn a_node_that_answers_heads_and_no_storage_is_left() {
    let good = served(PASEO).await;
    let bad = faulty(good.url(), &["state_getStorage"], Some("Too many requests")).await;
    let node = Node::new(vec![bad, good.url()]);
    let mut last = String::new();
    for _ in 0..5 {
        let head = node.head(None).await.unwrap();
        match node.block(head.number).await {
            Ok(_) => return,
            Err(error) => last = error.to_string(),
        }
    }
    panic!("never read: {last}; {:?}", node.sight());
}

#[tokio::test]
async fn a_node_that_opens_and_tells_no_head_is_left() {
    let good = served(PASEO).await;
    let bad = faulty(
        good.url(),
        &["chain_getFinalizedHead", "chain_subscribeFinalizedHeads"],
        None,
    )
    .await;
    let node = Node::new(vec![bad, good.url()]);
    let mut said = Vec::new();
    for _ in 0..3 {
        match node.head(None).await {
            Ok(_) => return,
            Err(error) => said.push(error.to_string()),
        }
    }
    panic!("never told: {said:?}; {:?}", node.sight());
}

#[tokio::test]
async fn a_first_start_does_not_believe_one_of_three() {
    let good = served(PASEO).await;
    // The same with another genesis.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let other = format!("ws://{}", listener.local_addr().unwrap());
    let to = good.url();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (mut out, mut questions) = tokio_tungstenite::accept_async(stream)
                .await
                .unwrap()
                .split();
            let (mut ask, mut answers) = tokio_tungstenite::connect_async(&to)
                .await
                .unwrap()
                .0
                .split();
            tokio::spawn(async move {
                while let Some(Ok(message)) = questions.next().await {
                    let _ = ask.send(message).await;
                }
            });
            tokio::spawn(async move {
                while let Some(Ok(message)) = answers.next().await {
                    let message = match message {
                        Message::Text(t) => Message::Text(
                            t.to_string()
                                .replace(&"45".repeat(32), &"46".repeat(32))
                                .into(),
                        ),
                        m => m,
                    };
                    let _ = out.send(message).await;
                }
            });
        }
    });
    let node = Node::new(vec![other, good.url(), good.url()]);
    let ours = node.head(None).await;
    assert!(
        ours.as_ref().is_ok_and(|h| h.genesis.starts_with("0x45")),
        "{ours:?}; {:?}",
        node.sight()
    );
}

#[tokio::test]
async fn a_reset_that_two_show_while_a_third_is_dead() {
    let good = served(PASEO).await;
    let node = Node::new(vec![good.url(), good.url(), "ws://127.0.0.1:9".into()]);
    let block = node.block(2).await.unwrap();
    let known = Memory::first("0xbefore".into(), &block);
    let head = node.head(Some(&known)).await;
    assert!(head.is_ok(), "genesis: {head:?}");
}

#[tokio::test]
async fn a_rollback_that_two_show_while_a_third_is_dead() {
    let good = served(PASEO).await;
    let node = Node::new(vec![good.url(), good.url(), "ws://127.0.0.1:9".into()]);
    let block = node.block(2).await.unwrap();
    let genesis = node.head(None).await.unwrap().genesis;
    let mut known = Memory::first(genesis, &block);
    known.hash = "0xbefore".into();
    let head = node.head(Some(&known)).await;
    assert!(head.as_ref().is_ok_and(|h| h.rewritten), "{head:?}");
}

#[tokio::test]
async fn a_rollback_is_still_one_when_reading_failed_once() {
    let good = served(PASEO).await;
    let node = Node::new(vec![good.url()]);
    let block = node.block(2).await.unwrap();
    let mut known = Memory::first(node.head(None).await.unwrap().genesis, &block);
    known.hash = "0xbefore".into();
    assert!(node.head(Some(&known)).await.unwrap().rewritten);
    // The block could not be read then: the next tick asks again, with the same memory.
    assert!(
        node.head(Some(&known)).await.unwrap().rewritten,
        "forgotten"
    );
}
