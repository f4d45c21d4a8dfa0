"""rookery.py - what the end-to-end tests share: a server of their own, WebSocket clients, checks"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback

import websockets

from services import MariaDB, free_port

PATIENCE = 180    # seconds that anything may take; no test depends on how fast the machine is


def check(good, what):
    if not good:
        raise AssertionError(what)


class Store:
    """What the tests' servers keep their chats in: $ROOKERY_STORE is sqlite, mysql, or shards, which is several of those. One for
    each folder."""

    @staticmethod
    def pools():
        """Those of MySQL that it is in."""
        return {"mysql": ["main"], "shards": ["main", "second", "third"]}.get(os.environ.get("ROOKERY_STORE"), [])

    def __init__(self, folder):
        self.path = f"{folder}/chat.db"
        self.settings = [f"store/path={self.path}"]
        pools = self.pools()
        self.mariadb = MariaDB.shared() if pools else None
        if self.mariadb:
            self.database = "rookery_" + hashlib.md5(folder.encode()).hexdigest()
            self.databases = {pool: f"{self.database}_{pool}" if nbr else self.database for nbr, pool in enumerate(pools)}
            self.settings = ["store/driver=mysql", f"store/shards={','.join(pools)}" if pools[1:] else "store/pool=main"]
            for pool, database in self.databases.items():
                self.settings += self.mariadb.settings(pool, database)

    def ask(self, statement):
        """The rows of one statement, in all parts of the store."""
        if self.mariadb:
            return [row for database in self.databases.values() for row in self.mariadb.ask(statement, database)]
        with sqlite3.connect(self.path, timeout=60) as db:
            return [[str(value) for value in row] for row in db.execute(statement)]

    def count(self, what):
        """How many rows: "message WHERE seq = 1"."""
        return sum(int(row[0]) for row in self.ask(f"SELECT count(*) FROM {what}"))


class Server:
    """A server on free ports with a store in a temporary folder."""

    def __init__(self, *settings, folder=None, words=()):
        self.binary = sys.argv[1] if len(sys.argv) > 1 else "build/rookery"
        self.own = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="rookery-e2e-")
        self.settings = settings
        self.words = list(words)
        self.store = Store(self.folder)
        self.start()

    def start(self):
        words = [self.binary, "run", *self.words]
        # With tokens there is no TCP for everybody on the machine. Ports are the kernel's choice: a * takes the first one above
        # 49151, which another server takes while this one starts again
        wires = () if "auth/mode=token" in self.settings else (
            f"receiver/upstream=tcp://127.0.0.1:{free_port()}", f"sender/downstream=tcp://127.0.0.1:{free_port()}")
        for setting in ("gateway/listen=127.0.0.1:0", *wires,
                        f"console/control=ipc://{self.folder}/control",
                        "console/listen=127.0.0.1:0", "gateway/rate=0", "gateway/rate_user=0", f"media/folder={self.folder}/media", *self.store.settings, *self.settings):
            words += ["-s", setting]
        self.log = open(f"{self.folder}/log", "ab")
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        check(line.startswith("ready"), f"the server is not ready: {line!r}\n{self.logged()}")
        self.console = (re.search(r"console (http://\S+)/console", line) or [None, ""])[1]
        self.url = (re.search(r"wss?://\S+", line) or [""])[0]
        self.upstream = (re.search(r"upstream (\S+)", line) or [None, ""])[1]
        self.downstream = (re.search(r"downstream (\S+)", line) or [None, ""])[1]

    def logged(self):
        with open(f"{self.folder}/log", errors="replace") as file:
            return file.read()

    def ctl(self, *words, good=True):
        """rookery ctl; returns what it prints."""
        done = subprocess.run([self.binary, "ctl", "-e", f"ipc://{self.folder}/control", *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
        check((done.returncode == 0) == good, f"ctl {words}: {done.returncode} {done.stdout}{done.stderr}")
        return (done.stdout if good else done.stderr).strip()

    def top(self):
        """What rookery top --once --json says; of the last second."""
        done = subprocess.run([self.binary, "top", "-e", f"ipc://{self.folder}/control", "--once", "--json"],
                              stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=True)
        return json.loads(done.stdout)

    def counters(self):
        """All counters, as {"worker-1": {"messages": 5}}."""
        before = self.logged().count("counters: ")
        actors = {actor["name"] for actor in self.top()["actors"]}
        self.process.send_signal(signal.SIGUSR1)
        found = {}
        for _ in range(PATIENCE * 50):
            lines = re.findall(r"counters: (\S+) (.*)", self.logged())[before:]
            found = {name: {key: int(value) for key, value in re.findall(r"([^= ]\S*)=(\d+)", rest)} for name, rest in lines}
            if actors <= set(found):
                return found
            time.sleep(0.02)
        raise AssertionError("no counters in the log")

    def stop(self, how=signal.SIGTERM):
        """Ends the server; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.log.close()
        return status

    def remove(self):
        if self.process.poll() is None:
            self.stop(signal.SIGKILL)
        if os.path.exists(f"{self.folder}/log"):
            self.last = self.logged()[-3000:]    # For who shows it behind this
        if self.own:
            shutil.rmtree(self.folder, ignore_errors=True)


