#!/usr/bin/python3
#  runs: asan, waits
"""moves.py - which app server a gateway gives a connection to, tried with two that are made of sockets and do as they are told"""

import asyncio
import json

import zmq
import zmq.asyncio

from rookery import PATIENCE, Client, Server, check, live, run


class App:
    """The two endpoints of an app server. It answers pings while lives is true."""

    def __init__(self, name):
        self.name, self.lives, self.gateway, self.pinged = name, True, None, False
        self.up, self.down, self.tasks = None, None, []
        self.context = zmq.asyncio.Context()
        self.heard = asyncio.Queue()
        self.upstream = self.downstream = None

    def bind(self):
        self.up, self.down = self.context.socket(zmq.PULL), self.context.socket(zmq.ROUTER)
        self.up.linger = self.down.linger = 0
        self.up.rcvhwm = 1
        for socket, known in ((self.up, self.upstream), (self.down, self.downstream)):
            socket.bind(known or "tcp://127.0.0.1:*")
        self.upstream, self.downstream = (one.getsockopt(zmq.LAST_ENDPOINT).decode() for one in (self.up, self.down))
        return self

    def start(self):
        self.tasks = [asyncio.ensure_future(self.read_up()), asyncio.ensure_future(self.read_down())]

    async def read_up(self):
        while True:
            await self.heard.put([frame.decode() for frame in await self.up.recv_multipart()])

    async def read_down(self):
        while True:
            gateway, *frames = await self.down.recv_multipart()
            if not self.lives:
                continue
            self.gateway = gateway
            if frames[0] == b"hello":
                await self.say("welcome", "1")
            elif frames[0] == b"ping":
                self.pinged = True
                await self.say("pong")

    async def say(self, *frames):
        await self.down.send_multipart([self.gateway, *(frame.encode() for frame in frames)])

    async def hears(self, *frames):
        """The next frames must be these; ... stands for any. Returns the CID."""
        got = await asyncio.wait_for(self.heard.get(), PATIENCE)
        check(len(got) == len(frames) and all(want in (..., one) for want, one in zip(frames, got)), f"{self.name}: {frames} expected, not {got}")
        return got[2 if got[0] == "status" else 1]

    async def hears_nothing(self):
        check(self.heard.empty(), f"{self.name} hears {self.heard}")

    async def dies(self, gateway):
        for task in self.tasks:
            task.cancel()
        self.up.close()
        self.down.close()
        while f"to app server {self.name}" not in gateway.logged():
            await asyncio.sleep(0.02)

    def close(self):
        for task in self.tasks:
            task.cancel()
        self.context.destroy(0)


def with_two(test, away=600000):
    """Runs test (gateway, a1, a2) on a gateway of both, which have welcomed it; neither is taken for dead before so many msec."""
    apps = [App("a1").bind(), App("a2").bind()]
    settings = [f"gateway/app/{app.name}/{way}={getattr(app, way)}" for app in apps for way in ("upstream", "downstream")]
    gateway = Server("app/enabled=0", "gateway/id=gw", f"gateway/away={away}", *settings)

    async def whole():
        try:
            for app in apps:
                app.start()
            while not all(app.pinged for app in apps):    # As who has welcomed it is
                await asyncio.sleep(0.01)
            await test(gateway, *apps)
        finally:
            for app in apps:
                app.close()
    live(gateway, whole)


async def open_on(gateway, app, other=None):
    """A connection that this app server has: the one with the fewest gets the next."""
    client = await Client.open(gateway)
    if other:
        await other.hears("status", "connected", ...)
        client = await Client.open(gateway)
    return client, await app.hears("status", "connected", ...)


def by_turns():
    """New connections go to the app server that has the fewest, and to one that is here."""
    async def test(gateway, a1, a2):
        clients = [await Client.open(gateway) for _ in range(6)]
        for app in (a1, a2):
            for _ in range(3):
                await app.hears("status", "connected", ...)
        a2.lives = False
        while "app server a2 does not answer" not in gateway.logged():
            await asyncio.sleep(0.05)
        clients.append(await Client.open(gateway))
        for _ in range(4):    # The three that a2 had, and the new one
            await a1.hears("status", "connected", ...)
        await a2.hears_nothing()
    with_two(test, 3000)


