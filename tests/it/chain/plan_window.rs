//! `herald plan window` over a node that knows four methods, and over the real runtime's.
#![allow(
    clippy::disallowed_methods,
    reason = "the proposals begin at the real hour"
)]

use std::{path::PathBuf, process::Output};

use anyhow::Result;
use futures::{SinkExt, StreamExt};
use jiff::{SignedDuration, Timestamp, civil::Weekday, tz::TimeZone};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    process::cli::{changed, herald, lines},
    support::{Devnet, DevnetOptions},
};

/// A chain made as it is asked for: a block each six seconds up to now.
#[derive(Clone, Copy)]
struct Chain {
    head: u64,
    newest: Timestamp,
    /// Bodies before this one are gone.
    oldest: u64,
    /// Each connection ends after so many answers.
    answers: usize,
    /// Transactions in a block at a time.
    transactions: fn(Timestamp) -> usize,
}

/// A busy chain: quiet from 8 to 10 in UTC, and all weekend.
fn pattern(at: Timestamp) -> usize {
    let civil = TimeZone::UTC.to_datetime(at);
    match (civil.weekday(), civil.hour()) {
        (Weekday::Saturday | Weekday::Sunday, _) => 1,
        (_, 8 | 9) => 2,
        _ => 20,
    }
}

impl Chain {
    fn new(head: u64, oldest: u64) -> Self {
        Self {
            head,
            newest: Timestamp::now(),
            oldest,
            answers: usize::MAX,
            transactions: pattern,
        }
    }

    fn body(&self, number: u64) -> Vec<String> {
        let at =
            self.newest - SignedDuration::from_secs(6 * i64::try_from(self.head - number).unwrap());
        // timestamp.set, with six bytes of milliseconds; a parachain's kind of inherent; and the transactions
        let ms: String = at.as_millisecond().to_le_bytes()[..6]
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let mut body = vec![format!("0x280403000b{ms}"), "0x1004360000".to_owned()];
        for i in 0..(self.transactions)(at) {
            body.push(
                if i % 2 == 0 {
                    "0x188400aabbccdd"
                } else {
                    "0x144500aabbcc"
                }
                .to_owned(),
            );
        }
        body
    }

    fn answer(&self, method: &str, params: &Value) -> Result<Value, String> {
        let hash = |number: u64| format!("0x{number:064x}");
        let number = |value: &Value| {
            u64::from_str_radix(
                value.as_str().unwrap_or_default().trim_start_matches("0x"),
                16,
            )
            .unwrap()
        };
        Ok(match method {
            "chain_getFinalizedHead" => json!(hash(self.head)),
            "chain_getHeader" => {
                json!({ "number": format!("{:#x}", number(&params[0])), "parentHash": hash(0) })
            }
            "chain_getBlockHash" => json!(params[0].as_u64().filter(|n| *n <= self.head).map(hash)),
            "chain_getBlock" => {
                let number = number(&params[0]);
                let body = (number >= self.oldest).then(|| self.body(number));
                json!(body.map(|extrinsics| json!({ "block": { "extrinsics": extrinsics }, "justifications": null })))
            }
            _ => return Err(format!("{method} is not asked for")),
        })
    }

    async fn serve(self) -> Result<Node> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("ws://{}", listener.local_addr()?);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(self.client(stream));
            }
        });
        Ok(Node { url, server })
    }

    async fn client(self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut socket = tokio_tungstenite::accept_async(stream).await?;
        let mut left = self.answers;
        while let Some(Ok(message)) = socket.next().await {
            if left == 0 {
                return Ok(());
            }
            left -= 1;
            let Message::Text(text) = message else {
                continue;
            };
            let request: Value = serde_json::from_str(&text)?;
            let answer = match self.answer(
                request["method"].as_str().unwrap_or_default(),
                &request["params"],
            ) {
                Ok(result) => json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }),
                Err(message) => {
                    json!({ "jsonrpc": "2.0", "id": request["id"], "error": { "code": -32601, "message": message } })
                }
            };
            socket.send(Message::text(answer.to_string())).await?;
        }
        Ok(())
    }
}

