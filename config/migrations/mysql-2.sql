--  From version 1 to 2: groups with owners and invitations.

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

INSERT IGNORE INTO schema_version VALUES (2);
