#!/usr/bin/python3
#  runs: asan mysql shards
"""order.py - what a device hears: each conversation in order of seq, its groups as the store says, its own cursor, whatever
happens at the same moment: binds under live traffic, removals that race binds, gateways and app servers that come back"""

import asyncio
import json
import random
import re
import signal
import subprocess

from foreign_gateway import Gateway
from rookery import PATIENCE, Client, Server, chat, check, live, run
from split import start_app, start_gateway

LONG = 240   # seconds that a test may take on a slow machine


def group_chat(sender, gid, chat_id):
    return {"action": "chatGroup", "content": {"fromAccountID": sender, "chatGroupID": gid, "chatID": chat_id}}


async def ask(client, message, code="ok"):
    """The answer to a request, among whatever else comes; that is kept in client.other."""
    await client.send(message)
    while True:
        got = await client.receive()
        if got["action"] == message.get("action", "bind") + "Rsp":
            check(got["code"] == code, f"{message}: {got}")
            return got
        client.other.append(got)


async def opened(server, uid=None, device=None):
    client = await Client.open(server)
    client.other = []
    if uid:
        await ask(client, {"uid": uid, **({"device": device} if device else {})})
    return client


class Talker:
    """Says one chat after the other until it is told to stop."""

    def __init__(self, client, name, message, pace=0):
        self.client, self.name, self.message, self.pace, self.count, self.going = client, name, message, pace, 0, True
        self.task = asyncio.create_task(self.go())

    async def go(self):
        while self.going:
            self.count += 1
            await ask(self.client, self.message(self.name, self.count))
            await asyncio.sleep(self.pace)

    async def stop(self):
        self.going = False
        await self.task


async def acks_one(server, uid, device, conversation="ann,bob"):
    """A device that acks: one that never has is given little time for a page."""
    client = await opened(server, uid, device)
    while (got := await client.receive())["action"] != "chat":
        pass
    await ask(client, {"action": "ack", "conversation": conversation, "seq": got["seq"]})
    await client.close()


async def in_order(client, conversation, last, acks=False, timeout=PATIENCE, seen=0):
    """Takes what comes behind seq seen, until seq last of the conversation; each must come once and in order of seq."""

    async def take():
        nonlocal seen
        while seen < last:
            got = client.other.pop(0) if client.other else await client.receive()
            if "seq" not in got or got["action"] not in ("chat", "chatGroup"):
                continue
            content = got["content"]
            of = content.get("chatGroupID") or ",".join(sorted((content["fromAccountID"], content["toAccountID"])))
            if of != conversation:
                continue
            check(got["seq"] == seen + 1, f"{conversation}: {got['seq']} comes behind {seen}")
            seen = got["seq"]
            if acks:
                await client.send({"action": "ack", "conversation": conversation, "seq": seen})
    try:
        await asyncio.wait_for(take(), timeout)
    except asyncio.TimeoutError:
        raise AssertionError(f"{conversation}: nothing comes behind {seen}, {last} is expected")


def binds_under_traffic():
    """A user who binds while others talk to it and in its group gets all from the first one on, in order."""
    server = Server("worker/count=3", "chat/page=1000")    # Who never acks gets one page

    async def test():
        for nbr in range(40):
            bob, gid = f"bob{nbr}", f"g{nbr}"
            ann, eve, joined = await opened(server, "ann"), await opened(server, "eve"), await opened(server, bob)
            for client in (eve, joined):
                await ask(client, {"action": "groupJoin", "groupID": gid})
            await joined.close()
            talk = Talker(ann, "ann", lambda name, count: chat(name, bob, f"{bob}-{count}"))
            group = Talker(eve, "eve", lambda name, count: group_chat(name, gid, f"{gid}-{count}"))
            while min(talk.count, group.count) < 12:
                await asyncio.sleep(0)
            clients = [await opened(server, bob, device) for device in ("phone", "desk")]
            talked, grouped = talk.count + 20, group.count + 20
            for client in clients:
                await in_order(client, ",".join(sorted(("ann", bob))), talked)
            await talk.stop()
            await group.stop()
            late = await opened(server, bob, "late")
            await in_order(late, gid, min(grouped, group.count))
            for client in (ann, eve, late, *clients):
                await client.close()
    live(server, test, seconds=LONG)


