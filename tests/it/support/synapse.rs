//! A real Matrix homeserver, and people in its rooms who share no code with the bot.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::{installed, leash::Leash, ports, repo, tail, wait, with_tail};

const READY: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(30);

/// A homeserver of its own on a free port, without federation and without limits of rate. Anyone may register.
pub struct Synapse {
    dir: PathBuf,
    /// None for the shared one, whose folder its leash removes: statics are never dropped.
    owned: Option<TempDir>,
    port: u16,
    url: String,
    process: Option<Leash>,
}

impl Synapse {
    /// Starts one for this test alone: to stop it, or to be alone on it. Takes about a second.
    pub async fn start() -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix("synapse-")?;
        Self::start_in(dir.path().into(), Some(dir)).await
    }

    /// The one server of this test process, started when first asked for. Others use it too: make your own rooms.
    pub async fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceCell<Synapse> = OnceCell::const_new();
        SHARED
            .get_or_try_init(async || {
                Self::start_in(TempDir::with_prefix("synapse-")?.keep(), None).await
            })
            .await
    }

    async fn start_in(dir: PathBuf, owned: Option<TempDir>) -> anyhow::Result<Self> {
        let port = ports::free()?;
        let mut synapse = Self {
            dir,
            owned,
            port,
            url: format!("http://127.0.0.1:{port}"),
            process: None,
        };
        synapse.start_again().await?;
        Ok(synapse)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder with its database and log.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Kills it, as a crash would. What it had answered it has kept.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// The same server again: same address, rooms and accounts.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.stop();
        let mut command = Command::new(repo().join("tests/synapse/up.sh"));
        command.arg(&self.dir).arg(self.port.to_string());
        command.env(
            "HERALD_TEST_SYNAPSE_VENV",
            installed("HERALD_TEST_SYNAPSE_VENV")?,
        );
        let (stdout, stderr) = (self.dir.join("stdout.log"), self.dir.join("stderr.log"));
        let remove = if self.owned.is_some() {
            None
        } else {
            Some(self.dir.as_path())
        };
        let mut process = Leash::start(&command, &stdout, &stderr, remove)?;
        let http = Api::new(&self.url)?.http;
        let health = format!("{}/health", self.url);
        let ready = wait::until("Synapse to be up", READY, async || {
            if let Some(code) = process.exit_code() {
                return Some(Err(anyhow!("Synapse ended with code {code}")));
            }
            let answer = http.get(&health).send().await;
            answer
                .is_ok_and(|answer| answer.status().is_success())
                .then_some(Ok(()))
        });
        with_tail(ready.await.and_then(|ready| ready), &stderr)?;
        self.process = Some(process);
        Ok(())
    }

    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.start_again().await
    }

    /// The server hangs: connections stand, nothing is answered. Until [`thaw`](Self::thaw).
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

    /// Makes an account, for the bot or for whoever logs in by himself. One that is there already is an error.
    pub async fn register(&self, user: &str, password: &str) -> anyhow::Result<()> {
        let body = json!({
            "username": user, "password": password, "inhibit_login": true, "auth": { "type": "m.login.dummy" },
        });
        Api::new(&self.url)?
            .call(Method::POST, &["register"], Some(body))
            .await
            .map(drop)
    }

    /// Somebody with an account and a login: registered if new, logged in on a new device if not.
    pub async fn person(&self, name: &str) -> anyhow::Result<Person> {
        let mut api = Api::new(&self.url)?;
        let password = format!("{name}-password");
        match self.register(name, &password).await {
            Err(error)
                if error
                    .downcast_ref::<Refused>()
                    .is_none_or(|refused| refused.code() != "M_USER_IN_USE") =>
            {
                return Err(error);
            }
            _ => {}
        }
        let body = json!({
            "type": "m.login.password", "identifier": { "type": "m.id.user", "user": name }, "password": password,
        });
        let login = api.call(Method::POST, &["login"], Some(body)).await?;
        api.token = Some(text(&login, "access_token")?);
        Ok(Person {
            name: name.to_owned(),
            user_id: text(&login, "user_id")?,
            device_id: text(&login, "device_id")?,
            password,
            api,
        })
    }
}

impl Drop for Synapse {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the log of Synapse ends:\n{}",
                tail(&self.dir.join("synapse.log"), 15)
            );
        }
    }
}

/// A human with a client of the simplest kind: plain requests, nothing encrypted.
pub struct Person {
    pub name: String,
    /// `@name:localhost`.
    pub user_id: String,
    pub device_id: String,
    pub password: String,
    api: Api,
}

