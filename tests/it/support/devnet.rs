//! A chain that executes a real runtime and upgrades when told to (`tests/devnet/devnet.mjs`).

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::{connect_async, tungstenite::Message};

use super::{installed, leash::Leash, repo, wait, with_tail};

const READY: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(60);

/// How the chain is.
#[derive(Clone, Debug)]
pub struct DevnetOptions {
    /// A runtime blob or a raw chain specification; see [`blob`].
    pub spec: PathBuf,
    /// A block each so many milliseconds; 0: only when told.
    pub block_ms: u64,
    /// Prefixes of methods that the node hasn't: `["chainHead_v1_", "archive_v1_"]` leaves the legacy ones.
    pub hide: Vec<&'static str>,
    /// The port of the first endpoint; None: any.
    pub port: Option<u16>,
    /// How many endpoints the one chain has.
    pub endpoints: usize,
}

impl Default for DevnetOptions {
    fn default() -> Self {
        Self {
            spec: blob("mini-1000001"),
            block_ms: 0,
            hide: Vec::new(),
            port: None,
            endpoints: 1,
        }
    }
}

/// A runtime of the repository by its name; `tests/devnet/runtime/README.md` says how they differ.
pub fn blob(name: &str) -> PathBuf {
    repo()
        .join("tests/devnet/blobs")
        .join(format!("{name}.zst.wasm"))
}