def missed_and_live():
    """Of several pages missed and what is said meanwhile, a device that acks loses nothing and sees all in order."""
    server = Server("chat/page=20", "worker/count=2")

    async def test():
        ann = await opened(server, "ann")
        await ask(ann, chat("ann", "bob", "m0"))
        await acks_one(server, "bob", "phone")
        for nbr in range(1, 150):
            await ask(ann, chat("ann", "bob", f"m{nbr}"))
        talk = Talker(ann, "ann", lambda name, nbr: chat(name, "bob", f"{nbr}"))
        bob = await opened(server, "bob", "phone")
        await in_order(bob, "ann,bob", 150 + 100, acks=True, seen=1)
        await talk.stop()
        last = 150 + talk.count
        await ask(bob, {"action": "ack", "conversation": "ann,bob", "seq": 250})
        again = await opened(server, "bob", "phone")
        await in_order(again, "ann,bob", last, acks=True, seen=250)    # Nothing, if no more was said by then
    live(server, test, seconds=LONG)


def never_acks():
    """A client of old that acks nothing gets all in order as well, page by page, and then what was said meanwhile."""
    server = Server("chat/page=10")

    async def test():
        ann = await opened(server, "ann")
        for nbr in range(35):
            await ask(ann, chat("ann", "bob", f"m{nbr}"))
        bob = await opened(server, "bob")
        for nbr in range(1, 11):
            check((await bob.receive())["seq"] == nbr, "the first page")
        for nbr in range(5):
            await ask(ann, chat("ann", "bob", f"live{nbr}"))
        await in_order(bob, "ann,bob", 40, seen=10)
        await ask(ann, chat("ann", "bob", "behind"))
        await in_order(bob, "ann,bob", 41, seen=40)
    live(server, test)


def terminal():
    """The terminal client shows all that was missed and is said meanwhile, once each, and acks only what has no gap below: its
    next bind, however slow its acks were, begins where it had everything."""
    server = Server("chat/page=10", "worker/count=2")

    async def test():
        ann = await opened(server, "ann")
        for nbr in range(35):
            await ask(ann, chat("ann", "bob", f"m{nbr}", text=f"m{nbr}."))
        shown, count = [], 35
        for round in range(3):
            bob = await asyncio.create_subprocess_exec(server.binary, "chat", "--as", "bob", "--url", server.url, stdin=subprocess.PIPE,
                                                       stdout=subprocess.PIPE)
            bob.stdin.write(b"@ann\nfrom bob\n")
            if round == 1:
                bob.send_signal(signal.SIGSTOP)    # Longer than a page is waited for
            for _ in range(20):
                await ask(ann, chat("ann", "bob", f"m{count}", text=f"m{count}."))
                count += 1
            if round == 1:
                await asyncio.sleep(1.5)
                bob.send_signal(signal.SIGCONT)
            while f"m{count - 1}." not in " ".join(shown):
                line = await asyncio.wait_for(bob.stdout.readline(), PATIENCE)
                check(line, "the terminal client ended")
                shown += re.findall(r"\bm\d+\.", line.decode())
            last = count + round + 1    # With what bob has said
            while server.store.ask("SELECT seq FROM `cursor` WHERE uid = 'bob' AND device = ''") != [[str(last)]]:
                await asyncio.sleep(0.05)
            bob.stdin.write(b"/quit\n")
            await asyncio.wait_for(bob.wait(), PATIENCE)
        check(shown == [f"m{nbr}." for nbr in range(count)], shown)
    live(server, test)


def removed_while_binding():
    """Whoever is removed from a group while connections of it bind hears nothing of the group afterwards."""
    server = Server("worker/count=3")

    async def test():
        ann = await opened(server, "ann")
        await ask(ann, {"action": "groupCreate", "groupID": "club"})
        for round in range(60):
            bob = await opened(server, "bob")
            await ask(bob, {"action": "groupJoin", "groupID": "club"})
            bobs = [await opened(server) for _ in range(3)]
            jobs = [ask(one, {"uid": "bob"}) for one in bobs]
            jobs.insert(round % 4, ask(ann, {"action": "groupRemove", "groupID": "club", "uid": "bob"}))
            await asyncio.gather(*jobs)
            for one in bobs:    # Their catching up is over when the next request is answered
                await ask(one, {"action": "heart"})
            await ask(ann, group_chat("ann", "club", f"{round}"))
            for one in [bob, *bobs]:
                await ask(one, {"action": "heart"})
                heard = [got for got in one.other if got["action"] == "chatGroup" and got["content"]["chatID"] == f"{round}"]
                check(not heard, f"round {round}: one who was removed hears {heard}")
                await one.close()
    live(server, test, seconds=LONG)


