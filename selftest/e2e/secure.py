#!/usr/bin/python3
#  runs: asan
"""secure.py - wires that others may reach: TLS, pages of other sites, CURVE between processes, the control endpoint, the log"""

import asyncio
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time

import websockets
import zmq
import zmq.auth

from rookery import PATIENCE, Client, Server, chat, check, live, run
from services import certificates
from split import start_app, start_gateway

BINARY = sys.argv[1] if len(sys.argv) > 1 else "build/rookery"


class Folder:
    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="rookery-secure-")

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


def make_tls(folder, serial):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    f"{folder}/key.pem", "-out", f"{folder}/cert.pem", "-days", "2", "-subj", "/CN=localhost", "-set_serial",
                    str(serial), "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)


def trusting(folder, newest=ssl.TLSVersion.TLSv1_3):
    context = ssl.create_default_context(cafile=f"{folder}/cert.pem")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
    return context


async def refused(server, **more):
    try:
        await Client.open(server, **more)
    except (OSError, websockets.WebSocketException, EOFError) as error:
        return error
    raise AssertionError(f"a connection with {more} is taken")


def tls():
    folder = Folder()
    make_tls(folder.path, 1)
    server = Server(f"gateway/certificate={folder.path}/cert.pem", f"gateway/key={folder.path}/key.pem")

    async def open_tls(uid):
        client = await Client.open(server, uid, ssl=trusting(folder.path))
        return client, client.socket.transport.get_extra_info("ssl_object")

    async def test():
        check(server.url.startswith("wss://"), server.url)
        ann, session = await open_tls("ann")
        check(session.version() == "TLSv1.3", session.version())
        await refused(server, ssl=trusting(folder.path, ssl.TLSVersion.TLSv1_1))
        await refused(server, ssl=ssl.create_default_context())    # Which doesn't trust it
        with socket_to(server) as plain:
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
            try:
                check(b"200 OK" not in plain.recv(1000), "the page without TLS")
            except ConnectionResetError:
                pass
        # A new certificate after a reload; a broken one changes nothing; connections stay all the while
        before = session.getpeercert()["serialNumber"]
        make_tls(folder.path, 2)
        server.ctl("reload")
        bob, session = await open_tls("bob")
        check((before, session.getpeercert()["serialNumber"]) == ("01", "02"), "the certificate is the old one")
        os.rename(f"{folder.path}/key.pem", f"{folder.path}/good")
        with open(f"{folder.path}/key.pem", "w") as file:
            file.write("nothing")
        check("key.pem" in server.ctl("reload", good=False), "the file is not named")
        os.rename(f"{folder.path}/good", f"{folder.path}/key.pem")
        eve, _ = await open_tls("eve")
        for sender in (ann, eve):
            check((await sender.ask(chat("ann" if sender is ann else "eve", "bob", "1")))["code"] == "ok", "chat")
            check((await bob.receive())["content"]["chatID"] == "1", "delivery")
        # As large as a message may be, through TLS
        check((await ann.ask(chat("ann", "bob", "2", text="x" * 500_000)))["code"] == "ok", "a large chat")
        check(len((await bob.receive())["content"]["text"]) == 500_000, "a large delivery")
        # The terminal client
        done = subprocess.run([BINARY, "chat", "--as", "joe", "--url", server.url], input='{"action":"heart"}\n', text=True,
                              capture_output=True, timeout=PATIENCE, env={**os.environ, "SSL_CERT_FILE": f"{folder.path}/cert.pem"})
        check('"heartRsp"' in done.stdout, done)
    live(server, test, folder)


def socket_to(server):
    import socket
    host, port = server.url.split("/")[2].split(":")
    return socket.create_connection((host, int(port)), 20)


def origins():
    server = Server("gateway/origins=https://app.example, https://other.example")

    async def test():
        own = server.url.replace("ws://", "http://").replace("/ws", "")
        for good in (None, own, "https://app.example", "https://other.example"):
            await Client.open(server, "ann", origin=good)
        for bad in ("https://evil.example", "https://app.example.evil.example", "null", "http://app.example"):
            await refused(server, origin=bad)
        check(server.counters()["gateway"]["foreign"] == 4, "not counted")
        check("gateway/origins" in server.logged(), "not logged")
    live(server, test)


