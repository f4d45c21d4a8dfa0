#!/usr/bin/python3
#  runs: plain asan mysql shards
"""app.py - the chat application as clients see it: devices, redelivery, groups, owners, attachments, relayed"""

import asyncio
import json

from rookery import PATIENCE, Client, Server, chat, check, live, run


def with_server(*settings):
    """A test that gets a server of its own, which must end well."""
    def wrap(test):
        def wrapped():
            server = Server(*settings)
            live(server, lambda: test(server))
        wrapped.__name__ = test.__name__
        return wrapped
    return wrap


def group_chat(sender, gid, chat_id):
    return {"action": "chatGroup", "content": {"fromAccountID": sender, "chatGroupID": gid, "chatID": chat_id}}


async def expect_chat(client, chat_id, seq):
    message = await client.receive()
    check(message["content"]["chatID"] == chat_id and message["seq"] == seq, f"expected {chat_id} {seq}, got {message}")
    return message


async def expect_code(client, message, code):
    answer = await client.ask(message)
    check(answer["code"] == code, f"{message}: expected {code}, got {answer}")
    return answer


async def expect_nothing(client):
    """A heart is answered, and nothing came before it."""
    answer = await client.ask({"action": "heart"})
    check(answer["action"] == "heartRsp", f"unexpected: {answer}")


@with_server()
async def many_connections(server):
    """A user on several connections gets everything on each, also what another device of it said."""
    phone, desk = await Client.open(server, "ann", "phone"), await Client.open(server, "ann", "desk")
    bob, again = await Client.open(server, "bob"), await Client.open(server, "bob")
    answer = await expect_code(phone, chat("ann", "bob", "1", extra={"kept": [1, None, "x"]}), "ok")
    check(answer["seq"] == 1 and answer["conversation"] == "ann,bob", answer)
    for client in (bob, again, desk):
        message = await expect_chat(client, "1", 1)
        check(message["content"]["extra"] == {"kept": [1, None, "x"]}, "a field is lost")
    await expect_nothing(phone)
    await desk.close()
    await expect_code(bob, chat("bob", "ann", "1"), "ok")    # Another sender may use the same chatID
    await expect_chat(phone, "1", 2)
    await expect_chat(again, "1", 2)
    await expect_nothing(bob)


@with_server()
async def redelivery(server):
    """What a device hasn't acked comes again at its bind; a new device starts where the nameless one stands."""
    ann, bob = await Client.open(server, "ann"), await Client.open(server, "bob")
    for nbr in range(1, 6):
        await expect_code(ann, chat("ann", "bob", str(nbr)), "ok")
        await expect_chat(bob, str(nbr), nbr)
    answer = await expect_code(bob, {"action": "ack", "conversation": "ann,bob", "seq": 3}, "ok")
    check(answer["seq"] == 3 and (await ann.receive())["action"] == "acked", "the sender isn't told")
    await bob.close()
    for device in (None, "phone", "phone"):
        bob = await Client.open(server, "bob", device)
        for nbr in (4, 5):
            await expect_chat(bob, str(nbr), nbr)
        await expect_nothing(bob)
        await bob.close()
    bob = await Client.open(server, "bob", "phone")
    for nbr in (4, 5):
        await expect_chat(bob, str(nbr), nbr)
    await expect_code(bob, {"action": "ack", "conversation": "ann,bob", "seq": 99}, "ok")    # No further than there is
    await bob.close()
    bob = await Client.open(server, "bob", "phone")
    await expect_nothing(bob)
    nameless = await Client.open(server, "bob")
    await expect_chat(nameless, "4", 4)
    await expect_chat(nameless, "5", 5)
    await expect_code(bob, {"action": "ack", "conversation": "ann,bob", "seq": 1}, "ok")     # It never goes back
    answer = await expect_code(bob, {"action": "groups"}, "ok")
    check(answer["talks"][0]["acked"] == 5 and answer["talks"][0]["last"] == 5, answer)


