//! One attempt at a post: looks for it if an earlier attempt may have brought it out, and otherwise sends it.

use std::time::Duration;

use jiff::Timestamp;

use super::{compose::Message, due::DuePost, lateness::is_outlived};
use crate::{
    config::OnDoubt,
    domain::{
        outbox::{Action, Body, Operation, Post, PostKey, PostState},
        plan::notice::{Happening, Notice, Trigger},
    },
    outbox::destination,
    ports::{
        Accepted, ChatError, Outgoing, Pictures, StoreError,
        lease::{Broken, while_allowed},
    },
};

/// The limit of an attempt where the configured lease is out of range.
const USUAL_ATTEMPT_LIMIT: Duration = Duration::from_secs(20);
const MAX_THREAD_TITLE_CHARS: usize = 100;

/// The result of an attempt.
pub(crate) enum Delivered {
    Accepted {
        accepted: Accepted,
        /// The reason why its picture is not there, if the chat has refused it.
        without_picture: Option<String>,
    },
    /// The post is not in the channel, and its words no longer hold: so it was not sent either.
    Outlived,
    /// The chat did not take it, or nobody knows.
    Failed(ChatError),
}

impl From<Accepted> for Delivered {
    fn from(accepted: Accepted) -> Self {
        Self::Accepted {
            accepted,
            without_picture: None,
        }
    }
}

struct Attempt<'a> {
    due: &'a DuePost<'a>,
    message: &'a Message,
    /// The message that it answers.
    answers: Option<String>,
    /// The key of the message that it changes.
    of: PostKey,
    /// Nothing of the post can be older than this.
    since: Timestamp,
    /// Set where its frozen words may have become untrue while the chat was away.
    is_outlived: bool,
}

/// Sends a post that was claimed.
pub(crate) async fn deliver(due: &DuePost<'_>, message: &Message) -> Result<Delivered, StoreError> {
    let (core, post) = (due.core, &due.post);
    let answers = answers(due).await?;
    let of = match post.operation.rules().action {
        Action::Calendar => post.operation,
        _ => Operation::Post,
    };
    let first = if post.attempts > 0 {
        core.store.first_attempt(&post.key).await?
    } else {
        None
    };
    let attempt = Attempt {
        due,
        message,
        answers,
        of: post.key_beside(of, 0),
        since: first.unwrap_or(post.due),
        is_outlived: (due.campaign.as_ref()).is_some_and(|c| is_outlived(post, c, due.now)),
    };
    // An attempt with its read-back may take many requests, but it ends before its lease does.
    let limit = Duration::try_from(core.delivery.lease * 9 / 10).unwrap_or(USUAL_ATTEMPT_LIMIT);
    let reason = match while_allowed(attempt.run(), limit, &core.lease, &*core.clock).await {
        Ok(result) => return Ok(result.unwrap_or_else(Delivered::Failed)),
        Err(Broken::Late) => format!(
            "{} did not answer within {} s",
            due.outlet.platform.name(),
            limit.as_secs()
        ),
        Err(Broken::Deposed) => "this replica is not the active one any more".to_owned(),
    };
    Ok(Delivered::Failed(ChatError::Retry {
        reason,
        after_ms: None,
    }))
}

/// The message that a post answers: what takes something back, the last one in its channel that it is about; a window
/// that is set, the poll on it; trouble and its end, the last all-clear. Until the post is out nothing else is posted there,
/// so each try answers the same.
async fn answers(due: &DuePost<'_>) -> Result<Option<String>, StoreError> {
    let (post, Some(campaign)) = (&due.post, &due.campaign) else {
        return Ok(None);
    };
    let urgency = campaign.upgrade.urgency;
    let notice = |post: &Post| due.snapshot.plan().notice(urgency, &post.notice);
    let happening = |post: &Post| match notice(post)?.trigger {
        Trigger::On(happening) => Some(happening),
        _ => None,
    };
    let takes_back = happening(post).is_some_and(Happening::answers);
    let sets_window = matches!(
        happening(post),
        Some(Happening::WindowSet | Happening::WindowChosen)
    );
    let is_trouble = happening(post).is_some_and(Happening::answers_all_clear);
    if !post.is_message() || !(takes_back || sets_window || is_trouble) {
        return Ok(None);
    }
    let is_about = |p: &Post| {
        takes_back
            || (sets_window && happening(p) == Some(Happening::WindowProposed))
            || (is_trouble && notice(p).is_some_and(Notice::gives_all_clear))
    };
    // The board says at all times what is so: there is nothing in it to take back.
    let is_answered = |p: &&Post| {
        p.channel == post.channel
            && p.is_message()
            && p.state == PostState::Sent
            && !notice(p).is_some_and(|n| n.board)
            && is_about(p)
    };
    let posts = due.core.store.posts(&post.upgrade).await?;
    let last = posts
        .iter()
        .filter(is_answered)
        .max_by_key(|p| (p.due, p.rank));
    Ok(last.and_then(|p| p.remote.clone()))
}

