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

pub struct Questions {
    /// Answers that were given beforehand, by the question's name.
    given: BTreeMap<String, String>,
    /// The folder of the secrets' files.
    secrets: PathBuf,
    new_secrets: Vec<(PathBuf, SecretString)>,
}

impl Questions {
    pub fn new(given: Vec<(String, String)>, secrets: PathBuf) -> Self {
        Self {
            given: given.into_iter().collect(),
            secrets,
            new_secrets: Vec::new(),
        }
    }

    pub fn secrets(&self) -> &Path {
        &self.secrets
    }

    /// The secrets that are to be written, with their files.
    pub fn new_secrets(&self) -> &[(PathBuf, SecretString)] {
        &self.new_secrets
    }

    /// An answer to what is not asked for.
    pub fn given(&mut self, name: &str) -> Option<String> {
        self.given.remove(name)
    }

    /// Refuses answers to questions that nobody asked.
    pub fn all_used(&self) -> Result<()> {
        match self.given.keys().next() {
            Some(name) => bail!("--set {name}: no question has this name, or it was not asked"),
            None => Ok(()),
        }
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
            return Ok(text.trim().to_owned().into());
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
        let place = |id: &str, name: &str| NamedPlace {
            id: id.into(),
            name: name.into(),
        };
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
    fn answers_given_beforehand_are_checked_and_all_of_them_are_wanted() {
        let given = |name: &str, answer: &str| {
            Questions::new(vec![(name.into(), answer.into())], PathBuf::from("secrets"))
        };
        let mut questions = given("zone", "Mars");
        assert!(questions.all_used().is_err());
        let refused = questions.checked("zone", "Zone", None, |_| Err("that is no zone".into()));
        assert_eq!(
            refused.unwrap_err().to_string(),
            "--set zone=Mars: that is no zone"
        );
        assert!(questions.all_used().is_ok());
        assert!(
            given("matrix", "no")
                .yes("matrix", "Matrix?", true)
                .is_ok_and(|yes| !yes)
        );
        assert!(
            given("matrix", "perhaps")
                .yes("matrix", "Matrix?", true)
                .is_err()
        );
        let chosen = given("room", "")
            .choose_or_none("room", "Room", &places())
            .unwrap();
        assert_eq!(chosen, None);
        assert!(given("room", "").choose("room", "Room", &places()).is_err());
        assert!(
            given("room", "kitchen")
                .choose_or_none("room", "Room", &places())
                .is_err()
        );
    }
}
