#!/usr/bin/python3
#  runs: mysql
"""cluster.py - several app servers on one database behind one gateway: they end, die and sleep under load"""

import asyncio
import glob
import json
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from unittest.mock import ANY

import zmq
import zmq.auth
from zmq.utils.monitor import parse_monitor_message

from rookery import PATIENCE, Client, Server, Talker, chat, check, hearts, live, run
from services import MariaDB, Redis, certificates, free_port

USERS = 12


class Cluster:
    """App servers a1, a2 …, and gateways gw1, gw2 … that work for all of them; with Redis they are one system."""

    def __init__(self, apps=2, gateways=1, redis=False, settings=(), each=lambda name: (), gateway_settings=()):
        self.redis = Redis() if redis else None
        self.apps, self.store, self.settings, self.each = [], None, settings, each
        for nbr in range(apps):
            self.add_app(nbr + 1)
        words = [f"gateway/app/{app.name}/{way}={getattr(app, way)}" for app in self.apps for way in ("upstream", "downstream")]
        self.gateways = [Server("app/enabled=0", f"gateway/id=gw{nbr + 1}", *words, *gateway_settings) for nbr in range(gateways)]
        self.gateway = self.gateways[0]

    def add_app(self, nbr):
        words = ["gateway/enabled=0", "worker/count=1", *self.settings, *self.each(f"a{nbr}")]
        if self.redis:
            words += [f"cluster/name=a{nbr}", "cluster/redis=main", f"redis/main/port={self.redis.port}",
                      f"cluster/listen=tcp://127.0.0.1:{free_port()}"]
        app = Server(*(self.store.settings if self.store else ()), *words)
        app.name = f"a{nbr}"
        self.store = self.store or app.store
        #  When it is started again gateways must find it
        app.settings += (f"receiver/upstream={app.upstream}", f"sender/downstream={app.downstream}")
        self.apps.append(app)

    async def joined(self):
        """All app servers know each other, and the gateways know them."""
        if not self.redis:
            return await self.welcomed()
        names = ",".join(app.name for app in self.apps)
        while not all(f"app servers of the cluster: {names}\n" in app.logged() for app in self.apps):
            await asyncio.sleep(0.02)

    async def welcomed(self):
        """The gateway gives connections to each of them: what one is given says nothing but that it is here."""
        probes = []
        while not all([(await asyncio.to_thread(app.counters))["sender"]["connections"] for app in self.apps]):
            probes.append(await Client.open(self.gateway, f"probe{len(probes)}"))
        for probe in probes:
            await probe.close()

    def live(self, test):
        async def whole():
            await self.joined()
            await test(self)
        try:
            live(self.gateway, whole, *self.gateways[1:], *self.apps, *([self.redis] if self.redis else ()))
        except BaseException:
            for server in (*self.gateways[1:], *self.apps):
                print(f"--- {server.settings}\n{server.last}")
            raise

    def gave_away(self):
        """How often the gateway has given the first app server's connections to others: once may be before all are there."""
        return self.gateway.logged().count("app server a1 is away: its")

    async def gives_away(self, before):
        while self.gave_away() == before:
            await asyncio.sleep(0.02)


class User:
    """Says one chat after the other to itself; each is said again after so many seconds without an answer."""

    def __init__(self, cluster, nbr, again=PATIENCE):
        self.name, self.cluster, self.again = f"u{nbr}", cluster, again
        self.seqs, self.said_again, self.ends, self.longest = [], 0, False, 0

    async def talk(self):
        client = await Client.open(self.cluster.gateway, self.name, "d")
        loop, count = asyncio.get_running_loop(), 0
        while not self.ends:
            message, since = chat(self.name, self.name, str(count)), loop.time()
            await client.send(message)
            while True:
                try:
                    got = await asyncio.wait_for(client.receive(), self.again)
                except asyncio.TimeoutError:
                    self.said_again += 1
                    await client.send(message)
                    continue
                if got["action"] == "chatRsp" and got["chatID"] == str(count):
                    if got["code"] == "ok":
                        break
                    check(got["code"] == "store-unavailable" and self.again < PATIENCE, got)
                    await asyncio.sleep(0.05)
                    await client.send(message)
            self.longest = max(self.longest, loop.time() - since)
            self.seqs.append(got["seq"])
            count += 1
        check(self.seqs == sorted(set(self.seqs)), f"{self.name}: {self.seqs}")

    async def goes_on(self):
        """More is answered than was."""
        count = len(self.seqs)
        while len(self.seqs) < count + 3:
            await asyncio.sleep(0.02)


async def talk_during(people, what):
    """They talk, before, while and after what (people) is awaited; ends with the first that fails."""
    async def meanwhile():
        try:
            await asyncio.gather(*(one.goes_on() for one in people))
            await what(people)
            await asyncio.gather(*(one.goes_on() for one in people))
        finally:
            for one in people:
                one.ends = True
    await asyncio.gather(meanwhile(), *(one.talk() for one in people))


async def under_load(cluster, again, what):
    """Awaits what () while users talk; what is answered must be in the store, once, with its seq."""
    users = [User(cluster, nbr, again) for nbr in range(USERS)]
    await talk_during(users, what)
    for user in users:
        rows = cluster.store.ask(f"SELECT seq, chat_id FROM message WHERE conversation = '{user.name},{user.name}' ORDER BY seq")
        check([int(seq) for seq, _ in rows] == list(range(1, len(rows) + 1)), f"gaps: {rows}")
        by_chat = {chat_id: int(seq) for seq, chat_id in rows}
        check([by_chat.get(str(nbr)) for nbr in range(len(user.seqs))] == user.seqs, f"{user.name} was answered {user.seqs}, stored is {rows}")
    return users


