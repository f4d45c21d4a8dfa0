#!/usr/bin/python3
#  runs: asan mysql
"""media.py - files over HTTP: sent in pieces, fetched in ranges, by whom they are for, until nobody names them"""

import asyncio
import base64
import glob
import hashlib
import hmac
import http.client
import json
import os
import random
import signal
import socket
import time
import urllib.parse

from rookery import PATIENCE, Server, Talker, chat, check, live, run
from fakes3 import FakeS3

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
SECRET = "a secret of the test, 32 bytes long"
DAY = 86400


def sha(data):
    return hashlib.sha256(data).hexdigest()


def ticket(secret=SECRET, **claims):
    """One that this test signs."""
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.new(secret.encode(), signed, hashlib.sha256).digest())).decode()


async def ask(server, method, path, body=None, **headers):
    """One request; returns the response, with its body as .body and, if it is an object, as .said."""
    def do():
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(server.url).netloc, timeout=PATIENCE)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        answer.body = answer.read()
        answer.said = json.loads(answer.body) if (answer.headers["content-type"] or "").startswith("application/json") else {}
        connection.close()
        return answer
    return await asyncio.get_running_loop().run_in_executor(None, do)


async def post(server, url, data, offset=0):
    return await ask(server, "POST", f"{url}&offset={offset}", data)


async def upload(server, client, data, piece=300000):
    """Sends a file as clients do; returns what uploaded is answered."""
    leave = await client.request({"action": "upload", "size": len(data)}, "ok")
    said, offset = None, 0
    while said is None or "receipt" not in said:
        answer = await post(server, leave["fileUrl"], data[offset:offset + piece], offset)
        check(answer.status == 200, answer.said)
        said, offset = answer.said, answer.said["offset"]
    return await client.request({"action": "uploaded", "receipt": said["receipt"]}, "ok")


def naming(sender, to, chat_id, url, name="photo.png"):
    message = chat(sender, to, chat_id)
    message["content"].update(isBytes=0, fileServer="", fileUrl=url, fileName=name)
    return message


async def send(server, client, to, chat_id, data, name="photo.png"):
    """Sends a file in a chat; returns the chat's seq."""
    mine = await upload(server, client, data)
    check(mine["fileUrl"] == f"/media/{sha(data)}" and mine["size"] == len(data), mine)
    return (await client.request(naming(client.uid, to, chat_id, mine["fileUrl"], name), "ok"))["seq"]


async def fetch(server, client, conversation, seq, method="GET", **headers):
    where = await client.request({"action": "media", "conversation": conversation, "seq": seq}, "ok")
    return await ask(server, method, where["fileUrl"], **headers)


