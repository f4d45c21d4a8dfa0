#!/usr/bin/python3
#  runs: plain asan
"""web.py - HTTP and WebSocket as RFC 9112 and RFC 6455 have them, by hand: what is refused, with which status or code, and what
isn't; each case on a connection of its own, after which the server serves others as before"""

import base64
import hashlib
import os
import socket
import ssl
import struct
import subprocess
import tempfile

from rookery import PATIENCE, Server, check, run, served

KEY = base64.b64encode(bytes(range(16))).decode()
ACCEPT = base64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
HI = b'{"action":"heart"}'


class Peer:
    """A connection; bytes go out as they are."""

    def __init__(self, server, wrap=None):
        self.host, self.port = server.url.split("//")[1].split("/")[0].split(":")
        self.socket = socket.create_connection((self.host, int(self.port)), PATIENCE)
        if wrap:
            self.socket = wrap(self.socket)
        self.data = b""

    def say(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass    # It is closed already: that is what the case looks at

    def more(self):
        try:
            piece = self.socket.recv(65536)
        except OSError:
            piece = b""
        self.data += piece
        return bool(piece)

    def rest(self):
        """All until the server closes."""
        while self.more():
            pass
        return self.data

    def head(self):
        """Status and fields of the next answer, its body follows in data."""
        while b"\r\n\r\n" not in self.data:
            if not self.more():
                return 0, {}
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        return int(lines[0].split(" ")[1]), {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}

    def body(self, fields):
        size = int(fields.get("content-length", 0))
        while len(self.data) < size and self.more():
            pass
        body, self.data = self.data[:size], self.data[size:]
        return body

    def frame(self):
        """The next frame: opcode, payload; None when the server has closed."""
        def take(size):
            while len(self.data) < size:
                if not self.more():
                    return None
            piece, self.data = self.data[:size], self.data[size:]
            return piece
        head = take(2)
        if not head:
            return None
        check(not head[1] & 0x80 and not head[0] & 0x70, "the server masks, or sets reserved bits")
        size = head[1]
        if size > 125:
            size = int.from_bytes(take(2 if size == 126 else 8), "big")
        return head[0] & 0x0f, take(size)

    def close(self):
        self.socket.close()


def handshake(path="/ws", method="GET", version="HTTP/1.1", **fields):
    """A handshake with these fields over the usual ones; None leaves one out."""
    usual = {"Host": "127.0.0.1", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13"}
    usual.update({name.replace("_", "-"): value for name, value in fields.items()})
    lines = [f"{method} {path} {version}"] + [f"{name}: {value}" for name, value in usual.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def frame(opcode, payload=b"", final=True, mask=b"\1\2\3\4", form=None, reserved=0):
    """A frame of a client; form is how many bytes the length takes beyond the first: 0, 2 or 8."""
    size = len(payload)
    form = form if form is not None else 0 if size < 126 else 2 if size < 65536 else 8
    length = bytes([size]) if form == 0 else bytes([126]) + struct.pack(">H", size) if form == 2 else bytes([127]) + struct.pack(">Q", size)
    head = bytes([(0x80 if final else 0) | reserved | opcode, length[0] | (0x80 if mask else 0)]) + length[1:]
    if not mask:
        return head + payload
    return head + mask + bytes(byte ^ mask[nbr % 4] for nbr, byte in enumerate(payload))


def alive(server):
    peer = opened(server)
    peer.say(frame(1, HI))
    check(b"heartRsp" in peer.frame()[1], "the server doesn't serve others any more")
    peer.close()


def opened(server, **fields):
    peer = Peer(server)
    peer.say(handshake(**fields))
    check(peer.head()[0] == 101, "handshake")
    return peer


def on_server(*settings):
    def wrap(test):
        def wrapped():
            with served(Server("gateway/failures=0", "gateway/hosts=chat.example", "gateway/origins=https://app.example", *settings)) as server:
                test(server)
                alive(server)
        wrapped.__name__ = test.__name__
        return wrapped
    return wrap


@on_server()
def handshakes(server):
    own = server.url.split("//")[1].split("/")[0]
    port = own.split(":")[1]
    cases = [
        (101, {}), (101, {"Upgrade": "WebSocket"}), (101, {"Connection": "keep-alive, Upgrade"}), (101, {"Connection": "UPGRADE"}),
        (101, {"Sec_WebSocket_Extensions": "permessage-deflate"}),
        (101, {"Host": own, "Origin": f"http://{own}"}), (101, {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"}),
        (101, {"Host": f"LocalHost:{port}", "Origin": f"http://localhost:{port}"}),
        (101, {"Host": "chat.example", "Origin": "http://chat.example"}), (101, {"Host": "chat.example:80", "Origin": "http://chat.example"}),
        (101, {"Host": "chat.example:443", "Origin": "https://chat.example"}), (101, {"Host": "any.example", "Origin": "https://app.example"}),
        (101, {"Host": "x"}), (101, {"Cookie": "c" * 1000}), (101, {"Cookie": "c" * 8000}), (101, {"Cookie": "c" * 16384}),
        (431, {"Cookie": "c" * 40000}), (431, {"path": "/" + "x" * 40000}), (431, {f"x-{nbr}": "y" * 4000 for nbr in range(10)}),
        (101, {"Host": "Chat.EXAMPLE:443", "Origin": "HTTPS://CHAT.example"}),
        # A subprotocol that we don't know is not chosen (RFC 6455, 4.2.2)
        (101, {"Sec_WebSocket_Protocol": "chat, superchat"}), (101, {"sec-websocket-PROTOCOL": "x"}),
        # Other sites, and sites whose name leads here
        (403, {"Host": own, "Origin": "http://evil.example"}), (403, {"Host": "evil.example", "Origin": "http://evil.example"}),
        (403, {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}), (403, {"Host": own, "Origin": "null"}),
        (403, {"Host": own, "Origin": f"http://{own}.evil.example"}), (403, {"Host": own, "Origin": "http://127.0.0.1:1"}),
        (403, {"Host": "chat.example.evil", "Origin": "http://chat.example.evil"}), (403, {"Host": own, "Origin": "http://app.example"}),
        (403, {"Host": "localhost.evil", "Origin": "http://localhost.evil"}),
        # What a handshake must have (RFC 6455, 4.2.1)
        (426, {"Sec_WebSocket_Version": None}), (426, {"Sec_WebSocket_Version": "8"}), (426, {"Sec_WebSocket_Version": "14"}),
        (426, {"Sec_WebSocket_Version": "x"}), (426, {"Sec_WebSocket_Version": "13, 8"}),
        (400, {"Sec_WebSocket_Key": None}), (400, {"Sec_WebSocket_Key": ""}), (400, {"Sec_WebSocket_Key": "AAAA"}),
        (400, {"Sec_WebSocket_Key": base64.b64encode(bytes(15)).decode()}), (400, {"Sec_WebSocket_Key": base64.b64encode(bytes(17)).decode()}),
        (400, {"Sec_WebSocket_Key": "!" * 22 + "=="}), (400, {"Connection": "keep-alive"}), (400, {"Host": None}),
        (400, {"version": "HTTP/1.0"}), (404, {"path": "/"}), (404, {"path": "/wss"}), (404, {"path": "/ws/more"}),
        (405, {"method": "POST"}), (413, {"Content_Length": "5"}), (413, {"Transfer_Encoding": "chunked"}),
    ]
    for status, fields in cases:
        peer = Peer(server)
        peer.say(handshake(**fields))
        got, answer = peer.head()
        check(got == status, f"{fields}: {got}, expected {status}")
        if status == 426:
            check(answer["sec-websocket-version"] == "13", answer)
        if status == 101:
            check(answer["sec-websocket-accept"] == ACCEPT, answer)
            check("sec-websocket-protocol" not in answer and "sec-websocket-extensions" not in answer, answer)
            peer.say(frame(1, HI))
            check(b"heartRsp" in peer.frame()[1], fields)
        peer.close()
    print(f"   {len(cases)} handshakes")


def too_many():
    """Beyond gateway/connections, and beyond those of one address, a handshake gets an answer that says so."""
    for settings, there, status, words in ((("gateway/connections=2",), 2, 503, b"too many connections"),
                                           (("gateway/address=2",), 2, 429, b"from one address")):
        with served(Server(*settings)) as server:
            peers = [opened(server) for _ in range(there)]
            for _ in range(3):
                peer = Peer(server)
                peer.say(handshake())
                got, fields = peer.head()
                check(got == status and words in peer.body(fields), f"{got}, expected {status}")
                peer.close()
            for peer in peers:
                peer.say(frame(1, HI))
                check(b"heartRsp" in peer.frame()[1], "those that are there")
                peer.close()


@on_server("gateway/unbound=1048576")
def frames(server):
    """Each a sequence of bytes, and the code that the server closes with; None when it goes on."""
    hi = frame(1, HI)
    cases = [
        (None, hi), (None, frame(1, HI, mask=b"\0\0\0\0")), (None, frame(1, HI[:5], False) + frame(0, HI[5:])),
        (None, frame(1, HI[:5], False) + frame(9, b"x") + frame(0, HI[5:])), (None, frame(1, b"", False) + frame(0, HI)),
        (None, frame(10, b"never asked") + hi), (None, frame(1, b" " * 200 + HI)), (None, frame(1, b" " * 70000 + HI)),
        (None, frame(1, HI[:1], False) + b"".join(frame(0, HI[nbr:nbr + 1], False) for nbr in range(1, len(HI))) + frame(0)),
        (None, frame(2, len(HI).to_bytes(4, "big") + HI)), (None, frame(8, b"")[:0] + hi),
        (1002, frame(1, HI, mask=None)), (1002, frame(9, b"x", mask=None)), (1002, frame(8, b"", mask=None)),
        (1002, frame(2, HI, mask=None)), (1002, hi + frame(1, HI, mask=None)),
        (1002, frame(1, HI, form=2)), (1002, frame(1, HI, form=8)), (1002, frame(1, b" " * 200 + HI, form=8)),
        (1002, b"\x81\xff" + struct.pack(">Q", 1 << 63) + b"mask"), (1002, b"\x81\xff" + b"\xff" * 8 + b"mask"),
        (1002, frame(1, HI, reserved=0x40)), (1002, frame(1, HI, reserved=0x20)), (1002, frame(1, HI, reserved=0x10)),
        *[(1002, frame(opcode, HI)) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
        (1002, frame(0, HI)), (1002, frame(0, HI, False)), (1002, frame(1, HI, False) + frame(1, HI)), (1002, frame(1, HI, False) + frame(2, HI)),
        (1002, frame(9, b"x" * 126)), (1002, frame(9, b"x", False)), (1002, frame(10, b"x" * 200)), (1002, frame(8, b"\x03\xe8" + b"x" * 130)),
        (1002, frame(8, b"\x03\xe8", False)), (1002, frame(9, b"x", form=2)),
    ]
    for code, said in cases:
        for piece in (len(said), 1) if len(said) < 100 else (len(said),):
            peer = opened(server)
            for at in range(0, len(said), piece):
                peer.say(said[at:at + piece])
            got = peer.frame()
            while got and got[0] in (1, 10) and code:
                got = peer.frame()
            while got and got[0] == 10:
                got = peer.frame()
            if code is None:
                check(got and got[0] == 1 and b"heartRsp" in got[1], f"{said[:40]}: {got}")
            else:
                check(got and got[0] == 8 and int.from_bytes(got[1][:2], "big") == code and len(got[1]) > 2, f"{said[:40]}: {got}, expected {code}")
            peer.close()
    print(f"   {len(cases)} sequences of frames")


@on_server()
def pings(server):
    """Each is answered, with its own payload, in order, whatever comes between."""
    peer = opened(server)
    payloads = [b"", b"a", b"x" * 125] + [f"{nbr}".encode() for nbr in range(300)]
    peer.say(b"".join(frame(9, payload, mask=os.urandom(4)) + (frame(1, HI) if nbr % 7 == 0 else b"") for nbr, payload in enumerate(payloads)))
    pongs, hearts = [], 0
    while len(pongs) < len(payloads) or hearts < (len(payloads) + 6) // 7:
        opcode, payload = peer.frame()
        if opcode == 10:
            pongs.append(payload)
        else:
            hearts += b"heartRsp" in payload
    check(pongs == payloads, f"{len(pongs)} pongs, not those of the pings")
    # The client's close is answered with its code
    peer.say(frame(8, b"\x03\xe8bye"))
    opcode, payload = peer.frame()
    check(opcode == 8 and payload[:2] == b"\x03\xe8", payload)
    check(peer.frame() is None, "it isn't closed")


@on_server()
def http(server):
    """Requests that aren't handshakes: what a body is behind is never the next request."""
    host = "Host: 127.0.0.1\r\n"
    cases = [
        (200, f"GET / HTTP/1.1\r\n{host}\r\n"), (200, f"GET /index.html HTTP/1.1\r\n{host}\r\n"), (404, f"GET /nothing HTTP/1.1\r\n{host}\r\n"),
        (400, "GET / HTTP/1.1\r\n\r\n"), (405, f"POST / HTTP/1.1\r\n{host}\r\n"), (405, f"PUT / HTTP/1.1\r\n{host}\r\n"),
        (405, f"DELETE / HTTP/1.1\r\n{host}\r\n"), (200, f"GET / HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n"),
    ]
    for status, said in cases:
        peer = Peer(server)
        peer.say(said.encode())
        got, fields = peer.head()
        check(got == status or status == 405 and got in (400, 403, 404, 405, 501), f"{said!r}: {got}, expected {status}")
        if got == 200:
            check(fields["x-content-type-options"] == "nosniff" and "frame-ancestors 'none'" in fields["content-security-policy"], fields)
            check(len(peer.body(fields)) == int(fields["content-length"]), "the body")
        peer.close()
    smuggled = f"GET /smuggled HTTP/1.1\r\n{host}\r\n"
    for first in (f"GET / HTTP/1.1\r\n{host}Content-Length: {len(smuggled)}\r\n\r\n", f"POST / HTTP/1.1\r\n{host}Content-Length: {len(smuggled)}\r\n\r\n",
                  f"GET / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n", f"POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                  f"GET / HTTP/1.1\r\n{host}Content-Length: -5\r\n\r\n", f"GET / HTTP/1.1\r\n{host}Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
                  f"POST /ws HTTP/1.1\r\n{host}Content-Length: x\r\n\r\n"):
        peer = Peer(server)
        peer.say((first + smuggled).encode())
        answers = peer.rest()
        check(answers.count(b"HTTP/1.1 ") <= 1 and b"404" not in answers[:20], f"{first!r}: two answers: {answers[:300]}")
        peer.close()
    # One after the other is another thing
    peer = Peer(server)
    peer.say(f"GET /nothing HTTP/1.1\r\n{host}\r\n".encode())
    check(peer.head()[0] == 404, "keep-alive")
    peer.close()
    print(f"   {len(cases) + 7} requests")


def console():
    """The console, which has no password, answers requests for its own names alone."""
    server = Server("console/hosts=ops.example")
    try:
        port = server.console.rsplit(":", 1)[1]
        for status, host in ((200, "127.0.0.1"), (200, f"localhost:{port}"), (200, "ops.example"), (421, "evil.example"), (421, f"evil.example:{port}")):
            for path in ("/metrics", "/status", "/healthz", "/console/"):
                line = b"HTTP/1.1 503"
                while line.startswith(b"HTTP/1.1 503"):    # It hasn't heard yet that the server is ready
                    with socket.create_connection(("127.0.0.1", int(port)), PATIENCE) as peer:
                        peer.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                        line = peer.recv(100).split(b"\r\n")[0]
                check(line.startswith(f"HTTP/1.1 {status}".encode()), f"{host} {path}: {line}")
        check(server.stop() == 0, "exit status")
    finally:
        server.remove()


def tls():
    """Ciphers without forward secrecy are off; frames and pings are looked at as well."""
    folder = tempfile.mkdtemp(prefix="rookery-web-")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tls.example", "-addext",
                    "subjectAltName=DNS:tls.example", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"], check=True, capture_output=True)
    server = Server(f"gateway/certificate={folder}/cert.pem", f"gateway/key={folder}/key.pem", "gateway/failures=0")
    try:
        def wrap(ciphers=None, version=None):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if version:
                context.maximum_version = version
            if ciphers:
                context.set_ciphers(ciphers)
            return context.wrap_socket
        for ciphers, good in (("AES128-GCM-SHA256", False), ("AES256-SHA", False), ("ECDHE-RSA-AES128-GCM-SHA256", True)):
            try:
                Peer(server, wrap(ciphers, ssl.TLSVersion.TLSv1_2)).close()
                shaken = True
            except ssl.SSLError:
                shaken = False
            check(shaken == good, f"{ciphers}: {shaken}")
        for origin, status in (("https://tls.example", 101), ("https://evil.example", 403)):
            peer = Peer(server, wrap())
            peer.say(handshake(Host=origin.split("//")[1], Origin=origin))
            check(peer.head()[0] == status, f"{origin}: a name of the certificate")
            if status == 101:
                peer.say(frame(9, b"one") + frame(9, b"two") + frame(1, HI))
                got = [peer.frame() for _ in range(3)]
                check(sorted(got)[1:] == [(10, b"one"), (10, b"two")] and b"heartRsp" in sorted(got)[0][1], got)
                peer.say(frame(1, HI, mask=None))
                check(peer.frame()[1][:2] == b"\x03\xea", "an unmasked frame")
            peer.close()
        check(server.stop() == 0, "exit status")
    finally:
        server.remove()


if __name__ == "__main__":
    run(handshakes, too_many, frames, pings, http, console, tls)
