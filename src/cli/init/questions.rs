//! Questions to whoever sets herald up, and their answers: given beforehand, or read line by line.

use std::{
    collections::BTreeMap,
    fs,
    io::{IsTerminal, stdin},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use secrecy::SecretString;

use crate::{config::suggest, ports::NamedPlace};

/// The names of all questions, and of what can only be given beforehand.
const NAMES: [&str; 20] = [
    "discord",
    "discord.route",
    "discord.server",
    "discord.channel",
    "discord.operators",
    "discord.validators",
    "matrix",
    "matrix.homeserver",
    "matrix.user",
    "matrix.room",
    "matrix.operators",
    "matrix.notify",
    "chain",
    "chain.endpoints",
    "zone",
    "help",
    "help.team",
    "name",
    "name.discord",
    "name.matrix",
];

pub struct Questions {
    /// Answers that were given beforehand, by the question's name.
    given: BTreeMap<String, String>,
    /// The folder of the secrets' files.
    secrets: PathBuf,
    new_secrets: Vec<(PathBuf, SecretString)>,
}

impl Questions {
    /// # Errors
    /// An answer is to a question that there is not.
    pub fn new(given: Vec<(String, String)>, secrets: PathBuf) -> Result<Self> {
        for (name, _) in &given {
            if !NAMES.contains(&name.as_str()) {
                bail!(
                    "--set {name}: no question has this name; {}",
                    suggest(name, NAMES)
                );
            }
        }
        Ok(Self {
            given: given.into_iter().collect(),
            secrets,
            new_secrets: Vec::new(),
        })
    }

    pub fn secrets(&self) -> &Path {
        &self.secrets
    }

    /// The secrets that are to be written, with their files.
    pub fn new_secrets(&self) -> &[(PathBuf, SecretString)] {
        &self.new_secrets
    }

    /// An answer that can only be given beforehand.
    pub fn given(&mut self, name: &str) -> Option<String> {
        self.given.remove(name)
    }

    /// A line, which is empty only if `default` is.
    pub fn line(&mut self, name: &str, words: &str, default: Option<&str>) -> Result<String> {
        self.checked(name, words, default, |_| Ok(()))
    }

    /// A line that `check` agrees to. A person is asked again; an answer that was given beforehand is an error.
    pub fn checked(
        &mut self,
        name: &str,
        words: &str,
        default: Option<&str>,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Result<String> {
        if let Some(answer) = self.given.remove(name) {
            if answer.is_empty() && default != Some("") {
                bail!("--set {name}=: this question wants an answer");
            }
            if let Err(why) = check(&answer) {
                bail!("--set {name}={answer}: {why}");
            }
            return Ok(answer);
        }
        loop {
            let usual = match default {
                Some("") | None => String::new(),
                Some(default) => format!(" [{default}]"),
            };
            eprint!("{words} ({name}){usual}: ");
            let Some(answer) = read_line()? else {
                bail!("nobody answers; give the answer beforehand, as --set {name}=…");
            };
            let answer = match (answer.as_str(), default) {
                ("", Some(default)) => default.to_owned(),
                ("", None) => continue,
                _ => answer,
            };
            match check(&answer) {
                Ok(()) => return Ok(answer),
                Err(why) => eprintln!("  {why}"),
            }
        }
    }

    pub fn yes(&mut self, name: &str, words: &str, default: bool) -> Result<bool> {
        let is_yes = |answer: &str| match answer.to_lowercase().as_str() {
            "y" | "yes" => Some(true),
            "n" | "no" => Some(false),
            _ => None,
        };
        let usual = if default { "yes" } else { "no" };
        let check = |answer: &str| match is_yes(answer) {
            Some(_) => Ok(()),
            None => Err("answer yes or no".to_owned()),
        };
        let answer = self.checked(name, words, Some(usual), check)?;
        Ok(is_yes(&answer).unwrap_or(default))
    }

    /// One of some places, by its number in the list, its name or its id.
    pub fn choose(&mut self, name: &str, words: &str, places: &[NamedPlace]) -> Result<NamedPlace> {
        match self.pick(name, words, places, None)? {
            Some(place) => Ok(place),
            None => bail!("{name}: there is nothing to choose from"),
        }
    }

    /// One of some places, or none with an empty answer.
    pub fn choose_or_none(
        &mut self,
        name: &str,
        words: &str,
        places: &[NamedPlace],
    ) -> Result<Option<NamedPlace>> {
        let words = format!("{words}; you may leave it out");
        self.pick(name, &words, places, Some(""))
    }

    fn pick(
        &mut self,
        name: &str,
        words: &str,
        places: &[NamedPlace],
        default: Option<&str>,
    ) -> Result<Option<NamedPlace>> {
        if places.is_empty() && !self.given.contains_key(name) {
            return Ok(None);
        }
        if !self.given.contains_key(name) {
            for (place, number) in places.iter().zip(1..) {
                eprintln!("  {number:>2}  {}", place.name);
            }
        }
        let check = |answer: &str| match find(places, answer) {
            _ if answer.is_empty() && default.is_some() => Ok(()),
            Ok(_) => Ok(()),
            Err(why) => Err(why),
        };
        let answer = self.checked(name, words, default, check)?;
        Ok(find(places, &answer).ok().cloned())
    }

    /// A secret: from its file if that is there, and from whoever is asked otherwise. It is taken from no argument, which
    /// everybody on the machine can read.
    pub fn secret(&mut self, file: &str, words: &str) -> Result<SecretString> {
        let path = self.secrets.join(file);
        if path.exists() {
            eprintln!("{words}: from {}", path.display());
            let text = fs::read_to_string(&path)
                .with_context(|| format!("{} can't be read", path.display()))?;
            return match text.trim() {
                "" => bail!("{} is empty", path.display()),
                text => Ok(text.to_owned().into()),
            };
        }
        let secret = loop {
            let prompt = format!("{words} (kept in {}): ", path.display());
            let text = if stdin().is_terminal() {
                rpassword::prompt_password(prompt)?
            } else {
                eprint!("{prompt}");
                match read_line()? {
                    Some(line) => line,
                    None => bail!("nobody answers; write the secret into {}", path.display()),
                }
            };
            if !text.trim().is_empty() {
                break SecretString::from(text.trim().to_owned());
            }
        };
        self.new_secrets.push((path, secret.clone()));
        Ok(secret)
    }

    /// Makes a secret that nobody needs to know, if its file is not there yet.
    pub fn make_secret(
        &mut self,
        file: &str,
        make: impl FnOnce() -> Result<SecretString>,
    ) -> Result<()> {
        let path = self.secrets.join(file);
        if !path.exists() {
            self.new_secrets.push((path, make()?));
        }
        Ok(())
    }
}

/// The next line of the input, if there is one.
fn read_line() -> Result<Option<String>> {
    let mut line = String::new();
    let read = stdin().read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim().to_owned()))
}

