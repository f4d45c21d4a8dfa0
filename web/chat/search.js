// search.js - what was said, found by its words; and whom a message goes on to

import {action, closeDialog, showDialog} from "./dialog.js";
import {avatar} from "./picture.js";
import {element, inWords, whenOf} from "./text.js";

// A talk to be chosen, with more about it
function row(talk, choose, ...more) {
  const button = element("button", "", avatar(talk.name, talk.group, talk.picture), element("span", "name", talk.title), ...more);
  button.type = "button";
  button.onclick = choose;
  return element("li", "", button);
}

function foundRow(app, {conversation, message}, open) {
  const talk = app.talkOf(conversation), {content} = message;
  const text = element("span", "last dim", `${content.fromAccountID}: ${content.text || content.fileName || ""}`);
  text.dir = "auto";
  return row(talk, () => open(talk, message.seq), element("span", "when dim", whenOf(message.at)), text);
}

// Fills node with what is found; open (talk, seq) when one is chosen
export class Search {
  constructor(app, node, open) {
    Object.assign(this, {app, node, open, asked: 0});
  }

  async run(text) {
    const asked = ++this.asked;
    this.node.hidden = !text;
    if (!text)
      return this.node.replaceChildren();
    this.node.replaceChildren(element("li", "hint", "Searching …"));
    return this.page(asked, text);
  }

  async page(asked, text, before) {
    let answer;
    try {
      do
        answer = await this.app.rookery.ask("search", {text, limit: 20, ...(before && {before})});
      while (answer.indexing && asked === this.asked);    // There is more to be found
    } catch (error) {
      answer = {messages: [], why: inWords(error, text)};
    }
    if (asked !== this.asked)
      return;
    if (!before)
      this.node.replaceChildren();
    this.node.append(...answer.messages.map(found => foundRow(this.app, found, this.open)));
    if (!this.node.childElementCount)
      this.node.append(element("li", "hint", answer.why ?? `Nothing has all of these words: ${text}`));
    if (answer.next)
      this.node.append(this.more(asked, text, answer.next));
  }

  more(asked, text, next) {
    const item = element("li", "", action("Show more", () => {
      item.remove();
      this.page(asked, text, next);
    }));
    return item;
  }
}

// Asks whom an entry goes on to: choose (talk)
export function forwardDialog(app, entry, choose) {
  const talks = [...app.talks.values()].sort((a, b) => b.at - a.at);
  const rows = talks.map(talk => row(talk, () => {
    closeDialog();
    choose(talk);
  }));
  showDialog("Forward to", element("p", "dim", entry.text || entry.fileName || ""), element("ul", "rows", ...rows));
}