def drains():
    """One after the other they are drained and started again: nobody says anything twice, and everything is answered."""
    async def test(cluster):
        async def restarts(users):
            for nbr, app in enumerate(cluster.apps):
                stopped = asyncio.get_running_loop().run_in_executor(None, app.stop)
                check(await stopped == 0, app.logged()[-2000:])
                await asyncio.gather(*(user.goes_on() for user in users))
                app.start()
                await asyncio.to_thread(joined, app)
        users = await under_load(cluster, PATIENCE, restarts)
        check(not sum(user.said_again for user in users), "somebody had to say it again")
        print(f"   the longest wait was {max(user.longest for user in users) * 1000:.0f} ms")
    Cluster().live(test)


def joined(app):
    """Waits until the gateway is with an app server that was started."""
    while not app.counters()["sender"]["gateways"]:
        pass


def dies():
    """One is killed, and is back later: its connections go on with the other one."""
    async def test(cluster):
        async def killed(users):
            before = cluster.gave_away()
            cluster.apps[0].stop(signal.SIGKILL)
            await cluster.gives_away(before)
            await asyncio.gather(*(user.goes_on() for user in users))
            cluster.apps[0].start()
            await asyncio.to_thread(joined, cluster.apps[0])
        await under_load(cluster, 2, killed)
    Cluster().live(test)


def old_leases():
    """A failover of Redis may bring back what it had a minute ago: leases of processes that have all ended since, and nobody has renewed one.
    Those who have their names now wait for a lease, and no longer."""
    async def test(cluster):
        ask, key = cluster.redis.ask, "rookery"
        for app in cluster.apps:
            app.stop(signal.SIGKILL)
        words = ask("HGETALL", key).split("\n")
        for name, value in zip(words[::2], words[1::2]):
            if name == "=seen" or not name.startswith("="):
                msec, *rest = value.split(" ")
                ask("HSET", key, name, " ".join([str(int(msec) - 60000), *rest]))
        for app in cluster.apps:
            app.start()
        for app in cluster.apps:
            while not {f"{one.name} here" for one in cluster.apps} <= set((await asyncio.to_thread(app.ctl, "nodes")).split("\n")):
                await asyncio.sleep(0.05)
        check(any("must be unique" in app.logged() for app in cluster.apps), "an old lease held")    # Whoever came first
        user = await Talker.open(cluster.gateway, "ann")
        await user.request(chat("ann", "ann", "1"), "ok")
        await user.close()
    Cluster(2, redis=True).live(test)


def redis_forgets():
    """Redis is empty again, as one is that has no disk and was started again: the ring stays as it is."""
    async def test(cluster):
        def rings():
            return [line for app in cluster.apps for line in app.logged().split("\n") if "app servers of the cluster:" in line]

        def renewed():
            return [app.counters()["lease"]["renewed"] for app in cluster.apps]
        for app in cluster.apps:
            await asyncio.to_thread(joined, app)
        before = rings()
        for _ in range(3):
            cluster.redis.ask("FLUSHALL")
            since = renewed()
            while not all(now > then + 1 for now, then in zip(renewed(), since)):
                await asyncio.sleep(0.05)
        check(rings() == before, f"the ring has changed: {rings()[len(before):]}")
    Cluster(3, redis=True).live(test)


def sleeps():
    """One is stopped and goes on later: the other one's users don't wait for it, its own go there, and nothing is stored twice."""
    async def test(cluster):
        async def stopped(users):
            pid, before = cluster.apps[0].process, cluster.gave_away()
            pid.send_signal(signal.SIGSTOP)
            try:
                #  Half of them are with the other one, and must go on before anything is given away
                counts = [len(user.seqs) for user in users]
                while sum(len(user.seqs) > count + 3 for user, count in zip(users, counts)) < USERS // 2:
                    await asyncio.sleep(0.01)
                await cluster.gives_away(before)
                await asyncio.gather(*(user.goes_on() for user in users))
            finally:
                pid.send_signal(signal.SIGCONT)
            await asyncio.to_thread(joined, cluster.apps[0])
        await under_load(cluster, 2, stopped)
    Cluster().live(test)


def group_chat(sender, gid, chat_id):
    return {"action": "chatGroup", "content": {"fromAccountID": sender, "chatGroupID": gid, "chatID": chat_id}}


def one_system():
    """Whatever gateway and app server somebody has: talks, groups, other devices, receipts, presence and what changes in groups reach
    all, in order."""
    async def test(cluster):
        users = {}
        for nbr in range(8):
            users[nbr] = await Talker.open(cluster.gateways[nbr % 2], f"u{nbr}", "phone")
        pads = [await Talker.open(cluster.gateways[(nbr + 1) % 2], f"u{nbr}", "pad") for nbr in range(8)]
        for nbr, user in users.items():
            for other in range(8):
                if other != nbr:
                    await user.request(chat(f"u{nbr}", f"u{other}", f"{nbr}to{other}"), "ok")
        for nbr, user in users.items():
            for other in range(8):
                if other != nbr:
                    for device in (user, pads[nbr]):
                        await device.hear("chat", content={"fromAccountID": f"u{other}", "toAccountID": f"u{nbr}", "chatID": f"{other}to{nbr}"})
                    await pads[nbr].hear("chat", content={"fromAccountID": f"u{nbr}", "toAccountID": f"u{other}", "chatID": f"{nbr}to{other}"})
        for gid in ("g1", "g2", "g3"):
            for user in users.values():
                await user.ok("groupJoin", groupID=gid)
        for count in range(5):
            for nbr, user in users.items():
                for gid in ("g1", "g2", "g3"):
                    await user.request(group_chat(f"u{nbr}", gid, f"{count}"), "ok")
        for nbr, device in (*users.items(), *enumerate(pads)):
            for gid in ("g1", "g2", "g3"):
                seqs = []
                while len(seqs) < 5 * 8 - 5 * (device is users[nbr]):    # Its own come to the other device
                    seqs.append((await device.hear("chatGroup", content={"fromAccountID": ANY, "chatGroupID": gid, "chatID": ANY}))["seq"])
                check(seqs == sorted(set(seqs)), f"u{nbr} hears {gid} as {seqs}")
    Cluster(3, 2, redis=True).live(test)


