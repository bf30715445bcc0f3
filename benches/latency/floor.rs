//! The floor: follows the node, reads what herald reads, posts one message to each chat.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, anyhow};
use serde_json::json;
use subxt::{OnlineClient, SubstrateConfig};

#[derive(Clone)]
pub struct Target {
    pub node: String,
    pub homeserver: String,
    pub matrix_token: String,
    pub room: String,
    pub discord: SocketAddr,
    pub ca: Vec<u8>,
    pub discord_token: String,
    pub channel: u64,
}

pub async fn run(target: Target) -> Result<()> {
    let client = OnlineClient::<SubstrateConfig>::from_insecure_url(&target.node).await?;
    let plain = reqwest::Client::builder().no_proxy().build()?;
    let discord = reqwest::Client::builder()
        .no_proxy()
        .resolve("discord.com", target.discord)
        .add_root_certificate(reqwest::Certificate::from_pem(&target.ca)?)
        .user_agent("DiscordBot (https://example.org, 0)")
        .timeout(Duration::from_secs(10))
        .build()?;
    let mut blocks = client.stream_blocks().await?;
    let mut first = true;
    while let Some(block) = blocks.next().await {
        let block = block?;
        let at = client
            .at_block_hash_and_number(block.hash(), block.number())
            .await?;
        let read = |pallet: &'static str, entry: &'static str| {
            let at = at.clone();
            async move {
                let storage = at.storage();
                let key = storage
                    .entry((pallet, entry))
                    .map_err(|e| anyhow!("{e}"))?
                    .key_prefix()
                    .to_vec();
                Ok::<_, anyhow::Error>(at.storage().fetch_raw(key).await.unwrap_or_default())
            }
        };
        let (events, ..) = tokio::try_join!(
            read("System", "Events"),
            read("Timestamp", "Now"),
            read("System", "LastRuntimeUpgrade"),
            read("System", "AuthorizedUpgrade"),
        )?;
        let seen = at
            .events()
            .from_bytes(events)
            .iter()
            .filter(|e| e.as_ref().is_ok_and(|e| e.pallet_name() == "Sudo"))
            .count();
        if std::mem::take(&mut first) || seen == 0 {
            continue;
        }
        let text = format!(
            "Seen in finalized block {} ({:?}).",
            block.number(),
            block.hash()
        );
        tokio::try_join!(
            to_matrix(&plain, &target, block.number(), &text),
            to_discord(&discord, &target, block.number(), &text)
        )?;
    }
    Ok(())
}

async fn to_matrix(http: &reqwest::Client, target: &Target, number: u64, text: &str) -> Result<()> {
    let url = format!(
        "{}/_matrix/client/v3/rooms/{}/send/m.room.message/floor-{number}",
        target.homeserver, target.room
    );
    let body = json!({ "msgtype": "m.text", "body": text, "format": "org.matrix.custom.html", "formatted_body": text });
    http.put(url)
        .bearer_auth(&target.matrix_token)
        .body(body.to_string())
        .send()
        .await?
        .error_for_status()?;
    Ok(())
}

async fn to_discord(
    http: &reqwest::Client,
    target: &Target,
    number: u64,
    text: &str,
) -> Result<()> {
    let url = format!(
        "https://discord.com/api/v10/channels/{}/messages",
        target.channel
    );
    let body = json!({ "content": text, "nonce": format!("floor-{number}"), "enforce_nonce": true, "allowed_mentions": { "parse": [] } });
    let request = http
        .post(url)
        .header("authorization", format!("Bot {}", target.discord_token))
        .header("content-type", "application/json");
    request
        .body(body.to_string())
        .send()
        .await?
        .error_for_status()?;
    Ok(())
}
