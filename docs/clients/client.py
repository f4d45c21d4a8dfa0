#!/usr/bin/python3
"""client.py - a client of a Rookery server: "client.py URL UID [TO TEXT]" says something to a user, prints what it is told

Needs python3-websockets. It binds, sends what has no answer again under the same chatID, acks what it has printed, and
connects again when the connection is lost. The words are those of proto/CLIENT.md."""

import asyncio
import json
import random
import sys
import uuid

import websockets

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30    # seconds until it connects again


class Client:
    def __init__(self, url, uid):
        self.url, self.uid, self.unanswered = url, uid, {}

    def say(self, to, text):
        """Says it as soon as there is a connection."""
        chat_id = str(uuid.uuid4())
        self.unanswered[chat_id] = {"action": "chat", "content": {"fromAccountID": self.uid, "toAccountID": to, "chatID": chat_id, "text": text}}

    async def handle(self, message):
        action, content = message["action"], message.get("content", {})
        if action == "bindRsp":
            if message["code"] == "store-unavailable":
                await self.socket.close()
            elif message["code"] != "ok":
                sys.exit(f"bind: {message['message']}")
            for chat in list(self.unanswered.values()) if message["code"] == "ok" else ():
                await self.socket.send(json.dumps(chat))
        elif action == "chatRsp" and message["code"] not in ("store-unavailable", "not-bound"):
            self.unanswered.pop(message["chatID"], None)
            print(f"{message['code']} {message.get('seq', message['message'])}", flush=True)
        elif action == "chat":
            print(f"{content['fromAccountID']}: {content.get('text', '')}", flush=True)
            talk = ",".join(sorted((content["fromAccountID"], content["toAccountID"]), key=str.encode))
            await self.socket.send(json.dumps({"action": "ack", "conversation": talk, "seq": message["seq"]}))

    async def run(self):
        pause = FIRST_PAUSE
        while True:
            try:
                async with websockets.connect(self.url, max_size=None) as self.socket:
                    await self.socket.send(json.dumps({"uid": self.uid, "device": "client.py"}))
                    async for data in self.socket:
                        if isinstance(data, bytes):    # With an attachment behind the JSON
                            data = data[4:4 + int.from_bytes(data[:4], "big")]
                        await self.handle(json.loads(data))
                        pause = FIRST_PAUSE
            except (OSError, websockets.WebSocketException) as error:
                print(f"no connection: {error}", file=sys.stderr)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, LONGEST_PAUSE)


if __name__ == "__main__":
    client = Client(*sys.argv[1:3])
    if len(sys.argv) == 5:
        client.say(*sys.argv[3:5])
    asyncio.run(client.run())
