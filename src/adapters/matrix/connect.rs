//! From settings to a logged-in client.

use std::{
    fs,
    path::{Path, PathBuf},
};

use matrix_sdk::{
    Client, ClientBuildError, STATE_STORE_DATABASE_NAME, SessionMeta, SessionTokens,
    SqliteStoreConfig,
    authentication::matrix::MatrixSession,
    config::RequestConfig,
    encryption::{BackupDownloadStrategy, EncryptionSettings},
    ruma::{
        OwnedUserId,
        api::{
            client::{keys::get_keys, session::get_login_types::v3::LoginType},
            error::ErrorKind,
        },
    },
    store::RoomLoadSettings,
};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::{
    MatrixSettings,
    error::{MatrixFault, fault, http, words},
    identity,
    session::{self, Kept},
};

/// Why there is no connection, and what to do about it.
#[derive(Debug, Error)]
pub enum MatrixConnectError {
    #[error(
        "the homeserver's address {homeserver} can't be used ({reason}): write it as https://matrix.example.org"
    )]
    Address { homeserver: String, reason: String },
    /// The only one that may go away by itself.
    #[error(
        "the homeserver {homeserver} doesn't serve us now: {reason}; check its address and the network, then start herald again"
    )]
    Unreachable { homeserver: String, reason: String },
    #[error(
        "{homeserver} refuses the login of {user}: {reason}; check the user name and the password, and that the account may log in by password"
    )]
    WrongPassword {
        homeserver: String,
        user: String,
        reason: String,
    },
    #[error(
        "{homeserver} has no login by password ({reason}); make an access token for {user} and put it where `token` in herald.yaml says, in place of `password`"
    )]
    NoPasswordLogin {
        homeserver: String,
        user: String,
        reason: String,
    },
    #[error(
        "{homeserver} refuses the access token: {reason}; make a new one for herald alone and put it where `token` in herald.yaml says"
    )]
    WrongToken { homeserver: String, reason: String },
    #[error("{homeserver} no longer accepts the session of {user}: {reason}; {remedy}")]
    LoggedOut {
        homeserver: String,
        user: String,
        reason: String,
        remedy: &'static str,
    },
    #[error(
        "the passphrase doesn't open the Matrix store {store}; give the one it was made with, or remove the directory, give `device` a new name and herald logs in afresh, unable to read what was encrypted for it before"
    )]
    WrongPassphrase { store: PathBuf },
    #[error(
        "there is a session in {store} but the encryption keys that belong to it are gone; bring the directory `sdk` back from a backup, or remove session.json, give `device` a new name and herald logs in afresh, unable to read what was encrypted for it before"
    )]
    LostStore { store: PathBuf },
    #[error(
        "the Matrix store {store} belongs to {kept}, the configuration names {wanted}; give each account and device a directory of its own"
    )]
    OtherAccount {
        store: PathBuf,
        kept: String,
        wanted: String,
    },
    #[error(
        "the Matrix store {store} can't be used: {reason}; see that herald may read and write there, that the disk isn't full and that the passphrase is given if the store was made with one"
    )]
    Store { store: PathBuf, reason: String },
    #[error("{homeserver} refuses: {reason}; {remedy}")]
    Refused {
        homeserver: String,
        reason: String,
        remedy: String,
    },
}

