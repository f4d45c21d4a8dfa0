--  From version 5 to 6: files that are sent over HTTP.

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

INSERT IGNORE INTO schema_version VALUES (6);
