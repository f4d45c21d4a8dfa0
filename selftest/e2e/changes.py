#!/usr/bin/python3
#  runs: asan mysql shards
"""changes.py - what is done to messages later: edits, recalls, reactions, and what others and late devices see of them"""

import asyncio

from rookery import PATIENCE, Talker, chat, check, run
from app import with_server


async def pair(server, count=1):
    """ann and bob, and so many chats of ann that both know."""
    ann, bob = await Talker.open(server, "ann", "phone"), await Talker.open(server, "bob", "phone")
    for nbr in range(1, count + 1):
        answer = await ann.request(chat("ann", "bob", f"c{nbr}", text=f"text {nbr}", extra={"kept": 1.5}), "ok")
        check(answer["seq"] == nbr, answer)
        await bob.hear("chat", seq=nbr)
    return ann, bob


async def group(server, gid="club", *uids):
    """A group of the first of these, with the others in it; what has been heard of that is forgotten."""
    clients = [await Talker.open(server, uid, "phone") for uid in uids]
    await clients[0].ok("groupCreate", groupID=gid)
    for client in clients[1:]:
        await client.ok("groupJoin", groupID=gid)
    for client in clients:
        await client.ok("heart")
        client.heard.clear()
    return clients


def group_chat(sender, gid, chat_id, **more):
    return {"action": "chatGroup", "content": {"fromAccountID": sender, "chatGroupID": gid, "chatID": chat_id, **more}}


@with_server()
async def edited(server):
    """An edit is a numbered message; later readers get the last version, the sender the earlier ones."""
    ann, bob = await pair(server, 2)
    answer = await ann.ok("edit", conversation="ann,bob", seq=1, content={"text": "better", "extra": None}, chatID="e1")
    check((answer["seq"], answer["of"], answer["chatID"]) == (3, 1, "e1"), answer)
    got = await bob.hear("edit", of=1)
    check(got["seq"] == 3 and got["uid"] == "ann" and got["content"]["text"] == "better", got)
    check(got["content"]["fromAccountID"] == "ann" and got["content"]["chatID"] == "c1", got)
    again = await ann.ok("edit", conversation="ann,bob", seq=1, content={"text": "better"}, chatID="e1")
    check((again["seq"], again["at"]) == (3, answer["at"]), again)
    await ann.ok("edit", conversation="ann,bob", seq=1, content={"text": "best"})
    check((await bob.hear("edit", of=1))["seq"] == 4, "the second edit")
    history = (await bob.ok("history", conversation="ann,bob"))["messages"]
    check([one["seq"] for one in history] == [1, 2, 3, 4], history)
    check(history[0]["content"]["text"] == "best" and "edited" in history[0], history[0])
    check("extra" not in history[0]["content"], history[0])
    check("content" not in history[2] and history[2]["of"] == 1 and history[3]["content"]["text"] == "best", history)
    versions = (await ann.ok("versions", conversation="ann,bob", seq=1))["versions"]
    check([one["content"]["text"] for one in versions] == ["text 1", "better"], versions)
    check(versions[0]["content"]["extra"] == {"kept": 1.5} and versions[0]["at"] <= versions[1]["at"], versions)
    await bob.refused("not-allowed", "versions", conversation="ann,bob", seq=1)
    # A device that comes later sees it as it is now, in order of seq
    late = await Talker.open(server, "bob", "tablet")
    check((await late.hear("chat", seq=1))["content"]["text"] == "best", "the late device")
    for seq in (2, 3, 4):
        check((await late.receive() if not late.heard else late.heard.pop(0))["seq"] == seq, f"expected {seq}")


@with_server()
async def refusals(server):
    ann, bob = await pair(server)
    eve = await Talker.open(server, "eve")
    await bob.refused("not-allowed", "edit", conversation="ann,bob", seq=1, content={"text": "x"})
    await bob.refused("not-allowed", "recall", conversation="ann,bob", seq=1)
    for action, more in (("edit", {"content": {}}), ("recall", {}), ("react", {"key": "+"}), ("versions", {}), ("reactions", {})):
        await eve.refused("not-found", action, conversation="ann,bob", seq=1, **more)
        await ann.refused("not-found", action, conversation="ann,bob", seq=9, **more)
        await ann.refused("bad-request", action, conversation="ann,bob", seq=0, **more)
        await ann.refused("bad-request", action, conversation=7, seq=1, **more)
    await ann.refused("bad-request", "edit", conversation="ann,bob", seq=1)
    await ann.refused("bad-request", "edit", conversation="ann,bob", seq=1, content=["text"])
    await ann.refused("not-you", "edit", conversation="ann,bob", seq=1, content={"fromAccountID": "bob"})
    await ann.refused("bad-request", "react", conversation="ann,bob", seq=1, key="x" * 65)
    # What was a chat's name isn't a change's
    await ann.refused("not-allowed", "edit", conversation="ann,bob", seq=1, content={"text": "x"}, chatID="c1")
    await ann.ok("recall", conversation="ann,bob", seq=1, chatID="r1")
    await ann.refused("not-allowed", "edit", conversation="ann,bob", seq=1, content={"text": "x"})
    await ann.refused("not-found", "react", conversation="ann,bob", seq=1, key="+")
    # Neither a change nor an event can be changed
    await ann.refused("not-found", "recall", conversation="ann,bob", seq=2)
    await bob.quiet("edit", "react")


