// messages.js - the messages of the open talk: nodes are appended and changed, and about 200 of them are in the page

import {dayOf, element, linked, timeOf} from "./text.js";

const MOST = 200, PIECE = 60;    // Nodes in the page; shown at once
const NEAR = 80;                 // Pixels from the end that count as the end

const MARKS = {sent: ["…", "sent, not answered yet"], stored: ["✓", "stored by the server"], delivered: ["✓✓", "delivered"],
               read: ["✓✓", "read"], failed: ["!", "not accepted"]};
const PICTURE = /\.(png|jpe?g|gif|webp)$/i, SOUND = /\.(mp3|ogg|oga|wav|m4a|webm)$/i;

export class Messages {
  // node is the list's element; does has what can be done with an entry: reply, react, edit, recall, again, fetch; need (talk) is
  // called when what lies before the first one is wanted
  constructor(node, more, does, need) {
    Object.assign(this, {node, more, does, need, nodes: new Map(), start: 0, fresh: 0});
    node.addEventListener("scroll", () => this.onScroll(), {passive: true});
    more.addEventListener("click", () => this.toEnd());
  }

  atEnd() {
    return this.node.scrollHeight - this.node.scrollTop - this.node.clientHeight < NEAR;
  }

  // Another talk, or none: from its first unread message on
  open(talk) {
    if (talk !== this.talk)
      this.unreadFrom = talk?.unread ? talk.read : undefined;
    this.talk = talk;
    this.nodes.clear();
    this.node.replaceChildren();
    this.fresh = 0;
    const {length} = talk?.entries ?? [], unread = talk?.entries.indexOf(this.firstUnread()) ?? -1;
    this.start = Math.max(unread < 0 ? length - PIECE : Math.min(unread - 5, length - PIECE), length - MOST, 0);
    this.draw();
    const first = this.node.querySelector(".first-unread");
    if (first)
      first.scrollIntoView({block: "center"});
    else
      this.node.scrollTop = this.node.scrollHeight;
    this.count();
  }

  firstUnread() {
    return this.talk?.entries.find(entry => entry.seq > this.unreadFrom && entry.from && entry.from !== this.talk.me);
  }

  toEnd() {
    this.start = Math.max(this.start, this.talk.entries.length - MOST, 0);
    this.fresh = 0;
    this.draw();
    this.node.scrollTop = this.node.scrollHeight;
    this.count();
  }

  // An entry has come to the open talk, or has changed
  show(entry, isNew) {
    const stay = this.atEnd();
    if (!isNew && this.nodes.has(entry))
      this.refresh(entry);
    else
      this.draw();
    if (stay || entry.from === this.talk.me && isNew) {
      this.node.scrollTop = this.node.scrollHeight;
      this.fresh = 0;
    } else if (isNew && entry.from !== this.talk.me) {
      this.fresh++;
    }
    this.count();
  }

  count() {
    this.more.hidden = !this.talk || this.atEnd();
    this.more.textContent = this.fresh ? `${this.fresh} new ↓` : "↓";
  }

  // Own ones whose state may have changed
  marks() {
    for (const [entry, node] of this.nodes)
      if (entry.from === this.talk?.me && node.dataset.state !== (this.talk.stateOf(entry) ?? ""))
        this.refresh(entry);
  }

  refresh(entry) {
    const old = this.nodes.get(entry), node = this.make(entry);
    if (!old)
      return;
    const focused = old.contains(document.activeElement);
    node.classList.toggle("first-unread", old.classList.contains("first-unread"));
    if (old.dataset.day)
      node.dataset.day = old.dataset.day;
    old.replaceWith(node);
    this.nodes.set(entry, node);
    if (focused)
      node.focus();
  }

  // Brings the page in line with the entries from start on; what is there already stays as it is
  draw() {
    const entries = this.talk?.entries ?? [], atEnd = this.atEnd();
    if (atEnd && entries.length - this.start > MOST)
      this.start = entries.length - MOST;
    const shown = new Set(entries.slice(this.start));
    for (const [entry, node] of this.nodes)
      if (!shown.has(entry)) {
        node.remove();
        this.nodes.delete(entry);
      }
    const unread = this.firstUnread();
    let before = null, day;
    for (const entry of shown) {
      let node = this.nodes.get(entry);
      if (!node) {
        node = this.make(entry);
        this.nodes.set(entry, node);
      }
      node.classList.toggle("first-unread", entry === unread);
      const today = dayOf(entry.at), first = today !== day;
      day = today;
      if (first)
        node.dataset.day = today;
      else
        delete node.dataset.day;
      const place = before ? before.nextSibling : this.node.firstChild;
      if (place !== node)
        this.node.insertBefore(node, place);
      before = node;
    }
    while (before?.nextSibling && !before.nextSibling.classList.contains("error"))
      before.nextSibling.remove();
    this.node.classList.toggle("empty", !shown.size);
  }

