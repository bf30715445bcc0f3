-- A store as version 0.1.0 left it, with an upgrade that was applied, what it knew of the chain, a fact and two posts.
-- Statements end with a line that is `;`. For PostgreSQL, INTEGER is BIGINT.
CREATE TABLE schema_steps (step INTEGER PRIMARY KEY)
;
INSERT INTO schema_steps (step) VALUES (0)
;
CREATE TABLE upgrades (
    id TEXT PRIMARY KEY,
    upgrade TEXT NOT NULL,
    progress TEXT NOT NULL,
    revision INTEGER NOT NULL,
    accepted INTEGER NOT NULL
)
;
CREATE TABLE memories (
    chain TEXT PRIMARY KEY,
    memory TEXT NOT NULL
)
;
CREATE TABLE facts (
    chain TEXT NOT NULL,
    block INTEGER NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    fact TEXT NOT NULL,
    PRIMARY KEY (chain, block, kind, detail)
)
;
CREATE TABLE posts (
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
)
;
CREATE INDEX posts_by_channel ON posts (channel, state, due, rank)
;
CREATE INDEX posts_by_upgrade ON posts (upgrade, due)
;
CREATE TABLE attempts (
    key TEXT NOT NULL,
    number INTEGER NOT NULL,
    began INTEGER NOT NULL,
    ended TEXT,
    PRIMARY KEY (key, number)
)
;
CREATE TABLE answered (
    id TEXT PRIMARY KEY,
    at INTEGER NOT NULL
)
;
CREATE TABLE troubles (
    part TEXT PRIMARY KEY,
    trouble TEXT NOT NULL,
    since INTEGER NOT NULL
)
;
INSERT INTO upgrades VALUES ('v1', '{"id":"v1","title":"One","summary":"","urgency":"routine","method":"sudo","window":{"opens":"2026-12-01T13:00:00Z","closes":"2026-12-01T15:00:00Z"},"chains":{"relay":{"spec_version":1}},"changes":[],"links":[],"duties":{}}', '{"state":"applied","chains":{"relay":{"stage":"applied","spec_version":1,"authorized":null,"applied":null,"health":null}},"applied_at":"2026-12-01T13:05:00Z","feedback":null}', 1, 1796000000000)
;
INSERT INTO memories VALUES ('relay', '{"genesis":"0x00","number":1,"hash":"0x01","time":"2026-12-01T13:05:00Z","running":1,"transaction_version":1,"authorized":null}')
;
INSERT INTO facts VALUES ('relay', 1, 'applied', 'from 0', '{"kind":"applied","chain":"relay","block":1,"hash":"0x01","spec_version":1,"time":null,"detail":"from 0"}')
;
INSERT INTO posts VALUES ('0123456789abcdef01234567', 'v1', 0, 'applied', '1', 'c0', 'post', 1796000000000, 60, 'sent', 0, '{"text":"hello","html":null}', '{"kind":"applied","chain":"relay","block":1,"hash":"0x01","spec_version":1,"time":null}', 1, NULL, NULL, 'id', NULL, 1796000000000, NULL)
;
INSERT INTO posts VALUES ('76543210fedcba9876543210', 'v1', 0, 'verified', '1', 'c0', 'post', 1796000600000, 61, 'superseded', 0, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL)
;
INSERT INTO attempts VALUES ('0123456789abcdef01234567', 1, 1796000000000, 'sent')
;
