#!/usr/bin/python3
#  runs: mysql shards
"""database.py - what a MySQL-compatible database does besides answering

It takes small packets only, another app server is on it, it has other transactions that ours wait for, its answer is lost.
"""

import asyncio
import contextlib
import json
import socket
import subprocess

from kept import drop_to_heart, expect, group_chat, packets_of, with_attachment
from rookery import PATIENCE, Client, Server, Store, chat, check, live, run, served
from services import MariaDB


def small_packets():
    """A chat that the database takes no packet for is refused for good, at once, and costs others nothing."""
    server = Server("gateway/message=4000000", "chat/attachment=3900000")
    async def test():
        ann, bob, eve = [await Client.open(server, name) for name in ("ann", "bob", "eve")]
        await expect(ann, with_attachment(chat("ann", "bob", "large", isBytes=1), bytes(2_000_000)))
        check((await bob.receive())["content"]["chatID"] == "large", "large")
        MariaDB.shared().ask("SET GLOBAL max_allowed_packet = 1048576")
        server.stop()
        server.start()
        check("max_allowed_packet of mysql/main is 1048576" in server.logged(), "nobody is told")
        ann, bob, eve = [await Client.open(server, name) for name in ("ann", "bob", "eve")]
        check((await bob.receive())["content"]["chatID"] == "large", "what was stored before")
        for nbr in range(3):
            await eve.send(with_attachment(chat("eve", "bob", f"e{nbr}", isBytes=1), bytes(2_000_000)))
            await expect(ann, chat("ann", "bob", f"small{nbr}"))
            answer = await eve.receive()
            check(answer["code"] == "too-large" and "max_allowed_packet" in answer["message"], answer)
            await eve.send({"action": "chat", "content": {"fromAccountID": "eve", "toAccountID": "bob", "chatID": f"t{nbr}",
                                                          "text": "x" * 1_100_000}})
            check((await eve.receive())["code"] == "too-large", "a long text")
        check("connection lost" not in server.logged(), server.logged()[-2000:])
    with packets_of(16777216):
        live(server, test)


