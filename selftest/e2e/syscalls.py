#!/usr/bin/python3
#  runs: plain
"""syscalls.py - what a relayed chat costs in system calls at a low rate, when hardly anything comes together

The count is nearly the same on any machine; a slower one has fewer. It was 156 before actors waited with one poll
(base/wait.h), and is 49 now."""

import re
import subprocess
import tempfile

from rookery import PATIENCE, Server, check, run, served

MOST = 60
RATE = 300


def count_calls(server, chats):
    """All system calls of the server while a load generator connects, and its users say so many chats."""
    with tempfile.NamedTemporaryFile("r") as table:
        strace = subprocess.Popen(["strace", "-f", "-c", "-S", "calls", "-p", str(server.process.pid), "-o", table.name],
                                  stderr=subprocess.PIPE, text=True)
        try:
            line = strace.stderr.readline()
            check("attached" in line, f"strace: {line}")
            done = subprocess.run([server.binary, "bench", "--url", server.url, "--rate", str(RATE), "--chats", str(chats)],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, check=False)
            check(done.returncode == 0, done.stdout)
        finally:
            strace.terminate()
            strace.stderr.read()
            strace.wait(PATIENCE)
        total = re.search(r"(\d+)\s+(?:\d+\s+)?total$", table.read(), re.MULTILINE)
        check(total, "strace has counted nothing")
        return int(total[1])


def relayed():
    server = Server("chat/durability=relayed", "console/enabled=0", "gateway/address=100000")
    with served(server):
        few, many = 300, 1500
        each = (count_calls(server, many) - count_calls(server, few)) / (many - few)
        print(f"   {each:.1f} system calls for each chat")
        check(10 < each <= MOST, f"{each:.1f} system calls for a chat instead of {MOST} at the most")


if __name__ == "__main__":
    run(relayed)
