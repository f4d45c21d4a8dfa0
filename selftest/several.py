#!/usr/bin/python3
"""several.py - what a chat costs with one, two and three app servers behind one gateway, and what a hot group gets done: for
script/bench --cluster. All run on this machine, MariaDB and the load generator too, so more app servers don't make it faster here: what
counts is the processor time that Rookery's processes take for a chat, and that of the busiest app server. Then each app server gets a fifth of a
core and no more (cgroups(7)), as if it had a machine of its own, and all others what they need: so it shows what more of them get done."""

import contextlib
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
if os.environ.get("ROOKERY_STORE") != "shards":
    os.environ["ROOKERY_STORE"] = "mysql"
from cluster import Cluster    # noqa: it asks for the store when it is loaded
from rookery import check    # noqa

ROUNDS, TICK = 3, os.sysconf("SC_CLK_TCK")
EACH = 667    # chats/s of each app server, by which they have the same work, however many they are
LOADS = {"pairs, 2,000 chats/s": ("--chats=20000", "--pairs=50", "--rate=2000"),
         "pairs, window 16": ("--chats=100000", "--pairs=50", "--window=16"),
         "group of 20, window 4": ("--chats=10000", "--group=20", "--window=4")}
HELD = {"pairs, window 16": ("--chats=40000", "--pairs=50", "--window=16"), "group of 20, window 32": ("--chats=30000", "--group=20", "--window=32")}
SHARE, PERIOD = 0.2, 5000    # of a core, of so many usec at a time


def cpu_of(server):
    """seconds of processor time of its process"""
    with open(f"/proc/{server.process.pid}/stat") as file:
        user, system = file.read().rsplit(") ", 1)[1].split()[11:13]
    return (int(user) + int(system)) / TICK


def sum_of(cluster, what):
    return sum(map(what, (*cluster.gateways, *cluster.apps)))


def load(cluster, words):
    """Runs the load; returns the lines that tell of it, and usec of the processes for each chat: of all, and of the busiest app server."""
    before, apps = sum_of(cluster, cpu_of), list(map(cpu_of, cluster.apps))
    done = subprocess.run([cluster.gateway.binary, "bench", "--url", cluster.gateway.url, "--seconds=200", *words], capture_output=True, text=True)
    used = sum_of(cluster, cpu_of) - before
    busiest = max(cpu_of(app) - was for app, was in zip(cluster.apps, apps))
    found = re.search(r"([\d,]+) chats in ([\d.]+) s", done.stdout) or re.search(r"([\d,]+) chats/s", done.stdout)
    check(done.returncode == 0 and found, f"{done.stdout}{done.stderr}")
    chats = int(re.search(r"--chats=(\d+)", " ".join(words)).group(1))
    return done.stdout.strip().splitlines(), used / chats * 1e6, busiest / chats * 1e6


def report(cluster, title, words):
    lines, usec, busiest = load(cluster, words)
    print(f"{len(cluster.apps)} app servers, {title}: {usec:.0f} usec a chat, {busiest:.0f} of the busiest app server; "
          f"{'; '.join(line.strip() for line in lines)}", flush=True)


@contextlib.contextmanager
def held(server):
    """Within it the process has its share of a core and no more. A group of version 1 or 2."""
    older = "/sys/fs/cgroup/cpu"
    folder = f"{older if os.path.isdir(older) else '/sys/fs/cgroup'}/rookery-{server.process.pid}"
    quota = round(SHARE * PERIOD)
    limits = {"cpu.cfs_period_us": PERIOD, "cpu.cfs_quota_us": quota} if os.path.isdir(older) else {"cpu.max": f"{quota} {PERIOD}"}
    os.mkdir(folder)
    try:
        for file, value in {**limits, "cgroup.procs": server.process.pid}.items():
            put(f"{folder}/{file}", value)
        yield
    finally:
        with contextlib.suppress(OSError):    # A group must be empty to go
            put(f"{os.path.dirname(folder)}/cgroup.procs", server.process.pid)
        os.rmdir(folder)


def put(path, value):
    with open(path, "w") as file:
        file.write(str(value))


async def measure(cluster):
    rate = EACH * len(cluster.apps)
    report(cluster, f"pairs, {EACH} chats/s of each app server", (f"--chats={rate * 10}", "--pairs=50", f"--rate={rate}"))
    for title, words in LOADS.items():
        report(cluster, title, words)
    with contextlib.ExitStack() as stack:
        try:
            for app in cluster.apps:
                stack.enter_context(held(app))
        except OSError as error:
            print(f"app servers can't be held to a part of a core here: {error}", flush=True)
            return
        for title, words in HELD.items():
            report(cluster, f"{SHARE:.0%} of a core each, {title}", words)


def main():
    for _ in range(ROUNDS):    # By turns, for the machine isn't quiet
        for count in (1, 2, 3):
            Cluster(count, 1, redis=True, settings=("console/enabled=0",)).live(measure)


if __name__ == "__main__":
    main()
