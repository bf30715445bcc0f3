//! The gateway: plain WebSocket, version 10, JSON without compression.
//!
//! A session outlives its connection: what happens meanwhile is kept and replayed on RESUME. Each
//! event goes to the sessions whose intents ask for it, in the form that those intents allow.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message as Frame,
        handshake::server::{Request, Response},
        protocol::CloseFrame,
    },
};

use super::{
    Inner,
    state::{Message, State},
    wire::{emoji_json, merge},
};

/// Intent bits, by Discord's names.
pub mod intent {
    pub const GUILDS: u64 = 1 << 0;
    pub const GUILD_MEMBERS: u64 = 1 << 1;
    pub const GUILD_PRESENCES: u64 = 1 << 8;
    pub const GUILD_MESSAGES: u64 = 1 << 9;
    pub const GUILD_MESSAGE_REACTIONS: u64 = 1 << 10;
    pub const MESSAGE_CONTENT: u64 = 1 << 15;
    pub const GUILD_SCHEDULED_EVENTS: u64 = 1 << 16;
}

/// All intents that Discord knows; others close the connection with 4013.
const KNOWN_INTENTS: u64 = ((1 << 17) - 1) | (0b11 << 20) | (0b11 << 24);
/// Events kept for a session that isn't connected; beyond that it can't be resumed.
const BACKLOG: usize = 1000;
/// Sends allowed in a minute, heartbeats included.
const SENDS_A_MINUTE: usize = 120;

/// What a connection's task shall do.
#[derive(Debug)]
pub(super) enum Out {
    Send(String),
    Close(u16, &'static str),
    Cut,
}

/// A bot's session.
#[derive(Debug)]
pub(super) struct Session {
    pub id: String,
    pub intents: u64,
    seq: u64,
    backlog: VecDeque<(u64, String)>,
    pub out: Option<mpsc::UnboundedSender<Out>>,
}

impl Session {
    fn push(&mut self, kind: &str, data: &Value) {
        self.seq += 1;
        let event = json!({"op": 0, "s": self.seq, "t": kind, "d": data}).to_string();
        self.backlog.push_back((self.seq, event.clone()));
        if self.backlog.len() > BACKLOG {
            self.backlog.pop_front();
        }
        if let Some(out) = &self.out {
            let _ = out.send(Out::Send(event));
        }
    }
}

impl State {
    /// Tells every session whose intents have `needed` (0 fits all).
    pub(super) fn dispatch(&mut self, kind: &str, needed: u64, data: &Value) {
        for session in &mut self.sessions {
            if session.intents & needed == needed {
                session.push(kind, data);
            }
        }
    }

    /// Tells about a message, with as much of it as each session may see.
    pub(super) fn message_event(&mut self, kind: &str, id: u64) {
        let Some(message) = self.messages.get(&id).cloned() else {
            return;
        };
        if !self.seen_by_bot(message.channel_id) {
            return;
        }
        let mut versions = [false, true].map(|full| self.message_event_json(&message, full));
        if let (Some(nonce), "MESSAGE_CREATE") = (&message.nonce, kind) {
            versions
                .iter_mut()
                .for_each(|json| json["nonce"] = json!(nonce));
        }
        for session in &mut self.sessions {
            if session.intents & intent::GUILD_MESSAGES != 0 {
                let full = session.intents & intent::MESSAGE_CONTENT != 0;
                session.push(kind, &versions[usize::from(full)]);
            }
        }
    }

    pub(super) fn message_deleted(&mut self, message: &Message) {
        let data = json!({
            "id": message.id.to_string(),
            "channel_id": message.channel_id.to_string(),
            "guild_id": self.guild.to_string(),
        });
        if self.seen_by_bot(message.channel_id) {
            self.dispatch("MESSAGE_DELETE", intent::GUILD_MESSAGES, &data);
        }
    }

