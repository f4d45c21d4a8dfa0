// list.js - the list of conversations: a row each, moved and changed, not made anew

import {element, whenOf} from "./text.js";

function colorOf(name) {
  let hash = 0;
  for (const letter of name)
    hash = (hash * 31 + letter.codePointAt(0)) % 360;
  return hash;
}

export function avatar(name, group) {
  const node = element("span", "avatar", group ? "#" : [...name][0]?.toUpperCase() ?? "?");
  node.style.setProperty("--hue", colorOf(name));
  node.setAttribute("aria-hidden", "true");
  return node;
}

export class List {
  // node is the list's element; open (talk) is called when one is chosen
  constructor(node, open) {
    Object.assign(this, {node, open, rows: new Map()});
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

  // Shows these talks, the one that is open marked; isHere (talk) says whether its other user is here
  show(talks, chosen, isHere) {
    const sorted = [...talks].sort((a, b) => Boolean(b.pinned) - Boolean(a.pinned) || b.at - a.at);
    for (const [talk, parts] of this.rows)
      if (!talks.has(talk)) {
        parts.item.remove();
        this.rows.delete(talk);
      }
    let before = null;
    for (const talk of sorted) {
      const parts = this.row(talk);
      this.fill(talk, parts, talk === chosen, isHere(talk));
      const place = before ? before.nextSibling : this.node.firstChild;
      if (place !== parts.item)
        this.node.insertBefore(parts.item, place);
      before = parts.item;
    }
  }

  fill(talk, parts, chosen, here) {
    const shown = JSON.stringify([talk.title, talk.at, talk.preview, talk.unread, talk.mentions, talk.typing, chosen, here, talk.pinned, talk.mutedTill]);
    if (parts.shown === shown)
      return;
    parts.shown = shown;
    parts.face.replaceChildren(avatar(talk.name, talk.group));
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
