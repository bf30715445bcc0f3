//! Notices in two languages, from templates to what each platform is given.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::{Renderer, Zone};
use crate::{
    config::{self, Finding, Origin, SourceFile},
    domain::plan::language::Language,
    ports::Platform,
};

/// 14:00 in Berlin, on a Tuesday in winter.
const OPENS: &str = "2026-12-01T13:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn languages() -> BTreeMap<String, Language> {
    config::load(&Origin::Embedded).unwrap().0.languages
}

fn context() -> Value {
    json!({ "title": "Paseo *2*", "opens": at(OPENS).as_second(), "lasts": 7 * 86_400, "audience": "Validators", "stage": "applying", "chain": { "name": "paseo" } })
}

fn renderer(templates: &[(&str, &str)]) -> Result<Renderer, Vec<Finding>> {
    let file = |name: &str, text: &str| SourceFile {
        name: format!("templates/{name}.md.hbs"),
        text: text.to_owned(),
    };
    let templates = templates
        .iter()
        .map(|(name, text)| ((*name).to_owned(), file(name, text)))
        .collect();
    Renderer::new(
        &templates,
        &languages(),
        Zone(TimeZone::get("Europe/Berlin").unwrap()),
        &context(),
    )
}

/// Renders what a room on Matrix reads at `now`.
fn read_at(now: &str, renderer: &Renderer, template: &str, locale: &str) -> String {
    let text = renderer
        .markdown(template, locale, &context().into())
        .unwrap();
    renderer.body(&text, Platform::Matrix, at(now)).text
}

fn read(renderer: &Renderer, template: &str, locale: &str) -> String {
    read_at("2026-11-24T13:00:00Z", renderer, template, locale)
}

const NOTICE: (&str, &str) = (
    "x/notice",
    "{{title}} opens {{time opens}}, {{left opens}}. {{> end}}",
);
const GERMAN: (&str, &str) = (
    "x/notice.de",
    "{{title}} beginnt {{time opens}}, {{left opens}}. {{> end}}",
);
const END: (&str, &str) = ("partials/end", "It takes {{span lasts}}.");
const GERMAN_END: (&str, &str) = ("partials/end.de", "Es dauert {{span lasts}}.");
const IN_ENGLISH: &str =
    "Paseo *2* opens Tue 1 Dec 2026, 14:00 CET (13:00 UTC), in 7 days. It takes 7 days.";

#[test]
fn a_channel_reads_a_translated_notice_in_its_language() {
    let renderer = renderer(&[NOTICE, GERMAN, END, GERMAN_END]).unwrap();
    assert_eq!(
        read(&renderer, "x/notice", "de"),
        "Paseo *2* beginnt Di, 1. Dez. 2026, 14:00 MEZ (13:00 UTC), in 7 Tagen. Es dauert 7 Tage."
    );
    assert_eq!(read(&renderer, "x/notice", "en"), IN_ENGLISH);
}

#[test]
fn a_notice_without_translation_is_english_to_its_dates_and_partials() {
    let renderer = renderer(&[NOTICE, END, GERMAN_END]).unwrap();
    assert_eq!(read(&renderer, "x/notice", "de"), IN_ENGLISH);
    assert_eq!(renderer.source("x/notice", "de"), "x/notice");
}

#[test]
fn a_partial_without_translation_is_taken_from_english_with_dates_of_the_notice() {
    let renderer = renderer(&[NOTICE, GERMAN, END]).unwrap();
    assert_eq!(
        read(&renderer, "x/notice", "de"),
        "Paseo *2* beginnt Di, 1. Dez. 2026, 14:00 MEZ (13:00 UTC), in 7 Tagen. It takes 7 Tage."
    );
    assert_eq!(renderer.source("x/notice", "de"), "x/notice.de");
}

#[test]
fn what_is_no_template_is_said_in_our_words() {
    for (text, words) in [
        ("{{#if title}}a", "is not whole, or a block is not closed"),
        (
            "{{#if title}}{{upgrade.titel}}",
            "is not whole, or a block is not closed",
        ),
        (
            "{{#if title}}a{{/each}}",
            "`{{#if}}` is open, and `{{/each}}` would close another",
        ),
        ("{{title", "is not whole"),
        ("{{time title.}}", "is not whole"),
    ] {
        let said = renderer(&[("x/a", text)]).unwrap_err();
        let said = said[0].to_string();
        assert!(
            said.contains("this is not a template: ") && said.contains(words),
            "{said}"
        );
        assert!(
            !said.contains("expected") && !said.contains("_expression"),
            "{said}"
        );
    }
}

#[test]
fn a_language_that_is_not_there_is_english() {
    let renderer = renderer(&[NOTICE, GERMAN, END]).unwrap();
    assert_eq!(read(&renderer, "x/notice", "fr"), IN_ENGLISH);
}