def sent_and_got():
    """A large file in pieces, to another user; to nobody else."""
    async def test():
        ann, bob, eve = [await Talker.open(server, uid, "phone") for uid in ("ann", "bob", "eve")]
        data = random.Random(1).randbytes(3000001)
        seq = await send(server, ann, "bob", "c1", data, "a big \"file\" \u00e9.bin")
        heard = await bob.hear("chat")
        check(heard["content"]["fileUrl"] == f"/media/{sha(data)}", heard)
        got = await fetch(server, bob, "ann,bob", seq)
        check(got.status == 200 and got.body == data, got.status)
        check(got.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20big%20%22file%22%20%C3%A9.bin", got.headers)
        check(got.headers["etag"] == f'"{sha(data)}"' and "immutable" in got.headers["cache-control"], got.headers)
        check((await fetch(server, ann, "ann,bob", seq)).body == data, "its sender gets another one")
        answer = await eve.request({"action": "media", "conversation": "ann,bob", "seq": seq})
        check(answer["code"] == "not-found", answer)
        answer = await eve.request(naming("eve", "bob", "c2", f"/media/{sha(data)}"))
        check(answer["code"] == "not-found", answer)    # Who knows the hash hasn't the file
        # Who may see it may send it on, and then others may see that
        forwarded = await bob.request(naming("bob", "eve", "c3", f"/media/{sha(data)}"), "ok")
        check((await fetch(server, eve, "bob,eve", forwarded["seq"])).body == data, "forwarded")
        answer = await bob.request({"action": "media", "conversation": "ann,bob", "seq": seq + 1})
        check(answer["code"] == "not-found", answer)
        return seq
    server = Server()
    live(server, test)


def in_order():
    """Chats with files and chats without, said one right behind the other, keep their order, in a talk and in a group."""
    async def test():
        ann, bob = [await Talker.open(server, uid, "phone") for uid in ("ann", "bob")]
        for client in (ann, bob):
            await client.request({"action": "groupJoin", "groupID": "club"}, "ok")
        url = (await upload(server, ann, PNG))["fileUrl"]
        for to_group in (False, True):
            messages = [naming("ann", "bob", f"c{nbr}", url) if nbr % 3 == 0 else chat("ann", "bob", f"c{nbr}") for nbr in range(30)]
            for message in messages:
                if to_group:
                    message["action"] = "chatGroup"
                    message["content"]["chatGroupID"] = "club"
                    del message["content"]["toAccountID"]
            for message in messages:
                await ann.send(message)
            action = "chatGroup" if to_group else "chat"
            heard = [await bob.hear(action) for _ in messages]
            check([one["content"]["chatID"] for one in heard] == [one["content"]["chatID"] for one in messages],
                  [one["content"]["chatID"] for one in heard])
    server = Server()
    live(server, test)


def ranges():
    async def test():
        ann = await Talker.open(server, "ann", "phone")
        data = random.Random(2).randbytes(200000)
        seq = await send(server, ann, "bob", "c1", data)
        where = (await ann.request({"action": "media", "conversation": "ann,bob", "seq": seq}, "ok"))["fileUrl"]
        for asked, first, last in (("0-0", 0, 0), ("100-", 100, 199999), ("-5", 199995, 199999), ("70000-150000", 70000, 150000),
                                   ("199999-300000", 199999, 199999), ("-900000", 0, 199999)):
            got = await ask(server, "GET", where, range=f"bytes={asked}")
            check((got.status, got.body) == (206, data[first:last + 1]), (asked, got.status, len(got.body)))
            check(got.headers["content-range"] == f"bytes {first}-{last}/200000", (asked, got.headers["content-range"]))
        for asked, first in (("5-18446744073709551615", 5), ("0-99999999999999999999999", 0)):
            got = await ask(server, "GET", where, range=f"bytes={asked}")
            check((got.status, got.body) == (206, data[first:]), (asked, got.status, got.headers))
        for asked in ("200000-", "900000-", "-0", "9223372036854775808-", "99999999999999999999999-"):
            got = await ask(server, "GET", where, range=f"bytes={asked}")
            check((got.status, got.headers["content-range"]) == (416, "bytes */200000"), (asked, got.status, got.headers))
        for asked in ("bytes=5-3", "bytes=a-b", "bytes=-", "bytes=0-1,5-6", "lines=1-2", "bytes=1-2x"):
            got = await ask(server, "GET", where, range=asked)
            check((got.status, got.body) == (200, data), (asked, got.status))
        got = await ask(server, "HEAD", where)
        check((got.status, got.body, got.headers["content-length"]) == (200, b"", "200000"), (got.status, got.headers))
        got = await ask(server, "GET", where, if_none_match=f'"{sha(data)}"')
        check((got.status, got.body) == (304, b""), got.status)
        # On one connection, one after the other
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(server.url).netloc, timeout=PATIENCE)
        for nbr in range(5):
            connection.request("GET", where, headers={"range": f"bytes={nbr * 1000}-{nbr * 1000 + 9}"})
            check(connection.getresponse().read() == data[nbr * 1000:nbr * 1000 + 10], nbr)
        connection.close()
    server = Server()
    live(server, test)


