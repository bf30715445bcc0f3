//! The double itself: what a client reads of it, and what herald's own chain client makes of it.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use subxt::{
    config::{Hasher, substrate::BlakeTwo256},
    ext::codec::Encode,
};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};
use upgrade_herald::{
    adapters::node::Node,
    domain::chain::{block::Kin, memory::Memory, reading::read},
    ports::{Chain, ChainError},
};

use super::{
    chain::{Header, key},
    *,
};

/// A client that asks one thing after the other.
struct Reader {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    asked: u64,
    heads: Vec<Value>,
}

impl Reader {
    async fn new(node: &Endpoint) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(node.url()).await.unwrap();
        Self {
            socket,
            asked: 0,
            heads: Vec::new(),
        }
    }

    async fn send(&mut self, method: &str, params: Value) {
        self.asked += 1;
        let request =
            json!({ "jsonrpc": "2.0", "id": self.asked, "method": method, "params": params });
        self.socket
            .send(Message::text(request.to_string()))
            .await
            .unwrap();
    }

    async fn next(&mut self) -> Option<Value> {
        match tokio::time::timeout(Duration::from_secs(60), self.socket.next())
            .await
            .unwrap()
        {
            Some(Ok(Message::Text(text))) => Some(serde_json::from_str(&text).unwrap()),
            _ => None,
        }
    }

    async fn answer(&mut self) -> Option<Value> {
        loop {
            let message = self.next().await?;
            if message.get("id").is_some() {
                return Some(message);
            }
            self.heads.push(message["params"]["result"].clone());
        }
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(method, params).await;
        self.answer().await.expect("an answer")["result"].clone()
    }

    async fn refused(&mut self, method: &str, params: Value) -> String {
        self.send(method, params).await;
        self.answer().await.expect("an answer")["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    async fn header(&mut self, hash: &Value) -> Header {
        serde_json::from_value(self.call("chain_getHeader", json!([hash])).await).unwrap()
    }
}

fn steps() -> Vec<(u64, Step)> {
    vec![
        (3, Step::Authorize(code_hash(7))),
        (4, Step::SudoFailed),
        (5, Step::Reject),
        (6, Step::Authorize(code_hash(version(2)))),
        (7, Step::Pause(90_000)),
        (8, Step::Upgrade(version(2))),
    ]
}

#[tokio::test]
async fn headers_hash_to_what_the_next_one_names() {
    let chain = SyntheticChain::new(Script {
        steps: steps(),
        ..Script::default()
    });
    let node = Endpoint::start(chain).await;
    node.advance_to(20);
    let mut reader = Reader::new(&node).await;
    let mut hash = reader.call("chain_getFinalizedHead", json!([])).await;
    for number in (1..=20).rev() {
        let header = reader.header(&hash).await;
        assert_eq!(
            (
                json!(format!("{:?}", BlakeTwo256.hash(&header.encode()))),
                header.number
            ),
            (hash.clone(), number)
        );
        assert_eq!(
            reader.call("chain_getBlockHash", json!([number])).await,
            hash
        );
        hash = json!(format!("{:?}", header.parent_hash));
    }
    assert_eq!(
        reader.call("chain_getBlockHash", json!([0])).await,
        hash,
        "the genesis"
    );
    assert_eq!(
        reader.call("chain_getBlockHash", json!([21])).await,
        Value::Null
    );
    assert_eq!(
        reader
            .call("chain_getBlockHash", json!([[0, "0x15"]]))
            .await,
        json!([hash, null])
    );
    assert_eq!(node.counts().of("chain_getHeader"), 20);
}

#[tokio::test]
async fn the_real_client_finds_the_facts_of_the_script() {
    let chain = SyntheticChain::new(Script {
        steps: steps(),
        ..Script::default()
    });
    let node = Endpoint::start(chain.clone()).await;
    node.advance_to(10);
    let client = Node::new(vec![node.url()]);
    assert_eq!(client.head(None).await.unwrap().number, 10);
    let first = client.block(1).await.unwrap();
    let (mut memory, mut found) = (Memory::first("0x".into(), &first), Vec::new());
    let mut times = Vec::new();
    for number in 2..=10 {
        let block = client.block(number).await.unwrap();
        assert_eq!(
            block.hash,
            format!("{:?}", chain.hash(Branch::MAIN, number))
        );
        times.push(block.time.unwrap().as_millisecond());
        let (facts, after) = read(&block, "relay", &memory, &Kin::default());
        memory = after;
        found.extend(
            facts
                .into_iter()
                .map(|f| (f.block, f.kind().name(), f.spec_version, f.detail())),
        );
    }
    let (old, new) = (version(0), version(2));
    let expected = [
        (3, "authorized", old, format!("{:?}", code_hash(7))),
        (4, "sudo_failed", old, "BadOrigin".into()),
        (5, "authorization_rejected", old, "BadOrigin".into()),
        (6, "authorized", old, format!("{:?}", code_hash(new))),
        (8, "code_updated", old, String::new()),
        (9, "applied", new, format!("from {old}")),
    ];
    let known = |kind: &str| expected.iter().any(|(_, k, ..)| *k == kind);
    found.retain(|(_, kind, ..)| known(kind));
    assert_eq!(found, expected);
    assert_eq!(
        times.iter().zip(&times[1..]).map(|(a, b)| b - a).max(),
        Some(96_000),
        "the pause"
    );
    assert_eq!(
        (
            client.version(8).await.unwrap(),
            client.version(9).await.unwrap()
        ),
        (old, new)
    );
}