def people():
    """Presence, receipts, what is typed, removals and what operators do work from any app server to any other."""
    async def test(cluster):
        users = [await Talker.open(cluster.gateways[nbr % 2], f"u{nbr}", "phone") for nbr in range(9)]
        last = await Talker.open(cluster.gateway, "last", "phone")
        for nbr, user in enumerate(users):
            await user.request(chat(f"u{nbr}", "last", "hello"), "ok")
            await last.hear("chat", content={"fromAccountID": f"u{nbr}", "toAccountID": "last", "chatID": "hello"})
        await last.ok("presence", subscribe=[f"u{nbr}" for nbr in range(9)] + ["nobody"])
        for nbr in range(9):
            await last.hear("presence", uid=f"u{nbr}", online=True, devices=["phone"])
        for nbr, user in enumerate(users):
            await last.ok("read", conversation=f"last,u{nbr}" if f"u{nbr}" > "last" else f"u{nbr},last", seq=1)
            await user.hear("read", uid="last")
        await users[8].close()
        await last.hear("presence", uid="u8", online=False)
        users[8] = await Talker.open(cluster.gateway, "u8", "pad")
        await last.hear("presence", uid="u8", online=True, devices=["pad"])
        #  Who is removed hears nothing that is said behind the answer
        await last.ok("groupCreate", groupID="club", joining="open")
        for user in users:
            await user.ok("groupJoin", groupID="club")
        await last.request(group_chat("last", "club", "first"), "ok")
        for user in users:
            await user.hear("chatGroup", content={"fromAccountID": "last", "chatGroupID": "club", "chatID": "first"})
        for nbr in range(0, 9, 2):
            await last.ok("groupRemove", groupID="club", uid=f"u{nbr}")
            await last.request(group_chat("last", "club", f"without{nbr}"), "ok")
            await users[nbr].hear("groupRemoved", groupID="club")
            await users[nbr + 1 if nbr < 8 else 1].hear("chatGroup", content={"fromAccountID": "last", "chatGroupID": "club", "chatID": f"without{nbr}"})
            await users[nbr].quiet("chatGroup") if nbr == 0 else None
            heard = [got["content"]["chatID"] for got in users[nbr].heard if got["action"] == "chatGroup"]
            check(f"without{nbr}" not in heard, f"u{nbr} hears the group: {heard}")
        #  Each command at one app server, for whoever is with another
        for nbr, user in enumerate(users[:6]):
            at = cluster.apps[nbr % 3]
            check("on its way" in await asyncio.to_thread(at.ctl, "send", "uid", f"u{nbr}", json.dumps({"action": "note", "nbr": nbr})), "send uid")
            await user_hears(user, "note")
            await asyncio.to_thread(at.ctl, "send", "gid", "club", json.dumps({"action": "note2"}))
            await asyncio.to_thread(at.ctl, "kick", f"u{nbr}")
            await user.closed("closed by the server")
    Cluster(3, 2, redis=True).live(test)


async def at_home(cluster, uid, count):
    """So many connections of the user are with its owner."""
    def listed():
        try:
            return cluster.apps[0].ctl("connections", uid).split()
        except AssertionError:    # None
            return []
    while len(await asyncio.to_thread(listed)) < count:
        pass


def holes():
    """An app server has stored a chat, and dies before it hands it on. Who should have heard it does so before what is said next, or
    when it is said again; nobody hears anything twice."""
    async def test(cluster):
        pairs = [(f"x{nbr}", f"y{nbr}") for nbr in range(6)]

        def dies_behind(one, other, seq):
            body = json.dumps(chat(one, other, str(seq)))
            cluster.store.ask(f"INSERT INTO message (conversation, seq, sender, chat_id, recipient, device, at, body) VALUES ('{one},{other}', {seq},"
                              f" '{one}', '{seq}', '{other}', 'phone', 1, '{body}')")
        async def says(user, one, other, seq):
            got = await user.request(chat(one, other, str(seq)), "ok")
            check(got["seq"] == seq, got)

        async def hears(user, last, but=()):
            def seqs():
                return [got["seq"] for got in user.heard if got["action"] == "chat"]
            while last not in seqs():
                user.heard.append(await user.receive())
            check(seqs() == [seq for seq in range(1, last + 1) if seq not in but], f"{user.uid} on {user.device} hears {seqs()}")
        for nbr, (one, other) in enumerate(pairs):
            phone, pad, *others = [await Talker.open(cluster.gateways[(nbr + way) % 2], uid, device)
                                   for way, (uid, device) in enumerate(((one, "phone"), (one, "pad"), (other, "phone"), (other, "pad")))]
            await at_home(cluster, one, 2)
            await at_home(cluster, other, 2)
            await says(phone, one, other, 1)
            dies_behind(one, other, 2)
            await says(phone, one, other, 3)
            for user in (pad, *others):
                await hears(user, 3)
            dies_behind(one, other, 4)
            await says(phone, one, other, 4)
            for user in (pad, *others):
                await hears(user, 4)
            dies_behind(one, other, 5)
            await says(others[0], other, one, 6)
            await hears(phone, 6, but=range(1, 6))
            await says(phone, one, other, 5)
            await says(phone, one, other, 7)
            for user in (pad, *others):
                await hears(user, 7, but=(6,) if user is others[0] else ())
    Cluster(3, 2, redis=True).live(test)


