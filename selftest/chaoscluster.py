"""chaoscluster.py - a whole cluster for chaos.py: script/chaos --cluster

Three app servers and two gateways, each in a network namespace of its own with CURVE between them, a Redis Cluster of 3 + 3, a Galera
cluster of 3, and HAProxy, to which clients come. Each fault takes one part away: no user may wait longer than --recovery seconds for an
answer, whatever it is, and all is checked that chaos.py checks."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time

from parts import AUTH, Cluster, mint, run_words, sql
from rookery import check
from services import certificates


class Network:
    """A bridge, and a namespace for each app server and gateway, with a wire to the bridge that can be cut."""

    def __init__(self, names):
        self.names, self.undo = names, []
        self.net, self.bridge = f"10.{os.getpid() % 200 + 20}.7", f"rkb{os.getpid() % 100000}"
        try:
            self.add(("ip", "link", "add", self.bridge, "type", "bridge"), ("ip", "link", "del", self.bridge))
            run_words("ip", "addr", "add", f"{self.net}.1/24", "dev", self.bridge)
            run_words("ip", "link", "set", self.bridge, "up")
            for name in names:
                self.add_space(name)
        except (subprocess.SubprocessError, OSError):
            self.remove()
            raise

    def add(self, words, undo):
        run_words(*words)
        self.undo.append(undo)

    def add_space(self, name):
        space, wire = self.space(name), self.wire(name)
        self.add(("ip", "netns", "add", space), ("ip", "netns", "del", space))
        run_words("ip", "link", "add", wire, "type", "veth", "peer", "name", "wire", "netns", space)
        run_words("ip", "link", "set", wire, "master", self.bridge, "up")
        run_words("ip", "-n", space, "addr", "add", f"{self.address(name)}/24", "dev", "wire")
        run_words("ip", "-n", space, "link", "set", "wire", "up")
        run_words("ip", "-n", space, "link", "set", "lo", "up")
        run_words("ip", "netns", "exec", space, "true")

    def space(self, name):
        return f"rookery{os.getpid()}-{name}"

    def wire(self, name):
        return f"rk{os.getpid() % 100000}-{name}"

    def address(self, name):
        return f"{self.net}.{10 + self.names.index(name)}"

    def where(self, name):
        return self.address(name), ("ip", "netns", "exec", self.space(name))

    def set_wire(self, name, how):
        run_words("ip", "link", "set", self.wire(name), how)

    def remove(self):
        for words in reversed(self.undo):
            subprocess.run(words, timeout=60)


class ClusterScene:
    """See Scene in chaos.py, of which it has the form."""

    redundant, ping = True, 1.5

    def __init__(self, options):
        self.options, self.chance = options, random.Random(options.seed)
        self.binary, self.network, self.cluster = options.binary, None, None
        self.folder = tempfile.mkdtemp(prefix="rookery-chaos-")
        os.chmod(self.folder, 0o755)    # MariaDB's own user has a folder in it
        try:
            self.build()
        except BaseException:
            self.remove()
            raise

    def build(self):
        names = ["a1", "a2", "a3", "gw1", "gw2"]
        try:
            self.network = Network(names)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"   no wires can be cut here: {error}")
        certificates(self.binary, self.folder, ("app", "gw1", "gw2"), ("app", "gw1", "gw2"))    # All app servers have one
        here = os.path.dirname(os.path.abspath(__file__))
        self.cluster = Cluster(self.folder, **({"host": f"{self.network.net}.1", "where": self.network.where} if self.network else {}), curve=self.curve,
                               settings=[*AUTH, f"curve/known={self.folder}/known", f"lua/app=lua/app,{here}/../lua/test/chaos", "chat/page=20",
                                         "redis/main/timeout=1000"],
                               gateway_settings=[*AUTH, *(f"gateway/app/{name}/certificate={self.folder}/app" for name in names[:3])])
        self.url = self.cluster.url

    def curve(self, name):
        return [f"curve/certificate={self.folder}/{name if name.startswith('gw') else 'app'}"]

    def remove(self):
        if self.cluster:
            self.cluster.end()
        if self.network:
            self.network.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    def mint(self, uid):
        return mint(self.binary, self.folder, uid)

    def stored(self, columns, table):
        rows = sql(self.cluster.galera[0].folder, f"SELECT {columns} FROM rookery.{table}")
        return [tuple(line.split("\t")) for line in rows.split("\n")]

    def finish(self):
        for part in (*self.cluster.gateways, *self.cluster.apps):
            check(part.stop() == 0, f"the exit status of {part.name}")

    def logs(self):
        return [(part.log, part.logged()) for part in (*self.cluster.gateways, *self.cluster.apps, *self.cluster.galera)]

    # Faults: each is over when the coroutine returns

    def faults(self):
        kinds = {"app": ("kill", "freeze", "cut", "drain"), "gateway": ("kill", "freeze", "cut", "drain"), "redis": ("kill", "freeze"),
                 "galera": ("kill", "freeze"), "all": ("roll",)}
        return [f"{kind}_{how}" for kind, ways in kinds.items() for how in ways if self.network or how != "cut"]

    async def fault(self, name, users):
        kind, how = name.split("_")
        if kind == "all":
            return await self.roll(users)
        part = self.chance.choice({"app": self.cluster.apps, "gateway": self.cluster.gateways, "redis": self.cluster.redis,
                                   "galera": self.cluster.galera}[kind])
        self.victim = part.name
        await getattr(self, how)(part)
        if kind == "galera":    # The next fault finds all three
            await asyncio.to_thread(self.joined)

    def joined(self):
        while any(sql(node.folder, "SHOW STATUS LIKE 'wsrep_local_state_comment'").split("\t")[-1] != "Synced" for node in self.cluster.galera):
            pass

    def a_while(self, least, most):
        return asyncio.sleep(self.chance.uniform(least, most))

    async def kill(self, part):
        await asyncio.to_thread(part.stop, signal.SIGKILL)
        await self.a_while(0, 6)
        await asyncio.to_thread(part.start)

    async def freeze(self, part):
        part.process.send_signal(signal.SIGSTOP)
        await self.a_while(2, 8)
        part.process.send_signal(signal.SIGCONT)

    async def cut(self, part):
        self.network.set_wire(part.name, "down")
        await self.a_while(2, 8)
        self.network.set_wire(part.name, "up")

    async def roll(self, users):
        """All parts end and start again, one after the other, each when the one before is well and all users are answered."""
        for part in (*self.cluster.gateways, *self.cluster.apps, *self.cluster.redis, *self.cluster.galera):
            self.victim = part.name
            await self.drain(part) if part in (*self.cluster.gateways, *self.cluster.apps) else await self.restart(part)
            back = time.monotonic()
            while min(user.last_ok for user in users) < back:
                await asyncio.sleep(0.02)

    def reject(self, node):
        """A node of Galera takes no statements any more, and app servers leave it: one that is said while it ends waits for a second."""
        def whose():
            return {line.split("\t")[1] for line in sql(node.folder, "SHOW PROCESSLIST").split("\n")}
        sql(node.folder, "SET GLOBAL wsrep_reject_queries = ALL")
        until = time.monotonic() + 2
        while "rookery" in whose() and time.monotonic() < until:
            pass
        sql(node.folder, "SET GLOBAL wsrep_reject_queries = ALL_KILL")

    def ask_redis(self, node, *words):
        done = subprocess.run(["redis-cli", "-h", self.cluster.host, "-p", node.name.split("-")[1], *words], capture_output=True, text=True, timeout=60)
        return done.stdout.split("\n")

    def fail_over(self, node):
        """Its replica takes the place of a master, which doesn't take writes for two seconds when it comes back."""
        for replica in self.cluster.redis:
            if self.ask_redis(replica, "ROLE")[:3] == ["slave", self.cluster.host, node.name.split("-")[1]]:
                while self.ask_redis(node, "ROLE")[0] != "slave":
                    self.ask_redis(replica, "CLUSTER", "FAILOVER")

    def redis_well(self):
        """Each node of Redis has its master, or its replica."""
        def is_well(node):
            role = self.ask_redis(node, "ROLE")
            return role[0] == "slave" and role[3] == "connected" or role[0] == "master" and len(role) > 4
        while not all(is_well(node) for node in self.cluster.redis):
            pass

    async def restart(self, part):
        ready, well = (self.reject, self.joined) if part in self.cluster.galera else (self.fail_over, self.redis_well)
        await asyncio.to_thread(ready, part)
        await asyncio.to_thread(part.stop)
        await asyncio.to_thread(part.start)
        await asyncio.to_thread(well)

    async def drain(self, part):
        check(await asyncio.to_thread(part.stop) == 0, f"the exit status of {part.name}")
        await asyncio.to_thread(part.start)
