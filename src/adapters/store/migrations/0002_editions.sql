-- An edit of a post is numbered, so that it can be edited again.
ALTER TABLE posts ADD COLUMN edition BIGINT NOT NULL DEFAULT 0;
