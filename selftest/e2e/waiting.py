#!/usr/bin/python3
#  runs: plain, waits
"""waiting.py - 10,000 coroutines wait in one worker: what each takes, and that others don't notice"""

import time

from rookery import PATIENCE, Client, Server, check, live, run

COUNT, CLIENTS = 10000, 200


def server_memory(server):
    with open(f"/proc/{server.process.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


async def echoes(client, count):
    """Milliseconds of the slowest of count echoes but the worst hundredth."""
    times = []
    for _ in range(count):
        before = time.monotonic()
        check((await client.ask({"action": "nap", "msec": 0}))["code"] == "ok", "echo")
        times.append((time.monotonic() - before) * 1000)
    return sorted(times)[int(count * 0.99) - 1]


def many_wait():
    server = Server("lua/app=selftest/e2e/handlers", "chat/durability=relayed", "worker/count=1", f"worker/waiting={COUNT * 2}",
                    "worker/queue=20000", "redis/main/port=1", "link/push/endpoint=tcp://127.0.0.1:1")

    async def test():
        clients = [await Client.open(server) for _ in range(CLIENTS)]
        quiet = await Client.open(server)
        alone = await echoes(quiet, 300)
        lua, process = server.counters()["worker-1"]["lua_bytes"], server_memory(server)
        for client in clients:
            for _ in range(COUNT // CLIENTS):
                await client.send('{"action":"nap","msec":30000}')
        counters = server.counters()["worker-1"]
        until = time.monotonic() + PATIENCE
        while counters["waiting"] < COUNT:
            check(time.monotonic() < until, counters)
            counters = server.counters()["worker-1"]
        each = (counters["lua_bytes"] - lua) / COUNT
        whole = (server_memory(server) - process) / COUNT
        beside = await echoes(quiet, 300)
        for client in clients:
            for _ in range(COUNT // CLIENTS):
                check((await client.receive())["code"] == "ok", "nap")
        print(f"   {COUNT} waiting: {each:.0f} bytes of Lua each, {whole:.0f} of the process; "
              f"an echo's p99 {alone:.1f} ms alone, {beside:.1f} ms beside them")
        check(each <= 2500, f"{each} bytes each")
    live(server, test, seconds=PATIENCE)


if __name__ == "__main__":
    run(many_wait)
