// nodesocket.js - a WebSocket for Node, which has none before version 22
//
// What the link needs of the browsers' WebSocket (https://websockets.spec.whatwg.org), on RFC 6455: text and binary
// messages, pings, the closing handshake. No extensions, no subprotocols.

import {createHash, randomBytes} from "node:crypto";
import http from "node:http";
import https from "node:https";

const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;
const MESSAGE_MOST = 128 * 1024 * 1024;    // bytes
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

export class NodeSocket {
  static OPEN = 1;
  static CLOSED = 3;

  constructor(url) {
    this.readyState = 0;
    this.rest = Buffer.alloc(0);    // Bytes of frames that haven't come whole
    this.pieces = [];               // Of a message in several frames
    const key = randomBytes(16).toString("base64");
    const {get} = url.startsWith("wss:") ? https : http;
    this.request = get(url.replace(/^ws/, "http"), {headers: {Connection: "Upgrade", Upgrade: "websocket",
                       "Sec-WebSocket-Version": 13, "Sec-WebSocket-Key": key}});
    this.request.on("error", error => this.end(1006, error.message));
    this.request.on("response", response => {
      response.resume();
      this.end(1006, `the server answers ${response.statusCode} ${response.statusMessage}`);
    });
    this.request.on("upgrade", (response, socket, head) => {
      if (response.headers["sec-websocket-accept"] !== createHash("sha1").update(key + GUID).digest("base64"))
        return this.end(1006, "this is no WebSocket server");
      this.begin(socket, head);
    });
  }

  begin(socket, head) {
    if (this.readyState === NodeSocket.CLOSED)
      return socket.destroy();
    this.socket = socket;
    this.readyState = NodeSocket.OPEN;
    socket.setNoDelay(true);
    socket.on("data", data => this.take(data));
    socket.on("error", error => this.end(1006, error.message));
    socket.on("close", () => this.end(1006, ""));
    this.onopen?.();
    if (head.length)
      this.take(head);
  }

  // Once: the connection is over
  end(code, reason) {
    if (this.readyState === NodeSocket.CLOSED)
      return;
    this.readyState = NodeSocket.CLOSED;
    this.socket?.destroy();
    this.request.destroy();
    this.onclose?.({code, reason});
  }

  // RFC 6455, section 5.2: what a client sends is masked
  frame(opcode, payload) {
    const extra = payload.length < 126 ? 0 : payload.length < 65536 ? 2 : 8;
    const head = Buffer.alloc(6 + extra), mask = randomBytes(4), masked = Buffer.from(payload);
    head[0] = 0x80 | opcode;
    head[1] = 0x80 | (extra === 0 ? payload.length : extra === 2 ? 126 : 127);
    if (extra === 2)
      head.writeUInt16BE(payload.length, 2);
    else if (extra === 8)
      head.writeBigUInt64BE(BigInt(payload.length), 2);
    mask.copy(head, 2 + extra);
    for (let at = 0; at < masked.length; at++)
      masked[at] ^= mask[at & 3];
    this.socket.write(Buffer.concat([head, masked]));
  }

  send(data) {
    if (typeof data === "string")
      this.frame(TEXT, Buffer.from(data));
    else
      this.frame(BINARY, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  }

  close(code = 1000) {
    if (this.readyState === NodeSocket.OPEN) {
      const payload = Buffer.alloc(2);
      payload.writeUInt16BE(code);
      this.frame(CLOSE, payload);
      this.socket.end();
    }
    this.end(code, "");
  }

  take(data) {
    this.rest = this.rest.length ? Buffer.concat([this.rest, data]) : data;
    while (this.rest.length >= 2 && this.readyState === NodeSocket.OPEN) {
      let size = this.rest[1] & 0x7f, head = 2;
      if (size === 126)
        head = 4;
      else if (size === 127)
        head = 10;
      if (this.rest.length < head)
        return;
      if (head === 4)
        size = this.rest.readUInt16BE(2);
      else if (head === 10)
        size = Number(this.rest.readBigUInt64BE(2));
      if (size > MESSAGE_MOST)
        return this.end(1009, "a message is too large");
      if (this.rest.length < head + size)
        return;
      const first = this.rest[0], payload = this.rest.subarray(head, head + size);
      this.rest = this.rest.subarray(head + size);
      this.handle(first & 0x0f, first & 0x80, payload);
    }
  }

  handle(opcode, last, payload) {
    if (opcode === PING)
      return this.frame(PONG, payload);
    if (opcode === PONG)
      return;
    if (opcode === CLOSE) {
      const code = payload.length < 2 ? 1005 : payload.readUInt16BE(0);
      this.frame(CLOSE, payload.subarray(0, 2));
      return this.end(code, payload.subarray(2).toString());
    }
    if (opcode)
      this.kind = opcode;
    this.pieces.push(payload);
    if (!last)
      return;
    const whole = this.pieces.length === 1 ? payload : Buffer.concat(this.pieces);
    this.pieces = [];
    this.onmessage?.({data: this.kind === TEXT ? whole.toString()
                          : whole.buffer.slice(whole.byteOffset, whole.byteOffset + whole.length)});
  }
}