@with_server("chat/recall=0")
async def too_late(server):
    ann, bob = await pair(server)
    await ann.ok("heart")
    while (await ann.request({"action": "edit", "conversation": "ann,bob", "seq": 1, "content": {}}))["code"] == "ok":
        pass    # Within the same millisecond
    await ann.refused("not-allowed", "edit", conversation="ann,bob", seq=1, content={})
    await ann.refused("not-allowed", "recall", conversation="ann,bob", seq=1)
    ann, bob = await group(server, "club", "ann2", "bob2")
    seq = (await bob.request(group_chat("bob2", "club", "g1", text="bad"), "ok"))["seq"]
    await ann.ok("recall", conversation="club", seq=seq)    # Its owner always
    await bob.hear("recall", of=seq, uid="ann2")


@with_server()
async def recalled(server):
    """Nothing is left of what was taken back, for whoever reads it later, but for its sender and the group's owners."""
    ann, bob, eve = await group(server, "club", "ann", "bob", "eve")
    said = await bob.request(group_chat("bob", "club", "g1", text="secret", mentions=["eve"]), "ok")
    seq = said["seq"]
    await bob.ok("edit", conversation="club", seq=seq, content={"text": "secret too"})
    await eve.ok("react", conversation="club", seq=seq, key="heart")
    await eve.refused("not-allowed", "recall", conversation="club", seq=seq)
    answer = await bob.ok("recall", conversation="club", seq=seq)
    check((await bob.ok("recall", conversation="club", seq=seq))["seq"] == answer["seq"], "asked twice")
    await ann.refused("not-allowed", "recall", conversation="club", seq=seq)    # It is done
    check((await eve.hear("recall", of=seq))["seq"] == answer["seq"], "eve isn't told")
    history = await eve.ok("history", conversation="club")
    check("secret" not in str(history) and "reactions" not in history, history)
    one = next(message for message in history["messages"] if message["seq"] == seq)
    check(one["recalled"] and one["by"] == "bob" and one["content"]["chatID"] == "g1" and one["action"] == "chatGroup", one)
    check([message["seq"] for message in history["messages"]] == list(range(1, answer["seq"] + 1)), history)
    late = await Talker.open(server, "eve", "tablet")
    check("secret" not in str(await late.hear("chatGroup", seq=seq)), "the late device")
    check("secret" not in str(await late.hear("edit", of=seq)), "the late device")
    for who in (ann, bob):    # An owner, and who has said it
        versions = (await who.ok("versions", conversation="club", seq=seq))["versions"]
        check([version["content"]["text"] for version in versions] == ["secret", "secret too"], versions)
    await eve.refused("not-allowed", "versions", conversation="club", seq=seq)
    check(server.store.count("reaction") == server.store.count("mention") == 0, "a reaction or a mention is left")


@with_server()
async def attachment_recalled(server):
    ann, bob = await pair(server)
    text = '{"action":"chat","content":{"fromAccountID":"ann","toAccountID":"bob","chatID":"p1"}}'
    await ann.send(len(text).to_bytes(4, "big") + text.encode() + b"picture")
    check((await ann.hear("chatRsp"))["seq"] == 2, "the picture")
    await ann.ok("edit", conversation="ann,bob", seq=2, content={"text": "with words"})
    check((await bob.ok("attachment", conversation="ann,bob", seq=2))["attachment"] == b"picture", "the picture is still there")
    await ann.ok("recall", conversation="ann,bob", seq=2)
    await bob.refused("not-found", "attachment", conversation="ann,bob", seq=2)


