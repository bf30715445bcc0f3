-- SQLite kept the order in which rows were written as their rowid. PostgreSQL has none, nor rows that old.
UPDATE facts SET number = rowid;
UPDATE posts SET number = rowid;
