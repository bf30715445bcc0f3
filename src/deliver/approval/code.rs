//! The code of a notice's text, and who has agreed to it.
//!
//! People approve what they can know beforehand: the words, with what the upgrade's file and the
//! plan's files put in. What only its hour tells (stages, blocks, counts, lateness) is left out.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::SourceFile,
    domain::{
        campaign::{Campaign, progress::Progress, upgrade::Upgrade},
        chain::{
            block_times::Estimate,
            fact::{Expected, Fact},
            fact_kind::FactKind,
            payload::Payload,
        },
        people::approval::{self, Consent, partials},
        plan::{
            language::DEFAULT_LOCALE,
            notice::{Happening, Notice},
        },
    },
    ports::Approved,
    words::{
        Context,
        context::{self, RenderInput},
        snapshot::ConfigSnapshot,
    },
};

/// Returns the code that people type to approve a notice of an upgrade; `detail` is the subject of a post without a fact.
pub fn notice_code(
    snapshot: &ConfigSnapshot,
    campaign: &Campaign,
    notice: &Notice,
    detail: Option<&str>,
) -> String {
    let upgrade = &campaign.upgrade;
    let still = Campaign {
        progress: Progress::new(upgrade),
        ..campaign.clone()
    };
    let happening = notice.trigger.happening_with_fact();
    let fact = happening.map(|happening| sample_fact(happening, upgrade));
    let moment = RenderInput {
        fact: fact.as_ref(),
        due: Some(upgrade.window.opens),
        detail,
        ..RenderInput::default()
    };
    let context = Context::from(context::of(&still, Some(notice), &snapshot.config, &moment));
    let named = notice
        .channels
        .iter()
        .filter_map(|name| snapshot.config.deployment.channels.get(name));
    let locales: BTreeSet<&str> = named
        .map(|channel| channel.locale.as_str())
        .chain([DEFAULT_LOCALE])
        .collect();
    let mut parts = vec![
        notice.id.clone(),
        format!(
            "{:?} {:?} {:?}",
            notice.channels, notice.mention, notice.audiences
        ),
        format!("{} {}", upgrade.window.opens, upgrade.window.closes),
    ];
    for locale in &locales {
        // A text that can't be made before its hour stands with all that it could say.
        let text = snapshot
            .renderer
            .markdown(&notice.template, locale, &context);
        parts.push(text.map_or_else(|_| context.data().to_string(), |text| text.markdown()));
    }
    // A branch that the hour may take is a part of the text as well.
    parts.extend(
        sources(&snapshot.config.templates, &notice.template, &locales)
            .into_iter()
            .map(str::to_owned),
    );
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    approval::text_code(&parts)
}

/// The consent that a notice has so far. People who may not approve any more don't count any more.
pub fn of(
    snapshot: &ConfigSnapshot,
    campaign: &Campaign,
    notice: &Notice,
    detail: Option<&str>,
    approvals: &[Approved],
) -> Consent {
    let persons = notice.approval.persons;
    if persons == 0 {
        return Consent::default();
    }
    let code = notice_code(snapshot, campaign, notice, detail);
    let people = &snapshot.config.people;
    let may = |name: &str| people.by_name(name).is_some_and(|p| people.may_approve(p));
    let counts =
        |a: &&Approved| a.upgrade == campaign.upgrade.id && a.code == code && may(&a.person);
    let given = approvals
        .iter()
        .filter(counts)
        .map(|a| (a.person.clone(), a.at))
        .collect();
    Consent {
        code,
        persons,
        given,
    }
}

/// The files a template is made from, in all of these languages.
fn sources<'a>(
    templates: &'a BTreeMap<String, SourceFile>,
    template: &str,
    locales: &BTreeSet<&str>,
) -> Vec<&'a str> {
    let (mut seen, mut next, mut texts) = (BTreeSet::new(), vec![template.to_owned()], Vec::new());
    while let Some(name) = next.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let translations = locales.iter().map(|locale| format!("{name}.{locale}"));
        for file in std::iter::once(name.clone())
            .chain(translations)
            .filter_map(|version| templates.get(&version))
        {
            texts.push(file.text.as_str());
            next.extend(partials(&file.text));
        }
    }
    texts
}