impl Attempt<'_> {
    async fn run(&self) -> Result<Delivered, ChatError> {
        let place = self.place().await?;
        let post = &self.due.post;
        if post.attempts > 0 && !post.operation.rules().is_idempotent {
            if let Some(found) = self.read_back(&place).await? {
                return Ok(found.into());
            }
            if self.is_outlived {
                return Ok(Delivered::Outlived);
            }
        }
        self.act(&place).await
    }

    async fn place(&self) -> Result<String, ChatError> {
        let (outlet, post) = (self.due.outlet, &self.due.post);
        match (post.reader(), &self.due.campaign) {
            (Some(user), _) => outlet.chat.direct(user).await,
            (None, Some(campaign)) => {
                destination::find_or_make(self.due.core, outlet, &post.channel, campaign).await
            }
            (None, None) => destination::find(outlet, &post.channel, &post.upgrade).await,
        }
    }

    /// Looks for the post in its channel, where an earlier attempt may have brought it.
    async fn read_back(&self, place: &str) -> Result<Option<Accepted>, ChatError> {
        let (chat, post) = (&self.due.outlet.chat, &self.due.post);
        let posts_in_doubt = self.due.core.delivery.on_doubt == OnDoubt::Post;
        match chat.find(place, &post.key, self.since).await {
            Err(error @ ChatError::Doubt { .. }) if posts_in_doubt => {
                tracing::warn!(post = %post.key, notice = post.notice, channel = post.channel, "posted in doubt: {error}");
                Ok(None)
            }
            found => found,
        }
    }

    async fn act(&self, place: &str) -> Result<Delivered, ChatError> {
        let (chat, post, body) = (&self.due.outlet.chat, &self.due.post, &self.message.body);
        let out = self.outgoing(body);
        let action = post.operation.rules().action;
        let accepted = match (action, self.message.root.as_deref(), &body.event) {
            (Action::Calendar, _, Some(event)) => chat.calendar(&self.of, event).await?,
            (Action::Handle(how), Some(root), _) => {
                chat.handle(place, root, how).await?;
                Accepted {
                    id: root.to_owned(),
                    link: None,
                }
            }
            // Where nothing can be edited, what no longer holds is said again with the line on top.
            (Action::Edit, Some(root), _) if self.due.outlet.platform.capabilities().edits => {
                match chat.edit(place, root, out).await {
                    Err(ChatError::Gone { reason, .. })
                        if post.operation == Operation::Edit && self.due.is_on_board() =>
                    {
                        self.make_anew(&reason).await?
                    }
                    edited => edited?,
                }
            }
            (Action::OpenThread, Some(root), _) => {
                let title = format!("Feedback: {}", post.upgrade);
                let title: String = title.chars().take(MAX_THREAD_TITLE_CHARS).collect();
                chat.open_thread(place, root, &title, out).await?
            }
            _ => return self.say(place).await,
        };
        Ok(accepted.into())
    }

    fn outgoing<'b>(&'b self, body: &'b Body) -> Outgoing<'b> {
        Outgoing {
            key: &self.due.post.key,
            body,
            answers: self.answers.as_deref(),
            of: Some(&self.of),
        }
    }

    /// Sends a message of its own. Where a picture comes with the words and is refused, the words go out without it.
    async fn say(&self, place: &str) -> Result<Delivered, ChatError> {
        let (chat, body) = (&self.due.outlet.chat, &self.message.body);
        let comes_with_text =
            self.due.outlet.platform.capabilities().pictures == Pictures::WithText;
        let refusal = match chat.send(place, self.outgoing(body)).await {
            Err(ChatError::Refused { reason, remedy })
                if comes_with_text && body.picture.is_some() =>
            {
                format!("{reason}; {remedy}")
            }
            sent => return sent.map(Into::into),
        };
        let words = Body {
            picture: None,
            ..body.clone()
        };
        Ok(Delivered::Accepted {
            accepted: chat.send(place, self.outgoing(&words)).await?,
            without_picture: Some(refusal),
        })
    }

    /// Posts the status board again, since somebody has deleted it; nobody is called a second time.
    async fn make_anew(&self, reason: &str) -> Result<Accepted, ChatError> {
        let post = &self.due.post;
        tracing::info!(post = %post.key, notice = post.notice, channel = post.channel, "the board is made anew: {reason}");
        let silent = Body {
            mentions: Vec::new(),
            ..self.message.body.clone()
        };
        let out = Outgoing {
            answers: None,
            of: None,
            ..self.outgoing(&silent)
        };
        // With the message its topic may have gone.
        let place = self.place().await?;
        self.due.outlet.chat.send(&place, out).await
    }
}