@with_server()
async def reactions(server):
    ann, bob, eve = await group(server, "club", "ann", "bob", "eve")
    seq = (await ann.request(group_chat("ann", "club", "g1", text="hello"), "ok"))["seq"]
    first = await bob.ok("react", conversation="club", seq=seq, key="👍")
    check(first["seq"] == seq + 1 and first["of"] == seq, first)
    got = await ann.hear("react", of=seq)
    check((got["key"], got["on"], got["uid"], got["seq"]) == ("👍", True, "bob", seq + 1), got)
    check("seq" not in await bob.ok("react", conversation="club", seq=seq, key="👍"), "it is so already")
    await eve.ok("react", conversation="club", seq=seq, key="👍")
    await eve.ok("react", conversation="club", seq=seq, key="🎉")
    found = (await eve.ok("history", conversation="club"))["reactions"]
    check(sorted((one["key"], one["count"], one.get("mine", False)) for one in found) == sorted([("🎉", 1, True), ("👍", 2, True)]), found)
    check(all(one["seq"] == seq for one in found), found)
    who = (await ann.ok("reactions", conversation="club", seq=seq))["reactions"]
    check(sorted((one["key"], one["uid"]) for one in who) == sorted([("🎉", "eve"), ("👍", "bob"), ("👍", "eve")]), who)
    await eve.ok("react", conversation="club", seq=seq, key="🎉", on=False)
    check((await ann.hear("react", key="🎉", on=False))["uid"] == "eve", "its end isn't told")
    check("seq" not in await eve.ok("react", conversation="club", seq=seq, key="🎉", on=False), "it is so already")
    for nbr in range(10):    # No more than so many of one user
        answer = await eve.ok("react", conversation="club", seq=seq, key=f"k{nbr}")
        check(("seq" in answer) == (nbr < 7), (nbr, answer))
    check((await bob.ok("conversations"))["conversations"][0]["unread"] == 1, "reactions aren't unread")


@with_server()
async def who_may(server):
    """Who may not write can't by an edit or a reaction, only take back; what was refused changes nothing, also in the search."""
    ann, bob = await group(server, "club", "ann", "bob")
    seq = (await bob.request(group_chat("bob", "club", "1", text="wombat"), "ok"))["seq"]
    await bob.ok("search", text="wombat")

    async def refused():
        await bob.refused("not-allowed", "edit", conversation="club", seq=seq, content={"text": "platypus"})
        check("seq" not in await bob.ok("react", conversation="club", seq=seq, key="+"), "a reaction")
        await bob.refused("not-member", "typing", conversation="club")
        check(len((await bob.ok("search", text="wombat"))["messages"]) == 1 and not (await bob.ok("search", text="platypus"))["messages"], "search")
    await ann.ok("groupMute", groupID="club", uid="bob")
    await refused()
    await ann.ok("groupMute", groupID="club", uid="bob", seconds=0)
    await ann.ok("groupSet", groupID="club", writers="owners")
    await refused()
    await ann.ok("groupDissolve", groupID="club")
    await refused()
    await bob.ok("recall", conversation="club", seq=seq)
    for wrong in ([], ["x"], "x"):
        await ann.refused("bad-request", "edit", conversation="club", seq=seq, content=wrong)


@with_server()
async def many_kinds(server):
    """A chat has so many different reactions at the most, however many users there are."""
    ann, bob = await group(server, "club", "ann", "bob")
    seq = (await ann.request(group_chat("ann", "club", "1"), "ok"))["seq"]
    rows = ", ".join(f"('club', {seq}, 'u{nbr % 5}', 'k{nbr}')" for nbr in range(19))
    server.store.ask(f"INSERT INTO reaction (conversation, seq, uid, word) VALUES {rows}")
    check("seq" in await bob.ok("react", conversation="club", seq=seq, key="k19"), "the twentieth")
    check("seq" not in await bob.ok("react", conversation="club", seq=seq, key="k20"), "one too many")
    check("seq" in await bob.ok("react", conversation="club", seq=seq, key="k3"), "one that is there already")


@with_server()
async def terminal(server):
    """The terminal client says what is done to messages and groups, and acks it."""
    ann, = await group(server, "club", "ann")
    bob = await asyncio.create_subprocess_exec(server.binary, "chat", "--as", "bob", "--url", server.url, stdin=asyncio.subprocess.PIPE,
                                               stdout=asyncio.subprocess.PIPE)

    async def shows(words):
        while words not in (line := (await asyncio.wait_for(bob.stdout.readline(), PATIENCE)).decode()):
            check(line and not line.startswith("< "), f"{line!r} for {words}")
    bob.stdin.write(b"#club\n")
    await ann.hear("groupChanged", change="joined")
    await ann.ok("groupRole", groupID="club", uid="bob", role="owner")
    await shows("ann in #club: role bob")
    await ann.request(chat("ann", "bob", "1", text="hello"), "ok")
    await shows("ann: hello")
    await ann.ok("edit", conversation="ann,bob", seq=1, content={"text": "hullo"})
    await ann.ok("react", conversation="ann,bob", seq=1, key="+")
    await ann.ok("react", conversation="ann,bob", seq=1, key="+", on=False)
    await ann.ok("recall", conversation="ann,bob", seq=1)
    for words in ("ann edits 1: hullo", "ann reacts to 1: +", "ann no longer to 1: +", "ann takes back 1"):
        await shows(words)
    await ann.hear("acked", uid="bob", seq=5)
    bob.stdin.write(b"/quit\n")
    await asyncio.wait_for(bob.wait(), PATIENCE)


if __name__ == "__main__":
    run(edited, refusals, too_late, recalled, attachment_recalled, reactions, who_may, many_kinds, terminal)
