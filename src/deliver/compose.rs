//! Composes what a post says, at the moment when it goes out.

use jiff::Timestamp;

use super::{
    approval::preview,
    due::{DuePost, Unsayable},
    lateness::is_late,
};
use crate::{
    domain::{
        campaign::{Campaign, progress::State},
        outbox::{Action, Body, Content, Operation, Post, PostState},
    },
    ports::StoreError,
    report::roll,
    words::{
        card,
        context::RenderInput,
        render::{self, Subject, shortened},
    },
};

/// A post that is ready to be sent.
pub(crate) struct Message {
    pub body: Body,
    /// The post is so late that it says so.
    pub late: bool,
    /// The message that it hangs on.
    pub root: Option<String>,
}

/// The result of composing.
pub(crate) enum Composed {
    Message(Box<Message>),
    /// There is nothing to do, and that is no fault.
    Nothing(String),
    /// The words can't be made, and somebody has to look.
    Broken(String),
}

/// Makes the words of a post; those that an earlier attempt froze stay as they are.
pub(crate) async fn compose(due: &DuePost<'_>) -> Result<Composed, StoreError> {
    let message = match message(due).await {
        Ok(message) => message,
        Err(Unsayable::Store(error)) => return Err(error),
        Err(Unsayable::Because(reason)) if due.is_optional() => {
            return Ok(Composed::Nothing(reason));
        }
        Err(Unsayable::Because(reason)) => return Ok(Composed::Broken(reason)),
    };
    Ok(match needless(due, &message.body).await? {
        Some(reason) => Composed::Nothing(reason.to_owned()),
        None => Composed::Message(Box::new(message)),
    })
}

async fn message(due: &DuePost<'_>) -> Result<Message, Unsayable> {
    let post = &due.post;
    let edited = if post.operation.rules().action == Action::Edit {
        let key = post.key_beside(Operation::Post, 0);
        due.core.store.post(&key).await?
    } else {
        None
    };
    // An edit is as late as the post it changes was.
    let (planned, late) = match &edited {
        Some(root) => (root.due, root.late),
        None if post.body.is_none() => (post.due, is_late(post, due.now)),
        None => (post.due, post.late),
    };
    let body = match (&post.body, &due.campaign) {
        (Some(body), _) => body.clone(),
        (None, Some(campaign)) => body(due, campaign, planned, late).await?,
        (None, None) => return Err("its upgrade is no longer known".into()),
    };
    let root = root(due).await?;
    Ok(Message { body, late, root })
}

/// The words of one operation; `planned` is the time that they speak of.
async fn body(
    due: &DuePost<'_>,
    campaign: &Campaign,
    planned: Timestamp,
    late: bool,
) -> Result<Body, Unsayable> {
    let (core, post, outlet, snapshot) = (due.core, &due.post, due.outlet, &*due.snapshot);
    let content = post.operation.rules().content;
    match content {
        Content::Preview => return preview::preview(due, campaign).await,
        Content::Nothing => return Ok(Body::default()),
        _ => {}
    }
    let notice = due
        .notice()
        .ok_or_else(|| format!("the plan no longer has a notice `{}`", post.notice))?;
    if content == Content::CalendarEvent {
        let event = card::event(snapshot, campaign, notice, outlet, due.now)?;
        return Ok(Body {
            event: Some(event),
            ..Body::default()
        });
    }
    let thread = core
        .store
        .sent(&post.upgrade, &post.channel, Operation::Thread)
        .await?
        .and_then(|p| p.link);
    let missing = roll::missing(core, snapshot, campaign, outlet, post).await?;
    if missing.as_ref().is_some_and(Vec::is_empty) {
        return Err("nobody is missing any more".into());
    }
    if missing.is_some() && campaign.progress.state >= State::Applied {
        return Err("the upgrade is applied, so that an answer is of no use any more".into());
    }
    let input = RenderInput {
        fact: post.fact.as_ref(),
        due: Some(planned),
        late,
        thread: thread.as_deref(),
        detail: post.detail.as_deref(),
        correction: post.correction(),
        missing: missing.as_deref().unwrap_or_default(),
        ..RenderInput::default()
    };
    let subject = Subject {
        snapshot,
        campaign,
        notice,
        outlet,
    };
    if content == Content::Mark {
        return marked(due, subject, &input).await;
    }
    // A reminder that is on time says "in 1 hour", not "in 59 minutes" for the second it took.
    let is_seen_now = late || post.operation.rules().action == Action::Edit;
    let seen_at = if is_seen_now { due.now } else { planned };
    Ok(render::body(subject, post.operation, &input, seen_at)?)
}

