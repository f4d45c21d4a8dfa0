// mentions.js - @names in what is written: offered while one writes, and told to the server

import {element} from "./text.js";

const OFFERED = 6;
const AT = /(^|\s)@([^\s,@]*)$/;

// Whom a text mentions, of those who are in the group; "all" for who owns it
export function mentionsIn(text, members, owner) {
  const names = new Set([...text.matchAll(/(?:^|\s)@([^\s,@]+)/g)].map(found => found[1].replace(/[.:;!?)]+$/, "")));
  return [...names].filter(name => members.includes(name) || name === "all" && owner).slice(0, 50);
}

export class Mentions {
  // text is the field, node the list of those that are offered; members () says who is in the talk
  constructor(text, node, members) {
    Object.assign(this, {text, node, members});
  }

  get open() {
    return !this.node.hidden;
  }

  // Behind each change of the text
  offer() {
    const found = AT.exec(this.text.value.slice(0, this.text.selectionStart));
    const names = found ? this.members().filter(name => name.toLowerCase().startsWith(found[2].toLowerCase())).slice(0, OFFERED) : [];
    this.node.hidden = !names.length;
    this.node.replaceChildren(...names.map((name, nbr) => {
      const option = element("li", nbr ? "" : "chosen", name);
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", String(!nbr));
      option.onmousedown = event => {
        event.preventDefault();
        this.take(option);
      };
      return option;
    }));
  }

  // True when the key was for the list
  key(event) {
    if (!this.open || !["ArrowDown", "ArrowUp", "Enter", "Tab", "Escape"].includes(event.key))
      return false;
    event.preventDefault();
    const chosen = this.node.querySelector(".chosen");
    if (event.key === "Escape")
      this.node.hidden = true;
    else if (event.key === "Enter" || event.key === "Tab")
      this.take(chosen);
    else
      this.choose(chosen, event.key === "ArrowDown" ? chosen.nextElementSibling : chosen.previousElementSibling);
    return true;
  }

  choose(from, to) {
    if (!to)
      return;
    for (const [option, is] of [[from, false], [to, true]]) {
      option.classList.toggle("chosen", is);
      option.setAttribute("aria-selected", String(is));
    }
  }

  take(option) {
    const at = this.text.selectionStart, before = this.text.value.slice(0, at).replace(AT, `$1@${option.textContent} `);
    this.text.value = before + this.text.value.slice(at);
    this.text.setSelectionRange(before.length, before.length);
    this.node.hidden = true;
    this.text.focus();
  }
}
