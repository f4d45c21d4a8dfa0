--  Tables of the chat store in SQLite. Made at first start; user_version is the schema's version. Tables of an
--  older version are brought here by migrations/sqlite-N.sql, one after the other.
--
--  A conversation is named by its two users, "alice,bob" in byte order, or by its group's id;
--  a comma is in no id, so the two kinds can't meet.
--
--  message has a rowid: its rows are long, and as a B-tree by key it would be twice as deep.
--  The others have short rows that are their own index.

CREATE TABLE message (
    conversation TEXT NOT NULL,
    seq INTEGER NOT NULL,           --  1, 2, 3 ... within the conversation
    sender TEXT NOT NULL,
    chat_id TEXT NOT NULL,          --  The sender's own name for it in this conversation; makes a resend harmless
    recipient TEXT,                 --  NULL: to a group
    device TEXT NOT NULL,           --  The sender's
    at INTEGER NOT NULL,            --  msec since 1970, the server's clock
    body TEXT NOT NULL,             --  The client's JSON as it came
    attachment BLOB,
    PRIMARY KEY (conversation, seq)
);

CREATE UNIQUE INDEX message_chat ON message (sender, chat_id, conversation);

CREATE TABLE member (
    uid TEXT NOT NULL,
    conversation TEXT NOT NULL,
    direct INTEGER NOT NULL,        --  1: a talk of two, 0: a group
    since INTEGER NOT NULL,         --  seq when the user came
    PRIMARY KEY (uid, conversation)
) WITHOUT ROWID;

CREATE INDEX member_conversation ON member (conversation, uid);
CREATE INDEX member_direct ON member (uid, direct);

--  How often a user's groups have changed
CREATE TABLE membership (
    uid TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL
) WITHOUT ROWID;

--  Groups that were made with groupCreate; the others are open to all and have no owner.
CREATE TABLE room (
    conversation TEXT NOT NULL PRIMARY KEY,
    creator TEXT NOT NULL,
    invited INTEGER NOT NULL        --  1: only who is invited may join
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

CREATE TABLE device (
    uid TEXT NOT NULL,
    device TEXT NOT NULL,
    PRIMARY KEY (uid, device)
) WITHOUT ROWID;

CREATE TABLE cursor (
    uid TEXT NOT NULL,
    device TEXT NOT NULL,
    conversation TEXT NOT NULL,
    seq INTEGER NOT NULL,           --  Delivered up to here
    PRIMARY KEY (uid, device, conversation)
) WITHOUT ROWID;

CREATE INDEX cursor_conversation ON cursor (conversation, seq);

PRAGMA user_version = 4;
