//! The accounts of herald.yaml: who herald is on a platform, and where its secrets are.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use secrecy::SecretString;

use super::shape::{RawDiscord, RawIrc, RawMatrix, RawSecret, RawSource};
use crate::{
    config::yaml::{finding::Finding, source::SourceFile},
    ports::{is_discord_id, is_matrix_id},
};

/// The place of a secret; it is read when it is needed and never kept in a configuration.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    Env(String),
    File(PathBuf),
}

impl Secret {
    pub fn read(&self) -> Result<SecretString, String> {
        let text = match self {
            Self::Env(name) => {
                // The environment is read here and nowhere else.
                #[allow(clippy::disallowed_methods)]
                std::env::var(name).map_err(|_| format!("{self} is not set"))?
            }
            Self::File(path) => {
                std::fs::read_to_string(path).map_err(|e| format!("{self} can't be read: {e}"))?
            }
        };
        // Some editors begin a file with a mark that no reader sees.
        match text.trim_start_matches('\u{feff}').trim() {
            "" => Err(format!("{self} is empty")),
            text => Ok(text.to_owned().into()),
        }
    }
}

impl Secret {
    /// Tells whether the mode of the file that holds it lets everybody read it.
    #[cfg(unix)]
    pub fn is_open_to_all(&self) -> bool {
        use std::os::unix::fs::PermissionsExt;
        let Self::File(path) = self else {
            return false;
        };
        std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o004 != 0)
    }

    /// Elsewhere there are no such rights.
    #[cfg(not(unix))]
    pub fn is_open_to_all(&self) -> bool {
        false
    }
}

/// Shows where the secret is, unless that may be the secret itself, written in the wrong place.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) if is_customary(name) => write!(f, "the environment variable {name}"),
            Self::Env(_) => f.write_str("the environment variable that it names"),
            Self::File(path) if path.exists() || is_in_folder(path) => {
                write!(f, "{}", path.display())
            }
            Self::File(_) => f.write_str("the file that it names"),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

