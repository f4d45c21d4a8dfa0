#!/usr/bin/python3
#  runs: mysql
"""interleave.py - two requests at the same moment, in the orders that their steps can have

As PostgreSQL's isolation tester does (src/test/isolation/README): the application's calls of the store wait, before and behind
each, until this test lets one go on. It tries all orders in which one that could go on is left for the other at most SWITCHES
times: nearly all faults show with two (Musuvathi, Qadeer: Iterative Context Bounding, PLDI 2007). Whatever the order, the answers and what the store holds then
must be those of the requests one after the other, in one of the two ways; and what connections have heard, and hear from then
on, must be what the store says."""

import asyncio
import itertools
import os
import re
import shutil
import tempfile

import zmq
import zmq.asyncio

from rookery import PATIENCE, Server, Talker, chat, check, live, run
from services import free_port

SWITCHES = int(os.environ.get("ROOKERY_SWITCHES", "3"))
HEARS = 60    # seconds that something may take to be heard
PLAIN = "local shards, shard_of = sql.shards, sql.shard_of\n"
GATED = """
local passes = setmetatable ({}, {__mode = "k"})
local function gated (call)
    return function (what, ...)
        if passes[coroutine.running ()] then
            return call (what, ...)
        end
        local text = type (what) == "string" and what or what[1][1]
        assert (zmq_api.cmd ("gate", "call_table", {text}))
        local results = table.pack (call (what, ...))
        assert (zmq_api.cmd ("gate", "call_table", {text}))
        return table.unpack (results, 1, results.n)
    end
end
local shards, shard_of = {}, sql.shard_of
for nbr, shard in ipairs (sql.shards) do
    shards[nbr] = {run = gated (shard.run), transaction = gated (shard.transaction)}
end
"""
#  What nobody asks for comes when it comes: that a connection is gone, or has missed something of one conversation
UNASKED = "return {frame = \"status\", handle = handle}\n"
PASSES = """
local passes = require "db".passes
return {frame = "status", handle = function (...)
    passes[coroutine.running ()] = true
    handle (...)
    passes[coroutine.running ()] = nil
end}
"""
STORED = """
SELECT 'message', conversation, seq, sender, chat_id FROM message WHERE conversation LIKE '%{0}' AND kind = 0 UNION ALL
SELECT 'event', conversation, seq, sender, '' FROM message WHERE conversation LIKE '%{0}' AND kind = 2 UNION ALL
SELECT 'member', conversation, uid, direct, since FROM member WHERE conversation LIKE '%{0}' UNION ALL
SELECT 'room', conversation, creator, invited, '' FROM room WHERE conversation LIKE '%{0}' UNION ALL
SELECT 'owner', conversation, uid, '', '' FROM owner WHERE conversation LIKE '%{0}' UNION ALL
SELECT 'invitation', conversation, uid, '', '' FROM invitation WHERE conversation LIKE '%{0}' UNION ALL
SELECT 'device', uid, device, '', '' FROM device WHERE uid LIKE '%{0}'"""


def gated_app():
    """The application as it is, but for the gates."""
    folder = tempfile.mkdtemp(prefix="rookery-gated-")
    shutil.copytree("lua/app", folder, dirs_exist_ok=True)
    os.unlink(f"{folder}/sweep.lua")    # It asks by itself
    for name, plain, gated in (("db", PLAIN, GATED), ("db", "return db\n", "db.passes = passes\nreturn db\n"),
                               ("status", UNASKED, PASSES)):
        with open(f"{folder}/{name}.lua") as file:
            text = file.read()
        check(plain in text, f"{name}.lua is written in another way than this test knows")
        with open(f"{folder}/{name}.lua", "w") as file:
            file.write(text.replace(plain, gated))
    return folder


class Gate:
    """Where calls wait. Open, it lets all pass; else one comes at a time, for one session runs at a time."""

    def __init__(self, port):
        self.socket = zmq.asyncio.Context.instance().socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(f"tcp://127.0.0.1:{port}")
        self.open, self.came = True, asyncio.Queue()

    async def serve(self):
        while True:
            frames = await self.socket.recv_multipart()
            if self.open:
                await self.socket.send_multipart(frames)
            else:
                self.came.put_nowait(frames)


