// talks.js - what is known of each conversation: its messages, what is acked, what waits
//
// A message is {seq, at, from, text, chatID, attachment, state}; the state of an own one is
// "sent" (not answered yet), "stored", "delivered" or "failed" with a reason in why.

export class Talk {
  constructor(conversation, me) {
    this.conversation = conversation;
    this.group = !conversation.includes(",");
    this.name = this.group ? conversation : conversation.split(",").find(uid => uid !== me) ?? me;
    this.me = me;
    this.messages = [];      // Own ones without a seq come last
    this.acked = 0;          // Everything up to here is on this device
    this.delivered = 0;      // The other side has everything up to here
    this.seen = new Set();   // Above acked, out of order
    this.last = 0;
    this.unread = 0;
    this.complete = false;   // The first message is loaded
  }

  // The message with this seq or chatID is here now. Returns false when it was already.
  add(message) {
    if (message.seq)
      this.note(message.seq);
    const known = this.messages.find(one => (message.seq && one.seq === message.seq) ||
                                            (one.chatID === message.chatID && one.from === message.from));
    if (known) {
      Object.assign(known, {seq: message.seq ?? known.seq, at: message.at ?? known.at});
      this.sort();
      return false;
    }
    this.messages.push(message);
    this.sort();
    return true;
  }

  sort() {
    this.messages.sort((a, b) => (a.seq ?? Infinity) - (b.seq ?? Infinity) || a.at - b.at);
  }

  // Counts a seq as arrived; acked moves on over what has no gap.
  note(seq) {
    this.last = Math.max(this.last, seq);
    if (seq <= this.acked)
      return;
    this.seen.add(seq);
    while (this.seen.delete(this.acked + 1))
      this.acked++;
  }

  // The state of an own message as it is shown.
  stateOf(message) {
    return message.state === "stored" && message.seq <= this.delivered ? "delivered" : message.state;
  }

  first() {
    return this.messages.find(message => message.seq)?.seq ?? this.last + 1;
  }
}

// Own chats without an answer, kept over a reload of the page; attachments are not.
export class Outbox {
  constructor(uid) {
    this.key = "rookery-outbox-" + uid;
    this.chats = new Map(JSON.parse(localStorage.getItem(this.key) ?? "[]"));
    this.attachments = new Map();
  }

  put(chat, attachment) {
    this.chats.set(chat.content.chatID, chat);
    if (attachment)
      this.attachments.set(chat.content.chatID, attachment);
    this.save();
  }

  remove(chatID) {
    this.chats.delete(chatID);
    this.attachments.delete(chatID);
    this.save();
  }

  save() {
    const plain = [...this.chats].filter(([chatID]) => !this.attachments.has(chatID));
    localStorage.setItem(this.key, JSON.stringify(plain));
  }
}
