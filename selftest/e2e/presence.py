#!/usr/bin/python3
#  runs: asan mysql shards
"""presence.py - whether users are here: who may know, grace, gateways that join, a crowd; what isn't worth keeping is left out"""

import asyncio
import json

from rookery import PATIENCE, Server, Talker, chat, check, live, run, shake_hands
from app import with_server
from foreign_gateway import Gateway


async def acquainted(server, *uids):
    """Users, each of whom has said something to each."""
    clients = [await Talker.open(server, uid, "phone-1") for uid in uids]
    for client in clients:
        for uid in uids:
            if uid != client.uid:
                await client.request(chat(client.uid, uid, "hello"), "ok")
    return clients


@with_server()
async def come_and_go(server):
    ann, bob = await acquainted(server, "ann", "bob")
    answer = await ann.ok("presence", subscribe=["bob", "nobody"])
    check([one["uid"] for one in answer["users"]] == ["bob"], answer)
    check((await ann.hear("presence"))["devices"] == ["phone"], "bob is here")
    desk = await Talker.open(server, "bob", "desk")
    await desk.close()
    await bob.close()
    again = await Talker.open(server, "bob", "phone-1")    # Within the grace
    await again.close()
    got = await ann.hear("presence")
    check((got["uid"], got["online"]) == ("bob", False) and got["seen"] > 1.7e12, got)
    await Talker.open(server, "bob", "tablet7")
    got = await ann.hear("presence")
    check((got["online"], got["devices"]) == (True, ["tablet"]), got)
    await ann.quiet("presence")
    await ann.ok("presence", unsubscribe=["bob"], subscribe=["ann"])
    check((await ann.hear("presence"))["uid"] == "ann", "oneself")
    await ann.request(chat("ann", "ghost", "are you there?"), "ok")    # Who was never here is watched, too
    answer = await ann.ok("presence", subscribe=["ghost", "ann"])
    check([(one["uid"], "seen" in one) for one in answer["users"]] == [("ghost", False), ("ann", True)], answer)
    check(not (await ann.hear("presence", uid="ghost"))["online"], "it isn't here")
    rows = server.store.ask("SELECT seen > 1700000000000 FROM user WHERE uid = 'bob'")
    check(int(rows[0][0]) == 1, "when bob was seen isn't stored")


@with_server()
async def who_may_know(server):
    """Who has a conversation in common and isn't blocked; a block ends it."""
    ann, bob = await acquainted(server, "ann", "bob")
    eve, zed = await Talker.open(server, "eve"), await Talker.open(server, "zed")
    for uids in (["ann"], ["ann", "bob", "zed"]):
        check((await eve.ok("presence", subscribe=uids))["users"] == [], "eve knows nobody")
    await eve.quiet("presence")
    for client in (eve, zed):
        await client.ok("groupJoin", groupID="club")
    check(len((await eve.ok("presence", subscribe=["zed"]))["users"]) == 1, "they are in a group")
    await eve.hear("presence", uid="zed", online=True)
    await ann.ok("presence", subscribe=["bob"])
    await ann.hear("presence", uid="bob", online=True)
    await bob.ok("block", uid="ann")
    check((await ann.ok("presence", subscribe=["bob"]))["users"] == [], "ann is blocked")
    await bob.close()
    bob = await Talker.open(server, "bob")
    await asyncio.sleep(0)
    # A list of groups doesn't end what one watches
    await eve.ok("groupLeave", groupID="club")
    await zed.close()
    await eve.hear("presence", uid="zed", online=False)
    await ann.quiet("presence")
    for wrong in ({"subscribe": "bob"}, {"subscribe": ["a b"]}, {"subscribe": [f"u{nbr}" for nbr in range(51)]}):
        await ann.refused("bad-request", "presence", **wrong)


@with_server()
async def too_many(server):
    ann, *_ = await acquainted(server, "ann", "bob")
    server.store.ask("INSERT INTO member (uid, conversation, direct, since) VALUES "
                     + ", ".join(f"('ann', 'ann,u{nbr:04}', 1, 0)" for nbr in range(1100)))
    server.store.ask("INSERT INTO user (uid, seen) VALUES " + ", ".join(f"('u{nbr:04}', 5)" for nbr in range(1100)))
    for first in range(0, 1100, 50):
        answer = await ann.ok("presence", subscribe=[f"u{nbr:04}" for nbr in range(first, first + 50)])
        check(len(answer["users"]) == 50 and answer["users"][0]["seen"] == 5, answer)
    await ann.hear("error", code="too-many")
    await ann.ok("heart")
    check(len([got for got in ann.heard if got["action"] == "presence"]) == 1000, "so many are watched")


