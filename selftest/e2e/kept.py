#!/usr/bin/python3
#  runs: asan mysql shards
"""kept.py - what the store has taken comes out again, and what it can't take is refused for good

Large attachments, limits that were lowered since, a message whose budget ends behind its commit, a busy database file.
"""

import asyncio
import contextlib
import json
import os
import sqlite3
import tempfile

from rookery import PATIENCE, Client, Server, chat, check, live, run
from services import MariaDB

SAMPLES = os.path.join(os.path.dirname(__file__), "../../proto/samples")
MYSQL = os.environ.get("ROOKERY_STORE") in ("mysql", "shards")


def sample(name):
    with open(f"{SAMPLES}/{name}.json", encoding="utf-8") as file:
        return file.read()


def with_attachment(message, attachment):
    text = json.dumps(message).encode()
    return len(text).to_bytes(4, "big") + text + attachment


def group_chat(sender, gid, chat_id, **more):
    return {"action": "chatGroup", "content": {"fromAccountID": sender, "chatGroupID": gid, "chatID": chat_id, **more}}


async def expect(client, message, code="ok"):
    answer = await client.ask(message)
    check(answer["code"] == code, f"expected {code}, got {answer}")
    return answer


async def drop_to_heart(client):
    """What comes until a heart is answered."""
    await client.send({"action": "heart"})
    got = []
    while True:
        message = await client.receive()
        if message["action"] == "heartRsp":
            return got
        got.append(message)


def on_server(*settings):
    """A test that gets a server with these settings."""
    def wrap(test):
        def started():
            server = Server(*settings)
            live(server, lambda: test(server))
        started.__name__ = test.__name__
        return started
    return wrap


@on_server()
async def seed_samples(server):
    """A chat and a group chat of one sender with the same chatID are two."""
    pair = json.loads(sample("seed-chat")), json.loads(sample("seed-chatGroup"))
    sender, receiver = pair[0]["content"]["fromAccountID"], pair[0]["content"]["toAccountID"]
    gid, chat_id = pair[1]["content"]["chatGroupID"], pair[0]["content"]["chatID"]
    check(chat_id == pair[1]["content"]["chatID"], "they don't share a chatID")
    one, two = await Client.open(server, sender), await Client.open(server, receiver)
    for client in (one, two):
        await expect(client, {"action": "groupJoin", "groupID": gid})
    answers = []
    for name in ("seed-chat", "seed-chatGroup", "seed-chat", "seed-chatGroup"):
        await one.send(sample(name))
        answers += [message for message in await drop_to_heart(one) if message["action"].endswith("Rsp")]
    check([(answer["code"], answer["chatID"], answer["seq"]) for answer in answers] == [("ok", chat_id, 1)] * 4, answers)
    check(answers[:2] == answers[2:], "said again it is answered otherwise")
    got = await drop_to_heart(two)
    check([(message["action"], message["content"]) for message in got] == [(one["action"], one["content"]) for one in pair], got)


LARGE = 17_000_000


@contextlib.contextmanager
def packets_of(size):
    """MariaDB takes packets of this size meanwhile."""
    if MYSQL:
        MariaDB.shared().ask(f"SET GLOBAL max_allowed_packet = {size}")
    try:
        yield
    finally:
        if MYSQL:
            MariaDB.shared().ask("SET GLOBAL max_allowed_packet = 16777216")


def large_attachment():
    """What the configuration allows is stored, comes at the next bind with what is behind it, and can be asked for."""
    with packets_of(64 << 20):
        server = Server(f"chat/attachment={LARGE}", f"gateway/message={LARGE + 65536}")
        live(server, lambda: large_comes(server))