#[test]
fn german_declines_what_is_away_and_names_the_date_where_utc_has_another() {
    let renderer = renderer(&[("x/a", "{{left opens}}"), ("x/a.de", "{{left opens}}")]).unwrap();
    for (now, english, german) in [
        ("2026-11-24T13:00:00Z", "in 7 days", "in 7 Tagen"),
        ("2026-11-30T13:00:00Z", "in 1 day", "in 1 Tag"),
        ("2026-12-01T11:00:00Z", "in 2 hours", "in 2 Stunden"),
        ("2026-12-01T12:59:20Z", "in 40 seconds", "in 40 Sekunden"),
        ("2026-12-01T13:01:00Z", "1 minute ago", "vor 1 Minute"),
        ("2026-12-01T14:00:00Z", "1 hour ago", "vor 1 Stunde"),
        ("2026-12-04T13:00:00Z", "3 days ago", "vor 3 Tagen"),
    ] {
        assert_eq!(
            (
                read_at(now, &renderer, "x/a", "en").as_str(),
                read_at(now, &renderer, "x/a", "de").as_str()
            ),
            (english, german)
        );
    }
    let (zone, languages) = (Zone(TimeZone::get("Europe/Berlin").unwrap()), languages());
    let summer_night = at("2026-07-01T22:30:00Z");
    assert_eq!(
        zone.written_in(&languages["de"], summer_night),
        "Do, 2. Juli 2026, 00:30 MESZ (Mi, 1. Juli, 22:30 UTC)"
    );
    assert_eq!(
        Zone(TimeZone::UTC).written_in(&languages["de"], summer_night),
        "Mi, 1. Juli 2026, 22:30 UTC"
    );
}

#[test]
fn heralds_own_words_are_written_in_the_language_and_unknown_ones_as_they_are() {
    let text = "{{word audience}} {{word stage}} {{word \"*new*\"}}";
    let renderer = renderer(&[("x/a", text), ("x/a.de", text)]).unwrap();
    assert_eq!(
        read(&renderer, "x/a", "de"),
        "Validatoren wird eingespielt *new*"
    );
    assert_eq!(read(&renderer, "x/a", "en"), "Validators applying *new*");
    let discord = renderer
        .markdown("x/a", "de", &context().into())
        .map(|text| renderer.body(&text, Platform::Discord, at(OPENS)).text);
    assert_eq!(
        discord.unwrap(),
        "Validatoren wird eingespielt \\*new\\*",
        "a word formats nothing"
    );
}

#[test]
fn on_discord_each_reader_has_the_own_time_and_the_words_are_the_channels() {
    let renderer = renderer(&[NOTICE, GERMAN, END, GERMAN_END]).unwrap();
    let text = renderer
        .markdown("x/notice", "de", &context().into())
        .unwrap();
    assert_eq!(
        renderer.body(&text, Platform::Discord, at(OPENS)).text,
        "Paseo \\*2\\* beginnt <t:1796130000:F> · Di, 1. Dez. 2026, 14:00 MEZ (13:00 UTC), <t:1796130000:R>. Es dauert 7 Tage."
    );
}

/// Returns the only finding of templates that are wrong.
fn refused(templates: &[(&str, &str)]) -> String {
    let findings = renderer(templates).expect_err("a finding");
    findings
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_translation_is_reviewed_like_its_original() {
    let said = refused(&[NOTICE, ("x/notice.de", "{{title}}\n{{titel}}"), END]);
    assert_eq!(
        said,
        "templates/x/notice.de.md.hbs:2:1: error: there is no variable `titel`\n    hint: did you mean `title`?"
    );
    let said = refused(&[NOTICE, ("x/notice.de", "{{> ende}}"), END]);
    assert!(
        said.contains(
            "notice.de.md.hbs:1:1: error: there is no partial `ende`\n    hint: did you mean `end`?"
        ),
        "{said}"
    );
    let said = refused(&[NOTICE, ("x/notice.de", "{{> end.de}}"), END, GERMAN_END]);
    assert!(
        said.contains("there is no partial `end.de`\n    hint: did you mean `end`?"),
        "{said}"
    );
    let said = refused(&[NOTICE, ("x/notice.de", "{{spam lasts}}"), END]);
    assert!(
        said.contains("there is no helper `spam`\n    hint: did you mean `span`?"),
        "{said}"
    );
}

#[test]
fn a_circle_that_only_one_language_has_is_refused() {
    let said = refused(&[
        ("partials/a", "{{> b}}"),
        ("partials/b", "end"),
        ("partials/b.de", "{{> a}}"),
    ]);
    assert!(
        said.contains("templates/partials/b.de.md.hbs:1:1: error: partials include each other: partials/b → partials/a → partials/b"),
        "{said}"
    );
}

#[test]
fn what_nobody_could_read_is_refused() {
    let said = refused(&[("x/a", "{{chain}}")]);
    assert!(
        said.contains("error: `chain` is no text: it has parts\n    hint: write one of them: name"),
        "{said}"
    );
    assert_eq!(
        refused(&[("x/a", "{{opens}}")]),
        "templates/x/a.md.hbs:1:1: error: `opens` is a number of seconds, which nobody reads\n    hint: write {{time opens}}"
    );
}