/// What a recording's blocks show of upgrades, as polkadot.js reads them: number, hash and what.
pub fn shown_by_recording(file: &Path) -> anyhow::Result<Vec<(u64, String, String)>> {
    let mut node = Command::new("node");
    node.arg(repo().join("tests/devnet/shows.mjs"))
        .arg(file)
        .env("HERALD_TEST_DEVNET", installed("HERALD_TEST_DEVNET")?);
    let output = node.output().context("node can't be started")?;
    if !output.status.success() {
        bail!(
            "{}: {}",
            file.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let text = String::from_utf8(output.stdout)?;
    let line = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        Some((words.next()?.parse().ok()?, words.next()?, words.next()?))
    };
    text.lines()
        .map(|l| line(l).with_context(|| format!("no block, hash and thing: {l}")))
        .collect()
}

/// A running chain; its Drop ends it.
///
/// Blocks are final at once, the first (number 1) is there from the start, and the state is in memory: see [`stop`](Self::stop).
pub struct Devnet {
    options: DevnetOptions,
    dir: TempDir,
    urls: Vec<String>,
    process: Option<Leash>,
}

impl Devnet {
    pub async fn start(options: DevnetOptions) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix("devnet-")?;
        let mut devnet = Self {
            options,
            dir,
            urls: Vec::new(),
            process: None,
        };
        devnet.start_again().await?;
        Ok(devnet)
    }

    /// `ws://127.0.0.1:PORT`, the first endpoint; it stays the same over [`start_again`](Self::start_again).
    pub fn url(&self) -> &str {
        self.urls.first().map_or("", String::as_str)
    }

    /// All endpoints.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Ends the process, and with it the chain. For a node that comes back with its chain see [`outage`](Self::outage) and
    /// [`freeze`](Self::freeze).
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// A new chain from genesis at the same addresses: to a follower, a chain that was reset.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.stop();
        let (stdout, stderr) = (
            self.dir.path().join("stdout"),
            self.dir.path().join("stderr"),
        );
        std::fs::write(&stdout, "")?;
        let mut process = Leash::start(&self.command()?, &stdout, &stderr, None)?;
        let ready = wait::until("the devnet to listen", READY, async || {
            let output = std::fs::read_to_string(&stdout).unwrap_or_default();
            let urls = output
                .lines()
                .find_map(|line| line.strip_prefix("listening "));
            match urls {
                Some(urls) if output.contains('\n') => {
                    Some(Ok(urls.split(' ').map(str::to_owned).collect()))
                }
                _ => process
                    .exit_code()
                    .map(|code| Err(anyhow!("the devnet ended with code {code}"))),
            }
        });
        let ready: anyhow::Result<Vec<String>> = ready.await.and_then(|ready| ready);
        self.urls = with_tail(ready, &stderr)?;
        self.process = Some(process);
        Ok(())
    }

    fn command(&self) -> anyhow::Result<Command> {
        let DevnetOptions {
            spec,
            block_ms,
            hide,
            port,
            endpoints,
        } = &self.options;
        let ports: Vec<String> = if self.urls.is_empty() {
            let first = port.unwrap_or(0);
            (0..(*endpoints).max(1))
                .map(|i| if i == 0 { first } else { 0 }.to_string())
                .collect()
        } else {
            self.urls
                .iter()
                .filter_map(|url| url.rsplit(':').next())
                .map(str::to_owned)
                .collect()
        };
        let mut command = Command::new("node");
        command
            .arg(repo().join("tests/devnet/devnet.mjs"))
            .arg(spec)
            .arg(ports.join(","))
            .arg(block_ms.to_string());
        command
            .env("HERALD_TEST_DEVNET", installed("HERALD_TEST_DEVNET")?)
            .env("HIDE", hide.join(","));
        Ok(command)
    }

    /// Calls the first endpoint, on a connection of its own.
    pub async fn call(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.call_at(0, method, params).await
    }

    /// Calls one of the endpoints.
    pub async fn call_at(
        &self,
        endpoint: usize,
        method: &str,
        params: Value,
    ) -> anyhow::Result<Value> {
        let url = self
            .urls
            .get(endpoint)
            .with_context(|| format!("the devnet has no endpoint {endpoint}"))?;
        let answer = tokio::time::timeout(ANSWER, call(url, method, params)).await;
        answer
            .map_err(|_| anyhow!("no answer within {} s", ANSWER.as_secs()))
            .and_then(|answer| answer)
            .with_context(|| format!("{method} at {url}"))
    }

    /// A block with `Sudo(System.authorize_upgrade)`; gives its hash.
    pub async fn authorize(&self, blob: &Path) -> anyhow::Result<String> {
        self.block("devnet_authorizeUpgrade", json!([blob])).await
    }

    /// A block with `System.apply_authorized_upgrade`; the block after it is the first of the new runtime.
    pub async fn apply(&self, blob: &Path) -> anyhow::Result<String> {
        self.block("devnet_applyAuthorizedUpgrade", json!([blob]))
            .await
    }

    /// A block with `Sudo(System.set_code)`: an upgrade at once.
    pub async fn set_code(&self, blob: &Path) -> anyhow::Result<String> {
        self.block("devnet_setCode", json!([blob])).await
    }

    /// A block with a call made as root, its arguments as polkadot.js takes them: `["configuration", "setCoretimeCores", 3]`.
    pub async fn sudo(&self, call: Value) -> anyhow::Result<String> {
        self.block("devnet_sudo", call).await
    }

    /// An empty block.
    pub async fn new_block(&self) -> anyhow::Result<String> {
        self.block("dev_newBlock", json!([{}])).await
    }

    /// A block with `System.remark_with_event`.
    pub async fn remark(&self) -> anyhow::Result<String> {
        self.block("devnet_remark", json!([])).await
    }

    async fn block(&self, method: &str, params: Value) -> anyhow::Result<String> {
        let hash = self.call(method, params).await?;
        Ok(hash
            .as_str()
            .with_context(|| format!("{method} gave {hash}, which is no hash"))?
            .to_owned())
    }

    /// Changes the pace; 0 stalls the chain, and its node goes on answering.
    pub async fn block_every(&self, ms: u64) -> anyhow::Result<()> {
        self.call("devnet_blockEvery", json!([ms])).await.map(drop)
    }

    /// Breaks every connection to an endpoint; new ones are taken at once.
    pub async fn drop_clients(&self, endpoint: usize) -> anyhow::Result<()> {
        self.break_off(endpoint, "devnet_dropClients", json!([]))
            .await
    }

    /// Breaks every connection to an endpoint and refuses new ones for so long. The chain goes on.
    pub async fn outage(&self, endpoint: usize, how_long: Duration) -> anyhow::Result<()> {
        self.break_off(endpoint, "devnet_outage", json!([how_long.as_millis()]))
            .await
    }

    /// Our own connection is among those that break, so there is no answer to wait for.
    async fn break_off(&self, endpoint: usize, method: &str, params: Value) -> anyhow::Result<()> {
        match self.call_at(endpoint, method, params).await {
            Err(error) if error.downcast_ref::<Broken>().is_none() => Err(error),
            _ => Ok(()),
        }
    }

    /// The node hangs: connections stand, nothing is answered, no block is made. Until [`thaw`](Self::thaw).
    pub fn freeze(&mut self) {
        if let Some(process) = &mut self.process {
            process.signal("STOP");
        }
    }

    pub fn thaw(&mut self) {
        if let Some(process) = &mut self.process {
            process.signal("CONT");
        }
    }

    /// Number and hash of the last finalized block.
    pub async fn finalized(&self) -> anyhow::Result<(u64, String)> {
        let hash = self.call("chain_getFinalizedHead", json!([])).await?;
        let header = self.call("chain_getHeader", json!([hash])).await?;
        let number = header["number"]
            .as_str()
            .and_then(|n| u64::from_str_radix(n.trim_start_matches("0x"), 16).ok());
        let number = number.with_context(|| format!("no number in {header}"))?;
        Ok((number, hash.as_str().unwrap_or_default().to_owned()))
    }

    /// The runtime's version at the last block.
    pub async fn spec_version(&self) -> anyhow::Result<u64> {
        let version = self.call("state_getRuntimeVersion", json!([])).await?;
        version["specVersion"]
            .as_u64()
            .with_context(|| format!("no specVersion in {version}"))
    }
}

/// The connection ended before the answer.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection broke before the answer")
    }
}

impl std::error::Error for Broken {}

async fn call(url: &str, method: &str, params: Value) -> anyhow::Result<Value> {
    let (mut socket, _) = connect_async(url).await?;
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    socket.send(Message::text(request.to_string())).await?;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        let mut answer: Value = serde_json::from_str(&text)?;
        if let Some(error) = answer.get("error") {
            bail!("{error}");
        }
        return Ok(answer["result"].take());
    }
    Err(Broken.into())
}
