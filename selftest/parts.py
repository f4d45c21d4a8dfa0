"""parts.py - the parts of a whole cluster, each a process: for script/cluster, which runs one, and script/chaos --cluster, which kills them"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CONFIG = f"{ROOT}/config/cluster"
PATIENCE = 120    # seconds until a part must be there
sys.path.insert(0, f"{ROOT}/selftest/e2e")
from services import free_port    # noqa: its folder is known only now

SECRET = "0123456789abcdef0123456789abcdef"
AUTH = ["auth/mode=token", f"auth/secret={SECRET}"]


def run_words(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)


def mint(binary, folder, uid):
    """A token for a server with AUTH."""
    with open(f"{folder}/secret", "w") as file:
        file.write(f"auth\n    mode = token\n    secret = {SECRET}\n")
    done = subprocess.run([binary, "token", "-u", uid, "-c", f"{folder}/secret", "--ttl", "100000000"], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


class Part:
    """A process of the cluster, whose log is FOLDER/NAME.log."""

    def __init__(self, cluster, name, *words, ready, env=None, prefix=()):
        self.name, self.log, self.words, self.ready = name, f"{cluster.folder}/{name}.log", [*prefix, *words], ready
        self.env = {**os.environ, **(env or {})}
        cluster.parts.append(self)
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.from_here = log.tell()
            self.process = subprocess.Popen(self.words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=ROOT, env=self.env)
        until = time.monotonic() + PATIENCE
        while not self.ready(self):
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"{self.name} doesn't start; the end of {self.log}:\n{self.logged()[-1500:]}")
            time.sleep(0.05)

    def logged(self):
        """Since it was started last."""
        with open(self.log, errors="replace") as log:
            log.seek(self.from_here)
            return log.read()

    def stop(self, how=signal.SIGTERM, patience=30):
        """Returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def listens(host, port):
    try:
        socket.create_connection((host, port), 1).close()
        return True
    except OSError:
        return False


def sql(folder, statement):
    done = subprocess.run(["mariadb", "--no-defaults", f"--socket={folder}/sock", "-uroot", "-N", "-B", "-e", statement],
                          capture_output=True, text=True, timeout=PATIENCE)
    return done.stdout.strip()


