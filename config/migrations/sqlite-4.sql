--  From version 3 to 4: a chatID is its sender's name within a conversation, and attachments are bytes, not text
--  that ends at the first zero.

DROP INDEX message_chat;
CREATE UNIQUE INDEX message_chat ON message (sender, chat_id, conversation);

UPDATE message SET attachment = CAST (attachment AS BLOB) WHERE typeof (attachment) = 'text';

PRAGMA user_version = 4;