@with_server("chat/page=10")
async def pages(server):
    """Much that was missed comes page by page, as it is acked."""
    ann = await Client.open(server, "ann")
    for nbr in range(1, 36):
        await expect_code(ann, chat("ann", "bob", str(nbr)), "ok")
    bob = await Client.open(server, "bob")
    came = answered = 0
    while came < 35 or answered < 4:    # Who is late with the first ack gets the next page before its answer
        message = await bob.receive()
        if message["action"] == "ackRsp":
            check(message["code"] == "ok", message)
            answered += 1
            continue
        came += 1
        check(message["content"]["chatID"] == str(came) and message["seq"] == came, message)
        if came in (10, 20, 30, 35):
            await bob.send({"action": "ack", "conversation": "ann,bob", "seq": came})
    await expect_nothing(bob)
    history = await expect_code(bob, {"action": "history", "conversation": "ann,bob", "before": 21, "limit": 5}, "ok")
    check([one["seq"] for one in history["messages"]] == [16, 17, 18, 19, 20] and history["last"] == 35, history)
    history = await expect_code(bob, {"action": "history", "conversation": "ann,bob", "after": 30, "limit": 99}, "ok")
    check([one["seq"] for one in history["messages"]] == [31, 32, 33, 34, 35], history)
    history = await expect_code(bob, {"action": "history", "conversation": "ann,bob"}, "ok")
    check([one["seq"] for one in history["messages"]] == list(range(26, 36)), history)


@with_server()
async def groups(server):
    ann, bob, eve = [await Client.open(server, name) for name in ("ann", "bob", "eve")]
    desk = await Client.open(server, "bob", "desk")
    for client in (ann, bob):
        await expect_code(client, {"action": "groupJoin", "groupID": "rooks"}, "ok")
    await ann.send(group_chat("ann", "rooks", "1"))
    kinds = sorted([(await ann.receive())["action"] for _ in range(2)])
    check(kinds == ["chatGroup", "chatGroupRsp"], kinds)
    for client in (bob, desk):    # Also the connection that didn't join itself
        await expect_chat(client, "1", 1)
    for message in (group_chat("eve", "rooks", "e"), {"action": "groupMembers", "groupID": "rooks"},
                    {"action": "history", "conversation": "rooks"}, {"action": "groupLeave", "groupID": "rooks"},
                    {"action": "ack", "conversation": "rooks", "seq": 1},
                    {"action": "history", "conversation": "ann,bob"}):
        await expect_code(eve, message, "not-member")
    answer = await expect_code(ann, {"action": "groupMembers", "groupID": "rooks"}, "ok")
    check(answer["members"] == ["ann", "bob"], answer)
    await expect_code(bob, {"action": "groupLeave", "groupID": "rooks"}, "ok")
    await ann.send(group_chat("ann", "rooks", "2"))
    await ann.receive(), await ann.receive()
    await expect_nothing(bob)
    await expect_nothing(desk)
    # One who comes later gets what comes later; the history is open to members
    await expect_code(eve, {"action": "groupJoin", "groupID": "rooks"}, "ok")
    eve2 = await Client.open(server, "eve", "other")
    await expect_nothing(eve2)
    history = await expect_code(eve, {"action": "history", "conversation": "rooks"}, "ok")
    check(len(history["messages"]) == 2, history)


@with_server("chat/groups=3", "chat/members=3")
async def owners(server):
    """Groups with owners, groups that need an invitation, and how many and how large."""
    ann, bob, eve = [await Client.open(server, name) for name in ("ann", "bob", "eve")]

    async def ask(client, action, code="ok", **more):
        return await expect_code(client, {"action": action, "groupID": "club", **more}, code)
    await ask(ann, "groupCreate", invited=True)
    await ask(bob, "groupCreate", "group-exists")
    await ask(bob, "groupJoin", "not-invited")
    await ann.send(group_chat("ann", "club", "before"))
    await ann.receive(), await ann.receive()
    for action in ("groupInvite", "groupRemove"):
        await ask(bob, action, "not-owner", uid="bob")
    await ask(bob, "groupRole", "not-owner", uid="ann", role="member")
    await ask(ann, "groupInvite", uid="bob")
    check(await bob.receive() == {"action": "groupInvited", "groupID": "club", "by": "ann"}, "not told")
    await ask(bob, "groupJoin")
    await ask(eve, "groupJoin", "not-invited")
    check((await ask(bob, "groupMembers"))["owners"] == ["ann"], "owners")
    # Who was invited sees what was said since; an invitation is good once
    history = await expect_code(bob, {"action": "history", "conversation": "club"}, "ok")
    check([one["change"] for one in history["messages"]] == ["joined"], history)
    await ask(bob, "groupLeave")
    await ask(bob, "groupJoin", "not-invited")
    # Owners make owners, and remove
    await ask(ann, "groupInvite", uid="bob")
    await bob.receive()
    await ask(bob, "groupJoin")
    await ask(ann, "groupRole", uid="bob", role="owner")
    await ask(ann, "groupRole", "not-member", uid="eve", role="owner")
    await ask(bob, "groupRole", uid="ann", role="member")
    await ask(ann, "groupRemove", "not-owner", uid="bob")
    await ask(bob, "groupRemove", uid="ann")
    check((await ann.receive())["action"] == "groupRemoved", "not told")
    await expect_code(ann, group_chat("ann", "club", "after"), "not-member")
    await bob.send(group_chat("bob", "club", "alone"))
    await bob.receive(), await bob.receive()
    await expect_nothing(ann)
    # The last owner's place goes on; a group's name and messages are not for others when all have left
    await ask(bob, "groupInvite", uid="eve")
    await eve.receive()
    await ask(eve, "groupJoin")
    await ask(bob, "groupLeave")
    check((await ask(eve, "groupMembers"))["owners"] == ["eve"], "nobody owns it")
    await ask(eve, "groupLeave")
    await ask(bob, "groupCreate", "group-exists")
    await ask(bob, "groupJoin", "not-invited")
    # How many
    for nbr in range(3):
        await expect_code(ann, {"action": "groupJoin", "groupID": f"g{nbr}"}, "ok")
    await expect_code(ann, {"action": "groupJoin", "groupID": "g3"}, "too-many")
    await expect_code(ann, {"action": "groupCreate", "groupID": "g3"}, "too-many")
    for name in ("bob", "eve", "joe"):
        client = await Client.open(server, name)
        await expect_code(client, {"action": "groupJoin", "groupID": "g0"}, "too-many" if name == "joe" else "ok")
    for message in ({"action": "groupCreate", "groupID": "a b"}, {"action": "groupCreate", "groupID": "x", "invited": 1},
                    {"action": "groupInvite", "groupID": "g0", "uid": 5}, {"action": "groupRole", "groupID": "g0", "uid": "bob"},
                    {"action": "groupRole", "groupID": "g0", "uid": "ann", "role": "owner"}):
        await expect_code(ann, message, "bad-request")