async def user_hears(user, action):
    """Something that no schema knows."""
    user.strict = False
    await user.hear(action)


class Member:
    """A user that talks to the next one, and in a group with all. It hears everything, and says again what isn't answered."""

    def __init__(self, cluster, nbr, count, again):
        self.cluster, self.nbr, self.name, self.again = cluster, nbr, f"m{nbr}", again
        self.to = f"m{(nbr + 1) % count}"
        self.gateway = cluster.gateways[nbr % len(cluster.gateways)]
        self.acked, self.known, self.to_ack = {}, {}, set()
        self.heard, self.last, self.answered, self.doubled, self.late, self.count, self.ends, self.longest = {}, {}, {}, 0, [], 0, False, 0

    async def open(self):
        self.client = await Client.open(self.gateway, self.name, "d")
        self.client.deaf = ()
        self.answers = asyncio.Queue()
        self.tasks = [asyncio.ensure_future(self.read()), asyncio.ensure_future(self.ack())]
        return self

    async def close(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.client.close()

    async def read(self):
        while True:
            got = await self.client.receive()
            if got["action"].endswith("Rsp"):
                if got["action"] != "ackRsp":
                    await self.answers.put(got)
            elif got["action"] == "groupChanged":
                self.knows(got["groupID"], got["seq"])
            elif got["action"] in ("chat", "chatGroup"):
                content = got["content"]
                pair = sorted((content["fromAccountID"], content.get("toAccountID", "")))
                where = content.get("chatGroupID") or ",".join(pair)
                self.knows(where, got["seq"])
                if got["seq"] in self.heard.setdefault(where, {}):
                    check(self.heard[where][got["seq"]] == content["chatID"], f"one seq for two: {got}")
                    self.doubled += 1
                    continue
                self.heard[where][got["seq"]] = content["chatID"]
                last = self.last.get(where, 0)
                if got["seq"] < last:
                    self.late.append((self.name, where, got["seq"], last, content["chatID"]))
                self.last[where] = max(got["seq"], last)

    def knows(self, where, seq):
        self.known.setdefault(where, set()).add(seq)
        self.to_ack.add(where)

    async def ack(self):
        """Up to what has no gap below; once more what comes twice."""
        while True:
            for where in list(self.to_ack):
                seq = self.acked.get(where, 0)
                while seq + 1 in self.known[where]:
                    seq += 1
                self.acked[where] = seq
                self.to_ack.discard(where)
                await self.client.send({"action": "ack", "conversation": where, "seq": seq})
            await asyncio.sleep(0.1)

    async def request(self, message):
        loop = asyncio.get_running_loop()
        since = loop.time()
        await self.client.send(message)
        while True:
            try:
                got = await asyncio.wait_for(self.answers.get(), self.again)
            except asyncio.TimeoutError:
                await self.client.send(message)
                continue
            if got["action"] != message["action"] + "Rsp" or got.get("chatID") != message.get("content", {}).get("chatID"):
                continue
            if got["code"] == "ok":
                self.longest = max(self.longest, loop.time() - since)
                return got
            check(got["code"] in ("store-unavailable", "internal"), f"{message}: {got}")
            await asyncio.sleep(0.05)
            await self.client.send(message)

    async def talk(self):
        count = 0
        while not self.ends:
            for message in (chat(self.name, self.to, f"{self.name}.{count}"), group_chat(self.name, "all", f"{self.name}.{count}")):
                got = await self.request(message)
                self.answered.setdefault(got["conversation"], {})[got["seq"]] = got["chatID"]
                self.knows(got["conversation"], got["seq"])
            count += 1
            self.count = count
            await asyncio.sleep(0.05)

    async def goes_on(self, more=3):
        count = self.count
        while self.count < count + more:
            await asyncio.sleep(0.02)


class Hasty(Member):
    """One that says many chats to the group without waiting for the answers: they get their seqs in the order in which it says them."""

    async def talk(self):
        said = []
        while not self.ends:
            names = [f"{self.name}.{self.count + nbr}" for nbr in range(40)]
            for name in names:
                await self.client.send(group_chat(self.name, "all", name))
            seqs = {}
            while len(seqs) < len(names):
                got = await asyncio.wait_for(self.answers.get(), PATIENCE)
                check(got["code"] == "ok", got)
                seqs[got["chatID"]] = got["seq"]
                self.answered.setdefault("all", {})[got["seq"]] = got["chatID"]
                self.knows("all", got["seq"])
            said += [seqs[name] for name in names]
            check(said == sorted(said), f"{self.name} said its chats in another order: {said}")
            self.count += len(names)
            await asyncio.sleep(0.005)


def conversations_of(cluster):
    """All that is stored: {conversation: {seq: (sender, chatID)}}."""
    found = {}
    for conversation, seq, sender, chat_id in cluster.store.ask("SELECT conversation, seq, sender, chat_id FROM message WHERE kind = 0"):
        found.setdefault(conversation, {})[int(seq)] = (sender, chat_id)
    return found


async def all_is_heard(cluster, members, live=True):
    """What is answered is stored, without gaps; and everybody hears all of it: live, or when they bind again."""
    stored = conversations_of(cluster)
    for member in members:
        for conversation, chats in member.answered.items():
            for seq, chat_id in chats.items():
                check(stored[conversation].get(seq) == (member.name, chat_id), f"{member.name} was answered {seq} in {conversation} for {chat_id}")
    missed, since = 1, time.monotonic()
    while missed and time.monotonic() - since < PATIENCE:
        missed = []
        for member in members:
            wanted = {(where, seq) for where, chats in stored.items() if where == "all" or member.name in where.split(",")
                      for seq, (sender, _) in chats.items() if sender != member.name}
            missed += [(member.name, *one) for one in wanted if one[1] not in member.heard.get(one[0], {})]
        await asyncio.sleep(0.1)
    check(not missed, f"{len(missed)} are not heard, by {sorted({(name, where) for name, where, _ in missed})}: {sorted(missed)[:10]}")
    late = sum((member.late for member in members), [])
    check(not live or not late, f"something came behind what was said later, as (who, where, seq, behind, chatID): {late[:20]}")
    print(f"   {sum(len(chats) for chats in stored.values())} chats, {sum(member.doubled for member in members)} came twice,"
          f" {len(late)} late, the longest wait was {max(member.longest for member in members):.2f} s")


async def members_talk(cluster, what, live=True, again=2, count=12, kind=Member):
    members = [await kind(cluster, nbr, count, again).open() for nbr in range(count)]
    for member in members:    # Who comes later doesn't hear what was said before
        await member.request({"action": "groupJoin", "groupID": "all"})

    await talk_during(members, what)
    await all_is_heard(cluster, members, live)
    for member in members:
        await member.close()


def members_quiet():
    """Nothing happens: everything is heard live, in order, and once."""
    async def test(cluster):
        async def nothing(members):
            await asyncio.gather(*(member.goes_on(40) for member in members))
        await members_talk(cluster, nothing, again=PATIENCE)
    Cluster(3, 2, redis=True).live(test)


def rolling(kind=Member, count=12):
    """All app servers are drained and started again, one after the other: nothing is said twice, everything is heard live."""
    async def test(cluster):
        async def restarts(members):
            for app in cluster.apps:
                stopped = asyncio.get_running_loop().run_in_executor(None, app.stop)
                check(await stopped == 0, app.logged()[-2000:])
                await asyncio.gather(*(member.goes_on() for member in members))
                app.start()
                await asyncio.to_thread(joined, app)
                await asyncio.gather(*(member.goes_on(10) for member in members))
        await members_talk(cluster, restarts, again=PATIENCE, count=count, kind=kind)
    Cluster(3, 2, redis=True).live(test)


def rolling_hasty():
    """The same with users who say much at once: what each says keeps its order from one owner of the group to the next."""
    rolling(Hasty, 6)


def killed():
    """An app server is killed, and comes back."""
    async def test(cluster):
        async def kill(members):
            cluster.apps[0].stop(signal.SIGKILL)
            await asyncio.gather(*(member.goes_on(10) for member in members))
            cluster.apps[0].start()
            await asyncio.to_thread(joined, cluster.apps[0])
            await asyncio.gather(*(member.goes_on(10) for member in members))
        await members_talk(cluster, kill, live=False)
    Cluster(3, 2, redis=True).live(test)


def stopped():
    """An app server sleeps for a while."""
    async def test(cluster):
        async def stop(members):
            process = cluster.apps[0].process
            process.send_signal(signal.SIGSTOP)
            try:
                await asyncio.gather(*(member.goes_on(10) for member in members))
            finally:
                process.send_signal(signal.SIGCONT)
            await asyncio.gather(*(member.goes_on(30) for member in members))
        await members_talk(cluster, stop, live=False)
    Cluster(3, 2, redis=True).live(test)


def lease_ended():
    """Others have given up an app server that hasn't noticed, as one whose clock stood still: when it hears so it does nothing that it was asked before."""
    async def test(cluster):
        users = [await Talker.open(cluster.gateway, f"u{nbr}", "phone") for nbr in range(6)]
        for user in users:
            await at_home(cluster, user.uid, 1)

        async def is_told(*words):
            before = cluster.apps[0].logged().count("has slept")
            cluster.redis.ask(*words)
            while cluster.apps[0].logged().count("has slept") == before:
                for user in users:
                    await user.request(chat(user.uid, user.uid, "{}"))
            for user in users:
                await until_answered(user, chat(user.uid, user.uid, "last"), "ok")
        await is_told("HDEL", "rookery", "a1")
        epoch = int(cluster.redis.ask("HGET", "rookery", "=epoch")) + 100000    # It was told so, and the answer was lost
        await is_told("HSET", "rookery", "=epoch", str(epoch), "=new a1", f"{epoch} 1")
        while cluster.redis.ask("HGET", "rookery", "=new a1"):
            await asyncio.sleep(0.1)
    Cluster(2, redis=True).live(test)


def dozes():
    """One that has slept for less than its lease, and wasn't given up, begins a new epoch: all the same others may have done what was its own."""
    async def test(cluster):
        def rings():
            return cluster.apps[1].logged().count("app servers of the cluster: a1,a2\n")
        process, before = cluster.apps[0].process, rings()
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(2.3)    # As long as it sleeps
        process.send_signal(signal.SIGCONT)
        while rings() == before:
            await asyncio.sleep(0.02)
        count, renewed = rings(), cluster.apps[0].counters()["lease"]["renewed"]
        while cluster.apps[0].counters()["lease"]["renewed"] < renewed + 3:
            await asyncio.sleep(0.1)
        check(rings() == count, "it begins one after the other")
    Cluster(2, redis=True).live(test)


def shared_rate():
    """A user's rate is one for all gateways: each gives it its part."""
    async def test(cluster):
        first, second = [await Client.open(gateway, "ann") for gateway in cluster.gateways]
        began = time.monotonic()
        await asyncio.gather(hearts(first, 400), hearts(second, 400))
        took = time.monotonic() - began
        #  The second one may hear a moment later, when it has gone to the owner of the user, that there are two
        check(took > 4.5, f"400 messages at 50 a second on each of two gateways took {took:.1f} s, at 100 it were 3")
    Cluster(2, 2, redis=True, gateway_settings=("gateway/rate=0", "gateway/rate_user=100")).live(test)


async def until_answered(user, message, *codes):
    """Says it until it is answered with one of these codes; before, the store may be away."""
    while (got := await user.request(message))["code"] not in codes:
        check(got["code"] == "store-unavailable", got)
        await asyncio.sleep(0.05)


def woken():
    """An app server sleeps so long that its users are given to others. What they said before, it doesn't do when it wakes up, nor
    what it was just about to do: they have said that again, and more since."""
    async def test(cluster):
        users = [await Talker.open(cluster.gateway, f"u{nbr}", "phone") for nbr in range(12)]
        for user in users:
            await at_home(cluster, user.uid, 1)
            await user.ok("groupJoin", groupID=f"of-{user.uid}")
        process, before = cluster.apps[0].process, cluster.gave_away()
        leaves = [{"action": "groupLeave", "groupID": f"of-{user.uid}", "requestID": "early"} for user in users]
        for user, leave in list(zip(users, leaves))[:9]:
            await user.send(leave)
        time.sleep(random.uniform(0, 0.004))    # Somewhere in the middle of it
        process.send_signal(signal.SIGSTOP)
        try:
            for user, leave in list(zip(users, leaves))[9:]:
                await user.send(leave)
            await cluster.gives_away(before)
            for user in users:
                await until_answered(user, {"action": "groupLeave", "groupID": f"of-{user.uid}"}, "ok", "not-member")
                await until_answered(user, {"action": "groupJoin", "groupID": f"of-{user.uid}"}, "ok")
        finally:
            process.send_signal(signal.SIGCONT)
        while not any("has slept" in line for line in cluster.apps[0].logged().splitlines()):
            await asyncio.sleep(0.02)
        await asyncio.to_thread(joined, cluster.apps[0])
        for user in users:
            await at_home(cluster, user.uid, 1)
            await until_answered(user, group_chat(user.uid, f"of-{user.uid}", "still"), "ok")
    Cluster(2, 1, redis=True).live(test)


def halt(process):
    """Stops it, and returns when all its threads have."""
    process.send_signal(signal.SIGSTOP)

    def states():
        for path in glob.glob(f"/proc/{process.pid}/task/*/stat"):
            with open(path) as file:
                yield file.read().rsplit(")")[1].split()[0]
    while set(states()) != {"T"}:
        pass


def gateway_woken():
    """A gateway sleeps, and its client goes on by another one. What it said before, the first one doesn't pass on when it wakes up, be it that it
    has read that or not."""
    async def test(cluster):
        leave, gateway = {"action": "groupLeave", "groupID": "club"}, cluster.gateways[0]

        async def sleeps(client, meanwhile):
            halt(gateway.process)
            began = time.monotonic()
            try:
                await meanwhile()
                await asyncio.sleep(began + 2.3 - time.monotonic())    # As long as it sleeps at the least
            finally:
                gateway.process.send_signal(signal.SIGCONT)
            kept = await client.closed("1012", "slept")
            check(not [got for got in kept if got["action"] == "groupLeaveRsp"], kept)

        first, second = [await Talker.open(one, "ann", "phone") for one in cluster.gateways]
        await first.ok("groupJoin", groupID="club")

        async def comes_back():
            await first.send(leave)
            await second.ok("groupLeave", groupID="club")
            await second.ok("groupJoin", groupID="club")
        await sleeps(first, comes_back)
        await second.request(group_chat("ann", "club", "still"), "ok")

        first = await Talker.open(gateway, "ann", "phone")
        for app in cluster.apps:
            app.stop(signal.SIGKILL)
        stalls = gateway.counters()["gateway"]["stalls"]
        while gateway.counters()["gateway"]["stalls"] == stalls:    # One waits there
            await first.send(leave)

        async def starts():
            for app in cluster.apps:
                await asyncio.to_thread(app.start)
        await sleeps(first, starts)
        await until_answered(second, group_chat("ann", "club", "yet"), "ok")
    Cluster(2, 2, redis=True).live(test)


async def turned_away(endpoint, name, prepare=lambda socket: None):
    """Whoever connects so under that name gets no further than the handshake."""
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.identity, socket.linger = name, 0
    prepare(socket)
    monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                        zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_DISCONNECTED)
    socket.connect(endpoint)
    check(await asyncio.to_thread(monitor.poll, PATIENCE * 1000), "nothing comes of it")
    event = parse_monitor_message(monitor.recv_multipart())["event"]
    check(event != zmq.EVENT_HANDSHAKE_SUCCEEDED, f"{name} is taken")
    socket.disable_monitor()
    socket.close()


