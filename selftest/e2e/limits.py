#!/usr/bin/python3
#  runs: asan
"""limits.py - each limit of the configuration, reached: what is said, who is held back, and that others don't notice"""

import asyncio
import json
import shutil
import sys
import tempfile
import time

import websockets

from rookery import PATIENCE, Client, Server, chat, check, hearts, live, memory_of, run, shake_hands


async def expect_code(client, message, code, words=""):
    answer = await client.ask(message)
    check(answer["code"] == code and words in answer["message"], f"{str(message)[:80]}: expected {code}, got {answer}")
    return answer


def binary(text, attachment):
    text = text.encode()
    return len(text).to_bytes(4, "big") + text + attachment


def messages():
    server = Server("gateway/message=20000", "lua/depth=5", "lua/keys=20", "chat/attachment=1000", "chat/page=5")

    async def test():
        ann = await Client.open(server, "ann")
        await expect_code(ann, "x" * 20001, "too-large", "20000 bytes")
        await expect_code(ann, '{"action":"heart","a":' + "[" * 4 + "]" * 4 + "}", "ok")
        await expect_code(ann, '{"action":"heart","a":' + "[" * 5 + "]" * 5 + "}", "bad-json", "nested too deeply")
        await expect_code(ann, {"action": "heart", "a": list(range(18))}, "ok")
        await expect_code(ann, {"action": "heart", "a": list(range(19))}, "bad-json", "too many keys")
        text = '{"action":"chat","content":{"fromAccountID":"ann","toAccountID":"bob","chatID":"%d"}}'
        await expect_code(ann, binary(text % 1, b"x" * 1000), "ok")
        await expect_code(ann, binary(text % 2, b"x" * 1001), "too-large", "1000 bytes")
        for nbr in range(3, 12):
            await expect_code(ann, chat("ann", "bob", str(nbr)), "ok")
        answer = await expect_code(ann, {"action": "history", "conversation": "ann,bob", "limit": 1000}, "ok")
        check(len(answer["messages"]) == 5, answer)
    live(server, test)


def connections():
    server = Server("gateway/connections=5", "gateway/address=3")

    async def refused(**more):
        try:
            await Client.open(server, **more)
        except (OSError, websockets.WebSocketException, EOFError):
            return True
        return False

    async def test():
        here = [await Client.open(server, "ann") for _ in range(3)]
        check(await refused(), "a fourth connection of one address")
        there = [await Client.open(server, "bob", local_addr=("127.0.0.2", 0)) for _ in range(2)]
        check(await refused(local_addr=("127.0.0.3", 0)), "a sixth connection")
        await here.pop().close()
        until = time.monotonic() + PATIENCE
        while await refused():    # The place of one that went is free
            check(time.monotonic() < until, "the place stays taken")
            await asyncio.sleep(0.05)
        await expect_code(here[0], chat("ann", "bob", "1"), "ok")
        check((await there[0].receive())["content"]["chatID"] == "1", "delivery")
        check(server.counters()["gateway"]["refused"] >= 2, "not counted")
        check("from one address" in server.logged() and "gateway/connections" in server.logged(), "not logged")
        # As many as came have gone: nothing of a plain HTTP connection stays either
        for _ in range(20):
            reader, writer = await asyncio.open_connection(*server.url[5:-3].split(":"), local_addr=("127.0.0.4", 0))
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            check(b"200" in await asyncio.wait_for(reader.read(), PATIENCE), "no page")
            writer.close()
    live(server, test)


def half_open():
    """Who connects and never says hello takes a place, too; the server keeps descriptors for itself."""
    server = Server("gateway/connections=5", "gateway/address=1000")
    address = server.url[5:-3].split(":")

    async def test():
        there = [await asyncio.open_connection(*address) for _ in range(206)]
        until = time.monotonic() + PATIENCE
        while "too many are half open" not in server.logged():
            check(time.monotonic() < until, "half open connections have no limit")
            await asyncio.sleep(0.05)
        check(server.counters()["gateway"]["refused"] == 1, "not counted")
        for _, writer in there:
            writer.close()
        until = time.monotonic() + PATIENCE
        while True:    # Their places are free again
            try:
                ann = await Client.open(server, "ann")
                break
            except (OSError, websockets.WebSocketException, EOFError):
                check(time.monotonic() < until, "their places stay taken")
                await asyncio.sleep(0.05)
        await expect_code(ann, chat("ann", "bob", "1"), "ok")
    live(server, test)


