// rookery.js - a client of a Rookery message server, for pages and Node
//
// proto/CLIENT.md says what clients and the server say to each other. Here: one connection that lives as long as the object
// does, requests with promises, chats that are sent until they are answered, acks. README.md shows how it is used.

import {baseOf, send as sendFile} from "./files.js";
import {Link, pack} from "./link.js";

export {IndexedOutbox} from "./outbox.js";

const ACK_PAUSE = 200;       // msec; acks of many messages are joined
const STORE_PAUSE = 1000;    // msec until what the store couldn't do is asked again; doubles
const LONGEST_PAUSE = 30000;

// What may be asked twice, so it is asked again behind a lost connection. A chat and its changes are done once, by their
// chatID; the rest asks, or sets what it sets.
const ONCE = new Set(["groupCreate", "groupAnswer", "groupInvite", "groupTransfer", "contactAccept", "powerOn"]);
const NAMED = new Set(["edit", "recall", "react"]);
// What has a seq in a conversation
const NUMBERED = new Set(["chat", "chatGroup", "edit", "recall", "react", "groupChanged"]);

// A refusal: code is one of CLIENT.md's, or "lost": the connection was, and whether it was done nobody knows.
export class RookeryError extends Error {
  constructor(code, message, answer) {
    super(message);
    this.name = "RookeryError";
    this.code = code;
    this.answer = answer;
  }
}

// A chatID of its own for each chat.
export function newChatID() {
  return Array.from(globalThis.crypto.getRandomValues(new Uint32Array(4)), part => part.toString(36)).join("-");
}

// The name of the conversation of two users: both in the order of their UTF-8 bytes.
export function conversationOf(one, two) {
  const bytes = text => Array.from(new TextEncoder().encode(text), byte => String.fromCharCode(byte)).join("");
  return bytes(one) <= bytes(two) ? `${one},${two}` : `${two},${one}`;
}

// That of a chat's content.
export function conversationIn({fromAccountID, toAccountID, chatGroupID}) {
  return chatGroupID ?? conversationOf(fromAccountID, toAccountID);
}

export class Rookery {
  #link; #handlers = new Map(); #pending = new Map(); #tracks = new Map();
  #requests = 0; #ackTimer; #outbox; #opening; #wanted = false; #base; #urls = new Map();

  // url: of the server's /ws; uid; token: a text, or a function that returns one or its promise, called at each bind;
  // device: a name that stays the same, so that the server knows what this device has got; outbox: see outbox.js;
  // acks: false when the application acks itself; WebSocket: a class to be used.
  constructor({url, uid, token, device, outbox, acks = true, WebSocket}) {
    Object.assign(this, {uid, device, acks, limits: {attachment: Infinity, message: Infinity}});
    this.#base = baseOf(url);
    this.#outbox = outbox;
    this.#link = new Link({url, uid, token, device, WebSocket}, {
      bound: answer => this.#bound(answer), refused: answer => this.#refused(answer),
      lost: (reason, pause) => this.#lost(reason, pause), message: (message, bytes) => this.#message(message, bytes)});
    this.wake = () => this.connected || !this.#wanted || this.#link.open();
  }

  get connected() {
    return this.#link.bound;
  }