  // What came before was loaded, or is wanted from memory: what one reads stays where it is
  before(count) {
    const bottom = this.node.scrollHeight - this.node.scrollTop;
    this.start = Math.max(this.start + (count ?? 0) - PIECE, 0);
    this.draw();
    this.node.scrollTop = this.node.scrollHeight - bottom;
    this.count();
  }

  onScroll() {
    this.count();
    if (!this.talk)
      return;
    if (this.atEnd())
      this.does.seen();
    if (this.node.scrollTop > NEAR)
      return;
    if (this.start > 0)
      this.before();
    else
      this.need(this.talk);
  }

  note(text) {
    const node = element("li", "note error", text);
    node.setAttribute("role", "alert");
    this.node.append(node);
    node.scrollIntoView();
  }

  // -------------------------------------------------------------------------
  // One of them

  make(entry) {
    const {talk} = this;
    if (entry.note)
      return element("li", "note", entry.note);
    const mine = entry.from === talk.me, state = mine ? talk.stateOf(entry) : undefined;
    const node = element("li", [mine && "mine", state === "failed" && "failed", entry.recalled && "recalled"].filter(Boolean).join(" "));
    node.dataset.state = state ?? "";
    node.tabIndex = -1;
    if (talk.group && !mine)
      node.append(element("span", "who", entry.from));
    if (entry.replyTo)
      node.append(this.quote(entry.replyTo));
    node.append(entry.recalled ? element("span", "text dim", "This message was taken back.") : linked(entry.text), this.attachment(entry),
                this.foot(entry, state), this.reactions(entry));
    if (entry.why)
      node.append(element("span", "why", entry.why, this.button("Try again", () => this.does.again(entry))));
    if (entry.seq && !entry.recalled)
      node.append(this.tools(entry, mine));
    return node;
  }

  quote(seq) {
    const entry = this.talk.bySeq.get(seq);
    const node = element("span", "quote", entry ? `${entry.from}: ${entry.recalled ? "taken back" : entry.text || entry.fileName || ""}` : "an earlier message");
    node.dir = "auto";
    return node;
  }

  foot(entry, state) {
    const node = element("span", "foot", `${entry.edited ? "edited " : ""}${timeOf(entry.at)}${state ? ` ${MARKS[state][0]}` : ""}`);
    node.title = `${new Date(entry.at).toLocaleString()}${state ? `, ${MARKS[state][1]}` : ""}`;
    node.classList.toggle("read", state === "read");
    return node;
  }

  button(label, act, title) {
    const node = element("button", "plain", label);
    node.type = "button";
    node.onclick = act;
    if (title) {
      node.title = title;
      node.setAttribute("aria-label", title);
    }
    return node;
  }

  tools(entry, mine) {
    const node = element("span", "tools", this.button("👍", () => this.does.react(entry, "👍"), "Thumbs up"),
                         this.button("❤️", () => this.does.react(entry, "❤️"), "Heart"), this.button("↩", () => this.does.reply(entry), "Reply"));
    if (mine)
      node.append(this.button("✎", () => this.does.edit(entry), "Edit"));
    if (mine || this.talk.owner)
      node.append(this.button("✕", () => this.does.recall(entry), "Take back"));
    return node;
  }

  reactions(entry) {
    const keys = this.talk.reactions.get(entry.seq);
    if (!keys?.size || entry.recalled)
      return "";
    return element("span", "reactions", ...[...keys].map(([key, {count, mine}]) => {
      const node = this.button(`${key} ${count}`, () => this.does.react(entry, key, !mine), `${key}, ${count}${mine ? ", yours too" : ""}`);
      node.classList.toggle("mine", mine);
      return node;
    }));
  }

  attachment(entry) {
    const name = String(entry.fileName ?? "attachment");
    if (!entry.attachment)
      return entry.bytes ? this.button(`↓ ${name}`, () => this.does.fetch(entry), `Load ${name}`) : "";
    const url = entry.url ??= URL.createObjectURL(new Blob([entry.attachment]));
    const node = element(PICTURE.test(name) ? "img" : SOUND.test(name) ? "audio" : "a");
    node.src = node.href = url;
    node.alt = node.download = name;
    if (node.localName === "audio")
      node.controls = true;
    if (node.localName === "a")
      node.textContent = name;
    return node;
  }
}