class Client:
    """A WebSocket client; answers and messages come in order from receive."""

    opened = []
    deaf = ("groupChanged",)    # Actions that it doesn't receive

    @classmethod
    async def open(cls, server, uid=None, device=None, **more):
        self = cls()
        cls.opened.append(self)
        self.socket = await asyncio.wait_for(websockets.connect(server.url, max_size=None, **more), PATIENCE)
        if uid:
            answer = await self.ask({"uid": uid, **({"device": device} if device else {})})
            check(answer["code"] == "ok", f"bind: {answer}")
        return self

    async def send(self, message):
        await self.socket.send(message if isinstance(message, (str, bytes)) else json.dumps(message, ensure_ascii=False))

    async def receive(self):
        while True:
            data = await asyncio.wait_for(self.socket.recv(), PATIENCE)
            if isinstance(data, str):
                got = json.loads(data)
            else:
                size = int.from_bytes(data[:4], "big")
                got = {**json.loads(data[4:4 + size]), "attachment": data[4 + size:]}
            if got.get("action") not in self.deaf:
                return got

    async def ask(self, message):
        await self.send(message)
        return await self.receive()

    async def close(self):
        await self.socket.close()

    async def closed(self, *words):
        """Waits until the server closes the connection, with these words in the reason; returns what came before."""
        kept = []
        try:
            while True:
                kept.append(await self.receive())
        except websockets.ConnectionClosed as error:
            check(all(word in f"{error.code} {error.reason}" for word in words), error)
        return kept

    @classmethod
    async def close_all(cls):
        while cls.opened:
            client = cls.opened.pop()
            if hasattr(client, "socket"):
                await client.close()


class Talker(Client):
    """A client that keeps what isn't the answer it waits for, in heard; all that it gets must be as client.schema.json has it."""

    deaf = ()
    strict = True    # Whether it holds what it gets to the schema, which takes time

    async def receive(self):
        got = await super().receive()
        if self.strict:
            from schema import received    # Not all who use this file have jsonschema
            received(got)
        return got

    @classmethod
    async def open(cls, server, uid=None, device=None, **more):
        self = await super().open(server, **more)
        self.heard, self.uid, self.device = [], uid, device
        if uid:
            await self.request({"uid": uid, **({"device": device} if device else {})}, "ok")
        return self

    async def request(self, message, code=None):
        """Sends it and returns the answer, which must have this code."""
        await self.send(message)
        while True:
            got = await self.receive()
            if got["action"] == message.get("action", "bind") + "Rsp":
                check(code in (None, got["code"]), f"{message}: {got}")
                return got
            self.heard.append(got)

    async def ok(self, action, **fields):
        return await self.request({"action": action, **fields}, "ok")

    async def refused(self, code, action, **fields):
        return await self.request({"action": action, **fields}, code)

    async def hear(self, action, **fields):
        """The next message with this action and these fields, which it waits for; those before it stay in heard."""
        nbr = 0
        while True:
            while nbr == len(self.heard):
                self.heard.append(await self.receive())
            got = self.heard[nbr]
            if got["action"] == action and all(got.get(key) == value for key, value in fields.items()):
                return self.heard.pop(nbr)
            nbr += 1

    async def quiet(self, *actions):
        """Nothing of these has come, nor does before a heart is answered."""
        await self.ok("heart")
        check(not [got for got in self.heard if got["action"] in actions], f"{self.uid} has heard {self.heard}")


async def hearts(client, count):
    """So many at once, all answered in order; returns how long it took."""
    began = time.monotonic()
    for nbr in range(count):
        await client.send('{"action":"heart","requestID":%d}' % nbr)
    for nbr in range(count):
        answer = await client.receive()
        check(answer["requestID"] == nbr, f"expected {nbr}, got {answer}")
    return time.monotonic() - began


async def shake_hands(server, rcvbuf=None):
    """A WebSocket by hand, for clients that do what no library does; returns its reader and writer."""
    host, port = server.url[5:-3].split(":")
    raw = socket.socket()
    if rcvbuf:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=raw)
    writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n")
    check(b"101" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE), "handshake")
    return reader, writer


def memory_of(server):
    """KB that the server has in memory."""
    with open(f"/proc/{server.process.pid}/statm") as file:
        return int(file.read().split()[1]) * 4


@contextlib.contextmanager
def served(server, *services):
    """What is done within it is done on the server, which must end well then; all is removed, and of a failure the log is shown."""
    try:
        yield server
        check(server.stop() == 0, "exit status")
    except BaseException:
        print(server.logged()[-3000:])
        raise
    finally:
        server.remove()
        for service in services:
            service.remove()


def live(server, test, *services, seconds=280):
    """Runs the coroutine function test () on the server, which must end well, and removes all; shows the log of a failure."""
    async def bounded():
        try:
            await asyncio.wait_for(test(), seconds)
        finally:
            await Client.close_all()
    with served(server, *services):
        asyncio.run(bounded())


def chat(sender, to, chat_id, **more):
    return {"action": "chat", "content": {"fromAccountID": sender, "toAccountID": to, "chatID": chat_id, **more}}


def run(*tests):
    """Runs the tests, or those that the command line names behind the binary; exits with a closing line."""
    tests = [test for test in tests if not sys.argv[2:] or test.__name__ in sys.argv[2:]]
    failed = 0
    for test in tests:
        print(f" * {test.__name__}", flush=True)
        try:
            result = test()
            if asyncio.iscoroutine(result):
                asyncio.run(asyncio.wait_for(result, 290))
        except Exception:    # noqa: the report is all we want
            failed += 1
            traceback.print_exc()
    print(f"{len(tests) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
