// media.js - how files are shown: pictures, sounds and films in their place, loaded when they come into sight, all others as links

import {element, sizeOf} from "./text.js";

const NAMES = {img: /\.(png|jpe?g|gif|webp|avif)$/i, audio: /\.(mp3|ogg|oga|wav|m4a|weba)$/i, video: /\.(mp4|webm|mov)$/i};
const TYPES = {img: /^image\/(png|jpeg|gif|webp|avif)$/, audio: /^audio\//, video: /^video\//};

// How an entry's file is shown. Its type counts, and its name when nobody has looked at that; a recording has a film's type
function kindOf({fileName = "", fileType}) {
  if (typeof fileType !== "string" || !fileType.includes("/"))
    return Object.keys(NAMES).find(kind => NAMES[kind].test(fileName)) ?? "a";
  const kind = Object.keys(TYPES).find(one => TYPES[one].test(fileType)) ?? "a";
  return kind === "video" && NAMES.audio.test(fileName) ? "audio" : kind;
}

function nodeFor(entry, name) {
  const kind = kindOf(entry), node = element(kind, "file");
  if (kind === "a")
    node.textContent = `↓ ${name}${entry.fileSize ? ` (${sizeOf(entry.fileSize)})` : ""}`;
  else if (kind === "img")
    node.alt = name;
  else
    Object.assign(node, {controls: true, preload: "none"});
  if (kind !== "img")
    node.setAttribute("aria-label", `${kind === "a" ? "Load " : ""}${name}`);
  return node;
}

function fill(node, url, name) {
  if (node.localName === "a")
    Object.assign(node, {href: url, download: name});
  else
    node.src = url;
}

export class Media {
  // where (entry) resolves to the URL of an entry's file; changed () is called when one takes its place
  constructor(root, where, changed) {
    Object.assign(this, {where, changed, entries: new WeakMap()});
    this.watch = new IntersectionObserver(seen => seen.filter(one => one.isIntersecting).forEach(one => this.load(one.target)), {root, rootMargin: "300px"});
  }

  load(node) {
    const entry = this.entries.get(node);
    this.watch.unobserve(node);
    this.where(entry).then(url => fill(node, url, String(entry.fileName ?? "file")),
                           () => node.replaceWith(element("span", "dim", "This file can't be had now.")));
  }

  // The node of an entry's file: of this page's memory, or of the server's
  show(entry) {
    const name = String(entry.fileName ?? "file"), node = nodeFor(entry, name), bytes = entry.file ?? entry.attachment;
    node.addEventListener("load", this.changed);
    if (bytes) {
      fill(node, entry.url ??= URL.createObjectURL(bytes instanceof Blob ? bytes : new Blob([bytes])), name);
    } else {
      this.entries.set(node, entry);
      this.watch.observe(node);
    }
    return node;
  }

  // How much of it is sent
  progress(entry) {
    const node = element("progress");
    Object.assign(node, {max: entry.file.size || 1, value: entry.progress ?? 0});
    node.setAttribute("aria-label", `${entry.fileName} is being sent`);
    return node;
  }
}
