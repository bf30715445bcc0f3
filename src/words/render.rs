//! What a post says: rendered for its channel, at the moment when it goes out.

use std::sync::Arc;

use jiff::Timestamp;

use super::{card, context, mention, picture, render_cache::Wanted};
use crate::{
    config::{Config, Readers},
    deliver::dispatcher::Dispatcher,
    domain::{
        outbox::post::{Body, Button, Operation, Post, PostState},
        people::command::Verb,
        plan::{
            language::Language,
            notice::{Happening, Notice, Trigger},
        },
    },
    lint::DISCORD_LIMIT,
    listen::{poll, rollcall},
    outbox::{Book, CORRECTION, Core, Outlet},
    ports::{Accepting, Platform, StoreError},
};

impl Dispatcher {
    pub(crate) async fn render(
        &self,
        book: &Arc<Book>,
        post: &Post,
        accepted: &Accepting,
        outlet: &Outlet,
        (due, late): (Timestamp, bool),
        now: Timestamp,
    ) -> Result<Result<Body, String>, StoreError> {
        if post.operation == Operation::Preview {
            return self.gate.preview(book, accepted, outlet, post).await;
        }
        if matches!(post.operation, Operation::Publish | Operation::Pin | Operation::Unpin | Operation::Close) {
            return Ok(Ok(Body::default()));
        }
        let Some(notice) = book.plan().notice(accepted.upgrade.urgency, &post.notice) else {
            return Ok(Err(format!("the plan no longer has a notice `{}`", post.notice)));
        };
        if post.operation == Operation::Event {
            let event = card::event(book, accepted, notice, &outlet.locale, now);
            return Ok(event.map(|event| Body { event: Some(event), ..Body::default() }));
        }
        let thread = self.core.store.sent(&post.upgrade, &post.channel, Operation::Thread).await?.and_then(|p| p.link);
        let reminded = rollcall::missing(&self.core, book, accepted, outlet, post).await?;
        if reminded.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Err("nobody is missing any more".to_owned()));
        }
        let correction = post.detail.as_deref().and_then(|d| d.strip_prefix(CORRECTION)).filter(|_| post.operation == Operation::Mark);
        let moment = context::Moment {
            fact: post.fact.as_ref(),
            due: Some(due),
            late,
            thread: thread.as_deref(),
            detail: post.detail.as_deref(),
            correction,
            missing: reminded.as_deref().unwrap_or_default(),
            ..Default::default()
        };
        if post.operation == Operation::Mark {
            return self.marked(post, accepted, notice, outlet, &moment, now).await;
        }
        // A reminder that is on time says "in 1 hour", not "in 59 minutes" for the second it took.
        let seen_at = if late || post.operation == Operation::Edit { now } else { due };
        Ok(body(&self.core, book, (accepted, notice), post.operation, outlet, &moment, seen_at))
    }

    /// The message that a post answers: what takes something back, the last one in its channel that it is about; a window
    /// that is set, the poll on it. Until the post is out nothing else is posted there, so each try answers the same.
    pub(crate) async fn answers(&self, post: &Post, accepted: &Accepting) -> Result<Option<String>, StoreError> {
        let book = self.core.book();
        let notice = |post: &Post| book.plan().notice(accepted.upgrade.urgency, &post.notice);
        let on = |post: &Post, wanted: &dyn Fn(Happening) -> bool| {
            notice(post).is_some_and(|n| matches!(n.trigger, Trigger::On(happening) if wanted(happening)))
        };
        let (takes_back, sets) = (on(post, &Happening::answers), on(post, &|happening| happening == Happening::WindowSet));
        if post.operation != Operation::Post || !(takes_back || sets) {
            return Ok(None);
        }
        // The board says at all times what is so: there is nothing in it to take back.
        let said = |p: &&Post| {
            p.channel == post.channel
                && p.operation == Operation::Post
                && p.state == PostState::Sent
                && !notice(p).is_some_and(|n| n.board)
                && (takes_back || on(p, &|happening| happening == Happening::WindowProposed))
        };
        let posts = self.core.store.posts(&post.upgrade).await?;
        Ok(posts.iter().filter(said).max_by_key(|p| (p.due, p.rank)).and_then(|p| p.remote.clone()))
    }

    /// Whether the post, as edited last, reads like this already; or the calendar.
    pub(crate) async fn says_nothing_new(&self, edit: &Post, body: &Body) -> Result<bool, StoreError> {
        if !matches!(edit.operation, Operation::Edit | Operation::Event) {
            return Ok(false);
        }
        for edition in (0..edit.edition).rev() {
            let operation = if edition == 0 && edit.operation == Operation::Edit { Operation::Post } else { edit.operation };
            let before = self.core.store.post(&edit.beside(operation, edition).key).await?;
            if let Some(before) = before.filter(|p| p.state == PostState::Sent) {
                let same = |b: Body| (b.text == body.text) && b.card == body.card && b.event == body.event;
                return Ok(before.body.is_some_and(same));
            }
        }
        Ok(false)
    }

    /// Whether a later edition went out while this one waited aside.
    pub(crate) async fn is_outdated(&self, post: &Post) -> Result<bool, StoreError> {
        let posts = self.core.store.posts(&post.upgrade).await?;
        let later = |p: &Post| p.edition > post.edition && p.key == post.beside(post.operation, p.edition).key;
        Ok(posts.iter().any(|p| p.operation == post.operation && p.state == PostState::Sent && later(p)))
    }

    /// What a post says, with a line on top that it no longer holds.
    async fn marked(
        &self,
        post: &Post,
        accepted: &Accepting,
        notice: &Notice,
        outlet: &Outlet,
        moment: &context::Moment<'_>,
        now: Timestamp,
    ) -> Result<Result<Body, String>, StoreError> {
        let root = self.core.store.post(&post.beside(Operation::Post, 0).key).await?.filter(|p| p.state == PostState::Sent);
        let Some(said) = root.and_then(|p| p.body) else { return Ok(Err("its notice was not posted".to_owned())) };
        Ok(body(&self.core, &self.core.book(), (accepted, notice), Operation::Mark, outlet, moment, now).map(|mark| Body {
            text: shortened(format!("{}\n\n{}", mark.text, said.text), outlet.platform),
            html: mark.html.zip(said.html).map(|(mark, said)| format!("{mark}\n{said}")),
            picture: None,
            mentions: said.mentions,
            ..Body::default()
        }))
    }
}

