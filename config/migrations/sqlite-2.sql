--  From version 1 to 2: groups with owners and invitations. The first servers had messages in a B-tree by key,
--  which was twice as deep, and made members with a trigger.

DROP TRIGGER IF EXISTS message_first;

CREATE TABLE message_2 (
    conversation TEXT NOT NULL,
    seq INTEGER NOT NULL,
    sender TEXT NOT NULL,
    chat_id TEXT NOT NULL,
    recipient TEXT,
    device TEXT NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    attachment BLOB,
    PRIMARY KEY (conversation, seq)
);
INSERT INTO message_2 SELECT * FROM message;
DROP TABLE message;
ALTER TABLE message_2 RENAME TO message;
CREATE UNIQUE INDEX message_chat ON message (sender, chat_id);

CREATE TABLE room (
    conversation TEXT NOT NULL PRIMARY KEY,
    creator TEXT NOT NULL,
    invited INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE owner (
    conversation TEXT NOT NULL,
    uid TEXT NOT NULL,
    PRIMARY KEY (conversation, uid)
) WITHOUT ROWID;

CREATE TABLE invitation (
    conversation TEXT NOT NULL,
    uid TEXT NOT NULL,
    PRIMARY KEY (conversation, uid)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS cursor_conversation ON cursor (conversation, seq);

PRAGMA user_version = 2;
