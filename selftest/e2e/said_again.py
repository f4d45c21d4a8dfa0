#!/usr/bin/python3
#  runs: asan mysql
"""said_again.py - what is accepted can be said again: live, delivered again, in the history; and it is JSON for everybody

Chats are made at random, of all forms of numbers, escapes, depths and sizes, good ones and bad ones. Each that is accepted must come
live, at the next bind and in the history, with all that its sender said, byte for byte, and Python's and node's parsers must
read it. What is refused must leave nothing behind."""

import asyncio
import json
import random
import shutil
import subprocess

from order import ask_any, opened
from rookery import PATIENCE, Server, check, live, run

COUNT = 400
NUMBERS = ("0", "-0", "-0.0", "1", "-17", "9007199254740992", "-9007199254740992", "0.1", "1e5", "1E+5", "1e-7", "1.5e300", "5e-324",
           "1e-400", "1.7976931348623157e308", "0." + "0" * 80 + "1", "12345678901234.5678901234567890123456789012345678901234567890123456789",
           # and those that must be refused
           "9007199254740993", "1e400", "-1e999", "01", "1.", ".5", "+1", "1e", "NaN", "Infinity", "0x10", "123456789012345678901")
PIECES = ("a", "é", "你", "😀", " ", "\\n", "\\\"", "\\\\", "\\/", "\\b\\f\\r\\t", "\\u00e9", "\\u0000", "\\ud83d\\ude00", "\\u2028", "\x7f", "\u2028",
          "\\uFFFF", "<b>", "\\u001f",
          "\\uqqqq", "\\u12", "\\ud800", "\\udc00x", "\\x", "\n", "\x01")
OWN = ("seq", "at", "s\\u0065q", "bytes")
SEQS = ("7", "-1", "1e999", "\"x\"", "null", "{\"seq\":1}", "[1,[2]]")


