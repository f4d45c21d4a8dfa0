#!/usr/bin/python3
#  runs: asan mysql
"""split.py - gateway and app server as processes of their own, over TCP; each is restarted under its clients"""

import asyncio
import json
import signal
import subprocess
import time

from rookery import PATIENCE, Client, Server, chat, check, run, served


def start_app(*settings, folder=None):
    return Server("gateway/enabled=0", *settings, folder=folder)


def start_gateway(app, name, *settings):
    return Server("app/enabled=0", f"gateway/id={name}", f"gateway/app/far/upstream={app.upstream}",
                  f"gateway/app/far/downstream={app.downstream}", *settings)


async def answered(client, chat_id, message):
    """Says it again until it is answered with ok, as a client does after a pause; others' chats are kept. What was on
    its way when the app server died is lost unanswered."""
    kept = []
    await client.send(message)
    while True:
        try:
            answer = await asyncio.wait_for(client.socket.recv(), 5)
        except asyncio.TimeoutError:
            await client.send(message)
            continue
        answer = json.loads(answer)
        if answer["action"] == "chatRsp" and answer["chatID"] == chat_id and answer["code"] == "ok":
            await client.send({"action": "heart"})
            while answer["action"] != "heartRsp":    # There may be one for each time that it was said
                answer = await client.receive()
                if answer["action"] not in ("chatRsp", "heartRsp"):
                    kept.append(answer)
            return kept
        if answer["action"] == "chatRsp" and answer["code"] in ("not-bound", "store-unavailable"):
            await asyncio.sleep(0.1)
            await client.send(message)
        else:
            kept.append(answer)


async def two_gateways(app, one, two):
    ann, bob = await Client.open(one, "ann"), await Client.open(two, "bob")
    for nbr in range(50):
        check((await ann.ask(chat("ann", "bob", f"a{nbr}")))["code"] == "ok", "chat")
        check((await bob.receive())["content"]["chatID"] == f"a{nbr}", "delivery")
    check((await bob.ask({"action": "ack", "conversation": "ann,bob", "seq": 40}))["code"] == "ok", "ack")
    check((await ann.receive())["action"] == "acked", "ann isn't told")
    for client in (ann, bob):
        check((await client.ask({"action": "groupJoin", "groupID": "g"}))["code"] == "ok", "groupJoin")
    await ann.send({"action": "chatGroup", "content": {"fromAccountID": "ann", "chatGroupID": "g", "chatID": "g1"}})
    check((await bob.receive())["content"]["chatID"] == "g1", "group over two gateways")
    await ann.receive(), await ann.receive()

    # The app server is killed and comes back; the clients' connections stay, and are known again
    app.stop(signal.SIGKILL)
    app.settings += (f"receiver/upstream={app.upstream}", f"sender/downstream={app.downstream}")
    waiting = asyncio.create_task(answered(ann, "while-away", chat("ann", "bob", "while-away")))
    await asyncio.sleep(0.5)
    app.start()
    check(await asyncio.wait_for(waiting, PATIENCE) == [], "something else came")
    #  What bob has not acked comes again, in order; what is new is among it
    got = [await bob.receive() for _ in range(12)]
    talk = [one["seq"] for one in got if one["action"] == "chat"]
    check(talk == list(range(41, 52)) and [one["seq"] for one in got if one["action"] == "chatGroup"] == [1], got)

    # A gateway is killed and comes back: its clients connect and bind again, and get what they missed
    two.stop(signal.SIGKILL)
    check((await ann.ask(chat("ann", "bob", "missed")))["code"] == "ok", "chat to one who is away")
    two.start()
    bob = await Client.open(two, "bob")
    got = [(await bob.receive())["content"]["chatID"] for _ in range(13)]
    check("missed" in got and "while-away" in got and "g1" in got, got)
    check((await ann.ask(chat("ann", "bob", "last")))["code"] == "ok", "chat")
    check((await bob.receive())["content"]["chatID"] == "last", "delivery after all that")


def split():
    app = start_app()
    one, two = start_gateway(app, "one"), start_gateway(app, "two")
    try:
        async def bounded():
            try:
                await asyncio.wait_for(two_gateways(app, one, two), PATIENCE)
            finally:
                await Client.close_all()
        asyncio.run(bounded())
        for server in (one, two, app):
            check(server.stop() == 0, f"exit status\n{server.logged()[-1000:]}")
    except BaseException:
        print("".join(server.logged()[-1500:] for server in (app, one, two)))
        raise
    finally:
        for server in (one, two, app):
            server.remove()


def idle():
    """A gateway whose app server is in another process sleeps while nobody says anything, also when that one is gone."""
    app = start_app()
    with served(start_gateway(app, "one"), app) as gateway:
        for _ in range(2):
            first = last = gateway.counters()["gateway"]
            while last["at_nsec"] - first["at_nsec"] < 2_000_000_000:
                last = gateway.counters()["gateway"]
                time.sleep(0.2)
            used = (last["cpu_nsec"] - first["cpu_nsec"]) / (last["at_nsec"] - first["at_nsec"])
            check(used < 0.2, f"{used:.0%} of a processor")
            if app.process.poll() is None:
                app.stop(signal.SIGKILL)


def taken_port():
    """A port in use is one clear line that says what to do, and an exit status."""
    server = Server()
    try:
        rows = [(f"store/path={server.folder}/chat.db", "another server uses it")] if not server.store.mariadb else []
        for setting, words in ((f"gateway/listen={server.url[5:-3]}", "gateway/listen"),
                               (f"receiver/upstream={server.upstream}", "receiver/upstream"),
                               (f"sender/downstream={server.downstream}", "sender/downstream"),
                               (f"console/control=ipc://{server.folder}/control", "another server listens there"),
                               (f"console/listen={server.console[7:]}", "console/listen"),
                               ("store/path=/proc/nowhere/x.db", "store/path"),
                               ("lua/time=soon", "must be a whole number"), *rows):
            words_of = [server.binary, "run", "-s", "gateway/listen=127.0.0.1:0", "-s", "receiver/upstream=none",
                        "-s", "sender/downstream=none", "-s", f"console/control=ipc://{server.folder}/other",
                        "-s", "console/listen=127.0.0.1:0",
                        "-s", f"store/path={server.folder}/other.db", "-s", setting]
            done = subprocess.run(words_of, capture_output=True, text=True, timeout=PATIENCE)
            lines = done.stderr.strip().split("\n")
            check(done.returncode == 1 and len(lines) == 1 and words in lines[0], f"{setting}: {done}")
        check(server.stop() == 0, "exit status")
    finally:
        server.remove()


def same_id():
    """A second gateway with the id of one that is here gets nothing of it, and both sides say so by name."""
    app = start_app()
    first = start_gateway(app, "twin")
    second = None

    async def test():
        nonlocal second
        ann = await Client.open(first, "ann")
        second = start_gateway(app, "twin")
        deadline = time.monotonic() + PATIENCE
        while not ("without saying hello" in app.logged() and "another gateway that is here (twin)" in app.logged()
                   and "another gateway has this one's gateway/id, twin" in second.logged()):
            check(time.monotonic() < deadline, app.logged() + second.logged())
            await asyncio.sleep(0.1)
        check((await ann.ask(chat("ann", "bob", "1")))["code"] == "ok", "the first one is harmed")
        await Client.close_all()
    with served(app), served(first):
        try:
            asyncio.run(asyncio.wait_for(test(), 280))
        finally:
            second and second.remove()


if __name__ == "__main__":
    run(split, idle, taken_port, same_id)
