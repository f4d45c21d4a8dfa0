CREATE TABLE `contact` (
  `uid` varbinary(128) NOT NULL,
  `other` varbinary(128) NOT NULL,
  `state` tinyint(4) NOT NULL DEFAULT 0,
  `blocked` tinyint(4) NOT NULL DEFAULT 0,
  PRIMARY KEY (`uid`,`other`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE `cursor` (
  `uid` varbinary(128) NOT NULL,
  `device` varbinary(128) NOT NULL,
  `conversation` varbinary(257) NOT NULL,
  `seq` bigint(20) NOT NULL,
  PRIMARY KEY (`uid`,`device`,`conversation`),
  KEY `cursor_conversation` (`conversation`,`seq`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `cursor` VALUES (X'626F62',X'70686F6E65',X'616E6E2C626F62',1);
CREATE TABLE `device` (
  `uid` varbinary(128) NOT NULL,
  `device` varbinary(128) NOT NULL,
  `seen` int(11) NOT NULL DEFAULT 0,
  PRIMARY KEY (`uid`,`device`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `device` VALUES (X'616E6E',X'',40000);
INSERT INTO `device` VALUES (X'626F62',X'70686F6E65',40000);
CREATE TABLE `invitation` (
  `conversation` varbinary(257) NOT NULL,
  `uid` varbinary(128) NOT NULL,
  `state` tinyint(4) NOT NULL DEFAULT 0,
  PRIMARY KEY (`conversation`,`uid`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `invitation` VALUES (X'636C7562',X'626F62',0);
CREATE TABLE `member` (
  `uid` varbinary(128) NOT NULL,
  `conversation` varbinary(257) NOT NULL,
  `direct` tinyint(4) NOT NULL,
  `since` bigint(20) NOT NULL,
  `read_seq` bigint(20) NOT NULL DEFAULT 0,
  `muted` bigint(20) NOT NULL DEFAULT 0,
  `pinned` tinyint(4) NOT NULL DEFAULT 0,
  `silenced` bigint(20) NOT NULL DEFAULT 0,
  PRIMARY KEY (`uid`,`conversation`),
  KEY `member_conversation` (`conversation`,`uid`),
  KEY `member_direct` (`uid`,`direct`,`conversation`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `member` VALUES (X'616E6E',X'616E6E2C626F62',1,0,0,0,0,0);
INSERT INTO `member` VALUES (X'616E6E',X'636C7562',0,0,0,0,0,0);
INSERT INTO `member` VALUES (X'616E6E',X'726F6F6B73',0,0,0,0,0,0);
INSERT INTO `member` VALUES (X'626F62',X'616E6E2C626F62',1,0,0,0,0,0);
INSERT INTO `member` VALUES (X'626F62',X'726F6F6B73',0,0,0,0,0,0);
CREATE TABLE `membership` (
  `uid` varbinary(128) NOT NULL,
  `version` bigint(20) NOT NULL,
  PRIMARY KEY (`uid`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `membership` VALUES (X'616E6E',2);
INSERT INTO `membership` VALUES (X'626F62',1);
CREATE TABLE `mention` (
  `uid` varbinary(128) NOT NULL,
  `conversation` varbinary(257) NOT NULL,
  `seq` bigint(20) NOT NULL,
  PRIMARY KEY (`conversation`,`uid`,`seq`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE `message` (
  `conversation` varbinary(257) NOT NULL,
  `seq` bigint(20) NOT NULL,
  `sender` varbinary(128) NOT NULL,
  `chat_id` varbinary(255) NOT NULL,
  `recipient` varbinary(128) DEFAULT NULL,
  `device` varbinary(128) NOT NULL,
  `at` bigint(20) NOT NULL,
  `body` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `attachment` longblob DEFAULT NULL,
  `kind` tinyint(4) NOT NULL DEFAULT 0,
  `target` bigint(20) DEFAULT NULL,
  `edited` bigint(20) DEFAULT NULL,
  PRIMARY KEY (`conversation`,`seq`),
  UNIQUE KEY `message_chat` (`sender`,`chat_id`,`conversation`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `message` VALUES (X'616E6E2C626F62',1,X'616E6E',X'6F6E65',X'626F62',X'',1795914477393,X'7B22616374696F6E223A202263686174222C2022636F6E74656E74223A207B2266726F6D4163636F756E744944223A2022616E6E222C2022746F4163636F756E744944223A2022626F62222C2022636861744944223A20226F6E65227D7D',NULL,0,NULL,NULL);
INSERT INTO `message` VALUES (X'616E6E2C626F62',2,X'616E6E',X'74776F',X'626F62',X'',1795914477399,X'7B22616374696F6E223A202263686174222C2022636F6E74656E74223A207B2266726F6D4163636F756E744944223A2022616E6E222C2022746F4163636F756E744944223A2022626F62222C2022636861744944223A202274776F227D7D',X'000100766F69636500',0,NULL,NULL);
INSERT INTO `message` VALUES (X'616E6E2C626F62',3,X'616E6E',X'7468726565',X'626F62',X'',1795914477402,X'7B22616374696F6E223A202263686174222C2022636F6E74656E74223A207B2266726F6D4163636F756E744944223A2022616E6E222C2022746F4163636F756E744944223A2022626F62222C2022636861744944223A20227468726565227D7D',NULL,0,NULL,NULL);
INSERT INTO `message` VALUES (X'636C7562',1,X'616E6E',X'016777312E6636386234353535613363372D312E313739353931343437373335372E31',NULL,X'',1795914477357,X'7B226279223A22616E6E222C226368616E6765223A2263726561746564222C22756964223A22616E6E222C2267726F75704944223A22636C7562222C22616374696F6E223A2267726F75704368616E676564227D',NULL,2,NULL,NULL);
INSERT INTO `message` VALUES (X'726F6F6B73',1,X'616E6E',X'666F7572',NULL,X'',1795914477403,X'7B22616374696F6E223A20226368617447726F7570222C2022636F6E74656E74223A207B2266726F6D4163636F756E744944223A2022616E6E222C20226368617447726F75704944223A2022726F6F6B73222C2022636861744944223A2022666F7572227D7D',NULL,0,NULL,NULL);
CREATE TABLE `owner` (
  `conversation` varbinary(257) NOT NULL,
  `uid` varbinary(128) NOT NULL,
  PRIMARY KEY (`conversation`,`uid`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `owner` VALUES (X'636C7562',X'616E6E');
CREATE TABLE `reaction` (
  `conversation` varbinary(257) NOT NULL,
  `seq` bigint(20) NOT NULL,
  `uid` varbinary(128) NOT NULL,
  `word` varbinary(64) NOT NULL,
  PRIMARY KEY (`conversation`,`seq`,`uid`,`word`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE `room` (
  `conversation` varbinary(257) NOT NULL,
  `creator` varbinary(128) NOT NULL,
  `invited` tinyint(4) NOT NULL,
  `name` text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `picture` text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `description` text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `announcement` text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `writers` tinyint(4) NOT NULL DEFAULT 0,
  `hidden` tinyint(4) NOT NULL DEFAULT 0,
  `keep` int(11) DEFAULT NULL,
  PRIMARY KEY (`conversation`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `room` VALUES (X'636C7562',X'616E6E',1,NULL,NULL,NULL,NULL,0,1,NULL);
CREATE TABLE `schema_version` (
  `version` int(11) NOT NULL,
  PRIMARY KEY (`version`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `schema_version` VALUES (5);
CREATE TABLE `search` (
  `conversation` varbinary(257) NOT NULL,
  `seq` bigint(20) NOT NULL,
  `words` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL,
  PRIMARY KEY (`conversation`,`seq`),
  FULLTEXT KEY `search_words` (`words`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE `search_upto` (
  `conversation` varbinary(257) NOT NULL,
  `seq` bigint(20) NOT NULL,
  PRIMARY KEY (`conversation`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE `silence` (
  `conversation` varbinary(257) NOT NULL,
  `uid` varbinary(128) NOT NULL,
  `till` bigint(20) NOT NULL,
  PRIMARY KEY (`conversation`,`uid`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE `user` (
  `uid` varbinary(128) NOT NULL,
  `name` text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `picture` text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `about` text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `seen` bigint(20) NOT NULL,
  PRIMARY KEY (`uid`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `user` VALUES (X'616E6E',NULL,NULL,NULL,1795914477286);
INSERT INTO `user` VALUES (X'626F62',NULL,NULL,NULL,1795914477350);
CREATE TABLE `version` (
  `conversation` varbinary(257) NOT NULL,
  `seq` bigint(20) NOT NULL,
  `edited` bigint(20) NOT NULL,
  `body` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  PRIMARY KEY (`conversation`,`seq`,`edited`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
