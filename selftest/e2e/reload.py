#!/usr/bin/python3
#  runs: asan
"""reload.py - handlers are replaced, opened, closed, loaded and unloaded while messages go on"""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time

from rookery import PATIENCE, Client, Server, check, live, run
from services import Redis

BIND = open("selftest/e2e/handlers/bind.lua").read()
ECHO = """
local version = %d
return {action = "echo", pipelined = true, public = true, handle = function (ctx, msg) return {nbr = msg.nbr, version = version} end}
"""
WAIT = """
local version = %d
timer.after (%d, function () downstream.uid ("ann", {action = "timer", version = version}) end)
return {action = "wait", public = true, handle = function (ctx, msg)
    local ok, reply = redis_api.cmd ("main", "", "BLPOP", "queue", 20)
    return {reply = ok and reply[2] or reply, version = version, timer = timer.after (1, print) and 1 or 0}
end}
"""


def with_handlers(*settings):
    """A test that gets a server whose handlers lie in a folder of its own; files says what is in it."""
    def wrap(test):
        def wrapped():
            folder = tempfile.mkdtemp(prefix="rookery-handlers-")
            redis = Redis()

            def write(name, text):
                with open(f"{folder}/.{name}", "w") as file:
                    file.write(text)
                os.rename(f"{folder}/.{name}", f"{folder}/{name}.lua")
            write("bind", BIND)
            write("echo", ECHO % 1)
            server = Server(f"lua/app={folder}", "chat/durability=relayed", f"redis/main/port={redis.port}",
                            "redis/main/timeout=30000", *settings)

            try:
                live(server, lambda: test(server, write, redis), redis)
            finally:
                shutil.rmtree(folder)
        wrapped.__name__ = test.__name__
        return wrapped
    return wrap


async def in_thread(function, *words):
    return await asyncio.get_running_loop().run_in_executor(None, function, *words)


@with_handlers()
async def under_load(server, write, redis):
    """50 reloads: every message has its answer, in order, and versions never go back."""
    clients = [await Client.open(server, f"u{nbr}") for nbr in range(8)]
    stop, counts = asyncio.Event(), [0] * len(clients)

    async def load(which, client):
        sent, version = 0, 0
        while not stop.is_set() or counts[which] < sent:
            while not stop.is_set() and sent - counts[which] < 64:
                sent += 1
                await client.send('{"action":"echo","nbr":%d}' % sent)
            if counts[which] < sent:
                answer = await client.receive()
                counts[which] += 1
                check(answer.get("code") == "ok" and answer["nbr"] == counts[which], f"{counts[which]}: {answer}")
                check(answer["version"] >= version, "an older version")
                version = answer["version"]
        return version

    async def reload():
        for version in range(2, 52):
            write("echo", ECHO % version)
            await in_thread(server.ctl, "reload")
        stop.set()
    versions = (await asyncio.gather(reload(), *(load(which, client) for which, client in enumerate(clients))))[1:]
    check(all(version >= 50 for version in versions), versions)
    counters = server.counters()
    check(all(counters[name]["reloads"] == 50 for name in counters if name.startswith("worker")), counters)
    print(f"   {sum(counts)} messages over 50 reloads")


@with_handlers("lua/app=lua/app")
async def bench(server, write, redis):
    """10,000 chats a second from the load generator, 50 reloads: each is answered ok and delivered."""
    load = subprocess.Popen([server.binary, "bench", "--url", server.url, "--rate", "10000", "--chats", "10000000", "--seconds", "280"],
                            stdout=subprocess.PIPE, text=True)
    for _ in range(50):
        await in_thread(server.ctl, "reload")
    check(load.poll() is None, "the load ended before the reloads")
    load.terminate()
    out, _ = await in_thread(load.communicate)
    count = out.split(" ")[0]
    check(load.returncode == 0 and int(count) > 0 and f"{count} chats answered, {count} delivered, 0 refused" in out, out)
    print("   " + out.splitlines()[0])


