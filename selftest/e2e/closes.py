#!/usr/bin/python3
#  runs: asan, waits
"""closes.py - each way in which the server ends a connection: the code and reason that the client's socket really gets, and
who isn't closed: readers of much, and those whom we don't read ourselves"""

import asyncio
import json
import signal
import struct
import time

from rookery import PATIENCE, Client, Server, chat, check, live, run, shake_hands


class Raw:
    """A client by hand, which says and reads only what the test wants."""

    @classmethod
    async def open(cls, server, uid=None, rcvbuf=None):
        self = cls()
        self.reader, self.writer = await shake_hands(server, rcvbuf)
        if uid:
            self.say({"uid": uid})
            check((await self.answer())["code"] == "ok", "bind")
        return self

    def frame(self, opcode, payload):
        size = len(payload)
        head = bytes([0x80 | opcode]) + (bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size) if size < 65536
                                         else b"\xff" + struct.pack(">Q", size))
        self.writer.write(head + b"\0\0\0\0" + payload)

    def say(self, message):
        self.frame(1, json.dumps(message).encode())

    async def read(self):
        """The next frame: opcode, payload."""
        async def whole():
            head = await self.reader.readexactly(2)
            size = head[1] & 127
            if size > 125:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            return head[0] & 15, await self.reader.readexactly(size)
        return await asyncio.wait_for(whole(), PATIENCE)

    async def answer(self):
        while True:
            opcode, payload = await self.read()
            if opcode in (1, 2):
                return json.loads(payload if opcode == 1 else payload[4:4 + int.from_bytes(payload[:4], "big")])

    async def closed(self):
        """Reads to the close frame, which must be the last; its code and reason, and how many messages came before it."""
        count = 0
        while True:
            opcode, payload = await self.read()
            if opcode == 8:
                break
            count += opcode in (1, 2)
        self.frame(8, payload[:2])
        check(await asyncio.wait_for(self.reader.read(), PATIENCE) == b"", "something comes behind the close frame")
        self.writer.close()
        return struct.unpack(">H", payload[:2])[0], payload[2:].decode(), count


def on_server(*settings):
    """A test that gets a server with these settings."""
    def wrap(test):
        def started():
            server = Server(*settings)
            live(server, lambda: test(server))
        started.__name__ = test.__name__
        return started
    return wrap


async def expect(client, code, words):
    got, reason, count = await client.closed()
    check(got == code and words in reason, f"expected {code} {words}, got {got} {reason}")
    return count


@on_server("gateway/rate=50", "gateway/overrate=1")
async def too_fast(server):
    """Who presses on is closed with 1008, though bytes of it are on their way, and what was answered before comes first."""
    client = await Raw.open(server, "eve")

    async def press():
        while "is faster than its rate" not in server.logged():
            for _ in range(20):
                client.say({"action": "heart"})
            await asyncio.wait_for(client.writer.drain(), PATIENCE)
            await asyncio.sleep(0.02)
    task = asyncio.create_task(press())
    check(await expect(client, 1008, "rate-limited: too many messages a second") > 50, "answers are lost")
    await task


@on_server("gateway/queue=100000", "chat/durability=relayed")
async def too_much(server):
    """Who doesn't read is closed with 1013 when 16 times the queue waits."""
    client = await Raw.open(server, "bob", rcvbuf=4096)
    ann = await Client.open(server, "ann")
    nbr = 0
    while "is too slow" not in server.logged():
        check((await ann.ask(chat("ann", "bob", f"c{nbr}", text="x" * 50_000)))["code"] == "ok", "chat")
        nbr += 1
    check(nbr > 32, f"after {nbr} chats already")
    await expect(client, 1013, "too slow: messages waited for too long")


@on_server("gateway/queue=100000", "gateway/slow=2", "chat/durability=relayed", "gateway/message=9000000", "chat/attachment=8000000")
async def too_long(server):
    """Who takes nothing for gateway/slow seconds is closed with 1013; who takes it, however slowly, isn't."""
    stuck, patient = await Raw.open(server, "bob", rcvbuf=4096), await Raw.open(server, "bob", rcvbuf=4096)
    ann = await Client.open(server, "ann")
    for nbr in range(2):
        check((await ann.ask(chat("ann", "bob", f"c{nbr}", text="x" * 1_000_000)))["code"] == "ok", "chat")
    while "is too slow" not in server.logged():
        await asyncio.wait_for(patient.reader.readexactly(20_000), PATIENCE)
        await asyncio.sleep(0.1)
    await expect(stuck, 1013, "too slow")
    check(server.logged().count("is too slow") == 1, "the patient one, too")
    patient.writer.close()


PICTURE = 400_000


@on_server("gateway/queue=1048576", "gateway/slow=3600", "worker/count=1")
async def pictures(server):
    """A burst of pictures to a reader, and a sender's own echo in a group, is no slowness."""
    ann, bob = await Client.open(server, "ann"), await Client.open(server, "bob")
    for client in (ann, bob):
        check((await client.ask({"action": "groupJoin", "groupID": "g"}))["code"] == "ok", "join")

    async def read(client, count):
        got = [await client.receive() for _ in range(count)]
        seqs = [message["seq"] for message in got if message["action"] == "chatGroup" and len(message["attachment"]) == PICTURE]
        check(seqs == list(range(1, 31)), seqs)
    readers = [asyncio.create_task(read(bob, 30)), asyncio.create_task(read(ann, 60))]
    for nbr in range(30):
        text = json.dumps({"action": "chatGroup", "content": {"fromAccountID": "ann", "chatGroupID": "g", "chatID": f"{nbr}", "isBytes": 1}}).encode()
        await ann.send(len(text).to_bytes(4, "big") + text + bytes(PICTURE))
    for reader in readers:
        await reader


