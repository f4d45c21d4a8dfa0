#!/usr/bin/python3
#  runs: asan
"""calls.py - handlers call a real Redis, MariaDB and ZeroMQ services, also while those go away"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile

import zmq
import zmq.asyncio

from rookery import PATIENCE, Client, Server, chat, check, live, run
from database import session
from services import MariaDB, Redis, free_port

HANDLERS = "lua/app=selftest/e2e/handlers"


def with_services(*settings, clients=("ann",), durable=False):
    """A test that gets a server on a Redis and a MariaDB of its own, and bound clients."""
    def wrap(test):
        def wrapped():
            redis, mariadb = Redis(durable=durable), MariaDB.shared()
            server = Server(HANDLERS, "chat/durability=relayed", f"redis/main/port={redis.port}",
                            *mariadb.settings("main", "calls"), "link/push/endpoint=tcp://127.0.0.1:1", *settings)
            server.redis, server.mariadb = redis, mariadb

            async def bound():
                await test(server, *[await Client.open(server, uid) for uid in clients])
            live(server, bound, redis)
        wrapped.__name__ = test.__name__
        return wrapped
    return wrap


async def call(client, what, **more):
    answer = await client.ask({"action": "call", "call": what, **more})
    check(answer["code"] == "ok", answer)
    return answer["ok"], answer.get("result")


async def redis_words(client, *words):
    return await call(client, "redis", words=list(words))


async def sql(client, verb, statement, *params):
    return await call(client, "mysql", verb=verb, sql=statement, params=list(params))


@with_services()
async def redis_replies(server, client):
    """Every kind of reply; errors come back as a reason."""
    for words, reply in ((("SET", "k", "v"), "OK"), (("GET", "k"), "v"), (("GET", "none"), None), (("INCR", "n"), 1),
                         (("RPUSH", "l", "a", "b", 3), 3), (("LRANGE", "l", 0, -1), ["a", "b", "3"]),
                         (("MGET", "k", "none", "k"), ["v", None, "v"]), (("SMEMBERS", "empty"), []),
                         (("EVAL", "return {1, {2, 'x'}}", 0), [1, [2, "x"]])):
        ok, got = await redis_words(client, *words)
        check(ok and got == reply, f"{words}: {got}")
    ok, why = await redis_words(client, "INCR", "k")
    check(not ok and "not an integer" in why, why)
    ok, why = await redis_words(client, "NONSENSE")
    check(not ok and "unknown command" in why, why)
    for words in (("subscribe", "a", "b"), ("SELECT", 3), ("MULTI",), ("Monitor",), ("CLIENT", "reply", "SKIP"), ("QUIT",)):
        ok, why = await redis_words(client, *words)
        check(not ok and "no place on a connection" in why, f"{words}: {why}")
    check(await redis_words(client, "GET", "k") == (True, "v"), "after what was refused")


@with_services()
async def mysql_types(server, client):
    """Parameters and rows of all types; SQL in a parameter stays a text."""
    check((await sql(client, "query", "CREATE OR REPLACE TABLE t (id BIGINT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(99), "
                     "price DECIMAL(10,2), at DATETIME, big BIGINT UNSIGNED, ratio DOUBLE)"))[0], "create")
    evil = "Robert'); DROP TABLE t; -- \\ \" ? 😀"
    ok, info = await sql(client, "insert", "INSERT INTO t (name, price, at, big, ratio) VALUES (?, ?, ?, ?, ?)", evil, "12.50",
                         "2024-02-29 12:34:56", "18446744073709551615", 0.25)
    check(ok and info == {"affected": 1, "last_insert_id": 1}, info)
    ok, rows = await sql(client, "select", "SELECT * FROM t WHERE name = ?1 AND id = ?2", evil, 1)
    check(ok and rows == [{"id": 1, "name": evil, "price": "12.50", "at": "2024-02-29 12:34:56",
                           "big": "18446744073709551615", "ratio": 0.25}], rows)
    ok, info = await sql(client, "update", "UPDATE t SET name = ? WHERE id = ?", None, 1)
    check(ok and info["affected"] == 1, info)
    ok, rows = await sql(client, "select", "SELECT name, ratio FROM t")
    check(rows == [{"ratio": 0.25}], rows)
    ok, why = await sql(client, "select", "SELECT nothing FROM t")
    check(not ok and "nothing" in why, why)
    ok, why = await call(client, "transaction", list=[["INSERT INTO t (name) VALUES (?)", "x"], ["INSERT INTO t (id) VALUES (1)"]])
    check(not ok and "Duplicate" in why, why)
    ok, results = await call(client, "transaction", list=[["INSERT INTO t (name) VALUES (?)", "y"], ["SELECT count(*) AS n FROM t"]])
    check(ok and results[0]["affected"] == 1 and results[1]["rows"] == [{"n": 2}], results)
    for words in ("COMMIT", "begin", "SET autocommit = 1", "LOCK TABLES t WRITE"):
        ok, why = await sql(client, "query", words)
        check(not ok and "have no place here" in why, f"{words}: {why}")
    # What is prepared changes under us, and procedures give rows that nobody knew of
    check((await sql(client, "query", "SELECT * FROM t WHERE id = 1"))[1][0]["id"] == 1, "before")
    check((await sql(client, "query", "ALTER TABLE t ADD COLUMN more INT DEFAULT 7 FIRST"))[0], "alter")
    for _ in range(2):
        ok, rows = await sql(client, "query", "SELECT * FROM t WHERE id = 1")
        check(ok and rows[0]["more"] == 7 and rows[0]["id"] == 1, rows)
    await sql(client, "query", "CREATE OR REPLACE PROCEDURE p (n INT) BEGIN SELECT n AS one; SELECT n + 1 AS two, 'x' AS y; END")
    for nbr in range(3):
        ok, rows = await sql(client, "query", "CALL p (?)", nbr)
        check(ok and rows == [{"one": nbr}], rows)
        check((await sql(client, "query", "SELECT 1 AS n")) == (True, [{"n": 1}]), "after a procedure")
    marks = ", ".join(["?"] * 1000)
    ok, rows = await sql(client, "query", f"SELECT 1000 IN ({marks}) AS n", *range(1, 1001))
    check(ok and rows == [{"n": 1}], rows)
    ok, why = await sql(client, "query", f"SELECT 1 IN ({marks}, ?)", *range(1001))
    check(not ok and "too many parameters" in why, why)


@with_services()
async def wrong_arguments(server, client):
    """What is wrong with a call is said at its caller's line."""
    _, reasons = await call(client, "wrong")
    for line, (reason, word) in enumerate(zip(reasons, (
            "no redis/nowhere", "command expected", "argument 2: string or number", "verb must be", "SQL expected",
            "parameter 1: nil, boolean", "has no replies", "list of frames", "frame 1:", "milliseconds", "function expected",
            "id must be", "content must be", "id must be")), 30):
        check(word in reason and f"calls.lua:{line}:" in reason, f"line {line}, {word}: {reason}")


