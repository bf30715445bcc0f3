//! Renders Handlebars templates with herald's own helpers, and escapes values as Markdown.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use handlebars::{
    Context, Handlebars, Helper, HelperResult, Output, RenderContext, RenderErrorReason, Template,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    check, discord,
    lint_unguarded::{self, Unguarded},
    literal::{self, literal},
    matrix,
    replies::{self, ReplyTemplates},
    times::{PREFIX_MARK, Zone, left_mark, time_mark, without_marks},
};
use crate::{
    config::{Finding, SourceFile, shipped_replies, template_error},
    domain::{
        outbox::Body,
        people::{command::Verb, reply::Reply},
        plan::language::{DEFAULT_LOCALE, Language, split},
    },
    ports::{Markup, Platform},
};

/// Renders notices for both platforms, each whole in one language: in the channel's where the notice has
/// a translation, else in English.
pub struct Renderer {
    english: LocaleTemplates,
    /// The other languages, by locale.
    voices: BTreeMap<String, LocaleTemplates>,
    zone: Zone,
}

/// Every template as one language has it.
struct LocaleTemplates {
    language: Arc<Language>,
    engine: Handlebars<'static>,
    /// The templates as they were written, by their names.
    templates: BTreeMap<String, Template>,
    replies: ReplyTemplates,
    /// The templates that are translated; the others are the English ones.
    own: BTreeSet<String>,
}

/// A notice in Markdown, whose times are still marks and whose values have stand-ins, and the language it is written in.
#[derive(Clone, Debug)]
pub struct Text {
    markdown: String,
    language: Arc<Language>,
}

impl Text {
    /// Returns the Markdown. Its times are still marks, so it doesn't depend on the clock.
    pub fn markdown(&self) -> String {
        literal::escaped(&self.markdown)
    }

    pub fn says_nothing(&self) -> bool {
        literal::restored(&self.markdown).trim().is_empty()
    }
}

impl std::fmt::Debug for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renderer")
            .field("voices", &self.voices.keys())
            .field("zone", &self.zone)
            .finish_non_exhaustive()
    }
}

impl LocaleTemplates {
    fn new(
        language: Language,
        compiled: &BTreeMap<String, Template>,
        replies: &BTreeMap<String, String>,
        zone: &Zone,
    ) -> Self {
        let language = Arc::new(language);
        let replies = ReplyTemplates::new(replies, &language, zone);
        let mut engine = Handlebars::new();
        engine.register_escape_fn(harmless);
        engine.register_helper("time", Box::new(time));
        engine.register_helper("left", Box::new(left));
        engine.register_helper("short", Box::new(short));
        engine.register_helper("command", Box::new(command));
        register_words(&mut engine, &language);
        let (mut own, mut templates) = (BTreeSet::new(), BTreeMap::new());
        for (name, template) in compiled.iter().filter(|(name, _)| split(name).1.is_none()) {
            let translated = compiled.get(&format!("{name}.{}", language.locale));
            if translated.is_some() {
                own.insert(name.clone());
            }
            templates.insert(name.clone(), translated.unwrap_or(template).clone());
        }
        for (name, template) in &templates {
            if let Some(short) = name.strip_prefix("partials/") {
                engine.register_template(short, template.clone());
            }
            engine.register_template(name, template.clone());
        }
        Self {
            language,
            engine,
            templates,
            replies,
            own,
        }
    }

    /// Finds a template as it was written, by its name or by that under which another includes it.
    fn template(&self, name: &str) -> Option<&Template> {
        self.templates
            .get(name)
            .or_else(|| self.templates.get(&format!("partials/{name}")))
    }
}

