// messages.js - the messages of the open talk: nodes are appended and changed, and about 200 of them are in the page

import {Media} from "./media.js";
import {arrange, dayOf, element, linked, oncePerFrame, timeOf} from "./text.js";

const MOST = 200, PIECE = 60;    // Nodes in the page; shown at once
const NEAR = 80;                 // Pixels from the end that count as the end

const MARKS = {sent: ["…", "sent, not answered yet"], stored: ["✓", "stored by the server"], delivered: ["✓✓", "delivered"],
               read: ["✓✓", "read"], failed: ["!", "not accepted"]};
export class Messages {
  // node is the list's element; does has what can be done with an entry: reply, react, edit, recall, forward, again, fetch, and url (entry), where
  // its file is; need (talk) is called when what lies before the first one is wanted
  constructor(node, more, does, need) {
    Object.assign(this, {node, more, does, need, nodes: new Map(), start: 0, fresh: 0, drawn: 0, stays: true});
    this.drawSoon = oncePerFrame(() => {    // For all that has come until then
      if (this.stays)
        return this.toEnd();
      this.draw();
      return this.count();
    });
    this.media = new Media(node, entry => does.url(entry), () => this.stays && this.scrollToEnd());
    node.addEventListener("scroll", () => this.onScroll(), {passive: true});
    node.addEventListener("keydown", event => this.move(event));
    more.addEventListener("click", () => this.toEnd());
  }

  // Whether the newest message is in sight, and so the next one will be
  atEnd() {
    return this.stays;
  }

  // Returns whether the end of what is drawn is in sight, which needn't be all
  measure() {
    const near = this.node.scrollHeight - this.node.scrollTop - this.node.clientHeight < NEAR;
    this.stays = near && this.start + MOST >= this.drawn;
    this.node.classList.toggle("stays", this.stays);
    return near;
  }

  // What comes later, such as a picture, doesn't push the end away; nor does the browser, which holds on to what one reads
  scrollToEnd() {
    this.stays = true;
    this.node.classList.add("stays");
    this.node.scrollTop = this.node.scrollHeight;
  }

  // Arrow keys go from message to message, the Tab key then to what can be done with one
  move(event) {
    const step = {ArrowUp: "previousElementSibling", ArrowDown: "nextElementSibling"}[event.key], item = event.target.closest("li");
    const next = step && (item ? item[step] : this.node.lastElementChild);
    if (!next)
      return;
    event.preventDefault();
    next.focus();
    next.scrollIntoView({block: "nearest"});
  }

  // The message of that seq, if it is loaded
  showSeq(seq) {
    const entry = this.talk?.bySeq.get(seq), at = this.talk?.entries.indexOf(entry);
    if (!entry)
      return;
    if (at < this.start || at >= this.start + MOST) {
      this.start = Math.max(at - PIECE, 0);
      this.draw();
    }
    const node = this.nodes.get(entry);
    node.scrollIntoView({block: "center"});
    node.focus();
    this.measure();
    this.count();
  }

  // How much of an entry's file is sent
  progress(entry) {
    const bar = this.nodes.get(entry)?.querySelector("progress");
    if (bar)
      bar.value = entry.progress;
    else
      this.refresh(entry);
  }

  // Another talk, or none: from its first unread message on
  open(talk) {
    if (talk !== this.talk)
      this.unreadFrom = talk?.unread ? talk.read : undefined;
    this.talk = talk;
    this.nodes.clear();
    this.node.replaceChildren();
    this.fresh = 0;
    const entries = talk?.entries ?? [], {length} = entries;
    const unread = entries.findIndex(entry => entry.seq > this.unreadFrom && entry.from && entry.from !== talk.me);
    this.unread = entries[unread];
    this.start = Math.max(unread < 0 ? length - PIECE : Math.min(unread - 5, length - PIECE), 0);
    this.draw();
    const first = this.node.querySelector(".first-unread");
    if (first) {
      first.scrollIntoView({block: "center"});
      this.measure();
    } else {
      this.scrollToEnd();
    }
    this.count();
  }

  toEnd() {
    this.start = Math.max(this.start, this.talk.entries.length - MOST, 0);
    this.fresh = 0;
    this.draw();
    this.scrollToEnd();
    this.count();
  }

