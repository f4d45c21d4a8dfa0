#!/usr/bin/python3
"""comings.py - what it costs when many users come and go whom many others watch: the chats of others beside that, and memory

The part of script/bench --presence; no test. COMINGS_USERS, COMINGS_RATE (users a second) and CHATS say how many; 10000, 50, 6000. Each
user is watched by 100 others; it stays for ten seconds. They come in rounds, with a rest behind each, so that what the rounds before have stored counts for both."""

import asyncio
import json
import os
import re
import resource
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "e2e"))
from rookery import Server, check, memory_of

USERS, RATE, CHATS = (int(os.environ.get(name, most)) for name, most in (("COMINGS_USERS", 10_000), ("COMINGS_RATE", 50), ("CHATS", 6_000)))
WATCHERS, EACH, STAY = 1000, 100, 10    # Watchers in all and of one user; seconds
EACH_ROUND = min(RATE * (STAY + CHATS // 300), USERS)    # So many come while those before them go and others chat
HELLO = (b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n")


class Line(asyncio.Protocol):
    """A WebSocket that counts what it is told and reads nothing of it: there are too many."""

    told = answers = 0

    def connection_made(self, transport):
        self.transport, self.open = transport, asyncio.get_running_loop().create_future()

    def data_received(self, data):
        if not self.open.done():
            self.open.set_result(data)
            data = data.partition(b"\r\n\r\n")[2]
        Line.told += data.count(b'"action":"presence"')
        Line.answers += data.count(b'Rsp"')

    def connection_lost(self, error):
        if not self.open.done():
            self.open.set_exception(ConnectionError("refused"))

    def say(self, message):
        text = json.dumps(message).encode()
        head = bytes([0x81, 0x80 | len(text)]) if len(text) < 126 else bytes([0x81, 0xfe, len(text) >> 8, len(text) & 255])
        self.transport.write(head + bytes(4) + text)    # Masked with zeros


async def connect(server, uid):
    host, port = server.url[5:-3].split(":")
    _, line = await asyncio.get_running_loop().create_connection(Line, host, int(port))
    line.transport.write(HELLO)
    await line.open
    line.say({"uid": uid})
    return line


async def until(true):
    while not true():
        await asyncio.sleep(0.05)


async def watch(server):
    """The watchers: each of the users that have its last digit."""
    lines = []
    for nbr in range(WATCHERS):
        line = await connect(server, f"watcher{nbr}")
        users = [f"user{user}" for user in range(nbr % 10, USERS, 10)][:USERS * EACH // WATCHERS]
        for first in range(0, len(users), 50):
            line.say({"action": "presence", "subscribe": users[first:first + 50]})
        lines.append(line)
        if nbr % 20 == 19:
            await until(lambda: Line.answers >= (nbr + 1) * (1 + len(users) // 50))
    return lines


async def come_and_go(server, users):
    """One user after the other, as many a second as RATE says; each once."""
    async def visit(uid):
        line = await connect(server, uid)
        await asyncio.sleep(STAY)
        line.transport.close()
    began, visits = time.monotonic(), []
    for nbr, user in enumerate(users):
        await asyncio.sleep(max(0, began + nbr / RATE - time.monotonic()))
        visits.append(asyncio.create_task(visit(f"user{user}")))
    await asyncio.gather(*visits)


async def chats(server, title):
    """Others chat meanwhile. Returns msec of the slowest in a hundred."""
    words = ("bench", "--url", server.url, "--pid", str(server.process.pid), "--rate", "300", "--chats", str(CHATS))
    process = await asyncio.create_subprocess_exec(server.binary, *words, stdout=asyncio.subprocess.PIPE)
    said = (await process.communicate())[0].decode()
    found = re.search(r"delivery: .*p50 ([\d.]+) ms.* p99 ([\d.]+) ms", said)
    print(f"   {title}: 300 chats/s are delivered in {found[1]} ms (p50), {found[2]} ms (p99); {Line.told} told until now, {memory_of(server) // 1024} MB", flush=True)
    return float(found[2])


def fill(path):
    with sqlite3.connect(path) as db:
        names = [f"user{nbr}" for nbr in range(USERS)] + [f"watcher{nbr}" for nbr in range(WATCHERS)]
        db.executemany("INSERT INTO member (uid, conversation, direct, since) VALUES (?, 'all', 0, 0)", ((name,) for name in names))


async def measure(server):
    lines = await watch(server)
    before, quiet, moving = Line.told, [], []
    for first in range(0, USERS // EACH_ROUND * EACH_ROUND, EACH_ROUND):
        quiet.append(await chats(server, "nobody comes or goes"))
        coming = asyncio.create_task(come_and_go(server, range(first, first + EACH_ROUND)))
        await asyncio.sleep(STAY)
        moving.append(await chats(server, f"{RATE} users a second come, and as many go"))
        await coming
        wanted = before + 2 * (first + EACH_ROUND) * EACH
        await until(lambda: Line.told >= wanted)
        check(Line.told == wanted, f"{Line.told} told of {wanted}")
    one, two = statistics.median(quiet), statistics.median(moving)
    print(f"   p99, the median of {len(quiet)} rounds: {one:.2f} ms when nobody comes or goes, {two:.2f} ms when they do: {two / one:.2f} times that", flush=True)
    for line in lines:
        line.transport.close()


def main():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    folder = tempfile.mkdtemp(prefix="rookery-comings-")
    try:
        settings = ("gateway/address=1000000", "chat/members=100000", "receiver/upstream=none", "sender/downstream=none", "gateway/failures=0",
                    "gateway/ping=3600")    # The lines answer no pings
        server = Server(*settings, folder=folder)
        server.stop()
        fill(f"{folder}/chat.db")
        server = Server(*settings, folder=folder)
        asyncio.run(measure(server))
        server.stop()
    finally:
        server.remove()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