def joins_while_binding():
    """What connections hear after all answers equals the store, whatever joins and leaves raced."""
    server = Server("worker/count=3")

    async def test():
        chance = random.Random(7)
        ann = await opened(server, "ann")
        groups = [f"g{nbr}" for nbr in range(4)]
        for gid in groups:
            await ask(ann, {"action": "groupJoin", "groupID": gid})
        for round in range(25):
            hands = [await opened(server, "bob") for _ in range(2)]
            fresh = [await opened(server) for _ in range(3)]
            jobs = [ask_any(one, {"action": chance.choice(("groupJoin", "groupLeave")), "groupID": gid})
                    for one in hands for gid in chance.sample(groups, 1)]
            jobs += [ask(one, {"uid": "bob"}) for one in fresh]
            chance.shuffle(jobs)
            await asyncio.gather(*jobs)
            for one in fresh:
                await ask(one, {"action": "heart"})
            mine = (await ask(hands[0], {"action": "groups"}))["groups"]
            for gid in groups:
                await ask(ann, group_chat("ann", gid, f"{round}-{gid}"))
            for one in [*hands, *fresh]:
                await ask(one, {"action": "heart"})
                heard = {got["content"]["chatGroupID"] for got in one.other if got["action"] == "chatGroup"
                         and got["content"]["chatID"].startswith(f"{round}-")}
                check(heard == set(mine), f"round {round}: in {mine}, hears {heard}")
                await one.close()
    live(server, test, seconds=LONG)


def joins_while_catching_up():
    """A device that gets page after page and joins groups meanwhile, in which others talk, hears each conversation in order
    from where it came to it, and nothing twice."""
    server = Server("worker/count=2", "chat/page=10")

    async def test():
        chance = random.Random(3)
        groups = [f"g{nbr}" for nbr in range(6)]
        for round in range(6):
            bob = f"bob{round}"
            talk = ",".join(sorted(("ann", bob)))
            ann, eve = await opened(server, "ann", f"{round}"), await opened(server, "eve", f"{round}")
            await ask(ann, chat("ann", bob, f"{round}-0"))
            await acks_one(server, bob, "phone", talk)
            for nbr in range(1, 40):
                await ask(ann, chat("ann", bob, f"{round}-{nbr}"))
            for gid in groups:
                await ask(eve, {"action": "groupJoin", "groupID": gid})
            talker = Talker(eve, "eve", lambda name, nbr: group_chat(name, chance.choice(groups), f"{round}-{nbr}"),
                            pace=0.01)    # Who is behind gets no more than ten times so much
            client = await opened(server, bob, "phone")
            joins, heard = list(groups), {talk: [1]}
            while len(heard[talk]) < 40 or joins or min(len(heard.get(gid, ())) for gid in groups) < 3:
                if joins and chance.random() < 0.2:
                    await client.send({"action": "groupJoin", "groupID": joins.pop()})
                got = client.other.pop(0) if client.other else await client.receive()
                if got["action"] in ("chat", "chatGroup"):
                    conversation = got["content"].get("chatGroupID") or talk
                    heard.setdefault(conversation, []).append(got["seq"])
                    await client.send({"action": "ack", "conversation": conversation, "seq": got["seq"]})
            await talker.stop()
            since = {gid: int(since) for gid, since in server.store.ask(
                f"SELECT conversation, since FROM member WHERE uid = '{bob}' AND direct = 0")}
            for conversation, seqs in heard.items():
                first = seqs[0] if conversation in groups else 1    # What was said while it joined may come, too
                check(seqs == list(range(first, first + len(seqs))) and first <= since.get(conversation, 0) + 1,
                      f"{bob} came to {conversation} behind {since.get(conversation)} and hears {seqs}")
            for one in (ann, eve, client):    # They don't read all that comes
                one.socket.transport.abort()
                Client.opened.remove(one)
    live(server, test, seconds=LONG)


async def ask_any(client, message):
    """An answer of whatever code."""
    await client.send(message)
    while True:
        got = await client.receive()
        if got["action"] == message["action"] + "Rsp":
            return got
        client.other.append(got)