    pub(super) fn reaction_event(
        &mut self,
        added: bool,
        message: &Message,
        user: u64,
        emoji: &str,
    ) {
        let mut data = json!({
            "user_id": user.to_string(),
            "channel_id": message.channel_id.to_string(),
            "message_id": message.id.to_string(),
            "guild_id": self.guild.to_string(),
            "emoji": emoji_json(emoji),
            "burst": false,
            "type": 0,
        });
        if added {
            let more = json!({
                "member": self.member_json(user),
                "message_author_id": message.author_id.to_string(),
                "burst_colors": [],
            });
            merge(&mut data, more);
        }
        let kind = if added {
            "MESSAGE_REACTION_ADD"
        } else {
            "MESSAGE_REACTION_REMOVE"
        };
        if self.seen_by_bot(message.channel_id) {
            self.dispatch(kind, intent::GUILD_MESSAGE_REACTIONS, &data);
        }
    }

    /// `THREAD_CREATE` for a new thread, `THREAD_UPDATE` for a changed one.
    pub(super) fn thread_event(&mut self, kind: &str, id: u64) {
        let Some(thread) = self.channels.get(&id) else {
            return;
        };
        let mut data = self.channel_json(thread);
        if kind == "THREAD_CREATE" {
            data["newly_created"] = json!(true);
        }
        if self.seen_by_bot(id) {
            self.dispatch(kind, intent::GUILDS, &data);
        }
    }

    pub(super) fn seen_by_bot(&self, channel: u64) -> bool {
        self.channel(channel, 0).is_ok()
    }

    /// The gateway takes the token with and without its REST prefix; serenity sends it with.
    fn knows(&self, token: &Value) -> bool {
        let token = token.as_str().unwrap_or_default();
        token.strip_prefix("Bot ").unwrap_or(token) == self.token
    }

    fn identify(&mut self, data: &Value, out: &mpsc::UnboundedSender<Out>) -> Result<String, Out> {
        if !self.knows(&data["token"]) {
            return Err(Out::Close(4004, "Authentication failed."));
        }
        let Some(intents) = data["intents"].as_u64() else {
            return Err(Out::Close(4002, "Error while decoding payload."));
        };
        if !data["properties"].is_object() {
            self.blame("gateway: IDENTIFY without properties");
        }
        if intents & !KNOWN_INTENTS != 0 {
            self.blame(format!("gateway: unknown intents in {intents:#x}"));
            return Err(Out::Close(4013, "Invalid intent(s)."));
        }
        let mut privileged = intent::GUILD_MEMBERS | intent::GUILD_PRESENCES;
        if !self.options.message_content {
            privileged |= intent::MESSAGE_CONTENT;
        }
        if intents & privileged != 0 {
            return Err(Out::Close(4014, "Disallowed intent(s)."));
        }
        self.identifies += 1;
        self.sessions.retain(|session| session.out.is_some());
        let id = format!("{:032x}", self.next_id());
        self.sessions.push(Session {
            id: id.clone(),
            intents,
            seq: 0,
            backlog: VecDeque::new(),
            out: Some(out.clone()),
        });
        let ready = json!({
            "v": 10,
            "user": self.current_user_json(),
            "guilds": [{"id": self.guild.to_string(), "unavailable": true}],
            "session_id": id,
            "session_type": "normal",
            "resume_gateway_url": self.gateway_url,
            "shard": data.get("shard").cloned().unwrap_or(json!([0, 1])),
            "application": {
                "id": self.bot.to_string(),
                "flags": self.application_json()["flags"],
            },
            "user_settings": {},
            "relationships": [],
            "private_channels": [],
            "presences": [],
            "guild_join_requests": [],
            "_trace": ["double"],
        });
        let guild = self.guild_create_json();
        if let Some(session) = self.sessions.last_mut() {
            session.push("READY", &ready);
            if intents & intent::GUILDS != 0 {
                session.push("GUILD_CREATE", &guild);
            }
        }
        Ok(id)
    }

