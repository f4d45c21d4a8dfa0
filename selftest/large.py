#!/usr/bin/python3
"""large.py - what a chat costs beside many idle connections, many groups and a long history, against a server that is empty

The part of script/bench --large; no test. LARGE_IDLE, LARGE_GROUPS and LARGE_MESSAGES say how many; 18000, 10000, 10000000."""

import contextlib
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "e2e"))
from rookery import Server, check

IDLE, GROUPS, MESSAGES = (int(os.environ.get(f"LARGE_{name}", most)) for name, most in
                          (("IDLE", 18_000), ("GROUPS", 10_000), ("MESSAGES", 10_000_000)))
CHATS = os.environ.get("CHATS", "200000")
LIMITS = ("gateway/address=1000000", "gateway/connections=18900", "console/enabled=0", "receiver/upstream=none", "sender/downstream=none")
LOADS = (("window 16", ("--window", "16", "--chats", CHATS)),
         ("2000 chats/s", ("--rate", "2000", "--chats", str(int(CHATS) // 10))))


def bench(server, *words):
    return subprocess.run([server.binary, "bench", "--url", server.url, "--pid", str(server.process.pid), *words],
                          capture_output=True, text=True, check=True).stdout


@contextlib.contextmanager
def idle(server, count):
    """So many connections that only are there."""
    holder = subprocess.Popen([server.binary, "bench", "--url", server.url, "--pid", str(server.process.pid), "--idle", str(count),
                               "--hold", "100000", "--seconds", "100000"], stdout=subprocess.PIPE, text=True)
    said = holder.stdout.readline()
    check("idle connections" in said, "they don't come")
    print(f"   {said.strip()}", flush=True)
    try:
        yield
    finally:
        holder.terminate()
        holder.wait()
        holder.stdout.close()


def measure(title, server):
    for name, words in LOADS:
        said = bench(server, *words)
        cost, p99 = re.search(r"server CPU: ([\d.]+) us", said)[1], re.search(r"delivery: .* p99 ([\d.]+) ms", said)[1]
        print(f"   {title}, {name}: {cost} us a chat, p99 {p99} ms", flush=True)


def fill(path):
    """Groups of ten, and messages, a thousand to a conversation, by users that nobody is now."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        db.executemany("INSERT INTO member VALUES (?, ?, 0, 0)", ((f"old{nbr % 977}.{place}", f"group{nbr}")
                                                                 for nbr in range(GROUPS) for place in range(10)))
        body = '{"action":"chat","content":{"fromAccountID":"old1","toAccountID":"old2","text":"hello"}}'
        db.executemany("INSERT INTO message VALUES (?, ?, 'old1', ?, 'old2', '', 1700000000000, ?, NULL)",
                       ((f"old{nbr // 1000:08d}", nbr % 1000 + 1, f"{nbr:09d}", body) for nbr in range(MESSAGES)))
        db.execute("COMMIT")
    os.sync()    # Else the server's first syncs write what was made here


def main():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for durability in ("relayed", "stored"):
        print(f"== {durability}", flush=True)
        folder = tempfile.mkdtemp(prefix="rookery-large-")
        try:
            server = Server(*LIMITS, f"chat/durability={durability}", folder=folder)
            measure("empty", server)
            with idle(server, min(IDLE, most - 1200)):
                measure("beside them", server)
            server.stop(signal.SIGKILL)
            server.start()
            print("   killed, and all come back:", flush=True)
            with idle(server, min(IDLE, most - 1200)):
                pass
            server.stop()
            if durability == "stored":
                fill(f"{folder}/chat.db")
                server = Server(*LIMITS, "chat/durability=stored", folder=folder)
                measure(f"{MESSAGES} messages, {GROUPS} groups", server)
                server.stop()
        finally:
            server.remove()
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
