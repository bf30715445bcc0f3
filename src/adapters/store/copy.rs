//! A whole store as lines of text, from one database into another.
//!
//! The first line says what it is, the last how many rows there were; between them is a row a line. Nothing in it is of
//! the database it comes from: two stores with the same content give the same bytes.

use std::io::{BufRead, Write};

use Column::{Number, Text};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::{Any, Transaction};

use super::{
    SqlStore,
    connect::Dialect,
    rows::{fault, get},
    schema,
};
use crate::ports::StoreError;

const WHAT: &str = "a store of upgrade-herald";

#[derive(Clone, Copy)]
enum Column {
    Text(&'static str),
    Number(&'static str),
}

struct Table {
    name: &'static str,
    columns: &'static [Column],
    /// What its rows are in order by.
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
    /// How many steps of the schema it has.
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
}

impl SqlStore {
    /// Writes everything down; gives the number of rows. Only when nobody runs on it: what is posted afterwards would be
    /// posted once more by whoever takes it over.
    pub async fn export(&self, out: &mut impl Write) -> Result<usize, StoreError> {
        let begin = match self.database.dialect {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ",
        };
        let mut tx = self.database.pool.begin_with(begin).await.map_err(fault)?;
        self.idle(&mut tx).await?;
        write(
            out,
            &ExportHeader {
                what: WHAT.into(),
                schema: schema::STEPS.len(),
            },
        )?;
        let mut count = 0;
        for table in TABLES {
            let query = format!(
                "SELECT {} FROM {} ORDER BY {}",
                table.names(),
                table.name,
                table.order
            );
            let mut rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch(&mut *tx);
            while let Some(found) = rows.try_next().await.map_err(fault)? {
                let mut row = Map::new();
                for column in table.columns {
                    let value = match column {
                        Text(name) => get::<Option<String>>(&found, name)?.map(Value::from),
                        Number(name) => get::<Option<i64>>(&found, name)?.map(Value::from),
                    };
                    row.insert(column.name().to_owned(), value.unwrap_or(Value::Null));
                }
                write(
                    out,
                    &Line {
                        table: table.name.to_owned(),
                        row,
                    },
                )?;
                count += 1;
            }
        }
        write(out, &ExportEnd { rows: count })?;
        out.flush().map_err(fault)?;
        Ok(count)
    }

    /// Takes over what was written down, whole or not at all; gives the number of rows. The store must be empty.
    pub async fn import(&self, text: impl BufRead) -> Result<usize, StoreError> {
        let mut tx = self.database.begin().await?;
        self.idle(&mut tx).await?;
        for table in TABLES {
            let query = format!("SELECT COUNT(*) AS n FROM {}", table.name);
            let row = sqlx::query(sqlx::AssertSqlSafe(query))
                .fetch_one(&mut *tx)
                .await
                .map_err(fault)?;
            if get::<i64>(&row, "n")? > 0 {
                return Err(fault(
                    "this store is in use already: name an empty one in store.url, or move this one away",
                ));
            }
        }
        let (mut count, mut complete) = (0, false);
        for (i, line) in text.lines().enumerate() {
            let line = line.map_err(|e| fault(format!("line {}: {e}", i + 1)))?;
            let at = |what: String| fault(format!("line {}: {what}", i + 1));
            if complete {
                return Err(at(
                    "there is something behind the end; export it again".into()
                ));
            }
            if i == 0 {
                let head: ExportHeader = serde_json::from_str(&line)
                    .ok()
                    .filter(|h: &ExportHeader| h.what == WHAT)
                    .ok_or_else(|| at("this is not what `herald store export` writes".into()))?;
                if head.schema != schema::STEPS.len() {
                    let (theirs, ours) = (head.schema, schema::STEPS.len());
                    return Err(at(format!(
                        "it was written by another herald (schema {theirs}, this one has {ours}): export it with this version"
                    )));
                }
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
                insert(&mut tx, line).await.map_err(|e| at(e.0))?;
                count += 1;
            }
        }
        if !complete {
            return Err(fault(
                "the file ends too early: copy it again, or export it again",
            ));
        }
        tx.commit().await.map_err(fault)?;
        Ok(count)
    }

    /// That no replica is active. Of SQLite a file's lock says so.
    async fn idle(&self, tx: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
        let now = self.database.dialect.now();
        let query = format!("SELECT replica FROM leadership WHERE id = 1 AND until > {now}");
        match sqlx::query(sqlx::AssertSqlSafe(query))
            .fetch_optional(&mut **tx)
            .await
            .map_err(fault)?
        {
            None => Ok(()),
            Some(row) => Err(fault(format!(
                "the replica {} runs on this store; stop all of them first",
                get::<String>(&row, "replica")?
            ))),
        }
    }
}

fn write(out: &mut impl Write, line: &impl Serialize) -> Result<(), StoreError> {
    serde_json::to_writer(&mut *out, line).map_err(fault)?;
    out.write_all(b"\n").map_err(fault)
}

async fn insert(tx: &mut Transaction<'static, Any>, mut line: Line) -> Result<(), StoreError> {
    let table = TABLES
        .iter()
        .find(|t| t.name == line.table)
        .ok_or_else(|| fault(format!("there is no table `{}`", line.table)))?;
    let places = (1..=table.columns.len())
        .map(|i| format!("${i}"))
        .collect::<Vec<_>>()
        .join(", ");
    let text = format!(
        "INSERT INTO {} ({}) VALUES ({places})",
        table.name,
        table.names()
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
    for column in table.columns {
        let name = column.name();
        let value = line
            .row
            .remove(name)
            .ok_or_else(|| fault(format!("`{name}` is missing")))?;
        query = match (column, value) {
            (Text(_), Value::Null) => query.bind(None::<String>),
            (Number(_), Value::Null) => query.bind(None::<i64>),
            (Text(_), Value::String(text)) => query.bind(text),
            (Number(_), Value::Number(number)) if number.is_i64() => query.bind(number.as_i64()),
            (Text(_), _) => return Err(fault(format!("`{name}` is to be text"))),
            (Number(_), _) => return Err(fault(format!("`{name}` is to be a whole number"))),
        };
    }
    if let Some(name) = line.row.keys().next() {
        return Err(fault(format!("`{}` has no `{name}`", table.name)));
    }
    query.execute(&mut **tx).await.map_err(fault)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sqlx::Row;

    use super::*;

    /// A step that adds a table or a column and forgets it here would lose it in the next move.
    #[tokio::test]
    async fn everything_that_the_schema_has_is_copied_or_left_on_purpose() {
        let store = SqlStore::open("sqlite::memory:").await.unwrap();
        let tables =
            sqlx::query("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name");
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
            let columns = sqlx::query(sqlx::AssertSqlSafe(format!(
                "SELECT name, type FROM pragma_table_info('{}')",
                table.name
            )));
            let columns = columns.fetch_all(&store.database.pool).await.unwrap();
            let there: BTreeSet<(String, bool)> = columns
                .iter()
                .map(|row| {
                    (
                        row.try_get("name").unwrap(),
                        row.try_get::<String, _>("type").unwrap() == "INTEGER",
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
