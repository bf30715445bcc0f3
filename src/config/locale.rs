//! `templates/words/<locale>.yaml`: how a language writes times, lengths and herald's own words; and
//! what translations and channels need of it.

use std::{collections::BTreeMap, sync::LazyLock};

use handlebars::{TemplateError, TemplateErrorReason};
use schemars::JsonSchema;
use serde::Deserialize;
use strum::VariantNames as _;

use super::{
    deployment::Deployment,
    files::{ConfigFiles, Origin},
    yaml::{
        finding::{Finding, Severity, nearest, suggest},
        source::SourceFile,
    },
};
use crate::domain::{
    people::reply::Reply,
    plan::language::{DEFAULT_LOCALE, Dates, Language, Spans, is_locale, placeholders, split},
};

/// How a language writes times, lengths and herald's own words.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWords {
    /// As its readers call it: Deutsch.
    #[schemars(length(min = 1))]
    name: String,
    /// How a time is written, of {weekday} {day} {month} {month_number} {year} {time} {zone}.
    dates: Dates,
    /// How long something is, and how far away.
    spans: Spans,
    /// The words of {{word …}} in templates: on the left as herald has them, on the right as people read them.
    words: BTreeMap<String, String>,
    /// The answers to commands: templates by names of herald's own. An answer that is left out is given in English.
    #[serde(default)]
    replies: BTreeMap<String, String>,
}

/// Templates that replies share, beside those of the replies themselves.
pub const SHARED_REPLIES: [&str; 3] = ["hint", "roles", "thank"];

/// The replies in English that are in the program itself: a folder's own files need not have all of them.
pub fn shipped_replies() -> &'static BTreeMap<String, String> {
    static ENGLISH_REPLIES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
        let files = ConfigFiles::read(&Origin::Embedded).map(|files| files.words);
        let mut languages = read(&files.unwrap_or_default(), &mut Vec::new());
        languages
            .remove(DEFAULT_LOCALE)
            .map(|english| english.replies)
            .unwrap_or_default()
    });
    &ENGLISH_REPLIES
}

/// Every language of the files, by its locale. English is the measure: its words are those there are.
pub fn read(
    files: &BTreeMap<String, SourceFile>,
    findings: &mut Vec<Finding>,
) -> BTreeMap<String, Language> {
    let mut languages = BTreeMap::new();
    for (locale, file) in files {
        if !is_locale(locale) {
            let hint =
                "name the file after the language, and perhaps a country: de.yaml, pt-BR.yaml"
                    .to_owned();
            findings.push(file.at((1, 1), format!("`{locale}` is not a locale"), hint));
            continue;
        }
        let Some(RawWords {
            name,
            dates,
            spans,
            words,
            replies,
        }) = file.parse::<RawWords>(findings)
        else {
            continue;
        };
        let language = Language {
            locale: locale.clone(),
            name,
            dates,
            spans,
            words,
            replies,
        };
        self::replies(&language, file, findings);
        patterns(&language, file, findings);
        languages.insert(locale.clone(), language);
    }
    if let Some(english) = languages.get(DEFAULT_LOCALE) {
        for (locale, language) in &languages {
            if let Some(file) = files.get(locale) {
                vocabulary(language, english, file, findings);
            }
        }
    }
    languages
}

/// Parts of a date, and those without which a time could not be understood.
const DATE_PARTS: &[&str] = &[
    "weekday",
    "day",
    "month",
    "month_number",
    "year",
    "time",
    "zone",
];

/// A pattern of a words file: where it stands, the parts it may have and those it must.
struct Pattern<'a> {
    at: [&'static str; 2],
    text: &'a str,
    known: &'static [&'static str],
    needed: &'static [&'static str],
}

