#!/usr/bin/python3
#  runs: asan
"""stuck.py - a worker that is stuck in a handler: who names it, what it costs others"""

import asyncio
import ctypes
import json
import os
import re
import shutil
import signal
import tempfile

from operate import get, on_server, threaded, until
from rookery import Client, Server, chat, check, live, run

STUCK = """
return {action = "stuck", public = true, handle = function () hang () end}
"""
SPIN = """
return {action = "spin", public = true, handle = function () while true do end end}
"""
FAIL = """
return {action = "fail", public = true, handle = function () metric.count ('odd "name"') error ("on purpose") end}
"""


def hanging(*handlers):
    """A folder with these handlers, and one of a core with which they can hang: else they can call nothing in C without a limit."""
    folder = tempfile.mkdtemp(prefix="rookery-handlers-")
    for name, text in handlers:
        with open(f"{folder}/{name}.lua", "w") as file:
            file.write(text)
    core = shutil.copytree("lua/core", f"{folder}/core")
    with open(f"{core}/init.lua") as file:
        init = file.read()
    with open(f"{core}/init.lua", "w") as file:
        file.write(init.replace("function sandbox.print", "sandbox.hang = worker.hang\nfunction sandbox.print", 1))
    return folder, core


def stuck_beside():
    """Whoever is catching up when its worker goes down, by another's fault, catches up nonetheless."""
    folder, core = hanging(("stuck", STUCK))
    server = Server(f"lua/app=lua/app,{folder}", f"lua/core={core}", "server/stuck=300", "worker/count=1", "chat/page=4")

    async def test():
        ann, bob = await Client.open(server, "ann"), await Client.open(server, "bob", "phone")
        await ann.send(chat("ann", "bob", "0"))
        check((await bob.receive())["seq"] == 1, "the first")
        await bob.send({"action": "ack", "conversation": "ann,bob", "seq": 1})
        check((await bob.receive())["code"] == "ok", "ack")
        await bob.close()
        for nbr in range(1, 7):
            await ann.send(chat("ann", "bob", f"{nbr}"))
        bob = await Client.open(server, "bob", "phone")
        for seq in range(2, 6):    # A page; the next one comes when it is acked, or after a while
            check((await bob.receive())["seq"] == seq, "a page")
        await ann.send({"action": "stuck"})
        await threaded(until, lambda: "worker-1 is up again" in server.logged(), "the worker is not up again")
        heard = set()
        while not {6, 7} <= heard:
            heard.add((await bob.receive()).get("seq"))
        await ann.send(chat("ann", "bob", "live"))
        while 8 not in heard:
            heard.add((await bob.receive()).get("seq"))
    try:
        live(server, test)
    finally:
        shutil.rmtree(folder)


