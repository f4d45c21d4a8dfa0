#!/usr/bin/python3
#  runs: asan
"""compat.py - an application of the older framework runs as it is: lua/test/older"""

import asyncio

import zmq
import zmq.asyncio

from rookery import PATIENCE, Client, Server, chat, check, run
from services import Redis, free_port

APP = "lua/app=lua/test/older"


def older_application():
    redis, port = Redis(), free_port()
    server = Server(APP, "chat/durability=relayed", f"redis/save_store/port={redis.port}",
                    f"link/damR/endpoint=tcp://127.0.0.1:{port}")

    async def test():
        ann, bob = await Client.open(server), await Client.open(server)
        for client, uid in ((ann, "ann"), (bob, "bob")):
            check(await client.ask({"uid": uid}) == {"action": "bindRsp", "ok": True}, "bind")
        users = await ann.ask({"action": "users"})
        check(users["list"] == ["ann", "bob"] and users["pools"] == 6379, users)
        for nbr in range(50):    # Many at once: each waits for Redis with its own message in hand
            await ann.send(chat("ann", "bob", f"a{nbr}"))
            await bob.send(chat("bob", "ann", f"b{nbr}"))
        for client, mine, yours in ((ann, "a", "b"), (bob, "b", "a")):
            got = [await client.receive() for _ in range(100)]
            answers = [message for message in got if message["action"] == "chatRsp"]
            check([answer["chatID"] for answer in answers] == [f"{mine}{nbr}" for nbr in range(50)], answers)
            check(all(answer["all"] == 7 and answer["n"] == 2 for answer in answers), answers[0])
            chats = [message["content"]["chatID"] for message in got if message["action"] == "chat"]
            check(chats == [f"{yours}{nbr}" for nbr in range(50)], chats)
        check(redis.ask("hget", "chats", "bob") == "50", "hincrby")
        replies = await ann.ask({"action": "replies"})
        check(replies == {"action": "repliesRsp", "set": True, "get": "OK", "none": True, "exists": True, "hset": True,
                          "hexists": False, "hgetall": {"a": "1"}, "incr": 1, "missing": 1}, replies)
        decoded = await ann.ask({"action": "decode"})
        check(not decoded["ok"] and "at byte" in decoded["why"] and decoded["null"] and decoded["sandboxed"], decoded)
        check((await ann.ask({"action": "complain"}))["action"] == "complainRsp", "complain")
        check("complaint number 1 of gw1." in server.logged(), "only.log")

        context = zmq.asyncio.Context()
        pull = context.socket(zmq.PULL)
        pull.bind(f"tcp://127.0.0.1:{port}")
        text = '{"action":"powerOn","IMEI":"864376021234567", "x" : [1] }'
        check(await ann.ask(text) == {"action": "powerOnRsp", "sent": True}, "powerOn")
        frames = await asyncio.wait_for(pull.recv_multipart(), PATIENCE)
        check(frames == [b'{"powerOn":["864376021234567"]}', text.encode()], frames)
        context.destroy(linger=0)

        broken = await ann.ask("{nonsense")
        check(broken["code"] == "bad-json" or broken["code"] == "internal", broken)
        check("not JSON" in server.logged(), "the log says why")
        check("closed closed closed" in server.ctl("handlers") and "upstream open upstream" in server.ctl("handlers"),
              server.ctl("handlers"))
        server.ctl("reload")
        check((await ann.ask({"action": "complain"}))["action"] == "complainRsp", "after a reload")
        await Client.close_all()
    try:
        asyncio.run(asyncio.wait_for(test(), PATIENCE))
        check(server.stop() == 0, "exit status")
        check(int(redis.ask("hget", "states", "connected")) == 2, "status.lua")
    except BaseException:
        print(server.logged()[-3000:])
        raise
    finally:
        server.remove()
        redis.remove()


def missing_pool():
    """A pool that the scripts name and the configuration doesn't is an error at the start."""
    try:
        Server(APP, "chat/durability=relayed", "redis/save_store/port=1")
    except AssertionError as error:
        check("deploy/link.lua: OWN_POOL.zmq.damR: there is no link/damR in the configuration" in str(error), str(error))
    else:
        check(False, "it started")


if __name__ == "__main__":
    run(older_application, missing_pool)
