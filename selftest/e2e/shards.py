#!/usr/bin/python3
#  runs: shards, waits
"""shards.py - a store that is divided: each conversation in one part, lists as if there were one, limits, a part that is away, parts in the
wrong place"""

import asyncio
import os
import signal
import tempfile

os.environ["ROOKERY_STORE"] = "shards"
from app import group_chat, with_server    # noqa: the store is known
from cluster import Cluster    # noqa
from rookery import Server, Talker, chat, check, live, run    # noqa
from services import MariaDB    # noqa

TALKS = [f"u{nbr:02}" for nbr in range(40)]
GROUPS = [f"g{nbr:02}" for nbr in range(20)]


def parts_of(server, table="message"):
    """Which conversations each part has rows of."""
    return [{row[0] for row in server.store.mariadb.ask(f"SELECT DISTINCT conversation FROM {table}", database)}
            for database in server.store.databases.values()]


async def pages(client, action, field, key, **more):
    """All that a request gives in pages of seven, in the order of the pages; the last entry of each names the next one by key, or
    the answer's next does."""
    found, after = [], {}
    while True:
        answer = await client.ok(action, limit=7, **after, **more)
        found += answer[field]
        place = answer.get("next") or answer.get("more") and answer[field][-1][key]
        if not place:
            return found
        after = {"before" if action == "search" else "after": place}


@with_server("chat/groups=20")
async def lists(server):
    """What a user has comes as from one store, in pages, in order; each conversation is in one part, and all parts have some."""
    ann = await Talker.open(server, "ann", "phone")
    for gid in GROUPS:
        await ann.ok("groupCreate", groupID=gid, name=gid)
    await ann.refused("too-many", "groupCreate", groupID="more")    # They count in all parts
    await ann.refused("too-many", "groupJoin", groupID="more")
    for nbr, uid in enumerate(TALKS):
        await ann.request(chat("ann", uid, f"c{nbr}", text=f"needle {nbr}"), "ok")
    for nbr, gid in enumerate(GROUPS):
        await ann.request({**group_chat("ann", gid, f"c{nbr}"), "content": {**group_chat("ann", gid, f"c{nbr}")["content"],
                                                                             "text": f"needle {40 + nbr}"}}, "ok")
    talks = {f"ann,{uid}" for uid in TALKS}
    for table in ("message", "member", "`cursor`"):
        parts = parts_of(server, table)
        check(table == "`cursor`" or all(parts), f"a part has no {table}")
        check(sum(map(len, parts)) == len(set.union(*parts)), f"{table}: a conversation is in two parts")
        check(table == "`cursor`" or set.union(*parts) == talks | set(GROUPS), parts)
    said = [f"ann,{uid}" for uid in TALKS] + GROUPS
    found = await pages(ann, "conversations", "conversations", "conversation")
    check([one["conversation"] for one in found if one["at"]] == [one["conversation"] for one in sorted(
        found, key=lambda one: (-one["at"], one["conversation"]))], found)
    check({one["conversation"] for one in found} == set(said) and len(found) == len(said), found)
    found = await pages(ann, "search", "messages", "seq", text="needle")
    check(sorted(one["message"]["content"]["text"] for one in found) == sorted(f"needle {nbr}" for nbr in range(60)), found)
    check([one["message"]["at"] for one in found] == sorted((one["message"]["at"] for one in found), reverse=True), "newest first")
    check(sorted(await groups_of(server, "ann")) == GROUPS, "groups at a bind")


async def groups_of(server, uid):
    client = await Talker.open(server)
    return (await client.request({"uid": uid, "device": "other"}, "ok"))["groups"]


@with_server("chat/contacts=12")
async def people(server):
    """Names of users, contacts and blocks, whatever part has them."""
    ann, bob = [await Talker.open(server, uid, "phone") for uid in ("ann", "bob")]
    for uid in TALKS[:12]:
        client = await Talker.open(server, uid)
        await client.ok("profile", name=f"Name of {uid}")
        await client.ok("contactAdd", uid="ann")
        await ann.ok("contactAdd", uid=uid)
        await client.request(chat(uid, "ann", "hello"), "ok")
        await client.close()
    await ann.refused("too-many", "contactAdd", uid="bob")
    found = await pages(ann, "contacts", "contacts", "uid")
    check([(one["uid"], one["state"], one["name"]) for one in found] == [(uid, "contact", f"Name of {uid}") for uid in TALKS[:12]], found)
    found = await pages(ann, "conversations", "conversations", "conversation")
    check({one["uid"]: one["name"] for one in found} == {uid: f"Name of {uid}" for uid in TALKS[:12]}, found)
    check([one["name"] for one in (await ann.ok("users", uids=TALKS[:12]))["users"]] == [f"Name of {uid}" for uid in TALKS[:12]], "users")
    for uid in TALKS:    # A block is where their talk is
        await ann.ok("contactRemove", uid=uid)
        await bob.request(chat("bob", uid, "before"), "ok")
        if int(uid[1:]) < 12:
            other = await Talker.open(server, uid)
            await other.ok("block", uid="bob", blocked=True)
            await bob.request(chat("bob", uid, "behind"), "not-allowed")
            await other.ok("groupJoin", groupID="club")
            await other.close()
    await bob.ok("groupJoin", groupID="club")    # In one part, and the blocks in all
    seen = [one["uid"] for one in (await bob.ok("presence", subscribe=TALKS))["users"]]
    check(seen == TALKS[12:], seen)


