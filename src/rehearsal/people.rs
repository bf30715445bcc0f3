//! The invented people of a rehearsal: they agree, answer for providers, and say how it went.

use std::collections::BTreeSet;

use super::driver::Rehearsal;
use crate::{
    config::{People, Person, Role},
    deliver::approval::gate::Approver,
    domain::{
        outbox::{Operation, Post, PostState},
        people::roster::{Claim, Provider},
        plan::notice::{Happening, Trigger},
    },
    listen::rollcall,
    ports::{Asker, Clock, Markup, Platform},
};

/// The invented people, as far as they have answered already.
#[derive(Default)]
pub(super) struct InventedPeople {
    gave_feedback: bool,
    /// The keys of posts that providers have reacted to.
    acknowledged: BTreeSet<String>,
}

impl Rehearsal {
    /// Invented people agree to what they are asked about.
    pub(super) async fn people_approve(&self) -> anyhow::Result<bool> {
        let mut busy = false;
        let now = self.clock.now();
        for open in self
            .services
            .gate
            .pending()
            .await?
            .into_iter()
            .filter(|o| !o.consent.complete() && o.ask <= now && now < o.until)
        {
            let needed = (open.consent.persons as usize).saturating_sub(open.consent.given.len());
            for person in self
                .core
                .snapshot()
                .config
                .people
                .all
                .iter()
                .filter(|p| p.roles.contains(&Role::CommunicationTeam))
                .take(needed)
            {
                let mut all = Platform::ALL.into_iter();
                let Some((platform, account)) = all.find_map(|p| Some((p, person.account(p)?)))
                else {
                    continue;
                };
                let approver = Approver::Account(platform, account);
                let approved = self
                    .services
                    .gate
                    .approve(&open.consent.code, approver)
                    .await;
                approved.map_err(|why| {
                    let why = self.core.snapshot().renderer.english_words(&why);
                    anyhow::anyhow!("{}: {why}", open.notice)
                })?;
            }
            let who = if needed == 1 {
                "an invented person approves"
            } else {
                "two invented people approve"
            };
            self.output.say(&format!("\n  ○ {who} {}", open.notice));
            busy = true;
        }
        Ok(busy)
    }

    /// Once the threads are open, invented people react and reply in each.
    pub(super) fn people_answer(&mut self, posts: &[Post]) {
        if self.people.gave_feedback {
            return;
        }
        let threads: Vec<&Post> = posts
            .iter()
            .filter(|p| p.operation == Operation::Thread)
            .collect();
        if threads.is_empty() || threads.iter().any(|p| p.state != PostState::Sent) {
            return;
        }
        self.people.gave_feedback = true;
        for thread in threads {
            let Some(outlet) = self.core.outlets.get(&thread.channel) else {
                continue;
            };
            let Some((_, room)) = self.rooms.iter().find(|(p, _)| *p == outlet.platform) else {
                continue;
            };
            let root = thread.remote.as_deref().unwrap_or_default();
            let people = &self.core.snapshot().config.people.all;
            for (meaning, person) in self
                .core
                .snapshot()
                .plan()
                .feedback
                .meanings
                .iter()
                .zip(people)
                .take(2)
            {
                room.react(root, account(person, outlet.platform), &meaning.emoji);
            }
            if let Some(person) = people.first() {
                room.reply(
                    &outlet.place,
                    root,
                    account(person, outlet.platform),
                    "My node imports blocks again.",
                    self.clock.now(),
                );
            }
            self.output.say(&format!(
                "\n  ○ {}: two invented people react, one replies in the thread",
                thread.channel
            ));
        }
    }

    /// Invented providers answer what asks them for it.
    pub(super) async fn providers_answer(&mut self, posts: &[Post]) -> anyhow::Result<()> {
        let sent = |p: &&Post| p.operation == Operation::Post && p.state == PostState::Sent;
        let sent: Vec<&Post> = posts.iter().filter(sent).collect();
        for post in &sent {
            if self.is_about(post, Happening::Unready) {
                self.providers_get_ready(post).await?;
            }
        }
        for post in &sent {
            if self.is_about(post, Happening::Unacknowledged) || self.asks(post) {
                self.providers_acknowledge(post, &sent);
            }
        }
        Ok(())
    }

    fn is_about(&self, post: &Post, happening: Happening) -> bool {
        let snapshot = self.core.snapshot();
        let notice = snapshot
            .plan()
            .notice(self.scenario.upgrade.urgency, &post.notice);
        notice.is_some_and(|n| n.trigger == Trigger::On(happening))
    }

