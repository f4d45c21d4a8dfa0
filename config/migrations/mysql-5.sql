--  From version 4 to 5: read cursors, edits, recalls, reactions, mentions, profiles, contacts, what groups are like,
--  and a search index.

ALTER TABLE message
    ADD COLUMN kind TINYINT NOT NULL DEFAULT 0,
    ADD COLUMN target BIGINT,
    ADD COLUMN edited BIGINT;

ALTER TABLE member
    ADD COLUMN read_seq BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN muted BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN pinned TINYINT NOT NULL DEFAULT 0,
    ADD COLUMN silenced BIGINT NOT NULL DEFAULT 0;

ALTER TABLE room
    ADD COLUMN name TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    ADD COLUMN picture TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    ADD COLUMN description TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    ADD COLUMN announcement TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    ADD COLUMN writers TINYINT NOT NULL DEFAULT 0,
    ADD COLUMN hidden TINYINT NOT NULL DEFAULT 0,
    ADD COLUMN keep INT;
UPDATE room SET hidden = 1 WHERE invited = 1;

CREATE TABLE IF NOT EXISTS silence (
    conversation VARBINARY(257) NOT NULL,
    uid VARBINARY(128) NOT NULL,
    till BIGINT NOT NULL,
    PRIMARY KEY (conversation, uid)
) ENGINE = InnoDB;

ALTER TABLE invitation ADD COLUMN state TINYINT NOT NULL DEFAULT 0;

ALTER TABLE device ADD COLUMN seen INT NOT NULL DEFAULT 0;
UPDATE device SET seen = unix_timestamp () DIV 86400 WHERE seen = 0;

CREATE TABLE IF NOT EXISTS version (
    conversation VARBINARY(257) NOT NULL,
    seq BIGINT NOT NULL,
    edited BIGINT NOT NULL,
    body LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    PRIMARY KEY (conversation, seq, edited)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS reaction (
    conversation VARBINARY(257) NOT NULL,
    seq BIGINT NOT NULL,
    uid VARBINARY(128) NOT NULL,
    word VARBINARY(64) NOT NULL,
    PRIMARY KEY (conversation, seq, uid, word)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS mention (
    uid VARBINARY(128) NOT NULL,
    conversation VARBINARY(257) NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (conversation, uid, seq)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS user (
    uid VARBINARY(128) NOT NULL PRIMARY KEY,
    name TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    picture TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    about TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    seen BIGINT NOT NULL
) ENGINE = InnoDB;

INSERT IGNORE INTO user (uid, seen) SELECT DISTINCT uid, 1 FROM device;

CREATE TABLE IF NOT EXISTS contact (
    uid VARBINARY(128) NOT NULL,
    other VARBINARY(128) NOT NULL,
    state TINYINT NOT NULL DEFAULT 0,
    blocked TINYINT NOT NULL DEFAULT 0,
    PRIMARY KEY (uid, other)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS search_upto (
    conversation VARBINARY(257) NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS search (
    conversation VARBINARY(257) NOT NULL,
    seq BIGINT NOT NULL,
    words LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL,
    PRIMARY KEY (conversation, seq),
    FULLTEXT KEY search_words (words)
) ENGINE = InnoDB;

INSERT IGNORE INTO schema_version VALUES (5);
