//! Replies in words: each is a small template of its language, in English where the language has none.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use handlebars::{
    Context, Handlebars, Helper, HelperResult, Output, RenderContext, RenderError, no_escape,
};
use jiff::Timestamp;
use serde_json::Value;

use super::{engine::harmless, times::Zone};
use crate::{
    config::shipped_replies,
    domain::{
        people::reply::Reply,
        plan::language::{DEFAULT_LOCALE, Language},
    },
};

/// The replies of one language, compiled.
pub struct ReplyTemplates(Handlebars<'static>);

impl ReplyTemplates {
    /// Compiles the templates of `language`, and for what it has none those of `others`, which come first.
    pub fn new(others: &BTreeMap<String, String>, language: &Arc<Language>, zone: &Zone) -> Self {
        let mut engine = Handlebars::new();
        engine.set_strict_mode(true);
        engine.register_escape_fn(no_escape);
        register_helpers(&mut engine, language, zone);
        for (name, text) in others.iter().chain(&language.replies) {
            // One that can't be compiled was reported when its file was read; the one before it stays.
            if let Err(error) = engine.register_template_string(name, text) {
                tracing::warn!(reply = name, "{error}");
            }
        }
        Self(engine)
    }

    fn words(&self, reply: &Reply) -> Result<String, RenderError> {
        self.0.render(reply.name(), reply)
    }
}

/// The English words of a reply, for records and the command line.
pub fn in_english(templates: &ReplyTemplates, reply: &Reply) -> String {
    static ENGLISH_REPLIES: LazyLock<ReplyTemplates> = LazyLock::new(|| {
        let english = Arc::new(Language::english().clone());
        ReplyTemplates::new(shipped_replies(), &english, &Zone(jiff::tz::TimeZone::UTC))
    });
    templates
        .words(reply)
        .or_else(|error| {
            tracing::warn!("the words of {} in {DEFAULT_LOCALE}: {error}", reply.name());
            ENGLISH_REPLIES.words(reply)
        })
        .unwrap_or_else(|_| reply.name().replace('_', " "))
}

/// The words of a reply in a language, or else in English.
pub fn in_words(own: &ReplyTemplates, english: &ReplyTemplates, reply: &Reply) -> String {
    own.words(reply).unwrap_or_else(|error| {
        tracing::warn!("the words of {}: {error}", reply.name());
        in_english(english, reply)
    })
}

/// Words that can't format, link or mention, as Markdown. Several lines are a list.
pub fn as_markdown(words: &str) -> String {
    let lines: Vec<String> = words
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(harmless)
        .collect();
    match lines.as_slice() {
        [line] => line.clone(),
        lines => lines.iter().map(|line| format!("- {line}\n")).collect(),
    }
}

/// `{{written at}}` writes a time, `{{list names ", "}}` names with a text between them, `{{word role}}` a word.
fn register_helpers(engine: &mut Handlebars<'static>, language: &Arc<Language>, zone: &Zone) {
    let (own, zone) = (language.clone(), zone.clone());
    let written = move |h: &Helper<'_>,
                        _: &Handlebars<'_>,
                        _: &Context,
                        _: &mut RenderContext<'_, '_>,
                        out: &mut dyn Output|
          -> HelperResult {
        let at: Option<Timestamp> = text(h, 0).and_then(|text| text.parse().ok());
        if let Some(at) = at {
            out.write(&zone.written_in(&own, at))?;
        }
        Ok(())
    };
    engine.register_helper("written", Box::new(written));
    let own = language.clone();
    let word = move |h: &Helper<'_>,
                     _: &Handlebars<'_>,
                     _: &Context,
                     _: &mut RenderContext<'_, '_>,
                     out: &mut dyn Output|
          -> HelperResult {
        out.write(own.word(text(h, 0).unwrap_or_default()))?;
        Ok(())
    };
    engine.register_helper("word", Box::new(word));
    engine.register_helper("list", Box::new(list));
}

fn list(
    h: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let names: Vec<&str> = h
        .param(0)
        .and_then(|names| names.value().as_array())
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    out.write(&names.join(text(h, 1).unwrap_or(", ")))?;
    Ok(())
}

fn text<'a>(h: &'a Helper<'_>, index: usize) -> Option<&'a str> {
    h.param(index).and_then(|param| param.value().as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strum::VariantNames as _;

    use super::*;
    use crate::{
        config::{ConfigFiles, Origin, locale},
        domain::people::reply::{Hint, RosterReady},
    };

    fn shipped() -> BTreeMap<String, Language> {
        let files = ConfigFiles::read(&Origin::Embedded).unwrap();
        locale::read(&files.words, &mut Vec::new())
    }

    fn in_language(locale: &str, reply: &Reply) -> String {
        let language = Arc::new(shipped()[locale].clone());
        let zone = Zone(jiff::tz::TimeZone::get("Europe/Berlin").unwrap());
        ReplyTemplates::new(&BTreeMap::new(), &language, &zone)
            .words(reply)
            .unwrap()
    }

    #[test]
    fn every_reply_has_words_in_every_shipped_language() {
        let wanted: BTreeSet<&str> = Reply::VARIANTS
            .iter()
            .copied()
            .chain(locale::SHARED_REPLIES)
            .collect();
        for (locale, language) in shipped() {
            let there: BTreeSet<&str> = language.replies.keys().map(String::as_str).collect();
            assert_eq!(there, wanted, "{locale}");
        }
    }

    #[test]
    fn replies_with_parts_read_well() {
        let reply = Reply::UnknownUpgrade {
            upgrade: "v3".to_owned(),
            hint: Hint {
                near: Some("v2".to_owned()),
                known: vec!["v2".to_owned()],
            },
        };
        assert_eq!(
            in_language("en", &reply),
            "I know no upgrade v3: did you mean v2?"
        );
        assert_eq!(
            in_language("de", &reply),
            "Ich kenne kein Upgrade v3: war v2 gemeint?"
        );
        let by = "2026-12-01T13:00:00Z".parse().unwrap();
        let reply = Reply::Roster {
            notice: "announced".to_owned(),
            count: 1,
            of: 3,
            by,
            missing: vec!["A & B".to_owned(), "C".to_owned()],
            ready: Some(RosterReady {
                count: 3,
                by,
                missing: Vec::new(),
            }),
        };
        assert_eq!(
            in_language("en", &reply),
            "announced: 1 of 3 have answered; until Tue 1 Dec 2026, 14:00 CET (13:00 UTC). Missing: A & B, C.\n\
             Ready: 3 of 3; until Tue 1 Dec 2026, 14:00 CET (13:00 UTC). Missing: nobody.\n\
             The record is written by: herald roster"
        );
        use crate::domain::people::permission::Role;
        let roles = |roles| Reply::NotTheirCommand {
            command: "go".to_owned(),
            roles,
        };
        assert_eq!(
            in_language("en", &roles(vec![Role::CommunicationTeam, Role::Operator])),
            "go is for the communication team and operators; people.yaml says who they are."
        );
        assert_eq!(
            in_language("en", &roles(Vec::new())),
            "go is for nobody; people.yaml says who they are."
        );
    }
}
