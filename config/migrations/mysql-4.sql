--  From version 3 to 4: a chatID is its sender's name within a conversation, and a message may be longer than 16 MB.

ALTER TABLE message
    DROP KEY message_chat,
    ADD UNIQUE KEY message_chat (sender, chat_id, conversation),
    MODIFY body LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL;

INSERT IGNORE INTO schema_version VALUES (4);