@with_services()
async def timers(server, client):
    ok, slept = await call(client, "sleep", msec=50)
    check(ok and slept >= 50, slept)
    await call(client, "after")
    got = [(await client.receive())["msec"] for _ in range(3)]
    check(got == [20, 40, 60], got)


@with_services()
async def aside(server, client):
    """A connection's other messages don't wait for a handler that says so, also those that wait for all before them; then all are done."""
    for what in ("wait_aside", "free"):
        await client.send({"action": "call", "call": what, "requestID": what})
    got = [await client.receive() for _ in range(2)]
    check([(answer["requestID"], answer["ok"]) for answer in got] == [("free", True), ("wait_aside", True)], got)
    check((await call(client, "sleep", msec=1))[0], "behind both")


@with_services("redis/main/timeout=20000")
async def timer_storm(server, client):
    """6,000 timers at once, more than calls may wait: each makes its call when there is room."""
    check((await call(client, "storm", count=6000))[0], "storm")
    check(await client.receive() == {"action": "stormed", "done": 6000}, "stormed")


@with_services(clients=("ann", "reader"))
async def events(server, client, reader):
    """What is published reaches one worker once, also after Redis was away."""
    for again in range(2):
        while (await redis_words(client, "PUBLISH", "news", "ready"))[1] != 1:
            await asyncio.sleep(0.02)
        check((await reader.receive())["payload"] == "ready", "the first event")
        for nbr in range(50):
            await redis_words(client, "PUBLISH", "news", str(nbr))
        got = [(await reader.receive())["payload"] for _ in range(50)]
        check(got == [str(nbr) for nbr in range(50)], got)
        if not again:
            server.redis.stop()
            server.redis.start()


@with_services("link/echo/endpoint=tcp://127.0.0.1:1", clients=("ann",))
async def no_service(server, client):
    """Without its service a call to a link fails in its time."""
    ok, why = await call(client, "link", link="push", how="send_table", frames=["x"])
    check(ok is True, why)


