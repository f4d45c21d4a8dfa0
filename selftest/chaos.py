#!/usr/bin/python3
"""chaos.py - faults under load, at random, with a checker that knows every chat sent

    script/chaos [--cluster] [--minutes N] [--store sqlite|mysql] [--seed N] [--recovery SECONDS] [--faults NAME,NAME]

An app server and a gateway, processes of their own with CURVE between them, and Redis. Users chat in pairs and in a
group all the while. One fault after the other: each of the list once, in an order drawn anew each time round. At the end
the books of all users are compared with each other and with the store:

- what was answered is stored under the seq that was answered, and has come to everybody whom it was for;
- no chat has a second seq, no seq a second chat, no conversation a gap;
- chats that a connection sent, and that came through at the first try, have seqs in the order they were sent;
- new chats of one sender to a conversation come in order; behind a bind those that were missed come beside them, in
  order as well;
- both devices of each user have all in the end, and none gets again what it has acked;
- who is in the club, which users join and leave all the while, is what the store says, and they hear it on all devices and
  nobody else does: nobody after the answer to its groupLeave;
- after the end of each fault every user is answered again, within --recovery seconds.

With --cluster it is a whole cluster, see chaoscluster.py.

It makes a network namespace for the gateway and a small tmpfs for the store, which needs root; where that can't be done the
faults "cut" and "full" are left out, and it says so."""

import argparse
import asyncio
import glob
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))

import websockets    # noqa: behind the path

from chaoscluster import ClusterScene    # noqa: behind the path
from chaosuser import CLUB, GROUP, Device, Unanswered, User    # noqa: behind the path
from parts import AUTH, mint, run_words    # noqa
from rookery import check    # noqa
from services import MariaDB, Redis, certificates, free_port    # noqa

PAIRS = 10
PATIENCE = 180         # seconds that anything may take
FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")


class Process:
    """rookery run, killed and started again with the same words."""

    def __init__(self, scene, name, settings, prefix=()):
        self.log = f"{scene.folder}/{name}.log"
        self.words = [*prefix, scene.binary, "run"]
        for setting in settings:
            self.words += ["-s", setting]
        self.clock = f"{scene.folder}/{name}.clock"
        self.environment = dict(os.environ)
        if FAKETIME:
            self.set_clock(0)
            self.environment.update(LD_PRELOAD=FAKETIME[0], FAKETIME_TIMESTAMP_FILE=self.clock, FAKETIME_CACHE_DURATION="1",
                                    FAKETIME_DONT_FAKE_MONOTONIC="1")

    def set_clock(self, seconds):
        with open(self.clock + ".new", "w") as file:
            file.write(f"{seconds:+d}\n")
        os.rename(self.clock + ".new", self.clock)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.words, stdout=subprocess.PIPE, stderr=log, text=True, env=self.environment)
        line = self.process.stdout.readline()
        check(line.startswith("ready"), f"{self.words} is not ready: {line}\n{self.logged()[-2000:]}")
        self.url = (re.search(r"wss?://\S+", line) or [""])[0]

    def logged(self):
        with open(self.log, errors="replace") as file:
            return file.read()

    def stop(self, how=signal.SIGKILL):
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return status


