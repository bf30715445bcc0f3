//! The files of a configuration, from a folder or from the copy inside the binary.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use include_dir::{Dir, File, include_dir};

use super::yaml::{
    finding::{Finding, Severity},
    source::SourceFile,
};
use crate::domain::plan::language::DEFAULT_LOCALE;

static EMBEDDED_CONFIG: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/config");
static EMBEDDED_TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// The place where the files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A `config` folder with `templates` beside it.
    Folder { config: PathBuf, templates: PathBuf },
    /// The defaults in the binary.
    Embedded,
}

impl Origin {
    /// Chooses the folder asked for; else `config/` here; else, where allowed, the embedded defaults.
    pub fn choose(asked: Option<PathBuf>, allow_embedded: bool) -> Self {
        match asked {
            None if allow_embedded && !PathBuf::from("config").is_dir() => Self::Embedded,
            asked => {
                let config = asked.unwrap_or_else(|| PathBuf::from("config"));
                let templates = match config.parent() {
                    Some(parent) => parent.join("templates"),
                    None => PathBuf::from("templates"),
                };
                Self::Folder { config, templates }
            }
        }
    }
}

/// Where the files were read, for people.
impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Embedded => f.write_str("the built-in example"),
            Self::Folder { config, templates } => {
                write!(f, "{} and {}", config.display(), templates.display())
            }
        }
    }
}

/// All files of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFiles {
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
    /// Warnings of files that look as if they were meant, and are not read.
    pub passed_over: Vec<Finding>,
}

/// Writes the templates of the binary into a folder, so that the team can change them.
pub fn extract_templates(folder: &Path) -> std::io::Result<()> {
    EMBEDDED_TEMPLATES.extract(folder)
}

/// Tells whether a template is one of the binary's, word for word.
pub fn is_built_in(name: &str, text: &str) -> bool {
    let file = EMBEDDED_TEMPLATES.get_file(format!("{name}.md.hbs"));
    file.and_then(File::contents_utf8) == Some(text)
}

impl ConfigFiles {
    /// Lists the files whose words people read.
    pub fn read_by_people(&self) -> impl Iterator<Item = &SourceFile> {
        let optional = [&self.people, &self.help, &self.checklist];
        std::iter::once(&self.plan)
            .chain(optional.into_iter().flatten())
            .chain(&self.upgrades)
    }

    pub fn read(origin: &Origin) -> Result<Self, Finding> {
        match origin {
            Origin::Embedded => Ok(Self::embedded()),
            Origin::Folder { config, templates } => Self::folder(config, templates),
        }
    }

    /// Reads what can be read where the other files can't: herald.yaml, with the built-in plan and templates.
    pub fn bare(origin: &Origin) -> Option<Self> {
        let Origin::Folder { config, .. } = origin else {
            return None;
        };
        Some(Self {
            deployment: SourceFile::from_disk(&config.join("herald.yaml")).ok()?,
            upgrades: Vec::new(),
            people: None,
            help: None,
            checklist: None,
            roster: Vec::new(),
            ..Self::embedded()
        })
    }

