#!/usr/bin/python3
#  runs: plain
"""rest.py - a process that has nothing to do does nothing: whole, halves, and with everything around it down

What is counted is how often its threads are woken (proc(5), voluntary_ctxt_switches), which is the same on any
machine; what a waking costs isn't (300 to 1,200 us were seen on one and the same). A thread that turns without ever
sleeping isn't woken at all: it takes a whole core, on a slow machine as on a fast one.
"""

import contextlib
import os
import re
import time

from rookery import Server, check, run
from services import free_port
from split import start_app, start_gateway

SECONDS = 3
MOST = 100        # wakings per second, of all threads of a process; 10 to 55 are its timers
TURNING = 0.5     # of a core


def used(server):
    """How often the server's threads have slept, and the seconds of processor time that they have taken."""
    woken = taken = 0
    for thread in os.listdir(f"/proc/{server.process.pid}/task"):
        folder = f"/proc/{server.process.pid}/task/{thread}"
        with contextlib.suppress(OSError), open(f"{folder}/schedstat") as times, open(f"{folder}/status") as status:
            taken += int(times.read().split()[0]) / 1e9
            woken += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status.read(), re.MULTILINE)[1])
    return woken, taken


def at_rest(what, *servers):
    """Each of them does nearly nothing. A first while is for what a start leaves behind."""
    try:
        time.sleep(2)
        before = [(used(server), time.monotonic()) for server in servers]
        time.sleep(SECONDS)
        for server, ((woken, taken), since) in zip(servers, before):
            now, took = used(server)
            period = time.monotonic() - since
            rate, share = (now - woken) / period, (took - taken) / period
            print(f"   {what}: woken {rate:.0f} times a second, {share * 100:.2f} % of a core", flush=True)
            check(rate < MOST and share < TURNING,
                  f"{what}: woken {rate:.0f} times a second, {share * 100:.1f} % of a core at rest\n"
                  f"{server.logged()[-2000:]}")
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
