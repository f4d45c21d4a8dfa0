// link.js - one connection after the other: bind, frames, silence, back-off
//
// What the server says is handed on; nothing here knows what it means.

const FIRST_PAUSE = 500;       // msec before the first attempt to connect again; doubles
const LONGEST_PAUSE = 30000;
const HEART = 20000;           // msec of silence until we ask whether anybody is there
const PATIENCE = 10000;        // msec that we then wait, and for the answer to a bind
const OPEN = 1;

// The environment's WebSocket, or ours where it has none
async function socketClass(given) {
  return given ?? globalThis.WebSocket ?? (await import("./nodesocket.js")).NodeSocket;
}

// A message and its attachment as CLIENT.md has them: text, or 4 bytes length of the JSON, the JSON, the attachment
export function pack(message, attachment) {
  const text = JSON.stringify(message);
  if (!attachment)
    return text;
  const json = new TextEncoder().encode(text);
  const bytes = new Uint8Array(attachment.buffer ?? attachment, attachment.byteOffset ?? 0, attachment.byteLength);
  const frame = new Uint8Array(4 + json.length + bytes.length);
  new DataView(frame.buffer).setUint32(0, json.length);
  frame.set(json, 4);
  frame.set(bytes, 4 + json.length);
  return frame;
}

function unpack(data) {
  if (typeof data === "string")
    return [JSON.parse(data), undefined];
  const size = new DataView(data).getUint32(0);
  return [JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, size))), new Uint8Array(data, 4 + size)];
}

export class Link {
  // takes is an object of functions: bound (answer), refused (answer), lost (reason, msec), message (message, attachment)
  constructor({url, uid, token, device, WebSocket}, takes) {
    Object.assign(this, {url, uid, token, device, takes, given: WebSocket});
    this.pause = FIRST_PAUSE;
    this.bound = false;
    this.ended = false;
    this.number = 0;
  }

  // Connects now, whatever the back-off says.
  async open() {
    clearTimeout(this.timer);
    clearTimeout(this.heart);
    const number = ++this.number;    // Only the newest attempt counts
    this.drop();
    this.ended = false;
    try {
      const token = typeof this.token === "function" ? await this.token() : this.token;
      const Socket = await socketClass(this.given);
      if (number === this.number && !this.ended)
        this.connect(new Socket(this.url), token);
    } catch (error) {    // There is no token, or the address is none
      if (number === this.number)
        this.lost(error.message);
    }
  }

  connect(socket, token) {
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.heart = setTimeout(() => socket.close(), PATIENCE);
      this.send({uid: this.uid, device: this.device || undefined, token: token || undefined});
    };
    socket.onmessage = event => this.receive(event.data);
    socket.onclose = event => {
      if (socket === this.socket)
        this.lost(event.reason);
    };
  }

  // Without a word to anybody
  drop() {
    const socket = this.socket;
    this.socket = undefined;
    this.bound = false;
    socket?.close();
  }

  // The user leaves: no more attempts.
  close() {
    this.ended = true;
    this.number++;
    clearTimeout(this.timer);
    clearTimeout(this.heart);
    this.drop();
  }

  // The server has forgotten us, or can't do its work now: the connection is over.
  again(reason) {
    this.drop();
    this.lost(reason);
  }

  lost(reason) {
    clearTimeout(this.heart);
    clearTimeout(this.timer);
    this.bound = false;
    if (this.ended)
      return;
    // A little chance in it, so that many clients don't come back at the same moment
    const pause = this.pause * (0.5 + Math.random());
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
    this.timer = setTimeout(() => this.open(), pause);
    this.takes.lost(reason ?? "", Math.ceil(pause));
  }

  // Sends a packed message or an object. False when there is no connection.
  send(message) {
    if (this.socket?.readyState !== OPEN)
      return false;
    this.socket.send(typeof message === "string" || message instanceof Uint8Array ? message : pack(message));
    return true;
  }

  receive(data) {
    this.listen();
    const [message, attachment] = unpack(data);
    if (message.action !== "bindRsp")
      return this.takes.message(message, attachment);
    if (message.code === "ok") {
      this.bound = true;
      this.pause = FIRST_PAUSE;
      this.takes.bound(message);
    } else if (message.code === "store-unavailable") {
      this.again(message.message);
    } else {
      this.close();
      this.takes.refused(message);
    }
  }

  // Silence for long is asked about; no answer is a lost connection that nobody told us of.
  listen() {
    clearTimeout(this.heart);
    this.heart = setTimeout(() => {
      this.send({action: "heart"});
      this.heart = setTimeout(() => this.again("the server is silent"), PATIENCE);
    }, HEART);
  }
}
