#!/usr/bin/python3
"""several.py - what a chat costs with one, two and three app servers behind one gateway, and what a hot group gets done: for
script/bench --cluster. All run on this machine, MariaDB and the load generator too, so more app servers don't make it faster here: what
counts is the processor time that Rookery's processes take for a chat, and that of the busiest app server, which says what it would get done on
a machine of its own."""

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
LOADS = {"pairs, 2,000 chats/s": ("--chats=20000", "--pairs=50", "--rate=2000"),
         "pairs, window 16": ("--chats=100000", "--pairs=50", "--window=16"),
         "group of 20, window 4": ("--chats=10000", "--group=20", "--window=4")}


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


async def measure(cluster):
    for title, words in LOADS.items():
        lines, usec, busiest = load(cluster, words)
        print(f"{len(cluster.apps)} app servers, {title}: {usec:.0f} usec a chat, {busiest:.0f} of the busiest app server; "
              f"{'; '.join(line.strip() for line in lines)}", flush=True)


def main():
    for _ in range(ROUNDS):    # By turns, for the machine isn't quiet
        for count in (1, 2, 3):
            Cluster(count, 1, redis=True, settings=("console/enabled=0",)).live(measure)


if __name__ == "__main__":
    main()
