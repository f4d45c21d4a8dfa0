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
    kind INTEGER NOT NULL DEFAULT 0,    --  0: a chat, 1: a change of a message, 2: of the group, 3: a chat that was recalled
    target INTEGER,                 --  Of a change: the seq of what it changes
    edited INTEGER,                 --  Of a chat: the seq of its last change
    PRIMARY KEY (conversation, seq)
);

CREATE UNIQUE INDEX message_chat ON message (sender, chat_id, conversation);

CREATE TABLE member (
    uid TEXT NOT NULL,
    conversation TEXT NOT NULL,
    direct INTEGER NOT NULL,        --  1: a talk of two, 0: a group
    since INTEGER NOT NULL,         --  seq when the user came
    read_seq INTEGER NOT NULL DEFAULT 0,    --  Read up to here, on any device
    muted INTEGER NOT NULL DEFAULT 0,       --  msec since 1970 until when the user wants no notice of it
    pinned INTEGER NOT NULL DEFAULT 0,      --  1: the user wants it on top
    silenced INTEGER NOT NULL DEFAULT 0,    --  As silence has it
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
    invited INTEGER NOT NULL,       --  1: only who is invited may join, 2: who was let in when it asked
    name TEXT,
    picture TEXT,
    description TEXT,
    announcement TEXT,
    writers INTEGER NOT NULL DEFAULT 0,     --  0: all members, 1: owners, 2: nobody, for it was dissolved
    hidden INTEGER NOT NULL DEFAULT 0,      --  1: what was said before a member came isn't for it; it stays so
    keep INTEGER                    --  Days that its messages are kept; NULL: as chat/keep says
) WITHOUT ROWID;

CREATE TABLE owner (
    conversation TEXT NOT NULL,
    uid TEXT NOT NULL,
    PRIMARY KEY (conversation, uid)
) WITHOUT ROWID;

CREATE TABLE invitation (
    conversation TEXT NOT NULL,
    uid TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,       --  0: is invited, 1: asks to be let in, 2: is banned
    PRIMARY KEY (conversation, uid)
) WITHOUT ROWID;

--  Who may say nothing in a group, until when in msec since 1970; also while it isn't in it
CREATE TABLE silence (
    conversation TEXT NOT NULL,
    uid TEXT NOT NULL,
    till INTEGER NOT NULL,
    PRIMARY KEY (conversation, uid)
) WITHOUT ROWID;

CREATE TABLE device (
    uid TEXT NOT NULL,
    device TEXT NOT NULL,
    seen INTEGER NOT NULL DEFAULT 0,        --  The day, counted from 1970, when it was last bound
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

--  What a message was before it was edited or recalled: up to the change that has the seq edited, 0 is the first
CREATE TABLE version (
    conversation TEXT NOT NULL,
    seq INTEGER NOT NULL,
    edited INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (conversation, seq, edited)
) WITHOUT ROWID;

CREATE TABLE reaction (
    conversation TEXT NOT NULL,
    seq INTEGER NOT NULL,
    uid TEXT NOT NULL,
    word TEXT NOT NULL,             --  Such as a heart
    PRIMARY KEY (conversation, seq, uid, word)
) WITHOUT ROWID;

--  Whom a message names; an empty uid is all
CREATE TABLE mention (
    uid TEXT NOT NULL,
    conversation TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (conversation, uid, seq)
) WITHOUT ROWID;

--  Everybody who was ever bound, or has a profile
CREATE TABLE user (
    uid TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    picture TEXT,
    about TEXT,
    seen INTEGER NOT NULL           --  msec since 1970; 0: never bound
) WITHOUT ROWID;

--  What a user is to another: two contacts are two rows
CREATE TABLE contact (
    uid TEXT NOT NULL,
    other TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,    --  0: nothing, 1: has asked, 2: are contacts, 3: is asked
    blocked INTEGER NOT NULL DEFAULT 0,  --  1: what other says to uid is refused
    PRIMARY KEY (uid, other)
) WITHOUT ROWID;

--  Up to where a conversation is in the search index; whoever searches brings it up to date
CREATE TABLE search_upto (
    conversation TEXT NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL
) WITHOUT ROWID;

--  Which message a row of search is
CREATE TABLE search_row (
    id INTEGER PRIMARY KEY,
    conversation TEXT NOT NULL,
    seq INTEGER NOT NULL,
    UNIQUE (conversation, seq)
);

CREATE VIRTUAL TABLE search USING fts5 (words, tokenize = "unicode61 remove_diacritics 2");

--  A file that a user may send over HTTP, or has sent
CREATE TABLE media (
    id TEXT NOT NULL PRIMARY KEY,
    uid TEXT NOT NULL,              --  Whose room it takes; empty: nobody's, who sent it is gone
    size INTEGER NOT NULL,
    hash TEXT,                      --  SHA-256 in hexadecimal; NULL: it isn't here, as far as we know
    type TEXT,
    at INTEGER NOT NULL             --  msec since 1970: when it was asked for, or sent in a chat
) WITHOUT ROWID;

CREATE INDEX media_uid ON media (uid, size);
CREATE INDEX media_hash ON media (hash);

--  The file of a chat
CREATE TABLE media_use (
    conversation TEXT NOT NULL,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (conversation, seq)
) WITHOUT ROWID;

CREATE INDEX media_use_hash ON media_use (hash);

PRAGMA user_version = 6;
