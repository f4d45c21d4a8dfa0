// picture.js - pictures of users and groups: shown small and round, chosen in dialogs
//
// Only files of the server are shown: a picture that lies elsewhere would tell its host who looks at it.

import {field} from "./dialog.js";
import {element} from "./text.js";

const OURS = /^(https?:\/\/[^/]+)?\/media\/[0-9a-f]{64}\?ticket=/;
const SIDE = 256;    // Pixels of a picture that is sent

function colorOf(name) {
  let hash = 0;
  for (const letter of name)
    hash = (hash * 31 + letter.codePointAt(0)) % 360;
  return hash;
}

// The picture of a user or a group over its first letter, which stays when there is none
export function avatar(name, group, picture) {
  const node = element("span", "avatar", group ? "#" : [...name][0]?.toUpperCase() ?? "?");
  node.style.setProperty("--hue", colorOf(name));
  node.setAttribute("aria-hidden", "true");
  if (OURS.test(picture ?? "")) {
    const image = element("img");
    Object.assign(image, {alt: "", loading: "lazy", src: picture, onerror: () => image.remove()});
    node.append(image);
  }
  return node;
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

// A field to choose one. chosen (url) is called when it is with the server; say (text) when that can't be done
export function pictureField(label, rookery, chosen, say) {
  const node = field(label, {type: "file", accept: "image/*"}), input = node.lastElementChild;
  input.onchange = async () => {
    const blob = await small(input.files[0]).catch(() => undefined);
    if (!blob)
      return say(`${input.files[0].name} is no picture that can be shown here.`);
    try {
      await chosen((await rookery.upload(blob)).fileUrl);
    } catch (error) {
      say(error.message);
    }
    return undefined;
  };
  return node;
}
