#!/usr/bin/python3
#  runs: mysql
"""cluster.py - several app servers on one database behind one gateway: they end, die and sleep under load"""

import asyncio
import signal

from rookery import PATIENCE, Client, Server, chat, check, live, run

USERS = 12


class Cluster:
    """Two app servers, and a gateway that works for both."""

    def __init__(self):
        self.apps = [Server("gateway/enabled=0", "worker/count=1")]
        self.apps.append(Server("gateway/enabled=0", "worker/count=1", *self.apps[0].store.settings))
        words = [f"gateway/app/a{nbr}/{way}={getattr(app, way)}" for nbr, app in enumerate(self.apps, 1) for way in ("upstream", "downstream")]
        self.gateway = Server("app/enabled=0", "gateway/id=gw", *words)
        for app in self.apps:    # When it is started again the gateway must find it
            app.settings += (f"receiver/upstream={app.upstream}", f"sender/downstream={app.downstream}")
        self.store = self.apps[0].store

    def live(self, test):
        live(self.gateway, lambda: test(self), *self.apps)

    async def logs(self, words, times=1):
        """The gateway says so, so many times in all."""
        while self.gateway.logged().count(words) < times:
            await asyncio.sleep(0.02)


class User:
    """Says one chat after the other to itself; each is said again after so many seconds without an answer."""

    def __init__(self, cluster, nbr, again=PATIENCE):
        self.name, self.cluster, self.again = f"u{nbr}", cluster, again
        self.seqs, self.said_again, self.ends, self.longest = [], 0, False, 0

    async def talk(self):
        client = await Client.open(self.cluster.gateway, self.name, "d")
        loop, count = asyncio.get_running_loop(), 0
        while not self.ends:
            message, since = chat(self.name, self.name, str(count)), loop.time()
            await client.send(message)
            while True:
                try:
                    got = await asyncio.wait_for(client.receive(), self.again)
                except asyncio.TimeoutError:
                    self.said_again += 1
                    await client.send(message)
                    continue
                if got["action"] == "chatRsp" and got["chatID"] == str(count):
                    if got["code"] == "ok":
                        break
                    check(got["code"] == "store-unavailable" and self.again < PATIENCE, got)
                    await asyncio.sleep(0.05)
                    await client.send(message)
            self.longest = max(self.longest, loop.time() - since)
            self.seqs.append(got["seq"])
            count += 1
        check(self.seqs == sorted(set(self.seqs)), f"{self.name}: {self.seqs}")

    async def goes_on(self):
        """More is answered than was."""
        count = len(self.seqs)
        while len(self.seqs) < count + 3:
            await asyncio.sleep(0.02)


async def under_load(cluster, again, what):
    """Awaits what () while users talk; what is answered must be in the store, once, with its seq."""
    users = [User(cluster, nbr, again) for nbr in range(USERS)]
    tasks = [asyncio.ensure_future(user.talk()) for user in users]
    try:
        await asyncio.gather(*(user.goes_on() for user in users))
        await what(users)
        await asyncio.gather(*(user.goes_on() for user in users))
    finally:
        for user in users:
            user.ends = True
    await asyncio.gather(*tasks)
    for user in users:
        rows = cluster.store.ask(f"SELECT seq, chat_id FROM message WHERE conversation = '{user.name},{user.name}' ORDER BY seq")
        check([int(seq) for seq, _ in rows] == list(range(1, len(rows) + 1)), f"gaps: {rows}")
        by_chat = {chat_id: int(seq) for seq, chat_id in rows}
        check([by_chat.get(str(nbr)) for nbr in range(len(user.seqs))] == user.seqs, f"{user.name} was answered {user.seqs}, stored is {rows}")
    return users


def drains():
    """One after the other they are drained and started again: nobody says anything twice, and everything is answered."""
    async def test(cluster):
        async def restarts(users):
            for nbr, app in enumerate(cluster.apps):
                stopped = asyncio.get_running_loop().run_in_executor(None, app.stop)
                check(await stopped == 0, app.logged()[-2000:])
                await asyncio.gather(*(user.goes_on() for user in users))
                app.start()
                await asyncio.to_thread(joined, app)
        users = await under_load(cluster, PATIENCE, restarts)
        check(not sum(user.said_again for user in users), "somebody had to say it again")
        print(f"   the longest wait was {max(user.longest for user in users) * 1000:.0f} ms")
    Cluster().live(test)


def joined(app):
    """Waits until the gateway is with an app server that was started."""
    while not app.counters()["sender"]["gateways"]:
        pass


def dies():
    """One is killed, and is back later: its connections go on with the other one."""
    async def test(cluster):
        async def killed(users):
            cluster.apps[0].stop(signal.SIGKILL)
            await cluster.logs("app server a1 is away: its")
            await asyncio.gather(*(user.goes_on() for user in users))
            cluster.apps[0].start()
            await asyncio.to_thread(joined, cluster.apps[0])
        await under_load(cluster, 2, killed)
    Cluster().live(test)


def sleeps():
    """One is stopped and goes on later: the other one's users don't wait for it, its own go there, and nothing is stored twice."""
    async def test(cluster):
        async def stopped(users):
            pid = cluster.apps[0].process
            pid.send_signal(signal.SIGSTOP)
            try:
                #  Half of them are with the other one, and must go on before anything is given away
                counts = [len(user.seqs) for user in users]
                while sum(len(user.seqs) > count + 3 for user, count in zip(users, counts)) < USERS // 2:
                    await asyncio.sleep(0.01)
                await cluster.logs("app server a1 is away: its")
                await asyncio.gather(*(user.goes_on() for user in users))
            finally:
                pid.send_signal(signal.SIGCONT)
            await asyncio.to_thread(joined, cluster.apps[0])
        await under_load(cluster, 2, stopped)
    Cluster().live(test)


if __name__ == "__main__":
    run(drains, dies, sleeps)
