//! From settings to a logged-in client.

use std::path::PathBuf;

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
    #[error(
        "{homeserver} no longer accepts the session of {user}: {reason}; remove the directory {store}, give `device` a new name and start again: herald logs in afresh, but can't read what was encrypted for it before"
    )]
    LoggedOut {
        homeserver: String,
        user: String,
        reason: String,
        store: PathBuf,
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

pub(super) async fn connect(
    settings: &MatrixSettings,
) -> Result<(Client, OwnedUserId), MatrixConnectError> {
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
            None => restore(settings, kept).await,
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
    let me = client
        .user_id()
        .map(ToOwned::to_owned)
        .ok_or_else(|| settings.store_error(&"the session has no user"))?;
    Ok((client, me))
}

/// Takes up a token that was made elsewhere: account and device are those it was made for.
async fn by_token(
    settings: &MatrixSettings,
    token: &SecretString,
) -> Result<Client, MatrixConnectError> {
    let asks = settings
        .client()
        .build()
        .await
        .map_err(|e| settings.build_error(e))?;
    let user_id =
        OwnedUserId::try_from(settings.user.as_str()).map_err(|e| settings.store_error(&e))?;
    let session = |device: &str| MatrixSession {
        meta: SessionMeta {
            user_id: user_id.clone(),
            device_id: device.into(),
        },
        tokens: SessionTokens {
            access_token: token.expose_secret().to_owned(),
            refresh_token: None,
        },
    };
    // Whose it is can be asked without the device's name, which is what is asked for.
    asks.matrix_auth()
        .restore_session(session("unknown"), RoomLoadSettings::default())
        .await
        .map_err(|e| settings.store_error(&e))?;
    let who = asks.whoami().await.map_err(|error| match http(&error) {
        MatrixFault::Session { reason, .. } => MatrixConnectError::WrongToken {
            homeserver: settings.homeserver.clone(),
            reason,
        },
        fault => settings.server_error(fault),
    })?;
    let Some(device) = who.device_id.filter(|_| who.user_id == user_id) else {
        let reason = format!("it is {}'s, or has no device", who.user_id);
        return Err(MatrixConnectError::WrongToken {
            homeserver: settings.homeserver.clone(),
            reason,
        });
    };
    let kept = Kept {
        user: who.user_id.to_string(),
        device: device.to_string(),
        access_token: token.expose_secret().to_owned(),
    };
    let client = build(settings).await?;
    client
        .matrix_auth()
        .restore_session(session(device.as_str()), RoomLoadSettings::default())
        .await
        .map_err(|e| settings.store_error(&e))?;
    session::write(&settings.store, &kept).map_err(|e| settings.store_error(&e))?;
    Ok(client)
}

async fn restore(settings: &MatrixSettings, kept: Kept) -> Result<Client, MatrixConnectError> {
    let client = build(settings).await?;
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
    client
        .matrix_auth()
        .restore_session(session, RoomLoadSettings::default())
        .await
        .map_err(|e| settings.store_error(&e))?;
    match client.whoami().await {
        Ok(_) => Ok(client),
        Err(error) => match http(&error) {
            // the device and its keys are still good, and one client can't take a second session
            MatrixFault::Session { soft: true, .. } if settings.password.is_some() => {
                drop(client);
                log_in(settings, false).await
            }
            fault => Err(settings.server_error(fault)),
        },
    }
}

/// Logs in by password.
async fn log_in(settings: &MatrixSettings, fresh: bool) -> Result<Client, MatrixConnectError> {
    if fresh {
        clear_device(settings).await?;
    }
    let client = build(settings).await?;
    password(settings, &client).await?;
    let session = client
        .matrix_auth()
        .session()
        .ok_or_else(|| settings.store_error(&"the login gave no session"))?;
    let kept = Kept {
        user: session.meta.user_id.into(),
        device: session.meta.device_id.to_string(),
        access_token: session.tokens.access_token,
    };
    session::write(&settings.store, &kept).map_err(|e| settings.store_error(&e))?;
    Ok(client)
}

/// With a fresh store the device may be known to the server with keys we no longer have, and it would
/// never take new ones: it is signed out, so that it comes back clean. Clients that have seen the old keys
/// may still distrust it, which only a new name mends.
async fn clear_device(settings: &MatrixSettings) -> Result<(), MatrixConnectError> {
    let client = settings
        .client()
        .build()
        .await
        .map_err(|e| settings.build_error(e))?;
    password(settings, &client).await?;
    let mut request = get_keys::v3::Request::new();
    request
        .device_keys
        .extend(client.user_id().map(|me| (me.to_owned(), Vec::new())));
    let known = client
        .send(request)
        .await
        .map_err(|e| settings.server_error(http(&e)))?;
    let is_known = known.device_keys.values().any(|devices| {
        devices
            .keys()
            .any(|device| device.as_str() == settings.device)
    });
    if is_known {
        tracing::warn!(
            device = %settings.device,
            "this device had a store before, which is gone; if people in encrypted rooms can't be read, give `device` a new name and remove the store"
        );
        client
            .matrix_auth()
            .logout()
            .await
            .map_err(|e| settings.server_error(http(&e)))?;
    }
    Ok(())
}

async fn password(settings: &MatrixSettings, client: &Client) -> Result<(), MatrixConnectError> {
    let Some(password) = &settings.password else {
        return Err(MatrixConnectError::WrongToken {
            homeserver: settings.homeserver.clone(),
            reason: "it has run out".into(),
        });
    };
    let login = client
        .matrix_auth()
        .login_username(&settings.user, password.expose_secret())
        .device_id(&settings.device)
        .initial_device_display_name("upgrade-herald")
        .send()
        .await;
    match login {
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
                store: self.store.clone(),
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