@with_handlers()
async def broken(server, write, redis):
    """A broken script is refused with file, line and reason, the old one goes on."""
    client = await Client.open(server, "ann")
    for text, words in (("return {", "echo.lua:1:"), ("\nlocal x = nil + 1", "echo.lua:2: attempt to perform arithmetic"),
                        ("while true do end", "spent its budget"), ("return {handle = print}", 'needs action = "name"'),
                        ('return {action = "echo", handle = print, check = function () return false end}', "says no"),
                        ('redis_api.cmd ("nowhere", "", "GET")', "echo.lua:1: redis_api.cmd: there is no redis/nowhere")):
        write("echo", text)
        said = await in_thread(lambda: server.ctl("reload", good=False))
        check(words in said and "worker-1" in said, f"{text}: {said}")
        answer = await client.ask({"action": "echo", "nbr": 1})
        check(answer["version"] == 1, answer)
    check(await in_thread(lambda: server.ctl("nonsense", good=False)), "nonsense")
    write("echo", ECHO % 2)
    server.process.send_signal(signal.SIGHUP)
    while (await client.ask({"action": "echo", "nbr": 1}))["version"] != 2:
        await asyncio.sleep(0.01)


@with_handlers("worker/count=1")
async def waiting(server, write, redis):
    """Whoever waits during a reload finishes in the old code; its timers come, but it can set no new ones."""
    write("wait", WAIT % (1, 1500))
    await in_thread(server.ctl, "reload")
    ann, bob = await Client.open(server, "ann"), await Client.open(server, "bob")
    await bob.send({"action": "wait"})
    while "blocked_clients:1" not in redis.ask("info", "clients"):
        await asyncio.sleep(0.01)
    write("wait", WAIT % (2, 100000))
    await in_thread(server.ctl, "reload")
    redis.ask("rpush", "queue", "x")
    answer = await bob.receive()
    check(answer["reply"] == "x" and answer["version"] == 1 and answer["timer"] == 0, answer)
    await bob.send({"action": "wait"})
    redis.ask("rpush", "queue", "y")
    answer = await bob.receive()
    check(answer["reply"] == "y" and answer["version"] == 2 and answer["timer"] == 1, answer)
    timed = await ann.receive()
    check(timed == {"action": "timer", "version": 1}, timed)
    check((await ann.ask({"action": "echo", "nbr": 1}))["version"] == 1, "who is bound is forgotten")


@with_handlers()
async def one_by_one(server, write, redis):
    """handler open, close, load, unload; a closed one stays closed over a reload."""
    client = await Client.open(server, "ann")

    async def code():
        return (await client.ask({"action": "echo", "nbr": 1}))["code"]

    def ctl(*words, good=True):
        return in_thread(lambda: server.ctl(*words, good=good))
    check(await ctl("handlers") == "bind open bind\necho open echo", "handlers")
    await ctl("handler", "close", "echo")
    check(await code() == "unknown-action", "closed")
    await ctl("reload")
    check(await code() == "unknown-action", "closed over a reload")
    check("echo closed echo" in await ctl("handlers"), "handlers")
    await ctl("handler", "open", "echo")
    check(await code() == "ok", "opened")
    await ctl("handler", "unload", "echo")
    check(await code() == "unknown-action", "unloaded")
    check("no handler echo" in await ctl("handler", "open", "echo", good=False), "open what isn't there")
    write("echo", ECHO % 7)
    await ctl("handler", "load", "echo")
    check((await client.ask({"action": "echo", "nbr": 1}))["version"] == 7, "loaded")
    check("expected" in await ctl("handler", "explode", "echo", good=False), "no such word")
    check("nowhere" in await ctl("handler", "load", "nowhere", good=False), "no such file")


def watch():
    """--watch loads what has changed."""
    folder = tempfile.mkdtemp(prefix="rookery-handlers-")
    try:
        for name, text in (("bind", BIND), ("echo", ECHO % 1)):
            with open(f"{folder}/{name}.lua", "w") as file:
                file.write(text)
        server = Server(f"lua/app={folder}", "chat/durability=relayed", words=["--watch"])

        async def test():
            client = await Client.open(server, "ann")
            with open(f"{folder}/echo.lua", "w") as file:
                file.write(ECHO % 2)
            until = time.monotonic() + PATIENCE
            while (await client.ask({"action": "echo", "nbr": 1}))["version"] != 2:
                check(time.monotonic() < until, "not loaded")
                await asyncio.sleep(0.01)
            await Client.close_all()
        asyncio.run(test())
        check(server.stop() == 0, "exit status")
        server.remove()
    finally:
        shutil.rmtree(folder)


