#!/usr/bin/python3
#  runs: asan
"""safe.py - who gets in: tokens and their keys, and what a connection without one can do"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time

import websockets

from rookery import PATIENCE, Client, Server, chat, check, live, run

SECRET = "0123456789abcdef0123456789abcdef"
BINARY = sys.argv[1] if len(sys.argv) > 1 else "build/rookery"


def mint(*words):
    return subprocess.run([BINARY, "token", *words], capture_output=True, text=True, check=True).stdout.strip()


async def expect_code(client, message, code):
    answer = await client.ask(message)
    check(answer["code"] == code, f"{message}: expected {code}, got {answer}")
    return answer


def tokens():
    server = Server("auth/mode=token", f"auth/secret={SECRET}", "auth/attempts=1000")

    async def test():
        client = await Client.open(server)
        token = mint("--uid", "ann", "-s", f"auth/secret={SECRET}")
        await expect_code(client, {"uid": "ann"}, "not-allowed")
        await expect_code(client, {"uid": "ann", "token": 5}, "not-allowed")
        await expect_code(client, {"uid": "bob", "token": token}, "not-allowed")
        await expect_code(client, {"uid": "ann", "token": token[:-2] + "xx"}, "not-allowed")
        await expect_code(client, {"uid": "ann", "token": "x.y.z"}, "not-allowed")
        await expect_code(client, {"uid": "ann", "token": "x" * 10000}, "not-allowed")
        _, body, _ = token.split(".")
        none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + body + "."    # {"alg":"none"}
        await expect_code(client, {"uid": "ann", "token": none}, "not-allowed")
        for message in (chat("ann", "bob", "1"), {"action": "powerOn", "IMEI": "1"}, {"action": "groups"},
                        {"action": "history", "conversation": "ann,bob"}):
            await expect_code(client, message, "not-bound")
        await expect_code(client, {"action": "heart"}, "ok")
        short = mint("--uid", "ann", "--ttl", "1", "-s", f"auth/secret={SECRET}")
        until = time.monotonic() + PATIENCE
        while "expired" not in (await client.ask({"uid": "ann", "token": short}))["message"]:
            check(time.monotonic() < until, "a token that never expires")
            client = await Client.open(server)
            await asyncio.sleep(0.1)
        await expect_code(client, {"uid": "ann", "token": token}, "ok")
        # Not somebody else from now on
        other = mint("--uid", "bob", "-s", f"auth/secret={SECRET}")
        await expect_code(client, {"uid": "bob", "token": other}, "bound")
        await expect_code(client, chat("bob", "ann", "1"), "not-you")
        with open(f"/proc/{server.process.pid}/cmdline", errors="replace") as words:
            check(SECRET not in words.read(), "the secret is in the list of processes")
        check(SECRET not in server.logged() and token not in server.logged(), "a secret is in the log")
    live(server, test)


def attempts():
    """A connection that is refused too often, or never binds, is closed; who is bound stays."""
    server = Server("auth/mode=token", f"auth/secret={SECRET}", "auth/attempts=3", "auth/bind=1")

    async def test():
        bound = await Client.open(server)
        await expect_code(bound, {"uid": "ann", "token": mint("-u", "ann", "-s", f"auth/secret={SECRET}")}, "ok")
        client = await Client.open(server)
        for _ in range(3):
            await expect_code(client, {"uid": "ann", "token": "x"}, "not-allowed")
        await client.closed("1000", "closed by the server")
        late = await Client.open(server)
        await late.closed("1008", "not bound in time")
        await expect_code(bound, {"action": "heart"}, "ok")
        check(server.counters()["gateway"]["unbound"] == 1, "not counted")
    live(server, test)


def rotation():
    """Keys of two kinds in a folder; a new one is known after a reload, an old one no longer."""
    folder = tempfile.mkdtemp(prefix="rookery-keys-")
    known, own = f"{folder}/known", f"{folder}/own"
    os.mkdir(known), os.mkdir(own)

    def make(name):
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{own}/{name}.pem"], check=True)
        subprocess.run(["openssl", "pkey", "-in", f"{own}/{name}.pem", "-pubout", "-out", f"{known}/{name}.pem"], check=True,
                       stderr=subprocess.DEVNULL)
    with open(f"{known}/shared.secret", "w") as file:
        file.write(SECRET + "\n")
    make("2025")
    server = Server("auth/mode=token", f"auth/keys={known}", "auth/attempts=100")

    async def says(path, code, words=""):
        client = await Client.open(server)
        answer = await expect_code(client, {"uid": "ann", "token": mint("-u", "ann", "--key", path)}, code)
        check(words in answer["message"], answer)

    async def test():
        await says(f"{known}/shared.secret", "ok")
        await says(f"{own}/2025.pem", "ok")
        make("2026")
        await says(f"{own}/2026.pem", "not-allowed", "isn't known")
        server.ctl("reload")
        await says(f"{own}/2026.pem", "ok")
        os.unlink(f"{known}/2025.pem")
        server.ctl("reload")
        await says(f"{own}/2025.pem", "not-allowed", "isn't known")
        # A folder that can't be read as it is changes nothing
        with open(f"{known}/broken.pem", "w") as file:
            file.write("nothing")
        check("broken.pem" in server.ctl("reload", good=False), "the file is not named")
        await says(f"{own}/2026.pem", "ok")
    live(server, test)
    subprocess.run(["rm", "-r", folder], check=True)



def failures():
    """An address that fails to bind again and again gets no new connections for a while, and few lines in the log."""
    server = Server("auth/mode=token", f"auth/secret={SECRET}", "auth/attempts=2", "gateway/failures=10")

    async def test():
        refused, until = False, time.monotonic() + PATIENCE
        for _ in range(200):
            check(time.monotonic() < until, "it takes for ever")
            try:
                client = await Client.open(server)
            except (OSError, websockets.exceptions.WebSocketException):
                refused = True
                break
            await client.send({"uid": "ann", "token": "guess"})
            await client.send({"uid": "ann", "token": "guess"})
            await client.closed("1000")
        check(refused, "it may go on for ever")
        check("too many of its address were closed before they were bound" in server.logged(), "not logged")
        check(server.logged().count("is refused: this is no token") <= 2 * 30, "a line for each")
    live(server, test)


if __name__ == "__main__":
    run(tokens, attempts, rotation, failures)