def types():
    """Nobody's file is a page of ours."""
    async def test():
        ann = await Talker.open(server, "ann", "phone")
        for nbr, (data, name, kind, way) in enumerate((
                (PNG, "photo.png", "image/png", "inline"), (PNG, "page.html", "image/png", "inline"),
                (b"<!DOCTYPE html><html><script>alert(1)</script></html>", "photo.png", "application/octet-stream", "attachment"),
                (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "a.svg",
                 "application/octet-stream", "attachment"), (b"", "nothing", "application/octet-stream", "attachment"))):
            seq = await send(server, ann, "bob", f"c{nbr}", data, name)
            got = await fetch(server, ann, "ann,bob", seq)
            check((got.status, got.body) == (200, data), (name, got.status))
            found = (got.headers["content-type"], got.headers["content-disposition"].split(";")[0])
            check(found == (kind, way), (name, found))
            check(got.headers["x-content-type-options"] == "nosniff", got.headers)
            check("default-src 'none'; sandbox" in got.headers.get_all("content-security-policy"), got.headers)
    server = Server()
    live(server, test)


def cut_off():
    """Who is cut off asks where to go on; a server that was killed knows it, too."""
    async def test():
        ann = await Talker.open(server, "ann", "phone")
        data = random.Random(3).randbytes(500000)
        url = (await ann.request({"action": "upload", "size": len(data)}, "ok"))["fileUrl"]
        host, port = urllib.parse.urlsplit(server.url).netloc.split(":")
        with socket.create_connection((host, int(port)), PATIENCE) as raw:
            raw.sendall(f"POST {url} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 500000\r\n\r\n".encode() + data[:250000])
            here = 0
            while here < 131072:    # Some of it is on the disk then
                here = (await post(server, url, b"")).said["offset"]
        before = here
        server.stop(signal.SIGKILL)
        server.start()
        answer = await post(server, url, b"")
        check(answer.said["offset"] >= before, answer.said)
        check(oct(os.stat(f"{server.folder}/media/secret").st_mode)[-3:] == "600", "the secret is for its owner")
    server = Server("media/actors=1")
    live(server, test)
    server = Server(f"media/secret={SECRET}")

    async def again():
        ann = await Talker.open(server, "ann", "phone")
        data = random.Random(3).randbytes(500000)
        url = (await ann.request({"action": "upload", "size": len(data)}, "ok"))["fileUrl"]
        check((await post(server, url, data[:200000])).said["offset"] == 200000, "the first piece")
        server.stop(signal.SIGKILL)
        server.start()
        check((await post(server, url, b"")).said == {"code": "ok", "offset": 200000}, "what was there is there")
        wrong = await post(server, url, data[100000:300000], 100000)
        check((wrong.status, wrong.said["code"], wrong.said["offset"]) == (409, "bad-offset", 200000), wrong.said)
        done = await post(server, url, data[200000:], 200000)
        check(done.said["hash"] == sha(data) and "receipt" in done.said, done.said)
        once_more = await post(server, url, b"")    # Its answer got lost
        check(once_more.said["hash"] == sha(data) and "receipt" in once_more.said, once_more.said)
        ann = await Talker.open(server, "ann", "phone")
        await ann.request({"action": "uploaded", "receipt": once_more.said["receipt"]}, "ok")
        await ann.request({"action": "uploaded", "receipt": done.said["receipt"]}, "ok")
    live(server, again)


