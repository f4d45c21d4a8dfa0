#!/usr/bin/python3
#  runs: plain
"""broker.py - rookery bench talks to an MQTT broker as to this server, so that both can be compared: a real Mosquitto; and what it
makes of users who can't be bound"""

import asyncio
import re
import subprocess
import sys

from rookery import PATIENCE, Server, check, live, run
from services import MariaDB, Service, free_port

BINARY = sys.argv[1] if len(sys.argv) > 1 else "build/rookery"


class Mosquitto(Service):
    def __init__(self):
        super().__init__("mosquitto")
        with open(f"{self.folder}/conf", "w") as file:
            file.write(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\nmax_queued_messages 0\n")
        self.start()

    def words(self):
        return ["/usr/sbin/mosquitto", "-c", f"{self.folder}/conf"]


def bench(port, *words, good=True):
    done = subprocess.run([BINARY, "bench", "--url", f"mqtt://127.0.0.1:{port}", *words], capture_output=True, text=True,
                          timeout=PATIENCE * 5)
    check((done.returncode == 0) == good, f"{words}: {done}")
    return done.stdout + done.stderr


def talks():
    """Pairs, a group and idle connections; all that is said is answered and delivered."""
    broker = Mosquitto()
    pid = str(broker.process.pid)
    for words, delivered in ((("--window", "16", "--chats", "5000"), 5000), (("--rate", "1000", "--chats", "500"), 500),
                             (("--group", "20", "--chats", "300"), 6000)):
        said = bench(broker.port, "--pid", pid, *words)
        check(f"{words[-1]} chats answered, {delivered} delivered, 0 refused" in said and re.search(r"server CPU: [1-9]", said), said)
    check("200 idle connections" in bench(broker.port, "--pid", pid, "--idle", "200"), "idle")
    broker.remove()


def says_why():
    """A broker that isn't there, and a URL that is none."""
    check("refused" in bench(free_port(), "--chats", "5", good=False), "nobody listens")
    check("mqtt://ADDRESS:PORT expected" in bench("", "--chats", "5", good=False), "no port")


def binds_again():
    """Users whom the store can't bind are bound when it can, and those of a group join it; whoever is refused for good ends it with the answer."""
    mariadb = MariaDB()
    server = Server("store/driver=mysql", "store/pool=main", "mysql/main/timeout=10000", *mariadb.settings("main", "late"))

    async def test():
        for words, said in ((("--idle", "20"), "20 idle connections"), (("--group", "5", "--chats", "50"), "50 chats answered, 250 delivered, 0 refused")):
            mariadb.stop()
            before = server.logged().count("chat: the store failed")
            load = subprocess.Popen([BINARY, "bench", "--url", server.url, *words], stdout=subprocess.PIPE, text=True)
            try:
                while server.logged().count("chat: the store failed") == before and load.poll() is None:
                    await asyncio.sleep(0.02)
                mariadb.start()
                check(said in (await asyncio.to_thread(load.communicate))[0] and load.returncode == 0, said)
            finally:
                load.kill()
    live(server, test, mariadb)
    server = Server("auth/mode=token", f"auth/secret={32 * 'a'}", "receiver/upstream=none", "sender/downstream=none")

    async def refused():
        done = await asyncio.to_thread(subprocess.run, [BINARY, "bench", "--url", server.url, "--idle", "2"], capture_output=True, text=True)
        check(done.returncode == 1 and '"code":"not-allowed"' in done.stderr, done)
    live(server, refused)


if __name__ == "__main__":
    run(talks, says_why, binds_again)
