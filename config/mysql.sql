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
    PRIMARY KEY (conversation, seq),
    UNIQUE KEY message_chat (sender, chat_id, conversation)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS member (
    uid VARBINARY(128) NOT NULL,
    conversation VARBINARY(257) NOT NULL,
    direct TINYINT NOT NULL,
    since BIGINT NOT NULL,
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
    invited TINYINT NOT NULL
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS owner (
    conversation VARBINARY(257) NOT NULL,
    uid VARBINARY(128) NOT NULL,
    PRIMARY KEY (conversation, uid)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS invitation (
    conversation VARBINARY(257) NOT NULL,
    uid VARBINARY(128) NOT NULL,
    PRIMARY KEY (conversation, uid)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS device (
    uid VARBINARY(128) NOT NULL,
    device VARBINARY(128) NOT NULL,
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

CREATE TABLE IF NOT EXISTS schema_version (version INT NOT NULL PRIMARY KEY) ENGINE = InnoDB;

INSERT IGNORE INTO schema_version VALUES (4);