    fn resume(&mut self, data: &Value, out: &mpsc::UnboundedSender<Out>) -> Result<String, Out> {
        if !self.knows(&data["token"]) {
            return Err(Out::Close(4004, "Authentication failed."));
        }
        let invalid = || Out::Send(json!({"op": 9, "d": false}).to_string());
        let seq = data["seq"].as_u64().unwrap_or(0);
        let session = self
            .sessions
            .iter_mut()
            .find(|session| data["session_id"] == session.id.as_str())
            .ok_or_else(invalid)?;
        if seq > session.seq {
            return Err(Out::Close(4007, "Invalid seq."));
        }
        let oldest = session.backlog.front().map_or(1, |(seq, _)| *seq);
        if seq + 1 < oldest {
            return Err(invalid());
        }
        if let Some(old) = session.out.replace(out.clone()) {
            let _ = old.send(Out::Cut);
        }
        for (_, event) in session.backlog.iter().filter(|(at, _)| *at > seq) {
            let _ = out.send(Out::Send(event.clone()));
        }
        session.push("RESUMED", &json!({"_trace": ["double"]}));
        Ok(session.id.clone())
    }

    /// Gives an order to every connection that has a session.
    pub(super) fn order(&self, order: impl Fn() -> Out) {
        for out in self.sessions.iter().filter_map(|s| s.out.as_ref()) {
            let _ = out.send(order());
        }
    }
}

/// Serves the gateway until the task is aborted.
pub(super) async fn serve(inner: Arc<Inner>, listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(accept(Arc::clone(&inner), stream));
    }
}

async fn accept(inner: Arc<Inner>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut query = String::new();
    #[allow(clippy::result_large_err, reason = "the signature is the library's")]
    let read_query = |request: &Request, response: Response| {
        query = request.uri().query().unwrap_or_default().to_owned();
        Ok(response)
    };
    let Ok(socket) = accept_hdr_async(stream, read_query).await else {
        return;
    };
    let wanted = |pair: &str| query.split('&').any(|given| given == pair);
    let (send, receive) = mpsc::unbounded_channel();
    if !wanted("v=10") {
        inner.update(|s| s.blame(format!("gateway: version 10 isn't asked for in `{query}`")));
        let _ = send.send(Out::Close(4012, "Invalid API version"));
    }
    if query.contains("compress=") || query.contains("encoding=etf") {
        inner.update(|s| {
            s.blame(format!(
                "gateway: the double only has plain JSON: `{query}`"
            ))
        });
    }
    let interval = inner.read(|s| s.options.heartbeat);
    let hello = json!({"op": 10, "s": null, "t": null, "d": {
        "heartbeat_interval": interval.as_millis() as u64,
        "_trace": ["double"],
    }});
    let _ = send.send(Out::Send(hello.to_string()));
    let mut connection = Connection {
        inner,
        socket,
        send,
        receive,
        session: None,
        sends: VecDeque::new(),
        heard: Instant::now(),
        interval,
    };
    connection.run().await;
    connection.forget();
}

/// One WebSocket, from HELLO to its end.
struct Connection {
    inner: Arc<Inner>,
    socket: WebSocketStream<TcpStream>,
    send: mpsc::UnboundedSender<Out>,
    receive: mpsc::UnboundedReceiver<Out>,
    session: Option<String>,
    sends: VecDeque<Instant>,
    heard: Instant,
    interval: Duration,
}