impl Renderer {
    /// Compiles every template. Unknown variables are found by following each path in `sample`, a
    /// context in which everything is there that can be.
    pub fn new(
        templates: &BTreeMap<String, SourceFile>,
        languages: &BTreeMap<String, Language>,
        zone: Zone,
        sample: &Value,
    ) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let compiled = compiled(templates, &mut findings);
        check::all(&compiled, templates, sample, &mut findings);
        if !findings.is_empty() {
            return Err(findings);
        }
        let english = languages.get(DEFAULT_LOCALE).unwrap_or(Language::english());
        let mut replies = shipped_replies().clone();
        replies.extend(english.replies.clone());
        let others = languages
            .iter()
            .filter(|(locale, _)| *locale != DEFAULT_LOCALE);
        Ok(Self {
            english: LocaleTemplates::new(english.clone(), &compiled, &replies, &zone),
            voices: others
                .map(|(locale, language)| {
                    (
                        locale.clone(),
                        LocaleTemplates::new(language.clone(), &compiled, &replies, &zone),
                    )
                })
                .collect(),
            zone,
        })
    }

    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Picks the language that a template is in for a channel of this locale.
    fn voice(&self, template: &str, locale: &str) -> &LocaleTemplates {
        self.voices
            .get(locale)
            .filter(|voice| voice.own.contains(template))
            .unwrap_or(&self.english)
    }

    /// Names the file that a template comes from for a channel of this locale:
    /// `execution/applied.de`, or without a translation `execution/applied`.
    pub fn source(&self, template: &str, locale: &str) -> String {
        match self.voice(template, locale).language.locale.as_str() {
            DEFAULT_LOCALE => template.to_owned(),
            locale => format!("{template}.{locale}"),
        }
    }

    /// Renders a notice for a channel of this locale. Errors name template, line and reason.
    pub fn markdown(
        &self,
        template: &str,
        locale: &str,
        context: &Context,
    ) -> Result<Text, String> {
        let voice = self.voice(template, locale);
        let markdown = voice.engine.render_with_context(template, context);
        let markdown = markdown
            .map_err(|e| format!("templates/{}.md.hbs: {e}", self.source(template, locale)))?;
        Ok(Text {
            markdown,
            language: voice.language.clone(),
        })
    }

    /// A reply in plain words, for a channel of this locale.
    pub fn words(&self, reply: &Reply, locale: &str) -> String {
        let voice = self.voices.get(locale).unwrap_or(&self.english);
        replies::in_words(&voice.replies, &self.english.replies, reply)
    }

    /// A reply in English, for records and the command line.
    pub fn english_words(&self, reply: &Reply) -> String {
        replies::in_english(&self.english.replies, reply)
    }

    /// A reply to somebody in a channel of this locale: what it holds can't format, link or mention.
    pub fn reply(&self, reply: &Reply, locale: &str) -> Text {
        let voice = self.voices.get(locale).unwrap_or(&self.english);
        Text {
            markdown: replies::as_markdown(&self.words(reply, locale)),
            language: voice.language.clone(),
        }
    }

    /// The words of a value alone, where no template puts it into others.
    pub fn value(&self, value: &str) -> Text {
        Text {
            markdown: harmless(value),
            language: self.english.language.clone(),
        }
    }

    /// Finds where a template, or one it includes, speaks of a fact without asking whether there is
    /// one. The templates are named as their files are.
    pub fn unguarded(&self, template: &str, locale: &str) -> Vec<Unguarded> {
        let voice = self.voice(template, locale);
        let mut found = lint_unguarded::unguarded(template, &|name| voice.template(name));
        for unguarded in &mut found {
            let name = &unguarded.template;
            let full = if name.contains('/') {
                name.clone()
            } else {
                format!("partials/{name}")
            };
            let translated = voice.own.contains(&full);
            unguarded.template = if translated {
                format!("{full}.{}", voice.language.locale)
            } else {
                full
            };
        }
        found
    }

    /// Writes the Markdown itself, for a file or an issue; times are written out as seen at `now`.
    pub fn document(&self, text: &Text, now: Timestamp) -> String {
        let markdown = with_prefix(text, USUAL_PREFIX);
        let written = self.zone.for_matrix(&text.language, &markdown, now);
        let written = literal::document(&written);
        let mut out = String::with_capacity(written.len());
        for line in written.trim().lines().map(str::trim_end) {
            if !line.is_empty() || !out.ends_with("\n\n") {
                out.push_str(line);
                out.push('\n');
            }
        }
        out
    }

    /// The words without any markup; times are written out as seen at `now`.
    pub fn plain(&self, text: &Text, now: Timestamp) -> String {
        let markdown = with_prefix(text, USUAL_PREFIX);
        matrix::write(&markdown, &self.zone, &text.language, now).1
    }

    /// Writes the body for a platform; times are written in the language of the text.
    pub fn body(&self, text: &Text, platform: Platform, now: Timestamp) -> Body {
        let capabilities = platform.capabilities();
        let prefix = capabilities.command_prefix.unwrap_or(USUAL_PREFIX);
        let markdown = with_prefix(text, prefix);
        match capabilities.markup {
            Markup::Discord => Body {
                text: discord::write(&markdown, &self.zone, &text.language),
                html: None,
                ..Body::default()
            },
            Markup::Matrix => {
                let (html, text) = matrix::write(&markdown, &self.zone, &text.language, now);
                Body {
                    text,
                    html: Some(html),
                    ..Body::default()
                }
            }
            Markup::Plain => Body {
                text: one_line(&matrix::write(&markdown, &self.zone, &text.language, now).1),
                ..Body::default()
            },
        }
    }
}

