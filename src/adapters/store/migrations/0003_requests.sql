-- Commands, approvals, and what the upgrade's file said.
ALTER TABLE posts ADD COLUMN detail TEXT;
ALTER TABLE upgrades ADD COLUMN file TEXT;
ALTER TABLE upgrades ADD COLUMN commanded TEXT NOT NULL DEFAULT '[]';
CREATE TABLE requests (
    number BIGINT PRIMARY KEY,
    upgrade TEXT NOT NULL,
    change TEXT NOT NULL,
    author TEXT NOT NULL,
    at BIGINT NOT NULL,
    outcome TEXT
);
CREATE TABLE approvals (
    upgrade TEXT NOT NULL,
    code TEXT NOT NULL,
    person TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (upgrade, code, person)
);