def curve():
    """Gateway and app server over CURVE: who isn't known, or has no certificate, gets nothing through."""
    folder = Folder()
    certificates(BINARY, folder.path, ("app", "one", "two"), ("one",))
    check(os.stat(f"{folder.path}/app_secret").st_mode & 0o077 == 0, "others may read the secret")
    again = subprocess.run([BINARY, "cert", f"{folder.path}/app"], capture_output=True, text=True)
    check(again.returncode == 1 and "is there already" in again.stderr, again)
    app = start_app(f"curve/certificate={folder.path}/app", f"curve/known={folder.path}/known")
    servers = [app]

    def gateway(name, *settings):
        servers.append(start_gateway(app, name, *settings))
        return servers[-1]

    async def test():
        good = gateway("one", f"curve/certificate={folder.path}/one", f"gateway/app/far/certificate={folder.path}/app")
        ann = await Client.open(good, "ann")
        check((await ann.ask(chat("ann", "bob", "1")))["code"] == "ok", "chat")
        unknown = gateway("two", f"curve/certificate={folder.path}/two", f"gateway/app/far/certificate={folder.path}/app")
        plain = gateway("three")
        for server in (unknown, plain):
            client = await Client.open(server)
            await client.send({"uid": "bob"})
            try:
                answer = await asyncio.wait_for(client.socket.recv(), 1.5)
                raise AssertionError(f"answered: {answer}")
            except asyncio.TimeoutError:
                pass
            client.socket.transport.abort()    # It is not read, so it would wait for its close
        with open(f"{folder.path}/two") as file:
            key = next(line.split('"')[1] for line in file if "public-key" in line)
        check(f"with the key {key} may not connect" in app.logged(), "the key is not named")
        check(app.counters()["keyring"]["refused"] >= 1, "not counted")
        # Once its certificate is there, a reload lets it in; who is out again can't come back
        shutil.copy(f"{folder.path}/two", f"{folder.path}/known/two")
        app.ctl("reload")
        bob = await Client.open(unknown, "bob")
        check((await bob.receive())["content"]["chatID"] == "1", "delivery over the second gateway")
        with open(f"{folder.path}/known/broken", "w") as file:
            file.write("x")
        check("broken is not a certificate" in app.ctl("reload", good=False), "the file is not named")
        os.unlink(f"{folder.path}/known/broken")
        os.unlink(f"{folder.path}/known/one")
        app.ctl("reload")
        good.stop()
        good.start()
        client = await Client.open(good)
        await client.send({"uid": "ann"})
        try:
            raise AssertionError(f"answered: {await asyncio.wait_for(client.socket.recv(), 1.5)}")
        except asyncio.TimeoutError:
            pass
    try:
        live(app, test)
    finally:
        if sys.exc_info()[0]:
            print("".join(server.logged()[-1500:] for server in servers[1:]))
        for server in servers:
            server.remove()
        folder.remove()


def curve_link():
    """A service with a certificate: the link to it is CURVE, and to an impostor nothing is said."""
    folder = Folder()
    certificates(BINARY, folder.path, ("own", "service"), ())
    context = zmq.Context()
    service = context.socket(zmq.PULL)
    service.curve_publickey, service.curve_secretkey = zmq.auth.load_certificate(f"{folder.path}/service_secret")
    service.curve_server = True
    service.rcvtimeo = 20000
    port = service.bind_to_random_port("tcp://127.0.0.1")
    server = Server(f"curve/certificate={folder.path}/own", f"curve/known={folder.path}/known", "receiver/upstream=none",
                    "sender/downstream=none", f"link/damR/endpoint=tcp://127.0.0.1:{port}",
                    f"link/damR/certificate={folder.path}/service")

    async def test():
        ann = await Client.open(server)
        check((await ann.ask({"action": "powerOn", "IMEI": "1"}))["code"] == "ok", "powerOn")
        check(service.recv_multipart()[0] == b'{"powerOn":["1"]}', "nothing came")
    try:
        live(server, test, folder)
    finally:
        context.destroy(linger=0)


def control():
    """Nobody else on the machine can ask the server anything."""
    server = Server()
    os.chmod(server.folder, 0o755)

    async def test():
        check("up" in server.ctl("status"), "status")
        mode = os.stat(f"{server.folder}/control").st_mode & 0o777
        check(mode & 0o077 == 0, f"others may open the control endpoint: {mode:o}")
        if os.getuid() == 0:
            binary = shutil.copy(BINARY, f"{server.folder}/rookery")
            done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary, "ctl", "-e",
                                   f"ipc://{server.folder}/control", "stop"], capture_output=True, text=True, timeout=PATIENCE)
            check(done.returncode != 0 and server.process.poll() is None, done)
    live(server, test)


def logs():
    """What clients say can't break a line of the log in two, or colour it."""
    server = Server("log/level=debug")

    async def test():
        client = await Client.open(server)
        await client.ask({"action": "nothing\n2026-01-01T00:00:00.000Z E forged: line\x1b[31m"})
        await client.ask({"uid": "ann"})
        await client.ask(chat("ann", "bob", "1", text="\x1b[31m\nforged\n"))
        await client.ask({"action": "heart", "requestID": "\nforged\r"})
        until = time.monotonic() + PATIENCE
        while "heart" not in server.logged() and time.monotonic() < until:
            await asyncio.sleep(0.05)
        check(not any(line.startswith(("forged", "2026-01-01")) for line in server.logged().split("\n")), "a forged line")
        check("\x1b" not in server.logged(), "an escape")
    live(server, test)


if __name__ == "__main__":
    run(tls, origins, curve, curve_link, control, logs)