class Session:
    """A connection with one request. It is over when what the handler does behind its answer is, too."""

    def __init__(self, client, message):
        self.client, self.message, self.at, self.task = client, message, None, None

    async def go(self):
        answer = await self.client.request(self.message)
        await self.client.request({"action": "heart"})
        return answer

    async def step(self, gate):
        """Starts it, or lets it pass the gate that it is at; returns when it is at the next one, or over."""
        if self.task:
            await gate.socket.send_multipart(self.at)
        else:
            self.task = asyncio.create_task(self.go())
        came = asyncio.create_task(gate.came.get())
        await asyncio.wait([came, self.task], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        self.at = came.result() if came.done() else None
        came.cancel()
        check(self.at or self.task.done(), f"{self.message} hangs")


class Scene:
    """One try: users ann, bob and eve, whose names and group end with its number."""

    numbers = itertools.count(1)

    def __init__(self, server, gate):
        self.server, self.gate, self.mark, self.clients = server, gate, f".{next(Scene.numbers)}", []

    def named(self, value):
        """A request with this try's names for those of all."""
        if isinstance(value, dict):
            return {key: self.named(item) for key, item in value.items()}
        return re.sub(r"\b(ann|bob|eve|club)\b", rf"\1{self.mark}", value) if isinstance(value, str) else value

    def plain(self, value):
        """Back again; without what differs from try to try."""
        if isinstance(value, dict):
            return tuple(sorted((key, self.plain(item)) for key, item in value.items() if key not in ("at", "message")))
        if isinstance(value, (list, tuple)):
            return tuple(self.plain(item) for item in value)
        return value.replace(self.mark, "") if isinstance(value, str) else value

    async def connect(self, uid, device, binds=True):
        client = await Talker.open(self.server)
        client.strict = False
        client.uid, client.device = uid, device
        self.clients.append(client)
        if binds:
            await client.request(self.named({"uid": uid, "device": device}), "ok")
            await client.request({"action": "heart"})    # It has caught up then
        return client

    async def play(self, before, requests, choices=None, order=None):
        """Makes the scene and runs the two requests: one after the other in that order, or in steps by the choices, and
        when they are used up who went before, if that can. Returns for each step who could go, who went before and who goes."""
        first = {uid: await self.connect(uid, "phone") for uid in ("ann", "bob", "eve")}
        for uid, message in before:
            await first[uid].request(self.named(message), "ok")
        sessions = []
        for who, message in requests:
            uid, _, device = who.partition("/")
            client = await self.connect(uid, device, "uid" not in message or "action" in message) if device else first[uid]
            sessions.append(Session(client, self.named(message)))
        trace, went = [], 0
        if order:
            for nbr in order:
                sessions[nbr].task = asyncio.create_task(sessions[nbr].go())
                await sessions[nbr].task
        else:
            self.gate.open = False
            for session in sessions:
                await session.step(self.gate)
            while able := [nbr for nbr, session in enumerate(sessions) if session.at]:
                before = went
                went = choices[len(trace)] if len(trace) < len(choices) else before if before in able else able[0]
                trace.append((able, before, went))
                await sessions[went].step(self.gate)
            self.gate.open = True
        self.answers = [self.plain(session.task.result()) for session in sessions]
        return trace

    async def outcome(self):
        """The answers, and what is stored; checks that connections hear that."""
        rows = [[str(item) for item in self.plain(row)] for row in self.server.store.ask(STORED.format(self.mark))]
        await self.check_hearing(rows)
        return repr((self.answers, sorted(rows)))

    async def check_hearing(self, rows):
        members = {(row[1], row[2]): int(row[4]) for row in rows if row[0] == "member"}
        chats = [(row[1], int(row[2]), row[3], row[4]) for row in rows if row[0] == "message"]
        eve = next(client for client in self.clients if client.uid == "eve")
        probe = await eve.request(self.named(group_chat("eve", "probe")), None)
        if probe["code"] == "ok":
            chats.append(("club", probe["seq"], "eve", "probe"))
        for uid in ("ann", "bob"):
            await eve.request(self.named(chat("eve", uid, "fence" + uid)), "ok")    # It comes behind the probe
            chats.append((f"{uid},eve", 1, "eve", "fence"))
            members[(f"{uid},eve", uid)] = 0
        for client in self.clients:
            await self.check_heard(client, members, chats, probe.get("seq"))

    async def check_heard(self, client, members, chats, probe):
        """It has heard, or does now, what its user's conversations had since the user came; in order, and nothing else."""
        who, heard, before = f"{client.uid}/{client.device}", {}, sum(chat_id == "c0" for *_, chat_id in chats)
        wanted = {(talk, seq) for talk, seq, sender, _ in chats
                  if seq > members.get((talk, client.uid), seq) and sender != client.uid}

        def note(got):
            content = got.get("content")
            if got["action"] in ("chat", "chatGroup"):
                talk = content.get("chatGroupID") or ",".join(sorted((content["fromAccountID"], content["toAccountID"])))
                heard.setdefault(self.plain(talk), []).append(got["seq"])
                wanted.discard((self.plain(talk), got["seq"]))
        for got in client.heard:
            note(got)
        while wanted:
            try:
                note(await asyncio.wait_for(client.receive(), HEARS))
            except asyncio.TimeoutError:
                raise AssertionError(f"{who} never hears {wanted}")
        client.heard.clear()
        await client.request({"action": "heart"})    # Nothing comes behind that
        for got in client.heard:
            note(got)
        for talk, seqs in heard.items():
            check(seqs == sorted(set(seqs)), f"{who} hears {talk} in the order {seqs}")
            since = members.get((talk, client.uid))    # What was said at the same moment may come nonetheless
            check(since is None or seqs[0] > min(since, before), f"{who} came to {talk} behind {since} and hears {seqs}")
        check(("club", client.uid) in members or probe not in heard.get("club", []), f"{who} is out and hears the group")

    async def close(self):
        for client in self.clients:
            await client.close()


def group_chat(sender, chat_id):
    return {"action": "chatGroup", "content": {"fromAccountID": sender, "chatGroupID": "club", "chatID": chat_id}}


def group(action, **more):
    return {"action": f"group{action}", "groupID": "club", **more}


IN_CLUB = [("ann", group("Create")), ("bob", group("Join")), ("eve", group("Join"))]
#  Which tells nothing of that: else there are thousands of orders with a bind, which reads it
IN_OPEN_CLUB = [(uid, group("Join")) for uid in ("ann", "bob", "eve")]
BY_INVITATION = [("ann", group("Create", invited=True)), ("ann", group("Invite", uid="eve")), ("eve", group("Join"))]
TWO_OWNERS = [*IN_CLUB, ("ann", group("Role", uid="bob", role="owner"))]

#  What was before, and two requests: whose connection, "/device" for a new one, and what it asks
PAIRS = {
    "one joins who is removed": (IN_CLUB, ("ann", group("Remove", uid="bob")), ("bob", group("Join"))),
    "one binds who is removed": (IN_CLUB, ("ann", group("Remove", uid="bob")), ("bob/desk", {"uid": "bob", "device": "desk"})),
    "one talks who is removed": (IN_CLUB, ("ann", group("Remove", uid="bob")), ("bob", group_chat("bob", "c1"))),
    "one leaves who is removed": (IN_CLUB, ("ann", group("Remove", uid="bob")), ("bob", group("Leave"))),
    "two owners remove each other": (TWO_OWNERS, ("ann", group("Remove", uid="bob")), ("bob", group("Remove", uid="ann"))),
    "an owner removes who demotes it": (TWO_OWNERS, ("ann", group("Remove", uid="bob")),
                                        ("bob", group("Role", uid="ann", role="member"))),
    "two owners demote each other": (TWO_OWNERS, ("ann", group("Role", uid="bob", role="member")),
                                     ("bob", group("Role", uid="ann", role="member"))),
    "an owner invites, one who removes it": ([*BY_INVITATION, ("ann", group("Invite", uid="bob")), ("bob", group("Join")),
                                              ("ann", group("Role", uid="bob", role="owner"))],
                                             ("ann", group("Remove", uid="bob")), ("bob", group("Invite", uid="carl"))),
    "one is invited and removed": ([*BY_INVITATION, ("ann", group("Role", uid="eve", role="owner"))],
                                   ("ann", group("Invite", uid="bob")), ("eve", group("Remove", uid="bob"))),
    "one joins whose invitation ends": ([*BY_INVITATION, ("ann", group("Invite", uid="bob"))],
                                        ("ann", group("Remove", uid="bob")), ("bob", group("Join"))),
    "the last owner leaves, another is made": (IN_CLUB, ("ann", group("Leave")), ("ann/desk", group("Role", uid="eve", role="owner"))),
    "one leaves with one device, joins with the other": (IN_CLUB, ("bob", group("Leave")), ("bob/desk", group("Join"))),
    "one leaves and binds": (IN_OPEN_CLUB, ("bob", group("Leave")), ("bob/desk", {"uid": "bob", "device": "desk"})),
    "one joins and binds": (IN_OPEN_CLUB[::2], ("bob", group("Join")), ("bob/desk", {"uid": "bob", "device": "desk"})),
    "one joins while another talks": (IN_CLUB[::2], ("bob", group("Join")), ("ann", group_chat("ann", "c1"))),
    "one joins by invitation while another talks": ([*BY_INVITATION, ("ann", group("Invite", uid="bob"))],
                                                    ("bob", group("Join")), ("ann", group_chat("ann", "c1"))),
    "one leaves while another talks": (IN_CLUB, ("bob", group("Leave")), ("ann", group_chat("ann", "c1"))),
    "one binds while another talks to the group": ([*IN_OPEN_CLUB, ("ann", group_chat("ann", "c0"))],
                                                   ("bob/desk", {"uid": "bob", "device": "desk"}), ("ann", group_chat("ann", "c1"))),
    "one binds while another talks to it": ([("ann", chat("ann", "bob", "c0"))],
                                            ("bob/desk", {"uid": "bob", "device": "desk"}), ("ann", chat("ann", "bob", "c1"))),
    "one binds and talks": ([("ann", chat("ann", "bob", "c0"))],
                            ("bob/desk", {"uid": "bob", "device": "desk"}), ("bob", chat("bob", "ann", "c1"))),
    "one binds with two devices": (IN_OPEN_CLUB,
                                   ("bob/desk", {"uid": "bob", "device": "desk"}), ("bob/pad", {"uid": "bob", "device": "pad"})),
    "two talk to each other first": ([], ("ann", chat("ann", "bob", "c1")), ("bob", chat("bob", "ann", "c2"))),
    "a chat is sent twice": ([], ("ann", chat("ann", "bob", "c1")), ("ann/desk", chat("ann", "bob", "c1"))),
    "a chatID is used for two": (IN_CLUB, ("ann", chat("ann", "bob", "c1")), ("ann/desk", group_chat("ann", "c1"))),
    "two make a group": ([], ("ann", group("Create")), ("bob", group("Create"))),
    "one makes a group, one joins it": ([], ("ann", group("Create")), ("bob", group("Join"))),
    "one makes a group by invitation, one joins it": ([], ("ann", group("Create", invited=True)), ("bob", group("Join"))),
    "the last one leaves, one joins": ([("ann", group("Create"))], ("ann", group("Leave")), ("bob", group("Join"))),
    "the last one leaves and makes it anew": ([("ann", group("Create"))], ("ann", group("Leave")), ("ann/desk", group("Create"))),
    "one looks back while another talks": ([*IN_CLUB, ("ann", group_chat("ann", "c0"))],
                                           ("bob", {"action": "history", "conversation": "club", "after": 0}),
                                           ("ann", group_chat("ann", "c1"))),
    "one looks back who is removed": ([*IN_CLUB, ("ann", group_chat("ann", "c0"))],
                                      ("bob", {"action": "history", "conversation": "club", "after": 0}),
                                      ("ann", group("Remove", uid="bob"))),
}


def next_choices(trace):
    """What to choose for the next order: the last step where the one who went before could be left for the other, and wasn't."""
    left = [before in able and went != before for able, before, went in trace]
    for nbr in reversed(range(len(trace))):
        able, before, went = trace[nbr]
        if before in able and went == before and len(able) > 1 and sum(left[:nbr]) < SWITCHES:
            return [step[2] for step in trace[:nbr]] + [1 - before]
    return None


async def explore(server, gate, before, requests):
    """Tries the orders. Returns how many there are."""
    allowed = {}
    for order in ((0, 1), (1, 0)):
        scene = Scene(server, gate)
        await scene.play(before, requests, order=order)
        allowed[await scene.outcome()] = order
        await scene.close()
    choices, count = [], 0
    while choices is not None:
        scene = Scene(server, gate)
        trace = await scene.play(before, requests, choices)
        went = [step[2] for step in trace]
        try:
            outcome = await scene.outcome()
        except AssertionError as error:
            raise AssertionError(f"in the order {went}: {error}")
        check(outcome in allowed, f"in the order {went}: {outcome}\nis neither of\n" + "\n".join(allowed))
        await scene.close()
        count += 1
        choices = next_choices(trace)
    return count


def all_orders():
    """Each pair in every order of its steps."""
    port, app = free_port(), gated_app()
    server = Server("worker/count=2", f"lua/app={app}", f"link/gate/endpoint=tcp://127.0.0.1:{port}", "link/gate/type=dealer",
                    "link/gate/timeout=180000", "gateway/connections=100000")
    wanted = os.environ.get("ROOKERY_PAIR", "")

    async def test():
        gate = Gate(port)
        serving, wrong = asyncio.create_task(gate.serve()), []
        for name, (before, *requests) in PAIRS.items():
            if wanted in name:
                try:
                    print(f"   {name}: {await explore(server, gate, before, requests)} orders", flush=True)
                except AssertionError as error:
                    wrong.append(f"{name}: {error}")
                    gate.open = True
        serving.cancel()
        gate.socket.close()
        check(not wrong, "\n".join(wrong))
    try:
        live(server, test, seconds=840)
    finally:
        shutil.rmtree(app)


if __name__ == "__main__":
    run(all_orders)