def unread():
    """What a client doesn't read waits in the gateway, where it is bounded, and not in the kernel without a bound."""
    server = Server("gateway/queue=200000", "chat/durability=relayed")

    async def test():
        _, writer = await shake_hands(server, 4096)
        payload = b'{"uid":"bob"}'
        writer.write(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
        ann = await Client.open(server, "ann")
        for nbr in range(100):    # More than 16 times the queue
            await expect_code(ann, chat("ann", "bob", str(nbr), text="x" * 50_000), "ok")
        check(server.counters()["gateway"]["slow"] == 1, "megabytes wait elsewhere")
        writer.close()
    live(server, test)


def rates():
    """Who is too fast is slowed down and loses nothing; who never stops is closed; others don't notice."""
    server = Server("gateway/rate=50", "gateway/rate_user=60", "gateway/overrate=3")

    async def test():
        fast, calm = await Client.open(server, "fast"), await Client.open(server, "calm")
        took = await hearts(fast, 150)
        check(1.5 < took, f"150 messages at 50 a second took {took:.1f} s")
        await hearts(calm, 10)
        check(server.counters()["gateway"]["paused"] > 0, "nobody was slowed down")
        # Two connections of a user share: each has 50 of its own, both together 60
        ann = [await Client.open(server, "ann") for _ in range(2)]
        began = time.monotonic()
        await asyncio.gather(*[hearts(client, 100) for client in ann])
        took = time.monotonic() - began
        check(1.8 < took, f"200 messages at 60 a second took {took:.1f} s")
        await asyncio.sleep(1.2)    # The second that ends a fast time

        async def press():
            while True:
                await fast.send({"action": "heart"})
                await asyncio.sleep(0.001)
        pressing = asyncio.create_task(press())
        await asyncio.wait_for(fast.closed("1008", "rate-limited"), PATIENCE)
        pressing.cancel()
        await asyncio.gather(pressing, return_exceptions=True)
        await hearts(calm, 10)
        check(server.counters()["gateway"]["paused"] > 0, "nobody was slowed down")
        counted = server.counters()["gateway"]
        check(counted["fast"] == 1 and counted["paused"] > 3, counted)
        check("faster than its rate" in server.logged(), "not logged")
    live(server, test)


async def piece(server, uid, size):
    """A client that says only so many bytes of its message, a megabyte; returns its writer."""
    _, writer = await shake_hands(server)
    if uid:
        bind = json.dumps({"uid": uid}).encode()
        writer.write(bytes([0x81, 0x80 | len(bind), 0, 0, 0, 0]) + bind)
        await asyncio.sleep(0.01)
    writer.write(bytes([0x81, 0x80 | 127]) + (1_000_000).to_bytes(8, "big") + bytes(4) + b"x" * size)
    await writer.drain()
    return writer


def memory():
    """Whatever clients and gateways make the server hold, it is no more than server/queues and what a process needs."""
    folder = tempfile.mkdtemp(prefix="rookery-memory-")
    with open(f"{folder}/slow.lua", "w") as file:
        file.write('return {action = "slow", handle = function () timer.sleep (3600000) return {} end}')
    limit = 64 * 1024 * 1024
    server = Server(f"server/queues={limit}", "gateway/address=100000", "worker/count=1", "chat/durability=relayed",
                    f"lua/app=lua/app,{folder}", "lua/memory=33554432", "gateway/failures=0", "worker/timeout=600000")

    most = {}

    def grown(what, before):
        now = memory_of(server)
        most[what] = max(most.get(what, 0), now - before)
        check(now - before <= (limit + 128 * 1024 * 1024) // 1024, f"{what}: {now - before} KB more")

    async def test():
        ann = await Client.open(server, "ann")
        before = memory_of(server)
        # Pieces of clients that nobody knows
        writers = [await piece(server, None, 900_000) for _ in range(300)]
        await asyncio.sleep(1)
        grown("pieces of 300 unbound clients", before)
        check((await ann.ask({"action": "heart"}))["code"] == "ok", "others")
        for writer in writers:
            writer.close()
        # Pieces of clients that are bound
        pieces = [asyncio.create_task(piece(server, f"u{nbr}", 900_000)) for nbr in range(200)]
        until = time.monotonic() + PATIENCE
        while "more than server/queues" not in server.logged():
            check(time.monotonic() < until, "pieces of bound clients don't count")
            await asyncio.sleep(0.1)
            grown("pieces of bound clients", before)
        while "clients are read again" not in server.logged():
            check(time.monotonic() < until, "what isn't whole is held for ever")
            await asyncio.sleep(0.1)
            grown("pieces of bound clients", before)
        check((await ann.ask({"action": "heart"}))["code"] == "ok", "others")
        for task in pieces:
            task.cancel()
        for writer in await asyncio.gather(*pieces, return_exceptions=True):
            if isinstance(writer, asyncio.StreamWriter):
                writer.close()
        # Messages behind a handler that takes its time
        slow = [await Client.open(server, f"s{nbr}") for nbr in range(20)]

        async def flood(client):
            while True:
                await client.send({"action": "slow", "text": "x" * 900_000})
        floods = [asyncio.create_task(flood(client)) for client in slow]
        until = time.monotonic() + PATIENCE
        while server.logged().count("more than server/queues") < 2:
            check(time.monotonic() < until, "messages behind a slow handler don't count")
            await asyncio.sleep(0.1)
            grown("messages behind a slow handler", before)
        await asyncio.sleep(1)
        grown("messages behind a slow handler", before)
        for task in floods:
            task.cancel()
        for what, size in most.items():
            print(f"   {what}: {size} KB more")
    try:
        asyncio.run(asyncio.wait_for(test(), 280))
    except BaseException:
        print(server.logged()[-2000:])
        raise
    finally:
        server.remove()    # Its handlers sleep on
        shutil.rmtree(folder)


def all_queues():
    """Many who don't read, each within its own limit: together they have one, too."""
    server = Server("server/queues=4000000", "gateway/queue=2000000", "chat/durability=relayed")

    async def test():
        writers = []
        for nbr in range(10):
            _, writer = await shake_hands(server, 4096)
            payload = b'{"uid":"slow%d"}' % nbr
            writer.write(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
            writers.append(writer)
        ann, bob = await Client.open(server, "ann"), await Client.open(server, "bob")
        body, nbr = "x" * 100_000, 0
        until = time.monotonic() + PATIENCE
        while "more than server/queues" not in server.logged():
            check(time.monotonic() < until, "all queues together have no limit")
            await expect_code(ann, chat("ann", f"slow{nbr % 10}", str(nbr), text=body), "ok")
            nbr += 1
        # The slow ones are closed, and all is well again
        await expect_code(ann, chat("ann", "bob", "after"), "ok")
        check((await bob.receive())["content"]["chatID"] == "after", "delivery")
        until = time.monotonic() + PATIENCE
        while "clients are read again" not in server.logged():
            check(time.monotonic() < until, "the queues stay full")
            await asyncio.sleep(0.05)
        counted = server.counters()["gateway"]
        check(counted["full"] >= 1 and counted["slow"] >= 1 and counted["queued_bytes"] < 4_000_000, counted)
        for writer in writers:
            writer.close()
    live(server, test)


if __name__ == "__main__":
    #  The address sanitizer takes more memory, and time, than what the last one measures
    sanitized = "asan" in (sys.argv[1] if len(sys.argv) > 1 else "")
    run(messages, connections, half_open, unread, rates, all_queues, *([] if sanitized else [memory]))