async def serve(socket, count):
    """Echoes backwards: each reply goes to whoever asked, in any order."""
    asked = [await socket.recv_multipart() for _ in range(count)]
    for frames in reversed(asked):
        cut = frames.index(b"")
        await socket.send_multipart(frames[:cut + 1] + [b"re"] + frames[cut + 1:])


def links():
    """push with a bounded queue, dealer with replies in another order, pub and a bound push; powerOn to damR."""
    ports = {name: free_port() for name in ("dealer", "req", "damR", "pub", "bound", "bound_dealer", "bound_pub")}
    settings = []
    for name, port in ports.items():
        kind = {"damR": "push", "bound": "push"}.get(name, name.replace("bound_", ""))
        at = "@" if name.startswith("bound") else ""
        settings += [f"link/{name}/endpoint={at}tcp://127.0.0.1:{port}", f"link/{name}/type={kind}"]
    settings += ["link/damR/queue=5", "link/dealer/timeout=1000", "worker/count=1"]

    @with_services(*settings, clients=("ann", "bob", "cid"))
    async def test(server, *clients):
        context = zmq.asyncio.Context()
        context.linger = 0

        def socket(kind, name, connect=False):
            fresh = context.socket(kind)
            (fresh.connect if connect else fresh.bind)(f"tcp://127.0.0.1:{ports[name]}")
            return fresh
        try:
            # Replies come in another order than the calls
            router = socket(zmq.ROUTER, "dealer")
            task = asyncio.create_task(serve(router, 3))
            got = await asyncio.gather(*(call(client, "link", link="dealer", how="call_table", frames=[str(nbr), "x"])
                                         for nbr, client in enumerate(clients)))
            check([frames for _, frames in got] == [["re", str(nbr), "x"] for nbr in range(3)], got)
            await task
            rep = socket(zmq.REP, "req")
            task = asyncio.create_task(call(clients[0], "link", link="req", how="call_table", frames=["question"]))
            check(await asyncio.wait_for(rep.recv(), PATIENCE) == b"question", "REP")
            await rep.send_multipart([b"answer", b"", b"2"])
            check((await task) == (True, ["answer", "", "2"]), "the reply of a REP")
            ok, why = await call(clients[0], "link", link="dealer", how="call_table", frames=["nobody answers"])
            check(not ok and "no answer in time" in why, why)

            # A bound one, which the service connects to
            pull = socket(zmq.PULL, "bound", connect=True)
            await call(clients[0], "link", link="bound", how="send_table", frames=["a", "b"])
            check(await asyncio.wait_for(pull.recv_multipart(), PATIENCE) == [b"a", b"b"], "bound")
            rep = socket(zmq.REP, "bound_dealer", connect=True)
            for nbr in range(3):
                task = asyncio.create_task(call(clients[0], "link", link="bound_dealer", how="call_table", frames=[nbr]))
                check(await asyncio.wait_for(rep.recv(), PATIENCE) == b"%d" % nbr, "bound dealer")
                await rep.send(b"re %d" % nbr)
                check((await task) == (True, [f"re {nbr}"]), "the reply of a bound dealer")
            for name in ("pub", "bound_pub"):
                sub = socket(zmq.SUB, name, connect=name == "bound_pub")
                sub.setsockopt(zmq.SUBSCRIBE, b"")
                while not await sub.poll(50):
                    await call(clients[0], "link", link=name, how="send_table", frames=["news"])
                check(await sub.recv_multipart() == [b"news"], name)

            # powerOn: waits in the queue up to its limit, then the handler is told; then all come
            await power_on(server, clients[0], socket)
        finally:
            context.destroy(linger=0)
    test()


async def power_on(server, client, socket):
    text = '{"action":"call", "call":"link", "link":"damR", "how":"send_table", "frames":["%d"]}'
    answers = [await client.ask(text % nbr) for nbr in range(8)]
    check([answer["ok"] for answer in answers] == [True] * 5 + [False] * 3, answers)
    check("queue is full" in answers[5]["result"], answers[5])
    counters = server.counters()["worker-1"]
    check(counters["to:link-damR"] == 5 and counters["link_damR_refused"] == 3, counters)
    pull = socket(zmq.PULL, "damR")
    got = [await asyncio.wait_for(pull.recv_multipart(), PATIENCE) for _ in range(5)]
    check(got == [[b"%d" % nbr] for nbr in range(5)], got)