@with_server()
async def catches_up(server):
    """What a device has missed comes in order of each conversation, from all parts, page by page; a new device begins where
    its user has read, and a device that is forgotten leaves nothing."""
    ann, bob = await Talker.open(server, "ann", "phone"), await Talker.open(server, "bob", "phone")
    for gid in GROUPS:
        await bob.ok("groupJoin", groupID=gid)
        await ann.ok("groupJoin", groupID=gid)
    await bob.close()
    for nbr in range(30):
        await ann.send(chat("ann", "bob", f"t{nbr}"))
        for gid in GROUPS:
            await ann.send(group_chat("ann", gid, f"m{nbr}"))
    await ann.ok("heart")
    bob = await Talker.open(server, "bob", "phone")
    last = {name: 0 for name in ["ann,bob", *GROUPS]}
    while any(seq < 30 for seq in last.values()):
        got = await bob.receive() if not bob.heard else bob.heard.pop(0)
        if got["action"] not in ("chat", "chatGroup"):
            continue
        name = got["conversation"] if "conversation" in got else got["content"].get("chatGroupID", "ann,bob")
        check(got["seq"] == last[name] + 1, f"{got} behind {last[name]}")
        last[name] = got["seq"]
        await bob.send({"action": "ack", "conversation": name, "seq": got["seq"]})
    for name in last:
        await bob.ok("read", conversation=name, seq=20)
    pad = await Talker.open(server, "bob", "pad")
    places = {one["conversation"]: one["acked"] for one in (await pad.ok("groups"))["talks"]}
    check(places == {name: 20 for name in last}, places)
    await pad.close()
    server.store.ask("UPDATE device SET seen = seen - 40 WHERE device = 'pad'")
    while server.store.count("device WHERE device = 'pad'") or server.store.count("`cursor` WHERE device = 'pad'"):
        await asyncio.sleep(0.2)


@with_server("chat/devices=2")
async def many_devices(server):
    """A device too many leaves no rows in any part."""
    ann = await Talker.open(server, "ann", "one")
    await Talker.open(server, "ann", "two")
    for gid in GROUPS:
        await ann.ok("groupJoin", groupID=gid)
        await ann.request(group_chat("ann", gid, "c"), "ok")
        await ann.ok("read", conversation=gid, seq=1)
    before = server.store.count("`cursor`")
    for nbr in range(5):
        client = await Talker.open(server)
        await client.request({"uid": "ann", "device": f"more{nbr}"}, "too-many")
    check(server.store.count("`cursor`") == before, "rows of devices that nobody has")


@with_server()
async def erased(server):
    """Nothing is left of a user in any part, and an operator gets all that there was before."""
    ann = await Talker.open(server, "ann", "phone")
    for gid in GROUPS:
        await ann.ok("groupJoin", groupID=gid)
        await ann.request(group_chat("ann", gid, "c"), "ok")
    for uid in TALKS:
        await ann.request(chat("ann", uid, "c"), "ok")
    loop = asyncio.get_running_loop()
    text = await loop.run_in_executor(None, server.ctl, "export", "ann")
    for name in [*GROUPS, *(f"ann,{uid}" for uid in TALKS)]:
        check(f'"conversation":"{name}"' in text, f"{name} isn't given out")
    check(text.count('"kind":"message"') == 60, text)
    await loop.run_in_executor(None, server.ctl, "erase", "ann")
    for what in ("message WHERE sender = 'ann'", "user WHERE uid = 'ann'", "device WHERE uid = 'ann'", "`cursor` WHERE uid = 'ann'",
                 "member WHERE uid = 'ann' AND direct = 0"):
        check(server.store.count(what) == 0, what)


