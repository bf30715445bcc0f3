//! A strict IRC server on loopback. It writes down whatever a client does wrong, and remembers what was said.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use jiff::Timestamp;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

pub const PASSWORD: &str = "an invented password";
const MAX_TEXT_CHARS: usize = 400;
const SUPPORTED: [&str; 6] = [
    "message-tags",
    "server-time",
    "batch",
    "echo-message",
    "labeled-response",
    "draft/chathistory",
];

#[derive(Clone, Debug)]
struct Entry {
    by: String,
    key: Option<String>,
    channel: String,
    text: String,
    at: Timestamp,
}

#[derive(Default)]
struct State {
    log: Vec<Entry>,
    /// The next message is taken, and the connection breaks before its echo.
    breaks: bool,
    wrong: Vec<String>,
    now: Timestamp,
    connections: usize,
}

#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepting.state().connections += 1;
                let server = accepting.clone();
                tokio::spawn(async move {
                    // A client may hang up at any time.
                    let _ = server.serve(stream).await;
                });
            }
        });
        server
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn set_time(&self, now: Timestamp) {
        self.state().now = now;
    }

    pub fn break_before_the_next_echo(&self) {
        self.state().breaks = true;
    }

    pub fn connections(&self) -> usize {
        self.state().connections
    }

    /// What `nick` has said in a channel, oldest first.
    pub fn said_by(&self, nick: &str, channel: &str) -> Vec<String> {
        let state = self.state();
        let said = state
            .log
            .iter()
            .filter(|e| e.by == nick && e.channel == channel);
        said.map(|e| e.text.clone()).collect()
    }

    /// Somebody says something, perhaps with a key that isn't theirs.
    pub fn say(&self, by: &str, channel: &str, key: Option<&str>, text: &str) {
        let mut state = self.state();
        let at = state.now;
        state.log.push(Entry {
            by: by.to_owned(),
            key: key.map(str::to_owned),
            channel: channel.to_owned(),
            text: text.to_owned(),
            at,
        });
    }

    /// What clients did that this server doesn't take.
    pub fn wrong(&self) -> Vec<String> {
        self.state().wrong.clone()
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.split();
        let mut lines = BufReader::new(reader).lines();
        let mut client = Client::default();
        while let Some(line) = lines.next_line().await? {
            let Some(answers) = self.answer(&mut client, &line) else {
                return Ok(());
            };
            for answer in answers {
                writer.write_all(format!("{answer}\r\n").as_bytes()).await?;
            }
        }
        Ok(())
    }

    /// The lines that answer one; `None` hangs up.
    fn answer(&self, client: &mut Client, line: &str) -> Option<Vec<String>> {
        let (tags, rest) = match line.strip_prefix('@').and_then(|l| l.split_once(' ')) {
            Some((tags, rest)) => (tags, rest),
            None => ("", line),
        };
        let tag = |name: &str| {
            let mut pairs = tags.split(';').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let (command, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let nick = client.nick.clone();
        if !client.welcome && !["PASS", "CAP", "NICK", "USER"].contains(&command) {
            self.state().wrong.push(format!("before its turn: {line}"));
        }
        match command {
            "PASS" => client.password = rest == format!(":{PASSWORD}"),
            "NICK" => rest.clone_into(&mut client.nick),
            "USER" => {}
            "CAP" if rest == "END" => {
                if !client.password {
                    return Some(vec![format!(":irc.test 464 {nick} :Password incorrect")]);
                }
                client.welcome = true;
                return Some(vec![
                    format!(":irc.test 001 {nick} :Welcome"),
                    format!(":irc.test 422 {nick} :There is no message of the day"),
                    "PING :are-you-there".to_owned(),
                ]);
            }
            "CAP" => {
                let wanted = rest.strip_prefix("REQ :").unwrap_or_default();
                let known = wanted.split(' ').all(|cap| SUPPORTED.contains(&cap));
                let said = if known { "ACK" } else { "NAK" };
                return Some(vec![format!(":irc.test CAP * {said} :{wanted}")]);
            }
            "PONG" => client.ponged = rest == ":are-you-there",
            "JOIN" => {
                client.joined.insert(rest.to_owned());
                return Some(vec![
                    format!(":{nick}!h@test JOIN {rest}"),
                    format!(":irc.test 366 {nick} {rest} :End of /NAMES list"),
                ]);
            }
            "PRIVMSG" => {
                let (channel, text) = rest.split_once(" :").unwrap_or((rest, ""));
                let label = tag("label").unwrap_or_default().to_owned();
                return self.take(client, (channel, text), &label, tag(KEY_TAG));
            }
            "CHATHISTORY" => {
                let words: Vec<&str> = rest.split(' ').collect();
                let label = tag("label").unwrap_or_default();
                return Some(self.history(words[1], words[3].parse().unwrap(), label));
            }
            _ => {
                self.state().wrong.push(line.to_owned());
                return Some(vec![format!(
                    ":irc.test 421 {nick} {command} :Unknown command"
                )]);
            }
        }
        Some(Vec::new())
    }

    fn take(
        &self,
        client: &Client,
        (channel, text): (&str, &str),
        label: &str,
        key: Option<&str>,
    ) -> Option<Vec<String>> {
        let nick = &client.nick;
        let marks = ["**", "](", "`", "<b>", "<p>", "<t:", "##"];
        let faults = [
            (!client.ponged, "it did not answer the ping"),
            (!client.joined.contains(channel), "it is not in the channel"),
            (label.is_empty(), "the message has no label"),
            (text.is_empty(), "it says nothing"),
            (text.chars().count() > MAX_TEXT_CHARS, "too long"),
            (text.contains(char::is_control), "it holds a control code"),
            (marks.iter().any(|m| text.contains(m)), "it holds markup"),
        ];
        if let Some((_, fault)) = faults.iter().find(|(is, _)| *is) {
            self.state().wrong.push(format!("{fault}: {text}"));
            return Some(vec![format!(
                "@label={label} :irc.test 404 {nick} {channel} :{fault}"
            )]);
        }
        self.say(nick, channel, key, text);
        let mut state = self.state();
        if std::mem::take(&mut state.breaks) {
            return None;
        }
        let number = state.log.len() - 1;
        let echo = shown(number, state.log.last()?);
        Some(vec![format!("@label={label};{echo}")])
    }

    fn history(&self, channel: &str, limit: usize, label: &str) -> Vec<String> {
        let state = self.state();
        let all: Vec<(usize, &Entry)> = state
            .log
            .iter()
            .enumerate()
            .filter(|(_, e)| e.channel == channel)
            .collect();
        let newest = all.iter().skip(all.len().saturating_sub(limit));
        let lines = newest.map(|(number, entry)| format!("@batch=h;{}", shown(*number, entry)));
        std::iter::once(format!(
            "@label={label} :irc.test BATCH +h chathistory {channel}"
        ))
        .chain(lines)
        .chain(["BATCH -h".to_owned()])
        .collect()
    }
}

const KEY_TAG: &str = "+upgrade-herald/key";

/// The tags of a message without their `@`, and the message.
fn shown(number: usize, entry: &Entry) -> String {
    let Entry {
        by,
        key,
        channel,
        text,
        at,
    } = entry;
    let key = key
        .as_ref()
        .map(|key| format!(";{KEY_TAG}={key}"))
        .unwrap_or_default();
    format!("msgid=m{number};time={at}{key} :{by}!h@test PRIVMSG {channel} :{text}")
}

#[derive(Default)]
struct Client {
    nick: String,
    password: bool,
    welcome: bool,
    ponged: bool,
    joined: BTreeSet<String>,
}
