//! A source file: its text, and findings with their place in it.

use std::{fs, io, path::Path};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::{
    empty::left_empty,
    finding::{Finding, Severity, with_short_quotations},
    span, wording,
};

/// The largest file that is read. What people write is far smaller.
const MAX_FILE_BYTES: u64 = 1 << 20;

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
        let wrong = |message: String, hint: &str| Err(Finding::of_file(&name, message, hint));
        let unreadable = |error: io::Error| {
            let hint = "check the path and that it is UTF-8 text you may read";
            wrong(format!("can't be read: {error}"), hint)
        };
        match fs::metadata(path) {
            Err(error) => unreadable(error),
            // A pipe would be waited for, perhaps for ever.
            Ok(about) if !about.is_file() && !about.is_dir() => {
                let hint = "write the words into a file, or remove this";
                wrong("this is a pipe or a device, not a file".to_owned(), hint)
            }
            Ok(about) if about.len() > MAX_FILE_BYTES => {
                let message = format!(
                    "this file has {} bytes, and no file of herald's is so large",
                    about.len()
                );
                wrong(message, "look whether it is another file")
            }
            Ok(_) => match fs::read_to_string(path) {
                Ok(text) => Ok(Self::new(name, &text)),
                Err(error) => unreadable(error),
            },
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
        if let Some((key, place)) = span::strange_space(&self.text) {
            return Err(self.at(
                place,
                format!("a space that is none stands in the key `{key}`, such as a no-break space"),
                "type the line anew, with the space bar".to_owned(),
            ));
        }
        if let Some((c, place)) = span::deceptive(&self.text) {
            return Err(self.at(
                place,
                format!("a character that nobody sees, or that turns the order of others, stands here: U+{:04X}", u32::from(c)),
                "type the line anew".to_owned(),
            ));
        }
        let read = self.lenient()?;
        match left_empty(&self.text) {
            None => Ok(read),
            Some(path) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let hint = "write a value, or remove the key if it may be left out; one that begins with # stands in quotes";
                Err(self.wrong(&path, "nothing is written here", hint))
            }
        }
    }

    /// Reads the YAML of a file that is others': what it holds besides is left alone.
    pub fn lenient<T: DeserializeOwned + JsonSchema>(&self) -> Result<T, Finding> {
        serde_yaml::from_str(&self.text).map_err(|error| {
            let (place, (message, hint)) = wording::of::<T>(&self.text, &error);
            self.at(place, message, hint)
        })
    }

    /// Makes a finding about a file that belongs beside this one and isn't there.
    pub fn missing_beside(&self, name: &str, why: &str) -> Finding {
        let path = Path::new(&self.name).with_file_name(name);
        let message = format!("there is no such file, and {why}");
        let hint =
            "write it, as in the sample that config/ has, or take out of plan.yaml what needs it";
        Finding::of_file(&path.display().to_string(), message, hint)
    }

    /// Makes a finding at a place.
    pub fn at(&self, (line, column): span::Position, message: String, hint: String) -> Finding {
        Finding {
            severity: Severity::Error,
            file: self.name.clone(),
            line,
            column,
            message: with_short_quotations(&message),
            hint: with_short_quotations(&hint),
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
