#!/usr/bin/python3
#  runs: asan mysql
"""operate.py - what an operator does: looks, steers, traces, reads the log, scrapes, ends the server"""

import asyncio
import json
import os
import queue
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

from rookery import PATIENCE, Client, Server, chat, check, live, run

NAP = """
return {action = "nap", public = true, handle = function () timer.sleep (60000) return {} end}
"""


def get(server, path):
    """Status and body of an HTTP page of the console."""
    try:
        with urllib.request.urlopen(server.console + path, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Follower:
    """rookery monitor or ctl trace, its lines as they come."""

    def __init__(self, server, *words):
        self.lines = queue.Queue()
        self.process = subprocess.Popen([server.binary, words[0], "-e", f"ipc://{server.folder}/control", *words[1:]],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def until(self, pattern):
        """The first line that fits; those before it are gone."""
        seen = []
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                seen.append(self.lines.get(timeout=0.1))
            except queue.Empty:
                continue
            if re.search(pattern, seen[-1]):
                return seen[-1]
        raise AssertionError(f"no line fits {pattern}: {seen}")

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


def until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if found:
            return found
        check(time.monotonic() < deadline, what)
        time.sleep(0.02)


def on_server(*settings):
    """A test that gets a server with these settings."""
    def wrap(test):
        def started():
            server = Server(*settings)
            live(server, lambda: test(server))
        started.__name__ = test.__name__
        return started
    return wrap


def threaded(function, *words):
    return asyncio.get_running_loop().run_in_executor(None, function, *words)


@on_server("worker/count=2")
async def looks(server):
    """status, top and its JSON, the pages; under load top answers in time."""
    load = subprocess.Popen([server.binary, "bench", "--url", server.url, "--chats", "10000000", "--seconds", "280"], stdout=subprocess.PIPE)

    store = "mysql-main" if server.store.mariadb else "sqlite"
    names = ("gateway", "worker-1", "worker-2", store, "sender")

    def busy():
        """What top says when all actors have been busy in the second before, which is another one for each of them."""
        top = server.top()
        actors = {actor["name"]: actor for actor in top["actors"]}
        chats = [handler for name in ("worker-1", "worker-2") for handler in actors[name].get("handlers", [])
                 if handler["name"] == "chat" and handler["rate"] > 0]
        return len(chats) == 2 and all(actors[name]["in"] > 0 and actors[name]["out"] > 0 for name in names) and top
    await threaded(until, busy, "not all actors are busy")
    times = []
    while len(times) < 20:
        before = time.monotonic()
        await threaded(server.top)
        times.append(time.monotonic() - before)
    top = await threaded(until, busy, "not all actors are busy any more")
    check(load.poll() is None, "the load ended by itself")
    load.terminate()
    out, _ = await threaded(load.communicate)
    check(load.returncode == 0, out)
    times.sort()
    print(f"   top --once under load: median {times[len(times) // 2] * 1000:.0f} ms of {len(times)}")
    actors = {actor["name"]: actor for actor in top["actors"]}
    for name in names:
        actor = actors[name]
        check(actor["state"] == "up" and actor["in_bytes"] > 0, actor)
        check(0 < actor["busy"] <= 1.1 and actor["p99"] >= actor["p50"] > 0, actor)
        check(0 <= actor["mailbox"] <= actor["limit"], actor)
    chats = [handler for handler in actors["worker-1"]["handlers"] if handler["name"] == "chat"]
    check(chats and chats[0]["rate"] > 0 and chats[0]["whole_p99"] > chats[0]["p99"], actors["worker-1"])
    arrows = {(arrow["from"], arrow["to"]): arrow for arrow in top["arrows"]}
    check(arrows["gateway", "worker-1"]["rate"] > 0 and arrows["worker-1", store]["rate"] > 0, arrows)

    # When all is over nothing waits, and all have taken what they were given
    def over():
        actors = server.top()["actors"]
        return all(actor["in"] == 0 or actor["name"] in ("gateway", "sender") for actor in actors) and actors
    for actor in await threaded(until, over, "not over"):
        pings = 2 if actor["name"] in ("gateway", "sender") else 0    # Counted here, and not yet there
        check(actor["mailbox"] <= pings, actor)

    text = await threaded(lambda: subprocess.run([server.binary, "top", "-e", f"ipc://{server.folder}/control", "--once"],
                                                 capture_output=True, text=True, timeout=PATIENCE).stdout)
    check(re.search(r"worker-1 +up .*/2000 ", text) and "SLOWEST HANDLER" in text, text)
    status = await threaded(server.ctl, "status")
    check("ready for" in status and "0 of them not up" in status and "100 clients" not in status, status)


@on_server()
async def pages(server):
    """/metrics in the eyes of Prometheus' own parser, /healthz, what isn't there."""
    client = await Client.open(server, "ann")
    await client.send({"action": "nonsense"})
    await client.receive()
    await threaded(until, lambda: 'rookery_lua_counted_total{actor="worker' in get(server, "/metrics")[1], "nothing counted")
    status, text = await threaded(get, server, "/metrics")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=PATIENCE)
    check(status == 200 and done.returncode == 0 and not done.stdout + done.stderr, done)
    for line in ('rookery_build_info{version="', "rookery_ready 1", 'rookery_actor_up{actor="sender"} 1',
                 'rookery_messages_total{actor="worker-1",kind="in",peer="all"} ',
                 'rookery_mailbox_limit_messages{actor="receiver"} 2000', 'rookery_handler_seconds_bucket{actor="worker',
                 "process_resident_memory_bytes ", 'rookery_gateway_clients{actor="gateway"} 1'):
        check(line in text, line)
    check(await threaded(get, server, "/healthz") == (200, "ready\n"), "healthz")
    check((await threaded(get, server, "/nowhere"))[0] == 404, "nowhere")
    events = json.loads((await threaded(get, server, "/events"))[1])
    check(any(event["text"] == "gateway is up" for event in events), events)


@on_server()
async def steers(server):
    """kick, send, log, and what is wrong with a command."""
    ann, twin, bob = await Client.open(server, "ann"), await Client.open(server, "ann"), await Client.open(server, "bob")
    await threaded(server.ctl, "send", "uid", "bob", '{"action":"news","text":"hello"}')
    check(await bob.receive() == {"action": "news", "text": "hello"}, "send")
    check("no gateway" in await threaded(lambda: server.ctl("send", "uid", "nobody", "{}", good=False)), "to nobody")
    check("at byte 1" in await threaded(lambda: server.ctl("send", "uid", "bob", "{x", good=False)), "no JSON")
    check("expected" in await threaded(lambda: server.ctl("send", "all", "bob", "{}", good=False)), "send all")
    listed = (await threaded(server.ctl, "connections", "ann")).splitlines()
    check(len(listed) == 2 and all(cid.startswith("gw1.") for cid in listed), listed)
    check("no connection" in await threaded(lambda: server.ctl("connections", "eve", good=False)), "connections of nobody")
    check("2 connections are told" in await threaded(server.ctl, "kick", "ann"), "kick")
    for client in (ann, twin):
        try:
            await client.receive()
            raise AssertionError("it is still open")
        except Exception as error:    # noqa: websockets has several for it
            check("closed by the server" in str(error), error)
    def gone():
        return not [actor for actor in server.top()["actors"] if actor["counters"].get("connections", 0) > 1]
    await threaded(until, gone, "kicked connections stay known")
    check("neither" in await threaded(lambda: server.ctl("kick", "ann", good=False)), "kick again")
    check("unknown command" in await threaded(lambda: server.ctl("dance", good=False)), "dance")

    # A level for one actor: its lines carry the connection and the number, the same in all actors
    await threaded(server.ctl, "log", "debug", "gateway")
    await threaded(server.ctl, "log", "debug", "worker")
    check("expected" in await threaded(lambda: server.ctl("log", "loud", good=False)), "log loud")
    check("no actor" in await threaded(lambda: server.ctl("log", "info", "rook", good=False)), "log of none")
    await bob.ask({"action": "heart"})
    pattern = r"D %s: %s cid=(gw1\.\S+) msg=([0-9a-f]{8})"
    first = await threaded(until, lambda: re.search(pattern % ("gateway", ".*bytes came.*"), server.logged()), "no debug line")
    second = re.search(pattern % (r"worker-\d", "begins"), server.logged())
    check(second and first.groups() == second.groups(), server.logged())
    check("D sender" not in server.logged(), "the sender was not asked")
    await threaded(server.ctl, "log", "error")
    before = len(server.logged())
    await bob.ask({"action": "heart"})
    check(len(server.logged()) == before, server.logged()[before:])


@on_server("worker/count=2")
async def traces(server):
    """The way of one connection's message, with a time at each actor; others leave no trace."""
    ann, bob = await Client.open(server, "ann"), await Client.open(server, "bob")
    cid = await threaded(server.ctl, "connections", "ann")
    trace = Follower(server, "ctl", "trace", cid, "2")
    while trace.lines.empty():    # Until it is on
        await bob.ask({"action": "heart"})
        await ann.ask(chat("ann", "carol", f"c{time.monotonic()}"))
    await threaded(trace.process.wait, PATIENCE)
    lines = []
    while not trace.lines.empty():
        lines.append(trace.lines.get())
    text = "\n".join(lines)
    check(trace.process.returncode == 0, text)
    #  One that began after all were told and ended before the trace did
    whole = [nbr for nbr in re.findall(r"gateway +msg=(\w+) +\d+ bytes came", text) if f"msg={nbr}  chat done" in text]
    check(whole, text)
    number = whole[-1]
    way = [line for line in lines if f"msg={number}" in line]
    for words in ("bytes came, for worker-", "begins", "waits for ", "goes on", "chat done"):
        check(any(words in line for line in way), f"{words}: {text}")
    check(any("sends" in line and "down to talk carol" in line for line in lines) and "down to the client" in text, text)
    order = [re.search(rf"msg={number}  {words}", text).start()
             for words in (r"\d+ bytes came, for worker", "begins", "waits", "goes on", "chat done")]
    check(order == sorted(order), text)
    check("heart" not in text, "another connection's message")
    trace.stop()


@on_server()
async def watches(server):
    """monitor: sockets, gateways, actors; what it filters; its JSON."""
    import zmq
    monitor, sockets = Follower(server, "monitor"), Follower(server, "monitor", "--kind", "socket", "--json")
    # Until both are on
    for follower, words in ((monitor, ("log", "info")), (sockets, None)):
        while follower.lines.empty():
            if words:
                await threaded(server.ctl, *words)
            else:
                probe = zmq.Context.instance().socket(zmq.PUSH)
                probe.connect(server.upstream)
                probe.close(0)
            await asyncio.sleep(0.05)
    gateway = zmq.Context.instance().socket(zmq.DEALER)
    gateway.setsockopt(zmq.IDENTITY, b"far")
    gateway.connect(server.downstream)
    gateway.send_multipart([b"hello", b"1"])
    check(gateway.recv_multipart() == [b"welcome", b"1"], "welcome")
    line = await threaded(monitor.until, r"gateway +sender +gateway far is here, from 127\.0\.0\.1")
    check(" I gateway " in line, line)
    accepted = json.loads(await threaded(sockets.until, r"sender/downstream.*accepted"))
    check(re.search(r"accepted: 127\.0\.0\.1:\d+", accepted["text"]), accepted)
    await threaded(sockets.until, r"sender/downstream.*shaken hands")

    def known():
        sender = [actor for actor in server.top()["actors"] if actor["name"] == "sender"][0]
        return sender["counters"].get("fd:far")
    await threaded(until, known, "the sender doesn't tell its gateways")
    top = await threaded(server.top)
    check([one["connections"] for one in top["sockets"] if one["name"] == "sender/downstream"] == [1], top["sockets"])
    gateway.close(0)
    line = await threaded(sockets.until, r"sender/downstream.*disconnected")
    check("gateway far" in line, line)

    # Who speaks something else
    host, port = server.upstream.split("//")[1].split(":")
    with socket.create_connection((host, int(port))) as stranger:
        stranger.sendall(b"\xff" + b"\0" * 8 + b"\x7f\x03\x00" + b"NONSENSE".ljust(20, b"\0") + b"\0" * 32)
        await threaded(sockets.until, r"receiver/upstream.*handshake failed")
    monitor.stop()
    sockets.stop()


def syslog():
    """log/to = syslog: with its priority and without a time of our own."""
    place = os.path.realpath("/dev/log")    # systemd has a link there, which leads nowhere while it doesn't run
    if os.path.exists(place) or os.geteuid() != 0:
        print("   not tried: /dev/log is somebody else's")
        return
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(place)
        heard.settimeout(PATIENCE)
        try:
            server = Server("log/to=syslog")

            async def test():
                line = heard.recv(4096).decode()
                check(re.match(r"<30>.* rookery\[\d+\]: I sender: gateway gw1 is here", line), line)
                check(not server.logged(), server.logged())
            live(server, test)
        finally:
            os.unlink(place)


def ends():
    """drain finishes what is in flight and exits with 0; stop ends at once; both say why; nobody answers then."""
    for word in ("drain", "stop"):
        server = Server()

        async def test(server=server, word=word):
            client = await Client.open(server, "ann")
            await client.send(chat("ann", "bob", "last"))
            await threaded(server.ctl, word)
            if word == "drain":
                check((await client.receive())["code"] == "ok", "what was in flight")
            check(await threaded(server.process.wait, PATIENCE) == 0, "exit status")
            check(f"the server ends: {word}" in server.logged(), server.logged())
            if word == "drain":
                try:
                    await client.receive()
                    raise AssertionError("it is still open")
                except Exception as error:    # noqa
                    check("going down; connect again" in str(error), error)
            for command in ("status",), ("reload",):
                check("no server is running there" in server.ctl(*command, good=False), command)
            for command in ("top", "monitor"):
                done = subprocess.run([server.binary, command, "-e", f"ipc://{server.folder}/control"], capture_output=True,
                                      text=True, timeout=PATIENCE)
                check(done.returncode == 1 and done.stderr.count("\n") == 1 and "no server is running" in done.stderr, done)
        live(server, test)


class Unread(Server):
    """One whose log is a pipe that the test reads."""

    def logged(self):
        return ""


def nobody_reads():
    """A log whose reader has stopped stops nobody: clients are answered, SIGTERM ends the server; when it reads again it
    hears how much is lost."""
    folder = tempfile.mkdtemp(prefix="rookery-log-")
    os.mkfifo(f"{folder}/log")
    reader = os.open(f"{folder}/log", os.O_RDONLY | os.O_NONBLOCK)
    try:
        server = Unread("log/level=debug", folder=folder)

        async def test():
            client = await Client.open(server, "ann")
            for nbr in range(1000):    # Five lines each, more than a pipe holds
                check((await client.ask({"action": "heart"}))["code"] == "ok", "heart")
            check(len(os.read(reader, 1 << 20)) > 60_000, "the pipe wasn't full")
            await client.ask({"action": "heart"})
            said = os.read(reader, 1 << 20).decode()
            check(re.search(r"W log: \d+ lines are lost: whoever reads the log had stopped reading it\n", said), said[:500])
            for nbr in range(1000):
                await client.ask({"action": "heart"})
            await Client.close_all()
        asyncio.run(asyncio.wait_for(test(), 280))
        check(server.stop() == 0, "exit status")
    finally:
        os.close(reader)
        server.remove()
        shutil.rmtree(folder)


def in_a_hurry():
    """While the server drains it hears stop, and says so to all other commands."""
    folder = tempfile.mkdtemp(prefix="rookery-handlers-")
    for name, text in (("nap", NAP), ("bind", open("selftest/e2e/handlers/bind.lua").read())):
        with open(f"{folder}/{name}.lua", "w") as file:
            file.write(text)
    server = Server(f"lua/app={folder}", "chat/durability=relayed", "server/drain=60000", "worker/timeout=90000")

    async def test():
        client = await Client.open(server, "ann")
        await client.send({"action": "nap"})
        await threaded(until, lambda: any(actor["counters"].get("waiting") for actor in server.top()["actors"]), "no nap")
        await threaded(server.ctl, "drain")
        await threaded(until, lambda: get(server, "/healthz") == (503, "draining: drain\n"), "not draining")
        check("only stop is heard" in await threaded(lambda: server.ctl("reload", good=False)), "reload")
        await threaded(server.ctl, "stop")
        check(await threaded(server.process.wait, PATIENCE) == 0, "exit status")
    try:
        live(server, test)
    finally:
        shutil.rmtree(folder)


def systemd():
    """What systemd hears: ready, reloading, stopping, and the watchdog unless an actor is stuck."""
    folder = tempfile.mkdtemp(prefix="rookery-notify-")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"{folder}/notify")
        heard.settimeout(PATIENCE)
        os.environ |= {"NOTIFY_SOCKET": f"{folder}/notify", "WATCHDOG_USEC": "400000"}
        try:
            server = Server()
        finally:
            del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]

        def expect(word):
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                text = heard.recv(4096).decode()
                if word in text:
                    return text
            raise AssertionError(f"{word} was not said")

        async def test():
            expect("READY=1")
            expect("WATCHDOG=1")
            await threaded(server.ctl, "reload")
            check("MONOTONIC_USEC=" in expect("RELOADING=1"), "RELOADING")
            expect("READY=1")
            server.process.terminate()
            check("SIGTERM" in await threaded(expect, "STOPPING=1"), "STOPPING")
            check(await threaded(server.process.wait, PATIENCE) == 0, "exit status")
        try:
            live(server, test)
        finally:
            shutil.rmtree(folder)


def off():
    """console/enabled = 0: no port, no endpoint, and the server works."""
    server = Server("console/enabled=0")

    async def test():
        client = await Client.open(server, "ann")
        check((await client.ask({"action": "heart"}))["code"] == "ok", "heart")
        check(not server.console and not os.path.exists(f"{server.folder}/control"), "it listens")
    live(server, test)


if __name__ == "__main__":
    run(looks, pages, steers, traces, watches, syslog, ends, nobody_reads, in_a_hurry, systemd, off)
