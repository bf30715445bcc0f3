//! `herald run --dry`: the services of `herald run` over the real chains. Posts go to the terminal and to the page instead of
//! a chat, and nothing is kept.

use std::{collections::BTreeMap, io::Write, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    adapters::{clock::SystemClock, room::Room},
    config::{Config, Finding, Origin, StoreAt, Web},
    domain::{
        outbox::{Body, CalendarEvent, PostKey},
        people::feedback::{Heard, Reaction},
        plan::notice::Approval,
    },
    lint::{self, Loaded},
    ports::{Accepted, Chat, ChatError, Clock, Handling, Markup, Outgoing, Outlet, Platform},
    words::{Zone, as_words},
};

/// Loads the files, the example's own as well, since nobody reads what is posted. The store is in memory, the page is on a
/// free port of this machine, and no notice waits for an approval, since nobody is there to give it.
pub(super) fn load(origin: &Origin) -> Result<Loaded, Vec<Finding>> {
    let mut loaded = lint::load(origin)?;
    let Config {
        deployment, plan, ..
    } = &mut loaded.config;
    deployment.store = StoreAt {
        url: "sqlite::memory:".to_owned(),
        password: None,
    };
    deployment.web = Some(Web::on_this_machine(deployment.web.take()));
    for notice in plan.plans.values_mut().flat_map(|plan| &mut plan.notices) {
        notice.approval = Approval::default();
    }
    Ok(loaded)
}

/// The channels, each printed.
pub(super) fn outlets(config: &Config) -> BTreeMap<String, Outlet> {
    let channels = config.deployment.channels.iter();
    let outlets = channels.map(|(name, channel)| {
        let printed = PrintedChat {
            channel: name.clone(),
            place: channel.place.clone(),
            platform: channel.platform,
            room: Room::new(channel.platform),
            zone: Zone(config.plan.zone.clone()),
        };
        let outlet = channel.outlet(Arc::new(printed), channel.place.clone());
        (name.clone(), outlet)
    });
    outlets.collect()
}

/// A chat that nobody else is in: what is sent there is printed.
struct PrintedChat {
    channel: String,
    place: String,
    platform: Platform,
    room: Room,
    zone: Zone,
}

impl PrintedChat {
    /// Prints what was done in a place, with the words of it.
    fn print(&self, place: &str, done: &str, words: &str) {
        let title = self.platform.capabilities().title;
        let at = if place == self.place {
            format!("{} ({title})", self.channel)
        } else {
            format!("{title}, {place} alone")
        };
        let now = SystemClock.now();
        let head = format!("── {at} · {done} · {} ", self.zone.written(now));
        let rule = "─".repeat(78_usize.saturating_sub(head.chars().count()));
        let words: String = words.lines().map(|line| format!("   {line}\n")).collect();
        let is_control = |c: char| c.is_control() && c != '\n';
        let shown = format!("{head}{rule}\n{words}").replace(is_control, " ");
        // A closed pipe is the reader's choice, not a fault.
        let _ = writeln!(std::io::stdout(), "{shown}");
    }

    /// What people read of a message.
    fn words(&self, body: &Body) -> String {
        let read = |text: &str| match self.platform.capabilities().markup {
            Markup::Discord => as_words(text, SystemClock.now()),
            Markup::Matrix | Markup::Plain => text.to_owned(),
        };
        let mut parts = vec![read(&body.text)];
        parts.extend(body.card.as_ref().map(|card| read(&card.text)));
        if let Some(picture) = &body.picture {
            parts.push(format!("[picture: {}]", picture.alt));
        }
        if let Some(ballot) = &body.ballot {
            let choices = ballot.choices.iter();
            let choices = choices.map(|(mark, choice)| format!("\n{mark} {choice}"));
            parts.push(format!(
                "{}{}",
                ballot.question,
                choices.collect::<String>()
            ));
        }
        if !body.mentions.is_empty() {
            parts.push(format!("[notifies {}]", body.mentions.join(", ")));
        }
        parts.retain(|part| !part.is_empty());
        parts.join("\n")
    }
}

/// Nothing stands where a link could lead.
fn unlinked(accepted: Accepted) -> Accepted {
    Accepted {
        link: None,
        ..accepted
    }
}

#[async_trait]
impl Chat for PrintedChat {
    async fn send(&self, place: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        let accepted = self.room.send(place, out).await?;
        self.print(place, "post", &self.words(out.body));
        Ok(unlinked(accepted))
    }

    async fn find(
        &self,
        place: &str,
        key: &PostKey,
        since: Timestamp,
    ) -> Result<Option<Accepted>, ChatError> {
        Ok(self.room.find(place, key, since).await?.map(unlinked))
    }

    async fn open_thread(
        &self,
        place: &str,
        root: &str,
        title: &str,
        out: Outgoing<'_>,
    ) -> Result<Accepted, ChatError> {
        let opened = self.room.open_thread(place, root, title, out).await?;
        self.print(place, "thread", &self.words(out.body));
        Ok(unlinked(opened))
    }

    async fn edit(&self, place: &str, id: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        let edited = self.room.edit(place, id, out).await?;
        self.print(place, "edit", &self.words(out.body));
        Ok(unlinked(edited))
    }

    async fn handle(&self, place: &str, id: &str, how: Handling) -> Result<(), ChatError> {
        self.room.handle(place, id, how).await
    }

    async fn calendar(&self, key: &PostKey, event: &CalendarEvent) -> Result<Accepted, ChatError> {
        let noted = self.room.calendar(key, event).await?;
        let words = format!(
            "{}: {} to {}",
            event.name,
            self.zone.written(event.opens),
            self.zone.written(event.closes)
        );
        self.print(&self.place, "calendar event", &words);
        Ok(unlinked(noted))
    }

    async fn heard(
        &self,
        place: &str,
        root: &str,
        thread: Option<&str>,
    ) -> Result<Heard, ChatError> {
        self.room.heard(place, root, thread).await
    }

    async fn votes(&self, place: &str, id: &str) -> Result<Vec<Reaction>, ChatError> {
        self.room.votes(place, id).await
    }

    async fn direct(&self, user: &str) -> Result<String, ChatError> {
        self.room.direct(user).await
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}