class Cluster:
    """All of it. The nodes of Redis and Galera and the proxy are at one address, which app servers and gateways reach from where() they are:
    a function of a part's name that returns its own address and the words in front of its command."""

    def __init__(self, folder, host="127.0.0.1", where=None, port=None, settings=(), gateway_settings=(), curve=None):
        self.folder, self.host, self.where, self.parts = folder, host, where or (lambda name: (host, ())), []
        self.curve = curve or (lambda name: [])
        self.port = port or (free_port() if listens(host, 8080) else 8080)
        try:
            self.redis = self.start_redis()
            self.galera = self.start_galera()
            self.start_rookery(settings, gateway_settings)
        except BaseException:
            self.end()
            raise

    def start_redis(self):
        ports, parts = [free_port() for _ in range(6)], []
        for port in ports:
            folder = f"{self.folder}/redis-{port}"
            os.makedirs(folder)
            parts.append(Part(self, f"redis-{port}", "redis-server", f"{CONFIG}/redis.conf", "--port", str(port), "--dir", folder, "--bind", self.host,
                              "--protected-mode", "no", "--cluster-port", str(free_port()), ready=lambda part, port=port: listens(self.host, port)))
        made = subprocess.run(["redis-cli", "--cluster", "create", *(f"{self.host}:{port}" for port in ports), "--cluster-replicas", "1", "--cluster-yes"],
                              capture_output=True, text=True)
        if made.returncode:
            raise AssertionError(f"the Redis Cluster can't be made: {made.stdout}{made.stderr}")
        self.redis_hosts = ",".join(f"{self.host}:{port}" for port in ports)
        return parts

    def start_galera(self):
        """The first node begins the cluster, the others come to it one by one."""
        host, parts = self.host, []
        nodes = [{name: free_port() for name in ("port", "gcast", "ist", "sst")} for _ in range(3)]
        config = shutil.copy(f"{CONFIG}/galera.cnf", self.folder)    # Its own user must be able to read it
        with open(config) as file:
            options = re.search(r"^wsrep_provider_options = (.*)$", file.read(), re.M).group(1)
        addresses = "gcomm://" + ",".join(f"{host}:{node['gcast']}" for node in nodes)
        user = ["--user=mysql"] if os.getuid() == 0 else []    # The copy of a node is made by rsync, which root may not be
        for nbr, node in enumerate(nodes, 1):
            folder = f"{self.folder}/galera-{nbr}"
            os.makedirs(folder)
            if user:
                shutil.chown(folder, "mysql")
            made = subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={folder}/data", "--auth-root-authentication-method=normal",
                                   "--skip-name-resolve", "--skip-test-db", "--force", f"--tmpdir={folder}", *user], capture_output=True, text=True)
            if made.returncode:
                raise AssertionError(f"the tables of galera-{nbr} can't be made: {made.stdout}{made.stderr}")
            words = ["mariadbd", f"--defaults-file={config}", f"--datadir={folder}/data", f"--tmpdir={folder}", f"--socket={folder}/sock",
                     f"--bind-address={host}",
                     f"--port={node['port']}", f"--wsrep_node_name=galera-{nbr}",
                     f"--wsrep_node_address={host}:{node['gcast']}", f"--wsrep_sst_receive_address={host}:{node['sst']}",
                     f"--wsrep_provider_options=gmcast.listen_addr=tcp://{host}:{node['gcast']};ist.recv_addr={host}:{node['ist']};{options}", *user]
            part = Part(self, f"galera-{nbr}", *words, f"--wsrep_cluster_address={addresses if nbr > 1 else 'gcomm://'}",
                        ready=lambda part, folder=folder: sql(folder, "SHOW STATUS LIKE 'wsrep_ready'").endswith("ON"))
            part.words, part.folder = [*words, f"--wsrep_cluster_address={addresses}"], folder    # When it comes again, it comes to the others
            parts.append(part)
            if nbr == 1:
                sql(folder, "CREATE DATABASE rookery CHARACTER SET utf8mb4; DROP USER IF EXISTS ''@localhost; CREATE USER rookery;"
                            "GRANT ALL ON rookery.* TO rookery")
        self.galera_ports = [node["port"] for node in nodes]
        return parts

    def rookery(self, name, config, settings):
        words = [word for setting in (*settings, *self.curve(name), f"console/control=ipc://{self.folder}/{name}.control") for word in ("-s", setting)]
        return Part(self, name, "build/rookery", "run", "-c", f"{CONFIG}/{config}", *words, prefix=self.where(name)[1],
                    ready=lambda part: "ready" in part.logged())

    def start_rookery(self, settings, gateway_settings):
        media = [f"media/folder={self.folder}/media", f"media/secret={secrets.token_hex(32)}"]
        known, listen = [], []
        self.apps, self.gateways = [], []
        for nbr in (1, 2, 3):
            up, down, link = (f"tcp://{self.where(f'a{nbr}')[0]}:{free_port()}" for _ in range(3))
            self.apps.append(self.rookery(f"a{nbr}", "app.cfg", [
                f"cluster/name=a{nbr}", f"receiver/upstream={up}", f"sender/downstream={down}", f"cluster/listen={link}", *media,
                f"redis/main/host={self.redis_hosts}",
                "mysql/main/host=" + ",".join(f"{self.host}:{port}" for port in self.galera_ports), *settings]))
            known += [f"gateway/app/a{nbr}/upstream={up}", f"gateway/app/a{nbr}/downstream={down}"]
        front = f"{self.host}:{self.port}"
        for nbr in (1, 2):
            listen.append(f"{self.where(f'gw{nbr}')[0]}:{free_port()}")
            self.gateways.append(self.rookery(f"gw{nbr}", "gateway.cfg", [
                f"gateway/id=gw{nbr}", f"gateway/listen={listen[-1]}", f"gateway/hosts={front}", f"gateway/origins=http://{front}",
                *media, *known, *gateway_settings]))
        Part(self, "haproxy", "haproxy", "-f", f"{CONFIG}/haproxy.cfg", "-db", env={"LISTEN": front, "GATEWAY1": listen[0], "GATEWAY2": listen[1]},
             ready=lambda part: listens(self.host, self.port))
        self.url = f"ws://{front}/ws"

    def end(self):
        """The last one first: clients' servers before what they need."""
        for part in reversed(self.parts):
            part.stop()


def leave(*_):
    raise KeyboardInterrupt


def is_open(folder):
    """Whether others may go through it, and through all that it is in."""
    return os.stat(folder).st_mode & 1 and (folder == "/" or is_open(os.path.dirname(folder)))


def main(make):
    """For script/cluster: runs it until a signal comes."""
    var, cluster = f"{ROOT}/var", None
    os.makedirs(var, exist_ok=True)
    folder = f"{var}/cluster"
    if os.getuid() == 0 and not is_open(var):    # MariaDB's own user has folders in it; a server alone makes it for its own
        folder = f"{tempfile.gettempdir()}/rookery-cluster"
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)    # Also where a shell has it ignored
    try:
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        cluster = make(folder)
        print(f"ready {cluster.url.replace('ws:', 'http:')[:-2]} {cluster.url}  Ctrl-C ends it; logs are in {folder}; rookery ctl -e ipc://{folder}/a1.control --all status",
              flush=True)
        while all(part.process.poll() is None for part in cluster.parts):
            time.sleep(0.5)
        gone = [part for part in cluster.parts if part.process.poll() is not None]
        print("ended: " + ", ".join(f"{part.name} with status {part.process.returncode}, see {part.log}" for part in gone), file=sys.stderr)
        signal.pause()    # The rest goes on: that is what a cluster is for
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass
    finally:
        if cluster:
            cluster.end()