/// The words of a post, with a line on top for each thing that no longer holds of it and for each correction.
async fn marked(
    due: &DuePost<'_>,
    subject: Subject<'_>,
    input: &RenderInput<'_>,
) -> Result<Body, Unsayable> {
    let posts = due.core.store.posts(&due.post.upgrade).await?;
    let said = shown(&posts, &due.post).ok_or("its notice was not posted")?;
    let mut lines: Vec<Body> = Vec::new();
    for mark in marks(&posts, &due.post) {
        let input = RenderInput {
            detail: mark.detail.as_deref(),
            correction: mark.correction(),
            ..input.clone()
        };
        let line = render::body(subject, mark.operation, &input, due.now)?;
        if !lines.iter().any(|known| known.text == line.text) {
            lines.push(line);
        }
    }
    let capabilities = due.outlet.platform.capabilities();
    let between = capabilities.markup.paragraph_break();
    let texts = lines.iter().chain([said]).map(|b| b.text.as_str());
    let html = lines.iter().chain([said]).map(|b| b.html.as_deref());
    Ok(Body {
        text: shortened(
            texts.collect::<Vec<_>>().join(between),
            capabilities.max_text,
        ),
        html: html.collect::<Option<Vec<_>>>().map(|html| html.join("\n")),
        mentions: said.mentions.clone(),
        ..Body::default()
    })
}

/// The words that the post of a mark has now, below its marks: those of its newest edit, or its own.
fn shown<'a>(posts: &'a [Post], mark: &Post) -> Option<&'a Body> {
    let has_words = |p: &&Post| {
        p.state == PostState::Sent
            && p.is_beside(mark)
            && matches!(p.operation, Operation::Post | Operation::Edit)
    };
    let newest = posts.iter().filter(has_words).max_by_key(|p| p.edition);
    newest?.body.as_ref()
}

/// All marks on the post of one of them. Each stays, since none makes another untrue by itself: what a mark of the window
/// says goes by how the upgrade stands now. Corrections come last, the newest at the end.
fn marks<'a>(posts: &'a [Post], mark: &Post) -> Vec<&'a Post> {
    let is_mark = |p: &&Post| p.operation == Operation::Mark && p.is_beside(mark);
    let mut marks: Vec<&Post> = posts.iter().filter(is_mark).collect();
    marks.sort_by_key(|p| (p.correction().is_some(), p.edition));
    marks
}

/// The message that a thread hangs on, a picture belongs to or an edit changes.
async fn root(due: &DuePost<'_>) -> Result<Option<String>, Unsayable> {
    let Some(of) = due.post.operation.rules().root else {
        return Ok(None);
    };
    let key = due.post.key_beside(of, 0);
    let root = due.core.store.post(&key).await?;
    let mut sent = root.filter(|p| p.state == PostState::Sent);
    if due.is_on_board()
        && of == Operation::Post
        && let Some(root) = sent
    {
        let posts = due.core.store.posts(&due.post.upgrade).await?;
        sent = Some(root.standing(&posts).clone());
    }
    let remote = sent.and_then(|p| p.remote).ok_or_else(|| {
        format!("its notice ({key}) was not posted, so there is nothing it could belong to")
    })?;
    Ok(Some(remote))
}

/// The reason why an edition needs not be done, if there is one.
async fn needless(due: &DuePost<'_>, body: &Body) -> Result<Option<&'static str>, StoreError> {
    let rules = due.post.operation.rules();
    if !rules.has_editions {
        return Ok(None);
    }
    if due.post.attempts == 0 && says_nothing_new(due, body).await? {
        return Ok(Some("it would change nothing"));
    }
    if rules.action == Action::Calendar && is_outdated(due).await? {
        return Ok(Some("the calendar says something newer"));
    }
    Ok(None)
}

/// Returns whether the post, as edited last, or the calendar reads like this already.
async fn says_nothing_new(due: &DuePost<'_>, body: &Body) -> Result<bool, StoreError> {
    let edit = &due.post;
    for edition in (0..edit.edition).rev() {
        // The first edition of a post's words is the post.
        let is_post = edition == 0 && edit.operation.rules().action == Action::Edit;
        let operation = if is_post {
            Operation::Post
        } else {
            edit.operation
        };
        let key = edit.key_beside(operation, edition);
        let before = due.core.store.post(&key).await?;
        if let Some(before) = before.filter(|p| p.state == PostState::Sent) {
            let is_same =
                |b: Body| b.text == body.text && b.card == body.card && b.event == body.event;
            return Ok(before.body.is_some_and(is_same));
        }
    }
    Ok(false)
}

/// Returns whether a later edition went out while this one waited aside.
async fn is_outdated(due: &DuePost<'_>) -> Result<bool, StoreError> {
    let post = &due.post;
    let posts = due.core.store.posts(&post.upgrade).await?;
    Ok(posts.iter().any(|p| {
        p.operation == post.operation
            && p.state == PostState::Sent
            && p.edition > post.edition
            && p.is_beside(post)
    }))
}