class Scene:
    """All processes, wires and files; faults happen to it."""

    redundant, ping = False, 5

    def __init__(self, options):
        self.binary, self.options = options.binary, options
        self.chance = random.Random(options.seed)
        self.folder = tempfile.mkdtemp(prefix="rookery-chaos-")
        self.undo = []
        self.network = self.disk = False    # What we may make ourselves
        self.redis = Redis()
        self.mariadb = MariaDB() if options.store == "mysql" else None
        try:
            self.build()
        except BaseException:
            self.remove()
            raise

    def build(self):
        self.outside, self.inside, prefix = "127.0.0.1", "127.0.0.1", ()
        os.mkdir(f"{self.folder}/store")
        try:
            prefix = self.make_network()
            self.network = True
            self.make_tmpfs()
            self.disk = True
        except (subprocess.SubprocessError, OSError) as error:
            print(f"   not everything can be made here: {error}")
            if not self.network:
                self.outside, self.inside, prefix = "127.0.0.1", "127.0.0.1", ()
        certificates(self.binary, self.folder, ("app", "gateway"), ("gateway",))
        up, down, port = free_port(), free_port(), free_port()
        common = [*AUTH, "console/listen=none"]
        here = os.path.dirname(os.path.abspath(__file__))
        store = self.mariadb.settings("main", "chaos") + ["store/driver=mysql", "store/pool=main"] if self.mariadb else [
            f"store/path={self.folder}/store/chat.db"]
        self.app = Process(self, "app", [
            *common, *store, "gateway/enabled=0", f"receiver/upstream=tcp://{self.outside}:{up}",
            f"sender/downstream=tcp://{self.outside}:{down}", f"curve/certificate={self.folder}/app",
            f"curve/known={self.folder}/known", f"console/control=ipc://{self.folder}/app.control",
            f"lua/app=lua/app,{here}/../lua/test/chaos", "chat/page=20", f"redis/main/port={self.redis.port}", "redis/main/timeout=1000"])
        self.gateway = Process(self, "gateway", [
            *common, "app/enabled=0", f"gateway/listen={self.inside}:{port}", f"curve/certificate={self.folder}/gateway",
            f"gateway/app/far/upstream=tcp://{self.outside}:{up}", f"gateway/app/far/downstream=tcp://{self.outside}:{down}",
            f"gateway/app/far/certificate={self.folder}/app", f"console/control=ipc://{self.folder}/gateway.control"], prefix)
        self.app.start()
        self.gateway.start()

    def make_network(self):
        """The gateway lives in a namespace with two wires: one for clients, one to the app server."""
        self.net = f"10.{os.getpid() % 200 + 20}"
        self.space = f"rookery{os.getpid()}"
        run_words("ip", "netns", "add", self.space)
        self.undo.append(("ip", "netns", "del", self.space))
        for nbr in (1, 2):
            name = f"rk{os.getpid() % 100000}-{nbr}"
            run_words("ip", "link", "add", name, "type", "veth", "peer", "name", "wire", "netns", self.space)
            run_words("ip", "-n", self.space, "link", "set", "wire", "name", f"wire{nbr}")
            run_words("ip", "addr", "add", f"{self.net}.{nbr}.1/24", "dev", name)
            run_words("ip", "link", "set", name, "up")
            run_words("ip", "-n", self.space, "addr", "add", f"{self.net}.{nbr}.2/24", "dev", f"wire{nbr}")
            run_words("ip", "-n", self.space, "link", "set", f"wire{nbr}", "up")
        run_words("ip", "-n", self.space, "link", "set", "lo", "up")
        self.wire = f"rk{os.getpid() % 100000}-2"
        run_words("ip", "netns", "exec", self.space, "true")
        self.outside, self.inside = f"{self.net}.2.1", f"{self.net}.1.2"
        return ("ip", "netns", "exec", self.space)

    def make_tmpfs(self):
        run_words("mount", "-t", "tmpfs", "-o", "size=400m", "none", f"{self.folder}/store")
        self.undo.append(("umount", "-l", f"{self.folder}/store"))

    def remove(self):
        for name in ("gateway", "app"):
            if hasattr(self, name) and hasattr(getattr(self, name), "process"):
                getattr(self, name).stop()
        for words in reversed(self.undo):
            subprocess.run(words, timeout=PATIENCE)
        self.redis.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    def mint(self, uid):
        return mint(self.binary, self.folder, uid)

    @property
    def url(self):
        return self.gateway.url

    def stored(self, columns, table):
        if self.mariadb:
            return [tuple(row) for row in self.mariadb.ask(f"SELECT {columns} FROM {table}", "chaos")]
        with sqlite3.connect(f"{self.folder}/store/chat.db") as db:
            return db.execute(f"SELECT {columns} FROM {table}").fetchall()

    def finish(self):
        check(self.gateway.stop(signal.SIGTERM) == 0, "the gateway's exit status")
        check(self.app.stop(signal.SIGTERM) == 0, "the app server's exit status")

    def logs(self):
        return [(process.log, process.logged()) for process in (self.app, self.gateway)]

    # Faults: each is over when the coroutine returns

    async def fault(self, name, users):
        self.victim = ""
        await getattr(self, f"{name}_fault")(users)

    def faults(self):
        names = ["app", "gateway", "redis", "freeze", "descriptors", "cut", "full", "clock", "maria"]
        cannot = {"cut": not self.network, "full": not self.disk or self.mariadb, "clock": not FAKETIME, "maria": not self.mariadb}
        for name in names:
            if cannot.get(name) and not (name == "maria" or name == "full" and self.mariadb):
                print(f"   left out: {name}; it needs {'libfaketime' if name == 'clock' else 'root'}", flush=True)
        return [name for name in names if not cannot.get(name)]

    def a_while(self, least, most):
        return asyncio.sleep(self.chance.uniform(least, most))

    async def app_fault(self, users):
        self.app.stop()
        await self.a_while(0, 2)
        self.app.start()

    async def gateway_fault(self, users):
        self.gateway.stop()
        await self.a_while(0, 2)
        self.gateway.start()

    async def redis_fault(self, users):
        self.redis.stop()
        await self.a_while(1, 3)
        self.redis.start()

    async def maria_fault(self, users):
        self.mariadb.stop()
        await self.a_while(0, 3)
        await asyncio.get_running_loop().run_in_executor(None, self.mariadb.start)

    async def freeze_fault(self, users):
        process = self.chance.choice((self.app, self.gateway)).process
        process.send_signal(signal.SIGSTOP)
        await self.a_while(2, 5)
        process.send_signal(signal.SIGCONT)

    async def descriptors_fault(self, users):
        """Not one descriptor is left, and some clients come anew."""
        for process in (self.app.process, self.gateway.process):
            used = max(int(name) for name in os.listdir(f"/proc/{process.pid}/fd")) + 1
            run_words("prlimit", f"--pid={process.pid}", f"--nofile={used}:")
        for user in self.chance.sample(users, 4):
            user.hang_up()
        await self.a_while(2, 4)
        for process in (self.app.process, self.gateway.process):
            run_words("prlimit", f"--pid={process.pid}", "--nofile=4096:")

    async def cut_fault(self, users):
        run_words("ip", "link", "set", self.wire, "down")
        await self.a_while(3, 8)
        run_words("ip", "link", "set", self.wire, "up")

    async def full_fault(self, users):
        """The disk is full to the last byte."""
        filler = f"{self.folder}/store/filler"
        with open(filler, "wb") as file:
            try:
                while True:
                    os.write(file.fileno(), b"\0" * 65536)
            except OSError:
                pass
        await self.a_while(2, 4)
        os.unlink(filler)

    async def clock_fault(self, users):
        """An hour forth or back, for both or for one of them."""
        for process in self.chance.choice(((self.app,), (self.gateway,), (self.app, self.gateway))):
            process.set_clock(self.chance.choice((-3600, 3600, 0)))
        await self.a_while(1, 3)