def refused():
    async def test():
        ann, bob = [await Talker.open(server, uid, "phone") for uid in ("ann", "bob")]
        now = int(time.time())
        good = dict(use="put", id="0" * 32, size=10, exp=now + 100)
        for wrong in ({**good, "use": "get"}, {**good, "exp": now - 1}, {**good, "id": "../../../../etc/passwd"}, {**good, "id": "A" * 32},
                      {**good, "id": 5}, {"use": "put"}):
            answer = await post(server, "/media?ticket=" + ticket(**wrong), b"x")
            check((answer.status, answer.said["code"]) == (401, "not-authorized"), (wrong, answer.said))
        for words in ("/media?ticket=" + ticket("another secret that is 32 bytes long", **good), "/media?ticket=", "/media?x=1",
                      "/media?ticket=" + "a" * 9000, "/media?ticket=" + ticket(**good) + "x", "/media?ticket=" + "%41" * 100):
            answer = await post(server, words, b"x")
            check(answer.status == 401, (words[:60], answer.status))
        url = "/media?ticket=" + ticket(**good)
        answer = await post(server, url, b"12345678901")
        check((answer.status, answer.said["code"]) == (413, "too-large"), answer.said)
        answer = await post(server, url, b"1", 99)
        check(answer.status == 413, answer.said)
        answer = await ask(server, "POST", "/other", b"x")
        check(answer.status == 405, answer.status)
        answer = await ask(server, "PUT", "/media", b"x")
        check(answer.status in (405, 400, 403, 404), answer.status)
        answer = await ask(server, "POST", url, iter([b"x"]), transfer_encoding="chunked")
        check(answer.status == 413, answer.status)
        got = dict(use="get", hash="0" * 64, type="text/html", name="x", exp=now + 100)
        for path, status in ((f"/media/{'0' * 64}?ticket=" + ticket(**got), 404), (f"/media/{'1' * 64}?ticket=" + ticket(**got), 401),
                             ("/media/../../etc/passwd?ticket=" + ticket(**got), 403), (f"/media/{'0' * 64}", 401),
                             ("/media/?ticket=" + ticket(**got), 401), ("/media?ticket=" + ticket(**got), 401)):
            answer = await ask(server, "GET", path)
            check(answer.status == status or path.startswith("/media/..") and answer.status >= 400, (path, answer.status, answer.body))
        answer = await ann.request({"action": "upload", "size": 100001})
        check(answer["code"] == "too-large", answer)
        answer = await ann.request({"action": "upload", "size": -1})
        check(answer["code"] == "bad-request", answer)
        answer = await ann.request({"action": "uploaded", "receipt": ticket(**good)})
        check(answer["code"] == "bad-request", answer)
        # A receipt of another user's is nobody else's
        theirs = (await bob.request({"action": "upload", "size": 3}, "ok"))["fileUrl"]
        receipt = (await post(server, theirs, b"abc")).said["receipt"]
        answer = await ann.request({"action": "uploaded", "receipt": receipt})
        check(answer["code"] == "not-found", answer)
        await bob.request({"action": "uploaded", "receipt": receipt}, "ok")
        # Ten small ones take ten blocks
        for _ in range(10):
            await ann.request({"action": "upload", "size": 1}, "ok")
        answer = await ann.request({"action": "upload", "size": 1})
        check(answer["code"] == "too-many" and "40960" in answer["message"], answer)
    server = Server(f"media/secret={SECRET}", "chat/media=100000", "chat/quota=40960")
    live(server, test)