/// The character with which most texts write a command.
const USUAL_PREFIX: char = '/';

/// The Markdown with the character of a platform's commands.
fn with_prefix(text: &Text, prefix: char) -> String {
    text.markdown
        .replace(PREFIX_MARK, prefix.encode_utf8(&mut [0; 4]))
}

fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let full: Vec<&str> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    full.join(Markup::Plain.paragraph_break())
}

fn compiled(
    templates: &BTreeMap<String, SourceFile>,
    findings: &mut Vec<Finding>,
) -> BTreeMap<String, Template> {
    let mut compiled = BTreeMap::new();
    for (name, file) in templates {
        match Template::compile_with_name(&file.text, name.clone()) {
            Ok(template) => {
                compiled.insert(name.clone(), template);
            }
            Err(error) => {
                let place = error.pos().unwrap_or((1, 1));
                let (message, hint) = template_error(&error);
                findings.push(file.at(place, message, hint.to_owned()));
            }
        }
    }
    compiled
}

/// Registers `{{span verification.healthy_for}}` for lengths, and `{{word stage}}` for words.
fn register_words(engine: &mut Handlebars<'static>, language: &Arc<Language>) {
    let own = language.clone();
    let span = move |h: &Helper<'_>,
                     _: &Handlebars<'_>,
                     _: &Context,
                     _: &mut RenderContext<'_, '_>,
                     out: &mut dyn Output|
          -> HelperResult {
        let length = SignedDuration::from_secs(seconds(
            h,
            "span",
            "a length in seconds, such as verification.healthy_for",
        )?);
        out.write(&harmless(&own.span(length)))?;
        Ok(())
    };
    engine.register_helper("span", Box::new(span));
    let own = language.clone();
    let word = move |h: &Helper<'_>,
                     _: &Handlebars<'_>,
                     _: &Context,
                     _: &mut RenderContext<'_, '_>,
                     out: &mut dyn Output|
          -> HelperResult {
        let value = h
            .param(0)
            .and_then(|p| p.value().as_str())
            .unwrap_or_default();
        out.write(&harmless(own.word(value)))?;
        Ok(())
    };
    engine.register_helper("word", Box::new(word));
}

/// Writes a value into a template: its characters have stand-ins until the Markdown is read.
pub(super) fn harmless(value: &str) -> String {
    literal(&without_marks(value))
}

/// Writes a value into Markdown that is a file: one line, no formatting, no link, no mark.
pub fn escape(value: &str) -> String {
    literal::escaped(&harmless(value))
}

fn time(
    h: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    out.write(&time_mark(seconds(h, "time", A_TIME)?))?;
    Ok(())
}

fn left(
    h: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    out.write(&left_mark(seconds(h, "left", A_TIME)?))?;
    Ok(())
}

const A_TIME: &str = "a time, such as window.opens";

fn seconds(h: &Helper<'_>, name: &'static str, wanted: &str) -> Result<i64, RenderErrorReason> {
    let value = h.param(0).map(|p| p.value());
    value
        .and_then(Value::as_i64)
        .ok_or_else(|| RenderErrorReason::Other(format!("{{{{{name} …}}}} wants {wanted}")))
}

/// Writes a command as people type it there: `{{command "status"}}`.
fn command(
    h: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let line = h.param(0).and_then(|p| p.value().as_str());
    let named = |line: &&str| {
        let verb = line.split_whitespace().next();
        verb.is_some_and(|verb| Verb::by_name(verb).is_some())
    };
    let line = line.filter(named).ok_or_else(|| {
        let wanted = "{{command …}} wants one of herald's commands, such as \"status\"";
        RenderErrorReason::Other(wanted.to_owned())
    })?;
    out.write(&format!("{PREFIX_MARK}upgrade {}", harmless(line)))?;
    Ok(())
}

/// Writes a hash, shortened to the characters that people compare.
fn short(
    h: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let value = h
        .param(0)
        .and_then(|p| p.value().as_str())
        .unwrap_or_default();
    let count = value.chars().count();
    let text = if count > 14 {
        let tail: String = value.chars().skip(count - 4).collect();
        format!("{}…{tail}", value.chars().take(8).collect::<String>())
    } else {
        value.to_owned()
    };
    out.write(&harmless(&text))?;
    Ok(())
}