fn patterns(language: &Language, file: &SourceFile, findings: &mut Vec<Finding>) {
    unnamed(language, file, findings);
    let (dates, spans) = (&language.dates, &language.spans);
    let date = |key, text, needed| Pattern {
        at: ["dates", key],
        text,
        known: DATE_PARTS,
        needed,
    };
    let span = |key, text, needed| Pattern {
        at: ["spans", key],
        text,
        known: needed,
        needed,
    };
    let all = [
        date("full", &dates.full, &["day", "year", "time", "zone"]),
        date("other_day", &dates.other_day, &["day", "time", "zone"]),
        date("same_day", &dates.same_day, &["time", "zone"]),
        span("span", &spans.span, &["number", "unit"]),
        span("in", &spans.ahead, &["span"]),
        span("ago", &spans.ago, &["span"]),
    ];
    for Pattern {
        at,
        text,
        known,
        needed,
    } in all
    {
        for name in placeholders(text).filter(|name| !known.contains(name)) {
            findings.push(file.wrong(
                &at,
                format!("`{{{name}}}` means nothing here"),
                suggest(name, known.iter().copied()),
            ));
        }
        for name in needed
            .iter()
            .filter(|name| !placeholders(text).any(|p| p == **name))
        {
            findings.push(file.wrong(
                &at,
                format!("`{{{name}}}` is missing, so people could not read the time"),
                "put it in",
            ));
        }
    }
}

/// Days, months and units that would be written as nothing.
fn unnamed(language: &Language, file: &SourceFile, findings: &mut Vec<Finding>) {
    let (dates, spans) = (&language.dates, &language.spans);
    let mut texts: Vec<(Vec<String>, &String)> = vec![(vec!["name".to_owned()], &language.name)];
    let path = |keys: &[&str], i: usize| {
        keys.iter()
            .map(|k| (*k).to_owned())
            .chain([i.to_string()])
            .collect::<Vec<_>>()
    };
    texts.extend(
        dates
            .weekdays
            .iter()
            .enumerate()
            .map(|(i, text)| (path(&["dates", "weekdays"], i), text)),
    );
    texts.extend(
        dates
            .months
            .iter()
            .enumerate()
            .map(|(i, text)| (path(&["dates", "months"], i), text)),
    );
    for (key, unit) in [
        ("second", &spans.second),
        ("minute", &spans.minute),
        ("hour", &spans.hour),
        ("day", &spans.day),
    ] {
        texts.extend(
            unit.alone
                .iter()
                .enumerate()
                .map(|(i, text)| (path(&["spans", key, "alone"], i), text)),
        );
        texts.extend(
            unit.away
                .iter()
                .enumerate()
                .map(|(i, text)| (path(&["spans", key, "away"], i), text)),
        );
    }
    for (path, _) in texts.iter().filter(|(_, text)| text.trim().is_empty()) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        findings.push(file.wrong(
            &path,
            "nothing is written here",
            "write the word people read",
        ));
    }
}

/// Warns of missing words: they are written as herald has them, which is no loss of meaning.
fn vocabulary(
    language: &Language,
    english: &Language,
    file: &SourceFile,
    findings: &mut Vec<Finding>,
) {
    let mut warn = |path: &[&str], message: String, hint: String| {
        findings.push(Finding {
            severity: Severity::Warning,
            ..file.wrong(path, message, hint)
        });
    };
    for (word, meaning) in english
        .words
        .iter()
        .filter(|(word, _)| !language.words.contains_key(*word))
    {
        warn(
            &["words"],
            format!("there is no word for `{word}`"),
            format!("add `{word}:`; in English it is \"{meaning}\""),
        );
    }
    for word in language
        .words
        .keys()
        .filter(|word| !english.words.contains_key(*word))
    {
        let hint = match nearest(word, english.words.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "remove it; if your templates use it, add it to words/en.yaml too".to_owned(),
        };
        warn(
            &["words", word],
            format!("`{word}` is none of herald's words"),
            hint,
        );
    }
    for (word, _) in language
        .words
        .iter()
        .filter(|(_, meaning)| meaning.trim().is_empty())
    {
        findings.push(file.wrong(
            &["words", word],
            format!("`{word}` would be written as nothing"),
            "write the word people read",
        ));
    }
}

