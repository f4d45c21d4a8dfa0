"""services.py - real servers for the end-to-end tests: Redis and MariaDB on loopback, with folders of their own"""
#  runs: in no test; script/server --full starts services with it

import atexit
import errno
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE = 60    # seconds until one must take connections
_marks = []    # Of the ports that are ours
os.environ["PATH"] += ":/usr/sbin"    # Which isn't in an ordinary user's, and where Debian has mariadbd and haproxy


def free_port():
    """One that stays free until it is used: none of those that the system gives to outgoing connections. Whoever tries to
    connect to one of these while nobody listens there may be given the same one, and is connected to itself. Nor is it one that
    another test has chosen and doesn't use yet: each is marked, as long as the process lives, by the name of a socket (unix(7),
    abstract), of which a machine has one."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first = int(file.read().split()[0])
    while True:
        port, mark = random.randrange(10_000, max(first, 12_000)), socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0rookery-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError as error:
            mark.close()
            if error.errno == errno.EADDRINUSE:
                continue
            raise
        _marks.append(mark)
        return port


def certificates(binary, folder, names, known):
    """Makes a certificate of each name in the folder; those that are known, in its folder known, may connect."""
    os.mkdir(f"{folder}/known")
    for name in names:
        subprocess.run([binary, "cert", f"{folder}/{name}"], check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)
        if name in known:
            shutil.copy(f"{folder}/{name}", f"{folder}/known/{name}")


class Service:
    """A process that listens on a port; started again on the same data and port after a kill."""

    def __init__(self, name):
        self.folder = tempfile.mkdtemp(prefix=f"rookery-{name}-")
        self.port, self.host = free_port(), "127.0.0.1"
        self.process = None
        atexit.register(self.remove)

    def start(self):
        with open(f"{self.folder}/log", "ab") as log:
            self.process = subprocess.Popen(self.words(), stdout=log, stderr=log, cwd=self.folder)
        until = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection((self.host, self.port), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    with open(f"{self.folder}/log", errors="replace") as log:
                        raise AssertionError(f"{self.words()[0]} does not start\n{log.read()[-2000:]}")
                time.sleep(0.01)

    def stop(self, how=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE)

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Service):
    def __init__(self, *options, durable=False, port=None, host="127.0.0.1"):
        super().__init__("redis")
        self.port, self.host = port or self.port, host
        self.options = ["--appendonly", "yes", "--appendfsync", "always"] if durable else ["--save", ""]
        self.options += options
        self.start()

    def words(self):
        return ["redis-server", "--port", str(self.port), "--bind", self.host, "--dir", self.folder, *self.options]

    def ask(self, *words):
        done = subprocess.run(["redis-cli", "-h", self.host, "-p", str(self.port), *words], stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.strip()


class MariaDB(Service):
    _shared = None

    def __init__(self):
        super().__init__("mariadb")
        made = subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={self.folder}/data", "--user=root",
                               "--auth-root-authentication-method=normal", "--skip-name-resolve", "--force", f"--tmpdir={self.folder}"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if made.returncode:
            raise AssertionError(f"the tables of MariaDB can't be made: {made.stdout}")
        self.start()

    @classmethod
    def shared(cls):
        """One for all tests of a file; each makes databases of its own there."""
        cls._shared = cls._shared or cls()
        return cls._shared

    def words(self):
        return ["mariadbd", "--no-defaults", f"--datadir={self.folder}/data", f"--tmpdir={self.folder}", f"--socket={self.folder}/sock",
                f"--port={self.port}", "--bind-address=127.0.0.1", "--user=root", "--innodb-log-file-size=64M"]

    def ask(self, statement, database="mysql"):
        """Rows as lists of texts."""
        done = subprocess.run(["mariadb", "--no-defaults", f"--socket={self.folder}/sock", "-uroot", "-N", "-B", database,
                               "-e", statement], stdout=subprocess.PIPE, text=True, check=True)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def settings(self, pool, database):
        self.ask(f"CREATE DATABASE IF NOT EXISTS {database} CHARACTER SET utf8mb4")
        return [f"mysql/{pool}/port={self.port}", f"mysql/{pool}/user=root", f"mysql/{pool}/database={database}"]


if __name__ == "__main__":    # For script/bench: both, until the input ends
    redis, mariadb = Redis(), MariaDB()
    for database in ("bench", "bench_1", "bench_2", "bench_3"):
        mariadb.settings("main", database)
    print(redis.port, mariadb.port, flush=True)
    sys.stdin.read()
