//! A source file: its text, and findings with their place in it.

use std::{fs, path::Path};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::{
    empty::left_empty,
    finding::{Finding, Severity},
    span, wording,
};

/// A file's text and the name an operator knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub name: String,
    pub text: String,
}

impl SourceFile {
    /// Makes a file of its text. Some editors begin one with a mark that no reader sees, and that would count as indentation.
    pub fn new(name: String, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        Self { name, text }
    }

    pub fn from_disk(path: &Path) -> Result<Self, Finding> {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self::new(name, &text)),
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
        if let Some(place) = span::tag(&self.text) {
            return Err(self.at(
                place,
                "a tag, which begins with `!`, means nothing here".to_owned(),
                "remove it, or put the text in quotes".to_owned(),
            ));
        }
        let read = serde_yaml::from_str(&self.text).map_err(|error| {
            let (place, (message, hint)) = wording::of::<T>(&self.text, &error);
            self.at(place, message, hint)
        })?;
        match left_empty::<T>(&self.text) {
            None => Ok(read),
            Some(path) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let hint = "write a value, or remove the key if it may be left out; one that begins with # stands in quotes";
                Err(self.wrong(&path, "nothing is written here", hint))
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