/// Tells whether an environment variable may have this name.
fn is_variable(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// Tells whether a name looks like those of environment variables, and so like no token.
fn is_customary(name: &str) -> bool {
    name.len() <= 60 && !name.contains(|c: char| c.is_ascii_lowercase())
}

/// Tells whether a path names a folder that is there.
fn is_in_folder(path: &Path) -> bool {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    folder.is_some_and(Path::is_dir)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscordConfig {
    pub token: Secret,
    pub guild: u64,
    /// Another address and root certificate for Discord's API: behind an inspecting proxy, or in tests.
    pub route: Option<(SocketAddr, PathBuf)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixConfig {
    pub homeserver: String,
    pub user: String,
    /// One of the two is there.
    pub password: Option<Secret>,
    pub token: Option<Secret>,
    pub device: String,
    pub store: PathBuf,
    pub passphrase: Option<Secret>,
    pub recovery: Option<Secret>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IrcConfig {
    /// Host and port.
    pub server: String,
    pub nick: String,
    pub password: Option<Secret>,
}

pub(super) fn discord(
    raw: RawDiscord,
    file: &SourceFile,
    findings: &mut Vec<Finding>,
) -> Option<DiscordConfig> {
    let token = secret(raw.token, file, &["discord", "token"], findings);
    let guild = Some(&raw.guild).filter(|id| is_discord_id(id));
    let guild = guild.and_then(|id| id.parse::<u64>().ok());
    if guild.is_none() {
        findings.push(file.wrong(
            &["discord", "guild"],
            "this is not a server's id",
            "write the number in quotes (copy it with developer mode on)",
        ));
    }
    let route = raw.route.map(|route| {
        let address = route.address.parse::<SocketAddr>();
        if route.ca.as_os_str().is_empty() {
            findings.push(file.wrong(
                &["discord", "route", "ca"],
                "no certificate is named",
                "write the path of its file",
            ));
        }
        if address.is_err() {
            findings.push(file.wrong(
                &["discord", "route", "address"],
                "this is not an address",
                "write IP:port, such as 127.0.0.1:8443",
            ));
        }
        address.ok().map(|a| (a, route.ca))
    });
    Some(DiscordConfig {
        token: token?,
        guild: guild?,
        route: route.flatten(),
    })
}

pub(super) fn matrix(
    raw: RawMatrix,
    file: &SourceFile,
    findings: &mut Vec<Finding>,
) -> Option<MatrixConfig> {
    let host = raw
        .homeserver
        .strip_prefix("https://")
        .or_else(|| raw.homeserver.strip_prefix("http://"));
    if host.is_none_or(|host| {
        host.is_empty() || host.contains(['@', '?', '#']) || host.contains(char::is_whitespace)
    }) {
        findings.push(file.wrong(
            &["matrix", "homeserver"],
            "this is not the address of a homeserver",
            "write https:// and the server's host; what signs herald in has keys of its own",
        ));
    }
    if !is_matrix_id(&raw.user) {
        findings.push(file.wrong(
            &["matrix", "user"],
            "this is not an account on Matrix",
            "write the user's id, such as \"@herald:example.org\"",
        ));
    }
    for (key, empty) in [
        ("device", raw.device.trim().is_empty()),
        ("store", raw.store.as_os_str().is_empty()),
    ] {
        if empty {
            findings.push(file.wrong(
                &["matrix", key],
                format!("`{key}` is empty"),
                "write a name, or leave it out for the default",
            ));
        }
    }
    match (&raw.password, &raw.token) {
        (None, None) => findings.push(file.wrong(
            &["matrix"],
            "there is no way for herald to log in",
            "add `password: { env: NAME }`, or `token` with an access token",
        )),
        (Some(_), Some(_)) => findings.push(file.wrong(
            &["matrix", "token"],
            "there are two ways to log in",
            "keep `password` or `token`",
        )),
        _ => {}
    }
    let mut optional = |raw: Option<RawSecret>, key: &str| {
        raw.map(|raw| secret(raw, file, &["matrix", key], findings))
    };
    let (password, token) = (
        optional(raw.password, "password"),
        optional(raw.token, "token"),
    );
    let (passphrase, recovery) = (
        optional(raw.passphrase, "passphrase"),
        optional(raw.recovery, "recovery"),
    );
    // One that is named and can't be read is an error already.
    let (password, token, passphrase, recovery) = (
        password.flatten(),
        token.flatten(),
        passphrase.flatten(),
        recovery.flatten(),
    );
    Some(MatrixConfig {
        homeserver: raw.homeserver,
        user: raw.user,
        password,
        token,
        device: raw.device,
        store: raw.store,
        passphrase,
        recovery,
    })
}

pub(super) fn irc(
    raw: RawIrc,
    file: &SourceFile,
    findings: &mut Vec<Finding>,
) -> Option<IrcConfig> {
    let password = raw
        .password
        .map(|password| secret(password, file, &["irc", "password"], findings));
    let port = raw.server.rsplit_once(':').map(|(_, port)| port);
    if port.and_then(|port| port.parse::<u16>().ok()).is_none() {
        findings.push(file.wrong(
            &["irc", "server"],
            "this is not a server and its port",
            "write host:port, such as localhost:6667",
        ));
    }
    if raw.nick.is_empty()
        || raw
            .nick
            .contains(|c: char| c.is_whitespace() || c.is_control())
    {
        findings.push(file.wrong(
            &["irc", "nick"],
            "this can't be a nick",
            "write one word, such as herald",
        ));
    }
    Some(IrcConfig {
        server: raw.server,
        nick: raw.nick,
        password: password.flatten(),
    })
}

pub(super) fn secret(
    raw: RawSecret,
    file: &SourceFile,
    path: &[&str],
    findings: &mut Vec<Finding>,
) -> Option<Secret> {
    match raw {
        RawSecret::Source(RawSource {
            env: Some(env),
            file: None,
        }) if !env.is_empty() && is_variable(&env) => Some(Secret::Env(env)),
        RawSecret::Source(RawSource {
            env: Some(_),
            file: None,
        }) => {
            findings.push(file.wrong(
                path,
                "no environment variable can have the name that stands here",
                "write the variable's name, such as HERALD_TOKEN, and the secret into the variable; a secret that stood here is no secret any more",
            ));
            None
        }
        RawSecret::Source(RawSource {
            env: None,
            file: Some(path),
        }) if !path.as_os_str().is_empty() => Some(Secret::File(path)),
        _ => {
            findings.push(file.wrong(
                path,
                "a secret has one source",
                "write `env: NAME` or `file: PATH`, never the secret itself",
            ));
            None
        }
    }
}
