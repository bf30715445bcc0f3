//! One connection to the server: logged in, with the channels that it has joined.

use std::collections::BTreeSet;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{IrcSettings, line::IrcLine};
use crate::{domain::outbox::PostKey, ports::ChatError};

/// herald needs all of these: without one a post could be sent twice, or its fate not be known.
const REQUIRED_CAPABILITIES: &str =
    "message-tags server-time batch echo-message labeled-response draft/chathistory";
/// The client tag that holds a post's key.
const KEY_TAG: &str = "+upgrade-herald/key";
/// The messages of a channel's history that are read; servers give about as many at once.
const MAX_HISTORY_MESSAGES: usize = 100;

/// A message in the server's history.
#[derive(Debug)]
pub(super) struct LoggedMessage {
    pub id: String,
    pub by: String,
    pub at: Timestamp,
    pub key: Option<String>,
}

#[derive(Debug)]
pub(super) struct History {
    pub messages: Vec<LoggedMessage>,
    /// The server has no more of this channel.
    pub is_whole: bool,
}

#[derive(Debug)]
pub(super) struct IrcConnection {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    joined: BTreeSet<String>,
    labels: u64,
}

impl IrcConnection {
    pub async fn open(settings: &IrcSettings) -> Result<Self, ChatError> {
        let server = &settings.server;
        let stream = TcpStream::connect(server)
            .await
            .map_err(|error| again(format!("{server} can't be reached: {error}")))?;
        let (reader, writer) = stream.into_split();
        let mut connection = Self {
            reader: BufReader::new(reader),
            writer,
            joined: BTreeSet::new(),
            labels: 0,
        };
        if let Some(password) = &settings.password {
            let line = format!("PASS :{}", password.expose_secret());
            connection.write(&line).await?;
        }
        let nick = &settings.nick;
        for line in [
            format!("CAP REQ :{REQUIRED_CAPABILITIES}"),
            format!("NICK {nick}"),
            format!("USER {nick} 0 * :upgrade-herald"),
        ] {
            connection.write(&line).await?;
        }
        connection.log_in().await?;
        Ok(connection)
    }

    async fn log_in(&mut self) -> Result<(), ChatError> {
        loop {
            let line = self.read().await?;
            match (&*line.command, line.parameter(1)) {
                ("CAP", "ACK") => self.write("CAP END").await?,
                ("CAP", "NAK") => {
                    return Err(ChatError::Refused {
                        reason: format!("the server lacks one of: {REQUIRED_CAPABILITIES}"),
                        remedy: "name a server that has them, such as Ergo or a soju bouncer"
                            .into(),
                    });
                }
                ("001", _) => return Ok(()),
                // An earlier connection of herald's may not be gone yet.
                ("433", _) => return Err(again(format!("the nick is in use: {}", line.words()))),
                _ if line.is_refusal() => return Err(refused("logging in", &line)),
                _ => {}
            }
        }
    }

    pub async fn join(&mut self, place: &str) -> Result<(), ChatError> {
        if self.joined.contains(place) {
            return Ok(());
        }
        self.write(&format!("JOIN {place}")).await?;
        loop {
            let line = self.read().await?;
            if line.command == "366" && line.parameter(1) == place {
                self.joined.insert(place.to_owned());
                return Ok(());
            }
            if line.is_refusal() && line.names(place) {
                return Err(refused(&format!("joining {place}"), &line));
            }
        }
    }

    /// Says one line in a channel. Returns the id under which the server echoes it.
    pub async fn say(
        &mut self,
        place: &str,
        key: &PostKey,
        text: &str,
    ) -> Result<String, ChatError> {
        self.join(place).await?;
        let label = self.label();
        let line = format!("@label={label};{KEY_TAG}={key} PRIVMSG {place} :{text}");
        self.write(&line).await?;
        let echo = self.answer(&label, "posting").await?;
        match echo.tag("msgid") {
            Some(id) => Ok(id.to_owned()),
            None => Err(again("the server's echo has no msgid".to_owned())),
        }
    }

    /// The newest messages of a channel, as the server remembers them.
    pub async fn history(&mut self, place: &str) -> Result<History, ChatError> {
        self.join(place).await?;
        let label = self.label();
        let line = format!("@label={label} CHATHISTORY LATEST {place} * {MAX_HISTORY_MESSAGES}");
        self.write(&line).await?;
        let start = self.answer(&label, "reading the history").await?;
        let batch = start.parameter(0).trim_start_matches('+').to_owned();
        let end = format!("-{batch}");
        let mut messages = Vec::new();
        let mut lines = 0;
        loop {
            let line = self.read().await?;
            if line.command == "BATCH" && line.parameter(0) == end {
                break;
            }
            if line.tag("batch") != Some(&batch) {
                continue;
            }
            lines += 1;
            let at = line.tag("time").and_then(|at| at.parse().ok());
            if let (Some(id), Some(at)) = (line.tag("msgid"), at) {
                messages.push(LoggedMessage {
                    id: id.to_owned(),
                    by: line.from.clone(),
                    at,
                    key: line.tag(KEY_TAG).map(str::to_owned),
                });
            }
        }
        Ok(History {
            messages,
            is_whole: lines < MAX_HISTORY_MESSAGES,
        })
    }

    fn label(&mut self) -> String {
        self.labels += 1;
        self.labels.to_string()
    }

    /// The line with which the server answers what had this label.
    async fn answer(&mut self, label: &str, doing: &str) -> Result<IrcLine, ChatError> {
        loop {
            let line = self.read().await?;
            if line.tag("label") != Some(label) {
                continue;
            }
            return if line.is_refusal() {
                Err(refused(doing, &line))
            } else {
                Ok(line)
            };
        }
    }

    async fn write(&mut self, line: &str) -> Result<(), ChatError> {
        let line = format!("{line}\r\n");
        self.writer
            .write_all(line.as_bytes())
            .await
            .map_err(|error| again(format!("the connection broke: {error}")))
    }

    /// The next line, with pings answered on the way.
    async fn read(&mut self) -> Result<IrcLine, ChatError> {
        loop {
            let mut bytes = Vec::new();
            let line = match self.reader.read_until(b'\n', &mut bytes).await {
                Ok(0) => return Err(again("the server hung up".to_owned())),
                // People may write in any encoding.
                Ok(_) => IrcLine::parse(&String::from_utf8_lossy(&bytes)),
                Err(error) => return Err(again(format!("the connection broke: {error}"))),
            };
            match &*line.command {
                "PING" => self.write(&format!("PONG :{}", line.words())).await?,
                "ERROR" => return Err(again(format!("the server hung up: {}", line.words()))),
                _ => return Ok(line),
            }
        }
    }
}

fn again(reason: String) -> ChatError {
    ChatError::Retry {
        reason,
        after_ms: None,
    }
}

fn refused(doing: &str, line: &IrcLine) -> ChatError {
    ChatError::Refused {
        reason: format!("{doing}: the server says “{}”", line.words()),
        remedy: "let herald's nick join the channel and speak there".into(),
    }
}
