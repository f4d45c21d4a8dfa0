#!/usr/bin/python3
#  runs: asan mysql
"""garbage.py - clients that send nonsense, flood, stall or hide: nothing crashes and others don't notice"""

import asyncio
import json
import os
import random
import time

from rookery import PATIENCE, Client, Server, chat, check, memory_of, run, shake_hands


async def honest_pair(server, name, stop, waits):
    """Two users who chat all the while; notes how long each delivery took."""
    one, two = f"one-{name}", f"two-{name}"
    alice, bob = await Client.open(server, one), await Client.open(server, two)
    nbr = 0
    while not stop.is_set():
        began = time.monotonic()
        await alice.send(chat(one, two, f"h{nbr}"))
        got = await bob.receive()
        check(got["content"]["chatID"] == f"h{nbr}", f"out of order: {got}")
        answer = await alice.receive()
        check(answer["code"] == "ok" and answer["seq"] == nbr + 1, f"answer {answer}")
        waits.append(time.monotonic() - began)
        nbr += 1
        await asyncio.sleep(0.005)
    await alice.close()
    await bob.close()


async def beside_an_honest_pair(server, hostile):
    stop, waits = asyncio.Event(), []
    honest = asyncio.create_task(honest_pair(server, hostile.__name__, stop, waits))
    try:
        while len(waits) < 5 and not honest.done():
            await asyncio.sleep(0.01)
        await hostile(server)
    finally:
        stop.set()
    await asyncio.wait_for(honest, PATIENCE)
    check(len(waits) >= 5, f"the others noticed: {len(waits)} chats")


async def nonsense(server):
    client = await Client.open(server)
    chance = random.Random(1)
    for text, code in (("{", "bad-json"), ("", "bad-frame"), ("[]", "unknown-action"), ("1", "bad-request"),
                       ('{"action":1}', "unknown-action"), ('{"action":"chat"}', "not-bound"),
                       ('{"uid":5}', "bad-request"), ('{"uid":"a b"}', "bad-request"),
                       ("[" * 10000, "bad-json"), ('{"a":"\\uqqqq"}', "bad-json"), ("[1e999]", "bad-json"), ('{"uid":12345678901234567890}', "bad-json"),
                       (b"", "bad-frame"), (b"\0\0\0\xff{}", "bad-frame"), (b"\0\0\0\x02\xff\xfe", "bad-json")):
        answer = await client.ask(text)
        check(answer["code"] == code and answer["message"], f"{text[:30]!r}: {answer}")
    for _ in range(200):
        answer = await client.ask(chance.randbytes(chance.randrange(4, 2000)))
        check(answer["code"] in ("bad-json", "bad-frame", "unknown-action", "bad-request"), answer)
    answer = await client.ask("x" * 10_000_000)
    check(answer["code"] == "too-large", answer)
    check((await client.ask({"action": "heart"}))["code"] == "ok", "after all that")
    await client.close()


async def broken_utf8(server):
    """A text frame that isn't UTF-8, by hand; the answer names the byte."""
    reader, writer = await shake_hands(server)
    payload = b'{"a":"\xff"}'
    writer.write(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
    head = await asyncio.wait_for(reader.readexactly(2), PATIENCE)
    answer = json.loads(await asyncio.wait_for(reader.readexactly(head[1] if head[1] < 126 else
                        int.from_bytes(await reader.readexactly(2), "big")), 20))
    check(answer["code"] == "bad-json" and answer["offset"] == 6, answer)
    writer.close()


async def flood(server):
    """100,000 tiny messages at once: all are answered, in order, and memory stays bounded."""
    client = await Client.open(server)
    count = 100_000

    async def pour():
        for nbr in range(count):
            await client.socket.send('{"action":"heart","requestID":%d}' % nbr)

    pouring = asyncio.create_task(pour())
    for nbr in range(count):
        answer = await client.receive()
        check(answer["requestID"] == nbr, f"expected {nbr}, got {answer}")
    await pouring
    await client.close()


async def half_frame_and_silence(server):
    """Half a frame and then nothing; and bytes that are no HTTP. Neither keeps anybody waiting."""
    writers = []
    for _ in range(20):
        _, writer = await shake_hands(server)
        writer.write(b"\x81\xfe\x01\x00\x00\x00\x00\x00half")
        await writer.drain()
        writers.append(writer)
    host, port = server.url[5:-3].split(":")
    for nbr in range(20):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(os.urandom(500))
        writers.append(writer)
    client = await Client.open(server)
    for _ in range(50):
        check((await client.ask({"action": "heart"}))["code"] == "ok", "beside half frames")
    await client.close()
    for writer in writers:
        writer.close()


async def slow_reader(server):
    """One that never reads is closed with a reason when its queue is full; memory stays bounded."""
    _, writer = await shake_hands(server, 4096)
    payload = b'{"uid":"slow"}'
    writer.write(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
    await writer.drain()
    sender = await Client.open(server, "eve")
    body = "x" * 50_000
    before = memory_of(server)
    for nbr in range(400):    # 20 MB for a queue of 1 MB
        answer = await sender.ask(chat("eve", "slow", f"s{nbr}", text=body))
        check(answer["code"] == "ok", answer)
    grown = memory_of(server) - before
    check("is too slow" in server.logged(), "the log doesn't name the slow client")
    check(grown < 60_000 or "asan" in server.binary, f"memory grew by {grown} KB")
    await sender.close()
    writer.close()


def all_of_them():
    """Each beside an honest pair, on one server."""
    server = Server()
    try:
        for hostile in (nonsense, broken_utf8, flood, half_frame_and_silence, slow_reader):
            print(f"   {hostile.__name__}", flush=True)
            asyncio.run(asyncio.wait_for(beside_an_honest_pair(server, hostile), PATIENCE))
        counted = server.counters()
        check(counted["gateway"]["too_large"] >= 1 and counted["gateway"]["bad_frame"] >= 100, counted["gateway"])
        check(counted["gateway"]["slow"] == 1, counted["gateway"])
        refused = sum(worker.get("lua:refused_bad_json", 0) for name, worker in counted.items() if name.startswith("worker"))
        check(refused >= 5, f"only {refused} refused for bad JSON")
        check(server.stop() == 0, f"exit status\n{server.logged()[-2000:]}")
    finally:
        server.remove()


if __name__ == "__main__":
    run(all_of_them)