FAILS = """
local said = setmetatable ({}, {__tostring = function () return "says it itself" end})
local kinds = {table = {code = "odd", nbr = 5}, own = said, text = "plain", none = false,
               bad = setmetatable ({}, {__tostring = function () error ("worse") end}),
               endless = setmetatable ({}, {__tostring = function () while true do end end})}
return {action = "fails", public = true, handle = function (ctx, msg)
    if msg.log then
        log.info ("100% sure")
        log.info ("%d and %s", "no number", {} ~= nil)
        log.info (nil)
        return {}
    end
    error (kinds[msg.kind])
end}
"""


@with_handlers("lua/time=200")
async def errors(server, write, redis):
    """Whatever an error is, its text is in the log; a log line that isn't as its format says is written nonetheless."""
    write("fails", FAILS)
    await in_thread(server.ctl, "reload")
    client = await Client.open(server)
    for kind, words in (("table", '"code":"odd"'), ("own", "says it itself"), ("text", "plain"), ("none", "false"), ("bad", "worse"),
                        ("endless", "has spent its budget of")):
        answer = await client.ask({"action": "fails", "kind": kind})
        check(answer["code"] == "internal", answer)
        check(words in server.logged(), f"{kind}: {server.logged()[-1500:]}")
    check((await client.ask({"action": "fails", "log": True}))["code"] == "ok", "log")
    check("100% sure" in server.logged() and "%d and %s no number true" in server.logged(), server.logged()[-1500:])


@with_handlers()
async def refused(server, write, redis):
    """Files that are no handlers are refused by a reload, with their names; so is a circle of files that need each other."""
    for text, words in (("local x = 1", "bad.lua returns nothing"), ('return {action = "bad"}', "bad.lua: a handler needs handle"),
                        ('return {frame = "status"}', "bad.lua: a handler needs handle"), ("return {handle = 5}", "bad.lua: a handler needs handle"),
                        ('error (setmetatable ({}, {__tostring = function () return "odd" end}))', "odd"), ('error {why = "table"}', '"why":"table"')):
        write("bad", text)
        for how in (("reload",), ("handler", "load", "bad")):
            said = await in_thread(lambda how=how: server.ctl(*how, good=False))
            check(words in said, f"{how}: {said}")
    write("bad", 'local other = require "other" return {}')
    write("other", 'local bad = require "bad" return {}')
    said = await in_thread(lambda: server.ctl("reload", good=False))
    check("require: a circle: bad -> other -> bad" in said, said)
    write("other", "return {}")
    await in_thread(server.ctl, "reload")


WATCH = """
local version = %d
return {action = "watch", public = true, handle = function (ctx, msg)
    if msg.stop then
        timer.cancel (msg.name)
    else
        timer.after (msg.msec, function () downstream.uid ("ann", {action = "silent", version = version, name = msg.name}) end, msg.name)
    end
    return {}
end}
"""


@with_handlers("worker/count=1")
async def named_timers(server, write, redis):
    """A timer with a name is put off by the code of after a reload, or cancelled; one that nobody puts off still comes."""
    write("watch", WATCH % 1)
    await in_thread(server.ctl, "reload")
    ann = await Client.open(server, "ann")
    for name, msec in (("put off", 3000), ("cancelled", 3000), ("kept", 3000)):
        check((await ann.ask({"action": "watch", "name": name, "msec": msec}))["code"] == "ok", name)
    write("watch", WATCH % 2)
    await in_thread(server.ctl, "reload")
    check((await ann.ask({"action": "watch", "name": "put off", "msec": 6000}))["code"] == "ok", "put off")
    check((await ann.ask({"action": "watch", "name": "cancelled", "stop": True}))["code"] == "ok", "cancelled")
    got = [await ann.receive(), await ann.receive()]
    check([(one["name"], one["version"]) for one in got] == [("kept", 1), ("put off", 2)], got)


if __name__ == "__main__":
    run(under_load, bench, broken, waiting, one_by_one, watch, errors, refused, named_timers)