def creator_removed():
    """A group that its maker was removed from isn't that one's any more, and what was said meanwhile is not for it."""
    server = Server()

    async def test():
        ann, bob = await opened(server, "ann"), await opened(server, "bob")
        await ask(ann, {"action": "groupCreate", "groupID": "club", "invited": True})
        await ask(ann, {"action": "groupInvite", "groupID": "club", "uid": "bob"})
        await ask(bob, {"action": "groupJoin", "groupID": "club"})
        await ask(ann, {"action": "groupRole", "groupID": "club", "uid": "bob", "role": "owner"})
        await ask(bob, {"action": "groupRemove", "groupID": "club", "uid": "ann"})
        await ask(bob, group_chat("bob", "club", "secret"))
        await ask(bob, {"action": "groupLeave", "groupID": "club"})
        await ask(ann, {"action": "groupCreate", "groupID": "club"}, "group-exists")
        await ask(ann, {"action": "groupJoin", "groupID": "club"}, "not-invited")
        # Bob, who left it last, may; what was said before is over
        await ask(bob, {"action": "groupCreate", "groupID": "club"})
        history = await ask(bob, {"action": "history", "conversation": "club"})
        check([one["change"] for one in history["messages"]] == ["created"], history)
    live(server, test)


def gateway_comes_back():
    """A gateway that was away for longer than sender/keep brings back no membership, and closes who was kicked."""
    server = Server("gateway/enabled=0", "worker/count=2", "sender/keep=400", "sender/ping=1500")
    py = Gateway(server, b"py")
    other = Gateway(server, b"other")
    try:
        def bound(gateway, cid, uid):
            gateway.send(b"status", b"connected", cid)
            gateway.send(b"upstream", cid, json.dumps({"uid": uid}).encode())
            check(gateway.receive()[1] == b"uidmap" and gateway.answer(cid)["code"] == "ok", "bind")

        def said(gateway, cid, message):
            gateway.send(b"upstream", cid, json.dumps(message).encode())
        bound(other, b"other.1", "ann")
        said(other, b"other.1", {"action": "groupCreate", "groupID": "club"})
        other.expect(b"setting", b"gidmap", b"other.1", b"club")
        other.answer(b"other.1")
        bound(py, b"py.1", "bob")
        said(py, b"py.1", {"action": "groupJoin", "groupID": "club"})
        py.expect(b"setting", b"gidmap", b"py.1", b"club")
        py.answer(b"py.1")
        bound(py, b"py.2", "eve")
        # py falls silent; eve is kicked and bob removed meanwhile
        context, py.context = py.context, None
        wait_until(other, lambda: "gateway py is away" in server.logged())
        check("told to close" in server.ctl("kick", "py.2"), "kick")
        said(other, b"other.1", {"action": "groupRemove", "groupID": "club", "uid": "bob"})
        other.answer(b"other.1")
        wait_until(other, lambda: "connections of gateway py are gone" in server.logged())
        py.down.send_multipart([b"hello", b"1"])
        got = []
        while [b"welcome", b"1"] not in got:
            got.append(py.receive())
        py.send(b"status", b"connected", b"py.1", b"bob", b"club", b"")
        py.send(b"status", b"connected", b"py.2", b"eve")
        while [b"setting", b"gidunmap", b"py.1", b"club"] not in got or [b"setting", b"status", b"py.2", b"closed"] not in got:
            got.append(py.receive())
        py.context = context
        said(other, b"other.1", group_chat("ann", "club", "secret"))
        while other.receive()[:3] != [b"downstream", b"cid", b"other.1"]:
            pass
        py.send(b"upstream", b"py.1", b'{"action":"heart"}')
        listens = False    # py.1 to club, since gidunmap
        while b"heartRsp" not in got[-1][-1]:
            got.append(py.receive())
            listens |= got[-1] == [b"setting", b"gidmap", b"py.1", b"club"]
            check(b"secret" not in got[-1][-1] or got[-1][1] == b"gid" and not listens, f"one who was removed hears it: {got}")
        check(server.stop() == 0, "exit status")
    finally:
        py.close()
        other.close()
        server.remove()


def wait_until(gateway, true):
    """Answers pings meanwhile."""
    import time
    import zmq
    until = time.monotonic() + PATIENCE
    while not true():
        check(time.monotonic() < until, "it doesn't happen")
        if gateway.down.poll(20):
            frames = gateway.down.recv_multipart(zmq.NOBLOCK)
            if frames == [b"ping"]:
                gateway.down.send(b"pong")