async def one_fault(scene, users, name):
    """Returns the seconds from the end of the fault until all were answered again; where nobody should have to wait for its end, the
    longest time for which somebody wasn't answered, which is printed with the part that was away then."""
    began, silence, ended, at, last = time.monotonic(), 0, 0, "", None
    fault = asyncio.create_task(scene.fault(name, users))
    while not ended or (min(user.last_ok for user in users) < ended and time.monotonic() < ended + PATIENCE):
        await asyncio.sleep(0.05)
        now, waiting = time.monotonic(), min(users, key=lambda user: user.last_ok)
        if now - waiting.last_ok > silence:
            silence, at, last = now - waiting.last_ok, scene.victim, (waiting, list(waiting.open), list(waiting.trail))
        if not ended and fault.done():
            fault.result()
            ended = now
    took = time.monotonic() - ended
    waits = [user.name for user in users if user.last_ok < ended]
    what = f"the longest wait was {silence:4.1f} s" if scene.redundant else f"all were answered again {took:4.1f} s later"
    print(f"   {name:15} {at:12} lasted {ended - began:4.1f} s, {what}{f'; {waits} wait still' if waits else ''}", flush=True)
    if scene.redundant and silence > scene.options.recovery:
        waiting, chats, trail = last
        print(f"   {waiting.name} waited; its connections: {'; '.join(trail)}; its chats: { {chat: waiting.story[chat] for chat in chats} }", flush=True)
    return silence if scene.redundant and not waits else took


