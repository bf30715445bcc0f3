//! Channels that read another language than English.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use tempfile::TempDir;
use upgrade_herald::{
    answer::AnswerService,
    config::Origin,
    domain::people::command::Command,
    lint,
    ports::{Asker, CommandHandler, Platform},
    words::snapshot::ConfigSnapshot,
};

use crate::{
    harness::{pipeline::Pipeline, plans::ask_for_all},
    process::cli::{changed, herald, lines, make_own},
    support::repo,
};

const ROOM: &str = "place: \"#upgrades:example.org\"";

/// The sample with its Matrix room in another language, and no translation but `announced`.
fn with_room_in(locale: &str) -> TempDir {
    let dir = changed(
        "config/herald.yaml",
        ROOM,
        &format!("{ROOM}\n    locale: {locale}"),
    );
    drop_translations(&dir);
    let german = "## {{upgrade.title}} kommt\n\n{{time window.opens}}, {{left window.opens}}. Beobachtet: {{span verification.healthy_for}}.\n";
    write(&dir, "templates/preparation/announced.de.md.hbs", german);
    dir
}

fn drop_translations(dir: &TempDir) {
    for folder in std::fs::read_dir(dir.path().join("templates"))
        .unwrap()
        .map(Result::unwrap)
    {
        for file in std::fs::read_dir(folder.path())
            .unwrap()
            .map(Result::unwrap)
        {
            let name = file.file_name().into_string().unwrap();
            if name
                .strip_suffix(".md.hbs")
                .is_some_and(|name| name.contains('.'))
            {
                std::fs::remove_file(file.path()).unwrap();
            }
        }
    }
}

fn write(dir: &TempDir, file: &str, text: &str) {
    std::fs::write(dir.path().join(file), text).unwrap();
}