class Apart:
    """A gateway and an app server of which the third part is a database server of its own."""

    def __init__(self, *settings):
        self.away = MariaDB()
        self.app = Server("gateway/enabled=0", *self.away.settings("third", "away"), *settings)
        self.app.store.databases.pop("third")
        self.gateway = Server("app/enabled=0", f"gateway/app/far/upstream={self.app.upstream}",
                              f"gateway/app/far/downstream={self.app.downstream}")
        self.app.settings += (f"receiver/upstream={self.app.upstream}", f"sender/downstream={self.app.downstream}")

    async def here(self, uid):
        """Those who have a talk with uid here, those whose talk with it is in the other part, and a group that is here."""
        client = await Talker.open(self.gateway, uid)
        for other in TALKS:
            await client.request(chat(uid, other, "before"), "ok")
        for gid in GROUPS:
            await client.ok("groupCreate", groupID=gid)
        await client.close()
        names = set.union(*parts_of(self.app))
        talks = [other for other in TALKS if f"{uid},{other}" in names]
        groups = [gid for gid in GROUPS if gid in names]
        check(0 < len(talks) < len(TALKS) and 0 < len(groups) < len(GROUPS), names)
        return talks, [other for other in TALKS if other not in talks], groups[0]

    def live(self, test):
        live(self.gateway, lambda: test(self.gateway), self.app)


def part_away():
    """A part that is away holds up what it has, and nothing else; nothing that was answered is lost."""
    parts = Apart("chat/devices=3")

    async def test(server):
        talks, others, gid = await parts.here("ann")
        ann, eve, friend = [await Talker.open(server, uid, "phone") for uid in ("ann", "eve", talks[0])]
        await eve.ok("groupJoin", groupID=gid)
        await friend.ok("groupJoin", groupID=gid)
        parts.away.stop()
        for uid in talks:
            answer = await ann.request(chat("ann", uid, "meanwhile"), "ok")
            check(answer["seq"] == 2, answer)
        await friend.hear("chat", seq=2)
        await ann.request(chat("ann", others[0], "meanwhile"), "store-unavailable")
        #  Whoever is put out of a group hears it no more
        await ann.ok("groupRemove", groupID=gid, uid="eve")
        await ann.request(group_chat("ann", gid, "secret"), "ok")
        await friend.hear("chatGroup")
        await eve.quiet("chatGroup")
        await friend.ok("groupLeave", groupID=gid)
        await ann.request(group_chat("ann", gid, "secret too"), "ok")
        await friend.quiet("chatGroup")
        await friend.ok("block", uid="ann", blocked=True)
        await ann.request(chat("ann", talks[0], "blocked"), "not-allowed")
        await friend.ok("block", uid="ann", blocked=False)
        #  Devices that can't bind leave nothing
        for nbr in range(10):
            client = await Talker.open(server)
            await client.request({"uid": "ann", "device": f"d{nbr}"}, "store-unavailable")
        devices = {row[0] for table in ("device", "`cursor`") for row in parts.app.store.ask(f"SELECT device FROM {table} WHERE uid = 'ann'")}
        check(devices <= {"", "phone"}, devices)
        parts.away.start()
        while (answer := await ann.request(chat("ann", others[0], "behind")))["code"] == "store-unavailable":
            await asyncio.sleep(0.2)
        check(answer["seq"] == 2, answer)
        bob = await Talker.open(server, others[0], "phone")
        for chat_id in ("before", "behind"):
            check((await bob.hear("chat"))["content"]["chatID"] == chat_id, bob.heard)
    parts.live(test)


def part_hangs():
    """A part that says nothing, but is there, holds up what it has, and nothing else, however much is said to it."""
    parts = Apart("worker/count=1", "worker/waiting=8")

    refused = 0

    async def say(client, uid, ends):
        nonlocal refused
        while not ends.is_set():
            refused += (await client.request(chat(uid, "ann", "waits")))["code"] == "store-unavailable"
            await asyncio.sleep(0.01)

    async def test(server):
        talks, others, _ = await parts.here("ann")
        ann = await Talker.open(server, "ann", "phone")
        clients = [await Talker.open(server, uid, "phone") for uid in others]
        parts.away.process.send_signal(signal.SIGSTOP)
        ends = asyncio.Event()
        tasks = [asyncio.ensure_future(say(client, uid, ends)) for client, uid in zip(clients, others)]
        for nbr in range(100):
            await ann.request(chat("ann", talks[0], f"meanwhile {nbr}"), "ok")
        while refused < 500 and not any(task.done() for task in tasks):
            await asyncio.sleep(0.1)
        calls = (await asyncio.to_thread(parts.app.counters))["mysql-third"]["calls"]
        check(calls < refused / 2, f"{calls} calls for {refused} that were refused")
        parts.away.process.send_signal(signal.SIGCONT)
        while (await ann.request(chat("ann", others[0], "behind")))["code"] == "store-unavailable":
            await asyncio.sleep(0.2)
        ends.set()
        await asyncio.gather(*tasks)
    parts.live(test)


