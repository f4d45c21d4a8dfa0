#!/usr/bin/python3
"""soak.py - many who come and go, and some who mean harm: memory, descriptors, and what honest users wait

    script/soak [--minutes N] [--connections N]

First: so many connections are held; each binds, chats now and then, goes after a while and another one comes. Memory at the
end must be within 5 % of what it was after a minute, and every descriptor must be given back. Before that a load fills the
store's own cache, which is of a fixed size. Second: 100 users chat at 1,000 chats a second, alone and beside 100 who send
garbage, read nothing or come again all the time; the 99th percentile of an answer may be three times as long. Those who mean
harm would have machines of their own; here they get what the others leave of the cores (SCHED_IDLE), which is enough."""

import argparse
import asyncio
import base64
import json
import os
import random
import re
import subprocess
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))

from rookery import Server, check, memory_of    # noqa

LIFE = 60            # seconds that a connection lives, about
FLOOR = 10           # msec; what the noise of a small machine makes of any ratio
PACE = 20            # seconds between its chats, about
HELLO = ("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
         + base64.b64encode(b"0123456789abcdef").decode() + "\r\nSec-WebSocket-Version: 13\r\n\r\n").encode()


def frame(opcode, payload):
    """A client's WebSocket frame, its mask all zeros."""
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + size + b"\0\0\0\0" + payload


async def connect(server, nbr):
    host, port = server.url[5:-3].split(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(f"127.0.{1 + nbr % 200}.1", 0), limit=4096)
    writer.write(HELLO)
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def drain(reader, seen, nbr):
    """Reads to the end and counts answers; it answers no ping, for a life is short."""
    while True:
        data = await reader.read(4096)
        if not data:
            return
        seen["answered"] += data.count(b'"chatRsp"')
        for seq in re.findall(rb'"seq":(\d+)', data):
            seen["seq", nbr] = max(seen.get(("seq", nbr), 0), int(seq))


async def life(server, nbr, seen, stop):
    """One connection after the other in this place."""
    chance = random.Random(nbr)
    while not stop.is_set():
        try:
            reader, writer = await connect(server, nbr)
        except (OSError, asyncio.IncompleteReadError):
            seen["refused"] += 1
            await asyncio.sleep(1)
            continue
        uid, other = f"u{nbr}", f"u{nbr ^ 1}"
        writer.write(frame(1, json.dumps({"uid": uid, "device": "d"}).encode()))
        reading = asyncio.create_task(drain(reader, seen, nbr))
        ends = time.monotonic() + chance.uniform(0.5, 1.5) * LIFE
        while time.monotonic() < ends and not stop.is_set() and not reading.done():
            content = {"fromAccountID": uid, "toAccountID": other, "chatID": f"{nbr}-{time.monotonic_ns()}"}
            writer.write(frame(1, json.dumps({"action": "chat", "content": content}).encode()))
            seen["said"] += 1
            ack = {"action": "ack", "conversation": ",".join(sorted((uid, other))), "seq": seen.get(("seq", nbr), 0)}
            writer.write(frame(1, json.dumps(ack).encode()))
            try:
                await asyncio.wait_for(stop.wait(), min(chance.uniform(0.5, 1.5) * PACE, max(0, ends - time.monotonic())))
            except asyncio.TimeoutError:
                pass
        writer.write(frame(8, b"\x03\xe8"))
        try:
            await asyncio.wait_for(reading, 20)
        except asyncio.TimeoutError:
            seen["stuck"] += 1
        except OSError:    # The server was first
            pass
        writer.close()
        seen["lives"] += 1


def descriptors(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def bench(server, *words):
    done = subprocess.run([server.binary, "bench", "--url", server.url, *words], capture_output=True, text=True, timeout=300,
                          preexec_fn=lambda: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)))
    check(done.returncode == 0, f"{done.stdout}{done.stderr}")
    return float(re.search(r"answer: .*p99 ([\d.]+) ms", done.stdout)[1])


async def come_and_go(server, options):
    seen = {"said": 0, "lives": 0, "stuck": 0, "answered": 0, "refused": 0}
    before, stop = descriptors(server), asyncio.Event()
    lives = []
    for nbr in range(options.connections):
        lives.append(asyncio.create_task(life(server, nbr, seen, stop)))
        if nbr % 100 == 99:
            await asyncio.sleep(0.2)
    began = time.monotonic()
    await asyncio.sleep(60)
    first = memory_of(server)
    most = descriptors(server)
    rows = [first]
    while time.monotonic() - began < options.minutes * 60:
        await asyncio.sleep(10)
        most = max(most, descriptors(server))
        if time.monotonic() - began > 60 * (len(rows) + 1):
            rows.append(memory_of(server))
    last = memory_of(server)
    print(f"   memory each minute: {rows}", flush=True)
    stop.set()
    await asyncio.wait_for(asyncio.gather(*lives), 120)
    until = time.monotonic() + 30
    while descriptors(server) > before and time.monotonic() < until:
        await asyncio.sleep(0.2)
    after = descriptors(server)
    print(f"   {options.connections} at once, {seen['lives']} in all, {seen['said']} chats said, "
          f"{seen['answered']} answered; {seen['refused']} were refused and came again")
    print(f"   memory {first} KB after a minute, {last} KB at the end ({(last - first) / first * 100:+.1f} %); "
          f"descriptors {before} before, {most} at the most, {after} after")
    check(last <= first * 1.05, "memory grows")
    check(after <= before, "descriptors are leaked")
    check(seen["refused"] <= options.connections / 100, f"{seen['refused']} connections were refused")
    check(seen["stuck"] == 0, f"{seen['stuck']} connections were not closed")
    check(most >= before + options.connections * 0.9, f"only {most} descriptors: not so many connections")