async def faults(scene, users, until, report):
    await until_all(lambda: [user.name for user in users if not user.last_ok], "never answered before the first fault")
    while True:
        order = scene.faults() if not scene.options.faults else scene.options.faults.split(",")
        scene.chance.shuffle(order)
        for name in order:
            await asyncio.sleep(scene.chance.uniform(0.5, 2))
            if time.monotonic() > until:
                return
            took = await one_fault(scene, users, name)
            report.setdefault(name, []).append(took)
            if took > scene.options.recovery:
                report.setdefault("late", []).append(f"{name}: {took:.1f} s")


async def until_all(good, what):
    """Waits until there is nothing left of what good () lists."""
    end = time.monotonic() + PATIENCE
    while left := good():
        check(time.monotonic() < end, f"{what}: {left[:5]}")
        await asyncio.sleep(0.1)


async def settle(devices):
    """No new chats; then everybody gets what is missing."""
    last = {}
    for device in devices:
        for conversation, seq in device.came:
            last[conversation] = max(last.get(conversation, 0), seq)

    def missing():
        return [f"{device.name}/{device.device} has {device.have.get(conversation)} of {last[conversation]} in {conversation}"
                for device in devices for conversation in (device.conversation, GROUP)
                if device.have.get(conversation, 0) < last.get(conversation, 0)]
    end = time.monotonic() + PATIENCE
    while missing():
        check(time.monotonic() < end, f"never came: {missing()[:5]}")
        for device in devices:
            try:
                if device.socket:
                    await device.acknowledge()
            except (OSError, websockets.WebSocketException):
                pass
        await asyncio.sleep(0.3)


async def probe(users, devices):
    """Who is in the club hears it, on both devices, and nobody else does."""
    members = {user.name for user in users if user.member}
    speaker = next((user for user in users if user.member), None)
    if not speaker:
        return
    for nbr, gid in enumerate((CLUB, GROUP)):    # What comes behind the probe, too
        chat_id = f"{speaker.name}-{speaker.sent + nbr}"
        content = {"fromAccountID": speaker.name, "chatID": chat_id, "chatGroupID": gid}
        speaker.open[chat_id] = Unanswered({"action": "chatGroup", "content": content}, 0)
        await until_all(lambda: list(speaker.open), "the probe is never answered")
        where = speaker.answered[chat_id]
        hear = [device for device in devices if gid == GROUP or device.name in members]
        await until_all(lambda: [f"{device.name}/{device.device}" for device in hear if where not in device.came], "never hear the probe")
        if gid == CLUB:
            club = where
    wrong = [device.name for device in devices if device.name not in members and club in device.came]
    check(not wrong, f"not in the club, and hear it: {wrong}")


