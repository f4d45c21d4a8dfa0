#!/usr/bin/python3
"""crowd.py - 50,000 idle connections over three gateways and three app servers: what each takes, what a chat costs beside them, and what
the death of an app server costs. The last part of script/bench --cluster; no test. CROWD says how many connections."""

import contextlib
import os
import re
import resource
import signal
import subprocess
import time

from several import TICK, Cluster, cpu_of, load, sum_of    # noqa: it sets the store
from rookery import check, memory_of    # noqa

CROWD, GATEWAYS = int(os.environ.get("CROWD", "50000")), 3
LOAD = ("--chats=20000", "--pairs=50", "--rate=2000")
ROUNDS = 2


def kernel_memory():
    """KB of the kernel's own: most of it is of sockets"""
    with open("/proc/meminfo") as file:
        return int(re.search(r"Slab:\s+(\d+)", file.read())[1])


def until_all(cluster, count):
    """The app servers have so many connections."""
    end = time.monotonic() + 300
    while sum(found := [app.counters()["sender"]["connections"] for app in cluster.apps]) < count:
        check(time.monotonic() < end, f"{found} of {count}")
        time.sleep(0.2)


@contextlib.contextmanager
def idle(cluster):
    """They are there, and say nothing."""
    holders = [subprocess.Popen([gateway.binary, "bench", "--url", gateway.url, "--idle", str(CROWD // GATEWAYS), "--hold", "100000",
                                 "--seconds", "100000"], stdout=subprocess.PIPE, text=True) for gateway in cluster.gateways]
    try:
        for holder in holders:
            check("idle connections" in holder.stdout.readline(), "they don't come")
        yield
    finally:
        for holder in holders:
            holder.terminate()
        for holder in holders:
            holder.wait()
            holder.stdout.close()


def chats(cluster, title):
    lines, usec, _ = load(cluster, LOAD)
    print(f"   {title}: {usec:.0f} usec a chat; {'; '.join(line.strip() for line in lines)}", flush=True)


def rest(cluster, seconds=20):
    """Processor time that all of Rookery takes while nobody says anything"""
    before, began = sum_of(cluster, cpu_of), time.monotonic()
    time.sleep(seconds)
    return (sum_of(cluster, cpu_of) - before) / (time.monotonic() - began)


def one_dies(cluster, count):
    """The others have all its connections: after how long, and for how much processor time of all together"""
    victim = cluster.apps.pop()
    before, began = sum_of(cluster, cpu_of), time.monotonic()
    victim.stop(signal.SIGKILL)
    until_all(cluster, count)
    took = time.monotonic() - began
    print(f"   an app server is killed: {took:.1f} s until the other two have its connections, {sum_of(cluster, cpu_of) - before:.1f} s of processor "
          "time", flush=True)
    cluster.apps.append(victim)


async def measure(cluster):
    count = CROWD // GATEWAYS * GATEWAYS
    for _ in range(ROUNDS):
        chats(cluster, "100 connections")
        memory, kernel = [sum(map(memory_of, part)) for part in (cluster.gateways, cluster.apps)], kernel_memory()
        before, began = sum_of(cluster, cpu_of), time.monotonic()
        with idle(cluster):
            until_all(cluster, count)
            print(f"   {count} connections, bound within {time.monotonic() - began:.0f} s, {(sum_of(cluster, cpu_of) - before) / count * 1e6:.0f} usec each; "
                  + ", ".join(f"{(sum(map(memory_of, part)) - was) / count:.1f} KB each in {name}"
                              for name, part, was in zip(("gateways", "app servers"), (cluster.gateways, cluster.apps), memory))
                  + f", {(kernel_memory() - kernel) / 2 / count:.1f} in the kernel, of one end", flush=True)
            print(f"   at rest they take {rest(cluster) * 100:.1f} % of a core in all", flush=True)
            chats(cluster, f"{count + 100} connections")
    with idle(cluster):
        until_all(cluster, count)
        one_dies(cluster, count)


def main():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    check(most > CROWD // GATEWAYS + 1000, f"ulimit -n is {most}: CROWD={(most - 1000) * GATEWAYS} is what it allows")
    print(f"== {CROWD} idle connections, {TICK} ticks a second", flush=True)
    limits = ("gateway/address=1000000", f"gateway/connections={most - 1000}")
    Cluster(3, GATEWAYS, redis=True, gateway_settings=limits).live(measure)


if __name__ == "__main__":
    main()