/// A finding for each reply that is no template, and a warning for each that nobody gives.
fn replies(language: &Language, file: &SourceFile, findings: &mut Vec<Finding>) {
    for (name, text) in &language.replies {
        let known = Reply::VARIANTS.iter().chain(&SHARED_REPLIES).copied();
        if !known.clone().any(|known| known == name) {
            findings.push(Finding {
                severity: Severity::Warning,
                ..file.wrong(
                    &["replies", name],
                    format!("`{name}` is none of herald's replies"),
                    suggest(name, known),
                )
            });
        }
        if let Err(error) = handlebars::Template::compile(text) {
            let (message, hint) = template_error(&error);
            findings.push(file.wrong(&["replies", name], message, hint));
        }
    }
}

/// Puts in words why a text is no template, and what to do. Handlebars names the rules of its grammar.
pub fn template_error(error: &TemplateError) -> (String, &'static str) {
    use TemplateErrorReason as Reason;
    let why = match error.reason() {
        Reason::MismatchingClosedHelper(opened, closing)
        | Reason::MismatchingClosedDecorator(opened, closing) => {
            format!("`{{{{#{opened}}}}}` is open, and `{{{{/{closing}}}}}` would close another")
        }
        Reason::InvalidParam(param) => format!("`{param}` can't stand behind a name"),
        _ => "what stands between braces here is not whole, or a block is not closed".to_owned(),
    };
    (
        format!("this is not a template: {why}"),
        "look for an unclosed {{ or a missing {{/…}}",
    )
}

/// A finding for each template that claims to be a translation and can't be.
pub fn translations(
    templates: &BTreeMap<String, SourceFile>,
    words: &BTreeMap<String, SourceFile>,
    findings: &mut Vec<Finding>,
) {
    for (name, file) in templates {
        let (original, Some(locale)) = split(name) else {
            continue;
        };
        let (message, hint) = if !is_locale(locale) {
            (
                format!("`{locale}` is not a locale"),
                "behind a dot stands a language, as in applied.de.md.hbs or applied.pt-BR.md.hbs"
                    .into(),
            )
        } else if locale == DEFAULT_LOCALE {
            (
                format!("`{original}` needs no translation into `{DEFAULT_LOCALE}`"),
                format!("write it into templates/{original}.md.hbs"),
            )
        } else if !templates.contains_key(original) {
            let (folder, stem) = original.rsplit_once('/').unwrap_or(("", original));
            let originals = templates.keys().filter(|name| split(name).1.is_none());
            let near = nearest(
                stem,
                originals.filter_map(|name| name.strip_prefix(folder)?.strip_prefix('/')),
            );
            let hint = near.map_or("write the English one first".to_owned(), |near| {
                format!("did you mean `{folder}/{near}`?")
            });
            (format!("there is no `{original}` it translates"), hint)
        } else if !words.contains_key(locale) {
            let hint = format!(
                "copy templates/words/{DEFAULT_LOCALE}.yaml to templates/words/{locale}.yaml and translate it"
            );
            (format!("there are no words for `{locale}`"), hint)
        } else {
            continue;
        };
        findings.push(file.at((1, 1), message, hint));
    }
}

