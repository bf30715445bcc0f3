-- The order in which facts and posts were written, and the replicas that share a store.
ALTER TABLE facts ADD COLUMN number BIGINT NOT NULL DEFAULT 0;
ALTER TABLE posts ADD COLUMN number BIGINT NOT NULL DEFAULT 0;
CREATE INDEX posts_by_number ON posts (number);
CREATE INDEX facts_by_number ON facts (number);
-- Which replica is active: one row, whose term is raised with each takeover.
CREATE TABLE leadership (
    id BIGINT PRIMARY KEY,
    replica TEXT NOT NULL,
    instance TEXT NOT NULL,
    term BIGINT NOT NULL,
    until BIGINT NOT NULL
);
INSERT INTO leadership (id, replica, instance, term, until) VALUES (1, '', '', 0, 0);
-- Every replica, and when it was last heard of.
CREATE TABLE replicas (
    replica TEXT PRIMARY KEY,
    instance TEXT NOT NULL,
    since BIGINT NOT NULL,
    seen BIGINT NOT NULL
);