async def play(scene, report):
    users, others = [], []
    for nbr in range(PAIRS):
        for one, two in ((f"u{nbr}a", f"u{nbr}b"), (f"u{nbr}b", f"u{nbr}a")):
            users.append(User(scene, one, two, scene.mint(one)))
            others.append(Device(scene, one, two, users[-1].token, "e"))
    devices = users + others
    lives = [asyncio.create_task(device.live()) for device in devices]
    until = time.monotonic() + scene.options.minutes * 60
    playing = asyncio.create_task(faults(scene, users, until, report))
    await asyncio.wait([playing, *lives], return_when=asyncio.FIRST_COMPLETED)
    for task in [*lives, playing]:
        if task.done():
            task.result()    # A life ends only by what it found wrong
    #  The end: what is open is answered, what is missing comes
    for user in users:
        user.still = True
    await until_all(lambda: [chat_id for user in users for chat_id in user.open] +
                    [user.step for user in users if user.step], "never answered")
    await settle(devices)
    await probe(users, devices)
    for device in devices:
        device.over = True
        device.hang_up()
    await asyncio.wait_for(asyncio.gather(*lives), PATIENCE)
    return users, others


def check_books(scene, users, others):
    rows = scene.stored("conversation, seq, sender, chat_id", "message")
    stored = {(sender, chat_id): (conversation, int(seq)) for conversation, seq, sender, chat_id in rows}
    check(len(stored) == len(rows), "a chat is stored twice")
    seqs = {}
    for conversation, seq, _, _ in rows:
        seqs.setdefault(conversation, []).append(int(seq))
    for conversation, list_of in seqs.items():
        check(sorted(list_of) == list(range(1, len(list_of) + 1)), f"{conversation} has gaps")
    members = {uid for uid, conversation in scene.stored("uid, conversation", "member") if conversation == CLUB}
    for user in users:
        for chat_id, where in user.answered.items():
            found = stored.get((user.name, chat_id))
            check(found == where, f"{chat_id} was answered {where}, stored {found}: {user.story[chat_id]}")
        for chat_id in user.refused:
            found = stored.get((user.name, chat_id))
            check(not found, f"{chat_id} was refused and is stored {found}: {user.story[chat_id]}; {user.story['steps']}")
        check(user.member == (user.name in members), f"{user.name} was told {user.member}, in the club are {members}")
    who = {}
    for device in users + others:
        for where, chat_id in device.came.items():
            check(who.setdefault(where, chat_id) == chat_id, f"{where} is {who[where]} and {chat_id}")
        device.check_order()
    return len(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cluster", action="store_true")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--store", choices=("sqlite", "mysql"), default="sqlite")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--recovery", type=float, default=10)
    parser.add_argument("--faults", help="only these, with commas")
    parser.add_argument("--binary", default="build/rookery")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))    # So that all is undone
    stored = "a cluster" if options.cluster else f"store {options.store}"
    print(f"chaos for {options.minutes} minutes, {stored}, seed {options.seed}", flush=True)
    scene, report, failed = (ClusterScene if options.cluster else Scene)(options), {}, None
    try:
        users, others = asyncio.run(play(scene, report))
        scene.finish()
        count = check_books(scene, users, others)
        codes = {}
        for user in users:
            for code, times in user.codes.items():
                codes[code] = codes.get(code, 0) + times
        print(f"   {count} chats stored, {sum(len(user.answered) for user in users)} answered, answers: {codes}, "
              f"{sum(user.connection for user in users + others)} connections, {sum(user.steps for user in users)} times the club")
        check("late" not in report, "; ".join(report.get("late", [])))
    except BaseException as error:    # noqa: the report is all we want
        failed = error
        traceback.print_exc()
        for name, text in scene.logs():
            print(f"-- {name}\n{text[-4000:]}")
    finally:
        scene.remove()
    for name, times in sorted(report.items()):
        if name != "late":
            print(f"   {name:15} {len(times)} times, {max(times):.1f} s at the most")
    print("0 passed, 1 failed" if failed else "1 passed, 0 failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
