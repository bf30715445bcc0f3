-- Campaigns (by upgrade), what is known of each chain, facts, posts and the attempts at them.
CREATE TABLE upgrades (
    id TEXT PRIMARY KEY,
    upgrade TEXT NOT NULL,
    progress TEXT NOT NULL,
    revision BIGINT NOT NULL,
    accepted BIGINT NOT NULL
);
CREATE TABLE memories (
    chain TEXT PRIMARY KEY,
    memory TEXT NOT NULL
);
CREATE TABLE facts (
    chain TEXT NOT NULL,
    block BIGINT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    fact TEXT NOT NULL,
    PRIMARY KEY (chain, block, kind, detail)
);
CREATE TABLE posts (
    key TEXT PRIMARY KEY,
    upgrade TEXT NOT NULL,
    revision BIGINT NOT NULL,
    notice TEXT NOT NULL,
    occurrence TEXT NOT NULL,
    channel TEXT NOT NULL,
    operation TEXT NOT NULL,
    due BIGINT NOT NULL,
    rank BIGINT NOT NULL,
    state TEXT NOT NULL,
    late BIGINT NOT NULL,
    body TEXT,
    fact TEXT,
    attempts BIGINT NOT NULL,
    next_attempt BIGINT,
    lease_until BIGINT,
    remote TEXT,
    link TEXT,
    sent BIGINT,
    error TEXT
);
CREATE INDEX posts_by_channel ON posts (channel, state, due, rank);
CREATE INDEX posts_by_upgrade ON posts (upgrade, due);
CREATE TABLE attempts (
    key TEXT NOT NULL,
    number BIGINT NOT NULL,
    began BIGINT NOT NULL,
    ended TEXT,
    PRIMARY KEY (key, number)
);
CREATE TABLE answered (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL
);
CREATE TABLE troubles (
    part TEXT PRIMARY KEY,
    trouble TEXT NOT NULL,
    since BIGINT NOT NULL
);