async def large_comes(server):
    ann = await Client.open(server, "ann")
    large = os.urandom(1 << 16) * (LARGE // (1 << 16))
    await expect(ann, with_attachment(chat("ann", "bob", "large", isBytes=1), large))
    await expect(ann, chat("ann", "bob", "behind"))
    await expect(ann, with_attachment(chat("ann", "bob", "too", isBytes=1), large + bytes(1 << 16)), "too-large")
    bob = await Client.open(server, "bob")
    message = await bob.receive()
    check(message["content"]["chatID"] == "large" and message["attachment"] == large, "the attachment changed")
    await bob.send({"action": "ack", "conversation": "ann,bob", "seq": 1})
    both = {message["action"]: message for message in (await bob.receive(), await bob.receive())}    # In either order
    check(both["ackRsp"]["code"] == "ok" and both["chat"]["content"]["chatID"] == "behind", both)
    answer = await expect(bob, {"action": "attachment", "conversation": "ann,bob", "seq": 1, "requestID": "r"})
    check(answer["attachment"] == large and answer["seq"] == 1 and answer["requestID"] == "r", "other bytes")
    for seq, code in ((2, "not-found"), (3, "not-found"), (0, "bad-request"), ("1", "bad-request")):
        await expect(bob, {"action": "attachment", "conversation": "ann,bob", "seq": seq}, code)
    eve = await Client.open(server, "eve")
    await expect(eve, {"action": "attachment", "conversation": "ann,bob", "seq": 1}, "not-found")


@on_server("gateway/queue=1048576")
async def zeros_count(server):
    """A page of redelivery counts all bytes of attachments, also behind a zero."""
    ann = await Client.open(server, "ann")
    picture = bytes(100_000)
    for nbr in range(1, 5):
        await expect(ann, with_attachment(chat("ann", "bob", str(nbr), isBytes=1), picture))
    await Client.open(server, "bob", "phone")
    bob = await Client.open(server, "bob", "phone")
    await expect_first(bob, picture)
    await bob.send({"action": "ack", "conversation": "ann,bob", "seq": 0})    # It acks: now it is waited for
    while (message := await bob.receive())["action"] == "chat":    # It may have been too late for the first page
        pass
    check(message["action"] == "ackRsp" and message["code"] == "ok", message)
    await bob.close()
    bob = await Client.open(server, "bob", "phone")
    await expect_first(bob, picture)
    got = [message["seq"] for message in await drop_to_heart(bob) if message["action"] == "chat"]
    check(got == [], f"a page has {got} as well, more than an eighth of gateway/queue")


async def expect_first(client, picture):
    message = await client.receive()
    check(message["seq"] == 1 and message["attachment"] == picture, message["seq"])


def lowered_depth():
    """What was stored when JSON might be nested more is given out as it was, in redelivery and history."""
    deep = '{"action":"chat","content":{"fromAccountID":"ann","toAccountID":"bob","chatID":"deep","x":%s1.50e+01%s}}' % ("[" * 60, "]" * 60)

    async def first(server):
        ann = await Client.open(server, "ann")
        await expect(ann, deep)
        await expect(ann, chat("ann", "bob", "flat"))

    async def second(server):
        bob = await Client.open(server, "bob")
        raw = [await asyncio.wait_for(bob.socket.recv(), PATIENCE) for _ in range(2)]
        check(deep[1:] in raw[0] and '"flat"' in raw[1], raw)
        await bob.send({"action": "history", "conversation": "ann,bob"})
        raw = await asyncio.wait_for(bob.socket.recv(), PATIENCE)
        check(deep[1:] in raw and '"flat"' in raw, raw)
    two_lives(first, second, ("lua/depth=100",), ("lua/depth=8",))


def lowered_memory():
    """An attachment that no handler can hold any more stops nothing: its message comes without it, and says so."""
    async def first(server):
        ann = await Client.open(server, "ann")
        await expect(ann, with_attachment(chat("ann", "bob", "large", isBytes=1), bytes(900_000)))
        await expect(ann, chat("ann", "bob", "behind"))

    async def second(server):
        bob = await Client.open(server, "bob")
        message = await bob.receive()
        check(message["content"]["chatID"] == "large" and message["bytes"] is True and "attachment" not in message, message)
        await bob.send({"action": "ack", "conversation": "ann,bob", "seq": 1})
        got = [message["content"]["chatID"] for message in (await bob.receive(), await bob.receive()) if message["action"] == "chat"]
        check(got == ["behind"], got)
        await expect(bob, {"action": "attachment", "conversation": "ann,bob", "seq": 1}, "too-large")
    two_lives(first, second, (), ("lua/message=1000000",))


def two_lives(first, second, before, after):
    with tempfile.TemporaryDirectory(prefix="rookery-kept-") as folder:
        for test, settings in ((first, before), (second, after)):
            server = Server(*settings, folder=folder)
            live(server, lambda test=test, server=server: test(server))


@on_server("lua/message=65536", "worker/count=1", "gateway/message=9000000")
async def answered_behind_commit(server):
    """A chat that is stored is answered ok and delivered, however little of its budget is left then."""
    ann, bob = await Client.open(server, "ann"), await Client.open(server, "bob")
    stored, codes = 0, set()
    for size in (int(1000 * 1.1 ** nbr) for nbr in range(95)):
        answer = await ann.ask(chat("ann", "bob", str(size), text="x" * size))
        codes.add(answer["code"])
        if answer["code"] == "ok":
            stored += 1
            check(answer["seq"] == stored, answer)
            check((await bob.receive())["seq"] == stored, "not delivered")
    check(codes == {"ok", "internal"}, f"the limit isn't met: {codes}")
    rows = server.store.count("message")
    check(rows == stored, f"{stored} were answered ok, {rows} are stored")


SPENDS = """
local function spend (count)
    for _ = 1, count do end
end
local function handle (ctx, msg)
    spend (msg.before)
    assert (sql.run ("INSERT INTO room (conversation, creator, invited) VALUES (?, 'x', 0)", msg.name))
    spend (msg.behind)
    ctx.after = msg.fails and function () error ("behind the answer") end
    return {}
end
return {action = "spends", handle = handle}
"""


def little_is_left():
    """Behind a commit a message has enough of its budget left to say so, once; and what fails behind the answer is none."""
    with tempfile.TemporaryDirectory(prefix="rookery-kept-app-") as folder:
        with open(f"{folder}/spends.lua", "w") as file:
            file.write(SPENDS)
        server = Server(f"lua/app={folder},lua/app", "lua/instructions=400000")

        async def test():
            ann = await Client.open(server, "ann")
            for before, behind, code in ((390_000, 1000, "ok"), (390_000, 80_000, "ok"), (390_000, 390_000, "internal"), (900_000, 0, "internal")):
                answer = await expect(ann, {"action": "spends", "before": before, "behind": behind, "name": f"{before} {behind}"}, code)
                check(answer["action"] == "spendsRsp", answer)
            await expect(ann, {"action": "spends", "before": 0, "behind": 0, "name": "x", "fails": True})
            check(await drop_to_heart(ann) == [], "a second answer")
            check("behind the answer" in server.logged(), "the operator isn't told")
        live(server, test)


def other_writer():
    """Another process that has the database file's lock for a moment is waited for; beside one that reads the log grows,
    and is cut when that has gone."""
    if MYSQL:
        return
    server = Server()

    async def test():
        ann = await Client.open(server, "ann")
        await expect(ann, chat("ann", "bob", "before"))
        other = sqlite3.connect(server.store.path, isolation_level=None)
        for pause in (0.3, 2.5):
            other.execute("BEGIN IMMEDIATE")
            await ann.send(chat("ann", "bob", f"p{pause}"))
            await asyncio.sleep(pause)
            other.execute("COMMIT")
            answer = await ann.receive()
            check(answer["code"] == "ok", f"under a lock of {pause} s: {answer}")
        check(server.ctl("status"), "it answers its operator")

        # A reader in the middle of a transaction
        log = server.store.path + "-wal"
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM message").fetchall()
        nbr = 0
        while os.path.getsize(log) < 60_000_000:
            await expect(ann, with_attachment(chat("ann", "bob", f"n{nbr}", isBytes=1), bytes(1_000_000)))
            nbr += 1
        other.execute("COMMIT")
        other.close()
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while os.path.getsize(log) > 42_000_000:
            check(asyncio.get_running_loop().time() < deadline, f"the log has {os.path.getsize(log)} bytes")
            await asyncio.sleep(0.1)
    live(server, test)


if __name__ == "__main__":
    run(seed_samples, large_attachment, zeros_count, lowered_depth, lowered_memory, answered_behind_commit, little_is_left, other_writer)
