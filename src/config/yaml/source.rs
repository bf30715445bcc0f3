//! A source file: its text, and findings with their place in it.

use std::{fs, path::Path};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::{
    empty::left_empty,
    finding::{Finding, Severity, nearest},
    span,
};

/// A file's text and the name an operator knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub name: String,
    pub text: String,
}

impl SourceFile {
    pub fn from_disk(path: &Path) -> Result<Self, Finding> {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self { name, text }),
            Err(error) => Err(Finding::of_file(
                &name,
                format!("can't be read: {error}"),
                "check the path and that it is UTF-8 text you may read",
            )),
        }
    }

    /// Reads the YAML into a raw shape; a wrong key or type gives its place and a hint.
    pub fn parse<T: DeserializeOwned + JsonSchema>(
        &self,
        findings: &mut Vec<Finding>,
    ) -> Option<T> {
        self.typed().map_err(|finding| findings.push(finding)).ok()
    }

    fn typed<T: DeserializeOwned + JsonSchema>(&self) -> Result<T, Finding> {
        if let Some((key, place)) = span::duplicate(&self.text) {
            return Err(self.at(
                place,
                format!("`{key}` stands here a second time"),
                "keep one of the two".to_owned(),
            ));
        }
        let read = serde_yaml::from_str(&self.text).map_err(|error| {
            let place = error.location().map_or((1, 1), |l| (l.line(), l.column()));
            let full = error.to_string();
            let message = full
                .rsplit_once(" at line ")
                .map_or(full.as_str(), |(m, _)| m)
                .to_owned();
            let hint = hint_for(&message);
            self.at(place, message, hint)
        })?;
        match left_empty::<T>(&self.text) {
            None => Ok(read),
            Some(path) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                Err(self.wrong(
                    &path,
                    "nothing is written here",
                    "write a value, or remove the key if it may be left out",
                ))
            }
        }
    }

    /// Makes a finding at a place.
    pub fn at(&self, (line, column): span::Position, message: String, hint: String) -> Finding {
        Finding {
            severity: Severity::Error,
            file: self.name.clone(),
            line,
            column,
            message,
            hint,
        }
    }

    /// Makes a finding at a key path.
    pub fn wrong(
        &self,
        path: &[&str],
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Finding {
        self.at(span::find(&self.text, path), message.into(), hint.into())
    }
}

/// serde names what it expected in backquotes: take the nearest for the hint.
fn hint_for(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let unknown = message.contains("unknown field") || message.contains("unknown variant");
    match quoted.split_first() {
        Some((word, expected)) if unknown => match nearest(word, expected.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("remove it, or use one of: {}", expected.join(", ")),
        },
        Some((field, _)) if message.contains("missing field") => format!("add `{field}:` here"),
        _ if message.contains("invalid length") => "write as many as are named above".to_owned(),
        _ if message.contains("invalid type") => "write a value of the type named above".to_owned(),
        _ => "mend the YAML here: look at indentation, quotes and colons".to_owned(),
    }
}
