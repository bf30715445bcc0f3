//! One line of the protocol: `@tags :source COMMAND parameters :last parameter`.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct IrcLine {
    tags: BTreeMap<String, String>,
    /// The nick or the server that it comes from.
    pub from: String,
    pub command: String,
    parameters: Vec<String>,
}

impl IrcLine {
    pub fn parse(line: &str) -> Self {
        let mut rest = line.trim_end_matches(['\r', '\n']);
        let mut parsed = Self::default();
        if let Some((tags, after)) = rest.strip_prefix('@').and_then(|r| r.split_once(' ')) {
            let pair = |tag: &str| {
                let (key, value) = tag.split_once('=').unwrap_or((tag, ""));
                (key.to_owned(), value.to_owned())
            };
            parsed.tags = tags.split(';').map(pair).collect();
            rest = after.trim_start();
        }
        if let Some((source, after)) = rest.strip_prefix(':').and_then(|r| r.split_once(' ')) {
            let nick = source.split_once('!').map_or(source, |(nick, _)| nick);
            nick.clone_into(&mut parsed.from);
            rest = after.trim_start();
        }
        let (head, last) = match rest.split_once(" :") {
            Some((head, last)) => (head, Some(last)),
            None => (rest, None),
        };
        let mut words = head.split_ascii_whitespace().map(str::to_owned);
        parsed.command = words.next().unwrap_or_default();
        parsed.parameters = words.chain(last.map(str::to_owned)).collect();
        parsed
    }

    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.get(name).map(String::as_str)
    }

    pub fn parameter(&self, index: usize) -> &str {
        self.parameters.get(index).map_or("", String::as_str)
    }

    /// The last parameter, which is meant for people where a server explains something.
    pub fn words(&self) -> &str {
        self.parameters.last().map_or("", String::as_str)
    }

    pub fn names(&self, channel: &str) -> bool {
        self.parameters.iter().any(|parameter| parameter == channel)
    }

    /// True if the server says that it won't do what it was asked.
    pub fn is_refusal(&self) -> bool {
        self.command == "FAIL" || self.command.len() == 3 && self.command.starts_with(['4', '5'])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_falls_into_tags_source_command_and_parameters() {
        let line = IrcLine::parse("@msgid=7;+k=a :herald!h@x PRIVMSG #up :two words: here\r\n");
        assert_eq!((line.tag("msgid"), line.tag("+k")), (Some("7"), Some("a")));
        assert_eq!((&*line.from, &*line.command), ("herald", "PRIVMSG"));
        assert_eq!(line.parameters, ["#up", "two words: here"]);
        assert!(IrcLine::parse(":s 404 herald #up :no").is_refusal());
        assert_eq!(IrcLine::parse("PING :x").words(), "x");
    }
}