    fn folder(config: &Path, templates: &Path) -> Result<Self, Finding> {
        if !config.is_dir() {
            let hint = "run it where `config/` is, or name the folder with --config";
            return Err(Finding::of_file(
                &config.display().to_string(),
                "there is no such folder".to_owned(),
                hint,
            ));
        }
        let mut upgrades = Vec::new();
        let folder = config.join("upgrades");
        if folder.is_dir() {
            for path in sorted(&folder)?.into_iter().filter(|p| is_yaml(p)) {
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
            return Err(Finding::of_file(
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
            passed_over: passed_over(config, templates)?,
        })
    }

    /// The example in the binary.
    pub fn embedded() -> Self {
        let text = |name: &str| SourceFile {
            name: format!("config/{name}"),
            text: EMBEDDED_CONFIG
                .get_file(name)
                .and_then(|f| f.contents_utf8())
                .unwrap_or_default()
                .to_owned(),
        };
        let upgrades = EMBEDDED_CONFIG
            .get_dir("upgrades")
            .into_iter()
            .flat_map(Dir::files)
            .map(|f| text(&f.path().display().to_string()))
            .collect();
        let templates = EMBEDDED_TEMPLATES
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
        let mut folders: Vec<&Dir<'_>> = EMBEDDED_CONFIG.get_dir("roster").into_iter().collect();
        while let Some(folder) = folders.pop() {
            folders.extend(folder.dirs());
            roster.extend(
                folder
                    .files()
                    .map(|f| text(&f.path().display().to_string()))
                    .filter(|f| is_active_provider(&f.name)),
            );
        }
        roster.sort_by(|a, b| a.name.cmp(&b.name));
        let optional = |name: &str| EMBEDDED_CONFIG.get_file(name).map(|_| text(name));
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
            passed_over: Vec::new(),
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
        .filter(|(locale, _)| locale == DEFAULT_LOCALE)
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
    EMBEDDED_TEMPLATES
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
        let is_provider = is_yaml(&path) && is_active_provider(&path.display().to_string());
        if path.is_dir() {
            below(&path, found)?;
        } else if is_provider {
            found.push(SourceFile::from_disk(&path)?);
        }
    }
    Ok(())
}

/// Warns of files that look as if they were meant, and are not read because of their name or their folder.
fn passed_over(config: &Path, templates: &Path) -> Result<Vec<Finding>, Finding> {
    let mut files = sorted(config)?;
    for folder in ["upgrades", "roster"].map(|folder| config.join(folder)) {
        if folder.is_dir() {
            all_below(&folder, &mut files)?;
        }
    }
    let of_config = files
        .iter()
        .filter(|path| path.is_file())
        .map(|path| (path, misplaced(path.strip_prefix(config).unwrap_or(path))));
    let mut files = Vec::new();
    all_below(templates, &mut files)?;
    let of_templates = files.iter().map(|path| {
        let inside = path.strip_prefix(templates).unwrap_or(path);
        (path, misplaced_template(inside).map(str::to_owned))
    });
    let found = of_config.chain(of_templates).filter_map(|(path, hint)| {
        let name = path.display().to_string();
        let finding = Finding::of_file(&name, "this file is not read".to_owned(), &hint?);
        Some(Finding {
            severity: Severity::Warning,
            ..finding
        })
    });
    Ok(found.collect())
}

/// Says what to do with a file of the config folder that is not read.
fn misplaced(path: &Path) -> Option<String> {
    const NAMES: [&str; 5] = ["herald", "plan", "people", "help", "checklist"];
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let stem = path.file_stem()?.to_str()?;
    let name = stem.to_lowercase();
    if let (["upgrades", file], false) = (&parts[..], is_like_yaml(path)) {
        let is_upgrade = path.extension().is_some_and(|e| e != "md") && !file.ends_with('~');
        let stem = stem.trim_end_matches(".yaml").trim_end_matches(".yml");
        return is_upgrade.then(|| {
            format!("name it {stem}.yaml if it is an upgrade, and move it elsewhere if it is none")
        });
    }
    if !is_like_yaml(path) {
        return None;
    }
    match parts[..] {
        [file] if NAMES.contains(&&*name) && file != format!("{name}.yaml") => {
            Some(format!("name it {name}.yaml"))
        }
        ["upgrades", _] if !is_yaml(path) => Some(format!("name it {stem}.yaml")),
        ["upgrades", _, _, ..] => {
            Some("move it into upgrades/ itself, or remove it if it is over".to_owned())
        }
        ["roster", ..] if !is_yaml(path) => Some(format!("name it {stem}.yml")),
        _ => None,
    }
}

/// Says what to do with a file of the templates' folder that is not read.
fn misplaced_template(path: &Path) -> Option<&'static str> {
    let name = path.to_str()?;
    let in_folder = path.iter().count() == 2;
    if path.starts_with("words") {
        let is_wrong = is_like_yaml(path) && !(in_folder && name.ends_with(".yaml"));
        return is_wrong.then_some("name it templates/words/LOCALE.yaml, such as de.yaml");
    }
    let is_wrong =
        name.to_lowercase().ends_with(".hbs") && !(in_folder && name.ends_with(".md.hbs"));
    is_wrong.then_some("name it templates/FOLDER/NAME.md.hbs, such as execution/applied.md.hbs")
}

/// Lists all files below a folder.
fn all_below(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Finding> {
    for path in sorted(folder)? {
        // A link may lead back to where it stands.
        if path.is_dir() && !path.is_symlink() {
            all_below(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yaml" || e == "yml")
}

/// Tells whether a file is YAML by its name, in capitals or not.
fn is_like_yaml(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str());
    extension.is_some_and(|e| matches!(&*e.to_lowercase(), "yaml" | "yml"))
}

/// Lists what is in a folder. What begins with a dot is nobody's words: it is an editor's or a system's.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>, Finding> {
    let is_hidden = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with('.'))
    };
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths = fs::read_dir(folder)?
            .map(|e| e.map(|e| e.path()))
            .collect::<std::io::Result<Vec<_>>>()?;
        paths.retain(|path| !is_hidden(path));
        paths.sort();
        Ok(paths)
    };
    read().map_err(|e| {
        Finding::of_file(
            &folder.display().to_string(),
            format!("can't be listed: {e}"),
            "check the folder's permissions",
        )
    })
}

