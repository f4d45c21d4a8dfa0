#!/usr/bin/python3
#  runs: plain
"""examples.py - each of lua/examples does what its header says, also from the terminal client"""

import asyncio
import json
import subprocess
import sys

from rookery import PATIENCE, Client, Server, check, run
from services import MariaDB, Redis, free_port


def examples():
    redis, port = Redis(), free_port()
    server = Server("lua/app=lua/app,lua/examples", f"redis/main/port={redis.port}",
                    *MariaDB.shared().settings("main", "examples"), f"link/upper/endpoint=tcp://127.0.0.1:{port}",
                    "link/upper/type=req")

    upper = subprocess.Popen([sys.executable, "lua/examples/upper.py", f"tcp://127.0.0.1:{port}"])

    def say(message):
        """What the terminal client shows for a message that is typed as JSON."""
        done = subprocess.run([server.binary, "chat", "--as", "ann", "--url", server.url], input=json.dumps(message) + "\n",
                              stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
        lines = [line for line in done.stdout.splitlines() if line.startswith("< ")]
        check(len(lines) == 1, done.stdout)
        return json.loads(lines[0][2:])

    async def devices():
        owner, device = await Client.open(server, "ann"), await Client.open(server, "meter-1")
        report = {"action": "battery", "IMEI": "864376021234567", "owner": "ann", "level": 0.1}
        check((await device.ask(report))["code"] == "ok", "battery")
        check(await owner.receive() == {"action": "device", "IMEI": "864376021234567", "state": "low", "level": 0.1}, "low")
        check((await device.ask({**report, "level": "high"}))["code"] == "bad-request", "bad-request")
        await Client.close_all()
    try:
        check(say({"action": "echo", "say": "hi"})["said"] == "hi", "echo")
        check(say({"action": "count"})["count"] == 1, "count")
        counted = say({"action": "count"})
        check(counted["count"] == 2 and counted["leader"] == "ann", counted)
        for nbr in (1, 2):
            audit = say({"action": "audit", "event": f"it's event {nbr}"})
            check(audit["id"] == nbr and [row["event"] for row in audit["last"]][0] == f"it's event {nbr}", audit)
        check(say({"action": "upper", "text": "hi"})["text"] == "HI", "upper")
        asyncio.run(devices())
        check(server.stop() == 0, "exit status")
    finally:
        server.remove()
        redis.remove()
        upper.kill()
        upper.wait()


if __name__ == "__main__":
    run(examples)
