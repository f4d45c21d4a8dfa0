"""chaosuser.py - the users of chaos.py: what they do, and the books that they keep of all that they were told

A user has two devices, connections of its own, each with a book. On the first one it says chats to its partner, to the group of
all and to a club that it joins and leaves; the second one listens."""

import asyncio
import collections
import datetime
import json
import time
from dataclasses import dataclass

import websockets

from rookery import check

WINDOW = 8
PACE = 0.1             # seconds between a user's chats
AGAIN = 3              # seconds until a request without an answer is sent again,
REFUSED = 0.5          # and until one that was refused for the moment is
GROUP, CLUB = "all", "club"
REFUSALS = ("store-unavailable", "not-bound", "not-member", "internal")


def clock():
    """As logs have it."""
    return f"{datetime.datetime.now(datetime.timezone.utc):%H:%M:%S.%f}"[:-3]


class Device:
    """A connection that comes again when it is lost, acks what comes and fetches what is missing."""

    def __init__(self, scene, name, partner, token, device):
        self.scene, self.name, self.partner, self.token, self.device = scene, name, partner, token, device
        self.conversation = ",".join(sorted((name, partner)))
        self.came = {}         # (conversation, seq): chatID
        self.how = {}          # The same: how and when it came first
        self.fresh = []        # (connection, conversation, sender, seq) in the order they came first
        self.have = {}         # conversation: all up to here is known
        self.last = {}         # conversation: the last that is known
        self.acked = {}        # conversation: up to where an ack was answered
        self.behind = {}       # the same when this connection began: nothing up to there may come again
        self.asked = {}        # (action, conversation): the request, and when
        self.connection = 0
        self.out = False       # It has left the club
        self.codes = {}
        self.socket = None
        self.over = False
        self.trail = collections.deque(maxlen=12)    # What became of its connections, for who looks into a long wait

    def hang_up(self):
        if self.socket:
            self.socket.transport.abort()

    async def live(self):
        while not self.over:
            try:
                self.leave_trail("connects")
                async with asyncio.timeout(4):
                    self.socket = await websockets.connect(self.scene.url, max_size=None, ping_interval=self.scene.ping,
                                                          ping_timeout=self.scene.ping, close_timeout=1)
                self.connection += 1
                self.behind = dict(self.acked)
                await self.talk()
            except (OSError, websockets.WebSocketException, TimeoutError, EOFError) as error:
                self.leave_trail(f"{type(error).__name__} {error}")
            if self.socket:
                self.socket.transport.abort()
                self.socket = None
            await asyncio.sleep(self.scene.chance.uniform(0.1, 0.5))

    def leave_trail(self, what):
        self.trail.append(f"{clock()} {what}")

    async def talk(self):
        async with asyncio.timeout(6):
            while True:
                self.leave_trail(f"binds on connection {self.connection}")
                await self.send({"uid": self.name, "token": self.token, "device": self.device})
                answer = await self.receive("bindRsp")
                self.leave_trail(f"bind: {answer['code']}")
                if answer["code"] == "ok":
                    break
                await asyncio.sleep(0.3)
        self.asked.clear()
        await self.begin()
        reading = asyncio.create_task(self.read())
        try:
            while not reading.done():
                await self.act()
                await asyncio.sleep(PACE)
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            if not reading.cancelled() and isinstance(reading.exception(), AssertionError):
                raise reading.exception()

    async def begin(self):
        """What comes behind each bind."""

    async def act(self):
        """What it does all the while."""
        if self.scene.chance.random() < PACE * 2:
            await self.acknowledge()

    async def send(self, message):
        await self.socket.send(json.dumps(message))

    async def acknowledge(self):
        """Acks what has no gap below it, and asks for what is missing in a gap, as clients do: what was stored when the
        app server died, and not yet delivered, comes by itself at the next bind only."""
        for conversation in (self.conversation, GROUP):
            have = self.have.get(conversation, 0)
            if have:
                await self.ask({"action": "ack", "conversation": conversation, "seq": have})
            if self.last.get(conversation, 0) > have:
                await self.ask({"action": "history", "conversation": conversation, "after": have})
        if CLUB in self.last:
            await self.ask({"action": "ack", "conversation": CLUB, "seq": self.last[CLUB]})

    async def ask(self, request):
        """Asks it unless the same was asked a moment ago: a server that is behind gets no deeper into it by that."""
        now, key = time.monotonic(), (request["action"], request["conversation"])
        what, when = self.asked.get(key, (None, 0))
        if what != request or now - when > AGAIN:
            self.asked[key] = (request, now)
            await self.send(request)

    async def receive(self, action):
        while True:
            message = json.loads(await self.socket.recv())
            self.note(message)
            if message["action"] == action:
                return message

    async def read(self):
        while True:
            self.note(json.loads(await self.socket.recv()))

    def note(self, message):
        action = message["action"]
        if action in ("chat", "chatGroup"):
            content = message["content"]
            conversation = content.get("chatGroupID") or self.conversation
            seq, behind = message["seq"], self.behind.get(conversation, 0)
            check(seq > behind, f"{self.name}/{self.device} has acked {conversation} up to {behind}, and {seq} comes again")
            check(not (self.out and conversation == CLUB), f"{self.name} has left the club and hears {seq}")
            self.note_seq(conversation, seq, content["chatID"])
        elif action == "ackRsp" and message["code"] == "ok":
            conversation = message["conversation"]
            self.acked[conversation] = max(self.acked.get(conversation, 0), message["seq"])
        elif action == "historyRsp" and message["code"] == "ok":
            for stored in message["messages"]:
                self.note_seq(message["conversation"], stored["seq"], stored["content"]["chatID"], "read")

    def note_seq(self, conversation, seq, chat_id, how="heard"):
        known, before = self.came.get((conversation, seq)), self.how.get((conversation, seq))
        now = f"{how} at {clock()} by connection {self.connection}"
        check(known in (None, chat_id), f"{self.name}/{self.device}: {conversation} {seq} is {known}, {before}, and {chat_id}, {now}")
        self.how[(conversation, seq)] = before or now
        if known is None and how == "heard":
            self.fresh.append((self.connection, conversation, chat_id.split("-")[0], seq))
        self.came[(conversation, seq)] = chat_id
        self.last[conversation] = max(self.last.get(conversation, 0), seq)
        have = self.have.get(conversation, 0)
        while (conversation, have + 1) in self.came:
            have += 1
        self.have[conversation] = have

    def check_order(self):
        """What came is a merge of two increasing rows at the most."""
        tops = {}
        for connection, conversation, sender, seq in self.fresh:
            tails = tops.setdefault((connection, conversation, sender), [])
            for nbr, tail in enumerate(tails):
                if tail < seq:
                    tails[nbr] = seq
                    break
            else:
                tails.append(seq)
            check(len(tails) <= 2, f"{self.name}: {conversation} came out of order, at {seq} behind {tails}")