class Maker:
    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.bad = 0.1    # How many of the pieces come from all that there are

    def pick(self, pieces, good):
        return self.chance.choice(pieces if self.chance.random() < self.bad else pieces[:good])

    def string(self):
        return '"' + "".join(self.pick(PIECES, 19) for _ in range(self.chance.randrange(6))) + '"'

    def value(self, depth):
        kind = self.chance.randrange(9 if depth > 0 else 5)
        if kind < 2:
            return self.pick(NUMBERS, 17)
        if kind < 4:
            return self.string()
        if kind < 5:
            return self.chance.choice(("true", "false", "null"))
        items = range(self.chance.randrange(4))
        space = self.chance.choice(("", " ", "\t", "\n"))
        if kind < 7:
            return "[" + space + ",".join(self.value(depth - 1) for _ in items) + space + "]"
        keys = [self.string() if self.chance.random() < 0.5 else f'"k{nbr}"' for nbr in items]
        return "{" + space + ("," + space).join(f"{key}:{space}{self.value(depth - 1)}" for key in keys) + "}"

    def deep(self):
        depth = self.chance.randrange(25, 36)
        return self.chance.choice(("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth))

    def chat(self, nbr, action, to):
        fields = [f'"x":{self.value(4)}', f'"y":{self.string()}']
        if self.chance.random() < 0.1:
            fields.append(f'"z":{self.deep()}')
        if self.chance.random() < 0.05:
            fields.append(f'"long":"{"x" * self.chance.randrange(100_000)}"')
        top = [f'"action":"{action}"', f'"content":{{"fromAccountID":"ann",{to},"chatID":"c{nbr}",{",".join(fields)}}}',
               f'"own":{self.value(3)}']
        if self.chance.random() < 0.3:
            top.append('"%s":%s' % (self.chance.choice(OWN), self.pick(SEQS, 7)))
        if self.chance.random() < 0.1:
            top.append(f'"requestID":{self.value(2)}')
        if self.chance.random() < 0.05:
            top.append(top[-1])
        self.chance.shuffle(top)
        return "{" + self.chance.choice((",", " , ", ",\n")).join(top) + "}"


def strict(text):
    """Python's parser, which by itself takes NaN and keys given twice."""
    def refuse(what):
        raise AssertionError(f"{what} in {text[:300]}")

    def once(pairs):
        check(len({key for key, _ in pairs}) == len(pairs), f"a key twice in {text[:300]}")
        return dict(pairs)
    return json.loads(text, parse_constant=refuse, object_pairs_hook=once)


async def texts_until(client, count, action):
    """The raw texts of so many messages of that action."""
    texts = []
    while len(texts) < count:
        text = await asyncio.wait_for(client.socket.recv(), PATIENCE)
        if strict(text)["action"] == action:
            texts.append(text)
    return texts


def check_node(texts):
    """JSON.parse reads each, too."""
    if not shutil.which("node"):
        print("   node isn't here")
        return
    script = """
const lines = require("fs").readFileSync(0, "utf8").split("\\n").filter(line => line);
for (const line of lines) JSON.parse(JSON.parse(line));
console.log(lines.length);"""
    done = subprocess.run(["node", "-e", script], input="\n".join(json.dumps(text) for text in texts), capture_output=True, text=True,
                          timeout=PATIENCE)
    check(done.returncode == 0 and int(done.stdout) == len(texts), done.stderr[-500:])


def check_same(text, sent, seq, bytes_too=False):
    """The text holds all that was sent, as it was sent, and seq."""
    got, said = strict(text), json.loads(sent)
    check(got["seq"] == seq and got["at"] > 1_600_000_000_000, text[:300])
    ours = ("seq", "at", "bytes") if bytes_too else ("seq", "at")
    for key in ours:
        got.pop(key, None)
        said.pop(key, None)
    check(got == said, f"sent {sent[:500]}\ngot {text[:500]}")


def chats(action, to, conversation, seed):
    server = Server("chat/page=1000", "gateway/queue=100000000", "worker/count=2")

    async def test():
        maker = Maker(seed)
        ann, bob = await opened(server, "ann"), await opened(server, "bob", "live")
        if action == "chatGroup":
            for client in (ann, bob):
                await ask_any(client, {"action": "groupJoin", "groupID": "g"})
        sent, refused, heard = [], 0, []
        for nbr in range(COUNT):
            text = maker.chat(nbr, action, to)
            await ann.socket.send(text)
            while True:
                raw = await asyncio.wait_for(ann.socket.recv(), PATIENCE)
                answer = strict(raw)
                if answer["action"] in (action + "Rsp", "error"):
                    break
            heard.append(raw)
            try:
                good = strict(text) is not None
            except (ValueError, AssertionError):
                good = False
            if answer["code"] == "ok":
                check(good, f"accepted, and no JSON: {text[:500]}")
                sent.append(text)
                check(answer["seq"] == len(sent), answer)
            else:
                check(answer["code"] == "bad-json", f"{text[:500]}: {answer}")
                refused += 1
        check(len(sent) > COUNT // 4 and refused > COUNT // 20, f"{len(sent)} accepted, {refused} refused")
        raw = await texts_until(bob, len(sent), action)
        again = await opened(server)
        await again.socket.send('{"uid":"bob","device":"again"}')
        raw_again = await texts_until(again, len(sent), action)
        for nbr, text in enumerate(sent):
            check_same(raw[nbr], text, nbr + 1)
            check_same(raw_again[nbr], text, nbr + 1)
        # The history, in pieces; its texts stand in one
        after = 0
        while after < len(sent):
            await again.socket.send(json.dumps({"action": "history", "conversation": conversation, "after": after, "limit": 50}))
            page = (await texts_until(again, 1, "historyRsp"))[0]
            heard.append(page)
            messages = strict(page)["messages"]
            check(messages, "the history ends early")
            for message in messages:
                after += 1
                check_same(json.dumps(message), sent[after - 1], after, True)
        check_node(raw + raw_again + heard)
        print(f"   {len(sent)} accepted, {refused} refused")
    live(server, test)


def talks():
    chats("chat", '"toAccountID":"bob"', "ann,bob", 1)


def groups():
    chats("chatGroup", '"chatGroupID":"g"', "g", 2)


def odd_rows():
    """A row of an older server that no client could read is left out, and the others come."""
    server = Server()
    if server.store.mariadb:
        check(server.stop() == 0, "exit status")
        server.remove()
        return

    async def test():
        ann = await opened(server, "ann")
        for nbr in range(3):
            await ask_any(ann, {"action": "chat", "content": {"fromAccountID": "ann", "toAccountID": "bob", "chatID": f"{nbr}"}})
        server.store.ask("UPDATE message SET body = '{\"action\":\"chat\",\"x\":\"\\uqqqq\"}' WHERE seq = 2")
        bob = await opened(server)
        await bob.socket.send('{"uid":"bob"}')
        got = [strict(text)["seq"] for text in await texts_until(bob, 2, "chat")]
        check(got == [1, 3], got)
        check("message 2 of ann,bob in the store can't be given out" in server.logged(), "not logged")
    live(server, test)


if __name__ == "__main__":
    run(talks, groups, odd_rows)