impl Person {
    pub fn token(&self) -> &str {
        self.api.token.as_deref().unwrap_or_default()
    }

    /// A private room with this name, whose creator may do everything in it; gives its id.
    pub async fn create_room(&self, name: &str) -> anyhow::Result<String> {
        self.create_room_with(json!({ "name": name, "preset": "private_chat" }))
            .await
    }

    /// A room by a body of `createRoom`: public, encrypted, with other power levels, …
    pub async fn create_room_with(&self, body: Value) -> anyhow::Result<String> {
        text(
            &self.call(Method::POST, &["createRoom"], Some(body)).await?,
            "room_id",
        )
    }

    pub async fn invite(&self, room: &str, user_id: &str) -> anyhow::Result<()> {
        self.call(
            Method::POST,
            &["rooms", room, "invite"],
            Some(json!({ "user_id": user_id })),
        )
        .await
        .map(drop)
    }

    /// By id or alias; an invitation is needed where the room is private.
    pub async fn join(&self, room: &str) -> anyhow::Result<()> {
        self.call(Method::POST, &["join", room], Some(json!({})))
            .await
            .map(drop)
    }

    pub async fn leave(&self, room: &str) -> anyhow::Result<()> {
        self.call(Method::POST, &["rooms", room, "leave"], Some(json!({})))
            .await
            .map(drop)
    }

    /// Gives the event's id, as all that send do.
    pub async fn say(&self, room: &str, body: &str) -> anyhow::Result<String> {
        self.send(
            room,
            "m.room.message",
            json!({ "msgtype": "m.text", "body": body }),
        )
        .await
    }

    pub async fn react(&self, room: &str, event: &str, key: &str) -> anyhow::Result<String> {
        let relation = json!({ "rel_type": "m.annotation", "event_id": event, "key": key });
        self.send(room, "m.reaction", json!({ "m.relates_to": relation }))
            .await
    }

    /// `event` is the root of the thread.
    pub async fn reply_in_thread(
        &self,
        room: &str,
        event: &str,
        body: &str,
    ) -> anyhow::Result<String> {
        let relation = json!({
            "rel_type": "m.thread", "event_id": event, "is_falling_back": true, "m.in_reply_to": { "event_id": event },
        });
        self.send(
            room,
            "m.room.message",
            json!({ "msgtype": "m.text", "body": body, "m.relates_to": relation }),
        )
        .await
    }

    pub async fn redact(&self, room: &str, event: &str) -> anyhow::Result<String> {
        let answer = self
            .call(
                Method::PUT,
                &["rooms", room, "redact", event, &transaction()],
                Some(json!({})),
            )
            .await?;
        text(&answer, "event_id")
    }

    /// Any event, for what has no name here.
    pub async fn send(&self, room: &str, kind: &str, content: Value) -> anyhow::Result<String> {
        text(
            &self
                .call(
                    Method::PUT,
                    &["rooms", room, "send", kind, &transaction()],
                    Some(content),
                )
                .await?,
            "event_id",
        )
    }

    /// One state event's content (power levels, pinned events, topic, …); `{}` if there is none.
    pub async fn state(&self, room: &str, kind: &str) -> anyhow::Result<Value> {
        match self
            .call(Method::GET, &["rooms", room, "state", kind, ""], None)
            .await
        {
            Err(error)
                if error
                    .downcast_ref::<Refused>()
                    .is_some_and(|refused| refused.code() == "M_NOT_FOUND") =>
            {
                Ok(json!({}))
            }
            answer => answer,
        }
    }

    pub async fn set_state(
        &self,
        room: &str,
        kind: &str,
        content: Value,
    ) -> anyhow::Result<String> {
        text(
            &self
                .call(
                    Method::PUT,
                    &["rooms", room, "state", kind, ""],
                    Some(content),
                )
                .await?,
            "event_id",
        )
    }

    /// Every event of the room's timeline that this person may see, oldest first; state events are among them, and a
    /// redacted one has an empty `content` and `unsigned.redacted_because`.
    pub async fn messages(&self, room: &str) -> anyhow::Result<Vec<Value>> {
        let mut events = Vec::new();
        let mut from: Option<String> = None;
        loop {
            let mut query = vec![("dir", "f"), ("limit", "500")];
            query.extend(from.as_deref().map(|from| ("from", from)));
            let mut page = self
                .api
                .request(Method::GET, &["rooms", room, "messages"], &query, None)
                .await?;
            if let Value::Array(chunk) = page["chunk"].take() {
                events.extend(chunk);
            }
            match page["end"].as_str() {
                Some(end) => from = Some(end.to_owned()),
                None => return Ok(events),
            }
        }
    }