    /// Tells whether providers are to acknowledge a post.
    fn asks(&self, post: &Post) -> bool {
        let snapshot = self.core.snapshot();
        let notice = snapshot
            .plan()
            .notice(self.scenario.upgrade.urgency, &post.notice);
        notice.is_some_and(|n| n.acknowledge)
    }

    /// Every provider says that their nodes are ready.
    async fn providers_get_ready(&mut self, post: &Post) -> anyhow::Result<()> {
        let campaign = self.campaign().await?;
        let Some(outlet) = self.core.outlets.get(&post.channel) else {
            return Ok(());
        };
        if !self.people.acknowledged.insert(post.key.0.clone()) {
            return Ok(());
        }
        let snapshot = self.core.snapshot();
        let people = &snapshot.config.people;
        for person in providers(people).filter(|person| !self.is_viewer(people, person)) {
            let own = account(person, outlet.platform);
            let asker = Asker::new(outlet.platform, own, &outlet.place);
            rollcall::claim(&self.core, &campaign, &asker, Claim::Ready, None).await?;
        }
        let who = match &self.controls {
            Some(_) => "every provider but yours",
            None => "every provider",
        };
        self.output.say(&format!(
            "\n  ○ {}: {who} gives the command upgrade ready",
            post.channel
        ));
        Ok(())
    }

    /// Tells whether a person is played by somebody who watches, for whom nobody else answers.
    fn is_viewer(&self, people: &People, person: &Person) -> bool {
        self.controls.is_some() && viewer(people).is_some_and(|v| v.name == person.name)
    }

    /// Most providers react to a post that asks for it; the last one has to be reminded.
    fn providers_acknowledge(&mut self, post: &Post, sent: &[&Post]) {
        if !self.people.acknowledged.insert(post.key.0.clone()) {
            return;
        }
        let Some(outlet) = self.core.outlets.get(&post.channel) else {
            return;
        };
        let Some((_, room)) = self.rooms.iter().find(|(p, _)| *p == outlet.platform) else {
            return;
        };
        let snapshot = self.core.snapshot();
        let mut answering: Vec<&Person> = providers(&snapshot.config.people).collect();
        let last = answering.pop();
        if !self.asks(post) {
            // Reminded, the last one answers where it was asked.
            answering = last
                .into_iter()
                .filter(|last| !self.is_viewer(&snapshot.config.people, last))
                .collect();
        }
        let here = sent.iter().filter(|p| p.channel == post.channel);
        let asked = here.filter(|p| self.asks(p)).max_by_key(|p| p.sent);
        let Some(root) = asked.and_then(|p| p.remote.as_deref()) else {
            return;
        };
        let reaction = &snapshot.plan().acknowledge;
        for person in &answering {
            room.react(root, account(person, outlet.platform), reaction);
        }
        if let Some(first) = answering.first() {
            let rest = if answering.len() > 1 {
                format!(" and {} more react", answering.len() - 1)
            } else {
                " reacts".to_owned()
            };
            self.output.say(&format!(
                "\n  ○ {}: {}{rest} with {reaction}",
                post.channel, first.name
            ));
        }
    }
}

/// Who somebody that watches plays: one whom the roster lists, where it lists anybody, so that they can say that their nodes
/// are ready.
pub(super) fn viewer(people: &People) -> Option<&Person> {
    providers(people).last()
}

fn providers(people: &People) -> impl Iterator<Item = &Person> {
    people.all.iter().filter(|p| p.provider.is_some())
}

/// Invents the people who approve in a rehearsal, and those who answer for the providers.
pub(super) fn invented(roster: &[Provider]) -> People {
    let person = |name: String, number: usize, role: Role, provider: Option<String>| Person {
        discord: Some((1_400_000_000_000_000_001_u64 + number as u64).to_string()),
        matrix: Some(format!("@person{}:example.org", number + 1)),
        name,
        roles: vec![role],
        audience: None,
        provider,
    };
    let team = ["Ada (invented)", "Ben (invented)"]
        .into_iter()
        .map(|name| (name.to_owned(), Role::CommunicationTeam, None));
    let providers = roster
        .iter()
        .map(|p| (p.name.clone(), Role::Validator, Some(p.id.clone())));
    let all = team
        .chain(providers)
        .enumerate()
        .map(|(i, (name, role, provider))| person(name, i, role, provider))
        .collect();
    People {
        all,
        ..People::default()
    }
}

fn account(person: &Person, platform: Platform) -> &str {
    person.account(platform).unwrap_or_default()
}

/// The account of somebody whom no file lists.
pub(super) fn invented_account(platform: Platform) -> &'static str {
    match platform.capabilities().markup {
        Markup::Discord => "1500000000000000001",
        Markup::Matrix => "@you:example.org",
        Markup::Plain => "you",
    }
}