/// Tells whether a file below `roster/` is one of a provider who is there: not in a folder beside `active`.
fn is_active_provider(name: &str) -> bool {
    let parts: Vec<&str> = name.split(['/', '\\']).collect();
    let folders = parts.split_last().map_or(&[][..], |(_, folders)| folders);
    let below = folders
        .iter()
        .position(|p| *p == "roster")
        .map_or(folders, |at| folders.get(at + 1..).unwrap_or_default());
    below.is_empty() || below.contains(&"active")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_left_is_no_provider() {
        assert!(is_active_provider(
            "config/roster/paseo-validators/active/a.yml"
        ));
        assert!(is_active_provider("config/roster/a.yml"));
        assert!(!is_active_provider(
            "config/roster/paseo-validators/inactive/a.yml"
        ));
        assert!(!is_active_provider("config/roster/paseo-validators/a.yml"));
    }

    #[test]
    fn what_is_not_read_is_told_with_its_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str| {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        let good = [
            "config/herald.yaml",
            "config/other.yml",
            "config/upgrades/v1.yaml",
            "config/upgrades/v2.yml",
            "config/upgrades/README.md",
            "config/upgrades/LICENSE",
            "config/upgrades/v2.yml~",
            "config/upgrades/.#v1.yaml",
            "config/upgrades/._v1.yaml",
            "config/upgrades/.git/v1.yaml",
            "config/roster/a/active/notes.txt",
            "config/roster/a/active/b.yml",
            "config/schemas/x.YAML",
            "templates/words/de.yaml",
            "templates/execution/applied.md.hbs",
            "templates/README.md",
        ];
        good.iter().for_each(|file| write(file));
        let wrong = [
            ("config/upgrades/V2.YAML", "name it V2.yaml"),
            ("config/upgrades/v3.yaml.txt", "name it v3.yaml if"),
            ("config/upgrades/v4.json", "name it v4.yaml if"),
            ("config/upgrades/old/v0.yaml", "move it into upgrades/"),
            ("config/upgrades/2027/q1/v9.YML", "move it into upgrades/"),
            ("config/people.yml", "name it people.yaml"),
            ("config/Help.yaml", "name it help.yaml"),
            ("config/roster/a/active/c.YML", "name it c.yml"),
            ("templates/words/fr.yml", "words/LOCALE.yaml"),
            ("templates/words/more/it.yaml", "words/LOCALE.yaml"),
            ("templates/applied.md.hbs", "FOLDER/NAME.md.hbs"),
            ("templates/execution/more/x.md.hbs", "FOLDER/NAME.md.hbs"),
            ("templates/execution/x.MD.HBS", "FOLDER/NAME.md.hbs"),
            ("templates/execution/x.hbs", "FOLDER/NAME.md.hbs"),
        ];
        wrong.iter().for_each(|(file, _)| write(file));
        let (config, templates) = (dir.path().join("config"), dir.path().join("templates"));
        let found = passed_over(&config, &templates).unwrap();
        let told = |file: &str| {
            let name = dir.path().join(file).display().to_string();
            found.iter().find(|finding| finding.file == name)
        };
        for file in good {
            assert_eq!(told(file), None, "{file}");
        }
        for (file, hint) in wrong {
            let finding = told(file).unwrap_or_else(|| panic!("{file}: {found:?}"));
            assert!(finding.hint.contains(hint), "{finding}");
            assert_eq!(finding.severity, Severity::Warning);
        }
        assert_eq!(found.len(), wrong.len());
        let read: Vec<PathBuf> = sorted(&config.join("upgrades")).unwrap();
        let hidden = |path: &PathBuf| path.display().to_string().contains("/.");
        let inside = |path: &PathBuf| path.strip_prefix(&config).unwrap().to_owned();
        assert!(
            !read.iter().map(inside).any(|path| hidden(&path)),
            "{read:?}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("a.yaml");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let said = SourceFile::from_disk(&socket).unwrap_err();
        assert!(said.message.contains("not a file"), "{said}");
        let large = dir.path().join("b.yaml");
        fs::write(&large, "a".repeat(1 << 20 | 1)).unwrap();
        let said = SourceFile::from_disk(&large).unwrap_err();
        assert!(
            said.message.contains("this file has 1048577 bytes"),
            "{said}"
        );
        assert!(said.to_string().len() < 500, "{said}");
    }
}