impl MatrixConnectError {
    /// True if trying again later may help without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// A logged-in client.
pub(super) struct Connected {
    pub client: Client,
    pub me: OwnedUserId,
    /// The homeserver had ended the session that was kept, for this reason; a new one took its place.
    pub ended_before: Option<String>,
}

impl Connected {
    fn new(
        settings: &MatrixSettings,
        client: Client,
        ended_before: Option<String>,
    ) -> Result<Self, MatrixConnectError> {
        let me = client
            .user_id()
            .map(ToOwned::to_owned)
            .ok_or_else(|| settings.store_error(&"the session has no user"))?;
        Ok(Self {
            client,
            me,
            ended_before,
        })
    }
}

/// Logs in beside the device that posts and keeps nothing, for who only looks. A token has no session but its own.
pub(super) async fn look(settings: &MatrixSettings) -> Result<Connected, MatrixConnectError> {
    let client = settings.plain_client().await?;
    match &settings.token {
        Some(token) => {
            let kept = owner(settings, token).await?;
            resume(settings, &client, kept).await?;
        }
        None => password(settings, &client, None).await?,
    }
    Connected::new(settings, client, None)
}

pub(super) async fn connect(settings: &MatrixSettings) -> Result<Connected, MatrixConnectError> {
    session::make_dir(&settings.store).map_err(|e| settings.store_error(&e))?;
    let kept = session::read(&settings.store).map_err(|e| {
        settings.store_error(&format!(
            "{}: {e}",
            session::path(&settings.store).display()
        ))
    })?;
    let has_store = ["matrix-sdk-crypto.sqlite3", STATE_STORE_DATABASE_NAME]
        .iter()
        .all(|name| settings.sdk_dir().join(name).exists());
    let mut ended_before = None;
    let client = match kept {
        Some(kept) if !settings.owns(&kept) => Err(MatrixConnectError::OtherAccount {
            store: settings.store.clone(),
            kept: format!("{} on {}", kept.user, kept.device),
            wanted: format!("{} on {}", settings.user, settings.device),
        }),
        Some(_) if !has_store => Err(MatrixConnectError::LostStore {
            store: settings.store.clone(),
        }),
        // A token that was replaced is taken up by the same device.
        Some(kept) => match settings
            .token
            .as_ref()
            .filter(|token| token.expose_secret() != kept.access_token)
        {
            Some(token) => by_token(settings, token).await,
            None => restore(settings, kept, &mut ended_before).await,
        },
        None => match &settings.token {
            Some(token) => by_token(settings, token).await,
            None => log_in(settings, !has_store).await,
        },
    }?;
    // device keys and cross-signing are set up in the background; a first post should find them
    client
        .encryption()
        .wait_for_e2ee_initialization_tasks()
        .await;
    identity::recover(&client, settings.recovery.as_ref()).await;
    Connected::new(settings, client, ended_before)
}

/// Takes up a token that was made elsewhere: account and device are those it was made for.
async fn by_token(
    settings: &MatrixSettings,
    token: &SecretString,
) -> Result<Client, MatrixConnectError> {
    let kept = owner(settings, token).await?;
    let client = build(settings).await?;
    resume(settings, &client, kept.clone()).await?;
    session::write(&settings.store, &kept).map_err(|e| settings.store_error(&e))?;
    Ok(client)
}

/// Asks whose a token is. The device's name, which is what is asked for, need not be known for it.
async fn owner(
    settings: &MatrixSettings,
    token: &SecretString,
) -> Result<Kept, MatrixConnectError> {
    let asks = settings.plain_client().await?;
    let user =
        OwnedUserId::try_from(settings.user.as_str()).map_err(|e| settings.store_error(&e))?;
    let unknown = Kept {
        user: user.to_string(),
        device: "unknown".to_owned(),
        access_token: token.expose_secret().to_owned(),
    };
    resume(settings, &asks, unknown.clone()).await?;
    let who = asks.whoami().await.map_err(|error| match http(&error) {
        MatrixFault::Session { reason, .. } => MatrixConnectError::WrongToken {
            homeserver: settings.homeserver.clone(),
            reason,
        },
        fault => settings.server_error(fault),
    })?;
    let Some(device) = who.device_id.filter(|_| who.user_id == user) else {
        let reason = format!("it is {}'s, or has no device", who.user_id);
        return Err(MatrixConnectError::WrongToken {
            homeserver: settings.homeserver.clone(),
            reason,
        });
    };
    Ok(Kept {
        device: device.to_string(),
        ..unknown
    })
}

/// Gives a client the session that was kept.
async fn resume(
    settings: &MatrixSettings,
    client: &Client,
    kept: Kept,
) -> Result<(), MatrixConnectError> {
    let user_id = OwnedUserId::try_from(kept.user).map_err(|e| settings.store_error(&e))?;
    let session = MatrixSession {
        meta: SessionMeta {
            user_id,
            device_id: kept.device.into(),
        },
        tokens: SessionTokens {
            access_token: kept.access_token,
            refresh_token: None,
        },
    };
    let auth = client.matrix_auth();
    auth.restore_session(session, RoomLoadSettings::default())
        .await
        .map_err(|e| settings.store_error(&e))
}

/// Goes on with the session that was kept. If the homeserver has ended it, `ended` is the reason, and a login by password
/// takes its place on the same device.
async fn restore(
    settings: &MatrixSettings,
    kept: Kept,
    ended: &mut Option<String>,
) -> Result<Client, MatrixConnectError> {
    let client = build(settings).await?;
    resume(settings, &client, kept).await?;
    match client.whoami().await {
        Ok(_) => Ok(client),
        Err(error) => match http(&error) {
            MatrixFault::Session { reason, soft } if settings.password.is_some() => {
                // One client can't take a second session.
                drop(client);
                if soft {
                    return log_in(settings, false).await;
                }
                tracing::warn!(
                    "the homeserver has ended herald's session ({reason}); it logs in again"
                );
                *ended = Some(reason);
                take_back(settings).await
            }
            fault => Err(settings.server_error(fault)),
        },
    }
}

/// Logs in again on a device that was signed out, or that somebody else logged in as. The keys in the store are of use only
/// if the homeserver still shows the same ones to others; else they are put aside, and the device gets new ones. Until that
/// is known nothing is kept, so that a start which fails on the way begins anew.
async fn take_back(settings: &MatrixSettings) -> Result<Client, MatrixConnectError> {
    let client = build(settings).await?;
    password(settings, &client, Some(&settings.device)).await?;
    let own = client.encryption().ed25519_key().await;
    let shown = device_keys(settings, &client).await?;
    if own.is_some() && shown == own {
        keep(settings, &client)?;
        return Ok(client);
    }
    drop(client);
    let moved = session::remove(&settings.store)
        .and_then(|()| fs::rename(settings.sdk_dir(), free_name(&settings.store)));
    moved.map_err(|e| settings.store_error(&e))?;
    log_in(settings, true).await
}

/// The first free name for keys that are put aside.
fn free_name(store: &Path) -> PathBuf {
    let names = (1..).map(|number: u32| store.join(format!("sdk-before-{number}")));
    let mut free = names.filter(|path| !path.exists());
    free.next().unwrap_or_else(|| store.join("sdk-before"))
}

/// The signing key of herald's device as the homeserver shows it to others.
async fn device_keys(
    settings: &MatrixSettings,
    client: &Client,
) -> Result<Option<String>, MatrixConnectError> {
    let mut request = get_keys::v3::Request::new();
    request
        .device_keys
        .extend(client.user_id().map(|me| (me.to_owned(), Vec::new())));
    let known = client
        .send(request)
        .await
        .map_err(|e| settings.server_error(http(&e)))?;
    let own = known.device_keys.values().flatten();
    let mut own = own.filter(|(device, _)| device.as_str() == settings.device);
    let Some(keys) = own.find_map(|(_, keys)| keys.deserialize().ok()) else {
        return Ok(None);
    };
    let name = format!("ed25519:{}", settings.device);
    let mut signing = keys.keys.iter().filter(|(id, _)| id.as_str() == name);
    Ok(signing.next().map(|(_, key)| key.clone()))
}

/// Logs in by password.
async fn log_in(settings: &MatrixSettings, fresh: bool) -> Result<Client, MatrixConnectError> {
    if fresh {
        clear_device(settings).await?;
    }
    let client = build(settings).await?;
    password(settings, &client, Some(&settings.device)).await?;
    keep(settings, &client)?;
    Ok(client)
}

/// Keeps the session of a client for the next start.
fn keep(settings: &MatrixSettings, client: &Client) -> Result<(), MatrixConnectError> {
    let session = client
        .matrix_auth()
        .session()
        .ok_or_else(|| settings.store_error(&"the login gave no session"))?;
    let kept = Kept {
        user: session.meta.user_id.into(),
        device: session.meta.device_id.to_string(),
        access_token: session.tokens.access_token,
    };
    session::write(&settings.store, &kept).map_err(|e| settings.store_error(&e))
}

/// With a fresh store the device may be known to the server with keys we no longer have, and it would
/// never take new ones: it is signed out, so that it comes back clean. Clients that have seen the old keys
/// may still distrust it, which only a new name mends.
async fn clear_device(settings: &MatrixSettings) -> Result<(), MatrixConnectError> {
    let client = settings.plain_client().await?;
    password(settings, &client, Some(&settings.device)).await?;
    if device_keys(settings, &client).await?.is_some() {
        tracing::warn!(
            device = %settings.device,
            "the homeserver knew this device with keys that are not here; if people in encrypted rooms can't be read, give `device` a new name and remove the store"
        );
        client
            .matrix_auth()
            .logout()
            .await
            .map_err(|e| settings.server_error(http(&e)))?;
    }
    Ok(())
}

/// Logs in by password, as a device of this name or as one of its own.
async fn password(
    settings: &MatrixSettings,
    client: &Client,
    device: Option<&str>,
) -> Result<(), MatrixConnectError> {
    let Some(password) = &settings.password else {
        return Err(MatrixConnectError::WrongToken {
            homeserver: settings.homeserver.clone(),
            reason: "it has run out".into(),
        });
    };
    let auth = client.matrix_auth();
    let login = auth
        .login_username(&settings.user, password.expose_secret())
        .initial_device_display_name("upgrade-herald");
    let login = match device {
        Some(device) => login.device_id(device),
        None => login,
    };
    match login.send().await {
        Ok(_) => Ok(()),
        Err(error) if !offers_passwords(client, &error).await => {
            Err(MatrixConnectError::NoPasswordLogin {
                homeserver: settings.homeserver.clone(),
                user: settings.user.clone(),
                reason: words(&error),
            })
        }
        Err(error)
            if matches!(
                error.client_api_error_kind(),
                Some(ErrorKind::Forbidden | ErrorKind::UserDeactivated)
            ) =>
        {
            Err(MatrixConnectError::WrongPassword {
                homeserver: settings.homeserver.clone(),
                user: settings.user.clone(),
                reason: words(&error),
            })
        }
        Err(matrix_sdk::Error::CryptoStoreError(error)) => Err(settings.store_error(&error)),
        Err(error) => Err(settings.server_error(fault(&error))),
    }
}

/// Returns whether a login by password, which was refused for whatever reason, may work at all, as far as the server says.
async fn offers_passwords(client: &Client, refusal: &matrix_sdk::Error) -> bool {
    let is_answer = matches!(
        fault(refusal),
        MatrixFault::Forbidden { .. } | MatrixFault::Lasting { .. }
    );
    if !is_answer {
        return true;
    }
    match client.matrix_auth().get_login_types().await {
        Ok(types) => types
            .flows
            .iter()
            .any(|flow| matches!(flow, LoginType::Password(_))),
        Err(_) => true,
    }
}

async fn build(settings: &MatrixSettings) -> Result<Client, MatrixConnectError> {
    let passphrase = settings
        .passphrase
        .as_ref()
        .map(ExposeSecret::expose_secret);
    let store =
        SqliteStoreConfig::with_low_memory_config(settings.sdk_dir()).passphrase(passphrase);
    let client = settings
        .client()
        .sqlite_store_with_config_and_cache_path(store, None::<PathBuf>)
        .with_encryption_settings(EncryptionSettings {
            auto_enable_cross_signing: true,
            auto_enable_backups: false,
            backup_download_strategy: BackupDownloadStrategy::AfterDecryptionFailure,
        })
        .build()
        .await;
    client.map_err(|e| settings.build_error(e))
}

impl MatrixSettings {
    fn sdk_dir(&self) -> PathBuf {
        self.store.join("sdk")
    }