#[tokio::test]
async fn endpoints_of_one_chain_have_their_own_heads_and_forks() {
    let chain = SyntheticChain::new(Script {
        steps: steps(),
        ..Script::default()
    });
    let (one, two) = (
        Endpoint::start(chain.clone()).await,
        Endpoint::start(chain.clone()).await,
    );
    let fork = chain.fork(4, vec![(6, Step::Upgrade(version(9)))]);
    one.advance_to(8);
    two.advance_to(8);
    two.follow(fork);
    let (mut first, mut second) = (Reader::new(&one).await, Reader::new(&two).await);
    for number in [4, 5] {
        let hashes = (
            first.call("chain_getBlockHash", json!([number])).await,
            second.call("chain_getBlockHash", json!([number])).await,
        );
        assert_eq!(hashes.0 == hashes.1, number == 4, "{number}");
    }
    let lie = second.call("chain_getFinalizedHead", json!([])).await;
    assert_eq!(
        first.call("chain_getHeader", json!([lie])).await,
        Value::Null,
        "the other's blocks are not there"
    );
    let authorized = second
        .call("state_getStorage", json!([key::AUTHORIZED, lie]))
        .await;
    assert_eq!(authorized, Value::Null);
    assert_ne!(
        first
            .call("state_getStorageHash", json!([key::LAST_UPGRADE]))
            .await,
        second
            .call("state_getStorageHash", json!([key::LAST_UPGRADE]))
            .await
    );

    // A best block on a fork: the head, by number and by hash, until finality says otherwise.
    one.set_best(fork, 10);
    let best = first.call("chain_getBlockHash", json!([])).await;
    assert_eq!(first.call("chain_getBlockHash", json!([10])).await, best);
    assert_eq!(first.header(&Value::Null).await.number, 10);
    one.advance_to(11);
    assert_ne!(first.call("chain_getBlockHash", json!([10])).await, best);
    assert_eq!(
        first.header(&best).await.number,
        10,
        "by its hash it is still there"
    );

    one.stall();
    one.advance_to(15);
    assert_eq!(one.finalized(), 11);
    one.go_on();
    one.behind(2);
    assert_eq!(one.finalized(), 13);
    let genesis = first.call("chain_getBlockHash", json!([0])).await;
    one.serve(
        SyntheticChain::new(Script {
            salt: 1,
            ..Script::default()
        }),
        30,
    );
    assert_ne!(
        Reader::new(&one)
            .await
            .call("chain_getBlockHash", json!([0]))
            .await,
        genesis
    );
}

#[tokio::test]
async fn heads_are_told_to_those_who_asked() {
    let node = Endpoint::start(SyntheticChain::new(Script::default())).await;
    let mut reader = Reader::new(&node).await;
    reader
        .call("chain_subscribeFinalizedHeads", json!([]))
        .await;
    assert_eq!(
        reader.next().await.unwrap()["params"]["result"]["number"],
        "0x1"
    );
    node.set_best(Branch::MAIN, 9);
    node.advance_to(7);
    assert_eq!(
        reader.next().await.unwrap()["params"]["result"]["number"],
        "0x7"
    );
    node.end_subscriptions_silently();
    node.advance_to(8);
    assert_eq!(
        reader
            .call("chain_getBlockHash", json!([9]))
            .await
            .as_str()
            .map(str::len),
        Some(66)
    );
    assert!(reader.heads.is_empty(), "nobody is told any more");
    reader.call("chain_subscribeNewHeads", json!([])).await;
    assert_eq!(
        reader.next().await.unwrap()["params"]["result"]["number"],
        "0x9"
    );
    node.end_subscriptions();
    assert!(reader.next().await.unwrap()["params"]["error"].is_string());
}

#[tokio::test]
async fn connections_break_as_they_are_told_to() {
    let node = Endpoint::start(SyntheticChain::new(Script::default())).await;
    let mut reader = Reader::new(&node).await;
    node.drop_mid_answer(2);
    reader.call("system_chain", json!([])).await;
    reader.send("system_chain", json!([])).await;
    assert!(
        reader.answer().await.is_none(),
        "in the middle of the second answer"
    );

    let mut reader = Reader::new(&node).await;
    node.stop_answering();
    reader.send("system_chain", json!([])).await;
    assert!(
        tokio::time::timeout(Duration::from_millis(100), reader.socket.next())
            .await
            .is_err(),
        "silence"
    );
    node.resume();
    assert_eq!(reader.answer().await.unwrap()["result"], "Synthetic");
    node.restart();
    assert!(reader.answer().await.is_none());

    node.refuse();
    assert!(tokio_tungstenite::connect_async(node.url()).await.is_err());
    node.accept();
    let mut reader = Reader::new(&node).await;
    node.advance_to(9);
    node.prune_before(5);
    let (old, kept) = (
        reader.call("chain_getBlockHash", json!([4])).await,
        reader.call("chain_getBlockHash", json!([5])).await,
    );
    assert!(
        reader
            .refused("state_getStorage", json!([key::NOW, old]))
            .await
            .contains("State already discarded for 0x")
    );
    assert_eq!(reader.header(&old).await.number, 4);
    assert!(
        reader
            .call("state_getStorage", json!([key::NOW, kept]))
            .await
            .is_string()
    );
    let client = Node::new(vec![node.url()]);
    assert!(matches!(
        client.block(4).await,
        Err(ChainError::Gone(_) | ChainError::Absent(_))
    ));
    assert_eq!(client.block(5).await.unwrap().number, 5);
}
