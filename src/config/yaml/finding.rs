//! A finding: what is wrong, where, and what to do.

use std::fmt;

use serde::Serialize;

use crate::domain::people::reply::Hint;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// As the operator would type it.
    pub file: String,
    /// From 1; 0 where the whole file is meant.
    pub line: usize,
    pub column: usize,
    pub message: String,
    pub hint: String,
}

impl Finding {
    /// Makes a finding about a file as a whole.
    pub fn of_file(file: &str, message: String, hint: &str) -> Self {
        Self {
            severity: Severity::Error,
            file: file.to_owned(),
            line: 0,
            column: 0,
            message: with_short_quotations(&message),
            hint: with_short_quotations(hint),
        }
    }

    /// Makes a warning of an error.
    pub fn warning(self) -> Self {
        Self {
            severity: Severity::Warning,
            ..self
        }
    }
}

/// The longest quotation of a file in a finding.
const MAX_QUOTED_CHARS: usize = 200;

/// Cuts what a message quotes between backticks: a value may be a whole file.
pub(super) fn with_short_quotations(message: &str) -> String {
    let cut = |(i, part): (usize, &str)| {
        if i % 2 == 0 || part.chars().count() <= MAX_QUOTED_CHARS {
            return part.to_owned();
        }
        let beginning: String = part.chars().take(MAX_QUOTED_CHARS).collect();
        format!("{beginning}…")
    };
    let parts: Vec<String> = message.split('`').enumerate().map(cut).collect();
    parts.join("`")
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        // A file may hold what would control a terminal.
        let message = self
            .message
            .replace(|c: char| c.is_control() && c != '\n', " ");
        write!(f, ": {severity}: {message}\n    hint: {}", self.hint)
    }
}

/// Puts findings in the order in which files are read: by file, line and column.
pub fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| {
        let place = |f: &Finding| (f.line, f.column);
        (&a.file, place(a)).cmp(&(&b.file, place(b)))
    });
    findings
}

/// Returns the candidate that was probably meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(word, c), c))
        .filter(|(distance, c)| *distance <= 1 + c.len().max(word.len()) / 3)
        .min()
        .map(|(_, c)| c)
}

/// Returns the name that was probably meant, and all the names there are.
pub fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> Hint {
    Hint {
        near: nearest(word, candidates.clone()).map(str::to_owned),
        known: candidates.into_iter().map(str::to_owned).collect(),
    }
}

/// Asks "did you mean `x`?", or lists what there is.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(word, candidates.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let all: Vec<&str> = candidates.into_iter().collect();
            if all.is_empty() {
                "there is none yet; define it first".to_owned()
            } else {
                format!("there are: {}", all.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_quotes_the_beginning_of_a_long_value() {
        let long = "a".repeat(6_000_000);
        let said = Finding::of_file("a.yaml", format!("`{long}` is not a time"), "write `14:00`");
        let wanted = format!("`{}…` is not a time", "a".repeat(200));
        assert_eq!(
            (said.message, said.hint.as_str()),
            (wanted, "write `14:00`")
        );
    }

    #[test]
    fn findings_stand_as_they_do_in_their_files_and_control_no_terminal() {
        let at = |file: &str, line, column| Finding {
            line,
            column,
            ..Finding::of_file(file, "a \u{1b}[31mfault\u{7}".to_owned(), "mend it")
        };
        let said = in_order(vec![
            at("b.yaml", 1, 1),
            at("a.yaml", 209, 1),
            at("a.yaml", 87, 12),
            at("a.yaml", 87, 5),
        ]);
        let said: Vec<String> = said.iter().map(Finding::to_string).collect();
        let wanted = ["a.yaml:87:5", "a.yaml:87:12", "a.yaml:209:1", "b.yaml:1:1"];
        let wanted = wanted.map(|at| format!("{at}: error: a  [31mfault \n    hint: mend it"));
        assert_eq!(said, wanted);
    }
}
