#!/usr/bin/python3
#  runs: plain mysql, waits
"""client.py - rookery-client in Node: packed, installed, its README's example; under lost connections and a killed server. And the
clients of docs/clients"""

import asyncio
import json
import os
import re
import signal
import subprocess
import tempfile

import websockets

from rookery import PATIENCE, Client, Server, chat, check, live, run

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
HERE = os.path.dirname(os.path.abspath(__file__))


class Proxy:
    """A port that stays, before a server whose port doesn't; its connections can be cut."""

    def __init__(self, server):
        self.server, self.writers = server, set()

    async def start(self):
        self.listener = await asyncio.start_server(self.carry, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self.listener.sockets[0].getsockname()[1]}/ws"

    async def carry(self, reader, writer):
        try:
            port = int(re.search(r":(\d+)/", self.server.url)[1])
            there, away = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        self.writers |= {writer, away}

        async def pump(source, sink):
            try:
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            except OSError:
                pass
            for one in (writer, away):
                one.close()
        await asyncio.gather(pump(reader, away), pump(there, writer))
        self.writers -= {writer, away}

    def cut(self):
        for writer in list(self.writers):
            writer.transport.abort()


async def user(url, what):
    """The lines that clientuser.mjs says."""
    process = await asyncio.create_subprocess_exec("node", f"{HERE}/clientuser.mjs", f"{ROOT}/web/client/rookery.js", url, what,
                                                   stdout=asyncio.subprocess.PIPE, limit=1 << 24)
    try:
        while line := await asyncio.wait_for(process.stdout.readline(), PATIENCE):
            yield json.loads(line)
        check(await asyncio.wait_for(process.wait(), PATIENCE) == 0, "node failed")
    finally:
        if process.returncode is None:
            process.kill()


def through():
    """Cut connections and a killed server: each chat is said once, heard once, and in order; all is acked in the end."""
    server = Server()

    async def test():
        proxy, got = Proxy(server), {}
        await proxy.start()
        async for got in user(proxy.url, "through"):
            answered = got.get("answered")
            if answered in (60, 120, 240):
                proxy.cut()
            elif answered == 180:
                server.stop(signal.SIGKILL)
                proxy.cut()
                server.start()
        check(got["lost"] >= 4, got["lost"])
        check(sorted(seq for _, seq in got["answers"]) == list(range(1, 301)), got["answers"])
        by_seq = {seq: str(nbr) for nbr, seq in got["answers"]}
        check([one[:2] for one in got["heard"]] == [[seq, by_seq[seq]] for seq in range(1, 301)], got["heard"])
        check(all(one[2] == (100000 if int(one[1]) % 50 == 7 else 0) for one in got["heard"]), "attachments")
        check(got["edited"] == 301, got["edited"])
        proxy.listener.close()
    live(server, test)


def files():
    """A file arrives whole, whatever happens on its way; one that waited in the outbox goes, too."""
    server = Server("media/secret=a secret of the test, 32 bytes long", "chat/media=8000000")

    async def test():
        proxy, got, cuts = Proxy(server), [], 0
        await proxy.start()
        async for line in user(proxy.url, "files"):
            progress = line.get("progress")
            if progress and progress > 1500000 * (cuts + 1) and cuts < 3:
                cuts += 1
                if cuts == 2:
                    server.stop(signal.SIGKILL)
                    server.start()
                proxy.cut()
            elif not progress:
                got.append(line)
        check(cuts == 3, cuts)
        check(got == [{"same": True, "size": 6000000, "type": "application/octet-stream", "url": 71},
                      {"refused": "too-large", "stranger": "not-found", "text": "from before", "climbs": True},
                      {"upload": 71, "size": 9, "large": "too-large", "left": "lost"}], got)
        proxy.listener.close()
    live(server, test)


def failing():
    server = Server()

    async def test():
        proxy, got = Proxy(server), {}
        await proxy.start()
        async for got in user(proxy.url, "failing"):
            if got.get("cut"):
                proxy.cut()
        check(got == {"heard": [1, 2, 3, 2, 3], "errors": 1}, got)
        proxy.listener.close()
    live(server, test)


def refusals():
    server = Server()

    async def test():
        lines = [line async for line in user(server.url, "refusals")]
        check(lines == [{"first": ["old", "kept"], "codes": ["not-member", "unknown-action", "not-member", "not-found", "too-large", "bad-request"],
                         "kept": 0, "same": True}, {"refused": "bad-request"}], lines)
    live(server, test)


