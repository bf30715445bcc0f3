//! How a store fails.

use thiserror::Error;

/// Why a store did not do as it was asked, by what can be done about it.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The database did not answer, or refused the statement. A read may be tried again; of a write it is not known
    /// whether it counts.
    #[error("the store: {0}")]
    Unavailable(String),
    /// Another replica has taken the lead, and this one's write was left out.
    #[error("the store: another replica has taken over, so nothing is written here")]
    Fenced,
    /// A value can't be turned into what the database holds, or back.
    #[error("the store: {what} can't be read or written: {why}")]
    Invalid { what: String, why: String },
    /// The store, or what was handed to it, can't be used as it is; the text says what an operator can do.
    #[error("the store: {0}")]
    Refused(String),
}

impl StoreError {
    pub fn invalid(what: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::Invalid {
            what: what.into(),
            why: why.to_string(),
        }
    }
}
