// link.js - the connection: bind, reconnect with back-off, requests and their answers
//
// What the server says is handed on by its action: link.on ("chat", fn). Nothing here knows
// the page.

const FIRST_PAUSE = 500;     // msec before the first attempt to connect again; doubles
const LONGEST_PAUSE = 30000;
const HEART = 20000;         // msec of silence until we ask whether anybody is there
const PATIENCE = 10000;      // msec that we then wait

export class Link {
  constructor(url, uid, token, device) {
    Object.assign(this, {url, uid, token, device});
    this.handlers = new Map();
    this.pause = FIRST_PAUSE;
    this.bound = false;
    this.ended = false;
  }

  // Call fn with each message of this action; "bound" and "lost" are the link's own.
  on(action, fn) {
    this.handlers.set(action, fn);
    return this;
  }

  emit(action, ...args) {
    this.handlers.get(action)?.(...args);
  }

  open() {
    clearTimeout(this.timer);
    this.socket = new WebSocket(this.url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.send({uid: this.uid, device: this.device, token: this.token || undefined});
    this.socket.onmessage = event => this.receive(event.data);
    this.socket.onclose = event => this.lost(event.reason);
  }

  // The user leaves: no more attempts.
  close() {
    this.ended = true;
    clearTimeout(this.timer);
    clearTimeout(this.heart);
    this.socket?.close();
  }

  // The server has forgotten us, or can't do its work now: connect anew.
  again() {
    this.socket.close();
  }

  lost(reason) {
    clearTimeout(this.heart);
    this.bound = false;
    if (this.ended)
      return;
    // A little chance in it, so that many clients don't come back at the same moment
    const pause = this.pause * (0.7 + 0.6 * Math.random());
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
    this.timer = setTimeout(() => this.open(), pause);
    this.emit("lost", reason, Math.ceil(pause / 1000));
  }

  // Sends an object, with an attachment as a binary message. False when there is no connection.
  send(message, attachment) {
    if (this.socket?.readyState !== WebSocket.OPEN)
      return false;
    const text = JSON.stringify(message);
    if (!attachment) {
      this.socket.send(text);
      return true;
    }
    const json = new TextEncoder().encode(text);
    const frame = new Uint8Array(4 + json.length + attachment.byteLength);
    new DataView(frame.buffer).setUint32(0, json.length);
    frame.set(json, 4);
    frame.set(new Uint8Array(attachment), 4 + json.length);
    this.socket.send(frame);
    return true;
  }

  receive(data) {
    this.listen();
    let attachment = null;
    if (data instanceof ArrayBuffer) {
      const size = new DataView(data).getUint32(0);
      attachment = data.slice(4 + size);
      data = new TextDecoder().decode(new Uint8Array(data, 4, size));
    }
    const message = JSON.parse(data);
    if (message.action === "bindRsp")
      this.bindAnswered(message);
    else
      this.emit(message.action, message, attachment);
  }

  bindAnswered(answer) {
    if (answer.code === "ok") {
      this.bound = true;
      this.pause = FIRST_PAUSE;
      this.emit("bound", answer);
    } else if (answer.code === "store-unavailable") {
      this.again();
    } else {
      this.close();
      this.emit("refused", answer);
    }
  }

  // Silence for long is asked about; no answer is a lost connection that nobody told us of.
  listen() {
    clearTimeout(this.heart);
    this.heart = setTimeout(() => {
      this.send({action: "heart"});
      this.heart = setTimeout(() => this.socket.close(), PATIENCE);
    }, HEART);
  }
}