def strangers():
    """Links with certificates: the app servers are one system, and nobody else is let in, without a certificate or with one that isn't known."""
    folder = tempfile.mkdtemp(prefix="rookery-e2e-")
    certificates(sys.argv[1], folder, ("app", "gw"), ("app", "gw"))
    cluster = Cluster(2, redis=True, settings=(f"curve/certificate={folder}/app", f"curve/known={folder}/known"), gateway_settings=(
        f"curve/certificate={folder}/gw", f"gateway/app/a1/certificate={folder}/app", f"gateway/app/a2/certificate={folder}/app"))

    def unknown(socket):
        socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
        socket.curve_serverkey, _ = zmq.auth.load_certificate(f"{folder}/app")

    async def test(_):
        for app in cluster.apps:
            await linked(app, {one.name for one in cluster.apps if one is not app})
        users = [await Talker.open(cluster.gateway, f"u{nbr}", "phone") for nbr in range(8)]
        for user in users:
            await user.request(chat(user.uid, "u0", user.uid), "ok")
            await users[0].hear("chat")
        endpoint = next(word for word in cluster.apps[0].settings if word.startswith("cluster/listen=")).split("=")[1]
        await turned_away(endpoint, b"a2")
        await turned_away(endpoint, b"a2", unknown)
    try:
        cluster.live(test)
    finally:
        shutil.rmtree(folder)