@on_server("gateway/ping=1", "gateway/pong=2")
async def silent(server):
    """Who doesn't answer a ping is closed with 1011; one that speaks, or that answers, isn't."""
    dead, speaks = await Raw.open(server, "dead"), await Raw.open(server, "speaks")
    answers = await Client.open(server, "answers")

    async def speak():
        while True:
            speaks.say({"action": "heart"})
            await asyncio.sleep(0.5)
    task = asyncio.create_task(speak())
    await expect(dead, 1011, "a ping was not answered in time")
    task.cancel()
    check((await answers.ask({"action": "heart"}))["code"] == "ok", "it answered")
    check((await speaks.answer())["code"] == "ok", "it spoke")
    speaks.writer.close()


@on_server("gateway/ping=1", "gateway/pong=1", "gateway/rate=20", "gateway/overrate=3600")
async def unread(server):
    """Who isn't read, for it was too fast, isn't judged by what it may have said meanwhile: its pongs lie behind that."""
    client = await Raw.open(server, "ann")
    count = 20 * 8    # Eight times as long as it has to answer
    for _ in range(count):
        client.say({"action": "heart"})
    for _ in range(count):
        check((await client.answer())["code"] == "ok", "heart")
    client.writer.close()


@on_server("auth/mode=token", "auth/secret=0123456789abcdef0123456789abcdef", "auth/bind=1")
async def not_bound(server):
    await expect(await Raw.open(server), 1008, "not bound in time")


@on_server("auth/mode=token", "auth/secret=0123456789abcdef0123456789abcdef", "auth/attempts=2")
async def refused(server):
    client = await Raw.open(server)
    for _ in range(2):
        client.say({"uid": "ann", "token": "x"})
    check(await expect(client, 1000, "closed by the server") == 2, "its answers are lost")


@on_server()
async def kicked(server):
    client = await Raw.open(server, "ann")
    await asyncio.get_running_loop().run_in_executor(None, server.ctl, "kick", "ann")
    await expect(client, 1000, "closed by the server")


@on_server()
async def client_closes_first(server):
    """Behind its close frame the server sends nothing, and not the end either until the client has answered: some
    clients close when they see the end, and lose what they haven't read."""
    client, other = await Raw.open(server, "ann"), await Raw.open(server, "bob")
    await asyncio.get_running_loop().run_in_executor(None, server.ctl, "kick", "ann")
    while (await client.read())[0] != 8:
        pass
    for _ in range(10):    # The server has long been at work with something else
        other.say({"action": "sync"})
        await other.answer()
    check(not client.reader.at_eof(), "the server's end came before the client's close frame")
    client.frame(8, b"\x03\xe8")
    check(await asyncio.wait_for(client.reader.read(), PATIENCE) == b"", "something comes behind the close frame")
    client.writer.close()


async def with_unread_pongs(server):
    """A client whose pings' answers are more than the kernel holds, and a thousand more"""
    client = await Raw.open(server, "ann", rcvbuf=4096)
    for _ in range(40_000):
        client.frame(9, b"x" * 125)
    return client


@on_server()
async def broken(server):
    """A protocol error; and pings whose answers nobody reads."""
    client = await Raw.open(server, "ann")
    client.writer.write(b"\x83\x80\0\0\0\0")
    await expect(client, 1002, "a frame has an unknown opcode")
    client = await with_unread_pongs(server)
    await expect(client, 1008, "pings come faster than their answers are read")


@on_server("server/drain=10000")
async def ignored(server):
    """Who is told to go, and doesn't, is cut; and so is who doesn't even take that it is told."""
    client = await Raw.open(server, "ann")
    await asyncio.get_running_loop().run_in_executor(None, server.ctl, "kick", "ann")
    while (await client.read())[0] != 8:
        pass
    check(await asyncio.wait_for(client.reader.read(), PATIENCE) == b"", "something comes behind the close frame")
    client.writer.close()
    deaf = await with_unread_pongs(server)
    await asyncio.wait_for(deaf.writer.drain(), PATIENCE)
    end = time.monotonic() + PATIENCE
    while server.counters()["gateway"]["closed"] < 2:
        check(time.monotonic() < end, "it is still there")
        await asyncio.sleep(0.5)
    deaf.writer.close()


@on_server("server/drain=60000")
async def drained(server):
    client = await Raw.open(server, "ann")
    client.say(chat("ann", "bob", "last"))
    server.process.send_signal(signal.SIGTERM)
    check(await expect(client, 1001, "the server is going down; connect again") <= 1, "messages")


if __name__ == "__main__":
    run(too_fast, too_much, too_long, pictures, silent, unread, not_bound, refused, kicked, client_closes_first,
        broken, ignored, drained)
