// dialog.js - the page's one dialog: what it is about, and how it ends

import {element} from "./text.js";

const node = () => document.getElementById("dialog");
let before;    // What had the focus

// Shows nodes under a title; Escape and the button "Close" end it. The browser keeps the focus in it.
export function showDialog(title, ...nodes) {
  const dialog = node(), heading = element("h2", "", title);
  heading.id = "dialog-title";
  heading.dir = "auto";
  const close = element("button", "plain", "Close");
  close.type = "button";
  close.onclick = closeDialog;
  dialog.replaceChildren(element("header", "", heading, close), ...nodes);
  if (dialog.open)
    return;
  before = document.activeElement;
  dialog.onclose = () => before?.isConnected && before.focus();
  dialog.showModal();
  (dialog.querySelector("input, textarea, select") ?? close).focus();
}

// Whether it is there; who has closed it doesn't want to see it again
export const isDialogOpen = () => node().open;

export function closeDialog() {
  node().close();
}

// Says something in the dialog, such as why a wish isn't fulfilled; nothing takes it back
export function sayInDialog(text) {
  const dialog = node();
  if (!text)
    return dialog.querySelector(".error")?.remove();
  const line = dialog.querySelector(".error") ?? dialog.appendChild(element("p", "error"));
  line.setAttribute("role", "alert");
  line.textContent = text;
  return undefined;
}

let fields = 0;

// A labelled field: an input of that type, a textarea or, with choices [[value, words], ...], a select
export function field(label, {name, value = "", type = "text", choices, ...more}) {
  const input = element(choices ? "select" : type === "textarea" ? "textarea" : "input");
  for (const [word, words] of choices ?? []) {
    const option = element("option", "", words);
    option.value = word;
    input.append(option);
  }
  if (!choices && type !== "textarea")
    input.type = type;
  input.dir = "auto";
  Object.assign(input, {name, id: `field-${++fields}`, ...more});
  if (type === "checkbox")
    input.checked = value;
  else
    input.value = value;
  return element("label", type === "checkbox" ? "check" : "", element("span", "", label), input);
}

// A form of fields; done ({name: value, ...}) when it is sent
export function form(submit, done, ...nodes) {
  const made = element("form", "fields", ...nodes, element("button", "", submit));
  made.onsubmit = event => {
    event.preventDefault();
    done(Object.fromEntries([...made.elements].filter(input => input.name)
      .map(input => [input.name, input.type === "checkbox" ? input.checked : input.value.trim()])));
  };
  return made;
}

export function action(label, act, title) {
  const button = element("button", "plain", label);
  button.type = "button";
  button.onclick = act;
  if (title)
    button.setAttribute("aria-label", title);
  return button;
}