async def linked(app, names):
    """The console says so of these app servers alone; it asks once a second."""
    def links():
        with urllib.request.urlopen(app.console + "/metrics", timeout=PATIENCE) as answer:
            return set(re.findall(r'rookery_link_up\{.*peer="(\w+)".*\} 1', answer.read().decode()))
    while await asyncio.to_thread(links) != names:
        await asyncio.sleep(0.1)


def operators():
    """Each node can be asked from any app server; a reload goes from one to the next and stops at the first that refuses."""
    folders = {name: tempfile.mkdtemp(prefix="rookery-e2e-") for name in ("a1", "a2", "a3")}

    def write(name, handler):
        with open(f"{folders[name]}/now.lua", "w") as file:
            file.write(handler)

    async def test(cluster):
        a1, a2, a3 = cluster.apps

        async def ctl(app, *words, good=True):
            return await asyncio.to_thread(app.ctl, *words, good=good)
        here = {*(f"{name} here" for name in folders), "gw1 gateway here"}
        while set((await ctl(a2, "nodes")).split("\n")) != here:    # The gateway may be about to say hello
            pass
        pids = {name: str(node.process.pid) for name, node in zip((*folders, "gw1"), (*cluster.apps, cluster.gateway))}
        for app in cluster.apps:
            for name, pid in pids.items():
                check(f"process {pid}: ready" in await ctl(app, "--node", name, "status"), f"status of {name}")
        lines = await ctl(a3, "--all", "status")
        check(all(f"{name}: rookery" in lines and f"process {pid}" in lines for name, pid in pids.items()), lines)
        #  Whoever has the connections is asked
        users = [await Client.open(cluster.gateways[0], f"u{nbr}") for nbr in range(6)]
        for nbr in range(6):
            await at_home(cluster, f"u{nbr}", 1)
        for app in cluster.apps:
            for nbr in range(6):
                check((await ctl(app, "connections", f"u{nbr}")).startswith("gw1."), f"connections of u{nbr}")
            check("u9 has no connection" in await ctl(app, "connections", "u9", good=False), "of nobody")
        await linked(a1, {"a2", "a3"})
        #  A reload
        write("a2", NOW.format(2))
        said = await ctl(a1, "--all", "reload")
        check("a3: handlers reloaded" in said and "gw1: certificates reloaded" in said, said)
        said = await ctl(a1, "--node", "a2", "handlers")
        check(said.count("now open") == 1, said)
        order = [line.split()[0] for line in (await ctl(a1, "nodes")).split("\n")]
        for name, handler in zip(order, (NOW.format(3), "this is no Lua", NOW.format(4))):
            write(name, handler)
        said = await ctl(a1, "--all", "reload", good=False)
        check("now.lua" in said, said)
        for name, count in zip(order, (1, int(order[1] == "a2"), int(order[2] == "a2"))):
            check((await ctl(a1, "--node", name, "handlers")).count("now open") == count, f"handlers of {name}: {await ctl(a1, '--node', name, 'handlers')}")
        said = await ctl(a3, "--all", "handler", "close", "heart")
        check("closed" in said and "gw1" not in said, said)
        check("gateway: the log level is debug" in await ctl(a2, "--node", "gw1", "log", "debug", "gateway"), "log of a gateway")
        check("no worker is up in this process" in await ctl(a2, "--node", "gw1", "handlers", good=False), "handlers of a gateway")
        for user in users:
            got = await user.ask({"action": "heart"})
            check(got["code"] == "unknown-action", got)
        for words in (("--node", "a9", "status"), ("--node", "a2", "nonsense"), ("--node", "a2", "at", "a3", "status"), ("--node", "a2", "trace", "gw1.x"),
                      ("--all", "drain"), ("at",), ("at", "a2"), ("at", "a2", *(["word"] * 6))):
            check(await ctl(a1, *words, good=False), words)
        #  One ends
        check("finishing" in await ctl(a1, "--node", "a3", "drain"), "drain")
        check(await asyncio.to_thread(a3.process.wait, PATIENCE) == 0, "a3 is drained")
        while "a3" in await ctl(a1, "nodes") + await ctl(a2, "nodes"):
            pass
        check("isn't here" in await ctl(a2, "--node", "a3", "status", good=False), "one that has gone")
        await linked(a1, {"a2"})
        a2.process.send_signal(signal.SIGSTOP)
        try:
            while {"a2 here", "a2 without a lease"} & set((await ctl(a1, "nodes")).split("\n")):
                await asyncio.sleep(0.05)
            check("isn't here" in await ctl(a1, "--node", "a2", "status", good=False), "one that hangs")
        finally:
            a2.process.send_signal(signal.SIGCONT)
        check("finishing" in await ctl(a1, "--node", "gw1", "drain"), "drain of a gateway")
        for user in users:
            await user.closed("1001")
        check(await asyncio.to_thread(cluster.gateway.process.wait, PATIENCE) == 0, "gw1 is drained")
        while "gw1 gateway here" in await ctl(a1, "nodes"):
            pass
        check("isn't here" in await ctl(a1, "--node", "gw1", "status", good=False), "a gateway that has gone")
    try:
        Cluster(3, 1, redis=True, each=lambda name: [f"lua/app={folders[name]},lua/app"]).live(test)
    finally:
        for folder in folders.values():
            shutil.rmtree(folder)


