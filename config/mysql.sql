--  Tables of the chat store in MySQL or MariaDB. Made at first start; schema_version says which
--  version they are, and is written last: what was interrupted is done again. Tables of an older version are
--  brought here by migrations/mysql-N.sql. They mean what those in sqlite.sql mean, which says more.
--
--  Names are bytes, as in SQLite: "Bob" and "bob" are two users.

CREATE TABLE IF NOT EXISTS message (
    conversation VARBINARY(257) NOT NULL,
    seq BIGINT NOT NULL,
    sender VARBINARY(128) NOT NULL,
    chat_id VARBINARY(255) NOT NULL,
    recipient VARBINARY(128),
    device VARBINARY(128) NOT NULL,
    at BIGINT NOT NULL,
    body LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    attachment LONGBLOB,
    kind TINYINT NOT NULL DEFAULT 0,
    target BIGINT,
    edited BIGINT,
    PRIMARY KEY (conversation, seq),
    UNIQUE KEY message_chat (sender, chat_id, conversation)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS member (
    uid VARBINARY(128) NOT NULL,
    conversation VARBINARY(257) NOT NULL,
    direct TINYINT NOT NULL,
    since BIGINT NOT NULL,
    read_seq BIGINT NOT NULL DEFAULT 0,
    muted BIGINT NOT NULL DEFAULT 0,
    pinned TINYINT NOT NULL DEFAULT 0,
    silenced BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (uid, conversation),
    KEY member_conversation (conversation, uid),
    KEY member_direct (uid, direct, conversation)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS membership (
    uid VARBINARY(128) NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS room (
    conversation VARBINARY(257) NOT NULL PRIMARY KEY,
    creator VARBINARY(128) NOT NULL,
    invited TINYINT NOT NULL,
    name TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    picture TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    description TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    announcement TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    writers TINYINT NOT NULL DEFAULT 0,
    hidden TINYINT NOT NULL DEFAULT 0,
    keep INT
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS owner (
    conversation VARBINARY(257) NOT NULL,
    uid VARBINARY(128) NOT NULL,
    PRIMARY KEY (conversation, uid)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS invitation (
    conversation VARBINARY(257) NOT NULL,
    uid VARBINARY(128) NOT NULL,
    state TINYINT NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation, uid)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS silence (
    conversation VARBINARY(257) NOT NULL,
    uid VARBINARY(128) NOT NULL,
    till BIGINT NOT NULL,
    PRIMARY KEY (conversation, uid)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS device (
    uid VARBINARY(128) NOT NULL,
    device VARBINARY(128) NOT NULL,
    seen INT NOT NULL DEFAULT 0,
    PRIMARY KEY (uid, device)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS `cursor` (
    uid VARBINARY(128) NOT NULL,
    device VARBINARY(128) NOT NULL,
    conversation VARBINARY(257) NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (uid, device, conversation),
    KEY cursor_conversation (conversation, seq)
) ENGINE = InnoDB;

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

CREATE TABLE IF NOT EXISTS media (
    id VARBINARY(32) NOT NULL PRIMARY KEY,
    uid VARBINARY(128) NOT NULL,
    size BIGINT NOT NULL,
    hash VARBINARY(64),
    type VARBINARY(128),
    at BIGINT NOT NULL,
    KEY media_uid (uid, size),
    KEY media_hash (hash)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS media_use (
    conversation VARBINARY(257) NOT NULL,
    seq BIGINT NOT NULL,
    hash VARBINARY(64) NOT NULL,
    PRIMARY KEY (conversation, seq),
    KEY media_use_hash (hash)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS schema_version (version INT NOT NULL PRIMARY KEY) ENGINE = InnoDB;

INSERT IGNORE INTO schema_version VALUES (6);