async def garbage(server, nbr):
    chance = random.Random(nbr)
    while True:
        try:
            reader, writer = await connect(server, nbr)
            reading = asyncio.create_task(drain(reader, {"answered": 0}, nbr))
            while not reading.done():
                kind = chance.randrange(3)
                writer.write(frame(2, chance.randbytes(chance.randrange(1, 3000))) if kind == 0 else
                             frame(1, b'{"action":"chat","content":' * 20) if kind == 1 else chance.randbytes(100))
                await writer.drain()
                await asyncio.sleep(chance.uniform(0, 0.02))
            writer.close()
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.05)


async def reads_nothing(server, nbr):
    """It asks for much, its own messages too, and reads none of it."""
    chance = random.Random(nbr)
    while True:
        try:
            reader, writer = await connect(server, nbr)
            writer.write(frame(1, b'{"uid":"slow%d"}' % nbr))
            reader._limit = 1    # The library stops to read
            count = 0
            while not writer.transport.is_closing():
                content = {"fromAccountID": f"slow{nbr}", "toAccountID": f"slow{nbr ^ 1}", "chatID": f"{count}-{time.monotonic_ns()}",
                           "text": "x" * 2000}
                writer.write(frame(1, json.dumps({"action": "chat", "content": content}).encode()))
                await asyncio.wait_for(writer.drain(), 60)
                count += 1
                await asyncio.sleep(chance.uniform(0, 0.04))
            writer.close()
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            await asyncio.sleep(0.05)


async def comes_again(server, nbr):
    chance = random.Random(nbr)
    while True:
        try:
            _, writer = await connect(server, nbr)
            writer.transport.abort()
            await asyncio.sleep(chance.uniform(0, 0.04))
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.05)


async def beside_hostile(server, words):
    hostile = [asyncio.create_task((garbage, reads_nothing, comes_again)[nbr % 3] (server, nbr)) for nbr in range(100)]
    await asyncio.sleep(1)
    try:
        return await asyncio.get_running_loop().run_in_executor(None, bench, server, *words)
    finally:
        while hostile:    # asyncio.wait_for of Python 3.11 can swallow a cancellation
            for task in hostile:
                task.cancel()
            _, hostile = await asyncio.wait(hostile, timeout=1)


def many(options):
    server = Server("gateway/connections=20000", "gateway/address=20000")
    try:
        bench(server, "--chats", "300000")
        asyncio.run(come_and_go(server, options))
        check(server.stop() == 0, "exit status")
    finally:
        server.remove()


def hostile(options):
    server = Server("gateway/rate=200", "gateway/rate_user=400")
    words = ("--pairs", "50", "--rate", "1000", "--chats", "20000")
    try:
        bench(server, *words)    # So that all is warm
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        pairs = [(bench(server, *words), asyncio.run(beside_hostile(server, words))) for _ in range(options.rounds)]
        alone, beside = (sorted(column)[len(column) // 2] for column in zip(*pairs))
        print(f"   p99 of an answer at 1,000 chats/s: {alone:.2f} ms alone, {beside:.2f} ms beside 100 hostile ones ({pairs})")
        counted = server.counters()["gateway"]
        print(f"   {counted['connected']} connections, {counted['bad_frame']} bad frames, {counted['slow']} too slow, {counted['paused']} pauses")
        check(counted["connected"] > 1000 and counted["bad_frame"] > 100, f"not hostile: {counted}")
        check(beside <= max(3 * alone, FLOOR), "honest users wait more than three times as long")
        check(server.stop() == 0, "exit status")
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        server.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary", nargs="?", default="build/rookery")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--connections", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=3, help="of the second part")
    parser.add_argument("--only", choices=("many", "hostile"))
    options = parser.parse_args()
    sys.argv = [sys.argv[0], options.binary]
    failed = 0
    tests = [test for test in (many, hostile) if options.only in (None, test.__name__)]
    for test in tests:
        print(f" * {test.__name__}", flush=True)
        try:
            test(options)
        except Exception:    # noqa: the report is all we want
            failed += 1
            traceback.print_exc()
    print(f"{len(tests) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
