--  From version 2 to 3: how often a user's groups have changed.

CREATE TABLE membership (
    uid TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX member_direct ON member (uid, direct);

PRAGMA user_version = 3;