def part_away_in_cluster():
    """The same in a cluster, whose app servers find out by themselves whether they have slept."""
    away = MariaDB()
    cluster = Cluster(2, 1, redis=True, settings=away.settings("third", "away"))

    async def test(_):
        ann = await Talker.open(cluster.gateway, "ann", "phone")
        for other in TALKS:
            await ann.request(chat("ann", other, "before"), "ok")
        names = {row[0] for row in away.ask("SELECT DISTINCT conversation FROM message", "away")}
        here = [other for other in TALKS if f"ann,{other}" not in names]
        there = [other for other in TALKS if f"ann,{other}" in names]
        away.stop()
        while (await ann.request(chat("ann", there[0], "meanwhile")))["code"] != "store-unavailable":
            pass
        for chat_id in ("m1", "m2"):
            for other in here:
                await ann.request(chat("ann", other, chat_id), "ok")
            await ann.request(chat("ann", there[0], chat_id), "store-unavailable")
        away.start()
        while (answer := await ann.request(chat("ann", there[0], "behind")))["code"] == "store-unavailable":
            await asyncio.sleep(0.2)
        check(answer["code"] == "ok", answer)
        for app in cluster.apps:
            check("has slept" not in app.logged(), "nobody has")
    cluster.live(test)
    away.remove()


def restarted_without():
    """An app server that starts while a part is away: who was bound hears what is in the others, and the rest when that is back, before
    what is said then."""
    parts = Apart()

    async def test(server):
        talks, others, gid = await parts.here("ann")
        ann, friend, bob = [await Talker.open(server, uid, "phone") for uid in ("ann", talks[0], others[0])]
        for nbr in range(3):
            await ann.request(chat("ann", others[0], f"m{nbr}"))
        for seq in (1, 2, 3, 4):
            await bob.hear("chat", seq=seq)
        for other in TALKS:
            await friend.request(chat(talks[0], other, "first"))    # So that it has some in each part
        await friend.ok("groupJoin", groupID=gid)
        parts.away.stop()
        await asyncio.to_thread(parts.app.stop)
        await asyncio.to_thread(parts.app.start)
        while (await ann.request(chat("ann", talks[0], "live")))["code"] != "ok":
            await asyncio.sleep(0.2)
        while (await friend.hear("chat"))["content"]["chatID"] != "live":
            pass
        await ann.request(group_chat("ann", gid, "live too"), "ok")
        check((await friend.hear("chatGroup"))["content"]["chatID"] == "live too", friend.heard)
        await asyncio.to_thread(parts.app.ctl, "reload")    # Those who waited for it are gone
        await ann.request(chat("ann", talks[0], "with new handlers"), "ok")
        while (await friend.hear("chat"))["content"]["chatID"] != "with new handlers":
            pass
        parts.away.start()
        while (await ann.request(chat("ann", others[0], "behind")))["code"] != "ok":
            await asyncio.sleep(0.2)
        name, seqs = f"ann,{others[0]}", []
        while not seqs or seqs[-1] < 5:
            got = await bob.receive() if not bob.heard else bob.heard.pop(0)
            if got["action"] == "chat" and {got["content"]["fromAccountID"], others[0]} == set(name.split(",")):
                seqs.append(got["seq"])
        check(seqs == [1, 2, 3, 4, 5], f"what came since: {seqs}")
    parts.live(test)


def wrong_place():
    """Parts that are named in another order, or are more or fewer than before, are refused, with what to do; also a store that wasn't
    divided, and one part of a store by itself."""
    async def bind(server, words):
        if words:
            client = await Talker.open(server)
            await client.request({"uid": "ann"}, "store-unavailable")
            check(words in server.logged(), server.logged())
        else:
            await Talker.open(server, "ann")
    with tempfile.TemporaryDirectory(prefix="rookery-shards-") as folder:
        for setting, words in (
                ("store/shards=main,second", ""), ("store/shards=second,main", "is part 2 of 2 of a store"), ("store/shards=main,second", ""),
                ("store/shards=main,second,third", "name the pools in store/shards as at the first start"),
                ("store/shards=", "is part 1 of 2 of a store, and the configuration makes it part 1 of 1")):
            server = Server(setting, *(("store/pool=main",) if setting.endswith("=") else ()), folder=folder)
            live(server, lambda: bind(server, words))    # noqa: it is over before the next one
            os.unlink(f"{folder}/log")
    with tempfile.TemporaryDirectory(prefix="rookery-shards-") as folder:
        for setting, words in (("store/shards=", ""), ("store/shards=main,second", "has a store that is not divided")):
            server = Server(setting, *(("store/pool=main",) if setting.endswith("=") else ()), folder=folder)
            live(server, lambda: bind(server, words))    # noqa
            os.unlink(f"{folder}/log")


if __name__ == "__main__":
    run(lists, people, catches_up, many_devices, erased, part_away, part_hangs, part_away_in_cluster, restarted_without, wrong_place)