def gateway_joins():
    """A gateway that joins tells who is on it; nobody hears of users who were here all along, and who watches goes on watching."""
    server = Server("gateway/enabled=0", "worker/count=2", "sender/ping=1500")
    py = Gateway(server, b"py")
    try:
        def said(cid, message):
            py.send(b"upstream", cid, json.dumps(message).encode())

        def presence():
            while True:
                frames = py.receive()
                if frames[0] == b"downstream" and b'"presence"' in frames[3]:
                    return frames[1:3], json.loads(frames[3])

        def joined():
            py.send(b"status", b"connected", b"py.1", b"ann", b"presence bob", b"phone")
            py.send(b"status", b"connected", b"py.2", b"bob", b"", b"desk")
        for cid, uid in ((b"py.1", "ann"), (b"py.2", "bob")):
            py.send(b"status", b"connected", cid)
            said(cid, {"uid": uid, "device": "phone" if uid == "ann" else "desk"})
        bound = set()
        while len(bound) < 2:
            frames = py.receive()
            if frames[0] == b"downstream" and b'"bindRsp"' in frames[3]:
                bound.add(frames[2])
        said(b"py.1", chat("ann", "bob", "1"))
        said(b"py.1", {"action": "presence", "subscribe": ["bob"]})
        where, told = presence()
        check(where == [b"cid", b"py.1"] and told["online"] and told["devices"] == ["desk"], (where, told))
        server.stop()
        server.start()
        py.close()
        py.__init__(server, b"py")
        joined()
        said(b"py.2", {"action": "heart"})
        while b"heartRsp" not in (frames := py.receive())[-1]:
            check(b'"presence"' not in frames[-1], frames)
        py.send(b"status", b"closed", b"py.2", b"bob")
        where, told = presence()
        check(told["uid"] == "bob" and not told["online"], told)
        py.close()
        check(server.stop() == 0, "exit status")
    finally:
        server.remove()


@with_server()
async def crowd(server):
    """Many who come and go at once, watched by many: each watcher knows in the end how it stands."""
    watchers = [await Talker.open(server, f"w{nbr}", "phone") for nbr in range(10)]
    users = [f"u{nbr}" for nbr in range(40)]
    for one in watchers:
        one.strict = False
        await one.ok("groupJoin", groupID="club")
    clients = {}
    for uid in users:
        clients[uid] = await Talker.open(server, uid)
        await clients[uid].ok("groupJoin", groupID="club")
    for one in watchers:
        await one.ok("presence", subscribe=users)
    for uid in users[::2]:
        await clients[uid].close()
    for uid in users[::4]:
        clients[uid] = await Talker.open(server, uid)
    away = {uid for nbr, uid in enumerate(users) if nbr % 4 == 2}
    for one in watchers:
        known, gone = {}, set()
        while gone != away:
            got = one.heard.pop(0) if one.heard else await one.receive()
            if got["action"] == "presence":
                known[got["uid"]] = got["online"]
                gone = {uid for uid, here in known.items() if not here}
        check(set(known) == set(users), known)


def hints():
    """Who doesn't read gets what is said, and no hints that somebody writes."""
    server = Server("gateway/queue=65536", "gateway/slow=60")

    async def test():
        ann = await Talker.open(server, "ann")
        reader, writer = await shake_hands(server, rcvbuf=4096)
        bind = json.dumps({"uid": "bob"}).encode()
        writer.write(bytes([0x81, 0x80 | len(bind)]) + bytes(4) + bind)
        await asyncio.wait_for(reader.readuntil(b"bindRsp"), PATIENCE)
        await ann.request(chat("ann", "bob", "0"), "ok")
        nbr = 0
        while server.counters()["gateway"].get("hints_left_out", 0) == 0:
            for _ in range(20):
                nbr += 1
                await ann.request(chat("ann", "bob", str(nbr), text="x" * 10000), "ok")
                await ann.send({"action": "typing", "conversation": "ann,bob"})
            check(nbr < 20000, "no hint is ever left out")
        writer.close()
    live(server, test)


if __name__ == "__main__":
    run(come_and_go, who_may_know, too_many, gateway_joins, crowd, hints)