def power_on_app():
    """The chat application's own powerOn, byte for byte."""
    port = free_port()
    server = Server(f"link/damR/endpoint=tcp://127.0.0.1:{port}", "link/damR/queue=2", "worker/count=1")

    async def test():
        device = await Client.open(server)
        text = '{"action":"powerOn","IMEI":"864376021234567", "battery" : 0.5}'
        answers = [await device.ask(text) for _ in range(3)]
        check([answer["code"] for answer in answers] == ["ok", "ok", "link-unavailable"], answers)
        check((await device.ask({"action": "powerOn"}))["code"] == "bad-request", "without an IMEI")
        context = zmq.asyncio.Context()
        pull = context.socket(zmq.PULL)
        pull.bind(f"tcp://127.0.0.1:{port}")
        for _ in range(2):
            frames = await asyncio.wait_for(pull.recv_multipart(), PATIENCE)
            check(frames == [b'{"powerOn":["864376021234567"]}', text.encode()], frames)
        await Client.close_all()
        context.destroy(linger=0)
    try:
        asyncio.run(asyncio.wait_for(test(), PATIENCE))
        check(server.stop() == 0, "exit status")
    finally:
        server.remove()


@with_services("redis/main/timeout=8000", clients=[f"u{nbr}" for nbr in range(8)], durable=True)
async def redis_killed(server, *clients):
    """Redis is killed under load: every call gets its own reply or a reason, none gets another's or is made twice."""
    seen = {"ok": 0, "lost": 0}
    counted = {"ok": 0, "lost": 0}
    stop = asyncio.Event()

    async def load(nbr, client):
        count = 0
        while not stop.is_set():
            count += 1
            word = f"{nbr}-{count}"
            ok, reply = await redis_words(client, "ECHO", word)
            check(not ok or reply == word, f"{word} got {reply}")
            check(ok or "may have run" in reply or "was not sent" in reply, reply)
            seen["ok" if ok else "lost"] += 1
            ok, reply = await redis_words(client, "INCR", "counted")
            counted["ok" if ok else "lost"] += 1

    async def kills():
        for _ in range(10):
            await asyncio.sleep(0.15)    # The load goes on meanwhile
            await asyncio.get_running_loop().run_in_executor(None, server.redis.stop)
            await asyncio.get_running_loop().run_in_executor(None, server.redis.start)
        before = seen["ok"]
        while seen["ok"] < before + 100:
            await asyncio.sleep(0.02)
        stop.set()
    await asyncio.gather(kills(), *(load(nbr, client) for nbr, client in enumerate(clients)))
    print(f"   {seen['ok']} answered, {seen['lost']} lost with a reason")
    check(seen["ok"] > 200, seen)
    value = int(server.redis.ask("get", "counted"))
    check(counted["ok"] <= value <= counted["ok"] + counted["lost"], f"{counted}, Redis has {value}")


AGAIN = "INSERT /* again */ INTO log SELECT ?1, ?2 FROM (SELECT 1 AS one) AS it WHERE NOT EXISTS (SELECT 1 FROM log WHERE who = ?1 AND nbr = ?2)"


@with_services("mysql/main/timeout=20000", "mysql/main/connections=3", clients=[f"u{nbr}" for nbr in range(8)])
async def mysql_restarted(server, *clients):
    """MariaDB is killed under load: what was answered ok is there once, what failed says whether it may be. What finds out by
    itself whether it was done doesn't fail."""
    await sql(clients[0], "query", "CREATE OR REPLACE TABLE log (who INT, nbr INT, PRIMARY KEY (who, nbr))")
    done, failed = [set() for _ in clients], [set() for _ in clients]
    stop = asyncio.Event()

    async def load(who, client):
        nbr = 0
        while not stop.is_set():
            nbr += 1
            again = who % 2
            ok, why = await sql(client, "insert", AGAIN if again else "INSERT INTO log VALUES (?, ?)", *([str(who)] if again else [who]), nbr)
            (done if ok else failed)[who].add(nbr)
            check(ok or not again and "may have been done" in why, why)

    async def kills():
        for _ in range(3):
            await asyncio.sleep(0.5)
            await asyncio.get_running_loop().run_in_executor(None, server.mariadb.stop)
            await asyncio.get_running_loop().run_in_executor(None, server.mariadb.start)
        before = sum(map(len, done))
        while sum(map(len, done)) < before + 100:
            await asyncio.sleep(0.02)
        stop.set()
    await asyncio.gather(kills(), *(load(who, client) for who, client in enumerate(clients)))
    there = [set() for _ in clients]
    for who, nbr in server.mariadb.ask("SELECT who, nbr FROM log", "calls"):
        there[int(who)].add(int(nbr))
    for who in range(len(clients)):
        check(done[who] <= there[who], f"lost: {done[who] - there[who]}")
        check(there[who] <= done[who] | failed[who], "a row that nobody wrote")
    print(f"   {sum(map(len, done))} stored, {sum(map(len, failed))} failed with a reason")


