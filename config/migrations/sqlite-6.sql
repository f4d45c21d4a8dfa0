--  From version 5 to 6: files that are sent over HTTP.

CREATE TABLE media (
    id TEXT NOT NULL PRIMARY KEY,
    uid TEXT NOT NULL,
    size INTEGER NOT NULL,
    hash TEXT,
    type TEXT,
    at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX media_uid ON media (uid, size);
CREATE INDEX media_hash ON media (hash);

CREATE TABLE media_use (
    conversation TEXT NOT NULL,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (conversation, seq)
) WITHOUT ROWID;

CREATE INDEX media_use_hash ON media_use (hash);

PRAGMA user_version = 6;
