// rookery.d.ts - the types of rookery-client; what the actions mean is in proto/CLIENT.md
//
// Requests, Answers and Told have the fields that proto/client.schema.json has; selftest/check_schema compares them.

export type Code = "ok" | "bad-json" | "bad-frame" | "too-large" | "unknown-action" | "bad-request" | "not-bound" | "not-you" | "not-member" | "not-allowed" | "bound" | "not-owner" | "not-invited" | "group-exists" | "too-many" | "not-found" | "not-stored" | "store-unavailable" | "link-unavailable" | "internal";

/** What a chat holds; any further fields are the applications' own. */
export interface Content {fromAccountID: string; chatID: string; toAccountID?: string; chatGroupID?: string; text?: string;
  mentions?: string[]; replyTo?: number; [field: string]: unknown}

/** What has a seq in a conversation. */
export type Numbered = Told["chat"] | Told["chatGroup"] | Told["edit"] | Told["recall"] | Told["react"] | Told["groupChanged"];

/** What each action asks. */
export interface Requests {
  bind: {uid: string; token?: string; device?: string};
  chat: {content: Content};
  chatGroup: {content: Content};
  powerOn: {IMEI: string};
  heart: {};
  ack: {conversation: string; seq: number};
  read: {conversation: string; seq: number};
  readers: {conversation: string; seq: number; after?: string; limit?: number};
  conversations: {after?: string; limit?: number};
  conversationSet: {conversation: string; pinned?: boolean; muted?: boolean | number};
  history: {conversation: string; after?: number; before?: number; limit?: number};
  attachment: {conversation: string; seq: number};
  edit: {conversation: string; seq: number; content: Record<string, unknown>; chatID?: string};
  recall: {conversation: string; seq: number; chatID?: string};
  react: {conversation: string; seq: number; key: string; on?: boolean; chatID?: string};
  reactions: {conversation: string; seq: number};
  versions: {conversation: string; seq: number};
  search: {text: string; conversation?: string; before?: string; limit?: number};
  upload: {size: number};
  uploaded: {receipt: string};
  media: {conversation: string; seq: number};
  typing: {conversation: string};
  presence: {subscribe?: string[]; unsubscribe?: string[]};
  profile: {name?: string; picture?: string; text?: string};
  users: {uids: string[]};
  contacts: {after?: string; limit?: number};
  contactAdd: {uid: string};
  contactAccept: {uid: string};
  contactRemove: {uid: string};
  block: {uid: string; blocked?: boolean};
  groups: {after?: string};
  groupCreate: {groupID: string; name?: string; joining?: "open" | "invitation" | "request"; invited?: boolean};
  groupJoin: {groupID: string};
  groupLeave: {groupID: string};
  groupInfo: {groupID: string};
  groupMembers: {groupID: string; after?: string; limit?: number};
  groupInvite: {groupID: string; uid: string};
  groupRemove: {groupID: string; uid: string};
  groupInvitations: {groupID: string; which: "invited" | "asks" | "banned"; after?: string; limit?: number};
  groupAnswer: {groupID: string; uid: string; accept: boolean};
  groupBan: {groupID: string; uid: string; banned?: boolean};
  groupRole: {groupID: string; uid: string; role: "owner" | "member"};
  groupTransfer: {groupID: string; uid: string};
  groupMute: {groupID: string; uid: string; seconds?: number};
  groupSet: {groupID: string; name?: string; picture?: string; description?: string; announcement?: string; writers?: "all" | "owners"; joining?: "open" | "invitation" | "request"; keep?: number};
  groupDissolve: {groupID: string};
}

