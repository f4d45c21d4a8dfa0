// text.js - how times, sizes and texts are shown

const DAY = 86400000;    // msec

// Made once: each takes longer to make than a hundred texts
const TIME = new Intl.DateTimeFormat([], {hour: "2-digit", minute: "2-digit"});
const DATE = new Intl.DateTimeFormat([], {weekday: "long", year: "numeric", month: "long", day: "numeric"});

export const timeOf = at => TIME.format(at);

// The day, as people say it
export function dayOf(at) {
  const today = new Date().setHours(0, 0, 0, 0), day = new Date(at).setHours(0, 0, 0, 0);
  if (day === today)
    return "Today";
  if (today - day < 1.5 * DAY)
    return "Yesterday";
  return DATE.format(at);
}

// For a list: the time of today, else the date
export function whenOf(at) {
  return new Date(at).toDateString() === new Date().toDateString() ? timeOf(at) : new Date(at).toLocaleDateString();
}

export function lastSeen(at) {
  return at ? `last seen ${dayOf(at) === "Today" ? "" : `${dayOf(at)}, `}${timeOf(at)}` : "";
}

export const sizeOf = bytes => bytes < 1e6 ? `${Math.ceil(bytes / 1000)} KB` : `${(bytes / 1e6).toFixed(1)} MB`;

// Why so many bytes can't be sent, before anybody tries; or nothing
export function tooLarge(what, bytes, most) {
  return bytes > most ? `${what} has ${sizeOf(bytes)}; ${sizeOf(most)} can be sent at most.` : "";
}

export function element(name, className, ...children) {
  const node = document.createElement(name);
  if (className)
    node.className = className;
  node.append(...children.filter(child => child || child === 0));
  return node;
}

function link(url) {
  return Object.assign(element("a", "", url), {href: url, target: "_blank", rel: "noopener noreferrer"});
}

// A text with its links, and those who are mentioned in it, me among them; nothing else in it means anything
export function linked(text, mentions = [], me) {
  const node = element("span", "text");
  node.dir = "auto";
  let at = 0;
  for (const found of text.matchAll(/\bhttps?:\/\/[^\s<>"]+[^\s<>"'.,;:!?)\]}]|(^|\s)@([^\s,@]*[^\s,@.:;!?)])/g)) {
    const [part, space = "", name] = found, from = found.index + space.length;
    if (name && !mentions.includes(name))
      continue;
    node.append(text.slice(at, from), name ? element("span", name === me || name === "all" ? "mention me" : "mention", `@${name}`) : link(part));
    at = found.index + part.length;
  }
  node.append(text.slice(at));
  return node;
}

// A function that has fn called in the next frame, or after a while when there is none, for nobody sees the page; once for all its calls
export function oncePerFrame(fn) {
  let timer, frame;
  const run = () => {
    clearTimeout(timer);
    cancelAnimationFrame(frame);
    timer = undefined;
    fn();
  };
  return () => {
    if (timer)
      return;
    timer = setTimeout(run, 500);
    frame = requestAnimationFrame(run);
  };
}

// Makes these the first children of a node, in this order; those in their place stay untouched
export function arrange(node, children) {
  let place = node.firstChild;
  for (const child of children)
    if (child === place)
      place = place.nextSibling;
    else
      node.insertBefore(child, place);
}

// What a refusal means to a person
export function inWords(error, whom) {
  const words = {
    "not-allowed": error.message, "not-member": `You are not in ${whom}.`, "not-found": "That message is not there any more.",
    "lost": "The connection was lost just then; please try again.", "too-many": error.message, "not-owner": `Only an owner of ${whom} can do that.`,
    "not-invited": `${whom} takes only people whom an owner has invited.`, "group-exists": `There is a group called ${whom} already.`,
    "not-stored": "This server keeps nothing, so that can't be done here."};
  return words[error.code] ?? error.message;
}

// A field as high as its text, up to a third of the page
export function grow(node) {
  node.style.height = "auto";
  node.style.height = `${Math.min(node.scrollHeight + 2, innerHeight / 3)}px`;
}