/// Of a post that no longer holds, the end is left out where the mark makes it longer than the platform takes.
fn shortened(text: String, platform: Platform) -> String {
    if platform != Platform::Discord || text.chars().count() <= DISCORD_LIMIT {
        return text;
    }
    let head: String = text.chars().take(DISCORD_LIMIT - 2).collect();
    format!("{}\n…", head.rsplit_once('\n').map_or(head.as_str(), |(lines, _)| lines))
}

/// The body of one operation of a notice.
pub fn body(
    core: &Core,
    book: &Arc<Book>,
    (accepted, notice): (&Accepting, &Notice),
    operation: Operation,
    outlet: &Outlet,
    moment: &context::Moment<'_>,
    now: Timestamp,
) -> Result<Body, String> {
    let picture = || context::pictured(&accepted.progress).map(|times| picture::block_times(&times));
    let template = match operation {
        Operation::Post | Operation::Edit => notice.template.as_str(),
        Operation::Thread => THREAD_TEMPLATE,
        Operation::Mark => MARK_TEMPLATE,
        Operation::Preview => PREVIEW_TEMPLATE,
        Operation::Poll => poll::TEMPLATE,
        Operation::Picture => {
            let picture = picture().ok_or("there are no block times to draw")?;
            return Ok(Body { text: picture.alt.clone(), picture: Some(picture), ..Body::default() });
        }
        // They change what is out, and say nothing of their own.
        Operation::Publish | Operation::Pin | Operation::Unpin | Operation::Event | Operation::Close => return Ok(Body::default()),
    };
    let wanted = Wanted { accepted, notice, template, locale: &outlet.locale, moment };
    let mut body = core.press.body(book, wanted, outlet.platform, now)?;
    if matches!(operation, Operation::Post | Operation::Edit) {
        let named = moment.missing.iter().flat_map(|m| m.accounts.iter().cloned());
        mention::name(&mut body, outlet.platform, mention::whom(notice, &outlet.mentions).into_iter().chain(named).collect());
    }
    if matches!(operation, Operation::Post | Operation::Edit) && outlet.platform == Platform::Discord && outlet.readers == Readers::Public {
        body.card = card::card(&core.cards, book, (accepted, notice), &outlet.locale, now)?;
    }
    if operation == Operation::Poll {
        let windows = accepted.upgrade.poll.as_ref().map_or(0, |poll| poll.windows.len());
        let ballot = poll::ballot(&body.text, windows)?;
        // What else is in the body says the same to clients without votes.
        return Ok(Body { ballot: Some(ballot), ..body });
    }
    // Who is asked for an answer can give it by a press; an edit keeps what is there.
    if operation == Operation::Post && outlet.platform == Platform::Discord {
        body.buttons = buttons(&book.config, &accepted.upgrade.id, notice, &outlet.locale);
    }
    if operation == Operation::Post && notice.picture && outlet.platform == Platform::Discord {
        body.picture = picture();
    }
    Ok(body)
}

/// What people can press below a notice.
pub fn buttons(config: &Config, upgrade: &str, notice: &Notice, locale: &str) -> Vec<Button> {
    let words = config.languages.get(locale).unwrap_or(Language::english());
    let button =
        |word: &'static str, verb: Verb| Button { label: words.word(word).to_owned(), line: format!("{} upgrade={upgrade}", verb.name()) };
    let mut buttons = Vec::new();
    if notice.acknowledge && !config.roster.is_empty() {
        buttons.extend([button("button_seen", Verb::Ack), button("button_ready", Verb::Ready)]);
    }
    if notice.feedback {
        buttons.extend([button("button_feedback", Verb::Feedback), button("button_details", Verb::Status)]);
    }
    buttons
}

/// The line on top of a post that no longer holds.
pub const MARK_TEMPLATE: &str = "scheduling/mark";

/// What stands above a notice that is to be approved.
pub const PREVIEW_TEMPLATE: &str = "operations/approval";

/// The opening message of a feedback thread.
pub const THREAD_TEMPLATE: &str = "validation/feedback-thread";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_pushes_the_end_out_and_not_the_beginning() {
        let said = "x".repeat(99);
        let text = format!("> mark\n\n{}", vec![said.as_str(); 20].join("\n"));
        let cut = shortened(text.clone(), Platform::Discord);
        assert!(cut.starts_with("> mark\n\n") && cut.ends_with("x\n…") && cut.chars().count() <= 2_000);
        assert_eq!(shortened(text.clone(), Platform::Matrix), text);
        assert_eq!(shortened(said.clone(), Platform::Discord), said);
    }
}