/** What it is answered when its code is ok. */
export interface Answers {
  bind: {action: "bindRsp"; uid: string; groups: string[]; at: number; limits: {attachment: number; message: number; file?: number}; code: "ok"; message: string};
  chat: {action: "chatRsp"; chatID: string; conversation: string; seq?: number; at: number; known?: boolean; code: "ok"; message: string};
  chatGroup: {action: "chatGroupRsp"; chatID: string; conversation: string; seq?: number; at: number; code: "ok"; message: string};
  powerOn: {action: "powerOnRsp"; code: "ok"; message: string};
  heart: {action: "heartRsp"; at: number; code: "ok"; message: string};
  ack: {action: "ackRsp"; conversation: string; seq: number; code: "ok"; message: string};
  read: {action: "readRsp"; conversation: string; seq: number; code: "ok"; message: string};
  readers: {action: "readersRsp"; conversation: string; seq: number; count: number; readers: {uid: string; seq: number}[]; more?: boolean; code: "ok"; message: string};
  conversations: {action: "conversationsRsp"; conversations: ({conversation: string; kind: "talk" | "group"; at?: number; last: number; read: number; readBy?: number; unread: number; mentions?: number; mutedTill?: number; pinned?: boolean; members: number; uid?: string; name?: string; picture?: string; owner?: boolean; writers?: "all" | "owners" | "nobody"; message?: {sender?: string; text?: string; fileName?: string; fileType?: string | number; recalled?: boolean; change?: string; uid?: string}})[]; next?: string; code: "ok"; message: string};
  conversationSet: {action: "conversationSetRsp"; conversation: string; pinned: boolean; mutedTill: number; code: "ok"; message: string};
  history: {action: "historyRsp"; conversation: string; last: number; messages: Numbered[]; reactions?: {seq: number; key: string; count: number; mine?: boolean}[]; code: "ok"; message: string};
  attachment: {action: "attachmentRsp"; conversation: string; seq: number; code: "ok"; message: string};
  edit: {action: "editRsp"; conversation: string; of: number; seq: number; at: number; chatID?: string; code: "ok"; message: string};
  recall: {action: "recallRsp"; conversation: string; of: number; seq: number; at: number; chatID?: string; code: "ok"; message: string};
  react: {action: "reactRsp"; conversation: string; of: number; seq?: number; at?: number; chatID?: string; key: string; on: boolean; code: "ok"; message: string};
  reactions: {action: "reactionsRsp"; conversation: string; seq: number; reactions: {key: string; uid: string}[]; more?: boolean; code: "ok"; message: string};
  versions: {action: "versionsRsp"; conversation: string; seq: number; versions: {at?: number; content: Record<string, unknown>}[]; code: "ok"; message: string};
  search: {action: "searchRsp"; messages: {conversation: string; message: Numbered}[]; next?: string; indexing?: boolean; code: "ok"; message: string};
  upload: {action: "uploadRsp"; fileServer: string; fileUrl: string; code: "ok"; message: string};
  uploaded: {action: "uploadedRsp"; fileServer: string; fileUrl: string; size: number; type: string; code: "ok"; message: string};
  media: {action: "mediaRsp"; fileServer: string; fileUrl: string; size: number; type: string; until: number; code: "ok"; message: string};
  presence: {action: "presenceRsp"; users: {uid: string; seen?: number}[]; code: "ok"; message: string};
  profile: {action: "profileRsp"; uid: string; code: "ok"; message: string};
  users: {action: "usersRsp"; users: {uid: string; name?: string; picture?: string; text?: string; known: boolean}[]; code: "ok"; message: string};
  contacts: {action: "contactsRsp"; contacts: ({uid: string; state: "asked" | "asks" | "contact" | "none"; blocked?: boolean; name?: string; picture?: string; text?: string})[]; more?: boolean; code: "ok"; message: string};
  contactAdd: {action: "contactAddRsp"; uid: string; state: "asked" | "asks" | "contact" | "none"; code: "ok"; message: string};
  contactAccept: {action: "contactAcceptRsp"; uid: string; state: "asked" | "asks" | "contact" | "none"; code: "ok"; message: string};
  contactRemove: {action: "contactRemoveRsp"; uid: string; state: "asked" | "asks" | "contact" | "none"; code: "ok"; message: string};
  block: {action: "blockRsp"; uid: string; blocked: boolean; code: "ok"; message: string};
  groups: {action: "groupsRsp"; groups: string[]; talks: {conversation: string; last: number; acked: number; delivered?: number}[]; more?: boolean; code: "ok"; message: string};
  groupCreate: {action: "groupCreateRsp"; groupID: string; code: "ok"; message: string};
  groupJoin: {action: "groupJoinRsp"; groupID: string; asked?: boolean; code: "ok"; message: string};
  groupLeave: {action: "groupLeaveRsp"; groupID: string; code: "ok"; message: string};
  groupInfo: {action: "groupInfoRsp"; groupID: string; name?: string; picture?: string; description?: string; announcement?: string; writers: "all" | "owners" | "nobody"; joining: "open" | "invitation" | "request"; keep?: number; owner: boolean; members: number; mutedTill?: number; code: "ok"; message: string};
  groupMembers: {action: "groupMembersRsp"; groupID: string; members: string[]; owners: string[]; silenced: string[]; more?: boolean; code: "ok"; message: string};
  groupInvite: {action: "groupInviteRsp"; groupID: string; uid: string; code: "ok"; message: string};
  groupRemove: {action: "groupRemoveRsp"; groupID: string; uid: string; code: "ok"; message: string};
  groupInvitations: {action: "groupInvitationsRsp"; groupID: string; which: "invited" | "asks" | "banned"; uids: string[]; more?: boolean; code: "ok"; message: string};
  groupAnswer: {action: "groupAnswerRsp"; groupID: string; uid: string; accept: boolean; code: "ok"; message: string};
  groupBan: {action: "groupBanRsp"; groupID: string; uid: string; banned: boolean; code: "ok"; message: string};
  groupRole: {action: "groupRoleRsp"; groupID: string; uid: string; role: "owner" | "member"; code: "ok"; message: string};
  groupTransfer: {action: "groupTransferRsp"; groupID: string; uid: string; code: "ok"; message: string};
  groupMute: {action: "groupMuteRsp"; groupID: string; uid: string; till: number; code: "ok"; message: string};
  groupSet: {action: "groupSetRsp"; groupID: string; code: "ok"; message: string};
  groupDissolve: {action: "groupDissolveRsp"; groupID: string; code: "ok"; message: string};
}