def bye():
    """At bye connections go over in order: behind all that was said the old app server is told; what is said meanwhile waits; and
    each hears from the one that has it alone."""
    async def test(gateway, a1, a2):
        client, cid = await open_on(gateway, a1)
        other, other_cid = await open_on(gateway, a2)
        await client.send('{"nbr":1}')
        await a1.hears("upstream", cid, '{"nbr":1}')
        await a1.say("setting", "uidmap", cid, "ann", "phone")
        await a1.say("setting", "gidmap", cid, "g,h")
        await a1.say("bye")
        await a1.hears("status", "moving", cid, "ann")
        await client.send('{"nbr":2}')
        await a2.say("downstream", "cid", cid, '"too early"')
        await a2.say("downstream", "uid", "ann", '"too early"')
        await a2.say("downstream", "cid", other_cid, '"behind it"')
        check(json.loads(await other.socket.recv()) == "behind it", "the gateway has read what a2 said")
        await a1.say("downstream", "cid", cid, '"last"')
        check(json.loads(await client.socket.recv()) == "last", "the old one's last word")
        await a2.hears_nothing()
        await a1.say("setting", "moved", cid, "-")
        await a2.hears("status", "connected", cid, "ann", ..., "phone")
        await a2.hears("upstream", cid, '{"nbr":2}')
        await client.send('{"nbr":3}')
        await a2.hears("upstream", cid, '{"nbr":3}')
        for kind, name in (("cid", cid), ("uid", "ann"), ("gid", "g")):
            await a1.say("downstream", kind, name, '"too late"')
        await a1.say("setting", "status", cid, "closed")
        #  The new one says itself which groups it listens to
        await a2.say("downstream", "gid", "g", '"too early"')
        await a2.say("setting", "gidmap", cid, "g")
        for kind, name in (("cid", cid), ("uid", "ann"), ("gid", "g")):
            await a2.say("downstream", kind, name, f'"{kind}"')
            check(json.loads(await client.socket.recv()) == kind, kind)
        #  Nobody new comes to one that says bye
        for _ in range(3):
            await Client.open(gateway)
            await a2.hears("status", "connected", ...)
        await a1.hears_nothing()
    with_two(test)


def dies():
    """An app server that is gone for long loses its connections, in order and with all that waited; when it comes back it hears of
    that."""
    async def test(gateway, a1, a2):
        client, cid = await open_on(gateway, a1)
        await a1.say("setting", "uidmap", cid, "ann")
        await a1.say("downstream", "cid", cid, '"bound"')
        await client.socket.recv()
        await a1.dies(gateway)
        for nbr in range(3):
            await client.send(f'{{"nbr":{nbr}}}')
        await a2.hears("status", "connected", cid, "ann")
        for nbr in range(3):
            await a2.hears("upstream", cid, f'{{"nbr":{nbr}}}')
        a1.bind()
        a1.start()
        await a1.hears("status", "moving", cid)
        await a1.say("setting", "moved", cid, "-")
        await client.send('{"nbr":4}')
        await a2.hears("upstream", cid, '{"nbr":4}')
    with_two(test, 3000)


def sleeps():
    """One that is there and does nothing, as a stopped process, loses its connections; what waited for it in the socket doesn't
    reach it when it wakes up, nor what it says then a client."""
    async def test(gateway, a1, a2):
        client, cid = await open_on(gateway, a1)
        await a1.say("setting", "uidmap", cid, "ann")
        await a1.say("downstream", "cid", cid, '"bound"')
        await client.socket.recv()
        a1.lives = False
        a1.tasks[0].cancel()
        text = "x" * 60000
        for nbr in range(600):    # More than its kernel takes
            await client.send(json.dumps([nbr, text]))
        await a2.hears("status", "connected", cid, "ann")
        first = None
        while True:    # A part of them is lost with it: unanswered, as the client sees
            got = await asyncio.wait_for(a2.heard.get(), PATIENCE)
            check(got[:2] == ["upstream", cid], got[:2])
            nbr = json.loads(got[2])[0]
            check(first is None or nbr == first + 1, f"{nbr} behind {first}")
            first = nbr
            if nbr == 599:
                break
        await a1.say("downstream", "cid", cid, '"stale"')
        a1.lives = True
        a1.tasks[0] = asyncio.ensure_future(a1.read_up())
        last = None
        while True:
            got = await asyncio.wait_for(a1.heard.get(), PATIENCE)
            if got[0] == "status":
                check(got == ["status", "moving", cid], got)
                break
            last = json.loads(got[2])[0]
        check(last is None or last < 599, "it has got what went to another one")
        await a2.say("downstream", "cid", cid, '"fresh"')
        check(json.loads(await client.socket.recv()) == "fresh", "what a stale app server said")
    with_two(test, 3000)


