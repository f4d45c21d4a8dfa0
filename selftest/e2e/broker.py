#!/usr/bin/python3
#  runs: plain
"""broker.py - rookery bench talks to an MQTT broker as to this server, so that both can be compared: a real Mosquitto"""

import re
import subprocess
import sys

from rookery import PATIENCE, check, run
from services import Service, free_port

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


if __name__ == "__main__":
    run(talks, says_why)
