//! The device as others see it: whether its account has signed it, and whether that outlives a lost store.

use matrix_sdk::{Client, encryption::recovery::RecoveryState};
use secrecy::{ExposeSecret, SecretString};

use super::{Matrix, error::plain};
use crate::ports::ChatError;

/// The device as other people's clients see it.
#[derive(Clone, Debug)]
pub struct Identity {
    pub device: String,
    /// Signed by the account's own keys: nobody is warned of it.
    pub verified: bool,
    pub recovery: Recovery,
}

/// The state of the account's recovery: can its keys be had back with a recovery key?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    Whole,
    /// Recovery is set up, and not all keys are here.
    Lacking,
    None,
}

impl Matrix {
    pub async fn identity(&self) -> Identity {
        let device = self
            .client
            .device_id()
            .map(ToString::to_string)
            .unwrap_or_default();
        Identity {
            device,
            verified: is_signed(&self.client).await,
            recovery: recovery(&self.client),
        }
    }

    /// Keeps the account's keys on the homeserver, closed with a key that is returned and kept nowhere else. `anew`: the one
    /// before opens them no more.
    ///
    /// # Errors
    /// It is set up already, or the homeserver can't be asked.
    pub async fn set_up_recovery(&self, anew: bool) -> Result<SecretString, ChatError> {
        let encryption = self.client.encryption();
        let refused = |reason: &str, remedy: &str| {
            Err(ChatError::Refused {
                reason: reason.into(),
                remedy: remedy.into(),
            })
        };
        let made = match recovery(&self.client) {
            Recovery::None => encryption.recovery().enable().await,
            Recovery::Whole if anew => encryption.recovery().reset_key().await,
            Recovery::Whole => {
                return refused(
                    "recovery is set up already",
                    "ask for `--new` if its key is lost: the old one opens nothing then",
                );
            }
            Recovery::Lacking => {
                return refused(
                    "recovery is set up, and its keys are not here",
                    "set `recovery` in herald.yaml to its key, and start herald",
                );
            }
        };
        made.map(SecretString::from)
            .map_err(|error| ChatError::Retry {
                reason: format!("setting up recovery: {}", plain(&error.to_string())),
                after_ms: None,
            })
    }
}

/// With the recovery key, has a device signed that isn't yet: one whose store was lost, say.
pub(super) async fn recover(client: &Client, key: Option<&SecretString>) {
    let Some(key) = key else { return };
    if is_signed(client).await {
        return;
    }
    match client
        .encryption()
        .recovery()
        .recover(key.expose_secret())
        .await
    {
        Ok(()) if is_signed(client).await => {
            tracing::info!("the device was signed with the recovery key")
        }
        Ok(()) => tracing::warn!("the recovery key was taken, and the device is still not signed"),
        // Its words may hold the key's.
        Err(_) => tracing::warn!(
            "the recovery key doesn't open the account's keys: people in encrypted rooms see a warning; look at `recovery` in herald.yaml"
        ),
    }
}

async fn is_signed(client: &Client) -> bool {
    // The homeserver is asked: before the first sync nothing is known here of what was signed.
    if let Some(me) = client.user_id()
        && let Err(error) = client.encryption().request_user_identity(me).await
    {
        tracing::debug!(
            reason = plain(&error.to_string()),
            "the account's keys could not be asked for"
        );
    }
    client
        .encryption()
        .get_own_device()
        .await
        .ok()
        .flatten()
        .is_some_and(|device| device.is_cross_signed_by_owner())
}

fn recovery(client: &Client) -> Recovery {
    match client.encryption().recovery().state() {
        RecoveryState::Enabled => Recovery::Whole,
        RecoveryState::Incomplete => Recovery::Lacking,
        RecoveryState::Disabled | RecoveryState::Unknown => Recovery::None,
    }
}