@with_services(clients=["ann"])
async def refused_statements(server, ann):
    """What a node of Galera that is about to leave refuses it hasn't done: it is run again, also a lone write."""
    await sql(ann, "query", "CREATE OR REPLACE TABLE refused (n INT PRIMARY KEY)")
    await sql(ann, "query", "CREATE OR REPLACE TABLE away (n INT)")
    server.mariadb.ask("DELIMITER //\nCREATE TRIGGER refuses BEFORE INSERT ON refused FOR EACH ROW IF EXISTS (SELECT 1 FROM away) THEN "
                       "SIGNAL SQLSTATE '08S01' SET MYSQL_ERRNO = 1047, MESSAGE_TEXT = 'WSREP has not yet prepared node'; END IF//", "calls")

    def again():
        return sum(counters["tried_again"] for name, counters in server.counters().items() if name.startswith("mysql-main"))
    for nbr in range(3):
        server.mariadb.ask("INSERT INTO away VALUES (1)", "calls")
        before = again()
        said = asyncio.ensure_future(sql(ann, "insert", "INSERT INTO refused VALUES (?)", nbr))
        while again() == before and not said.done():
            await asyncio.sleep(0.02)
        server.mariadb.ask("DELETE FROM away", "calls")
        ok, why = await said
        check(ok and why["affected"] == 1, why)


@with_services("mysql/main/timeout=150000", clients=["ann"])
async def locked_rows(server, ann):
    """A statement that another session's locks hold up for longer than the database lets it wait is run again, and done once."""
    await sql(ann, "query", "CREATE OR REPLACE TABLE locked (id INT PRIMARY KEY, n INT NOT NULL) ENGINE = InnoDB")
    await sql(ann, "insert", "INSERT INTO locked VALUES (1, 0)")
    check((await sql(ann, "query", "SET SESSION innodb_lock_wait_timeout = 1"))[0], "it is the pool's only connection")
    server.store.mariadb, server.store.database = server.mariadb, "calls"
    with session(server) as say:
        say("BEGIN; UPDATE locked SET n = n + 10")
        said = asyncio.ensure_future(sql(ann, "update", "UPDATE locked SET n = n + 1"))
        while server.counters()["mysql-main"]["tried_again"] < 2 and not said.done():
            await asyncio.sleep(0.02)
        check(not said.done(), "it is given up")
        say("COMMIT")
        ok, why = await said
        check(ok and why["affected"] == 1, why)
    check(server.mariadb.ask("SELECT n FROM locked", "calls") == [["11"]], "done twice or not at all")


@with_services(clients=[f"u{nbr}" for nbr in range(8)])
async def mixed_statements(server, *clients):
    """Statements that commit by themselves come in the middle of others: nothing is done twice or lost."""
    await sql(clients[0], "query", "CREATE OR REPLACE TABLE mixed (who INT, nbr INT, PRIMARY KEY (who, nbr))")

    async def load(who, client):
        for nbr in range(100):
            ok, why = await sql(client, "insert", "INSERT INTO mixed VALUES (?, ?)", who, nbr)
            check(ok, why)
            if nbr % 10 == 0:
                ok, why = await sql(client, "query", f"CREATE OR REPLACE TABLE mixed_{who} (n INT)")
                check(ok, why)
                ok, why = await sql(client, "insert", f"INSERT INTO mixed_{who} VALUES (1), (2)")
                check(ok and why["affected"] == 2, why)
    await asyncio.gather(*(load(who, client) for who, client in enumerate(clients)))
    check(server.mariadb.ask("SELECT count(*) FROM mixed", "calls") == [["800"]], "rows")


CROSSWISE = ("mysql/main/connections=16", "mysql/main/timeout=150000")    # Some calls meet a deadlock a hundred times


