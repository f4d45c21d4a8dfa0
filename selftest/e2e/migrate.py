#!/usr/bin/python3
#  runs: plain mysql
"""migrate.py - stores that older servers have made are brought up to date at the start; newer ones are refused

selftest/stores has a small store of each version of the tables, made by a server of that time: ann and bob in the group
rooks, three chats of ann to bob (the second with an attachment), one to the group; bob's phone has acked the first.
From version 2 on also the group club, which is ann's and to which bob is invited.
"""

import asyncio
import glob
import gzip
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile

from rookery import PATIENCE, Client, Server, Store, chat, check, live, run

STORES = os.path.join(os.path.dirname(__file__), "../stores")
VOICE = b"\0\1\0voice\0"
MYSQL = os.environ.get("ROOKERY_STORE") == "mysql"


def fixtures():
    found = sorted(glob.glob(f"{STORES}/{'mysql' if MYSQL else 'sqlite'}-*"))
    check(len(found) >= 3, f"where are the stores? {found}")
    return [(os.path.basename(path), int(re.search(r"-(\d+)", path)[1]), path) for path in found]


def lay_out(path, folder):
    """The store of that path in a folder, for a server to find."""
    store = Store(folder)
    if MYSQL:
        subprocess.run(["mariadb", "--no-defaults", f"--socket={store.mariadb.folder}/sock", "-uroot", store.database],
                       stdin=open(path, "rb"), check=True, timeout=PATIENCE)
    else:
        with gzip.open(path) as packed, open(store.path, "wb") as file:
            shutil.copyfileobj(packed, file)
    return store


def tables(store):
    """What the tables are like: columns with types, and keys with their columns."""
    if MYSQL:
        where = f"WHERE table_schema = '{store.database}'"
        return (store.ask("SELECT table_name, column_name, column_type, is_nullable, character_set_name, collation_name "
                          f"FROM information_schema.columns {where} ORDER BY 1, 2"),
                store.ask("SELECT table_name, index_name, non_unique, seq_in_index, column_name "
                          f"FROM information_schema.statistics {where} ORDER BY 1, 2, 4"))
    found = {}
    with sqlite3.connect(store.path, timeout=PATIENCE) as db:
        for kind, name, text in db.execute("SELECT type, name, sql FROM sqlite_schema"):
            plain = re.sub(r"--[^\n]*|\"", "", text or "").replace("IF NOT EXISTS ", "")
            found[kind, name] = " ".join(plain.split()).replace(" ,", ",").replace(" )", ")")
    return found


def in_folder(test):
    """A test that is run for each store, in a folder of its own."""
    def started():
        for name, version, path in fixtures():
            print(f"   {name}", flush=True)
            with tempfile.TemporaryDirectory(prefix="rookery-migrate-") as folder:
                test(version, lay_out(path, folder), folder)
    started.__name__ = test.__name__
    return started


async def look(server, version):
    """All that was there is there, and what is new works."""
    bob = await Client.open(server, "bob", "phone")
    got = {}
    for _ in range(3):
        message = await bob.receive()
        got[message["content"]["chatID"]] = message
    check([got[one]["seq"] for one in ("two", "three", "four")] == [2, 3, 1], got)
    check(got["two"]["attachment"] == VOICE, got["two"])
    answer = await bob.ask({"action": "attachment", "conversation": "ann,bob", "seq": 2})
    check(answer["attachment"] == VOICE, answer)
    ann = await Client.open(server, "ann")
    for message, seq in ((chat("ann", "bob", "one"), 1), (chat("ann", "eve", "one"), 1), (chat("ann", "bob", "new"), 4)):
        await ann.send(message)
        while (answer := await ann.receive())["action"] != "chatRsp":
            pass
        check((answer["code"], answer["seq"]) == ("ok", seq), answer)
    if version > 1:
        await bob.send({"action": "groupJoin", "groupID": "club"})
        while (answer := await bob.receive())["action"] != "groupJoinRsp":
            pass
        check(answer["code"] == "ok", answer)


@in_folder
def older(version, store, folder):
    server = Server(folder=folder)
    live(server, lambda: look(server, version))
    check(f"of version {version} and are of version 6 now" in server.logged(), server.logged())
    with tempfile.TemporaryDirectory(prefix="rookery-migrate-") as other:
        fresh = Server(folder=other)

        async def compare():
            await Client.open(fresh, "ann")    # MySQL's are made beside the start
            check(tables(store) == tables(fresh.store), f"{tables(store)}\nare not those that are made now\n{tables(fresh.store)}")
        live(fresh, compare)
    #  It is said once
    again = Server(folder=folder)
    live(again, lambda: asyncio.sleep(0))
    check(again.logged().count("are of version 6 now") == 1, again.logged())


def interrupted():
    """MySQL has no transactions of such statements: what a try that was interrupted has done is found done."""
    if not MYSQL:
        return
    for name, version, path in fixtures():
        with tempfile.TemporaryDirectory(prefix="rookery-migrate-") as folder:
            store = lay_out(path, folder)
            with open(os.path.join(os.path.dirname(__file__), f"../../config/migrations/mysql-{version + 1}.sql")) as file:
                statements = re.sub(r"--[^\n]*", "", file.read()).split(";\n")
            for statement in statements[:-2]:    # All but the version
                store.ask(statement)
            server = Server(folder=folder)
            live(server, lambda: look(server, version))


def newer():
    """Tables of a newer server are refused, with what to do."""
    name, version, path = fixtures()[-1]
    with tempfile.TemporaryDirectory(prefix="rookery-migrate-") as folder:
        store = lay_out(path, folder)
        if MYSQL:
            store.ask("INSERT INTO schema_version VALUES (99)")
            server = Server(folder=folder)

            async def test():
                client = await Client.open(server)
                answer = await client.ask({"uid": "bob"})
                check(answer["code"] == "store-unavailable", answer)
                check("of version 99, made by a newer server" in server.logged(), server.logged())
            live(server, test)
            return
        with sqlite3.connect(store.path) as db:
            db.execute("PRAGMA user_version = 99")
        try:
            Server(folder=folder).remove()
            raise RuntimeError("it started")
        except AssertionError as error:
            check("of version 99, made by a newer server; this one knows version 6: start that server" in str(error), error)


if __name__ == "__main__":
    run(older, interrupted, newer)
