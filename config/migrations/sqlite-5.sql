--  From version 4 to 5: read cursors, edits, recalls, reactions, mentions, profiles, contacts, what groups are like,
--  and a search index.

ALTER TABLE message ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN target INTEGER;
ALTER TABLE message ADD COLUMN edited INTEGER;

ALTER TABLE member ADD COLUMN read_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE member ADD COLUMN muted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE member ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE member ADD COLUMN silenced INTEGER NOT NULL DEFAULT 0;

ALTER TABLE room ADD COLUMN name TEXT;
ALTER TABLE room ADD COLUMN picture TEXT;
ALTER TABLE room ADD COLUMN description TEXT;
ALTER TABLE room ADD COLUMN announcement TEXT;
ALTER TABLE room ADD COLUMN writers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE room ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;
ALTER TABLE room ADD COLUMN keep INTEGER;
UPDATE room SET hidden = 1 WHERE invited = 1;

CREATE TABLE silence (
    conversation TEXT NOT NULL,
    uid TEXT NOT NULL,
    till INTEGER NOT NULL,
    PRIMARY KEY (conversation, uid)
) WITHOUT ROWID;

ALTER TABLE invitation ADD COLUMN state INTEGER NOT NULL DEFAULT 0;

ALTER TABLE device ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
UPDATE device SET seen = strftime ('%s', 'now') / 86400;

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
    word TEXT NOT NULL,
    PRIMARY KEY (conversation, seq, uid, word)
) WITHOUT ROWID;

CREATE TABLE mention (
    uid TEXT NOT NULL,
    conversation TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (conversation, uid, seq)
) WITHOUT ROWID;

CREATE TABLE user (
    uid TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    picture TEXT,
    about TEXT,
    seen INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO user (uid, seen) SELECT DISTINCT uid, 1 FROM device;

CREATE TABLE contact (
    uid TEXT NOT NULL,
    other TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    blocked INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (uid, other)
) WITHOUT ROWID;

CREATE TABLE search_upto (
    conversation TEXT NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE search_row (
    id INTEGER PRIMARY KEY,
    conversation TEXT NOT NULL,
    seq INTEGER NOT NULL,
    UNIQUE (conversation, seq)
);

CREATE VIRTUAL TABLE search USING fts5 (words, tokenize = "unicode61 remove_diacritics 2");

PRAGMA user_version = 5;