def two_app_servers():
    """Two app servers on one database: no chat to a hot group or talk is refused wrongly or goes unanswered, and each
    conversation's seq have no gap."""
    one = Server("worker/count=2")
    two = Server("worker/count=2", *one.store.settings, "mysql/main/connections=3")
    EACH, USERS = 60, 6

    async def user(server, nbr):
        name = f"u{nbr}"
        client = await Client.open(server, name)
        for gid in ("hot", f"own{nbr}"):
            await client.send({"action": "groupJoin", "groupID": gid})
            while (answer := await client.receive())["action"] != "groupJoinRsp":
                check(answer["action"] in ("chat", "chatGroup"), answer)
            check(answer["code"] == "ok", answer)
        for count in range(EACH):
            for message in (group_chat(name, "hot", f"{count}"), chat(name, f"u{nbr ^ 1}", f"{count}"), group_chat(name, f"own{nbr}", f"{count}")):
                await client.send(message)
        seqs, left = {}, 3 * EACH
        while left:
            answer = await client.receive()
            if answer["action"].endswith("Rsp"):
                left -= 1
                check(answer["code"] == "ok", answer)
                seqs.setdefault(answer["conversation"], []).append((answer["seq"], int(answer["chatID"])))
        for conversation, pairs in seqs.items():
            check([one for _, one in sorted(pairs)] == list(range(EACH)), f"{name}'s chats in {conversation} changed their order: {pairs}")
        return [seq for seq, _ in seqs["hot"]]

    async def test():
        lists = await asyncio.gather(*(user(server, nbr) for nbr, server in enumerate([one, two] * (USERS // 2))))
        check(sorted(sum(lists, [])) == list(range(1, EACH * USERS + 1)), "seqs of the group")
    with served(two):
        live(one, test)


def several_connections():
    """With several connections to the database, a statement that waits there holds up those behind it on its own only."""
    server = Server("mysql/main/connections=4", "mysql/main/timeout=250000", "store/time=250000")

    async def test():
        ann, others = await Client.open(server, "ann"), [await Client.open(server, f"u{nbr}") for nbr in range(16)]
        say("BEGIN; INSERT INTO message (conversation, seq, sender, chat_id, recipient, device, at, body) "
            "VALUES ('ann,bob', 1, 'ann', 'other', 'bob', '', 0, '{}')")
        held = asyncio.ensure_future(ann.ask(chat("ann", "bob", "held")))
        tasks = [asyncio.ensure_future(client.ask(chat(f"u{nbr}", f"v{nbr}", "free"))) for nbr, client in enumerate(others)]
        done, _ = await asyncio.wait(tasks, timeout=200, return_when=asyncio.FIRST_COMPLETED)
        check(done and not held.done(), "all wait for one connection")
        say("ROLLBACK")
        for answer in await asyncio.gather(held, *tasks):
            check((answer["code"], answer["seq"]) == ("ok", 1), answer)
    with session(server) as say:
        live(server, test)


def bound_while_forgotten():
    """A device binds after the sweeper has found that nobody has seen it for long, and before it is forgotten: it stays, and what it
    has seen doesn't come again."""
    server = Server("chat/device_days=5", "store/time=250000", *(f"mysql/{pool}/{setting}" for pool in Store.pools()
                                            for setting in ("connections=4", "timeout=250000")))
    databases = list(server.store.databases.values())
    named = ", ".join(f"'{database}'" for database in databases)

    def at_work(state):
        """How many transactions of the server."""
        return int(server.store.mariadb.ask(
            "SELECT count(*) FROM information_schema.innodb_trx AS t JOIN information_schema.processlist AS p "
            f"ON p.id = t.trx_mysql_thread_id WHERE p.db IN ({named}) AND trx_state {state}")[0][0])

    async def meet(say):
        """Whether the sweeper has waited for a bind."""
        server.stop()
        server.store.ask("UPDATE device SET seen = seen - 40 WHERE device = 'pad'")
        say("BEGIN; " + "; ".join(f"SELECT 1 FROM {database}.user WHERE uid = 'bob' FOR UPDATE" for database in databases))
        server.start()
        binds = asyncio.ensure_future(Client.open(server, "bob", "pad"))    # It has the device's row, and waits for the user's
        for _ in range(100):    # Its calls and the bind's may share a connection: then they don't meet
            if (waiting := at_work("= 'LOCK WAIT'")) == 2 or not server.store.count("device WHERE device = 'pad'"):
                break
            await asyncio.sleep(0.1)
        say("ROLLBACK")
        await binds
        while at_work("<> ''"):
            await asyncio.sleep(0.1)
        return waiting == 2

    async def test():
        ann, bob = await Client.open(server, "ann"), await Client.open(server, "bob", "pad")
        await expect(ann, chat("ann", "bob", "c1"))
        await bob.ask({"action": "ack", "conversation": "ann,bob", "seq": (await bob.receive())["seq"]})
        while not server.store.count("`cursor` WHERE device = 'pad'"):
            await asyncio.sleep(0.1)
        with session(server, "READ COMMITTED") as say:
            while not await meet(say):
                pass
        check(server.store.count("device WHERE device = 'pad' AND seen > 0") == 1, "the device is forgotten")
        check(server.store.count("`cursor` WHERE device = 'pad'") == 1, "what the device has seen is forgotten")
    live(server, test)


@contextlib.contextmanager
def session(server, isolation="REPEATABLE READ"):
    """say (statement) in a session of its own with the database."""
    database = subprocess.Popen(["mariadb", "--no-defaults", f"--socket={server.store.mariadb.folder}/sock", "-uroot", "-n", "-N",
                                 server.store.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(statement):
        database.stdin.write(f"{statement}; SELECT 'done';\n")
        database.stdin.flush()
        while (line := database.stdout.readline()) != "done\n":
            check(line, statement)
    try:
        say(f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}")
        yield say
    finally:
        database.stdin.close()
        database.wait(PATIENCE)
        database.stdout.close()


class Cutter:
    """Stands between a server and MariaDB, whose answer to what has such bytes in it gets lost, with its connection, once for each."""

    def __init__(self):
        self.lost, self.socket = [], socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]    # A server that connects before start waits

    async def start(self, mariadb):
        self.mariadb = mariadb
        self.server = await asyncio.start_server(self.serve, sock=self.socket)

    def lose(self, *words):
        self.lost += words

    async def serve(self, reader, writer):
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.mariadb.port)
        cut = asyncio.Event()

        async def ask():
            while data := await reader.read(65536):
                for word in [word for word in self.lost if word in data]:
                    self.lost.remove(word)
                    cut.set()
                to_writer.write(data)
            to_writer.close()

        async def answer():
            while (data := await to_reader.read(65536)) and not cut.is_set():
                writer.write(data)
            writer.close()
        await asyncio.gather(ask(), answer(), return_exceptions=True)
        to_writer.close()


def commit_unknown():
    """The answer of the database to a chat is lost: it is stored, answered, and comes live to all."""
    cutter = Cutter()
    server = Server(*(f"mysql/{pool}/port={cutter.port}" for pool in Store.pools()))

    async def test():
        ann, bob, cid = [await Client.open(server, uid, "phone") for uid in ("ann", "bob", "cid")]
        for client in (ann, bob, cid):
            check((await client.ask({"action": "groupJoin", "groupID": "club"}))["code"] == "ok", "join")
        for nbr, message in enumerate((chat("ann", "bob", "{}"), group_chat("ann", "club", "{}"))):
            hears = (bob,) if nbr == 0 else (bob, cid)
            for kind in ("plain", "lost", "behind"):
                said = json.loads(json.dumps(message).replace("{}", f"{kind}{nbr}"))
                if kind == "lost":
                    cutter.lose(f"lost{nbr}".encode())
                await ann.send(said)
                while not (answer := await ann.receive())["action"].endswith("Rsp"):
                    pass    # It hears itself in the group
                check(answer["code"] == "ok", answer)
                for client in hears:
                    got = await client.receive()
                    check((got["seq"], got["content"]["chatID"]) == (answer["seq"], f"{kind}{nbr}"), f"{kind}: {got}")
        check(not cutter.lost, f"was never said: {cutter.lost}")
        for client in (bob, cid):
            check(not await drop_to_heart(client), "comes twice")

    async def whole():
        await cutter.start(server.store.mariadb)
        await test()
    live(server, whole)


if __name__ == "__main__":
    run(small_packets, two_app_servers, several_connections, bound_while_forgotten, commit_unknown)
