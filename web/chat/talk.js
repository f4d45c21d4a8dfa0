// talk.js - what is known of a conversation: its messages in order, what is read, what is unread
//
// An entry is one line of it: {seq, at, from, text, content, state, ...}, or {seq, at, note} for a change of the group. The state of an own
// one is "sent" (not answered yet), "stored", "delivered", "read" or "failed", with a reason in why.

const NOTES = {
  created: "made the group", joined: "joined", left: "left", dissolved: "ended the group", set: "changed the group's settings"};
const DONE = {
  removed: "removed", banned: "banned", muted: "muted", unmuted: "gave the word back to", transferred: "handed the group to"};

function noteOf({change, by, uid, role}) {
  if (change === "role")
    return role === "owner" ? `${by} made ${uid} an owner` : `${by} made ${uid} a member`;
  if (change === "joined" && by !== uid)
    return `${by} let ${uid} in`;
  return DONE[change] ? `${by} ${DONE[change]} ${uid}` : `${by} ${NOTES[change] ?? change}`;
}

const KEPT = ["conversation", "name", "picture", "unread", "mentions", "pinned", "mutedTill", "members", "owner", "writers", "last", "read", "readBy", "at"];

export class Talk {
  constructor(conversation, me) {
    Object.assign(this, {conversation, me, group: !conversation.includes(",")});
    this.uid = this.group ? undefined : conversation.split(",").find(uid => uid !== me) ?? me;
    this.name = this.group ? conversation : this.uid;
    this.entries = [];        // In order of seq; own ones without a seq come last
    this.bySeq = new Map();
    this.byChatID = new Map();
    this.reactions = new Map();    // seq -> Map of key -> {count, mine}
    Object.assign(this, {last: 0, at: 0, read: 0, readBy: 0, delivered: 0, unread: 0, mentions: 0, preview: "", draft: "", complete: false, names: []});
  }

  get title() {
    return (this.group ? "#" : "") + this.name;
  }

  // A row of the list that the server has
  update(row) {
    this.name = row.name || (this.group ? this.conversation : this.uid);
    Object.assign(this, {picture: row.picture, unread: row.unread, mentions: row.mentions ?? 0, pinned: row.pinned, mutedTill: row.mutedTill,
                         members: row.members, owner: row.owner, writers: row.writers});
    this.last = Math.max(this.last, row.last);
    this.read = Math.max(this.read, row.read);
    this.readBy = Math.max(this.readBy, row.readBy ?? 0);
    this.at = Math.max(this.at, row.at ?? 0);
    const said = row.message;
    if (said)
      this.preview = said.recalled ? "taken back" : said.change ? noteOf({...said, by: said.sender}) : said.text || said.fileName || "";
  }

  // What it is now, as update takes it
  row() {
    return {...Object.fromEntries(KEPT.map(key => [key, this[key]])), message: {text: this.preview}};
  }

  // The entry with this seq or chatID, as it is now. Returns it, and whether it is new.
  put(entry) {
    const known = entry.seq && this.bySeq.get(entry.seq) || entry.from === this.me && this.byChatID.get(entry.chatID);
    if (known) {
      const had = known.seq;
      Object.assign(known, entry);
      if (!had && known.seq)
        this.place(known);
      return [known, false];
    }
    if (entry.from === this.me && entry.chatID)
      this.byChatID.set(entry.chatID, entry);
    this.entries.push(entry);
    this.place(entry);
    return [entry, true];
  }

  // Moves an entry to where its seq belongs
  place(entry) {
    if (entry.seq) {
      this.bySeq.set(entry.seq, entry);
      this.last = Math.max(this.last, entry.seq);
    }
    const list = this.entries, key = one => one.seq ?? Infinity;
    let at = list.lastIndexOf(entry);
    for (; at > 0 && key(list[at - 1]) > key(entry); at--)
      [list[at - 1], list[at]] = [list[at], list[at - 1]];
    for (; at + 1 < list.length && key(list[at + 1]) < key(entry); at++)
      [list[at + 1], list[at]] = [list[at], list[at + 1]];
  }

  // A message as the server gives it out. Returns the entry that it made or changed, and whether it is a new one.
  take(message) {
    this.last = Math.max(this.last, message.seq ?? 0);
    switch (message.action) {
    case "chat": case "chatGroup":
      return this.put(this.entryOf(message));
    case "groupChanged":
      return this.put({seq: message.seq, at: message.at, note: noteOf(message)});
    case "edit":
      return [this.change(message.of, message.content && {text: message.content.text ?? "", edited: message.at}), false];
    case "recall":
      return [this.change(message.of, {recalled: true, text: "", attachment: undefined, file: undefined, fileUrl: undefined, bytes: false}), false];
    case "react":
      this.react(message.of, message.key, message.on ? 1 : -1, message.uid === this.me ? message.on : undefined);
      return [this.bySeq.get(message.of), false];
    }
    return [undefined, false];
  }

  entryOf(message) {
    const {content} = message, mine = content.fromAccountID === this.me;
    return {seq: message.seq, at: message.at ?? Number(content.fromTimestamp) * 1000, from: content.fromAccountID, content,
            text: typeof content.text === "string" ? content.text : "", chatID: content.chatID, replyTo: content.replyTo,
            fileName: content.fileName, fileType: content.fileType, fileSize: content.fileSize, attachment: message.attachment, bytes: message.bytes,
            fileUrl: typeof content.fileUrl === "string" && content.fileUrl.startsWith("/media/") ? content.fileUrl : undefined, edited: message.edited,
            recalled: Boolean(message.recalled), state: mine ? "stored" : undefined};
  }

  change(seq, what) {
    const entry = this.bySeq.get(seq);
    return entry && Object.assign(entry, what);
  }

  react(seq, key, step, mine) {
    if (!this.reactions.has(seq))
      this.reactions.set(seq, new Map());
    const keys = this.reactions.get(seq), now = keys.get(key) ?? {count: 0, mine: false};
    now.count += step;
    now.mine = mine ?? now.mine;
    keys.set(key, now);
    if (now.count <= 0)
      keys.delete(key);
  }

  // Those that came with a page of history take the place of what was known
  setReactions(messages, rows) {
    for (const message of messages)
      this.reactions.delete(message.seq);
    for (const row of rows)
      this.react(row.seq, row.key, row.count, Boolean(row.mine));
  }

  stateOf(entry) {
    if (entry.state !== "stored" || !entry.seq)
      return entry.state;
    return entry.seq <= this.readBy ? "read" : entry.seq <= this.delivered ? "delivered" : "stored";
  }

  first() {
    return this.entries.find(entry => entry.seq)?.seq ?? this.last + 1;
  }
}