def as_it_came():
    """What looks like a head of a request within a file stays as it is, also in the packet of the head; who takes no ticket takes no place."""
    async def test():
        ann = await Talker.open(server, "ann", "phone")
        data = b"a log:\r\nSec-WebSocket-Protocol: chat\r\n\r\nGET / HTTP/1.1\r\nSec-WebSocket-Protocol: chat\r\n\r\n" * 40
        url = (await ann.request({"action": "upload", "size": len(data)}, "ok"))["fileUrl"]
        host, port = urllib.parse.urlsplit(server.url).netloc.split(":")
        with socket.create_connection((host, int(port)), PATIENCE) as raw:
            raw.sendall(f"POST {url} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
            answer = b""
            while more := raw.recv(65536):
                answer += more
        check(sha(data).encode() in answer, answer)
        # A file that is sent twice counts once
        for _ in range(3):
            await upload(server, ann, data)
        rows = server.store.ask("SELECT count(*) FROM media WHERE hash IS NOT NULL")
        check(int(rows[0][0]) == 1, rows)
        strangers = []
        for _ in range(30):
            one = socket.create_connection((host, int(port)), PATIENCE)
            one.sendall(f"POST /media?ticket=x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4000000\r\n\r\nx".encode())
            strangers.append(one)
        for one in strangers:    # They are told, or cut, without the rest
            one.settimeout(PATIENCE)
            await asyncio.get_running_loop().run_in_executor(None, one.recv, 1000)
            one.close()
        # A name that no header can have
        mine = await upload(server, ann, PNG)
        seq = (await ann.request(naming("ann", "bob", "c9", mine["fileUrl"], "a\0b\\u0000\r\nx"), "ok"))["seq"]
        got = await fetch(server, ann, "ann,bob", seq)
        check((got.status, got.body, got.headers["vary"]) == (200, PNG, "origin"), got.headers)
    server = Server()
    live(server, test)


def no_files():
    async def test():
        ann = await Talker.open(server, "ann", "phone")
        answer = await ann.request({"action": "upload", "size": 1})
        check(answer["code"] == "not-stored", answer)
        check((await ask(server, "POST", "/media?ticket=x", b"x")).status == 404, "POST")
    server = Server("media/folder=")
    live(server, test)


def files_of(server):
    return {os.path.basename(path) for path in glob.glob(f"{server.folder}/media/??/*")}


def age(server, days=2):
    """All that was sent, and all that there is, was so many days ago."""
    server.store.ask(f"UPDATE media SET at = at - {days * DAY * 1000}")
    for path in glob.glob(f"{server.folder}/media/*/*"):
        os.utime(path, (time.time() - days * DAY,) * 2)


async def until(true):
    for _ in range(PATIENCE * 5):
        if true():
            return
        await asyncio.sleep(0.2)
    raise AssertionError("that never comes true")


def swept():
    """What no chat names goes after a day, and what one names stays; a user who is erased leaves what others were sent."""
    one, two, three, four = (random.Random(nbr).randbytes(1000) for nbr in range(10, 14))

    async def before():
        ann = await Talker.open(server, "ann", "phone")
        first = await send(server, ann, "bob", "c1", one)
        await send(server, ann, "bob", "c2", two)
        await upload(server, ann, three)    # Nobody is told of it
        leave = (await ann.request({"action": "upload", "size": len(four)}, "ok"))["fileUrl"]
        await post(server, leave, four)    # Not even we are
        half = (await ann.request({"action": "upload", "size": len(four)}, "ok"))["fileUrl"]
        await post(server, half, four[:10])
        await ann.request({"action": "recall", "conversation": "ann,bob", "seq": first}, "ok")
        check(files_of(server) == {sha(data) for data in (one, two, three, four)}, files_of(server))
        age(server)

    async def after():
        await until(lambda: files_of(server) == {sha(two)})
        await until(lambda: not os.listdir(f"{server.folder}/media/upload"))
        rows = server.store.ask("SELECT hash FROM media")
        check(rows in ([[sha(two)]], [[sha(two).encode()]]), rows)
        bob = await Talker.open(server, "bob", "phone")
        check((await fetch(server, bob, "ann,bob", 2)).body == two, "it is still there")
        await bob.request(naming("bob", "eve", "c3", f"/media/{sha(two)}"), "ok")
        server.ctl("erase", "ann")
        check((await fetch(server, bob, "bob,eve", 1)).body == two, "bob's is still there")
        age(server)
        server.stop()
        server.start()
        bob = await Talker.open(server, "bob", "phone")
        await asyncio.sleep(3)    # The sweeper has been there; if not, this finds nothing
        check((await fetch(server, bob, "bob,eve", 1)).body == two, "bob's is still there")
        await bob.request({"action": "recall", "conversation": "bob,eve", "seq": 1}, "ok")
        age(server)
        server.stop()
        server.start()
        await until(lambda: not files_of(server))
    folder = Server()
    server = folder

    async def all_of_it():
        await before()
        server.stop()
        server.start()
        await after()
    live(server, all_of_it, seconds=600)


def pictures():
    """Of users and groups: whoever sees who they are may see them, and they stay as long as they are anybody's."""
    other = PNG + b"another one"

    async def seen(client, picture, data):
        got = await ask(server, "GET", picture)
        check((got.status, got.body, got.headers["content-type"]) == (200, data, "image/png"), (client.uid, picture, got.status, got.headers))

    async def test():
        ann, desk, bob = [await Talker.open(server, uid, device) for uid, device in (("ann", "phone"), ("ann", "desk"), ("bob", "phone"))]
        mine = await upload(server, ann, PNG)
        text = await upload(server, ann, b"<html>no picture</html>")
        check("text/html" in (await ann.refused("bad-request", "profile", picture=text["fileUrl"]))["message"], "a text")
        for wrong in (mine["fileUrl"] + "?x", "/media/", "/media/../x"):
            await ann.refused("bad-request", "profile", picture=wrong)
        await bob.ok("profile", picture=mine["fileUrl"].upper())    # That is none of ours
        check(server.store.ask("SELECT * FROM media_use") == [], "who knows the hash keeps the file")
        await bob.ok("profile", picture="")
        await bob.refused("not-found", "profile", picture=mine["fileUrl"])    # Who knows the hash hasn't the file
        check("you have no file" in server.ctl("profile", "bob", json.dumps({"picture": mine["fileUrl"]}), good=False), "ctl")
        await ann.ok("profile", picture=mine["fileUrl"], name="Ann")
        await seen(desk, (await desk.hear("profileChanged"))["picture"], PNG)
        await seen(bob, (await bob.ok("users", uids=["ann"]))["users"][0]["picture"], PNG)
        await bob.request(chat("bob", "ann", "c1"), "ok")
        await bob.ok("contactAdd", uid="ann")
        await seen(bob, (await bob.ok("conversations"))["conversations"][0]["picture"], PNG)
        await seen(bob, (await bob.ok("contacts"))["contacts"][0]["picture"], PNG)
        await bob.ok("profile", name="Bob", picture="https://example.org/my face.png")
        check((await ann.ok("users", uids=["bob"]))["users"][0]["picture"] == "https://example.org/my face.png", "bob's lies elsewhere")
        check('"picture":"https://example.org/my face.png"' in server.ctl("export", "bob").replace("\\/", "/"), "bob's export")
        # Of a group: what an owner has sent
        await bob.ok("groupCreate", groupID="club")
        await ann.ok("groupJoin", groupID="club")
        ours = await upload(server, bob, other)
        await ann.refused("not-owner", "groupSet", groupID="club", picture=mine["fileUrl"])
        await bob.ok("groupSet", groupID="club", picture=ours["fileUrl"])
        await seen(ann, (await ann.ok("groupInfo", groupID="club"))["picture"], other)
        await seen(ann, next(one for one in (await ann.ok("conversations"))["conversations"] if one["kind"] == "group")["picture"], other)
        # The name alone changes: it stays
        await ann.ok("profile", name="Ann of the tower")
        await bob.ok("groupSet", groupID="club", name="the club")
        age(server)
        server.stop()
        server.start()
        await until(lambda: files_of(server) == {sha(PNG), sha(other)})    # The text goes
        ann, bob = [await Talker.open(server, uid, "phone") for uid in ("ann", "bob")]
        await seen(bob, (await bob.ok("users", uids=["ann"]))["users"][0]["picture"], PNG)
        lines = [json.loads(line) for line in server.ctl("export", "ann").splitlines()]
        check(next(one for one in lines if one["kind"] == "profile")["picture"] == mine["fileUrl"], lines)
        # Another picture, or none
        await bob.ok("groupSet", groupID="club", picture="https://example.org/club.png")
        check((await ann.ok("groupInfo", groupID="club"))["picture"] == "https://example.org/club.png", "another one")
        server.ctl("erase", "ann")
        age(server)
        server.stop()
        server.start()
        await until(lambda: not files_of(server))
    server = Server()
    live(server, test, seconds=600)


def apart():
    """A gateway in a process of its own; without a secret that both know there are no files."""
    async def test():
        ann, bob = await Talker.open(gateway, "ann", "phone"), await Talker.open(gateway, "bob", "phone")
        seq = await send(gateway, ann, "bob", "c1", PNG)
        check((await fetch(gateway, bob, "ann,bob", seq)).body == PNG, "from the gateway apart")

    async def without():
        ann = await Talker.open(gateway, "ann", "phone")
        answer = await ann.request({"action": "upload", "size": 1})
        check(answer["code"] == "not-stored", answer)
    for settings, work in (((f"media/secret={SECRET}",), test), ((), without)):
        server = Server("gateway/enabled=0", *settings)
        settings = (f"media/folder={server.folder}/media", *settings)
        gateway = Server("app/enabled=0", f"gateway/app/one/upstream={server.upstream}", f"gateway/app/one/downstream={server.downstream}",
                         *settings)
        try:
            live(gateway, work)
        finally:
            server.stop()
            server.remove()


def bucket():
    """Files in a store that speaks S3's protocol, which checks each signature."""
    def make():
        return Server("media/actors=1", f"media/s3={store.url}/files", f"media/s3_key={store.key}", f"media/s3_secret={store.secret}",
                      f"media/secret={SECRET}")

    async def test():
        ann, bob = await Talker.open(server, "ann", "phone"), await Talker.open(server, "bob", "phone")
        data, other = random.Random(5).randbytes(300000), random.Random(6).randbytes(1000)
        seq = await send(server, ann, "bob", "c1", data)
        check(set(store.files) == {sha(data)}, store.files.keys())
        check((await fetch(server, bob, "ann,bob", seq)).body == data, "all of it")
        got = await fetch(server, bob, "ann,bob", seq, range="bytes=100000-200000")
        check((got.status, got.body) == (206, data[100000:200001]), got.status)
        for asked in ("300000-300009", "900000-"):
            got = await fetch(server, bob, "ann,bob", seq, range=f"bytes={asked}")
            check((got.status, got.headers["content-range"]) == (416, "bytes */300000"), (asked, got.status, got.headers))
        empty = await send(server, ann, "bob", "c2", b"")
        check((await fetch(server, bob, "ann,bob", empty)).body == b"", "an empty one")
        # The store is away: nothing is lost, it is kept when it is back
        leave = (await ann.request({"action": "upload", "size": len(other)}, "ok"))["fileUrl"]
        store.broken = True
        answer = await post(server, leave, other)
        check((answer.status, answer.said["code"]) == (503, "store-unavailable"), answer.said)
        check(store.url not in answer.body.decode(), answer.body)
        answer = await fetch(server, bob, "ann,bob", seq)
        check(answer.status == 503, answer.status)
        store.broken = False
        answer = await post(server, leave, b"")
        check(answer.said["hash"] == sha(other), answer.said)
        got = await ask(server, "GET", f"/media/{'1' * 64}?ticket=" + ticket(use="get", hash="1" * 64, exp=int(time.time()) + 100))
        check(got.status == 404, got.status)
        # 1,500 strange files on three pages go, the last ones and the named ones stay
        strange = {sha(str(nbr).encode()) for nbr in range(1500)}
        store.files.update({name: (b"x", time.time() - 2 * DAY) for name in strange})
        store.files["no hash"] = (b"x", 0)
        server.stop()
        server.start()
        await until(lambda: not strange & set(store.files))
        check(set(store.files) == {sha(data), sha(b""), sha(other), "no hash"}, len(store.files))
        check(store.refused == 0, store.refused)
    with FakeS3() as store:
        server = make()
        live(server, test, seconds=600)


if __name__ == "__main__":
    run(sent_and_got, in_order, ranges, types, cut_off, refused, as_it_came, no_files, swept, pictures, apart, bucket)