struct Node {
    url: String,
    server: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What a person reads, wherever the lines were folded.
fn read(output: &Output) -> String {
    text(&output.stdout)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// With the sample configuration, whose chain is at `url`.
async fn window(url: &str, args: &[&str]) -> Result<Output> {
    let dir = changed("config/herald.yaml", "wss://paseo.example.org", url);
    let args: Vec<String> = ["plan", "window"]
        .iter()
        .chain(args)
        .map(|a| (*a).to_owned())
        .collect();
    let path: PathBuf = dir.path().into();
    let output = tokio::task::spawn_blocking(move || {
        herald(&path, &args.iter().map(String::as_str).collect::<Vec<_>>())
    })
    .await?;
    drop(dir);
    Ok(output)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proposals_fall_into_the_quiet_hours_of_working_days() -> Result<()> {
    let node = Chain::new(5_200_000, 1).serve().await?;
    let output = window(&node.url, &["--json"]).await?;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("reading about 1008 blocks of paseo's last week"),
        "{}",
        text(&output.stderr)
    );
    let all = lines(&output);
    let sample = &all[0]["sample"];
    assert_eq!(
        (&sample["chain"], &sample["weak"], &sample["node"]),
        (&json!("paseo"), &json!(false), &json!(node.url))
    );
    assert!(
        sample["blocks"]
            .as_u64()
            .is_some_and(|n| (1000..1030).contains(&n)),
        "{sample}"
    );
    // Five days of 22 busy and 2 quiet hours, two of 24 calm ones, with 600 blocks an hour.
    let mean = 600.0 * (5.0 * (22.0 * 20.0 + 2.0 * 2.0) + 2.0 * 24.0) / 168.0;
    let shown = sample["transactions_per_hour"].as_f64().unwrap();
    assert!((shown - mean).abs() < mean / 50.0, "{shown}, not {mean}");
    let hours: Vec<f64> = sample["hours"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| h.as_f64().unwrap())
        .collect();
    for (hour, expected) in [
        (7, 12_000.0),
        (8, 1_200.0),
        (24 + 9, 1_200.0),
        (24 + 10, 12_000.0),
        (5 * 24 + 12, 600.0),
    ] {
        let ratio: f64 = hours[hour] / expected;
        assert!(
            (0.9..1.1).contains(&ratio),
            "hour {hour}: {} not {expected}",
            hours[hour]
        );
    }

    let proposals = &all[1..];
    assert_eq!(proposals.len(), 5);
    let mut days = Vec::new();
    for (i, p) in proposals.iter().enumerate() {
        let opens: Timestamp = p["opens"].as_str().unwrap().parse()?;
        let civil = TimeZone::UTC.to_datetime(opens);
        assert_eq!(
            (civil.hour(), civil.minute(), p["rank"].as_u64()),
            (8, 0, Some(i as u64 + 1)),
            "{p}"
        );
        assert!(
            !matches!(civil.weekday(), Weekday::Saturday | Weekday::Sunday),
            "{p}"
        );
        assert!(
            opens > Timestamp::now() + SignedDuration::from_hours(7 * 24),
            "there is time to announce it: {p}"
        );
        assert!(p["share_of_mean"].as_f64().unwrap() < 0.2, "{p}");
        assert_eq!(
            p["points"].as_i64(),
            Some(
                p["parts"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|part| part["points"].as_i64().unwrap())
                    .sum()
            )
        );
        assert_eq!(p["people"].as_array().map(Vec::len), Some(3));
        days.push(civil.date());
    }
    days.sort();
    days.dedup();
    assert_eq!(days.len(), 5, "each on a day of its own");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_reads_well_and_its_line_is_taken_by_an_upgrades_file() -> Result<()> {
    let node = Chain::new(5_200_000, 1).serve().await?;
    let output = window(
        &node.url,
        &[
            "--samples",
            "168",
            "--length",
            "90m",
            "--after",
            "2031-06-02",
        ],
    )
    .await?;
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert!(said.lines().all(|l| l.chars().count() <= 120), "{said}");
    assert!(
        said.contains("transactions an hour on average, by 16") && said.contains("Mon–Fri"),
        "{said}"
    );
    let first = said
        .lines()
        .find(|l| l.starts_with("  1 "))
        .unwrap_or_default();
    assert!(
        first.contains("Mon 2 Jun 2031, 10:00–11:30")
            && first.contains("08:00–09:30")
            && first.contains(" %"),
        "{said}"
    );
    let people =
        "10:00–11:30 in Berlin, 04:00–05:30 in New York (asleep), 16:00–17:30 in Singapore";
    assert!(
        said.contains(&format!("+22  {people}")) && said.contains("+20  a Monday"),
        "{said}"
    );
    assert!(said.contains("the week's mean traffic"), "{said}");
    let line = said
        .lines()
        .rev()
        .find(|l| l.trim_start().starts_with("window:"))
        .unwrap_or_default()
        .trim();
    assert_eq!(
        line,
        "window: { opens: \"2031-06-02 10:00\", closes: \"2031-06-02 11:30\" }"
    );
    let dir = changed(
        "config/upgrades/v2.3.1.yaml",
        "window:\n  opens: 2027-03-09 14:00\n  closes: 2027-03-09 16:00",
        line,
    );
    let plan = text(&herald(dir.path(), &["plan"]).stdout);
    assert!(
        plan.contains(
            "window Mon 2 Jun 2031, 10:00 CEST (08:00 UTC) to Mon 2 Jun 2031, 11:30 CEST"
        ),
        "{plan}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sample_lacks_is_said() -> Result<()> {
    // 14,400 blocks a day.
    let two_days = Chain::new(5_200_000, 5_200_000 - 30_000).serve().await?;
    let said = read(&window(&two_days.url, &[]).await?);
    assert!(
        said.contains(
            "Weak: the sample covers 2 days only (the node has no blocks before 5,170,000)"
        ),
        "{said}"
    );
    let hours = Chain::new(5_200_000, 5_200_000 - 2_000).serve().await?;
    let said = read(&window(&hours.url, &[]).await?);
    assert!(
        said.contains(
            "paseo can't be judged by its activity: the node has no blocks before 5,198,000"
        ) && said.contains("--url"),
        "{said}"
    );
    let young = Chain::new(50_400, 1).serve().await?;
    let said = read(&window(&young.url, &[]).await?);
    assert!(
        !said.contains("Weak") && said.contains("transactions an hour on average"),
        "three days and a half will do: {said}"
    );
    let mut old = Chain::new(5_200_000, 1);
    old.newest -= SignedDuration::from_hours(50);
    let old = old.serve().await?;
    let all = lines(&window(&old.url, &["--json", "--samples", "168"]).await?);
    assert!(
        all[0]["sample"]["notes"][0]
            .as_str()
            .is_some_and(|n| n.starts_with("Old:") && n.contains("in sync?")),
        "{}",
        all[0]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_young_chain_of_the_real_runtime_is_proposed_for_by_zones_alone() -> Result<()> {
    let chain = Devnet::start(DevnetOptions::default()).await?;
    chain.remark().await?;
    // A week in which no clock is changed, nor in the weeks before.
    let output = window(
        "wss://paseo.example.org",
        &["--url", chain.url(), "--after", "2031-06-02"],
    )
    .await?;
    let said = read(&output);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    let kind = "The chain can't be judged by its activity: it is younger than a day (2 blocks).";
    assert!(
        said.contains(kind) && said.contains("from people's time zones alone"),
        "{said}"
    );
    assert!(
        said.contains("in Berlin, ") && said.contains(" 5 46 Fri "),
        "five all the same: {said}"
    );
    assert!(!said.contains("traffic"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_done_is_said_with_a_remedy() -> Result<()> {
    let away = TcpListener::bind(("127.0.0.1", 0)).await?.local_addr()?;
    let away = format!("ws://{away}");
    let output = window(&away, &[]).await?;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in ["no node answers", away.as_str(), "--url"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let mut all = String::new();
    for args in [
        &["--chain", "pasoe"][..],
        &["--url", "https://node.example.org"],
        &["--after", "soon"],
        &["--after", "2020-01-01"],
        &["--length", "0h"],
    ] {
        let output = window(&away, args).await?;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        all.push_str(&format!("{}\n{said}\n", args.join(" ")));
    }
    insta::assert_snapshot!(all, @r"
    --chain pasoe
    herald: there is no chain `pasoe` in herald.yaml; did you mean `paseo`?

    --url https://node.example.org
    herald: `https://node.example.org` is not a WebSocket address; write ws:// or wss:// and the node's host

    --after soon
    herald: `soon` is not a date; write 2026-12-01, or 2026-12-01 14:00 (in the plan's zone, Europe/Berlin)

    --after 2020-01-01
    herald: --after 2020-01-01 is past; leave it out, or name a day to come

    --length 0h
    herald: a window lasts up to a day; write --length 2h, or 90m
    ");
    let mut breaking = Chain::new(5_200_000, 1);
    breaking.answers = 500;
    let breaking = breaking.serve().await?;
    let output = window(&breaking.url, &[]).await?;
    let said = text(&output.stderr);
    assert!(
        output.status.code() == Some(1)
            && said.contains("broke off after 2")
            && said.contains("try again later"),
        "{said}"
    );
    let mistyped = window(&away, &["--length", "two hours"]).await?;
    assert!(
        mistyped.status.code() == Some(2) && text(&mistyped.stderr).contains("is not a length"),
        "{mistyped:?}"
    );
    Ok(())
}