@dataclass
class Unanswered:
    """A chat that has no answer yet, or was refused for the moment."""
    message: dict
    connection: int    # Where it was sent first; 0 when its order doesn't count
    tries: int = 0
    sent: float = 0    # When last
    refusals: int = 0


class User(Device):
    """The first device of a user, on which it says chats."""

    def __init__(self, scene, name, partner, token):
        super().__init__(scene, name, partner, token, "d")
        self.sent = 0
        self.open = {}         # chatID: Unanswered
        self.answered = {}     # chatID: (conversation, seq)
        self.story = {}        # chatID, or "steps": what was sent and what came of it, for who looks into a failure
        self.refused = set()   # chatIDs that were refused for good
        self.first_try = []    # (connection, conversation, chatID) in the order sent, with one try and no refusal
        self.step = None       # [request, when it was sent last]: joins the club or leaves it
        self.steps = 0
        self.member = False    # By the last answer
        self.last_ok = 0
        self.still = False     # Says nothing new

    async def begin(self):
        await self.send({"action": "groupJoin", "groupID": GROUP})
        for entry in self.open.values():
            await self.send_chat(entry)
        if self.step:
            await self.send_step()

    async def act(self):
        now = time.monotonic()
        for entry in list(self.open.values()):
            if now - entry.sent > AGAIN:
                await self.send_chat(entry)
        if self.step and now - self.step[1] > AGAIN:
            await self.send_step()
        if not self.still:
            await self.say_more()
        if self.sent % 20 == 0:
            await self.send({"action": "tick"})
            await self.acknowledge()

    def tell(self, name, what):
        self.story.setdefault(name, []).append(f"{clock()} connection {self.connection}: {what}")

    async def send_chat(self, entry):
        entry.tries += 1
        entry.sent = time.monotonic()
        self.tell(entry.message["content"]["chatID"], "sent")
        await self.send(entry.message)

    async def send_step(self):
        self.out &= self.step[0]["action"] == "groupLeave"
        self.step[1] = time.monotonic()
        self.tell("steps", f"{self.step[0]['action']} {self.step[0]['requestID']} sent")
        await self.send(self.step[0])

    async def say_more(self):
        if not self.step and self.sent % 15 == 14:
            self.steps += 1
            self.step = [{"action": "groupLeave" if self.member else "groupJoin", "groupID": CLUB, "requestID": self.steps}, 0]
            await self.send_step()
        if len(self.open) < WINDOW and not self.over:
            chat_id = f"{self.name}-{self.sent}"
            where = {9: {"chatGroupID": GROUP}, 4: {"chatGroupID": CLUB}}.get(self.sent % 10, {"toAccountID": self.partner})
            self.sent += 1
            action = "chatGroup" if "chatGroupID" in where else "chat"
            content = {"fromAccountID": self.name, "chatID": chat_id, **where}
            self.open[chat_id] = Unanswered({"action": action, "content": content}, self.connection)
            await self.send_chat(self.open[chat_id])

    def note(self, message):
        super().note(message)
        if message["action"] in ("chatRsp", "chatGroupRsp"):
            self.note_answer(message)
        elif message.get("requestID"):
            self.tell("steps", f"{message['action']} {message['requestID']} {message['code']}")
        if message["action"] in ("groupJoinRsp", "groupLeaveRsp") and self.step and \
                message.get("requestID") == self.step[0]["requestID"] and message["code"] in ("ok", "not-member"):
            self.member = message["action"] == "groupJoinRsp"
            self.out, self.step = not self.member, None

    def note_answer(self, message):
        code, chat_id = message["code"], message["chatID"]
        self.codes[code] = self.codes.get(code, 0) + 1
        self.tell(chat_id, f"{code}, seq {message.get('seq')}")
        entry = self.open.get(chat_id)
        if code != "ok":
            check(code in REFUSALS, message)
            if entry:
                entry.refusals += 1
                entry.sent = time.monotonic() - AGAIN + REFUSED
            if entry and code == "not-member" and entry.message["content"].get("chatGroupID") == CLUB:
                if entry.tries == entry.refusals:    # Another try may yet be stored, and its answer lost
                    self.refused.add(chat_id)
                del self.open[chat_id]
            return
        where = (message["conversation"], message["seq"])
        check(self.answered.get(chat_id, where) == where, f"{chat_id} was answered with {self.answered.get(chat_id)} and {where}")
        self.answered[chat_id] = where
        self.refused.discard(chat_id)    # The answer to an earlier try
        self.last_ok = time.monotonic()
        self.note_seq(*where, chat_id, "answered")
        if entry and entry.connection and entry.tries == 1 and not entry.refusals:
            self.first_try.append((entry.connection, where[0], chat_id))
        self.open.pop(chat_id, None)

    def check_order(self):
        """Sent in order, numbered in order as well."""
        super().check_order()
        rows = {}
        number = {chat_id: int(chat_id.rsplit("-", 1)[1]) for _, _, chat_id in self.first_try}
        for connection, conversation, chat_id in sorted(self.first_try, key=lambda entry: number[entry[2]]):
            seq = self.answered[chat_id][1]
            check(rows.get((connection, conversation), 0) < seq, f"{chat_id} has seq {seq}, an earlier one of the connection more")
            rows[(connection, conversation)] = seq