def stuck():
    """A worker that is stuck in C is named with its handler and connection, in the log, in top and in /healthz."""
    folder, core = hanging(("stuck", STUCK), ("fail", FAIL), ("spin", SPIN), ("bind", open("selftest/e2e/handlers/bind.lua").read()))
    server = Server(f"lua/app={folder}", f"lua/core={core}", "chat/durability=relayed", "server/stuck=300", "worker/count=1",
                    "log/format=json")

    async def test():
        client = await Client.open(server, "ann")
        check((await client.ask({"action": "fail"}))["code"] == "internal", "fail")
        check((await client.ask({"action": "spin"}))["code"] == "internal", "spin")

        def spun():
            handlers = [handler for actor in server.top()["actors"] for handler in actor.get("handlers", [])]
            return [handler for handler in handlers if handler["name"] == "spin" and handler["p50"] > 5000]
        await threaded(until, spun, "a handler that was given up has taken no time")
        await client.send({"action": "stuck"})
        state = await threaded(until, lambda: [actor["state"] for actor in server.top()["actors"]
                                               if actor["name"] == "worker-1" and actor["state"] != "up"], "not stuck")
        check(state == ["stuck"], state)
        check((await threaded(get, server, "/healthz")) == (503, "worker-1 is stuck\n"), "healthz")
        await client.send({"action": "nothing", "requestID": 7})
        answer = await client.receive()
        check(answer["code"] == "internal", answer)
        answer = await client.receive()
        check(answer["code"] == "unknown-action", f"what waited is lost: {answer}")
        check((await client.ask({"action": "fail"}))["code"] == "internal", "the next life")
        check("handler stuck: the message has spent its budget of time, in C code" in server.logged(), "why it was ended")
        lines = [json.loads(line) for line in server.logged().splitlines()]
        named = [line for line in lines if line["text"].startswith("stuck: worker-1 is in stuck for gw1.")]
        check(named and named[0]["level"] == "error" and named[0]["actor"] == "supervisor", lines)
        failed = [line for line in lines if "handler fail failed" in line["text"]]
        check(failed and failed[0]["actor"] == "worker-1" and failed[0]["cid"].startswith("gw1.") and
              re.fullmatch("[0-9a-f]{8}", failed[0]["msg"]) and "on purpose" in failed[0]["text"], lines)
        metrics = (await threaded(get, server, "/metrics"))[1]
        check('rookery_lua_counted_total{actor="worker-1",name="odd \\"name\\""} 1' in metrics, metrics)
        check('rookery_handler_failures_total{actor="worker-1",handler="fail"} 1' in metrics, metrics)
        detail = json.loads((await threaded(get, server, "/actor/worker-1"))[1])
        check(any("on purpose" in line for line in detail["last_errors"]), detail["last_errors"])
    try:
        live(server, test)
    finally:
        shutil.rmtree(folder)


@on_server("worker/count=2")
async def signalled(server):
    """What a stuck thread is sent harms none that isn't."""
    libc = ctypes.CDLL(None)
    client = await Client.open(server, "ann")
    for nbr in range(20):
        for thread in os.listdir(f"/proc/{server.process.pid}/task"):
            libc.tgkill(server.process.pid, int(thread), signal.SIGUSR2)
        check((await client.ask(chat("ann", "bob", f"c{nbr}")))["code"] == "ok", "chat")
    for actor in (await threaded(server.top))["actors"]:
        check(actor["state"] == "up" and actor["restarts"] == 0, actor)


def stuck_apart():
    """A worker that takes nothing holds up its own connections; those of the other one don't wait for it."""
    folder, core = hanging(("stuck", STUCK))
    server = Server(f"lua/app=lua/app,{folder}", f"lua/core={core}", "server/stuck=600000", "worker/count=2", "worker/queue=16")

    async def answered(client):
        """More messages than a worker, its inbox and the way there hold."""
        await asyncio.gather(*(client.send({"action": "heart", "requestID": nbr}) for nbr in range(100)))
        for nbr in range(100):
            check((await client.receive())["requestID"] == nbr, "heart")

    async def test():
        clients = [await Client.open(server, f"user{nbr}") for nbr in range(20)]
        await clients[0].send({"action": "stuck"})
        tasks = [asyncio.ensure_future(answered(client)) for client in clients]
        done, waiting = await asyncio.wait(tasks, timeout=280, return_when=asyncio.FIRST_COMPLETED)
        check(done and waiting and not any(task.exception() for task in done), "all wait for one worker")
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        Client.opened.clear()
    try:
        asyncio.run(test())
    finally:
        server.remove()
        shutil.rmtree(folder)


def counted():
    """The counters of one that is stuck when all are asked for come when it answers again."""
    folder, core = hanging(("spin", SPIN))
    server = Server(f"lua/app=lua/app,{folder}", f"lua/core={core}", "server/stuck=300", "lua/time=4000", "lua/instructions=1000000000000",
                    "worker/count=1")

    async def test():
        client = await Client.open(server, "ann")
        await client.send({"action": "spin"})
        await threaded(until, lambda: "worker-1 is stuck" in server.logged(), "not stuck")
        server.process.send_signal(signal.SIGUSR1)
        await threaded(until, lambda: "counters: worker-1 " in server.logged(), "no counters of the worker")
        check((await client.receive())["code"] == "internal", "spin")
    try:
        live(server, test)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    run(stuck, stuck_beside, stuck_apart, signalled, counted)
