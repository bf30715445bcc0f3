//! The files themselves, from a folder or from the copy inside the binary.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use include_dir::{Dir, include_dir};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::{
    finding::{Finding, Severity, nearest},
    span,
};
use crate::{
    config::{Origin, schema},
    domain::plan::language::DEFAULT,
};

static CONFIG: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/config");
static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

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
            Err(error) => Err(whole(
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
        match schema::left_empty::<T>(&self.text) {
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

    /// A finding at a key path.
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

fn whole(file: &str, message: String, hint: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        file: file.to_owned(),
        line: 0,
        column: 0,
        message,
        hint: hint.to_owned(),
    }
}

/// All files of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    pub deployment: SourceFile,
    pub plan: SourceFile,
    pub upgrades: Vec<SourceFile>,
    /// people.yaml, help.yaml and checklist.yaml, where they are there.
    pub people: Option<SourceFile>,
    pub help: Option<SourceFile>,
    pub checklist: Option<SourceFile>,
    /// Providers' files, from the folders of those who are there.
    pub roster: Vec<SourceFile>,
    /// By name; a translation has its locale behind a dot.
    pub templates: BTreeMap<String, SourceFile>,
    /// By locale. English is always there: where a folder has none, it is the one in the binary.
    pub words: BTreeMap<String, SourceFile>,
}

impl Files {
    pub fn read(origin: &Origin) -> Result<Self, Finding> {
        match origin {
            Origin::Embedded => Ok(Self::embedded()),
            Origin::Folder { config, templates } => Self::folder(config, templates),
        }
    }

    fn folder(config: &Path, templates: &Path) -> Result<Self, Finding> {
        if !config.is_dir() {
            let hint = "run it where `config/` is, or name the folder with --config";
            return Err(whole(
                &config.display().to_string(),
                "there is no such folder".to_owned(),
                hint,
            ));
        }
        let mut upgrades = Vec::new();
        let folder = config.join("upgrades");
        if folder.is_dir() {
            for path in sorted(&folder)?
                .into_iter()
                .filter(|p| p.extension().is_some_and(|e| e == "yaml" || e == "yml"))
            {
                upgrades.push(SourceFile::from_disk(&path)?);
            }
        }
        let folder = config.join("roster");
        let mut roster = Vec::new();
        if folder.is_dir() {
            below(&folder, &mut roster)?;
        }
        if !templates.is_dir() {
            let hint = "templates/ stands beside the config folder";
            return Err(whole(
                &templates.display().to_string(),
                "there is no such folder".to_owned(),
                hint,
            ));
        }
        let mut found = BTreeMap::new();
        for folder in sorted(templates)?.into_iter().filter(|p| p.is_dir()) {
            for path in sorted(&folder)? {
                if let Some(name) = template_name(path.strip_prefix(templates).unwrap_or(&path)) {
                    found.insert(name, SourceFile::from_disk(&path)?);
                }
            }
        }
        let optional = |name: &str| {
            let path = config.join(name);
            path.exists()
                .then(|| SourceFile::from_disk(&path))
                .transpose()
        };
        Ok(Self {
            people: optional("people.yaml")?,
            help: optional("help.yaml")?,
            checklist: optional("checklist.yaml")?,
            deployment: SourceFile::from_disk(&config.join("herald.yaml"))?,
            plan: SourceFile::from_disk(&config.join("plan.yaml"))?,
            upgrades,
            roster,
            templates: found,
            words: words(&templates.join("words"))?,
        })
    }

    fn embedded() -> Self {
        let text = |name: &str| SourceFile {
            name: format!("config/{name}"),
            text: CONFIG
                .get_file(name)
                .and_then(|f| f.contents_utf8())
                .unwrap_or_default()
                .to_owned(),
        };
        let upgrades = CONFIG
            .get_dir("upgrades")
            .into_iter()
            .flat_map(Dir::files)
            .map(|f| text(&f.path().display().to_string()))
            .collect();
        let templates = TEMPLATES
            .dirs()
            .flat_map(Dir::files)
            .filter_map(|f| {
                let text = f.contents_utf8()?.to_owned();
                Some((
                    template_name(f.path())?,
                    SourceFile {
                        name: format!("templates/{}", f.path().display()),
                        text,
                    },
                ))
            })
            .collect();
        let mut roster = Vec::new();
        let mut folders: Vec<&Dir<'_>> = CONFIG.get_dir("roster").into_iter().collect();
        while let Some(folder) = folders.pop() {
            folders.extend(folder.dirs());
            roster.extend(
                folder
                    .files()
                    .map(|f| text(&f.path().display().to_string()))
                    .filter(|f| crate::config::roster::counts(&f.name)),
            );
        }
        roster.sort_by(|a, b| a.name.cmp(&b.name));
        let optional = |name: &str| CONFIG.get_file(name).map(|_| text(name));
        Self {
            people: optional("people.yaml"),
            help: optional("help.yaml"),
            checklist: optional("checklist.yaml"),
            deployment: text("herald.yaml"),
            plan: text("plan.yaml"),
            upgrades,
            roster,
            templates,
            words: embedded_words().collect(),
        }
    }
}

/// `execution/applied.md.hbs` is `execution/applied`, `execution/applied.de.md.hbs` `execution/applied.de`.
fn template_name(path: &Path) -> Option<String> {
    path.to_str()?
        .strip_suffix(".md.hbs")
        .map(|s| s.replace('\\', "/"))
}

/// `words/de.yaml` is `de`.
fn locale(path: &Path) -> Option<String> {
    path.file_name()?
        .to_str()?
        .strip_suffix(".yaml")
        .map(str::to_owned)
}

fn words(folder: &Path) -> Result<BTreeMap<String, SourceFile>, Finding> {
    let mut found: BTreeMap<String, SourceFile> = embedded_words()
        .filter(|(locale, _)| locale == DEFAULT)
        .collect();
    if folder.is_dir() {
        for path in sorted(folder)? {
            if let Some(locale) = locale(&path) {
                found.insert(locale, SourceFile::from_disk(&path)?);
            }
        }
    }
    Ok(found)
}

fn embedded_words() -> impl Iterator<Item = (String, SourceFile)> {
    TEMPLATES
        .get_dir("words")
        .into_iter()
        .flat_map(Dir::files)
        .filter_map(|f| {
            let text = f.contents_utf8()?.to_owned();
            Some((
                locale(f.path())?,
                SourceFile {
                    name: format!("templates/{}", f.path().display()),
                    text,
                },
            ))
        })
}

/// Providers' files, however deep.
fn below(folder: &Path, found: &mut Vec<SourceFile>) -> Result<(), Finding> {
    for path in sorted(folder)? {
        let is_provider = path.extension().is_some_and(|e| e == "yaml" || e == "yml")
            && crate::config::roster::counts(&path.display().to_string());
        if path.is_dir() {
            below(&path, found)?;
        } else if is_provider {
            found.push(SourceFile::from_disk(&path)?);
        }
    }
    Ok(())
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, Finding> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths = fs::read_dir(folder)?
            .map(|e| e.map(|e| e.path()))
            .collect::<std::io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    read().map_err(|e| {
        whole(
            &folder.display().to_string(),
            format!("can't be listed: {e}"),
            "check the folder's permissions",
        )
    })
}