    /// The first event for which `wanted` holds, now or within `limit`.
    pub async fn wait_for(
        &self,
        room: &str,
        wanted: impl Fn(&Value) -> bool,
        limit: Duration,
    ) -> anyhow::Result<Value> {
        let mut seen = Vec::new();
        let what = format!("an event in {}'s view of {room}", self.name);
        let found = wait::until(&what, limit, async || {
            seen = match self.messages(room).await {
                Ok(events) => events,
                Err(error) => vec![json!({ "type": "error", "content": format!("{error:#}") })],
            };
            seen.iter().find(|event| wanted(event)).cloned()
        });
        found.await.map_err(|error| {
            let lines = seen
                .iter()
                .rev()
                .take(8)
                .rev()
                .map(|e| format!("  | {} {} {}\n", e["type"], e["sender"], e["content"]));
            anyhow!(
                "{error:#}; the last events are:\n{}",
                lines.collect::<String>()
            )
        })
    }

    pub async fn whoami(&self) -> anyhow::Result<Value> {
        self.call(Method::GET, &["account", "whoami"], None).await
    }

    /// An event as it is now: edits and threads are told in `unsigned.m.relations`.
    pub async fn event(&self, room: &str, event: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, &["rooms", room, "event", event], None)
            .await
    }

    /// A file by its `mxc://` address, as somebody who is logged in gets it: what it is, and its bytes.
    pub async fn download(&self, mxc: &str) -> anyhow::Result<(String, Vec<u8>)> {
        let (server, id) = mxc
            .strip_prefix("mxc://")
            .and_then(|rest| rest.split_once('/'))
            .with_context(|| format!("{mxc} is no file"))?;
        let url = self
            .api
            .base
            .join(&format!("/_matrix/client/v1/media/download/{server}/{id}"))?;
        let answer = self
            .api
            .http
            .get(url)
            .bearer_auth(self.token())
            .send()
            .await?
            .error_for_status()?;
        let kind = answer
            .headers()
            .get("content-type")
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        Ok((kind, answer.bytes().await?.to_vec()))
    }

    /// Anything else below `/_matrix/client/v3/`; path segments are escaped here.
    pub async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        self.api.call(method, path, body).await
    }

    /// A request that ends another session, with that session's token.
    pub async fn log_out(&self, token: &str) -> anyhow::Result<()> {
        let other = Api {
            http: self.api.http.clone(),
            base: self.api.base.clone(),
            token: Some(token.to_owned()),
        };
        other.call(Method::POST, &["logout"], None).await.map(drop)
    }
}

/// The client-server API for one login. Each has its own connections: those of one runtime don't outlive its test.
struct Api {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

impl Api {
    fn new(url: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(ANSWER)
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            base: Url::parse(url)?,
            token: None,
        })
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        self.request(method, path, &[], body).await
    }

    async fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let mut url = self.base.clone();
        let Ok(mut segments) = url.path_segments_mut() else {
            bail!("{} can't have a path", self.base)
        };
        segments.extend(["_matrix", "client", "v3"]).extend(path);
        drop(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method.clone(), url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let what = || format!("{method} {}", path.join("/"));
        let answer = request.send().await.with_context(what)?;
        let status = answer.status();
        let body = answer.text().await.with_context(what)?;
        let body: Value = serde_json::from_str(&body).unwrap_or(Value::String(body));
        if !status.is_success() {
            return Err(anyhow::Error::new(Refused { status, body }).context(what()));
        }
        Ok(body)
    }
}

/// The homeserver's own no. `error.downcast_ref::<Refused>()` finds it.
#[derive(Debug)]
pub struct Refused {
    pub status: StatusCode,
    pub body: Value,
}

impl Refused {
    /// `M_FORBIDDEN` and the like.
    pub fn code(&self) -> &str {
        self.body["errcode"].as_str().unwrap_or_default()
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.status, self.body)
    }
}

impl std::error::Error for Refused {}

fn text(answer: &Value, field: &str) -> anyhow::Result<String> {
    Ok(answer[field]
        .as_str()
        .with_context(|| format!("no {field} in {answer}"))?
        .to_owned())
}

/// Never the same within a device, which a process has for itself.
fn transaction() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
