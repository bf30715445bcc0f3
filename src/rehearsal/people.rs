//! The invented people of a rehearsal: they agree, answer for providers, and say how it went.

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
    ports::{Asker, Clock, Platform},
};

impl Rehearsal {
    /// Invented people agree to what they are asked about.
    pub(super) async fn people_approve(&self) -> anyhow::Result<bool> {
        let mut busy = false;
        let now = self.clock.now();
        for open in self
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
                let approved = self.gate.approve(&open.consent.code, approver).await;
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
    pub(super) async fn people_answer(&mut self) -> anyhow::Result<bool> {
        if self.answered {
            return Ok(false);
        }
        let posts = self.core.store.posts(&self.act.upgrade.id).await?;
        let threads: Vec<&Post> = posts
            .iter()
            .filter(|p| p.operation == Operation::Thread)
            .collect();
        if threads.is_empty() || threads.iter().any(|p| p.state != PostState::Sent) {
            return Ok(false);
        }
        self.answered = true;
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
        Ok(true)
    }

    /// Most of the roster's invented people react to a post that asks for it; the last one has to be reminded.
    pub(super) async fn providers_answer(&mut self) -> anyhow::Result<bool> {
        let snapshot = self.core.snapshot();
        let urgency = self.act.upgrade.urgency;
        let posts = self.core.store.posts(&self.act.upgrade.id).await?;
        let asks = |p: &&Post| {
            let notice = snapshot.plan().notice(urgency, &p.notice);
            let reminds =
                notice.is_some_and(|n| n.trigger == Trigger::On(Happening::Unacknowledged));
            p.is_message()
                && p.state == PostState::Sent
                && (reminds || notice.is_some_and(|n| n.acknowledge))
        };
        let mut busy = false;
        let unready = |p: &&Post| {
            snapshot
                .plan()
                .notice(urgency, &p.notice)
                .is_some_and(|n| n.trigger == Trigger::On(Happening::Unready))
        };
        for post in posts
            .iter()
            .filter(unready)
            .filter(|p| p.state == PostState::Sent && p.is_message())
        {
            let campaign = self.campaign().await?;
            let Some(outlet) = self
                .core
                .outlets
                .get(&post.channel)
                .filter(|_| self.acknowledged.insert(post.key.0.clone()))
            else {
                continue;
            };
            for person in snapshot
                .config
                .people
                .all
                .iter()
                .filter(|p| p.provider.is_some())
            {
                let asker = Asker::new(
                    outlet.platform,
                    account(person, outlet.platform),
                    &outlet.place,
                );
                rollcall::claim(&self.core, &campaign, &asker, Claim::Ready, None).await?;
            }
            self.output.say(&format!(
                "\n  ○ {}: every provider gives the command upgrade ready",
                post.channel
            ));
            busy = true;
        }
        for post in posts.iter().filter(asks) {
            if !self.acknowledged.insert(post.key.0.clone()) {
                continue;
            }
            let Some(outlet) = self.core.outlets.get(&post.channel) else {
                continue;
            };
            let Some((_, room)) = self.rooms.iter().find(|(p, _)| *p == outlet.platform) else {
                continue;
            };
            let providers = snapshot
                .config
                .people
                .all
                .iter()
                .filter(|p| p.provider.is_some());
            let reminder = snapshot
                .plan()
                .notice(urgency, &post.notice)
                .is_some_and(|n| !n.acknowledge);
            let mut answering: Vec<&Person> = providers.collect();
            let last = answering.pop();
            if reminder {
                // Reminded, the last one answers where it was asked.
                answering = last.into_iter().collect();
            }
            let asked = posts.iter().filter(|p| {
                p.channel == post.channel && p.state == PostState::Sent && p.is_message()
            });
            let asked = asked
                .filter(|p| {
                    snapshot
                        .plan()
                        .notice(urgency, &p.notice)
                        .is_some_and(|n| n.acknowledge)
                })
                .max_by_key(|p| p.sent);
            let Some(root) = asked.and_then(|p| p.remote.as_deref()) else {
                continue;
            };
            for person in &answering {
                room.react(
                    root,
                    account(person, outlet.platform),
                    &snapshot.plan().acknowledge,
                );
            }
            if let Some(first) = answering.first() {
                let rest = if answering.len() > 1 {
                    format!(" and {} more react", answering.len() - 1)
                } else {
                    " reacts".to_owned()
                };
                self.output.say(&format!(
                    "\n  ○ {}: {}{rest} with {}",
                    post.channel,
                    first.name,
                    snapshot.plan().acknowledge
                ));
            }
            busy = true;
        }
        Ok(busy)
    }
}

/// Who approves in a rehearsal, and who answers for the providers.
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
