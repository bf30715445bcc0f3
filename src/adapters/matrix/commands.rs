//! `!upgrade WORDS…`: telling a command from talk, and answering it once.

use std::{sync::Arc, time::Duration};

use matrix_sdk::{deserialized_responses::TimelineEvent, ruma::OwnedRoomId};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use super::{
    Matrix,
    event::{MESSAGE_TYPE, SyncEvent},
    room_upgrade,
    send::{self, content, in_reply, in_thread, set},
    sync::{FIRST_PAUSE, LONGEST_PAUSE},
};
use crate::{
    domain::people::command::Command,
    ports::{Asker, ChatError, CommandHandler, Platform},
};

const COMMAND_NAME: &str = "!upgrade";
/// An older question is not answered any more: whoever asked has gone.
pub(super) const FRESH_FOR_MS: i64 = 600_000;
/// No more answers than these are given at the same time.
const MAX_ANSWERS_AT_ONCE: usize = 16;
/// No more of one command is passed on; nothing of ours takes as many.
const MAX_COMMAND_CHARS: usize = 4_000;

/// A question to answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct IncomingCommand {
    pub room: OwnedRoomId,
    pub event: String,
    pub by: String,
    /// Milliseconds since 1970, by the asker's homeserver.
    pub at_ms: i64,
    pub thread: Option<String>,
    /// The words behind the command's own name.
    pub line: String,
}

impl Matrix {
    /// The command in an event, if it is one that somebody else gave lately.
    pub(super) fn ask(
        &self,
        room: &OwnedRoomId,
        event: &TimelineEvent,
        now_ms: i64,
    ) -> Option<IncomingCommand> {
        SyncEvent::read(event).and_then(|event| ask(room, event, self.me.as_str(), now_ms))
    }

    /// Answers for as long as it is asked, several at once: one that takes long holds nobody up.
    pub(super) async fn answer_all(
        self: Arc<Self>,
        handler: Arc<dyn CommandHandler>,
        mut asks: mpsc::Receiver<IncomingCommand>,
    ) {
        let mut answers = JoinSet::new();
        loop {
            tokio::select! {
                ask = asks.recv(), if answers.len() < MAX_ANSWERS_AT_ONCE => {
                    let Some(ask) = ask else { return };
                    let (matrix, handler) = (self.clone(), handler.clone());
                    answers.spawn(async move { matrix.answer(&*handler, &ask).await });
                }
                Some(done) = answers.join_next(), if !answers.is_empty() => {
                    if let Err(error) = done {
                        tracing::error!(%error, "answering on Matrix broke off");
                    }
                }
            }
        }
    }

    /// The handler is asked once whether it knows the command; from then on the answer is sent again until
    /// it is taken, refused or no longer of use. The transaction id keeps it one.
    async fn answer(&self, handler: &dyn CommandHandler, ask: &IncomingCommand) {
        let is_stale = || handler.now().as_millisecond().saturating_sub(ask.at_ms) > FRESH_FOR_MS;
        if is_stale() {
            return;
        }
        match handler.first_time(&ask.event).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(room = %ask.room, event = %ask.event, %error, "a command stays unanswered");
                return;
            }
        }
        let power = self.power(&ask.room, &ask.by).await;
        let place = room_upgrade::place_of(self, &ask.room);
        let asker = Asker {
            power,
            ..Asker::new(Platform::Matrix, &ask.by, place.as_str())
        };
        let body = handler.answer(&asker, &Command::from_line(&ask.line)).await;
        let answer = reply(content(&body, "m.notice"), ask);
        let mut pause = FIRST_PAUSE;
        loop {
            match send::put(
                self,
                ask.room.as_str(),
                MESSAGE_TYPE,
                answer.clone(),
                &transaction(&ask.event),
            )
            .await
            {
                Ok(_) => return,
                Err(ChatError::Retry { reason, after_ms }) if !is_stale() => {
                    tracing::debug!(room = %ask.room, event = %ask.event, %reason, "an answer waits");
                    sleep(
                        pause.max(Duration::from_millis(after_ms.unwrap_or(0)).min(LONGEST_PAUSE)),
                    )
                    .await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => {
                    tracing::warn!(room = %ask.room, event = %ask.event, %error, "a command stays unanswered");
                    return;
                }
            }
        }
    }
}