    /// The outbox decides about retries, so the SDK makes none. The address stays the configured one
    /// whatever a login answers.
    fn client(&self) -> matrix_sdk::ClientBuilder {
        Client::builder()
            .homeserver_url(&self.homeserver)
            .respect_login_well_known(false)
            .request_config(RequestConfig::new().disable_retry().timeout(self.timeout))
            .user_agent(concat!("upgrade-herald/", env!("CARGO_PKG_VERSION")))
    }

    /// A client that keeps nothing on disk.
    async fn plain_client(&self) -> Result<Client, MatrixConnectError> {
        self.client().build().await.map_err(|e| self.build_error(e))
    }

    fn owns(&self, kept: &Kept) -> bool {
        let localpart = kept
            .user
            .trim_start_matches('@')
            .split(':')
            .next()
            .unwrap_or_default();
        // A token brings its device with it.
        (kept.device == self.device || self.token.is_some())
            && (kept.user == self.user || localpart == self.user)
    }

    fn store_error(&self, reason: &dyn std::fmt::Display) -> MatrixConnectError {
        MatrixConnectError::Store {
            store: self.store.clone(),
            reason: reason.to_string(),
        }
    }

    fn build_error(&self, error: ClientBuildError) -> MatrixConnectError {
        match error {
            ClientBuildError::SqliteStore(error) => {
                // the SDK's error type isn't reachable by name; a store that doesn't open speaks of its cipher
                let reason = error.to_string();
                if reason.contains("store cipher") {
                    MatrixConnectError::WrongPassphrase {
                        store: self.store.clone(),
                    }
                } else {
                    self.store_error(&reason)
                }
            }
            ClientBuildError::Http(error) => self.server_error(http(&error)),
            other => MatrixConnectError::Address {
                homeserver: self.homeserver.clone(),
                reason: other.to_string(),
            },
        }
    }

    fn server_error(&self, fault: MatrixFault) -> MatrixConnectError {
        let homeserver = self.homeserver.clone();
        match fault {
            MatrixFault::Passing { reason, .. } => {
                MatrixConnectError::Unreachable { homeserver, reason }
            }
            MatrixFault::Session { reason, .. } => MatrixConnectError::LoggedOut {
                homeserver,
                user: self.user.clone(),
                reason,
                remedy: if self.token.is_some() {
                    "make a new access token for herald alone and put it where `token` in herald.yaml says"
                } else {
                    "see whether the account is locked there"
                },
            },
            MatrixFault::Forbidden { reason } => MatrixConnectError::Refused {
                homeserver,
                reason,
                remedy: "see that the account may log in there".into(),
            },
            MatrixFault::Lasting { reason, remedy } => MatrixConnectError::Refused {
                homeserver,
                reason,
                remedy: remedy.into(),
            },
        }
    }
}