  // An entry has come to the open talk, or has changed
  show(entry, isNew) {
    const mine = entry.from === this.talk.me;
    if (!isNew && this.nodes.has(entry))
      this.refresh(entry);
    if (isNew && mine)
      Object.assign(this, {stays: true, start: Math.max(this.start, this.talk.entries.length - MOST)});
    if (isNew && !mine && !this.atEnd())
      this.fresh++;
    this.drawSoon();
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
    const at = old.contains(document.activeElement) && document.activeElement;
    node.classList.toggle("first-unread", old.classList.contains("first-unread"));
    if (old.dataset.day)
      node.dataset.day = old.dataset.day;
    old.replaceWith(node);
    this.nodes.set(entry, node);
    if (at) {    // Who is at one of its buttons stays there; they are seen when the message has the focus
      node.focus();
      [...node.querySelectorAll("button[aria-label]")].find(one => one.getAttribute("aria-label") === at.getAttribute("aria-label"))?.focus();
    }
  }

  // Brings the page in line with the entries from start on, as many as there may be; what is there already stays as it is
  draw() {
    const entries = this.talk?.entries ?? [];
    if (this.stays && entries.length - this.start > MOST)
      this.start = entries.length - MOST;
    this.drawn = entries.length;
    const shown = new Set(entries.slice(this.start, this.start + MOST));
    for (const [entry, node] of this.nodes)
      if (!shown.has(entry)) {
        node.remove();
        this.nodes.delete(entry);
      }
    const nodes = [];
    let day;
    for (const entry of shown) {
      let node = this.nodes.get(entry);
      if (!node) {
        node = this.make(entry);
        this.nodes.set(entry, node);
      }
      node.classList.toggle("first-unread", entry === this.unread);
      const today = new Date(entry.at).toDateString();
      if (today === day)
        delete node.dataset.day;
      else if (node.dataset.day !== dayOf(entry.at))
        node.dataset.day = dayOf(entry.at);
      day = today;
      nodes.push(node);
    }
    arrange(this.node, nodes);
    const last = nodes.at(-1);
    while (last?.nextSibling && !last.nextSibling.classList.contains("error"))
      last.nextSibling.remove();
    this.node.classList.toggle("empty", !shown.size && !this.talk?.last);
  }

  // Moves the window on the entries; what one reads stays where it is
  shift(start) {
    const top = this.node.getBoundingClientRect().top;
    const anchor = [...this.nodes].find(([, node]) => node.getBoundingClientRect().bottom > top), at = anchor?.[1].getBoundingClientRect().top;
    this.stays = false;
    this.start = start;
    this.draw();
    if (this.nodes.get(anchor?.[0])?.isConnected)
      this.node.scrollTop += anchor[1].getBoundingClientRect().top - at;
    this.measure();
    this.count();
  }

  // What came before was loaded, so many, or is wanted from memory. Who has gone to the end meanwhile stays there
  before(count = 0) {
    const stay = this.stays, least = stay ? this.talk.entries.length - MOST : 0;
    this.shift(Math.max(this.start + count - PIECE, least, 0));
    if (stay)
      this.scrollToEnd();
  }

  onScroll() {
    const near = this.measure();
    this.count();
    if (!this.talk)
      return;
    if (this.stays)
      this.does.seen();
    else if (near)
      this.shift(this.start + Math.min(PIECE, this.drawn - this.start - MOST));
    if (this.node.scrollTop > NEAR)
      return;
    if (this.start > 0)
      this.before();
    else
      this.need(this.talk);
  }

  // Says something that is no message; with [label, act] there is something to do about it
  note(text, [label, act] = []) {
    const node = element("li", "note error", text);
    if (label)
      node.append(this.button(label, () => {
        node.remove();
        act();
      }));
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
    node.append(entry.recalled ? element("span", "text dim", "This message was taken back.") : linked(entry.text, this.mentioned(entry), talk.me), this.attachment(entry),
                this.foot(entry, state), this.reactions(entry));
    if (entry.why)
      node.append(element("span", "why", entry.why, this.button("Try again", () => this.does.again(entry))));
    if (entry.seq && !entry.recalled)
      node.append(this.tools(entry, mine));
    return node;
  }

  mentioned({content}) {
    return Array.isArray(content?.mentions) ? content.mentions : [];
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
                         this.button("❤️", () => this.does.react(entry, "❤️"), "Heart"), this.button("↩", () => this.does.reply(entry), "Reply"),
                         this.button("➜", () => this.does.forward(entry), "Forward"));
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
    if (!entry.attachment && !entry.file && !entry.fileUrl)
      return entry.bytes ? this.button(`↓ ${entry.fileName ?? "attachment"}`, () => this.does.fetch(entry), `Load ${entry.fileName ?? "attachment"}`) : "";
    const node = this.media.show(entry);
    return entry.sending && entry.state === "sent" ? element("span", "sending", node, this.media.progress(entry)) : node;
  }
}