def device_after_restart():
    """After an app server's restart acks count for the device that the connection was bound with."""
    app = start_app()
    one = start_gateway(app, "one")
    try:
        async def test():
            ann, bob = await opened(one, "ann"), await opened(one, "bob", "phone")
            for nbr in range(1, 6):
                await ask(ann, chat("ann", "bob", f"{nbr}"))
            await in_order(bob, "ann,bob", 5)
            await ask(bob, {"action": "ack", "conversation": "ann,bob", "seq": 2})
            import signal
            app.stop(signal.SIGKILL)
            app.settings += (f"receiver/upstream={app.upstream}", f"sender/downstream={app.downstream}")
            app.start()
            # Without a new bind: what the phone has not acked comes again, then it acks
            bob.other.clear()
            for seq in (3, 4, 5):
                got = await bob.receive()
                while got["action"] != "chat":
                    got = await bob.receive()
                check(got["seq"] == seq, f"expected {seq}: {got}")
            while (await ask_any(bob, {"action": "ack", "conversation": "ann,bob", "seq": 4}))["code"] != "ok":
                await asyncio.sleep(0.05)
            phone, nameless = await opened(one, "bob", "phone"), await opened(one, "bob")
            check((await phone.receive())["seq"] == 5, "the phone's acks are lost")
            for seq in range(1, 6):
                check((await nameless.receive())["seq"] == seq, "the nameless device never acked")

        async def bounded():
            try:
                await asyncio.wait_for(test(), LONG)
            finally:
                await Client.close_all()
        asyncio.run(bounded())
        check(one.stop() == 0 and app.stop() == 0, "exit status")
    except BaseException:
        print(app.logged()[-2000:], one.logged()[-2000:])
        raise
    finally:
        one.remove()
        app.remove()


def one_a_page():
    """A page of one message is a page: of what a device has said itself nothing comes, of what it has missed all."""
    server = Server("chat/page=1", "worker/count=1")

    async def test():
        ann, eve = await opened(server, "ann", "phone"), await opened(server, "eve")
        for nbr in range(3):
            await ask(ann, chat("ann", "bob", f"own{nbr}"))
            await ask(ann, chat("ann", "zoe", f"own{nbr}"))
        await ann.close()
        for nbr in range(4):
            await ask(eve, chat("eve", "ann", f"missed{nbr}"))
        for acks in (False, True):
            ann = await opened(server, "ann", "phone")
            await in_order(ann, "ann,eve", 4, acks)
            await ann.close()
        ann = await opened(server, "ann", "phone")
        await ask(eve, chat("eve", "ann", "live"))
        await in_order(ann, "ann,eve", 5, seen=4)
        calls = (await asyncio.get_running_loop().run_in_executor(None, server.counters))["worker-1"]["calls"]
        check(calls < 300, f"{calls} calls of the store")
    live(server, test, seconds=LONG)


def to_many():
    """What goes to a group of more than the gateway writes to in one turn comes in order, also between what goes to one."""
    server = Server("worker/count=2")
    members, chats = 300, 20

    async def hears(client, uid):
        """All chats of the group and of ann, each in order."""
        seen = {"group": 0, "talk": 0}
        while seen != {"group": chats, "talk": chats}:
            message = await client.receive()
            what = "group" if message["action"] == "chatGroup" else "talk"
            check(message["seq"] == seen[what] + 1, f"{uid}, {seen}: {message}")
            seen[what] += 1

    async def test():
        ann, others = await opened(server, "ann"), {}
        for nbr in range(members):
            uid = f"user{nbr}"
            others[uid] = await opened(server, uid)
            await ask(others[uid], {"action": "groupJoin", "groupID": "club"})
        await ask(ann, {"action": "groupJoin", "groupID": "club"})
        some = {uid: others[uid] for uid in ("user0", "user150", f"user{members - 1}")}
        for nbr in range(chats):
            await ann.send(group_chat("ann", "club", f"c{nbr}"))
            for uid in some:
                await ann.send(chat("ann", uid, f"t{nbr}"))
        await asyncio.gather(*(hears(client, uid) for uid, client in some.items()))
        await asyncio.gather(*(in_order(client, "club", chats) for uid, client in others.items() if uid not in some))
        left = await asyncio.get_running_loop().run_in_executor(None, server.counters)
        check(left["gateway"]["left_for_later"] > 0, "the gateway has written to all in one turn")
    live(server, test, seconds=LONG)


if __name__ == "__main__":
    run(one_a_page, to_many, binds_under_traffic, missed_and_live, never_acks, terminal, removed_while_binding, joins_while_binding, joins_while_catching_up, creator_removed,
        gateway_comes_back, device_after_restart)
