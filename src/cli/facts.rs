//! `herald facts URL`: what herald makes of a live node, a fact a line.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    adapters::node::Node,
    domain::chain::{block::Kin, fact::Fact, memory::Memory, payload::Payload, reading},
    ports::{Chain, ChainError},
    run::logging,
    watch::{catchup::oldest_readable, unreadable::UnreadableBlocks},
    words::Zone,
};

/// Show what herald makes of a live node, a fact a line, until interrupted
#[derive(Debug, Args)]
pub struct FactsArgs {
    /// The node's WebSocket address, ws:// or wss://
    url: String,
    /// Begin with this block [default: the next one]
    #[arg(long, value_name = "BLOCK")]
    from: Option<u64>,
    /// End with this block
    #[arg(long, value_name = "BLOCK")]
    until: Option<u64>,
    /// Facts as lines of JSON
    #[arg(long)]
    json: bool,
}

/// Follows until the last block asked for, or until interrupted.
pub async fn run(args: FactsArgs) -> Result<ExitCode> {
    logging::log("error,upgrade_herald=warn");
    let node = Node::new(vec![args.url.clone()]);
    let head = node.head(None).await?;
    let name = node.name().await.unwrap_or_else(|_| "chain".to_owned());
    // The block before is where the facts are counted from.
    let start = args.from.unwrap_or(head.number + 1).saturating_sub(1);
    let first = match node.block(start).await {
        Err(ChainError::Gone(reason) | ChainError::Absent(reason)) => {
            let oldest = oldest_readable(&node, start, head.number).await?;
            eprintln!(
                "herald: the node has no state before block {oldest} ({reason}); beginning there"
            );
            node.block(oldest)
                .await
                .with_context(|| format!("block {oldest}"))?
        }
        other => other.with_context(|| format!("block {start}"))?,
    };
    let mut memory = Memory::first(head.genesis, &first);
    // What stood in the state before is not new.
    memory.authorized = first.authorized;
    eprintln!(
        "{name} at block {}, spec_version {}",
        memory.number, memory.running
    );
    tokio::select! {
        done = follow(&node, &name, &mut memory, &args) => done?,
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn follow(node: &Node, name: &str, memory: &mut Memory, args: &FactsArgs) -> Result<()> {
    let (mut failures, unreadable) = (0_u32, UnreadableBlocks::default());
    loop {
        match read_to_head(node, name, memory, args, &unreadable).await {
            Ok(()) if args.until.is_some_and(|until| memory.number >= until) => return Ok(()),
            Ok(()) => {
                failures = 0;
                tokio::select! {
                    () = node.changed() => {}
                    () = tokio::time::sleep(Duration::from_secs(30)) => {}
                }
            }
            Err(error) => {
                eprintln!("herald: {error}; trying again");
                tokio::time::sleep(Duration::from_secs(1 << failures.min(5))).await;
                failures += 1;
            }
        }
    }
}

async fn read_to_head(
    node: &Node,
    name: &str,
    memory: &mut Memory,
    args: &FactsArgs,
    unreadable: &UnreadableBlocks,
) -> Result<(), ChainError> {
    let head = node.head(None).await?;
    let last = args
        .until
        .map_or(head.number, |until| head.number.min(until));
    // Of other chains nothing is known; a parachain's relay is at least called so.
    let kin = Kin {
        relay: Some("relay".to_owned()),
        ..Kin::default()
    };
    while memory.number < last {
        let next = memory.number + 1;
        let read = (next, node.block(next).await);
        let (block, is_whole) = unreadable.pass(name, node, &head, read).await?;
        if !is_whole {
            let unexamined = Payload::Unexamined {
                from: next,
                to: block.number,
            };
            let fact = Fact::of(&block, unexamined, name, memory.running);
            print(&fact, args.json);
        }
        let (facts, after) = reading::read(&block, name, memory, &kin);
        *memory = after;
        for fact in &facts {
            print(fact, args.json);
        }
    }
    Ok(())
}

fn print(fact: &Fact, json: bool) {
    if json {
        out!("{}", serde_json::json!(fact));
        return;
    }
    let zone = Zone(jiff::tz::TimeZone::UTC);
    let time = fact.time.map(|at| zone.written(at)).unwrap_or_default();
    let expected = fact
        .expected
        .as_ref()
        .map(|e| format!("  expected at block {} of {}", e.block, e.chain))
        .unwrap_or_default();
    let on = fact
        .on
        .as_ref()
        .map(|on| format!("  told by {on}"))
        .unwrap_or_default();
    out!(
        "block {:<9} {:<22} spec_version {:<9} {time}  {}  {}{expected}{on}",
        fact.block,
        fact.kind().name(),
        fact.spec_version,
        fact.hash,
        fact.detail()
    );
}
