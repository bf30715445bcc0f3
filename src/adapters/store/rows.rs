//! Rows to domain types and back. A column holds text, a number of 64 bits, milliseconds since 1970, or JSON as text; one
//! that can't be read is named in the error.

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Error, FromRow, Row, any::AnyRow, error::BoxDynError};

use crate::{
    domain::{
        campaign::Campaign,
        chain::fact::Fact,
        outbox::{Operation, Post, PostKey, PostState},
    },
    ports::{Approved, Record, RecordKind, Request, StoreError},
};

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::ColumnDecode { index, source } => {
                Self::invalid(format!("the column {index}"), source)
            }
            Error::ColumnNotFound(_) | Error::Decode(_) => Self::invalid("a row", error),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

pub fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::invalid(std::any::type_name::<T>(), error))
}

fn unreadable(column: &str, why: impl Into<BoxDynError>) -> Error {
    Error::ColumnDecode {
        index: format!("{column:?}"),
        source: why.into(),
    }
}

fn from_json<T: DeserializeOwned>(column: &str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| unreadable(column, error))
}

pub fn milliseconds(column: &str, ms: i64) -> Result<Timestamp, Error> {
    Timestamp::from_millisecond(ms).map_err(|error| unreadable(column, error))
}

pub fn text(row: &AnyRow, column: &str) -> Result<String, Error> {
    row.try_get(column)
}

pub fn json<T: DeserializeOwned>(row: &AnyRow, column: &str) -> Result<T, Error> {
    from_json(column, &text(row, column)?)
}

fn optional_json<T: DeserializeOwned>(row: &AnyRow, column: &str) -> Result<Option<T>, Error> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| from_json(column, &text)).transpose()
}

pub fn time(row: &AnyRow, column: &str) -> Result<Timestamp, Error> {
    milliseconds(column, row.try_get(column)?)
}

fn optional_time(row: &AnyRow, column: &str) -> Result<Option<Timestamp>, Error> {
    let ms: Option<i64> = row.try_get(column)?;
    ms.map(|ms| milliseconds(column, ms)).transpose()
}

fn count(row: &AnyRow, column: &str) -> Result<u32, Error> {
    u32::try_from(row.try_get::<i64, _>(column)?).map_err(|error| unreadable(column, error))
}

fn named<T>(row: &AnyRow, column: &str, parse: fn(&str) -> Option<T>) -> Result<T, Error> {
    let name = text(row, column)?;
    parse(&name).ok_or_else(|| unreadable(column, format!("`{name}` is unknown")))
}

impl FromRow<'_, AnyRow> for Campaign {
    fn from_row(row: &AnyRow) -> Result<Self, Error> {
        Ok(Self {
            upgrade: json(row, "upgrade")?,
            progress: json(row, "progress")?,
            revision: count(row, "revision")?,
            accepted: time(row, "accepted")?,
            file: optional_json(row, "file")?,
            commanded: json(row, "commanded")?,
        })
    }
}

impl FromRow<'_, AnyRow> for Fact {
    fn from_row(row: &AnyRow) -> Result<Self, Error> {
        json(row, "fact")
    }
}

impl FromRow<'_, AnyRow> for Post {
    fn from_row(row: &AnyRow) -> Result<Self, Error> {
        Ok(Self {
            key: PostKey(text(row, "key")?),
            upgrade: text(row, "upgrade")?,
            revision: count(row, "revision")?,
            notice: text(row, "notice")?,
            occurrence: text(row, "occurrence")?,
            channel: text(row, "channel")?,
            operation: named(row, "operation", Operation::parse)?,
            due: time(row, "due")?,
            rank: row.try_get("rank")?,
            state: named(row, "state", PostState::parse)?,
            late: row.try_get::<i64, _>("late")? != 0,
            body: optional_json(row, "body")?,
            fact: optional_json(row, "fact")?,
            detail: row.try_get("detail")?,
            attempts: count(row, "attempts")?,
            next_attempt: optional_time(row, "next_attempt")?,
            remote: row.try_get("remote")?,
            link: row.try_get("link")?,
            sent: optional_time(row, "sent")?,
            error: row.try_get("error")?,
            edition: count(row, "edition")?,
        })
    }
}

impl FromRow<'_, AnyRow> for Request {
    fn from_row(row: &AnyRow) -> Result<Self, Error> {
        Ok(Self {
            number: row.try_get("number")?,
            upgrade: text(row, "upgrade")?,
            change: json(row, "change")?,
            author: text(row, "author")?,
            at: time(row, "at")?,
        })
    }
}

impl FromRow<'_, AnyRow> for Approved {
    fn from_row(row: &AnyRow) -> Result<Self, Error> {
        Ok(Self {
            upgrade: text(row, "upgrade")?,
            code: text(row, "code")?,
            person: text(row, "person")?,
            at: time(row, "at")?,
        })
    }
}

pub fn record(row: &AnyRow, kind: RecordKind) -> Result<Record, Error> {
    Ok(Record {
        kind,
        upgrade: text(row, "upgrade")?,
        id: text(row, "id")?,
        at: time(row, "at")?,
        value: json(row, "value")?,
    })
}