fn run(dir: &Path, args: &[&str]) -> String {
    let output = herald(dir, args);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What `herald check` says, which refuses.
fn refused(dir: &TempDir) -> String {
    make_own(dir.path());
    let output = herald(dir.path(), &["check"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The errors in what `herald check` says, with their hints: warnings come and go with the sample's window.
fn errors(said: &str) -> String {
    let mut is_of_an_error = false;
    let kept = said.lines().filter(|line| {
        is_of_an_error = line.contains(": error: ") || is_of_an_error && line.starts_with(' ');
        is_of_an_error
    });
    kept.map(|line| format!("{line}\n")).collect()
}

/// Of what is not translated, not even a date is German.
fn all_english(text: &str) -> bool {
    !text.contains("MEZ") && !text.contains(" Tagen")
}

#[test]
fn a_preview_is_in_each_channels_language_and_what_is_not_translated_in_english() {
    let dir = with_room_in("de");
    let said = run(dir.path(), &["preview"]);
    let posts: Vec<&str> = said.split("── ").filter(|post| !post.is_empty()).collect();
    let (german, english): (Vec<&str>, Vec<&str>) = posts
        .iter()
        .partition(|post| post.starts_with("announced · matrix-upgrades (matrix, de)"));
    assert_eq!(german.len(), 1);
    let (_, said) = german[0].split_once('\n').unwrap();
    insta::assert_snapshot!(said, @r"
    Paseo runtime 2.3.1 kommt

    Di, 9. März 2027, 14:00 MEZ (13:00 UTC), in 14 Tagen. Beobachtet: 10 Minuten.

    <h2>Paseo runtime 2.3.1 kommt</h2>
    <p>Di, 9. März 2027, 14:00 MEZ (13:00 UTC), in 14 Tagen. Beobachtet: 10 Minuten.</p>
    ");
    assert!(
        english.len() > 20 && english.iter().all(|post| all_english(post)),
        "{english:?}"
    );
    assert!(english.iter().any(|post| post.contains("(matrix, de)")
        && post.contains("Tue 9 Mar 2027, 14:00 CET (13:00 UTC)")));
    assert!(
        english
            .iter()
            .any(|post| post.starts_with("announced · discord-upgrades (discord) "))
    );
}

#[test]
fn posts_are_made_in_each_channels_language() {
    let dir = with_room_in("de");
    let output = herald(
        dir.path(),
        &["rehearse", "--once", "--json", "--plan", "expedited"],
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (german, english): (Vec<Value>, Vec<Value>) = lines(&output)
        .into_iter()
        .filter(|line| line["notice"].is_string())
        .partition(|post| post["notice"] == "announced" && post["platform"] == "matrix");
    let text = german[0]["text"].as_str().unwrap();
    assert!(
        german.len() == 1
            && text.contains(" kommt")
            && text.contains(" MEZ")
            && text.contains("in 13 Stunden"),
        "{german:?}"
    );
    assert!(
        english.len() > 10
            && english
                .iter()
                .all(|post| all_english(post["text"].as_str().unwrap())),
        "{english:?}"
    );
}

#[test]
fn a_language_that_cannot_be_spoken_is_refused_with_its_place_and_a_hint() {
    insta::assert_snapshot!(errors(&refused(&with_room_in("dee"))), @r"
    config/herald.yaml:42:5: error: there are no words for the language `dee` (templates/words/dee.yaml)
        hint: did you mean `de`?
    ");

    let dir = with_room_in("de");
    let mut said = String::new();
    for file in [
        "validation/aplied.de.md.hbs",
        "answers/farewell.de.md.hbs",
        "partials/window.eo.md.hbs",
        "partials/window.DE.md.hbs",
        "partials/window.en.md.hbs",
    ] {
        let path = dir.path().join("templates").join(file);
        std::fs::write(&path, "Wörter").unwrap();
        said.push_str(&errors(&refused(&dir)));
        std::fs::remove_file(path).unwrap();
    }
    insta::assert_snapshot!(said, @r"
    templates/validation/aplied.de.md.hbs:1:1: error: there is no `validation/aplied` it translates
        hint: did you mean `validation/applied`?
    templates/answers/farewell.de.md.hbs:1:1: error: there is no `answers/farewell` it translates
        hint: write the English one first
    templates/partials/window.eo.md.hbs:1:1: error: there are no words for `eo`
        hint: copy templates/words/en.yaml to templates/words/eo.yaml and translate it
    templates/partials/window.DE.md.hbs:1:1: error: `DE` is not a locale
        hint: behind a dot stands a language, as in applied.de.md.hbs or applied.pt-BR.md.hbs
    templates/partials/window.en.md.hbs:1:1: error: `partials/window` needs no translation into `en`
        hint: write it into templates/partials/window.md.hbs
    ");
    write(&dir, "templates/words/Deutsch.yaml", "name: Deutsch\n");
    insta::assert_snapshot!(errors(&refused(&dir)), @r"
    templates/words/Deutsch.yaml:1:1: error: `Deutsch` is not a locale
        hint: name the file after the language, and perhaps a country: de.yaml, pt-BR.yaml
    ");
}

#[test]
fn a_plan_names_notices_and_no_translations() {
    let dir = with_room_in("de");
    let plan = std::fs::read_to_string(dir.path().join("config/plan.yaml")).unwrap();
    write(
        &dir,
        "config/plan.yaml",
        &plan.replacen(
            "template: preparation/announced",
            "template: preparation/announced.de",
            1,
        ),
    );
    insta::assert_snapshot!(errors(&refused(&dir)), @r##"
    config/plan.yaml:94:9: error: there is no template `preparation/announced.de` (templates/preparation/announced.de.md.hbs)
        hint: did you mean `preparation/announced`?
    "##);
}

#[test]
fn a_translation_is_measured_where_a_channel_reads_it() {
    let dir = with_room_in("de");
    write(
        &dir,
        "templates/preparation/announced.de.md.hbs",
        &"Sehr lang. ".repeat(200),
    );
    make_own(dir.path());
    run(dir.path(), &["check"]); // a room on Matrix holds that
    let deployment = std::fs::read_to_string(dir.path().join("config/herald.yaml")).unwrap();
    write(
        &dir,
        "config/herald.yaml",
        &deployment.replacen("platform: discord", "platform: discord\n    locale: de", 1),
    );
    insta::assert_snapshot!(errors(&refused(&dir)), @r"
    templates/preparation/announced.de.md.hbs:1:1: error: with every value at its longest, and with the request to approve it, this makes 2448 characters; a post on Discord holds 2000
        hint: shorten the template; notices are never split
    ");
    write(
        &dir,
        "templates/preparation/announced.de.md.hbs",
        "{{time fact.time}}",
    );
    insta::assert_snapshot!(errors(&refused(&dir)), @r#"
    templates/preparation/announced.de.md.hbs:1:1: error: `fact.time` is nothing for the notice `announced`, which has no fact
        hint: guard it: {{#if fact}}…{{/if}}
    templates/preparation/announced.de.md.hbs:1:1: error: templates/preparation/announced.de.md.hbs: Error rendering "preparation/announced.de" line 1, col 1: {{time …}} wants a time, such as window.opens
        hint: mend the template
    "#);
}

#[test]
fn a_folder_without_words_speaks_english() {
    let dir = changed("config/plan.yaml", "zone", "zone");
    std::fs::remove_dir_all(dir.path().join("templates/words")).unwrap();
    drop_translations(&dir);
    let said = run(dir.path(), &["preview", "announced"]);
    assert!(
        said.contains("Tue 9 Mar 2027, 14:00 CET (13:00 UTC), in 14 days"),
        "{said}"
    );
}

#[tokio::test]
async fn an_answer_is_in_the_language_of_the_platforms_public_channel() {
    let dir = with_room_in("de");
    write(
        &dir,
        "templates/answers/none.de.md.hbs",
        "Zurzeit ist kein Upgrade angekündigt.",
    );
    let german = "{{upgrade.title}}: {{word upgrade.state}}\n{{#each troubles}}\n- {{kind}} {{chain}} {{time since}}\n{{/each}}";
    write(&dir, "templates/answers/status.de.md.hbs", german);
    let origin = Origin::Folder {
        config: dir.path().join("config"),
        templates: dir.path().join("templates"),
    };
    let renderer = lint::load(&origin).unwrap().renderer;
    let w = Pipeline::build(
        &["paseo"],
        |_| {},
        |core| {
            let config = core.snapshot().config.clone();
            core.files.replace(ConfigSnapshot { config, renderer });
            core.outlets.get_mut("matrix-upgrades").unwrap().locale = "de".into();
        },
    )
    .await;
    let service = AnswerService::new(w.core.clone());
    let ask = async |platform| {
        service
            .answer(
                &Asker::new(platform, "1", "elsewhere"),
                &Command::from_line("status"),
            )
            .await
            .text
    };
    assert_eq!(
        ask(Platform::Matrix).await,
        "Zurzeit ist kein Upgrade angekündigt."
    );
    let english = ask(Platform::Discord).await;
    insta::assert_snapshot!(english, @"No upgrade is announced at the moment.");

    w.plan(std::slice::from_ref(&w.sample)).await;
    w.store
        .set_trouble(
            "chain paseo",
            Some("no node answers"),
            w.sample.window.opens,
        )
        .await
        .unwrap();
    let said = ask(Platform::Matrix).await;
    insta::assert_snapshot!(said, @r"
    Paseo runtime 2.3.1: angesetzt

    • blind paseo Di, 9. März 2027, 14:00 MEZ (13:00 UTC)
    ");
    // Sentences that come from no template of their own are in it as well.
    let unknown = service
        .answer(
            &Asker::new(Platform::Matrix, "1", "elsewhere"),
            &Command::from_line("status upgrade=v9"),
        )
        .await
        .text;
    insta::assert_snapshot!(unknown, @"Ich kenne kein Upgrade v9: es gibt: v2.3.1");
    let said = ask(Platform::Discord).await;
    insta::assert_snapshot!(said, @r"
    **Paseo runtime 2.3.1** — scheduled

    **Must I update my node?** Yes, at once, if it is older than **v1.21.0**.

    - **Validators** — **action needed**: Update your node and watch it through the upgrade.
    - **Developers** — **action needed**: Test your tools against the new metadata.
    - **Users** — no action: Nothing to do; transactions may take a few seconds longer.

    **Window:** <t:1804597200:F> · Tue 9 Mar 2027, 14:00 CET (13:00 UTC), <t:1804597200:R>, until <t:1804604400:F> · Tue 9 Mar 2027, 16:00 CET (15:00 UTC).

    - paseo: waiting, target 2003001

    Next notice: Final checks, <t:1804596600:F> · Tue 9 Mar 2027, 13:50 CET (12:50 UTC).

    *herald can't see paseo since <t:1804597200:F> · Tue 9 Mar 2027, 14:00 CET (13:00 UTC)*
    ");
}

/// The sample with every channel in German.
fn all_in_german() -> TempDir {
    let dir = changed("config/herald.yaml", ROOM, ROOM);
    let deployment = std::fs::read_to_string(dir.path().join("config/herald.yaml")).unwrap();
    let german: String = deployment
        .lines()
        .map(|line| match line.trim_start().starts_with("platform:") {
            true => format!("{line}\n    locale: de\n"),
            false => format!("{line}\n"),
        })
        .collect();
    write(&dir, "config/herald.yaml", &german);
    dir
}

/// Every template, by its name without the language, with its text.
fn templates(german: bool) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in std::fs::read_dir(repo().join("templates"))
        .unwrap()
        .map(Result::unwrap)
    {
        for file in std::fs::read_dir(folder.path())
            .unwrap()
            .map(Result::unwrap)
        {
            let name = format!(
                "{}/{}",
                folder.file_name().display(),
                file.file_name().display()
            );
            let Some(name) = name.strip_suffix(".md.hbs") else {
                continue;
            };
            let text = std::fs::read_to_string(file.path()).unwrap();
            match (german, name.strip_suffix(".de")) {
                (true, Some(name)) => found.insert(name.to_owned(), text),
                (false, None) if !name.contains('.') => found.insert(name.to_owned(), text),
                _ => None,
            };
        }
    }
    found
}

/// What a template takes from its context: variables, helpers, conditions and partials, in order of the alphabet.
fn expressions(text: &str) -> Vec<&str> {
    let mut all: Vec<&str> = text
        .split("{{")
        .skip(1)
        .filter_map(|rest| rest.split_once("}}"))
        .map(|(inside, _)| inside.trim())
        .collect();
    all.sort_unstable();
    all
}

#[test]
fn german_is_complete_and_says_no_less() {
    let (english, german) = (templates(false), templates(true));
    assert_eq!(
        english.keys().collect::<Vec<_>>(),
        german.keys().collect::<Vec<_>>()
    );
    for (name, text) in &english {
        assert_eq!(expressions(text), expressions(&german[name]), "{name}");
        assert_ne!(*text, german[name], "{name}");
    }
}

#[test]
fn a_team_that_reads_german_has_nothing_to_mend() {
    let dir = all_in_german();
    // The sample's window comes and goes, which `check` says; this one is far away on whatever day the test runs.
    let file = "config/upgrades/v2.3.1.yaml";
    let upgrade = std::fs::read_to_string(dir.path().join(file)).unwrap();
    write(&dir, file, &upgrade.replace("2027-03-09", "2099-03-10"));
    make_own(dir.path());
    let output = herald(dir.path(), &["check", "--strict"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// What is English to a reader of German; words that are both, or names of ours, are not among them.
const ENGLISH: &[&str] = &[
    "the", "and", "your", "you", "is", "are", "of", "will", "please", "must", "this", "that",
    "with", "for", "until", "by", "from", "opens", "about", "give", "take", "ago", "days", "hours",
    "minutes", "blocks", "checks", "window", "seen", "yes", "node's", "when", "what", "it", "be",
    "to", "has", "have", "its",
];

/// What previews put in the place of a fact's own words, of a reason that people gave or of a notice's name: the same in every
/// language.
const DETAILS: &[&str] = &[
    "25 to 26",
    "1200000 to 1230000",
    "the target is another",
    "no block for 75 s",
    "The new code was refused; the old runtime runs on.",
    " for discord-upgrades",
    "window was changed by a command since the file was read; write what it is now, or give another command",
    "the thread below it opens with:",
    "the card below it:",
    "the vote behind it:",
    "Too few validators are ready.",
    "Two more days for testing.",
    "A fault was found in the staking code.",
    "final checks",
];

/// Lines without what the sample files themselves say, which is English.
fn own_words(text: &str) -> Vec<String> {
    let mut values: Vec<String> = DETAILS.iter().map(|d| (*d).to_owned()).collect();
    for file in [
        "upgrades/v2.3.1.yaml",
        "checklist.yaml",
        "help.yaml",
        "plan.yaml",
        "people.yaml",
    ] {
        let text = std::fs::read_to_string(repo().join("config").join(file)).unwrap();
        let value: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        strings(&value, &mut values);
    }
    values.sort_by_key(|v: &String| std::cmp::Reverse(v.len()));
    let cleaned = |line: &str| {
        let mut line = line.replace(['*', '\\'], "");
        for value in values.iter().filter(|v| v.contains(' ')) {
            line = line.replace(value.as_str(), "");
        }
        line
    };
    // commands, code and addresses are the same in every language
    text.lines()
        .map(cleaned)
        .filter(|line| !line.starts_with("──") && !line.contains('`') && !line.contains("https://"))
        .collect()
}

fn strings(value: &serde_yaml::Value, into: &mut Vec<String>) {
    match value {
        serde_yaml::Value::String(text) => into.push(text.clone()),
        serde_yaml::Value::Sequence(list) => list.iter().for_each(|v| strings(v, into)),
        serde_yaml::Value::Mapping(map) => map.iter().for_each(|(_, v)| strings(v, into)),
        _ => {}
    }
}

#[test]
fn a_reader_of_german_reads_no_english() {
    let dir = all_in_german();
    ask_for_all(dir.path());
    let said = run(dir.path(), &["preview"]);
    let posts: Vec<&str> = said.split("── ").filter(|post| !post.is_empty()).collect();
    assert!(
        posts.len() > 60 && posts.iter().all(|post| post.contains(", de)")),
        "{posts:?}"
    );
    let mut english = Vec::new();
    for line in own_words(&said) {
        let words = line
            .split(|c: char| !(c.is_alphabetic() || c == '\''))
            .map(str::to_lowercase);
        english.extend(
            words
                .filter(|w| ENGLISH.contains(&w.as_str()))
                .map(|w| format!("{w}: {line}")),
        );
    }
    assert!(english.is_empty(), "{english:#?}");
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("previews-de", said);
    });
}