@with_server()
async def refusals(server):
    client = await Client.open(server)
    for message in (chat("ann", "bob", "1"), {"action": "groups"}, {"action": "ack", "conversation": "x", "seq": 1},
                    {"action": "groupJoin", "groupID": "g"}, {"action": "history", "conversation": "x"}):
        answer = await expect_code(client, {**message, "requestID": message["action"]}, "not-bound")
        check(answer["action"] == message["action"] + "Rsp" and answer["requestID"] == message["action"], answer)
        check("chatID" not in answer or message["action"] == "chat", f"another request's field: {answer}")
    await expect_code(client, {"uid": "ann"}, "ok")
    answer = await expect_code(client, chat("bob", "ann", "1"), "not-you")
    check(answer["chatID"] == "1" and answer["action"] == "chatRsp", answer)
    for message in (chat("ann", "b c", "1"), chat("ann", "a,b", "1"), chat("ann", "", "1"), chat("ann", "bob", ""),
                    chat("ann", "bob", "x" * 256), chat("ann", 5, "1"), chat("ann", "bob", 5), {"action": "chat", "content": 5},
                    {"action": "groupJoin", "groupID": "a b"}, {"action": "ack", "conversation": "x", "seq": 1.5},
                    {"action": "history", "conversation": "x", "limit": 0}, {"uid": "x", "device": 5}):
        await expect_code(client, message, "bad-request")
    await expect_code(client, chat("ann", "bob", "same"), "ok")
    again = await expect_code(client, chat("ann", "bob", "same"), "ok")
    check(again["seq"] == 1 and again["conversation"] == "ann,bob", again)
    # A chatID is the sender's name within a conversation: in another one it is another chat
    other = await expect_code(client, chat("ann", "eve", "same"), "ok")
    check(other["seq"] == 1 and other["conversation"] == "ann,eve", other)
    # null is as good as leaving a field out
    fresh = await Client.open(server)
    answer = await expect_code(fresh, {"action": None, "uid": "nul", "token": None, "device": None, "requestID": None}, "ok")
    check(answer["action"] == "bindRsp" and "requestID" not in answer and answer["limits"]["attachment"] == 1048576, answer)
    await expect_code(fresh, {**chat("nul", "nobody", "n", extra=None), "seq": None, "at": None}, "ok")
    answer = await expect_code(fresh, {"action": "history", "conversation": "nobody,nul", "before": None, "after": None, "limit": None}, "ok")
    check([one["seq"] for one in answer["messages"]] == [1] and answer["messages"][0]["content"]["extra"] is None, answer)
    nobody = await Client.open(server, "nobody")
    raw = await asyncio.wait_for(nobody.socket.recv(), PATIENCE)
    check(raw.count('"seq"') == 1 and raw.count('"at"') == 1, raw)    # Ours, and not its null as well
    await expect_code(fresh, {**chat("nul", "nobody", "live"), "seq": None}, "ok")
    raw = await asyncio.wait_for(nobody.socket.recv(), PATIENCE)
    check(raw.count('"seq"') == 1, raw)
    await expect_code(fresh, {"action": "groupCreate", "groupID": "nulls", "invited": None}, "ok")
    await expect_code(fresh, {"action": "groups", "after": None}, "ok")
    # A connection stays its user's
    await expect_code(client, {"uid": "eve"}, "bound")
    await expect_code(client, chat("eve", "bob", "2"), "not-you")
    ann = await Client.open(server, "ann")
    bob = await Client.open(server, "bob")
    await expect_chat(bob, "same", 1)
    await expect_code(bob, chat("bob", "ann", "3"), "ok")
    await expect_chat(ann, "3", 2)
    await expect_chat(client, "3", 2)