  // Calls fn with each message of this action. "message": each with a seq; "connected" (answer), "lost" (reason, msec until the next
  // attempt), "refused" (answer), "answered" (answer, message), of a chat, and "progress" (message, bytes), of its file, are the library's own. Returns a function that ends it.
  // What a function of a message with a seq returns is waited for, if it is a promise, before that is acked.
  on(name, fn) {
    if (!this.#handlers.has(name))
      this.#handlers.set(name, new Set());
    this.#handlers.get(name).add(fn);
    return () => this.#handlers.get(name).delete(fn);
  }

  #emit(name, ...args) {
    return [...this.#handlers.get(name) ?? []].map(fn => {
      try {
        return fn(...args);
      } catch (error) {
        if (name !== "error" && !NUMBERED.has(name) && name !== "message")
          this.#emit("error", error);
        return Promise.reject(error);
      }
    });
  }

  // Connects, and connects again for as long as it takes. Resolves to the first bind's answer; rejects when that is refused.
  async open() {
    const opened = new Promise((resolve, reject) => { this.#opening = {resolve, reject}; });
    opened.catch(() => {});    // Whoever called has another promise of it
    this.#wanted = true;
    globalThis.addEventListener?.("online", this.wake);
    for (const {message, attachment, file} of await this.#outbox?.all() ?? [])
      if (!this.#pending.has(this.#keyOf(message)))
        this.#keep(message, attachment, file).catch(() => {});    // Who said it is gone; "answered" tells
    if (this.#wanted)
      this.#link.open();
    return opened;
  }

  // Connects at once when it is waiting to.
  tryNow() {
    this.wake();
  }

  // The end: what has no answer yet is rejected, and stays in the outbox.
  close() {
    globalThis.removeEventListener?.("online", this.wake);
    this.#wanted = false;
    clearTimeout(this.#ackTimer);
    this.#sendAcks();
    this.#link.close();
    for (const entry of this.#pending.values())
      entry.reject(new RookeryError("lost", "the client was closed"));
    this.#pending.clear();
    this.#opening?.reject(new RookeryError("lost", "the client was closed"));
  }

  // Asks the server; see CLIENT.md for actions and fields. Resolves to the answer when its code is ok, rejects with a RookeryError when not.
  ask(action, fields = {}) {
    if (action === "typing")
      return Promise.resolve(this.tell(action, fields));
    const named = NAMED.has(action) ? {chatID: newChatID()} : {};
    const requestID = `r${++this.#requests}`;
    const message = {action, ...named, ...fields, requestID};
    return this.#begin(requestID, message, undefined, !ONCE.has(action));
  }

  // Tells the server what has no answer, if there is a connection.
  tell(action, fields = {}) {
    return this.connected && this.#link.send({action, ...fields});
  }

  // Says something to a user. content is an object of any fields, text as a rule. It is sent until it is answered, also behind lost
  // connections. attachment is bytes, or a Blob of any size, which goes beside the connection as a file first. Returns a promise of
  // the answer, with the chatID as a property.
  say(uid, content, attachment) {
    return this.#say("chat", {toAccountID: uid}, content, attachment);
  }

  // The same to a group.
  sayGroup(gid, content, attachment) {
    return this.#say("chatGroup", {chatGroupID: gid}, content, attachment);
  }

  #say(action, to, content, attachment) {
    const chatID = content.chatID ?? newChatID();
    const message = {action, content: {...content, fromAccountID: this.uid, ...to, chatID,
                                       fromTimestamp: content.fromTimestamp ?? String(Math.floor(Date.now() / 1000))}};
    const file = attachment instanceof Blob ? attachment : undefined, bytes = file ? undefined : attachment;
    const why = this.#tooLarge(message, bytes, file);
    if (why)
      return Object.assign(Promise.reject(new RookeryError("too-large", why)), {chatID});
    // What can't be kept is sent nonetheless
    Promise.resolve(this.#outbox?.put(this.#keyOf(message), {message, attachment: bytes, file})).catch(error => this.#emit("error", error));
    return Object.assign(this.#keep(message, bytes, file), {chatID});
  }

  // Sends a Blob as a file that is for no chat, such as the picture of a profile or a group; also over lost connections. Resolves to what
  // "uploaded" is answered, of which fileUrl is the file's name.
  async upload(file) {
    const kept = await this.#transfer(file, () => this.#wanted, () => {});
    if (!kept)
      throw new RookeryError("lost", "the client was closed");
    return kept;
  }

  #transfer(file, wanted, progress) {
    return sendFile(file, {ask: (action, fields) => this.ask(action, fields), base: this.#base, wanted, progress,
                           refuse: (code, message) => new RookeryError(code, message, {action: "uploadRsp", code, message})});
  }

  // Where the file of a chat is to be had, as a URL for fetch, pictures and players; asked once for as long as it is good.
  async fileURL(conversation, seq) {
    const key = `${conversation} ${seq}`, known = this.#urls.get(key);
    if (known?.until > Date.now() + 60000)
      return known.url;
    const {fileServer, fileUrl, until} = await this.ask("media", {conversation, seq});
    const url = (fileServer || this.#base) + fileUrl;
    this.#urls.set(key, {url, until});
    return url;
  }

  #tooLarge(message, attachment, file) {
    const most = this.limits.file ?? this.limits.attachment;
    if (file?.size > most)
      return `the file has ${file.size} bytes, ${most} may be sent`;
    const bytes = attachment?.byteLength ?? 0, all = bytes + new TextEncoder().encode(JSON.stringify(message)).length;
    if (bytes > this.limits.attachment)
      return `the attachment has ${bytes} bytes, ${this.limits.attachment} may be sent`;
    return all > this.limits.message ? `the message has ${all} bytes, ${this.limits.message} may be sent` : undefined;
  }

  // A chatID is a name within its conversation.
  #keyOf({action, content}) {
    return `${action} ${conversationIn(content)} ${content.chatID}`;
  }

  #keep(message, attachment, file) {
    return this.#begin(this.#keyOf(message), message, attachment, true, file);
  }

  #begin(key, message, attachment, again, file) {
    return new Promise((resolve, reject) => {
      const entry = {key, message, attachment, again, file, resolve, reject, pause: STORE_PAUSE};
      this.#pending.set(key, entry);
      if (this.connected)
        this.#send(entry);
      else if (!again)
        this.#finish(entry, new RookeryError("lost", "there is no connection"));
    });
  }

  #send(entry) {
    if (entry.file)
      this.#sendFile(entry);
    else
      this.#link.send(pack(entry.message, entry.attachment));
  }

  // A chat goes when its file is there; to a server that takes none it goes as an attachment
  async #sendFile(entry) {
    if (entry.sending)
      return;
    entry.sending = true;
    const {content} = entry.message, wanted = () => this.#pending.get(entry.key) === entry;
    try {
      const kept = await this.#transfer(entry.file, wanted, bytes => this.#emit("progress", entry.message, bytes));
      if (!kept)
        return;
      Object.assign(content, {isBytes: 0, fileServer: kept.fileServer, fileUrl: kept.fileUrl, fileSize: kept.size, fileType: kept.type});
    } catch (error) {
      const bytes = error.code === "not-stored" && entry.file.size <= this.limits.attachment && await entry.file.arrayBuffer().catch(() => undefined);
      if (!bytes)
        return this.#refuse(entry, error);
      entry.attachment = new Uint8Array(bytes);
      content.isBytes = 1;
    }
    entry.file = undefined;
    if (this.connected && wanted())
      this.#send(entry);
  }

  // What became of a chat, if it is one
  #tell(entry, answer) {
    if (!entry.message.content?.chatID || entry.message.requestID)
      return;
    this.#outbox?.remove(entry.key)?.catch?.(problem => this.#emit("error", problem));
    this.#emit("answered", answer, entry.message);
  }

  #refuse(entry, error) {
    if (this.#pending.get(entry.key) !== entry)
      return;
    this.#tell(entry, {code: error.code ?? "internal", message: error.message, ...error.answer, action: `${entry.message.action}Rsp`});
    this.#finish(entry, error);
  }

  #finish(entry, error, answer) {
    this.#pending.delete(entry.key);
    if (error)
      entry.reject(error);
    else
      entry.resolve(answer);
  }

  // -------------------------------------------------------------------------
  // What the link says

  #bound(answer) {
    Object.assign(this.limits, {file: undefined}, answer.limits);
    this.#urls.clear();
    this.#resume();
    for (const entry of this.#pending.values())
      this.#send(entry);
    this.#emit("connected", answer);
    this.#opening?.resolve(answer);
    this.#opening = undefined;
  }

  #refused(answer) {
    this.#emit("refused", answer);
    this.#opening?.reject(new RookeryError(answer.code, answer.message, answer));
    this.#opening = undefined;
  }

  #lost(reason, pause) {
    clearTimeout(this.#ackTimer);
    for (const entry of [...this.#pending.values()].filter(one => !one.again))
      this.#finish(entry, new RookeryError("lost", "the connection was lost; nobody knows whether it was done"));
    this.#emit("lost", reason, pause);
  }

  #message(message, bytes) {
    if (bytes)
      message.attachment = bytes;
    if (message.action.endsWith("Rsp") || (message.action === "error" && this.#pending.has(message.requestID)))
      return this.#answered(message);
    if (NUMBERED.has(message.action) && message.seq)
      return this.#numbered(message);
    if (message.action === "chat" || message.action === "chatGroup")    // A server that stores nothing
      message.conversation = conversationIn(message.content);
    this.#emit(message.action, message);
  }

  #entryOf(answer) {
    const action = answer.action.replace(/Rsp$/, "");
    if (action !== "chat" && action !== "chatGroup")
      return this.#pending.get(answer.requestID);
    if (answer.conversation)
      return this.#pending.get(`${action} ${answer.conversation} ${answer.chatID}`);
    // A refusal names no conversation
    return [...this.#pending.values()].find(({message}) => message.action === action && message.content.chatID === answer.chatID);
  }

  #answered(answer) {
    const entry = this.#entryOf(answer);
    if (!entry)
      return;
    if (answer.code === "not-bound")
      return this.#link.again("the server has forgotten this connection");    // It is sent behind the next bind
    if (answer.code === "store-unavailable" && entry.again)
      return this.#later(entry);
    const error = answer.code === "ok" ? undefined : new RookeryError(answer.code, answer.message, answer);
    this.#tell(entry, answer);
    if (answer.seq && !error && (!entry.message.requestID || NAMED.has(entry.message.action)))
      this.#own(answer.conversation, answer.seq);
    this.#finish(entry, error, answer);
  }

  #later(entry) {
    setTimeout(() => {
      if (this.connected && this.#pending.get(entry.key) === entry)
        this.#send(entry);
    }, entry.pause * (0.5 + Math.random()));
    entry.pause = Math.min(entry.pause * 2, LONGEST_PAUSE);
  }

  // -------------------------------------------------------------------------
  // Messages with a seq, and acks
  //
  // The server gives a connection what its device has not acked in order of seq, and then what is said; so what has come
  // up to a seq is all there is, but for what this device has said itself, which doesn't come back.

  #track(conversation) {
    if (!this.#tracks.has(conversation))
      this.#tracks.set(conversation, {upto: 0, safe: 0, told: 0, life: 0, failed: false, done: Promise.resolve()});
    return this.#tracks.get(conversation);
  }

  // Behind a bind what isn't acked comes again: what was done with already is passed over, what failed is done once more
  #resume() {
    for (const track of this.#tracks.values()) {
      track.told = 0;
      if (track.failed)
        Object.assign(track, {upto: track.safe, failed: false, done: Promise.resolve(), life: track.life + 1});
    }
    this.#ackSoon();
  }

  #numbered(message) {
    // A chat is as its sender has made it: what it says of itself beside its content counts for nothing
    if (message.action === "chat" || message.action === "chatGroup")
      message.conversation = conversationIn(message.content);
    else if (message.action === "groupChanged")
      message.conversation = message.groupID;
    const track = this.#track(message.conversation);
    if (message.seq <= track.upto) {    // The ack was lost on its way
      track.told = 0;
      this.#ackSoon();
      return;
    }
    track.upto = message.seq;
    const results = [...this.#emit("message", message), ...this.#emit(message.action, message)];
    this.#safe(track, message.seq, results);
  }

  // When all that was received before is done with, so is this
  #safe(track, seq, results) {
    const done = Promise.all(results), {life} = track;
    done.catch(() => {});    // It is looked at when its turn comes
    track.done = track.done.then(() => done).then(() => {
      if (track.failed || life !== track.life)
        return;
      track.safe = Math.max(track.safe, seq);
      this.#ackSoon();
    }, error => {    // This and what follows isn't acked, and comes again at the next bind
      track.failed ||= life === track.life;
      this.#emit("error", error);
    });
  }

  #own(conversation, seq) {
    const track = this.#track(conversation);
    if (seq !== track.upto + 1)
      return;
    track.upto = seq;
    this.#safe(track, seq, []);
  }

  #ackSoon() {
    clearTimeout(this.#ackTimer);
    if (this.acks)
      this.#ackTimer = setTimeout(() => this.#sendAcks(), ACK_PAUSE);
  }

  #sendAcks() {
    if (!this.acks || !this.connected)
      return;
    for (const [conversation, track] of this.#tracks)
      if (track.safe > track.told && this.#link.send({action: "ack", conversation, seq: track.safe}))
        track.told = track.safe;
  }
}
