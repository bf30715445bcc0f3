//! A whole store as lines of text, from one database into another.
//!
//! The first line says what it is, the last how many rows there were; between them is a row a line. Nothing in it is of
//! the database it comes from: two stores with the same content give the same bytes.

use std::io::{BufRead, Write};

use Column::{Number, Text};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::{Any, AssertSqlSafe, Row, Transaction, any::AnyRow, query, query_scalar};

use super::{
    connect::{Database, Dialect},
    migrate,
};
use crate::ports::StoreError;

/// The header's word for what follows.
const FORMAT_NAME: &str = "a store of upgrade-herald";

#[derive(Clone, Copy)]
enum Column {
    Text(&'static str),
    Number(&'static str),
}

struct Table {
    name: &'static str,
    columns: &'static [Column],
    /// The columns by which its rows are ordered.
    order: &'static str,
}

/// Everything that is remembered. Who is active, and which replicas there are, is not: that is for those who run.
const TABLES: &[Table] = &[
    Table {
        name: "upgrades",
        columns: &[
            Text("id"),
            Text("upgrade"),
            Text("progress"),
            Number("revision"),
            Number("accepted"),
            Text("file"),
            Text("commanded"),
        ],
        order: "id",
    },
    Table {
        name: "memories",
        columns: &[Text("chain"), Text("memory")],
        order: "chain",
    },
    Table {
        name: "facts",
        columns: &[
            Text("chain"),
            Number("block"),
            Text("kind"),
            Text("detail"),
            Text("fact"),
            Number("number"),
        ],
        order: "number, chain, block, kind, detail",
    },
    Table {
        name: "posts",
        columns: &[
            Text("key"),
            Text("upgrade"),
            Number("revision"),
            Text("notice"),
            Text("occurrence"),
            Text("channel"),
            Text("operation"),
            Number("due"),
            Number("rank"),
            Text("state"),
            Number("late"),
            Text("body"),
            Text("fact"),
            Number("attempts"),
            Number("next_attempt"),
            Number("lease_until"),
            Text("remote"),
            Text("link"),
            Number("sent"),
            Text("error"),
            Number("edition"),
            Text("detail"),
            Number("number"),
        ],
        order: "number, key",
    },
    Table {
        name: "attempts",
        columns: &[
            Text("key"),
            Number("number"),
            Number("began"),
            Text("ended"),
        ],
        order: "key, number",
    },
    Table {
        name: "answered",
        columns: &[Text("id"), Number("at")],
        order: "id",
    },
    Table {
        name: "troubles",
        columns: &[Text("part"), Text("trouble"), Number("since")],
        order: "part",
    },
    Table {
        name: "requests",
        columns: &[
            Number("number"),
            Text("upgrade"),
            Text("change"),
            Text("author"),
            Number("at"),
            Text("outcome"),
        ],
        order: "number",
    },
    Table {
        name: "approvals",
        columns: &[Text("upgrade"), Text("code"), Text("person"), Number("at")],
        order: "upgrade, code, person",
    },
    Table {
        name: "entries",
        columns: &[
            Text("kind"),
            Text("upgrade"),
            Text("id"),
            Number("at"),
            Text("value"),
        ],
        order: "kind, upgrade, id",
    },
];

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportHeader {
    what: String,
    /// The version of the schema: how many migrations it has.
    schema: usize,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    table: String,
    row: Map<String, Value>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportEnd {
    rows: usize,
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Text(name) | Number(name) => name,
        }
    }
}

impl Table {
    fn names(&self) -> String {
        self.columns
            .iter()
            .map(|c| c.name())
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn values(&self, row: &AnyRow) -> Result<Map<String, Value>, sqlx::Error> {
        let value = |column: &Column| {
            let value = match *column {
                Text(name) => row.try_get::<Option<String>, _>(name)?.map(Value::from),
                Number(name) => row.try_get::<Option<i64>, _>(name)?.map(Value::from),
            };
            Ok((column.name().to_owned(), value.unwrap_or(Value::Null)))
        };
        self.columns.iter().map(value).collect()
    }
}

fn refused(why: impl Into<String>) -> StoreError {
    StoreError::Refused(why.into())
}

/// Writes a whole store down; gives the number of rows.
pub async fn export(database: &Database, out: &mut impl Write) -> Result<usize, StoreError> {
    let begin = match database.dialect {
        Dialect::Sqlite => "BEGIN IMMEDIATE",
        Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ",
    };
    let mut tx = database.pool.begin_with(begin).await?;
    refuse_active(database.dialect, &mut tx).await?;
    let header = ExportHeader {
        what: FORMAT_NAME.into(),
        schema: migrate::VERSION,
    };
    write(out, &header)?;
    let mut count = 0;
    for table in TABLES {
        let all = format!(
            "SELECT {} FROM {} ORDER BY {}",
            table.names(),
            table.name,
            table.order
        );
        let mut rows = query(AssertSqlSafe(all)).fetch(&mut *tx);
        while let Some(found) = rows.try_next().await? {
            let line = Line {
                table: table.name.to_owned(),
                row: table.values(&found)?,
            };
            write(out, &line)?;
            count += 1;
        }
    }
    write(out, &ExportEnd { rows: count })?;
    out.flush().map_err(unwritten)?;
    Ok(count)
}

/// Takes over what was written down, whole or not at all; gives the number of rows.
pub async fn import(database: &Database, text: impl BufRead) -> Result<usize, StoreError> {
    let mut tx = database.begin().await?;
    refuse_active(database.dialect, &mut tx).await?;
    refuse_full(&mut tx).await?;
    let (mut count, mut complete) = (0, false);
    for (i, line) in text.lines().enumerate() {
        let at = |what: String| refused(format!("line {}: {what}", i + 1));
        let line = line.map_err(|error| at(error.to_string()))?;
        if complete {
            return Err(at(
                "there is something behind the end; export it again".into()
            ));
        }
        if i == 0 {
            read_header(&line).map_err(at)?;
        } else if let Ok(end) = serde_json::from_str::<ExportEnd>(&line) {
            if end.rows != count {
                return Err(at(format!(
                    "{} rows were written, and {count} are here: copy the file again",
                    end.rows
                )));
            }
            complete = true;
        } else {
            let line: Line = serde_json::from_str(&line)
                .map_err(|e| at(format!("this is no row ({e}); export it again")))?;
            insert(&mut tx, line).await.map_err(at)?;
            count += 1;
        }
    }
    if !complete {
        return Err(refused(
            "the file ends too early: copy it again, or export it again",
        ));
    }
    tx.commit().await?;
    Ok(count)
}

/// Refuses a store on which a replica is active. For SQLite a file's lock says so.
async fn refuse_active(dialect: Dialect, tx: &mut Transaction<'_, Any>) -> Result<(), StoreError> {
    let now = dialect.now();
    let active = format!("SELECT replica FROM leadership WHERE id = 1 AND until > {now}");
    let active: Option<String> = query_scalar(AssertSqlSafe(active))
        .fetch_optional(&mut **tx)
        .await?;
    match active {
        None => Ok(()),
        Some(replica) => Err(refused(format!(
            "the replica {replica} runs on this store; stop all of them first"
        ))),
    }
}

async fn refuse_full(tx: &mut Transaction<'_, Any>) -> Result<(), StoreError> {
    for table in TABLES {
        let count = format!("SELECT COUNT(*) FROM {}", table.name);
        let count: i64 = query_scalar(AssertSqlSafe(count))
            .fetch_one(&mut **tx)
            .await?;
        if count > 0 {
            return Err(refused(
                "this store is in use already: name an empty one in store.url, or move this one away",
            ));
        }
    }
    Ok(())
}

fn read_header(line: &str) -> Result<(), String> {
    let header: ExportHeader = serde_json::from_str(line)
        .ok()
        .filter(|h: &ExportHeader| h.what == FORMAT_NAME)
        .ok_or("this is not what `herald store export` writes")?;
    if header.schema == migrate::VERSION {
        return Ok(());
    }
    let (theirs, ours) = (header.schema, migrate::VERSION);
    Err(format!(
        "it was written by another herald (schema {theirs}, this one has {ours}): export it with this version"
    ))
}

fn unwritten(error: impl std::fmt::Display) -> StoreError {
    refused(error.to_string())
}

fn write(out: &mut impl Write, line: &impl Serialize) -> Result<(), StoreError> {
    serde_json::to_writer(&mut *out, line).map_err(unwritten)?;
    out.write_all(b"\n").map_err(unwritten)
}

async fn insert(tx: &mut Transaction<'_, Any>, mut line: Line) -> Result<(), String> {
    let table = TABLES
        .iter()
        .find(|t| t.name == line.table)
        .ok_or_else(|| format!("there is no table `{}`", line.table))?;
    let places = (1..=table.columns.len())
        .map(|i| format!("${i}"))
        .collect::<Vec<_>>()
        .join(", ");
    let text = format!(
        "INSERT INTO {} ({}) VALUES ({places})",
        table.name,
        table.names()
    );
    let mut insert = query(AssertSqlSafe(text));
    for column in table.columns {
        let name = column.name();
        let value = line
            .row
            .remove(name)
            .ok_or_else(|| format!("`{name}` is missing"))?;
        insert = match (column, value) {
            (Text(_), Value::Null) => insert.bind(None::<String>),
            (Number(_), Value::Null) => insert.bind(None::<i64>),
            (Text(_), Value::String(text)) => insert.bind(text),
            (Number(_), Value::Number(number)) if number.is_i64() => insert.bind(number.as_i64()),
            (Text(_), _) => return Err(format!("`{name}` is to be text")),
            (Number(_), _) => return Err(format!("`{name}` is to be a whole number")),
        };
    }
    if let Some(name) = line.row.keys().next() {
        return Err(format!("`{}` has no `{name}`", table.name));
    }
    match insert.execute(&mut **tx).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::adapters::store::SqlStore;

    /// A step that adds a table or a column and forgets it here would lose it in the next move.
    #[tokio::test]
    async fn everything_that_the_schema_has_is_copied_or_left_on_purpose() {
        let store = SqlStore::open("sqlite::memory:").await.unwrap();
        let tables = query("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name");
        let tables: Vec<String> = tables
            .fetch_all(&store.database.pool)
            .await
            .unwrap()
            .iter()
            .map(|r| r.try_get("name").unwrap())
            .collect();
        let left = ["leadership", "replicas", "schema_steps"];
        let known: BTreeSet<&str> = TABLES.iter().map(|t| t.name).chain(left).collect();
        assert_eq!(
            tables.iter().map(String::as_str).collect::<BTreeSet<_>>(),
            known
        );
        for table in TABLES {
            let columns = query(AssertSqlSafe(format!(
                "SELECT name, type FROM pragma_table_info('{}')",
                table.name
            )));
            let columns = columns.fetch_all(&store.database.pool).await.unwrap();
            let there: BTreeSet<(String, bool)> = columns
                .iter()
                .map(|row| {
                    (
                        row.try_get("name").unwrap(),
                        row.try_get::<String, _>("type").unwrap() == "BIGINT",
                    )
                })
                .collect();
            let listed = table
                .columns
                .iter()
                .map(|c| (c.name().to_owned(), matches!(c, Number(_))));
            assert_eq!(there, listed.collect(), "{}", table.name);
        }
    }
}