def forged():
    server = Server()

    async def test():
        proxy, got = Proxy(server), []
        await proxy.start()
        async for line in user(proxy.url, "forged"):
            got.append(line)
            if line.get("ready"):
                ann, eve = await Client.open(server, "ann"), await Client.open(server, "eve")
                await ann.ask({**chat("ann", "bob", "1"), "conversation": "bob,eve", "groupID": "club", "requestID": "r1", "uid": "eve"})
                for nbr, text in enumerate(("well", "fails", "well")):
                    await eve.ask(chat("eve", "bob", str(nbr), text=text))
            elif line.get("cut"):
                proxy.cut()
        heard = got[2]["heard"]
        check(heard[0] == "ann,bob 1" and heard[1:4] == ["bob,eve 1", "bob,eve 2", "bob,eve 3"] and heard[4:] == ["bob,eve 2", "bob,eve 3"], heard)
        check(got[3] == {"closed": "lost", "connected": False}, got[3])
        proxy.listener.close()
    live(server, test)


def acked_again():
    """What comes twice is acked again, for the ack was lost; its handler isn't called a second time."""
    async def test():
        acks, heard, binds = [], [], []

        async def serve(socket):
            said = json.dumps({"action": "chat", "seq": 1, "at": 1, "content": {"fromAccountID": "ann", "toAccountID": "bob", "chatID": "1"}})
            async for text in socket:
                message = json.loads(text)
                if "uid" in message:
                    binds.append(message)
                    await socket.send(json.dumps({"action": "bindRsp", "code": "ok", "uid": "bob", "groups": [], "at": 1, "limits": {}}))
                    await socket.send(said)
                elif message["action"] == "ack":
                    acks.append((message["conversation"], message["seq"]))
                    await socket.send(said if len(acks) < 3 else json.dumps({"action": "enough"}))
        async with websockets.serve(serve, "127.0.0.1", 0) as listener:
            port = listener.sockets[0].getsockname()[1]
            async for got in user(f"ws://127.0.0.1:{port}/ws", "listens"):
                heard.append(got)
        check(acks == [("ann,bob", 1)] * 3 and heard == [{"heard": [1]}] and len(binds) == 1, (acks, heard, binds))
    asyncio.run(test())


def packed():
    """The package that npm makes can be installed and holds what it needs; the README's example runs as it stands."""
    server = Server()

    async def test():
        with tempfile.TemporaryDirectory(prefix="rookery-client-") as folder:
            def words(*given, **more):
                return subprocess.run(given, cwd=folder, check=True, capture_output=True, text=True, timeout=PATIENCE, **more).stdout
            name = json.loads(words("npm", "pack", "--json", f"{ROOT}/web/client"))[0]["filename"]
            words("npm", "init", "--yes")
            words("npm", "install", "--offline", "--no-audit", "--no-fund", f"./{name}")
            with open(f"{ROOT}/web/client/README.md", encoding="utf-8") as file:
                example = re.search(r"```js\n(.*?)```", file.read(), re.S)[1]
            check(example.count("\n") <= 60, "the example has more than 60 lines")
            with open(f"{folder}/example.mjs", "w", encoding="utf-8") as file:
                file.write(example)
            said = await asyncio.to_thread(words, "node", "example.mjs", env={**os.environ, "ROOKERY_URL": server.url})
            for line in ("message 1 of ann,bob is stored", "ann: Hello Bob!", "bob has read it", "ann is typing …", 'ann,bob: 0 unread, last "Hello dear Bob!"',
                         "in history: Hello dear Bob!, 👍 by 1", "bob got 3000000 bytes", "not-owner"):
                check(line in said.split("\n"), f"{line!r} isn't in\n{said}")
    live(server, test)


def clients():
    """The clients of docs/clients, in C and Python: each says something to the other, over a server that is killed in between."""
    server, started = Server(), []

    async def test():
        proxy = Proxy(server)
        await proxy.start()
        port = re.search(r":(\d+)/", proxy.url)[1]
        with tempfile.TemporaryDirectory(prefix="rookery-client-") as folder:
            flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libwebsockets", "libcjson"], check=True, capture_output=True,
                                   text=True).stdout.split()
            subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-o", f"{folder}/client", f"{ROOT}/docs/clients/client.c", *flags],
                           check=True, timeout=PATIENCE)

            async def begin(*words):
                started.append(await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE))
                return started[-1]

            async def says(process, *expected):
                for line in expected:
                    said = (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode().strip()
                    check(said == line, f"{said!r} for {line!r}")
            python = await begin("/usr/bin/python3", f"{ROOT}/docs/clients/client.py", proxy.url, "pia", "cid", 'Hi "Cid" 上海')
            await says(python, "ok 1")
            server.stop(signal.SIGKILL)
            proxy.cut()
            ours = await begin(f"{folder}/client", "127.0.0.1", port, "cid", "pia", 'Hi "Pia" 上海')
            server.start()
            heard = {(await asyncio.wait_for(ours.stdout.readline(), PATIENCE)).decode().strip() for _ in range(2)}
            check(heard == {"ok 2", 'pia: Hi "Cid" 上海'}, heard)
            await says(python, 'cid: Hi "Pia" 上海')
        proxy.listener.close()

    async def ended():
        try:
            await test()
        finally:
            for process in started:
                process.kill()
                await process.wait()
    live(server, ended)


if __name__ == "__main__":
    run(through, files, failing, refusals, forged, acked_again, packed, clients)
