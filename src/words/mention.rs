//! Naming the people whom a post notifies, as each platform writes it.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    domain::{outbox::Body, plan::notice::Notice},
    ports::Markup,
};

/// The characters that are escaped where an id stands in a link: older ids may hold anything but a space.
const ESCAPED_IN_LINK: AsciiSet = NON_ALPHANUMERIC
    .remove(b'@')
    .remove(b':')
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'=')
    .remove(b'+')
    .remove(b'~');

/// Lists the accounts that a notice notifies in a channel, each once; unknown groups have none.
pub fn whom(notice: &Notice, groups: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for id in notice
        .mention
        .iter()
        .filter_map(|group| groups.get(group))
        .flatten()
    {
        if !ids.contains(id) {
            ids.push(id.clone());
        }
    }
    ids
}

/// Names these people in a line of their own, the last one: a phone shows how a message begins, and
/// a title is better there than a list of names.
pub fn name(body: &mut Body, markup: Markup, ids: Vec<String>) {
    if ids.is_empty() {
        return;
    }
    let line = |one: fn(&String) -> String| ids.iter().map(one).collect::<Vec<_>>().join(" ");
    let text = match markup {
        Markup::Discord => line(|id| match id.strip_prefix('@') {
            Some(user) => format!("<@{user}>"),
            None => format!("<@&{id}>"),
        }),
        Markup::Matrix | Markup::Plain => line(String::clone),
    };
    body.text = format!("{}{}{text}", body.text, markup.paragraph_break());
    if let Some(html) = body.html.as_mut() {
        html.push_str(&format!("\n<p>{}</p>", line(|id| pill(id))));
    }
    body.mentions = ids;
}

/// Writes one person's account as an id to mention; a bare number is a role on Discord.
pub fn of_person(markup: Markup, account: &str) -> String {
    match markup {
        Markup::Discord => format!("@{account}"),
        Markup::Matrix | Markup::Plain => account.to_owned(),
    }
}

/// Writes a user as clients show a mention; `@room`, which calls the whole room, stays as it is.
fn pill(id: &str) -> String {
    if id == "@room" {
        return id.to_owned();
    }
    let written = id
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    format!(
        "<a href=\"https://matrix.to/#/{}\">{written}</a>",
        utf8_percent_encode(id, &ESCAPED_IN_LINK)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::notice::{Happening, Phase, Trigger};

    #[test]
    fn somebody_in_two_groups_is_called_once() {
        let groups: BTreeMap<String, Vec<String>> = [
            ("validators".into(), vec!["7".into(), "8".into()]),
            ("developers".into(), vec!["8".into(), "9".into()]),
        ]
        .into();
        let notice = |mention: &[&str]| Notice {
            mention: mention.iter().map(|group| (*group).into()).collect(),
            ..Notice::new("n", Phase::Execution, "t", Trigger::On(Happening::Applied))
        };
        assert_eq!(
            whom(&notice(&["validators", "developers"]), &groups),
            ["7", "8", "9"]
        );
        assert_eq!(whom(&notice(&["developers", "users"]), &groups), ["8", "9"]);
        assert!(whom(&notice(&[]), &groups).is_empty());
    }

    fn named(markup: Markup, ids: &[&str]) -> Body {
        let mut body = Body {
            text: "Title".into(),
            html: (markup == Markup::Matrix).then(|| "<h2>Title</h2>".into()),
            ..Body::default()
        };
        name(
            &mut body,
            markup,
            ids.iter().map(|id| (*id).to_owned()).collect(),
        );
        body
    }

    #[test]
    fn people_are_named_last_as_their_platform_names_them() {
        let discord = named(Markup::Discord, &["7", "8"]);
        assert_eq!(
            (discord.text.as_str(), discord.mentions),
            ("Title\n\n<@&7> <@&8>", vec!["7".to_owned(), "8".to_owned()])
        );
        let matrix = named(Markup::Matrix, &["@room", "@anna:example.org"]);
        assert_eq!(matrix.text, "Title\n\n@room @anna:example.org");
        let pill = "<a href=\"https://matrix.to/#/@anna:example.org\">@anna:example.org</a>";
        assert_eq!(
            matrix.html.unwrap(),
            format!("<h2>Title</h2>\n<p>@room {pill}</p>")
        );
        assert_eq!(named(Markup::Matrix, &[]).text, "Title");
    }

    #[test]
    fn an_odd_id_stays_one_link() {
        assert_eq!(
            pill("@a/\"<b>:x"),
            "<a href=\"https://matrix.to/#/@a%2F%22%3Cb%3E:x\">@a/\"&lt;b&gt;:x</a>"
        );
    }
}