@with_services(*CROSSWISE, clients=[f"u{nbr}" for nbr in range(16)])
async def deadlocks(server, *clients):
    """Transactions that take the same rows in another order: the victim is run again, and all succeed."""
    await sql(clients[0], "query", "CREATE OR REPLACE TABLE cross_ (id INT PRIMARY KEY, n INT NOT NULL) ENGINE = InnoDB")
    await sql(clients[0], "insert", "INSERT INTO cross_ VALUES (1, 0), (2, 0)")
    add, wait = "UPDATE cross_ SET n = n + 1 WHERE id = ?", ["SELECT sleep(0.02)"]

    async def both(nbr, client):
        for turn in range(8):
            first = 1 + (nbr + turn) % 2
            ok, why = await call(client, "transaction", list=[[add, first], wait, [add, 3 - first]])
            check(ok, why)
    await asyncio.gather(*(both(nbr, client) for nbr, client in enumerate(clients)))
    ok, rows = await sql(clients[0], "select", "SELECT n FROM cross_")
    check([row["n"] for row in rows] == [8 * len(clients)] * 2, rows)
    again = sum(counters["tried_again"] for name, counters in server.counters().items() if name.startswith("mysql-main"))
    print(f"   {again} tried again")
    check(again > 0, "there was no deadlock")


@with_services(*CROSSWISE, clients=[f"u{nbr}" for nbr in range(16)])
async def reading_victims(server, *clients):
    """A deadlock's victim is told so while it reads rows: all of its batch is run again, and nothing that was answered is lost."""
    await sql(clients[0], "query", "CREATE OR REPLACE TABLE cross_ (id INT PRIMARY KEY, n INT NOT NULL) ENGINE = InnoDB")
    await sql(clients[0], "query", "CREATE OR REPLACE TABLE log (who INT, nbr INT, PRIMARY KEY (who, nbr)) ENGINE = InnoDB")
    await sql(clients[0], "insert", "INSERT INTO cross_ VALUES (1, 0), (2, 0)")
    read = "SELECT n, sleep(0.02) FROM cross_ WHERE id > ?1 - 1 AND id < ?1 + 1 FOR UPDATE"    # One that is found by its key fails before

    async def both(nbr, client):
        for turn in range(8):
            first = 1 + (nbr + turn) % 2
            ok, why = await call(client, "transaction", list=[[read, first], [read, 3 - first]])
            check(ok, why)

    async def note(nbr, client):
        for turn in range(40):
            ok, why = await sql(client, "insert", "INSERT INTO log VALUES (?, ?)", nbr, turn)
            check(ok, why)
            ok, why = await sql(client, "select", read, 1 + (nbr + turn) % 2)
            check(ok, why)
    await asyncio.gather(*((both if nbr % 2 else note) (nbr, client) for nbr, client in enumerate(clients)))
    check(server.mariadb.ask("SELECT count(*) FROM log", "calls") == [[str(8 * 40)]], "rows that were answered are not there")
    again = sum(counters["tried_again"] for name, counters in server.counters().items() if name.startswith("mysql-main"))
    print(f"   {again} tried again")
    check(again > 0, "there was no deadlock")


async def until_ok(client, *words):
    """Says it until it succeeds, as a handler's client does; returns the reasons before that."""
    reasons = []
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        ok, got = await redis_words(client, *words)
        if ok:
            return reasons
        reasons.append(got)
        check(asyncio.get_running_loop().time() < deadline, reasons[-3:])


@with_services()
async def redis_demoted(server, client):
    """A master that has become a replica says READONLY: the connection is made anew, and works when that is over."""
    await until_ok(client, "SET", "k", "v")
    server.redis.ask("REPLICAOF", "127.0.0.1", str(free_port()))
    ok, why = await redis_words(client, "SET", "k", "w")
    check(not ok and why.startswith("READONLY "), why)
    check("it is a replica now" in server.logged(), server.logged())
    check(await redis_words(client, "GET", "k") == (True, "v"), "it may be read")
    server.redis.ask("REPLICAOF", "NO", "ONE")
    await until_ok(client, "SET", "k", "x")