NOW = 'return {{action = "now", public = true, handle = function () return {{nbr = {}}} end}}'

HANDLER = """
local runs, heard = 0, 0
timer.every (50, function ()
    runs = runs + 1
    redis_api.cmd ("main", "runs", "HINCRBY", "runs", config.get ("cluster/name"), 1)
    if runs == 3 then
        error ("it fails once, and goes on")
    end
end, "everywhere", "cluster")
redis_api.subscribe ("main", "news", function (payload)
    redis_api.cmd ("main", "heard", "HINCRBY", "heard", payload, 1)
end, "cluster")
return {action = "nothing", handle = function () end}
"""


def once():
    """A timer and a subscription of the cluster run in one place, and in another one when that dies."""
    folder = tempfile.mkdtemp(prefix="rookery-e2e-")
    with open(f"{folder}/once.lua", "w") as file:
        file.write(HANDLER)

    async def test(cluster):
        def runs():
            words = cluster.redis.ask("HGETALL", "runs").split()
            return dict(zip(words[::2], map(int, words[1::2])))

        async def grows(but=()):
            """One of them alone; returns its name."""
            while True:
                before = runs()
                await asyncio.sleep(0.5)
                more = {name for name, count in runs().items() if count > before.get(name, 0)}
                if len(more) == 1 and not more & set(but):
                    return more.pop()
        first = await grows()
        for nbr in range(20):
            check(cluster.redis.ask("PUBLISH", "news", f"n{nbr}") == "3", "not all listen")
        while len(cluster.redis.ask("HGETALL", "heard").split()) < 40:
            await asyncio.sleep(0.05)
        check(set(cluster.redis.ask("HVALS", "heard").split()) == {"1"}, "heard in more than one place")
        next(app for app in cluster.apps if app.name == first).stop(signal.SIGKILL)
        await grows([first])
    try:
        Cluster(3, 1, redis=True, settings=(f"lua/app={folder},lua/app", "worker/count=2")).live(test)
    finally:
        shutil.rmtree(folder)


