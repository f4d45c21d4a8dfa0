#!/usr/bin/python3
#  runs: plain
"""rest.py - a process that has nothing to do does nothing: whole, halves, and with everything around it down

What is measured is the processor time that a process takes itself, so a busy machine changes nothing.
"""

import contextlib
import os
import time

from rookery import Server, check, run
from services import free_port
from split import start_app, start_gateway

SECONDS = 3
MOST = 0.01    # of a core


def spent(server):
    """Seconds of processor time that the server has taken (proc(5), schedstat of each thread)."""
    total = 0
    for thread in os.listdir(f"/proc/{server.process.pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{server.process.pid}/task/{thread}/schedstat") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def at_rest(what, *servers):
    """Each of them takes nearly nothing. A first second is for what a start leaves behind."""
    try:
        time.sleep(2)
        before = [(spent(server), time.monotonic()) for server in servers]
        time.sleep(SECONDS)
        for server, (taken, since) in zip(servers, before):
            share = (spent(server) - taken) / (time.monotonic() - since)
            print(f"   {what}: {share * 100:.2f} % of a core", flush=True)
            check(share < MOST, f"{what}: {share * 100:.1f} % of a core at rest\n{server.logged()[-2000:]}")
    finally:
        for server in servers:
            server.remove()


def nowhere():
    return f"tcp://127.0.0.1:{free_port()}"


def whole():
    at_rest("whole", Server())


def halves():
    """A gateway and an app server apart; then the app server is gone."""
    app = start_app()
    gateway = start_gateway(app, "gw9")
    at_rest("app server, gateway", app, gateway)


def alone():
    """A gateway whose app server isn't there, an app server whose gateway has gone."""
    app = start_app()
    gateway = start_gateway(app, "gw9")
    gateway.stop()
    at_rest("app server without its gateway", app)
    app = start_app()
    gateway = start_gateway(app, "gw9")
    app.stop()
    at_rest("gateway without its app server", gateway)
    at_rest("gateway whose app server never was", Server("app/enabled=0", f"gateway/app/far/upstream={nowhere()}",
                                                        f"gateway/app/far/downstream={nowhere()}"))


def down():
    """Redis, MySQL and services that aren't there."""
    at_rest("with all that it needs down",
            Server(f"redis/main/port={free_port()}", f"mysql/other/port={free_port()}", "mysql/other/user=x",
                   f"link/one/endpoint={nowhere()}", f"link/two/endpoint={nowhere()}", "link/two/type=dealer",
                   f"link/three/endpoint=@{nowhere()}", "link/three/type=pub"))


if __name__ == "__main__":
    run(whole, halves, alone, down)
