-- What people did, beside campaigns and posts.
CREATE TABLE entries (
    kind TEXT NOT NULL,
    upgrade TEXT NOT NULL,
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (kind, upgrade, id)
);
