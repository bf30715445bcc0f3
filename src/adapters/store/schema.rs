//! The schema, as steps that are applied in order and never changed afterwards.
//!
//! Times are milliseconds since 1970 (i64), ids are text, nested values are JSON text.

use super::connect::Dialect;

/// Each step is a list of statements run in one transaction. SQLite's are written down; `statements` makes PostgreSQL's of
/// them. A line that begins with `--sqlite` is for SQLite alone.
pub const STEPS: &[&[&str]] = &[
    &[
        "CREATE TABLE upgrades (
        id TEXT PRIMARY KEY,
        upgrade TEXT NOT NULL,
        progress TEXT NOT NULL,
        revision INTEGER NOT NULL,
        accepted INTEGER NOT NULL
    )",
        "CREATE TABLE memories (
        chain TEXT PRIMARY KEY,
        memory TEXT NOT NULL
    )",
        "CREATE TABLE facts (
        chain TEXT NOT NULL,
        block INTEGER NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL,
        fact TEXT NOT NULL,
        PRIMARY KEY (chain, block, kind, detail)
    )",
        "CREATE TABLE posts (
        key TEXT PRIMARY KEY,
        upgrade TEXT NOT NULL,
        revision INTEGER NOT NULL,
        notice TEXT NOT NULL,
        occurrence TEXT NOT NULL,
        channel TEXT NOT NULL,
        operation TEXT NOT NULL,
        due INTEGER NOT NULL,
        rank INTEGER NOT NULL,
        state TEXT NOT NULL,
        late INTEGER NOT NULL,
        body TEXT,
        fact TEXT,
        attempts INTEGER NOT NULL,
        next_attempt INTEGER,
        lease_until INTEGER,
        remote TEXT,
        link TEXT,
        sent INTEGER,
        error TEXT
    )",
        "CREATE INDEX posts_by_channel ON posts (channel, state, due, rank)",
        "CREATE INDEX posts_by_upgrade ON posts (upgrade, due)",
        "CREATE TABLE attempts (
        key TEXT NOT NULL,
        number INTEGER NOT NULL,
        began INTEGER NOT NULL,
        ended TEXT,
        PRIMARY KEY (key, number)
    )",
        "CREATE TABLE answered (
        id TEXT PRIMARY KEY,
        at INTEGER NOT NULL
    )",
        "CREATE TABLE troubles (
        part TEXT PRIMARY KEY,
        trouble TEXT NOT NULL,
        since INTEGER NOT NULL
    )",
    ],
    &["ALTER TABLE posts ADD COLUMN edition INTEGER NOT NULL DEFAULT 0"],
    &[
        "ALTER TABLE posts ADD COLUMN detail TEXT",
        "ALTER TABLE upgrades ADD COLUMN file TEXT",
        "ALTER TABLE upgrades ADD COLUMN commanded TEXT NOT NULL DEFAULT '[]'",
        "CREATE TABLE requests (
        number INTEGER PRIMARY KEY,
        upgrade TEXT NOT NULL,
        change TEXT NOT NULL,
        author TEXT NOT NULL,
        at INTEGER NOT NULL,
        outcome TEXT
    )",
        "CREATE TABLE approvals (
        upgrade TEXT NOT NULL,
        code TEXT NOT NULL,
        person TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (upgrade, code, person)
    )",
    ],
    &[
        // The order in which things were written: what SQLite has as its rowid.
        "ALTER TABLE facts ADD COLUMN number INTEGER NOT NULL DEFAULT 0",
        "--sqlite
        UPDATE facts SET number = rowid",
        "ALTER TABLE posts ADD COLUMN number INTEGER NOT NULL DEFAULT 0",
        "--sqlite
        UPDATE posts SET number = rowid",
        "CREATE INDEX posts_by_number ON posts (number)",
        "CREATE INDEX facts_by_number ON facts (number)",
        // Which replica is active: one row, whose term is raised with each takeover.
        "CREATE TABLE leadership (
        id INTEGER PRIMARY KEY,
        replica TEXT NOT NULL,
        instance TEXT NOT NULL,
        term INTEGER NOT NULL,
        until INTEGER NOT NULL
    )",
        "INSERT INTO leadership (id, replica, instance, term, until) VALUES (1, '', '', 0, 0)",
        // Every replica, and when it was last heard of.
        "CREATE TABLE replicas (
        replica TEXT PRIMARY KEY,
        instance TEXT NOT NULL,
        since INTEGER NOT NULL,
        seen INTEGER NOT NULL
    )",
    ],
    &["CREATE TABLE entries (
        kind TEXT NOT NULL,
        upgrade TEXT NOT NULL,
        id TEXT NOT NULL,
        at INTEGER NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (kind, upgrade, id)
    )"],
];

/// A step as a database takes it: numbers are 64 bits wide in SQLite whatever they are called, and PostgreSQL has another
/// name for such.
pub fn statements(step: &[&str], dialect: Dialect) -> Vec<String> {
    match dialect {
        Dialect::Sqlite => step.iter().map(|s| (*s).to_owned()).collect(),
        Dialect::Postgres => step
            .iter()
            .filter(|s| !s.starts_with("--sqlite"))
            .map(|s| s.replace("INTEGER", "BIGINT"))
            .collect(),
    }
}