impl Connection {
    async fn run(&mut self) {
        loop {
            // Discord gives a heartbeat some grace; so does this, a whole interval.
            let overdue = self.heard + 2 * self.interval;
            tokio::select! {
                order = self.receive.recv() => {
                    if !self.obey(order).await {
                        return;
                    }
                }
                frame = self.socket.next() => match frame {
                    Some(Ok(Frame::Text(text))) => self.hear(text.as_str()),
                    Some(Ok(Frame::Close(frame))) => {
                        self.closed_by_bot(frame.as_ref());
                        return;
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
                () = tokio::time::sleep_until(overdue.into()) => {
                    self.inner.update(|s| self.blame_silence(s));
                    let _ = self.send.send(Out::Close(4009, "Session timed out."));
                    self.heard = Instant::now();
                }
            }
        }
    }

    async fn obey(&mut self, order: Option<Out>) -> bool {
        match order {
            Some(Out::Send(text)) => self.socket.send(Frame::text(text)).await.is_ok(),
            Some(Out::Close(code, reason)) => {
                // Some codes end the session with the connection.
                if matches!(code, 4004 | 4007 | 4009 | 4013 | 4014) {
                    self.end_session();
                }
                self.forget();
                let _ = self
                    .socket
                    .close(Some(CloseFrame {
                        code: code.into(),
                        reason: reason.into(),
                    }))
                    .await;
                // Dropped with something unread, the socket would be reset and the code lost.
                let rest =
                    async { while self.socket.next().await.is_some_and(|frame| frame.is_ok()) {} };
                let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
                false
            }
            Some(Out::Cut) | None => false,
        }
    }

    fn hear(&mut self, text: &str) {
        let now = Instant::now();
        self.sends.push_back(now);
        while self
            .sends
            .front()
            .is_some_and(|at| now - *at > Duration::from_secs(60))
        {
            self.sends.pop_front();
        }
        if self.sends.len() > SENDS_A_MINUTE {
            self.inner
                .update(|s| s.blame("gateway: over 120 sends in 60 s"));
            let _ = self
                .send
                .send(Out::Close(4008, "You are being rate limited."));
            return;
        }
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            self.inner
                .update(|s| s.blame("gateway: a payload that isn't JSON"));
            let _ = self
                .send
                .send(Out::Close(4002, "Error while decoding payload."));
            return;
        };
        let data = &message["d"];
        match message["op"].as_u64() {
            Some(1) => {
                self.heard = now;
                if !self.inner.read(|s| s.mute_heartbeats) {
                    let _ = self.send.send(Out::Send(json!({"op": 11}).to_string()));
                }
            }
            Some(op @ (2 | 6)) => self.start(op == 2, data),
            Some(3 | 4 | 8) if self.session.is_some() => {}
            Some(3 | 4 | 8) => {
                let _ = self.send.send(Out::Close(4003, "Not authenticated."));
            }
            op => {
                self.inner
                    .update(|s| s.blame(format!("gateway: unknown opcode {op:?}")));
                let _ = self.send.send(Out::Close(4001, "Unknown opcode."));
            }
        }
    }

    fn start(&mut self, identify: bool, data: &Value) {
        if self.session.is_some() {
            self.inner
                .update(|s| s.blame("gateway: a second IDENTIFY or RESUME"));
            let _ = self.send.send(Out::Close(4005, "Already authenticated."));
            return;
        }
        let started = self.inner.update(|s| {
            if identify {
                s.identify(data, &self.send)
            } else {
                s.resume(data, &self.send)
            }
        });
        match started {
            Ok(id) => self.session = Some(id),
            Err(order) => {
                let _ = self.send.send(order);
            }
        }
    }

    /// A bot that closes with 1000 or 1001 gives its session up; any other way it may come back.
    fn closed_by_bot(&self, frame: Option<&CloseFrame>) {
        if frame.is_some_and(|frame| matches!(u16::from(frame.code), 1000 | 1001)) {
            self.end_session();
        }
    }

    /// A bot whose session was declared invalid waits before it starts anew, without heartbeats.
    fn blame_silence(&self, state: &mut State) {
        let id = self.session.as_deref();
        if state
            .sessions
            .iter()
            .any(|session| Some(session.id.as_str()) == id)
        {
            state.blame("gateway: no heartbeat in two intervals");
        }
    }

    fn end_session(&self) {
        let id = self.session.as_deref();
        self.inner
            .update(|s| s.sessions.retain(|session| Some(session.id.as_str()) != id));
    }

    /// Leaves the session without a connection, unless another has taken it over.
    fn forget(&self) {
        let id = self.session.as_deref();
        self.inner.update(|s| {
            let mine = |session: &&mut Session| {
                Some(session.id.as_str()) == id
                    && session
                        .out
                        .as_ref()
                        .is_some_and(|out| out.same_channel(&self.send))
            };
            if let Some(session) = s.sessions.iter_mut().find(mine) {
                session.out = None;
            }
        });
    }
}
