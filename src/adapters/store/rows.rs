//! Rows to domain types and back.

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Any, Row, any::AnyRow};

use crate::{
    domain::outbox::post::{Operation, Post, PostKey, PostState},
    ports::{Approved, Record, RecordKind, Request, StoreError},
};

pub fn fault(error: impl std::fmt::Display) -> StoreError {
    StoreError(error.to_string())
}

pub fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(fault)
}

pub fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(fault)
}

pub fn time(ms: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(ms).map_err(fault)
}

pub fn get<'r, T: sqlx::Decode<'r, Any> + sqlx::Type<Any>>(
    row: &'r AnyRow,
    column: &str,
) -> Result<T, StoreError> {
    row.try_get(column).map_err(fault)
}

fn optional_time(row: &AnyRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    get::<Option<i64>>(row, column)?.map(time).transpose()
}

fn optional_json<T: DeserializeOwned>(row: &AnyRow, column: &str) -> Result<Option<T>, StoreError> {
    get::<Option<String>>(row, column)?
        .map(|text| from_json(&text))
        .transpose()
}

pub fn entry(row: &AnyRow, kind: RecordKind) -> Result<Record, StoreError> {
    let (at, value) = (
        time(get(row, "at")?)?,
        from_json(&get::<String>(row, "value")?)?,
    );
    Ok(Record {
        kind,
        upgrade: get(row, "upgrade")?,
        id: get(row, "id")?,
        at,
        value,
    })
}

pub fn post(row: &AnyRow) -> Result<Post, StoreError> {
    let operation: String = get(row, "operation")?;
    let state: String = get(row, "state")?;
    let number =
        |column: &str| get::<i64>(row, column).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    Ok(Post {
        key: PostKey(get(row, "key")?),
        upgrade: get(row, "upgrade")?,
        revision: number("revision")?,
        notice: get(row, "notice")?,
        occurrence: get(row, "occurrence")?,
        channel: get(row, "channel")?,
        operation: Operation::parse(&operation)
            .ok_or_else(|| fault(format!("unknown operation {operation}")))?,
        due: time(get(row, "due")?)?,
        rank: get(row, "rank")?,
        state: PostState::parse(&state).ok_or_else(|| fault(format!("unknown state {state}")))?,
        late: get::<i64>(row, "late")? != 0,
        body: optional_json(row, "body")?,
        fact: optional_json(row, "fact")?,
        detail: get(row, "detail")?,
        attempts: number("attempts")?,
        next_attempt: optional_time(row, "next_attempt")?,
        remote: get(row, "remote")?,
        link: get(row, "link")?,
        sent: optional_time(row, "sent")?,
        error: get(row, "error")?,
        edition: number("edition")?,
    })
}

pub fn request(row: &AnyRow) -> Result<Request, StoreError> {
    let change: String = get(row, "change")?;
    Ok(Request {
        number: get(row, "number")?,
        upgrade: get(row, "upgrade")?,
        change: from_json(&change)?,
        author: get(row, "author")?,
        at: time(get(row, "at")?)?,
    })
}

pub fn approved(row: &AnyRow) -> Result<Approved, StoreError> {
    Ok(Approved {
        upgrade: get(row, "upgrade")?,
        code: get(row, "code")?,
        person: get(row, "person")?,
        at: time(get(row, "at")?)?,
    })
}