/** What clients are told. */
export interface Told {
  chat: {action: "chat"; seq?: number; at: number; content: Content; bytes?: boolean; edited?: number; recalled?: number; by?: string; erased?: boolean};
  chatGroup: {action: "chatGroup"; seq?: number; at: number; content: Content; bytes?: boolean; edited?: number; recalled?: number; by?: string; erased?: boolean};
  edit: {action: "edit"; seq: number; at: number; conversation: string; of: number; uid: string; content?: Record<string, unknown>};
  recall: {action: "recall"; seq: number; at: number; conversation: string; of: number; uid: string};
  react: {action: "react"; seq: number; at: number; conversation: string; of: number; uid: string; key: string; on: boolean};
  groupChanged: {action: "groupChanged"; seq: number; at: number; groupID: string; by: string; uid?: string; role?: "owner" | "member"; till?: number; set?: Record<string, unknown>; change: "created" | "joined" | "left" | "removed" | "banned" | "role" | "transferred" | "muted" | "unmuted" | "set" | "dissolved"};
  acked: {action: "acked"; uid: string; conversation: string; seq: number};
  read: {action: "read"; uid: string; conversation: string; seq: number};
  typing: {action: "typing"; uid: string; conversation: string};
  presence: {action: "presence"; uid: string; online: boolean; devices?: string[]; seen?: number};
  conversationChanged: {action: "conversationChanged"; conversation: string; pinned: boolean; mutedTill: number};
  profileChanged: {action: "profileChanged"; uid: string; name?: string; picture?: string; text?: string};
  contactChanged: {action: "contactChanged"; uid: string; state: "asked" | "asks" | "contact" | "none"};
  blockChanged: {action: "blockChanged"; uid: string; blocked: boolean};
  groupInvited: {action: "groupInvited"; groupID: string; by: string};
  groupRemoved: {action: "groupRemoved"; groupID: string; by: string};
  groupAsked: {action: "groupAsked"; groupID: string; uid: string};
  groupAnswered: {action: "groupAnswered"; groupID: string; by: string; accept: boolean};
  error: {action: "error"; code: Code; message: string; offset?: number; requestID?: unknown};
}

/** What comes with each event. A message that has a seq has its conversation, and its attachment if there is one. */
export type Events = {[name in keyof Told]: [message: Told[name] & {conversation?: string; attachment?: Uint8Array}]} & {
  message: [message: Numbered & {conversation: string; attachment?: Uint8Array}];
  connected: [answer: Answers["bind"]];
  lost: [reason: string, pause: number];
  refused: [answer: {code: Code; message: string}];
  answered: [answer: {code: Code; message: string; chatID: string; conversation?: string; seq?: number; at?: number},
             message: {action: "chat" | "chatGroup"; content: Content}];
  progress: [message: {action: "chat" | "chatGroup"; content: Content}, bytes: number];
  error: [problem: Error | Told["error"]];
};

export interface Entry {message: {action: string; content: Content}; attachment?: Uint8Array | ArrayBuffer; file?: Blob}

export interface Outbox {
  put (key: string, entry: Entry): Promise<unknown>;
  remove (key: string): Promise<unknown>;
  all (): Promise<Entry[]>;
}

export class IndexedOutbox implements Outbox {
  constructor (uid: string);
  put (key: string, entry: Entry): Promise<unknown>;
  remove (key: string): Promise<unknown>;
  all (): Promise<Entry[]>;
}

export class RookeryError extends Error {
  code: Code | "lost";
  answer?: {code: Code; message: string};
}

export interface Options {
  url: string;
  uid: string;
  token?: string | (() => string | Promise<string>);
  device?: string;
  outbox?: Outbox;
  acks?: boolean;
  WebSocket?: unknown;
}

export type Said<Action extends "chat" | "chatGroup"> = Promise<Answers[Action]> & {chatID: string};
type Sayable = Partial<Content> & Record<string, unknown>;
type Asked = Exclude<keyof Answers, "bind" | "chat" | "chatGroup">;

export class Rookery {
  constructor (options: Options);
  readonly uid: string;
  readonly connected: boolean;
  readonly limits: {attachment: number; message: number; file?: number};
  open (): Promise<Answers["bind"]>;
  close (): void;
  tryNow (): void;
  on<Name extends keyof Events> (name: Name, fn: (...args: Events[Name]) => unknown): () => void;
  ask<Action extends Asked> (action: Action, fields?: Requests[Action]): Promise<Answers[Action] & {attachment?: Uint8Array}>;
  tell (action: "typing" | "ack", fields: {conversation: string; seq?: number}): boolean;
  say (uid: string, content: Sayable, attachment?: Uint8Array | ArrayBuffer | Blob): Said<"chat">;
  sayGroup (gid: string, content: Sayable, attachment?: Uint8Array | ArrayBuffer | Blob): Said<"chatGroup">;
  upload (file: Blob): Promise<Answers["uploaded"]>;
  fileURL (conversation: string, seq: number): Promise<string>;
}

export function newChatID (): string;
export function conversationOf (one: string, two: string): string;
export function conversationIn (content: Content): string;