def redis_names():
    """A name with two addresses: when the one fails over to the other, or dies, the next is tried."""
    with tempfile.TemporaryDirectory(prefix="rookery-calls-") as folder:
        with open(f"{folder}/hosts", "w") as file:
            file.write("127.0.0.1 localhost\n127.0.0.2 pair.test\n127.0.0.3 pair.test\n")
        enter = f"mount --bind {folder}/hosts /etc/hosts && exec \"$@\""
        if subprocess.run(["unshare", "-m", "sh", "-c", enter, "sh", "true"], stderr=subprocess.DEVNULL).returncode != 0:
            print("   not tried: no namespace to have names in")
            return
        with open(f"{folder}/rookery", "w") as file:
            file.write(f"#!/bin/sh\nexec unshare -m sh -c '{enter}' sh {os.path.abspath(sys.argv[1])} \"$@\"\n")
        os.chmod(f"{folder}/rookery", 0o755)
        one = Redis(host="127.0.0.2")
        two = Redis(host="127.0.0.3", port=one.port)
        binary, sys.argv[1] = sys.argv[1], f"{folder}/rookery"
        try:
            server = Server(HANDLERS, "chat/durability=relayed", "redis/main/host=pair.test", f"redis/main/port={one.port}")
        finally:
            sys.argv[1] = binary

        async def test():
            client = await Client.open(server, "ann")
            await until_ok(client, "SET", "k", "1")
            check(one.ask("GET", "k") == "1", "the first address is not the first")
            one.ask("REPLICAOF", "127.0.0.3", str(one.port))
            await until_ok(client, "SET", "k", "2")
            check(two.ask("GET", "k") == "2", "it didn't go to the new master")
            one.stop()
            await until_ok(client, "SET", "k", "3")
            check(two.ask("GET", "k") == "3", "it didn't stay")
        live(server, test, one, two)


def redis_hosts():
    """A pool of several hosts: the first that is there and takes writes is used, and another one when that dies or doesn't any more."""
    one, two = Redis(), Redis()
    hosts = ",".join(f"127.0.0.1:{port}" for port in (free_port(), one.port, two.port))
    server = Server(HANDLERS, "chat/durability=relayed", f"redis/main/host={hosts}")

    async def test():
        client = await Client.open(server, "ann")
        await until_ok(client, "SET", "k", "1")
        check((one.ask("GET", "k"), two.ask("GET", "k")) == ("1", ""), "it isn't the first that is there")
        one.ask("REPLICAOF", "127.0.0.1", str(two.port))
        await until_ok(client, "SET", "k", "2")
        check(two.ask("GET", "k") == "2", "it didn't go to the new master")
        one.ask("REPLICAOF", "NO", "ONE")
        two.stop()
        await until_ok(client, "SET", "k", "3")
        check(one.ask("GET", "k") == "3", "it didn't go to the one that is left")
    live(server, test, one, two)


