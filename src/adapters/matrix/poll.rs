//! Votes as clients show them: a question with answers, each answer under the reaction that means the same.
//!
//! Under the names of the proposal (MSC3381), as clients send and know them until now.

use std::collections::BTreeSet;

use matrix_sdk::{
    Room,
    room::IncludeRelations,
    ruma::{
        EventId, OwnedTransactionId, UInt, UserId,
        events::{
            poll::{
                PollResponseData, compile_unstable_poll_results,
                start::PollKind,
                unstable_end::UnstablePollEndEventContent,
                unstable_start::{
                    NewUnstablePollStartEventContent, UnstablePollAnswer,
                    UnstablePollStartContentBlock,
                },
            },
            relation::RelationType,
        },
    },
};
use serde_json::Value;

use super::{Matrix, error, event::SyncEvent, feedback, send::event_id};
use crate::{
    domain::{outbox::Ballot, people::feedback::Reaction},
    ports::ChatError,
};

pub(super) const START_TYPE: &str = "org.matrix.msc3381.poll.start";

/// Builds the event: the vote, and the same in words.
pub(super) fn content(ballot: &Ballot, text: &str) -> Result<Value, ChatError> {
    let refused = |error: String| ChatError::Refused {
        reason: format!("a vote: {error}"),
        remedy: "it takes one to twenty answers".into(),
    };
    let answers: Vec<_> = ballot
        .choices
        .iter()
        .map(|(id, text)| UnstablePollAnswer::new(id.clone(), text.clone()))
        .collect();
    let answers = answers
        .try_into()
        .map_err(|error| refused(format!("{error}")))?;
    let mut poll = UnstablePollStartContentBlock::new(ballot.question.clone(), answers);
    (poll.kind, poll.max_selections) = (
        PollKind::Disclosed,
        UInt::try_from(ballot.choices.len()).unwrap_or(UInt::MIN),
    );
    serde_json::to_value(NewUnstablePollStartEventContent::plain_text(text, poll))
        .map_err(|error| refused(error.to_string()))
}

/// Reads who chose what, by the last answer of each; what isn't on the list makes an answer void.
pub(super) async fn votes(
    matrix: &Matrix,
    place: &str,
    id: &str,
) -> Result<Vec<Reaction>, ChatError> {
    let room = matrix.joined(place).await?;
    let start = room.event(&event_id(id)?, None).await;
    let start = start
        .map_err(|error| error::failed(matrix, &format!("looking for the vote {id}"), &error))?;
    let Some(poll) = SyncEvent::read(&start).and_then(|start| start.content.poll) else {
        return Err(ChatError::Refused {
            reason: format!("{id} in {place} is no vote any more"),
            remedy: "reactions count all the same".into(),
        });
    };
    let answers = feedback::relations(
        matrix,
        &room,
        id,
        IncludeRelations::RelationsOfType(RelationType::Reference),
    )
    .await?;
    Ok(compiled(&poll, &answers, matrix.me.as_str()))
}

/// Clients show the result and take no more answers; done twice it is done once.
pub(super) async fn close_poll(
    matrix: &Matrix,
    room: &Room,
    poll: &EventId,
) -> Result<(), ChatError> {
    let end = UnstablePollEndEventContent::new("The vote is closed.", poll.to_owned());
    let transaction = OwnedTransactionId::from(format!("close {poll}"));
    let sent = room.send(end).with_transaction_id(transaction).await;
    sent.map(drop)
        .map_err(|error| error::failed(matrix, &format!("closing the vote {poll}"), &error))
}

fn compiled(
    poll: &UnstablePollStartContentBlock,
    answers: &[SyncEvent],
    me: &str,
) -> Vec<Reaction> {
    let given: Vec<_> = answers
        .iter()
        .filter(|event| event.sender != me && !event.is_redacted())
        .filter_map(|event| {
            Some((
                <&UserId>::try_from(event.sender.as_str()).ok()?,
                event.origin_server_ts,
                event.content.vote.as_ref()?,
            ))
        })
        .collect();
    let given = given.iter().map(|(sender, at, vote)| PollResponseData {
        sender,
        origin_server_ts: *at,
        selections: &vote.answers,
    });
    let results = compile_unstable_poll_results(poll, given, None);
    let of = |(choice, who): (&str, BTreeSet<&UserId>)| {
        who.into_iter()
            .map(|by| Reaction {
                emoji: choice.to_owned(),
                by: by.to_string(),
                at: None,
            })
            .collect::<Vec<_>>()
    };
    results.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ballot() -> Ballot {
        Ballot {
            question: "When?".into(),
            choices: vec![
                ("1️⃣".into(), "Monday".into()),
                ("2️⃣".into(), "Tuesday".into()),
            ],
        }
    }

    #[test]
    fn a_vote_lets_choose_each_answer_and_says_the_same_in_words() {
        let sent = content(&ballot(), "When? Monday or Tuesday").unwrap();
        assert_eq!(sent["org.matrix.msc1767.text"], "When? Monday or Tuesday");
        let poll = &sent["org.matrix.msc3381.poll.start"];
        assert_eq!(
            (&poll["max_selections"], &poll["answers"][1]["id"]),
            (&json!(2), &json!("2️⃣")),
            "{sent}"
        );
        assert!(matches!(
            content(
                &Ballot {
                    choices: Vec::new(),
                    ..ballot()
                },
                ""
            ),
            Err(ChatError::Refused { .. })
        ));
    }

    #[test]
    fn the_last_answer_of_each_counts() {
        let sent = content(&ballot(), "").unwrap();
        let poll = serde_json::from_value(sent["org.matrix.msc3381.poll.start"].clone()).unwrap();
        let answer = |sender: &str, at: u64, content: Value| -> SyncEvent {
            let content = json!({ "org.matrix.msc3381.poll.response": { "answers": content }, "m.relates_to": { "rel_type": "m.reference", "event_id": "$p" } });
            serde_json::from_value(json!({ "type": "org.matrix.msc3381.poll.response", "event_id": format!("${at}"), "sender": sender,
                "origin_server_ts": at, "content": content }))
            .unwrap()
        };
        let given = [
            answer("@a:x", 1, json!(["1️⃣"])),
            answer("@a:x", 2, json!(["2️⃣"])),
            answer("@b:x", 1, json!(["1️⃣", "2️⃣"])),
            answer("@c:x", 1, json!(["1️⃣", "else"])),
            answer("@d:x", 1, json!(["1️⃣"])),
            answer("@d:x", 2, json!([])),
            answer("@me:x", 1, json!(["1️⃣"])),
        ];
        let mut heard: Vec<_> = compiled(&poll, &given, "@me:x")
            .into_iter()
            .map(|r| (r.emoji, r.by))
            .collect();
        heard.sort();
        let wanted = [("1️⃣", "@b:x"), ("2️⃣", "@a:x"), ("2️⃣", "@b:x")]
            .map(|(emoji, by)| (emoji.to_owned(), by.to_owned()));
        assert_eq!(heard, wanted);
    }
}