/// A fact of the kind that a notice waits for, the same at whatever time it is made.
pub(crate) fn sample_fact(happening: Happening, upgrade: &Upgrade) -> Fact {
    let (chain, version) = upgrade
        .chains
        .iter()
        .next()
        .map_or((String::new(), 0), |(name, target)| {
            (name.clone(), target.spec_version)
        });
    let kind = happening.fact_kind().unwrap_or(FactKind::Applied);
    let estimate = Some(Estimate {
        at: upgrade.window.opens,
        band: jiff::SignedDuration::from_mins(1),
    });
    Fact {
        payload: Payload::read(kind, ""),
        block: 1,
        hash: "0x01".to_owned(),
        spec_version: version,
        time: Some(upgrade.window.opens),
        on: None,
        expected: Some(Expected {
            chain: chain.clone(),
            block: 1,
            estimate,
        }),
        late: false,
        chain,
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::{
        config::{Origin, Person, Role},
        domain::plan::{
            notice::{Approval, Audience, Phase, Trigger},
            schedule::Offset,
        },
        lint,
    };

    /// The sample files, an upgrade of them, and a reminder that two have to approve.
    fn sample() -> (ConfigSnapshot, Campaign, Notice) {
        let loaded = lint::load(&Origin::Embedded).unwrap();
        let upgrade = loaded.config.upgrades[0].upgrade.clone();
        let approval = Approval {
            persons: 2,
            ask_before: SignedDuration::from_hours(24),
            useful_for: SignedDuration::from_hours(2),
        };
        let channels = vec!["discord-upgrades".to_owned()];
        let plain = Notice::new(
            "day-before",
            Phase::Scheduling,
            "scheduling/reminder",
            Trigger::At(Offset::Days(-1)),
        );
        let snapshot = ConfigSnapshot {
            config: loaded.config,
            renderer: loaded.renderer,
        };
        (
            snapshot,
            Campaign::new(upgrade, Timestamp::UNIX_EPOCH),
            Notice {
                approval,
                channels,
                ..plain
            },
        )
    }

    #[test]
    fn another_text_has_another_code_and_the_hour_has_none() {
        let (mut snapshot, campaign, notice) = sample();
        let first = notice_code(&snapshot, &campaign, &notice, None);
        let mut live = campaign.clone();
        live.progress
            .chains
            .values_mut()
            .for_each(|c| c.spec_version = Some(7));
        (live.progress.delayed, live.accepted) = (true, Timestamp::MAX);
        assert_eq!(notice_code(&snapshot, &live, &notice, None), first);

        let mut others = Vec::new();
        let mut with = |change: &dyn Fn(&mut Upgrade)| {
            let mut changed = campaign.clone();
            change(&mut changed.upgrade);
            others.push(notice_code(&snapshot, &changed, &notice, None));
        };
        with(&|u| u.title.push('!'));
        with(&|u| u.duties.values_mut().for_each(|d| d.what.push('!')));
        with(&|u| {
            u.window.closes = u
                .window
                .closes
                .checked_add(SignedDuration::from_mins(1))
                .unwrap()
        });
        others.push(notice_code(
            &snapshot,
            &campaign,
            &Notice {
                audiences: vec![Audience::Users],
                ..notice.clone()
            },
            None,
        ));
        others.push(notice_code(
            &snapshot,
            &campaign,
            &Notice {
                mention: vec!["validators".into()],
                ..notice.clone()
            },
            None,
        ));
        others.push(notice_code(
            &snapshot,
            &campaign,
            &Notice {
                channels: vec!["matrix-upgrades".into()],
                ..notice.clone()
            },
            None,
        ));
        // A partial of a branch that is not taken now.
        snapshot
            .config
            .templates
            .get_mut("partials/late")
            .unwrap()
            .text
            .push_str("Sorry.");
        others.push(notice_code(&snapshot, &campaign, &notice, None));
        others.push(first);
        let different: BTreeSet<&String> = others.iter().collect();
        assert_eq!(different.len(), others.len(), "{others:?}");
    }

    #[test]
    fn what_cannot_be_said_before_its_hour_stands_with_all_it_could_say() {
        let (snapshot, campaign, notice) = sample();
        let untold = Notice {
            trigger: Trigger::On(Happening::Documented),
            template: "not/there".into(),
            ..notice
        };
        let told = |link: &str| notice_code(&snapshot, &campaign, &untold, Some(link));
        assert_eq!(
            told("https://docs.example.org/a"),
            told("https://docs.example.org/a")
        );
        assert_ne!(
            told("https://docs.example.org/a"),
            told("https://docs.example.org/b")
        );
    }

    #[test]
    fn only_who_may_approve_counts_and_only_for_this_text() {
        let (mut snapshot, campaign, notice) = sample();
        let person = |name: &str, role| Person {
            name: name.into(),
            discord: None,
            matrix: None,
            roles: vec![role],
            ..Person::default()
        };
        snapshot.config.people.all = vec![
            person("Ada Invented", Role::CommunicationTeam),
            person("Ben Invented", Role::Validator),
        ];
        let code = notice_code(&snapshot, &campaign, &notice, None);
        let at = campaign.accepted;
        let approved = |person: &str, code: &str| Approved {
            upgrade: campaign.upgrade.id.clone(),
            code: code.into(),
            person: person.into(),
            at,
        };
        let all = [
            approved("Ada Invented", &code),
            approved("Ben Invented", &code),
            approved("Nobody", &code),
            approved("Ada Invented", "222222"),
        ];
        let consent = of(&snapshot, &campaign, &notice, None, &all);
        assert_eq!(
            (consent.given, consent.persons),
            (vec![("Ada Invented".to_owned(), at)], 2)
        );
    }
}