def forgotten():
    """An app server that lets go of a connection unasked took something old for news: it hears of the connection again."""
    async def test(gateway, a1, a2):
        client, cid = await open_on(gateway, a1)
        await a1.say("setting", "uidmap", cid, "ann", "phone")
        await client.send('"one"')
        await a1.hears("upstream", cid, '"one"')
        await a1.say("setting", "moved", cid, "-")
        await a1.hears("status", "connected", cid, "ann", "", "phone")
        await client.send('"two"')
        await a1.hears("upstream", cid, '"two"')
        await a2.hears_nothing()
    with_two(test)


def expelled():
    """What a client has said to an app server that is dead goes to the next owner as soon as the ring is without that one, behind who says it."""
    async def test(gateway, a1, a2):
        await a2.say("setting", "ring", "10", "a1")
        client = await Client.open(gateway)
        while a1.heard.empty() and a2.heard.empty():
            await asyncio.sleep(0.005)
        first = a1 if a2.heard.empty() else a2
        cid = await first.hears("status", "connected", ...)
        await first.say("setting", "uidmap", cid, "ann")
        if first is a2:
            await a2.hears("status", "moving", cid, "ann")
            await a2.say("setting", "moved", cid, "-")
            await a1.hears("status", "connected", cid, "ann")
        await client.send('"known"')
        await a1.hears("upstream", cid, '"known"')
        await a1.dies(gateway)
        await client.send('"waits"')
        while gateway.counters()["gateway"]["from:clients"] < 2:
            await asyncio.sleep(0.02)
        await a2.say("setting", "ring", "11", "a2")
        await a2.hears("status", "connected", cid, "ann")
        await a2.hears("upstream", cid, '"waits"')
        await client.send('"and goes on"')
        await a2.hears("upstream", cid, '"and goes on"')
    with_two(test)


def ring():
    """With a ring each connection goes to the owner of its user when it is bound, and again when the ring changes; an older ring
    changes nothing, and one that names nobody we know neither."""
    async def test(gateway, a1, a2):
        await a1.say("setting", "ring", "10", "a1,a2")
        owners, clients = {}, {}
        for nbr in range(8):
            client = await Client.open(gateway)
            while a1.heard.empty() and a2.heard.empty():
                await asyncio.sleep(0.005)
            first, other = (a1, a2) if a2.heard.empty() else (a2, a1)
            cid = await first.hears("status", "connected", ...)
            await first.say("setting", "uidmap", cid, f"user{nbr}")
            await first.say("downstream", "cid", cid, '"bound"')
            await client.socket.recv()
            await client.send('"said"')
            got = await asyncio.wait_for(first.heard.get(), PATIENCE)
            if got[0] == "status":
                check(got == ["status", "moving", cid, f"user{nbr}"], got)
                await first.say("setting", "moved", cid, "-")
                await other.hears("status", "connected", cid, f"user{nbr}")
                await other.hears("upstream", cid, '"said"')
                first = other
            owners[cid], clients[cid] = first.name, client
        check(set(owners.values()) == {"a1", "a2"}, owners)
        moved = [cid for cid, name in owners.items() if name == "a1"]
        await a1.say("setting", "ring", "11", "a2")
        for _ in moved:
            cid = await a1.hears("status", "moving", ..., ...)
            await a1.say("setting", "moved", cid, "-")
            await a2.hears("status", "connected", cid, ...)
        for epoch, names in (("9", "a1"), ("12", "strangers,only")):
            await a2.say("setting", "ring", epoch, names)
        cid = moved[0]    # When it hears this, the gateway has taken what was said before
        await a2.say("downstream", "cid", cid, '"seen"')
        await clients[cid].socket.recv()
        client = await Client.open(gateway)
        await a1.hears("status", "connected", ...)
        await a2.hears_nothing()
    with_two(test)


if __name__ == "__main__":
    run(by_turns, bye, dies, sleeps, forgotten, expelled, ring)
