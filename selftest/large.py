#!/usr/bin/python3
"""large.py - what a chat costs beside many idle connections, many groups and a long history, against a server that is empty

The part of script/bench --large; no test. LARGE_IDLE, LARGE_GROUPS and LARGE_MESSAGES say how many; 18000, 10000, 10000000."""

import asyncio
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
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "e2e"))
from rookery import Client, Server, check

IDLE, GROUPS, MESSAGES = (int(os.environ.get(f"LARGE_{name}", most)) for name, most in
                          (("IDLE", 18_000), ("GROUPS", 10_000), ("MESSAGES", 10_000_000)))
LISTED = 1000    # Conversations of one user
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
        db.executemany("INSERT INTO member (uid, conversation, direct, since) VALUES (?, ?, 0, 0)", ((f"old{nbr % 977}.{place}", f"group{nbr}")
                                                                 for nbr in range(GROUPS) for place in range(10)))
        db.executemany("INSERT INTO member (uid, conversation, direct, since, read_seq) VALUES (?, ?, 1, 0, ?)",
                       ((uid, f"old{nbr:08d}", 0 if nbr % 10 == 0 else 1000) for nbr in range(LISTED) for uid in ("old1", f"with{nbr}")))
        body = '{"action":"chat","content":{"fromAccountID":"old1","toAccountID":"old2","text":"hello"}}'
        db.executemany("INSERT INTO message (conversation, seq, sender, chat_id, recipient, device, at, body, attachment) "
                       "VALUES (?, ?, 'old2', ?, 'old1', '', 1700000000000, ?, NULL)",
                       ((f"old{nbr // 1000:08d}", nbr % 1000 + 1, f"{nbr:09d}", body) for nbr in range(MESSAGES)))
        db.execute("COMMIT")
    os.sync()    # Else the server's first syncs write what was made here


async def ask_list(server):
    """msec that the first page of a user's list takes, of 1,000 conversations of which every tenth has a thousand unread messages."""
    client = await Client.open(server, "old1", "phone")
    await asyncio.sleep(1)    # What the device has missed begins to come
    took = []
    for _ in range(100):
        began = time.monotonic()
        await client.send({"action": "conversations", "limit": 50, "requestID": "list"})
        while (got := await client.receive()).get("requestID") != "list":
            pass
        check(len(got["conversations"]) == 50 and got["conversations"][0]["unread"] == 100, got)
        took.append((time.monotonic() - began) * 1000)
    await client.close()
    took.sort()
    print(f"   the list of {LISTED} conversations, a page of 50: p50 {took[50]:.2f} ms, p99 {took[98]:.2f} ms", flush=True)


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
                asyncio.run(ask_list(server))
                server.stop()
        finally:
            server.remove()
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