/// A finding for each channel in a language that has no words.
pub fn channels(
    file: &SourceFile,
    deployment: &Deployment,
    words: &BTreeMap<String, SourceFile>,
    findings: &mut Vec<Finding>,
) {
    for (name, channel) in deployment
        .channels
        .iter()
        .filter(|(_, c)| !words.contains_key(&c.locale))
    {
        let locale = &channel.locale;
        let known = suggest(locale, words.keys().map(String::as_str));
        let message = format!(
            "there are no words for the language `{locale}` (templates/words/{locale}.yaml)"
        );
        findings.push(file.wrong(&["channels", name, "locale"], message, known));
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;
    use crate::domain::{
        campaign::{
            progress::{Stage, State},
            upgrade::{Method, Urgency},
        },
        chain::{fact_kind::FactKind, payload::ReferendumStatus},
        plan::notice::Audience,
    };

    fn shipped() -> BTreeMap<String, SourceFile> {
        ConfigFiles::read(&Origin::Embedded).unwrap().words
    }

    /// What is said of the German file after one change in it.
    fn said(from: &str, to: &str) -> Vec<String> {
        let mut files = shipped();
        let german = files.get_mut("de").unwrap();
        assert!(german.text.contains(from), "{from:?} is in de.yaml");
        german.text = german.text.replacen(from, to, 1);
        let mut findings = Vec::new();
        read(&files, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_shipped_languages_are_whole() {
        let mut findings = Vec::new();
        let languages = read(&shipped(), &mut findings);
        assert_eq!(findings, []);
        let names: Vec<&str> = languages.values().map(|l| l.name.as_str()).collect();
        assert_eq!(names, ["Deutsch", "English"]);
    }

    #[test]
    fn logs_and_posts_write_the_same_english() {
        let languages = read(&shipped(), &mut Vec::new());
        assert_eq!(
            Language {
                words: BTreeMap::new(),
                replies: BTreeMap::new(),
                ..languages["en"].clone()
            },
            *Language::english()
        );
    }

    #[test]
    fn every_word_that_a_template_can_get_is_there() {
        let english = &read(&shipped(), &mut Vec::new())["en"];
        let mut words: Vec<String> = Audience::iter().map(|a| a.name().to_owned()).collect();
        words.extend(Stage::iter().map(|s| s.name().to_owned()));
        words.extend(State::iter().map(|s| s.name().to_owned()));
        words.extend(Urgency::iter().map(|u| u.name().to_owned()));
        let text = |value: serde_json::Value| value.as_str().unwrap().to_owned();
        words.extend(
            [Method::Sudo, Method::Governance, Method::Unknown]
                .map(|m| text(serde_json::to_value(m).unwrap())),
        );
        words.extend(ReferendumStatus::iter().map(|status| status.to_string()));
        words.extend(FactKind::iter().map(|kind| kind.name().to_owned()));
        let missing: Vec<&String> = words
            .iter()
            .filter(|w| !english.words.contains_key(*w))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn what_is_wrong_in_a_words_file_has_its_place_and_a_hint() {
        for (from, to, message, hint) in [
            (
                "  ago: \"vor {span}\"\n",
                "",
                "missing field `ago`",
                "add `ago:` here",
            ),
            (
                "ago:",
                "agoo:",
                "unknown field `agoo`",
                "did you mean `ago`?",
            ),
            ("[Mo, Di,", "[Di,", "an array of length 7", "as many"),
            (
                "vor {span}",
                "vor {spn}",
                "`{spn}` means nothing here",
                "did you mean `span`?",
            ),
            (
                "vor {span}",
                "vor kurzem",
                "`{span}` is missing",
                "put it in",
            ),
            (
                "{time} {zone}\"\n  weekdays",
                "{time} Uhr\"\n  weekdays",
                "`{zone}` is missing",
                "put it in",
            ),
            (
                "waiting: wartet",
                "waiting: \"\"",
                "written as nothing",
                "the word people read",
            ),
        ] {
            let said = said(from, to);
            let fits = |s: &String| {
                s.starts_with("templates/words/de.yaml:")
                    && s.contains(": error: ")
                    && s.contains(message)
                    && s.contains(hint)
            };
            assert!(said.iter().any(fits), "{to:?}: {said:?}");
        }
    }

    #[test]
    fn a_word_that_is_missing_or_mistyped_is_a_warning() {
        let said = said("  verified: geprüft", "  verifed: geprüft").join("\n");
        assert!(
            said.contains("de.yaml:23:1: warning: there is no word for `verified`"),
            "{said}"
        );
        assert!(
            said.contains(
                ": warning: `verifed` is none of herald's words\n    hint: did you mean `verified`?"
            ),
            "{said}"
        );
        assert!(!said.contains("error"), "{said}");
    }
}
