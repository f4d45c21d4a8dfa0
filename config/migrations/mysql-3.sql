--  From version 2 to 3: how often a user's groups have changed.

CREATE TABLE IF NOT EXISTS membership (
    uid VARBINARY(128) NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL
) ENGINE = InnoDB;

ALTER TABLE member ADD KEY member_direct (uid, direct, conversation);

INSERT IGNORE INTO schema_version VALUES (3);