def mute_redis():
    """A Redis that takes connections and says nothing holds no place in the queues, however long the machine is up."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(100)
        server = Server("server/queues=1048576", f"redis/main/port={mute.getsockname()[1]}", "redis/main/timeout=600000")

        async def test():
            await asyncio.get_running_loop().run_in_executor(None, mute.accept)
            ann = await Client.open(server, "ann")
            for nbr in range(20):
                check((await ann.ask(chat("ann", "bob", f"{nbr}")))["code"] == "ok", "chat")
                await asyncio.sleep(0.05)
            check("wait in all queues" not in server.logged(), server.logged())
        live(server, test)


def redis_logins():
    """AUTH with a password, with an ACL user, and a wrong one, which is said in the reason."""
    redis = Redis("--requirepass", "secret")
    redis.ask("-a", "secret", "--no-auth-warning", "acl", "setuser", "worker", "on", ">word", "~w:*", "+@all")
    server = Server(HANDLERS, "chat/durability=relayed", f"redis/main/port={redis.port}", "redis/main/password=secret",
                    f"redis/acl/port={redis.port}", "redis/acl/user=worker", "redis/acl/password=word", "redis/acl/database=2",
                    f"redis/wrong/port={redis.port}", "redis/wrong/password=guess", "redis/wrong/timeout=300",
                    *MariaDB.shared().settings("main", "calls"), "link/push/endpoint=tcp://127.0.0.1:1")

    async def test():
        client = await Client.open(server)
        check(await redis_words(client, "SET", "w:x", "1") == (True, "OK"), "password")
        check(await call(client, "redis", pool="acl", words=["GET", "w:x"]) == (True, None), "ACL user, another database")
        ok, why = await call(client, "redis", pool="acl", words=["GET", "x"])
        check(not ok and "NOPERM" in why, why)
        ok, why = await call(client, "redis", pool="wrong", words=["GET", "w:x"])
        check(not ok and "WRONGPASS" in why and "was not sent" in why, why)
    live(server, test, redis, seconds=60)


def in_cluster():
    """A Redis Cluster of three: keys go to their nodes, hash tags stay together, and slots that move under load
    are followed with ASK and MOVED without a lost or a second INCR."""
    nodes = [Redis("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--cluster-node-timeout", "2000")
             for _ in range(3)]
    subprocess.run(["redis-cli", "--cluster", "create", *(f"127.0.0.1:{node.port}" for node in nodes), "--cluster-yes"],
                   stdout=subprocess.DEVNULL, check=True)
    server = Server(HANDLERS, "chat/durability=relayed", "redis/main/cluster=1", "redis/main/timeout=150000", f"redis/main/host=127.0.0.1:{free_port()},127.0.0.1:{nodes[0].port}",
                    *MariaDB.shared().settings("main", "calls"), "link/push/endpoint=tcp://127.0.0.1:1")
    stop = asyncio.Event()

    async def load(client, keys):
        counts = dict.fromkeys(keys, 0)
        while not stop.is_set():
            for key in keys:
                ok, got = await redis_words(client, "INCR", key)
                counts[key] += 1
                check(ok and got == counts[key], f"{key}: {got} instead of {counts[key]}")
        return sum(counts.values())

    async def reshard():
        loop = asyncio.get_running_loop()
        moves = 0
        while moves < 3 or (await loop.run_in_executor(None, server.counters))["redis-main"]["redirected"] <= 10:
            source, target = moves % 3, (moves + 1) % 3
            moves += 1
            ids = [nodes[nbr].ask("cluster", "myid") for nbr in (source, target)]
            await loop.run_in_executor(None, lambda: subprocess.run(
                ["redis-cli", "--cluster", "reshard", f"127.0.0.1:{nodes[0].port}", "--cluster-from", ids[0],
                 "--cluster-to", ids[1], "--cluster-slots", "500", "--cluster-yes"], stdout=subprocess.DEVNULL, check=True))
        stop.set()

    async def without_slot(client):
        """A cluster that isn't whole refuses calls: they wait for the slot that nobody has."""
        slot = nodes[0].ask("cluster", "keyslot", "alone")
        owner = next(node for node in nodes if node.ask("cluster", "countkeysinslot", slot) != "0")
        for node in nodes:
            node.ask("config", "resetstat")
        owner.ask("cluster", "delslots", slot)
        said = asyncio.ensure_future(redis_words(client, "INCR", "alone"))
        while not any("CLUSTERDOWN" in node.ask("info", "errorstats") for node in nodes) and not said.done():
            await asyncio.sleep(0.02)
        owner.ask("cluster", "addslots", slot)
        check(await said == (True, 2), f"{said.result()}")

    async def test():
        clients = [await Client.open(server, f"u{nbr}") for nbr in range(4)]
        for _ in range(200):    # Until the cluster says it is whole
            if (await redis_words(clients[0], "SET", "x", "y"))[0]:
                break
            await asyncio.sleep(0.05)
        check(await redis_words(clients[0], "INCR", "alone") == (True, 1), "INCR")
        for nbr in range(100):
            check((await redis_words(clients[0], "SET", f"key-{nbr}", nbr))[0], "SET")
        for nbr in range(100):
            check((await redis_words(clients[1], "GET", f"key-{nbr}")) == (True, str(nbr)), "GET")
        check(all(int(node.ask("dbsize")) > 10 for node in nodes), "keys lie on one node")
        ok, got = await redis_words(clients[0], "MSET", "{ann}.a", 1, "{ann}.b", 2)
        check(ok and (await redis_words(clients[0], "MGET", "{ann}.a", "{ann}.b"))[1] == ["1", "2"], got)
        ok, why = await redis_words(clients[0], "MSET", "a", 1, "b", 2)
        check(not ok and "CROSSSLOT" in why, why)
        ok, got = await redis_words(clients[0], "EVAL", "return redis.call('get', KEYS[1])", 1, "key-7")
        check(ok and got == "7", got)
        counts = await asyncio.gather(reshard(), *(load(client, [f"c{nbr}-{key}" for key in range(50)])
                                                   for nbr, client in enumerate(clients)))
        redirected = server.counters()["redis-main"]["redirected"]
        print(f"   {sum(counts[1:])} calls, {redirected} redirected")
        check(sum(counts[1:]) > 100, "too little load")
        await without_slot(clients[0])
    live(server, test, *nodes)


if __name__ == "__main__":
    run(redis_replies, mysql_types, wrong_arguments, timers, aside, timer_storm, events, no_service, links, power_on_app, redis_killed, redis_demoted,
        redis_names, redis_hosts, mute_redis,
        mysql_restarted, refused_statements, locked_rows, mixed_statements, deadlocks, reading_victims, redis_logins, in_cluster)
