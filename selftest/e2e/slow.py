#!/usr/bin/python3
#  runs: plain
"""slow.py - slow clients, gateways, stores, links and workers: memory stays bounded, who is slow is named, and others go on

For each, honest users chat at a steady pace before and meanwhile, and each chat is answered and delivered in order; what
they waited is printed (script/soak --only hostile and script/bench compare figures)."""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time

import zmq
import zmq.asyncio

from rookery import PATIENCE, Client, Server, chat, check, live, memory_of, run, shake_hands
from services import MariaDB

PACE = 0.005       # seconds between an honest user's chats
SAMPLES = 200
MEMORY = 60_000    # KB that a server may grow by
SANITIZED = "asan" in (sys.argv[1] if len(sys.argv) > 1 else "")


class Honest:
    """A pair that chats, or one that only says that its heart beats; it keeps the time each took."""

    def __init__(self, server, name, hearts=False):
        self.server, self.name, self.hearts, self.nbr = server, name, hearts, 0

    async def start(self):
        self.one, self.two = await Client.open(self.server, f"{self.name}-a"), await Client.open(self.server, f"{self.name}-b")
        return self

    async def say(self):
        self.nbr += 1
        began = time.monotonic()
        if self.hearts:
            check((await self.one.ask({"action": "heart"}))["code"] == "ok", "heart")
        else:
            await self.one.send(chat(f"{self.name}-a", f"{self.name}-b", str(self.nbr)))
            check((await self.two.receive())["content"]["chatID"] == str(self.nbr), "order")
            check((await self.one.receive())["code"] == "ok", "answer")
        return time.monotonic() - began

    async def p99(self, until=None):
        """Over SAMPLES chats, and for as long as the task until isn't done."""
        times = []
        while len(times) < SAMPLES or until and not until.done():
            times.append(await self.say())
            await asyncio.sleep(PACE)
        if until:
            until.result()
        return sorted(times)[len(times) * 99 // 100]


async def unharmed(server, what, slowness, hearts=False):
    """Runs the coroutine slowness beside an honest pair."""
    honest = await Honest(server, "honest", hearts).start()
    memory = memory_of(server)
    before = await honest.p99()
    meanwhile = await honest.p99(asyncio.create_task(slowness))
    grown = memory_of(server) - memory
    print(f"   {what}: p99 {before * 1000:.1f} ms before, {meanwhile * 1000:.1f} ms meanwhile, memory grew by {grown} KB", flush=True)
    check(SANITIZED or grown < MEMORY, f"{what}: memory grew by {grown} KB")


async def wait_for(what, said):
    until = time.monotonic() + PATIENCE
    while not said():
        check(time.monotonic() < until, what)
        await asyncio.sleep(0.05)


def client():
    """One that never reads is held back, then closed with a reason; when it comes back it gets what it missed."""
    server = Server("gateway/queue=300000")

    async def test():
        _, writer = await shake_hands(server, 4096)
        payload = b'{"uid":"slow"}'
        writer.write(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)

        async def slowness():
            eve, nbr = await Client.open(server, "eve"), 0
            until = time.monotonic() + PATIENCE
            while "slow: messages waited" not in server.logged() and "is too slow" not in server.logged():
                check(time.monotonic() < until, "it is never closed")
                check((await eve.ask(chat("eve", "slow", str(nbr), text="x" * 20_000)))["code"] == "ok", "chat")
                nbr += 1
        await unharmed(server, "a client that doesn't read", slowness())
        check(server.counters()["gateway"]["slow"] == 1, "not counted")
        again = await Client.open(server, "slow", "new")
        check((await again.receive())["content"]["chatID"] == "0", "what it missed")
        writer.close()
    live(server, test)


def gateway():
    """One that takes nothing: frames wait for it, up to a limit and for a while; then it is away, and comes back."""
    server = Server("sender/ping=300", "sender/keep=1500", "sender/backlog=1000", "chat/durability=relayed")
    context = zmq.asyncio.Context()

    async def test():
        up, down = context.socket(zmq.PUSH), context.socket(zmq.DEALER)
        up.connect(server.upstream)
        down.routing_id, down.rcvhwm = b"py", 10
        down.connect(server.downstream)
        await down.send_multipart([b"hello", b"1"])
        check((await asyncio.wait_for(down.recv_multipart(), PATIENCE))[0] == b"welcome", "no welcome")
        await up.send_multipart([b"status", b"connected", b"py.1", b"far"])

        async def slowness():
            eve = await Client.open(server, "eve")
            for nbr in range(4000):
                await eve.send(chat("eve", "far", str(nbr), text="x" * 2000))
                answer = await eve.receive()
                check(answer["code"] == "ok", answer)
        await unharmed(server, "a gateway that takes nothing", slowness())
        await wait_for("the log doesn't name it", lambda: "gateway py" in server.logged())
        counted = server.counters()["sender"]
        check(sum(value for name, value in counted.items() if name.startswith("undelivered")) > 0, counted)
        # It comes back to life
        eve = await Client.open(server, "eve")
        reading = True

        async def read():
            while reading:
                frames = await down.recv_multipart()
                if frames[0] == b"ping":
                    await down.send_multipart([b"pong"])
                elif frames[0] == b"refused":
                    await down.send_multipart([b"hello", b"1"])
                elif frames[0] == b"welcome":
                    await up.send_multipart([b"status", b"connected", b"py.1", b"far"])
                elif b"back" in frames[-1]:
                    return
        task = asyncio.create_task(read())
        await down.send_multipart([b"hello", b"1"])
        until = time.monotonic() + PATIENCE
        while not task.done():
            check(time.monotonic() < until, "nothing comes any more")
            await eve.ask(chat("eve", "far", f"b{time.monotonic()}", text="back"))
            await asyncio.sleep(0.1)
        await task
    try:
        live(server, test)
    finally:
        context.destroy(linger=0)


def store():
    """A database that hangs: chats fail with a reason, what doesn't need it goes on; then all is well again."""
    os.environ["ROOKERY_STORE"] = "mysql"
    mariadb = MariaDB.shared()
    server = Server("worker/timeout=1000", "mysql/main/timeout=1000", "store/queue=200")
    del os.environ["ROOKERY_STORE"]

    async def test():
        flooders = [await Client.open(server, f"f{nbr}") for nbr in range(10)]

        async def slowness():
            mariadb.process.send_signal(signal.SIGSTOP)
            try:
                for nbr in range(100):
                    await asyncio.gather(*[flooder.send(chat(f"f{who}", "x", f"{who}-{nbr}")) for who, flooder in enumerate(flooders)])
                codes = [(await flooder.receive())["code"] for flooder in flooders for _ in range(100)]
                check("store-unavailable" in codes, codes)
            finally:
                mariadb.process.send_signal(signal.SIGCONT)
        await unharmed(server, "a store that hangs", slowness(), hearts=True)
        check("the store failed" in server.logged(), "not logged")
        until = time.monotonic() + PATIENCE
        while (await flooders[0].ask(chat("f0", "x", "after")))["code"] != "ok":
            check(time.monotonic() < until, "the store stays away")
            await asyncio.sleep(0.1)
    live(server, test)


def link():
    """A service that takes nothing: its queue is full, handlers are told; then it goes on."""
    context = zmq.Context()
    service = context.socket(zmq.PULL)
    service.rcvhwm = 1
    port = service.bind_to_random_port("tcp://127.0.0.1")
    server = Server(f"link/damR/endpoint=tcp://127.0.0.1:{port}", "link/damR/queue=50", "gateway/unbound=1048576")

    async def test():
        device = await Client.open(server)

        async def slowness():
            refused, until = 0, time.monotonic() + PATIENCE
            while refused < 200:
                check(time.monotonic() < until, "its queue has no limit")
                answer = await device.ask({"action": "powerOn", "IMEI": "1" * 1000, "more": "x" * 100_000})
                refused += answer["code"] == "link-unavailable"
        await unharmed(server, "a service that takes nothing", slowness())
        counted = server.counters()
        check(sum(actor.get("link_damR_refused", 0) for actor in counted.values()) >= 200, "not counted")
        service.rcvtimeo = 5000
        until = time.monotonic() + PATIENCE
        while (await device.ask({"action": "powerOn", "IMEI": "after"}))["code"] != "ok":
            check(time.monotonic() < until, "the link stays full")
            service.recv_multipart()
    try:
        live(server, test)
    finally:
        context.destroy(linger=0)


def worker():
    """A handler that computes: its worker's other users wait for its budget at the most, those of others not at all."""
    folder = tempfile.mkdtemp(prefix="rookery-slow-")
    with open(f"{folder}/spin.lua", "w") as file:
        file.write('return {action = "spin", handle = function () while true do end end}')
    server = Server("worker/count=2", "lua/time=100", "lua/instructions=1000000000000", f"lua/app=lua/app,{folder}")

    async def test():
        eve = await Client.open(server, "eve")
        pairs = [await Honest(server, f"p{nbr}", hearts=True).start() for nbr in range(8)]
        before = max(await asyncio.gather(*[pair.p99() for pair in pairs]))

        async def spin():
            for _ in range(20):
                check((await eve.ask({"action": "spin"}))["code"] == "internal", "no end")
        spinning = asyncio.create_task(spin())
        times = sorted(await asyncio.gather(*[pair.p99(spinning) for pair in pairs]))
        print(f"   a handler that computes: p99 {before * 1000:.1f} ms before, {times[0] * 1000:.1f} to {times[-1] * 1000:.1f} ms meanwhile")
        check("handler spin failed" in server.logged() and "budget" in server.logged(), "not logged")
        check(sum(actor.get("budget_spent", 0) for actor in server.counters().values()) == 20, "not counted")
        await asyncio.gather(*[pair.p99() for pair in pairs])
    live(server, test)


def large_to_many():
    """An attachment to a group that is more, times its members, than all queues may hold, closes nobody who reads."""
    server = Server("chat/durability=relayed", "server/queues=268435456")
    members, size = 400, 1_000_000

    async def hears(member):
        while "attachment" not in (message := await member.receive()):
            pass
        check(len(message["attachment"]) == size, "the attachment")

    async def test():
        clients = [await Client.open(server, f"user{nbr}") for nbr in range(members)]
        for member in clients:
            await member.ask({"action": "groupJoin", "groupID": "club"})
        text = json.dumps({"action": "chatGroup", "content": {"fromAccountID": "user0", "chatGroupID": "club", "chatID": "big"}}).encode()
        hearing = [asyncio.ensure_future(hears(member)) for member in clients]
        await clients[0].send(len(text).to_bytes(4, "big") + text + b"x" * size)
        await asyncio.gather(*hearing)
    live(server, test)


if __name__ == "__main__":
    run(large_to_many, client, gateway, store, link, worker)