def hosts():
    """A pool of two database servers: the first that takes writes is used, and another one when that dies or doesn't any more."""
    servers = [MariaDB(), MariaDB()]
    for one in servers:    # root may write to a server that is read-only
        one.ask("CREATE DATABASE chats CHARACTER SET utf8mb4; CREATE USER app@localhost; GRANT ALL ON chats.* TO app@localhost; SET GLOBAL read_only = 1")
    servers[1].ask("SET GLOBAL read_only = 0")
    began = time.monotonic()
    server = Server("store/driver=mysql", "store/pool=main", "mysql/main/user=app", "mysql/main/database=chats", "mysql/main/timeout=2000",
                    "mysql/main/host=" + ",".join(f"127.0.0.1:{one.port}" for one in servers))

    def stored(one):
        return [row[0] for row in one.ask("SELECT chat_id FROM message WHERE kind = 0 ORDER BY seq", "chats")]

    async def bound():
        client = await Client.open(server)
        while (await client.ask({"uid": "ann"}))["code"] != "ok":
            await asyncio.sleep(0.1)
        return client

    async def said(client, chat_id):
        await client.send(chat("ann", "ann", chat_id))
        while (got := await client.receive())["action"] != "chatRsp":
            pass
        return got["code"]

    async def until_ok(client, chat_id):
        while await said(client, chat_id) != "ok":
            pass

    async def test():
        ann = await bound()
        await until_ok(ann, "second")
        check(stored(servers[1]) == ["second"] and not servers[0].ask("SHOW TABLES", "chats"), "the first one, which is read-only")
        #  A host that has failed is tried behind the others for ten seconds, if the machine is that fast
        servers[0].ask("SET GLOBAL read_only = 0")
        servers[1].ask("KILL USER app@localhost")
        await until_ok(ann, "still second")
        late = stored(servers[1])
        early = [] if late[1:] else stored(servers[0])    # It has no tables before it is used
        check([*late, *early] == ["second", "still second"], f"{late} and {early}")
        check(not early or time.monotonic() - began > 10, "the first one, which failed a moment ago")
        servers[1].ask("SET GLOBAL read_only = 1")
        await ann.close()
        ann = await bound()    # They aren't copies of each other
        await until_ok(ann, "first")
        check(stored(servers[0]) == [*early, "first"] and stored(servers[1]) == late, "the one that takes writes now")
        servers[1].ask("SET GLOBAL read_only = 0")
        servers[0].stop(signal.SIGKILL)
        await until_ok(ann, "second again")
        check("second again" in stored(servers[1]), "the one that is left")
        #  The engine of the first one takes nothing now, which its read_only doesn't say
        servers[0].start()
        servers[0].ask("SELECT 1")
        servers[0].stop(signal.SIGTERM)    # It doesn't start so after a kill
        writing, servers[0].words = servers[0].words, lambda: [*writing(), "--innodb-read-only=1"]
        servers[0].start()
        refused, before = f"127.0.0.1:{servers[0].port} isn't used: it is read-only", len(server.logged())
        servers[1].stop()
        check(await said(ann, "nowhere") != "ok", "stored where?")
        while refused not in server.logged()[before:]:    # Unless it is taken for one that writes
            await asyncio.sleep(0.02)
        servers[1].start()
        await until_ok(ann, "writes")
        check("writes" in stored(servers[1]), "the one that writes")
        servers[0].stop()
        servers[0].words = writing
        servers[0].start()
        #  As a proxy in front of one that has come down to reading says it
        servers[1].ask("DELIMITER //\nCREATE TRIGGER reading BEFORE INSERT ON message FOR EACH ROW SIGNAL SQLSTATE 'HY000' "
                       "SET MYSQL_ERRNO = 1836, MESSAGE_TEXT = 'Running in read-only mode'//", "chats")
        await until_ok(ann, "first again")
        check("first again" in stored(servers[0]), "the one that reads only")
    live(server, test, *servers)


if __name__ == "__main__":
    run(drains, dies, old_leases, redis_forgets, lease_ended, dozes, sleeps, one_system, people, members_quiet, rolling, rolling_hasty, killed, stopped, woken, gateway_woken,
        strangers, shared_rate, once, operators, holes, hosts)