fn ask(room: &OwnedRoomId, event: SyncEvent, me: &str, now_ms: i64) -> Option<IncomingCommand> {
    let is_talk = event.is_message() && event.content.msgtype.as_deref() == Some("m.text");
    if !is_talk || event.sender == me || now_ms.saturating_sub(event.at_ms()) > FRESH_FOR_MS {
        return None;
    }
    let line = behind_name(
        event.content.body.as_deref()?,
        event.content.relates_to.in_reply_to.is_some(),
    )?;
    let (at_ms, thread) = (event.at_ms(), event.thread().map(str::to_owned));
    Some(IncomingCommand {
        room: room.clone(),
        event: event.event_id,
        by: event.sender,
        at_ms,
        thread,
        line,
    })
}

/// The words after the command's name. Some clients still put the message replied to before a reply, its lines marked
/// with `>`.
fn behind_name(body: &str, is_reply: bool) -> Option<String> {
    let quoted =
        |line: &str| line.trim().is_empty() || is_reply && line.trim_start().starts_with('>');
    let start: usize = body
        .split_inclusive('\n')
        .take_while(|line| quoted(line))
        .map(str::len)
        .sum();
    let text = body.get(start..)?.trim();
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (name.to_lowercase() == COMMAND_NAME)
        .then(|| rest.trim().chars().take(MAX_COMMAND_CHARS).collect())
}

/// Hangs the answer on the question, where it was asked, and calls the asker alone.
fn reply(mut content: Value, ask: &IncomingCommand) -> Value {
    let relation = match &ask.thread {
        Some(root) => in_thread(root, &ask.event, false),
        None => in_reply(&ask.event),
    };
    set(&mut content, "m.relates_to", relation);
    set(&mut content, "m.mentions", json!({ "user_ids": [ask.by] }));
    content
}

/// One question has one answer, whichever process gives it.
fn transaction(event: &str) -> String {
    let mut transaction = format!("a-{}", hex::encode(Sha256::digest(event)));
    transaction.truncate(26);
    transaction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_its_first_word() {
        let of = |body: &str| behind_name(body, false);
        assert_eq!(of("!upgrade"), Some(String::new()));
        assert_eq!(
            of("  !Upgrade  no-go  Two NODES\nare late "),
            Some("no-go  Two NODES\nare late".into())
        );
        assert_eq!(of("!upgrades"), None);
        assert_eq!(of("try !upgrade"), None);
        assert_eq!(of(""), None);
        assert_eq!(of("> !upgrade\n\nno"), None);
        assert_eq!(
            behind_name("> <@a:x> hello\n> there\n\n!upgrade help", true),
            Some("help".into())
        );
    }

    fn event(patch: impl FnOnce(&mut Value)) -> SyncEvent {
        let mut event = json!({ "type": "m.room.message", "event_id": "$q", "sender": "@a:x", "origin_server_ts": 1_000_000,
            "content": { "msgtype": "m.text", "body": "!upgrade" } });
        patch(&mut event);
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn only_fresh_talk_of_others_is_a_command() {
        let room = OwnedRoomId::try_from("!r").unwrap();
        let is_ask = |event, now_ms| ask(&room, event, "@me:x", now_ms).is_some();
        assert!(is_ask(event(|_| ()), 1_000_000 + FRESH_FOR_MS));
        assert!(!is_ask(event(|_| ()), 1_000_001 + FRESH_FOR_MS));
        assert!(!is_ask(event(|e| e["sender"] = json!("@me:x")), 1_000_000));
        assert!(!is_ask(
            event(|e| e["content"]["msgtype"] = json!("m.notice")),
            1_000_000
        ));
        assert!(!is_ask(
            event(|e| e["content"]["m.relates_to"] =
                json!({ "rel_type": "m.replace", "event_id": "$o" })),
            1_000_000
        ));
    }

    #[test]
    fn an_answer_stays_where_it_was_asked() {
        let room = OwnedRoomId::try_from("!r").unwrap();
        let thread = json!({ "rel_type": "m.thread", "event_id": "$root" });
        let of = |event| reply(json!({}), &ask(&room, event, "@me:x", 1_000_000).unwrap());
        assert_eq!(
            of(event(|_| ())),
            json!({ "m.mentions": { "user_ids": ["@a:x"] }, "m.relates_to": { "m.in_reply_to": { "event_id": "$q" } } })
        );
        assert_eq!(
            of(event(|e| e["content"]["m.relates_to"] = thread))["m.relates_to"],
            in_thread("$root", "$q", false)
        );
    }
}
