//! Editions of what is kept up to date: one that would change nothing is not done.

use super::due::DuePost;
use crate::{
    domain::outbox::{Action, Body, Operation, PostState},
    ports::StoreError,
};

/// The reason why an edition needs not be done, if there is one.
pub(crate) async fn needless(
    due: &DuePost<'_>,
    body: &Body,
) -> Result<Option<&'static str>, StoreError> {
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

/// Whether the post, as edited last, reads like this already; or the calendar.
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

/// Whether a later edition went out while this one waited aside.
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
