// list.js - the list of conversations: a row each, moved and changed, not made anew; more of them when one scrolls there

import {avatar} from "./picture.js";
import {arrange, element, whenOf} from "./text.js";

const PIECE = 100;    // Rows that are made at once
const NEAR = 300;     // Pixels from the end that count as the end

// Those pinned first, then who has said something last
const order = (a, b) => Boolean(b.pinned) - Boolean(a.pinned) || b.at - a.at;

export class List {
  // node is the list's element; open (talk) is called when one is chosen; isHere (talk) says whether its other user is here; lost (talk) is called
  // when its picture can't be had
  constructor(node, open, isHere, lost) {
    Object.assign(this, {node, open, isHere, lost, rows: new Map(), counted: new Set(), sorted: [], most: PIECE});
    node.addEventListener("scroll", () => this.onScroll(), {passive: true});
    node.addEventListener("keydown", event => this.move(event));
  }

  // Arrow keys go from row to row
  move(event) {
    const step = {ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling"}[event.key];
    const next = step && event.target.closest("li")?.[step]?.querySelector("button");
    if (next) {
      event.preventDefault();
      next.focus();
    }
  }

  row(talk) {
    if (this.rows.has(talk))
      return this.rows.get(talk);
    const parts = {button: element("button"), name: element("span", "name"), when: element("span", "when dim"),
                   last: element("span", "last dim"), unread: element("span", "unread"), face: element("span", "face")};
    parts.name.dir = parts.last.dir = "auto";
    parts.button.append(parts.face, parts.name, parts.when, parts.last, parts.unread);
    parts.button.onclick = () => this.open(talk);
    parts.item = element("li", "", parts.button);
    this.rows.set(talk, parts);
    return parts;
  }

  // In how many talks there is something unread, of those that aren't muted
  get unread() {
    return this.counted.size;
  }

  clear() {
    this.node.replaceChildren();
    this.rows.clear();
    this.counted.clear();
    Object.assign(this, {sorted: [], most: PIECE});
  }

  remove(talk) {
    this.sorted = this.sorted.filter(other => other !== talk);
    this.counted.delete(talk);
    this.draw(new Set());
  }

  // These talks are new, or have changed; chosen is the one that is open
  show(changed, chosen) {
    this.chosen = chosen;
    for (const talk of changed)
      if (talk.unread && !(talk.mutedTill > Date.now()))
        this.counted.add(talk);
      else
        this.counted.delete(talk);
    this.sorted = [...new Set([...this.sorted, ...changed])].sort(order);
    this.draw(changed);
  }

  // Brings the rows in line with the first of the talks
  draw(changed) {
    const top = new Set(this.sorted.slice(0, this.most));
    for (const [talk, parts] of this.rows)
      if (!top.has(talk)) {
        parts.item.remove();
        this.rows.delete(talk);
      }
    arrange(this.node, [...top].map(talk => {
      const isNew = !this.rows.has(talk), parts = this.row(talk);
      if (isNew || changed.has(talk))
        this.fill(talk, parts, talk === this.chosen, this.isHere(talk));
      return parts.item;
    }));
  }

  onScroll() {
    const {node} = this;
    if (this.most >= this.sorted.length || node.scrollHeight - node.scrollTop - node.clientHeight > NEAR)
      return;
    this.most += PIECE;
    this.draw(new Set());
  }

  fill(talk, parts, chosen, here) {
    const looks = `${talk.name} ${talk.picture}`;
    if (parts.looks !== looks)
      parts.face.replaceChildren(avatar(talk.name, talk.group, talk.picture, () => this.lost(talk)));
    parts.looks = looks;
    parts.face.classList.toggle("here", here);
    parts.name.textContent = talk.title;
    parts.when.textContent = talk.at ? whenOf(talk.at) : "";
    parts.last.textContent = talk.typing ? `${talk.typing} is typing …` : talk.preview;
    parts.unread.textContent = talk.unread ? `${talk.mentions ? "@ " : ""}${talk.unread > 99 ? "99+" : talk.unread}` : "";
    parts.unread.hidden = !talk.unread;
    parts.button.className = [chosen && "open", talk.mutedTill > Date.now() && "muted"].filter(Boolean).join(" ");
    parts.button.setAttribute("aria-current", chosen ? "true" : "false");
    parts.button.setAttribute("aria-label", `${talk.title}${talk.unread ? `, ${talk.unread} unread` : ""}${here ? ", here now" : ""}`);
  }
}
