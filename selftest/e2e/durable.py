#!/usr/bin/python3
#  runs: plain mysql
"""durable.py - the server ends in the middle of load: what it answered is stored, delivered, and has one seq"""

import asyncio
import random
import shutil
import signal
import tempfile

import websockets

from rookery import PATIENCE, Client, Server, Store, chat, check, run

PAIRS = 8
WINDOW = 16
FRESH = 100


class User:
    """Sends chats to a partner and keeps book of all that it was told, over many servers."""

    def __init__(self, name, partner):
        self.name, self.partner = name, partner
        self.sent = 0
        self.open = {}         # chatID: message without an answer
        self.answered = {}     # chatID: seq
        self.delivered = {}    # chatID: seq, of the partner's chats
        self.twice = 0         # Deliveries that came again, under the same seq
        self.conversation = ",".join(sorted((name, partner)))

    async def live(self, server, all_bound):
        """Binds, waits until all have, for nobody here acks and so gets again what came before its bind; then sends
        again what has no answer, and goes on until the connection is lost."""
        self.client = None    # Not one of an earlier server
        try:
            self.client = await Client.open(server, self.name)
            await all_bound.wait()
            for message in self.open.values():
                await self.client.send(message)
            while True:
                while len(self.open) < WINDOW:
                    await self.say()
                self.note(await self.client.receive())
        except (websockets.exceptions.ConnectionClosed, asyncio.BrokenBarrierError, OSError):
            await all_bound.abort()
        try:
            while self.client:    # What came before the end and isn't read yet
                self.note(await self.client.receive())
        except websockets.exceptions.ConnectionClosed:
            return

    async def say(self):
        chat_id = f"{self.name}-{self.sent}"
        self.sent += 1
        self.open[chat_id] = chat(self.name, self.partner, chat_id)
        await self.client.send(self.open[chat_id])

    def note(self, message):
        if message["action"] == "chat":
            chat_id, seq = message["content"]["chatID"], message["seq"]
            check(self.delivered.get(chat_id, seq) == seq, f"{chat_id} was delivered under a second seq")
            self.twice += chat_id in self.delivered
            self.delivered[chat_id] = seq
        elif message["action"] == "chatRsp":
            check(message["code"] == "ok", message)
            check(self.answered.get(message["chatID"], message["seq"]) == message["seq"], "answered with a second seq")
            self.answered[message["chatID"]] = message["seq"]
            self.open.pop(message["chatID"], None)

    async def catch_up(self, server):
        """Binds and acks until nothing is missing, as a client does after it was away."""
        client = await Client.open(server, self.name)
        own = dict(self.answered)
        have = 0
        while True:
            known = set(self.delivered.values()) | set(own.values())
            while have + 1 in known:
                have += 1
            await client.send({"action": "ack", "conversation": self.conversation, "seq": have})
            message = await client.receive()
            while message["action"] != "ackRsp":
                self.note(message)
                message = await client.receive()
            history = await self.request(client, {"action": "history", "conversation": self.conversation, "limit": 1})
            if history["last"] <= have:
                break
            page = await self.request(client, {"action": "history", "conversation": self.conversation, "after": have})
            for stored in page["messages"]:
                if stored["content"]["fromAccountID"] == self.name:
                    own[stored["content"]["chatID"]] = stored["seq"]
            await self.wait_for(client, have, own)
        await client.close()

    async def request(self, client, message):
        await client.send(message)
        answer = await client.receive()
        while answer["action"] != message["action"] + "Rsp":
            self.note(answer)
            answer = await client.receive()
        return answer

    async def wait_for(self, client, have, own):
        """The next seq must come by itself: it is redelivered."""
        while have + 1 not in own.values() and have + 1 not in self.delivered.values():
            self.note(await client.receive())


def make_users():
    users = []
    for nbr in range(PAIRS):
        one, two = f"u{nbr}a", f"u{nbr}b"
        users += [User(one, two), User(two, one)]
    return users


def check_store(folder, users):
    store = Store(folder)
    stored = {(sender, chat_id): int(seq) for sender, chat_id, seq in store.ask("SELECT sender, chat_id, seq FROM message")}
    for (count, most, least) in store.ask("SELECT count(*), max(seq), min(seq) FROM message GROUP BY conversation"):
        check(count == most and least == "1", f"a conversation has gaps: {count} messages, last {most}")
    for user in users:
        for chat_id, seq in user.answered.items():
            check(stored.get((user.name, chat_id)) == seq, f"{chat_id} was answered with {seq}, the store has "
                                                           f"{stored.get((user.name, chat_id))}")
    return len(stored)


def check_delivered(users):
    by_name = {user.name: user for user in users}
    for user in users:
        partner = by_name[user.partner]
        for chat_id, seq in user.answered.items():
            check(partner.delivered.get(chat_id) == seq, f"{chat_id} was answered, and delivered as "
                                                         f"{partner.delivered.get(chat_id)}")


async def all_live(users, begun):
    """Until each has got so many chats that were said in this round: it has all that it had missed."""
    def is_live(user):
        first = begun[user.partner]
        return all(f"{user.partner}-{first + nbr}" in user.delivered for nbr in range(FRESH))
    while not all(is_live(user) for user in users):
        await asyncio.sleep(0.05)


async def load_until(server, users, seconds, how):
    """Load for so many seconds; None is until all are live."""
    all_bound = asyncio.Barrier(len(users))
    begun = {user.name: user.sent for user in users}
    tasks = [asyncio.create_task(user.live(server, all_bound)) for user in users]
    if seconds is None:
        await asyncio.wait_for(all_live(users, begun), PATIENCE)
    else:
        await asyncio.sleep(seconds)
    status = await asyncio.get_running_loop().run_in_executor(None, server.stop, how)
    await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
    return status


def sigterm():
    """SIGTERM: what is in flight is finished, answered and delivered; exit status 0."""
    folder = tempfile.mkdtemp(prefix="rookery-e2e-")
    try:
        users = make_users()
        for _ in range(3):
            #  Nobody acks here: with more than a page to get first, what is live would have to wait
            server = Server("chat/page=10000", "gateway/queue=100000000", "server/drain=300000", folder=folder)
            status = asyncio.run(load_until(server, users, None, signal.SIGTERM))
            check(status == 0, f"exit status {status}\n{server.logged()[-2000:]}")
            check("did not finish in time" not in server.logged(), server.logged()[-2000:])
        count = check_store(folder, users)
        check_delivered(users)
        check(sum(len(user.answered) for user in users) > 1000, "too little load")
        print(f"   {count} stored, {sum(len(user.answered) for user in users)} answered")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def kill():
    """kill -9, 20 times: nothing answered is lost, nothing has a second seq."""
    folder = tempfile.mkdtemp(prefix="rookery-e2e-")
    try:
        users, chance = make_users(), random.Random(2)
        for _ in range(20):
            server = Server(folder=folder)
            asyncio.run(load_until(server, users, chance.uniform(0.1, 0.5), signal.SIGKILL))
            check_store(folder, users)
        server = Server(folder=folder)

        async def all_catch_up():
            await asyncio.gather(*(user.catch_up(server) for user in users))

        asyncio.run(all_catch_up())
        check(server.stop() == 0, "exit status")
        count = check_store(folder, users)
        check_delivered(users)
        check(count > 100, "too little load")
        print(f"   {count} stored, {sum(len(user.answered) for user in users)} answered, "
              f"{sum(user.twice for user in users)} delivered again under their seq")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    run(sigterm, kill)
