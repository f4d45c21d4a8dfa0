// picture.js - pictures of users and groups: shown small and round, chosen in dialogs
//
// Only files that a server like ours has are shown: a picture that lies elsewhere would tell its host who looks at it, and what
// looks like ours and lies elsewhere the page's policy doesn't load.

import {field} from "./dialog.js";
import {element} from "./text.js";

const OURS = /^(https?:\/\/[^/]+)?\/media\/[0-9a-f]{64}\?ticket=/;
const SIDE = 256;    // Pixels of a picture that is sent
const RENEW = 60000;    // msec until a URL is asked for once more

function colorOf(name) {
  let hash = 0;
  for (const letter of name)
    hash = (hash * 31 + letter.codePointAt(0)) % 360;
  return hash;
}

// The picture of a user or a group over its first letter, which stays when there is none; lost () is called when it can't be had
export function avatar(name, group, picture, lost = () => {}) {
  const node = element("span", "avatar", group ? "#" : [...name][0]?.toUpperCase() ?? "?");
  node.style.setProperty("--hue", colorOf(name));
  node.setAttribute("aria-hidden", "true");
  if (OURS.test(picture ?? "")) {
    const image = element("img");
    Object.assign(image, {alt: "", loading: "lazy", src: picture, onerror: () => {
      image.remove();
      lost();
    }});
    node.append(image);
  }
  return node;
}

// What the picture of a group, or of a user, is now; nothing when it has none or can't be asked
export async function pictureOf(app, {group, conversation, uid}) {
  const answer = await app.rookery.ask(group ? "groupInfo" : "users", group ? {groupID: conversation} : {uids: [uid]}).catch(() => undefined);
  return group ? answer?.picture : answer?.users[0].picture;
}

// Asks for the picture of a talk once more, for its URL is good for a while only
export async function renewPicture(app, talk) {
  if (!app.rookery.connected || talk.renewed > Date.now() - RENEW)
    return;
  talk.renewed = Date.now();
  talk.picture = await pictureOf(app, talk) ?? talk.picture;
  app.draw(talk);
}

// The middle of a picture, as a small file; rejects when it is none
async function small(file) {
  const image = await createImageBitmap(file), side = Math.min(image.width, image.height);
  const canvas = Object.assign(document.createElement("canvas"), {width: SIDE, height: SIDE});
  canvas.getContext("2d").drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, SIDE, SIDE);
  return new Promise((resolve, reject) => {
    canvas.toBlob(blob => blob ? resolve(blob) : reject(new Error("no picture")), "image/png");
  });
}

// A field to choose one, with the one that there is: of {name, group, picture}. change (url) is called when a new one is with the server, and
// resolves to it as it is shown, or to nothing; say (text) when that can't be done, say () when it is tried anew
export function pictureField(label, rookery, {name, group, picture}, change, say) {
  const node = field(label, {type: "file", accept: "image/*"}), input = node.lastElementChild;
  let face = avatar(name, group, picture);
  node.insertBefore(face, input);
  input.onchange = async () => {
    const [file] = input.files, blob = file && await small(file).catch(() => undefined);
    input.value = "";    // So that the same one can be chosen again
    if (!blob)
      return file && say(`${file.name} is no picture that can be shown here.`);
    say();
    try {
      const now = await change((await rookery.upload(blob)).fileUrl), before = face;
      if (now)
        before.replaceWith(face = avatar(name, group, now));
    } catch (error) {
      if (node.isConnected)
        say(error.message);
    }
    return undefined;
  };
  return node;
}