@with_server()
async def attachments(server):
    """A voice travels as a binary message, live and when it is delivered again, any bytes."""
    ann, bob = await Client.open(server, "ann"), await Client.open(server, "bob")
    voice = bytes(range(256)) * 400
    text = json.dumps(chat("ann", "bob", "v", isBytes=1)).encode()
    answer = await ann.ask(len(text).to_bytes(4, "big") + text + voice)
    check(answer["code"] == "ok", answer)
    check((await expect_chat(bob, "v", 1))["attachment"] == voice, "the attachment changed")
    await bob.close()
    bob = await Client.open(server, "bob")
    check((await expect_chat(bob, "v", 1))["attachment"] == voice, "the attachment changed in the store")
    history = await expect_code(bob, {"action": "history", "conversation": "ann,bob"}, "ok")
    check(history["messages"][0]["bytes"] is True, history)


@with_server("chat/durability=relayed")
async def relayed(server):
    ann, bob = await Client.open(server, "ann"), await Client.open(server, "bob")
    answer = await expect_code(ann, chat("ann", "bob", "1"), "ok")
    check("seq" not in answer and answer["at"] > 0, answer)
    check((await bob.receive())["content"]["chatID"] == "1", "relayed chat")
    await expect_code(ann, {"action": "history", "conversation": "ann,bob"}, "not-stored")
    await expect_code(ann, group_chat("ann", "g", "2"), "not-member")
    await expect_code(ann, {"action": "groupJoin", "groupID": "g"}, "ok")
    await expect_code(bob, {"action": "groupJoin", "groupID": "g"}, "ok")
    await ann.send(group_chat("ann", "g", "2"))
    check((await bob.receive())["content"]["chatID"] == "2", "relayed group chat")
    await ann.receive(), await ann.receive()
    await expect_code(ann, {"action": "groupLeave", "groupID": "g"}, "ok")
    await expect_code(ann, group_chat("ann", "g", "3"), "not-member")


@with_server("chat/devices=3", "chat/talks=3")
async def caps(server):
    """A user has so many devices, and begins so many talks; those that there are go on, and others may begin them."""
    for device in ("a", "b", "c", "a"):
        await (await Client.open(server, "ann", device)).close()
    stranger = await Client.open(server)
    await expect_code(stranger, {"uid": "ann", "device": "d"}, "too-many")
    await expect_code(stranger, {"uid": "ann", "device": "x\u0000y"}, "bad-request")
    ann = await Client.open(server, "ann", "a")
    for nbr in range(3):
        await expect_code(ann, chat("ann", f"u{nbr}", f"{nbr}"), "ok")
    await expect_code(ann, chat("ann", "u3", "3"), "too-many")
    await expect_code(ann, chat("ann", "u2", "again"), "ok")
    other = await Client.open(server, "u3")
    await expect_code(other, chat("u3", "ann", "1"), "ok")
    await expect_chat(ann, "1", 1)
    answer = await ann.ask(chat("ann", "u3", "now"))
    check(answer["code"] == "ok" and answer["seq"] == 2, answer)
    answer = await expect_code(ann, {"action": "groups", "after": "ann,u1"}, "ok")
    check([talk["conversation"] for talk in answer["talks"]] == ["ann,u2", "ann,u3"], answer)


@with_server("gateway/ping=1", "gateway/pong=1")
async def dead_connection(server):
    """A client that answers no ping is closed, and its connection is forgotten."""
    host, port = server.url[5:-3].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    check(await asyncio.wait_for(reader.read(2), PATIENCE) == b"\x89\x00", "no ping")
    check(await asyncio.wait_for(reader.read(), PATIENCE) is not None, "not closed")
    writer.close()
    alive = await Client.open(server, "ann")    # The library answers pings
    await asyncio.sleep(4)
    await expect_nothing(alive)


if __name__ == "__main__":
    run(many_connections, redelivery, pages, groups, refusals, attachments, relayed, owners, caps, dead_connection)