/// Finds a place by its number in the list, its name or its id.
fn find<'a>(places: &'a [NamedPlace], answer: &str) -> Result<&'a NamedPlace, String> {
    let number = answer.parse::<usize>().ok();
    let by_number = number.and_then(|number| places.get(number.checked_sub(1)?));
    let name = answer.strip_prefix('#').unwrap_or(answer);
    let is_named =
        |place: &&NamedPlace| place.id == answer || place.name == answer || place.name == name;
    let mut named = places.iter().filter(is_named);
    match (named.next(), named.next(), by_number) {
        (Some(_), Some(_), _) => Err(format!(
            "several are called {answer}; take the number or the id"
        )),
        (Some(place), None, _) | (None, None, Some(place)) => Ok(place),
        _ => {
            let names = places.iter().map(|place| place.name.as_str());
            Err(suggest(answer, names))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Vec<NamedPlace> {
        let place = |id: &str, name: &str| NamedPlace::new(id.into(), name);
        vec![
            place("71", "upgrades"),
            place("72", "team"),
            place("73", "team"),
            place("74", "1"),
        ]
    }

    #[test]
    fn a_place_is_known_by_its_number_name_or_id() {
        let places = places();
        let found = |answer: &str| find(&places, answer).map(|place| place.id.as_str());
        assert_eq!(found("upgrades"), Ok("71"));
        assert_eq!(found("#upgrades"), Ok("71"));
        assert_eq!(found("73"), Ok("73"));
        assert_eq!(found("2"), Ok("72"));
        // A name goes before a number.
        assert_eq!(found("1"), Ok("74"));
        for wrong in ["0", "5", "upgrade", ""] {
            assert!(found(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            found("team"),
            Err("several are called team; take the number or the id".to_owned())
        );
    }

    #[test]
    fn answers_given_beforehand_are_checked() {
        let given = |name: &str, answer: &str| {
            let answers = vec![(name.to_owned(), answer.to_owned())];
            Questions::new(answers, PathBuf::from("secrets")).unwrap()
        };
        let refused =
            given("zone", "Mars").checked("zone", "Zone", None, |_| Err("that is no zone".into()));
        assert_eq!(
            refused.unwrap_err().to_string(),
            "--set zone=Mars: that is no zone"
        );
        let unknown = Questions::new(vec![("zoen".into(), "UTC".into())], PathBuf::new());
        let unknown = unknown.err().unwrap().to_string();
        assert!(unknown.contains("zone"), "{unknown}");
        assert!(given("chain", "").line("chain", "Chain", None).is_err());
        let no = given("matrix", "no").yes("matrix", "Matrix?", true);
        assert!(no.is_ok_and(|yes| !yes));
        let perhaps = given("matrix", "perhaps").yes("matrix", "Matrix?", true);
        assert!(perhaps.is_err());
        let name = "matrix.room";
        let chosen = given(name, "").choose_or_none(name, "Room", &places());
        assert_eq!(chosen.unwrap(), None);
        assert!(given(name, "").choose(name, "Room", &places()).is_err());
        let unknown = given(name, "kitchen").choose_or_none(name, "Room", &places());
        assert!(unknown.is_err());
    }
}
