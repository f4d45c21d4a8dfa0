#!/usr/bin/python3
#  runs: asan mysql shards
"""lists.py - what a page opens with: conversations, read cursors, unread, mentions, new devices, search"""

import asyncio
import json

from rookery import PATIENCE, Talker, chat, check, run
from app import with_server
from changes import group, group_chat


async def said(client, message):
    """The seq of a chat."""
    return (await client.request(message, "ok"))["seq"]


def by_name(answer):
    return {one["conversation"]: one for one in answer["conversations"]}


@with_server()
async def read(server):
    """One cursor for all devices of a user; it goes forward only, and both sides are told."""
    ann, bob = await Talker.open(server, "ann", "phone"), await Talker.open(server, "bob", "phone")
    desk = await Talker.open(server, "bob", "desk")
    for nbr in range(1, 6):
        await said(ann, chat("ann", "bob", f"c{nbr}", text=f"text {nbr}"))
    check(by_name(await bob.ok("conversations"))["ann,bob"]["unread"] == 5, "all are unread")
    check((await bob.ok("read", conversation="ann,bob", seq=3))["seq"] == 3, "the answer")
    for client in (ann, desk):
        await client.hear("read", conversation="ann,bob", uid="bob", seq=3)
    check((await bob.ok("read", conversation="ann,bob", seq=1))["seq"] == 3, "it went back")
    one = by_name(await desk.ok("conversations"))["ann,bob"]
    check((one["unread"], one["read"], one["last"], one["uid"]) == (2, 3, 5, "ann"), one)
    mine = by_name(await ann.ok("conversations"))["ann,bob"]
    check((mine["unread"], mine["readBy"]) == (0, 3), mine)
    await said(bob, chat("bob", "ann", "mine"))
    check(by_name(await desk.ok("conversations"))["ann,bob"]["unread"] == 2, "own messages don't count")
    check((await bob.ok("read", conversation="ann,bob", seq=99))["seq"] == 6, "not beyond what there is")
    await ann.hear("read", seq=6)
    await bob.ok("read", conversation="ann,bob", seq=99)
    await ann.quiet("read")
    await bob.refused("not-member", "read", conversation="ann,eve", seq=1)
    await bob.refused("bad-request", "read", conversation="ann,bob", seq=-1)
    await bob.refused("bad-request", "read", conversation="ann,bob", seq="1")


@with_server()
async def readers(server):
    ann, bob, eve = await group(server, "club", "ann", "bob", "eve")
    seq = await said(ann, group_chat("ann", "club", "g1"))
    await bob.ok("read", conversation="club", seq=seq)
    await ann.hear("read", conversation="club", uid="bob", seq=seq)
    await eve.ok("read", conversation="club", seq=seq - 1)
    answer = await ann.ok("readers", conversation="club", seq=seq)
    check(answer["count"] == 1 and answer["readers"] == [{"uid": "bob", "seq": seq}], answer)
    answer = await ann.ok("readers", conversation="club", seq=1, limit=1)
    check(answer["count"] == 2 and answer["more"] and [one["uid"] for one in answer["readers"]] == ["bob"], answer)
    answer = await ann.ok("readers", conversation="club", seq=1, limit=1, after="bob")
    check([one["uid"] for one in answer["readers"]] == ["eve"], answer)
    await (await Talker.open(server, "zed")).refused("not-member", "readers", conversation="club", seq=1)


@with_server()
async def order(server):
    """Newest first, pinned before them, page by page; what was said last, whoever said it."""
    ann = await Talker.open(server, "ann", "phone")
    for nbr in range(12):
        await said(ann, chat("ann", f"u{nbr:02}", "1", text=f"hello {nbr}" + "é" * 200))
    await ann.ok("conversationSet", conversation="ann,u03", pinned=True)
    names = [one["conversation"] for one in (await ann.ok("conversations"))["conversations"]]
    check(names[0] == "ann,u03" and sorted(names) == sorted(f"ann,u{nbr:02}" for nbr in range(12)), names)
    found, after = [], None
    while True:
        answer = await ann.ok("conversations", limit=5, **({"after": after} if after else {}))
        found += answer["conversations"]
        after = answer.get("next")
        if not after:
            break
    check([one["conversation"] for one in found] == names, found)
    check(found[0]["pinned"] and [one["at"] for one in found[1:]] == sorted((one["at"] for one in found[1:]), reverse=True), found)
    check(found[0]["message"]["text"].startswith("hello 3") and len(found[0]["message"]["text"].encode()) <= 160, found[0])
    # What was said last is what people read, not a change of it
    bob = await Talker.open(server, "u03", "phone")
    await bob.ok("react", conversation="ann,u03", seq=1, key="+")
    one = by_name(await ann.ok("conversations"))["ann,u03"]
    check(one["last"] == 2 and one["message"]["text"].startswith("hello 3") and one["unread"] == 0, one)
    await ann.ok("recall", conversation="ann,u03", seq=1)
    check(by_name(await bob.ok("conversations"))["ann,u03"]["message"].get("recalled"), "it was taken back")
    # Muted for a while, for ever, no more; the other devices learn it
    desk = await Talker.open(server, "ann", "desk")
    for muted, good in ((60, lambda till: 0 < till < 1 << 53), (True, lambda till: till == 1 << 53), (False, lambda till: till == 0)):
        answer = await ann.ok("conversationSet", conversation="ann,u03", muted=muted)
        check(good(answer["mutedTill"]) and answer["pinned"], answer)
        await desk.hear("conversationChanged", conversation="ann,u03", mutedTill=answer["mutedTill"], pinned=True)
    for wrong in ({}, {"muted": -1}, {"muted": "x"}, {"pinned": 1}):
        await ann.refused("bad-request", "conversationSet", conversation="ann,u03", **wrong)
    await ann.refused("not-member", "conversationSet", conversation="club", pinned=True)
    await ann.refused("bad-request", "conversations", after="x")


@with_server()
async def groups_in_the_list(server):
    ann, bob, eve = await group(server, "club", "ann", "bob", "eve")
    await said(ann, group_chat("ann", "club", "g1", text="dear all", mentions=["all"]))
    await said(ann, group_chat("ann", "club", "g2", text="dear eve", mentions=["eve", "nobody"]))
    await bob.refused("not-owner", "chatGroup", content={"fromAccountID": "bob", "chatGroupID": "club", "chatID": "g3", "mentions": ["all"]})
    for wrong in ("all", ["a b"], ["x"] * 51, [7]):
        await bob.refused("bad-request", "chatGroup", content={"fromAccountID": "bob", "chatGroupID": "club", "chatID": "g3", "mentions": wrong})
    one, two = [by_name(await client.ok("conversations"))["club"] for client in (bob, eve)]
    check((one["kind"], one["members"], one["unread"], one["mentions"]) == ("group", 3, 2, 1), one)
    check((two["unread"], two["mentions"], two["message"]["text"], two["message"]["sender"]) == (2, 2, "dear eve", "ann"), two)
    check(by_name(await ann.ok("conversations"))["club"]["owner"], "the owner")
    await eve.ok("read", conversation="club", seq=two["last"])
    two = by_name(await eve.ok("conversations"))["club"]
    check((two["unread"], two["mentions"]) == (0, 0), two)
    # Who comes by invitation doesn't see what was said before
    await ann.ok("groupCreate", groupID="den", joining="invitation", name="The den")
    await said(ann, group_chat("ann", "den", "d1", text="secret"))
    await ann.ok("groupInvite", groupID="den", uid="bob")
    await bob.ok("groupJoin", groupID="den")
    den = by_name(await bob.ok("conversations"))["den"]
    check(den["name"] == "The den" and "secret" not in json.dumps(den) and den["unread"] == 0, den)


@with_server()
async def new_device(server):
    """A device that was never here starts where its user has read."""
    ann, bob = await Talker.open(server, "ann", "phone"), await Talker.open(server, "bob", "phone")
    for nbr in range(1, 8):
        await said(ann, chat("ann", "bob", f"c{nbr}"))
    await bob.ok("read", conversation="ann,bob", seq=5)
    desk = await Talker.open(server, "bob", "desk")
    check((await desk.receive())["seq"] == 6 and (await desk.receive())["seq"] == 7, "it starts elsewhere")
    await desk.quiet("chat")
    nameless = await Talker.open(server, "bob")
    check((await nameless.hear("chat"))["seq"] == 6, "the nameless one, too")
    # A device of old keeps what it hasn't acked, whatever was read elsewhere
    await bob.close()
    bob = await Talker.open(server, "bob", "phone")
    check((await bob.hear("chat"))["seq"] == 1, "the old device")
    answer = await ann.request(chat("ann", "nobody", "n1"), "ok")
    check(answer["known"] is False, answer)
    check((await ann.request(chat("ann", "nobody", "n2"), "ok"))["known"] is False, "the second time")
    check("known" not in await ann.request(chat("ann", "bob", "n2"), "ok"), "bob is known")
    await Talker.open(server, "nobody")
    check("known" not in await ann.request(chat("ann", "nobody", "n3"), "ok"), "now it is")


@with_server("chat/devices=3")
async def too_many_devices(server):
    """The device that wasn't seen for the longest makes room, when that is more than a day."""
    for device in ("one", "two", "three"):
        await Talker.open(server, "ann", device)
    ann = await Talker.open(server)
    await ann.request({"uid": "ann", "device": "four"}, "too-many")
    server.store.ask("UPDATE device SET seen = seen - 5 WHERE device = 'two'")
    await ann.request({"uid": "ann", "device": "four"}, "ok")
    names = sorted(row[0] for row in server.store.ask("SELECT device FROM device WHERE uid = 'ann'"))
    check(names == ["four", "one", "three"], names)


@with_server("chat/groups=2")
async def owned_too_many(server):
    """A group that all have left isn't made anew by who is in as many as may be."""
    ann = await Talker.open(server, "ann")
    await ann.ok("groupCreate", groupID="old")
    await ann.ok("groupLeave", groupID="old")
    for gid in ("one", "two"):
        await ann.ok("groupCreate", groupID=gid)
    await ann.refused("too-many", "groupCreate", groupID="old")
    check(server.store.count("member WHERE conversation = 'old'") + server.store.count("owner WHERE conversation = 'old'") == 0, "it is")
    await ann.ok("groupLeave", groupID="two")
    await ann.ok("groupCreate", groupID="old")


@with_server()
async def search(server):
    ann, bob, eve = await group(server, "club", "ann", "bob", "eve")
    texts = ["Hello World", "Die Ärzte kommen aus Berlin", "我明天去上海出差，你来吗？", "déjà vu", "ok", "the cat",
             "上下海里", "한국어 텍스트", "東京タワーで会いましょう", "user@example.org wrote", "x" * 9000 + " tail", "O'Reilly said \"no\" (twice) +1 -2 *"]
    for nbr, text in enumerate(texts):
        await said(ann, chat("ann", "bob", f"c{nbr}", text=text))
    await said(eve, chat("eve", "zed", "z1", text="Hello from elsewhere"))
    await said(eve, group_chat("eve", "club", "g1", text="hello club"))

    async def found(client, text, **more):
        answer = await client.ok("search", text=text, **more)
        return [(one["conversation"], one["message"]["content"]["text"]) for one in answer["messages"]]
    for text, nbrs in (("world", [0]), ("WORL", [0]), ("arzte", [1]), ("ÄRZTE", [1]), ("berlin kommen", [1]), ("上海", [2]), ("上海出差", [2]),
                       ("海", [2, 6]), ("明天", [2]), ("deja", [3]), ("vu déjà", [3]), ("ok", [4]), ("the", [5]), ("cat", [5]), ("上下", [6]),
                       ("한국", [7]), ("東京", [8]), ("会い", [8]), ("example", [9]), ("user@example.org", [9]), ("nothing", []), ("orld", []),
                       ("reilly no", [11]), ("\"no\"", [11]), ("hello -world", [0])):
        got = await found(bob, text, conversation="ann,bob")
        check(sorted(got) == sorted(("ann,bob", texts[nbr]) for nbr in nbrs), f"{text}: {got}")
    check([where for where, _ in await found(bob, "hello")] == ["club", "ann,bob"], "own conversations, newest first")
    check(await found(eve, "ärzte") == [], "not hers")
    await eve.refused("not-member", "search", text="hello", conversation="ann,bob")
    for wrong in ("", " ,.-", "()"):
        await bob.refused("bad-request", "search", text=wrong)
    await bob.refused("bad-request", "search", text=5)
    await bob.refused("bad-request", "search", text="x", before="y")
    # Page by page
    answer = await bob.ok("search", text="hello", limit=1)
    check(answer["messages"][0]["conversation"] == "club", answer)
    answer = await bob.ok("search", text="hello", limit=1, before=answer["next"])
    check(answer["messages"][0]["conversation"] == "ann,bob", answer)
    # Edits and recalls follow, of what is in the index and of what isn't yet
    await ann.ok("edit", conversation="ann,bob", seq=1, content={"text": "Goodbye 北京"})
    check(await found(bob, "world") == [] and len(await found(bob, "北京")) == 1 and len(await found(bob, "goodb")) == 1, "the edit")
    await ann.ok("recall", conversation="ann,bob", seq=1)
    check(await found(bob, "goodbye") == [], "the recall")
    seq = await said(ann, chat("ann", "bob", "n1", text="zebra"))
    await ann.ok("edit", conversation="ann,bob", seq=seq, content={"text": "giraffe"})
    check(await found(bob, "zebra") == [] and len(await found(bob, "giraffe")) == 1, "an edit of what wasn't in the index")
    seq = await said(ann, chat("ann", "bob", "n2", text="lion"))
    await ann.ok("recall", conversation="ann,bob", seq=seq)
    check(await found(bob, "lion") == [], "a recall of what wasn't in the index")


@with_server("chat/attachment=1000000", "gateway/message=2000000")
async def large(server):
    """Texts that are dear to search and long ones to show break nobody's list and search."""
    await (await Talker.open(server, "bob", "phone")).close()
    words = " ".join("abcdefghij"[nbr % 10] for nbr in range(4096))
    eve = await Talker.open(server, "eve")
    for nbr in range(120):
        await said(eve, chat("eve", "bob", f"c{nbr}", text=words))
    for nbr in range(30):
        one = await Talker.open(server, f"u{nbr:02}")
        await said(one, chat(one.uid, "bob", "1", text="x" * 900_000))
        await one.close()
    await said(eve, chat("eve", "bob", "last", text="needle " + json.dumps("上海")[1:-1]))
    server.store.ask("UPDATE member SET read_seq = 200 WHERE uid = 'bob'")    # Else all of it comes
    bob = await Talker.open(server, "bob", "desk")
    answer = await bob.ok("search", text="needle")
    while answer.get("indexing"):
        answer = await bob.ok("search", text="needle")
    check(len(answer["messages"]) == 1, answer)
    answer = await bob.ok("conversations")
    check(len(answer["conversations"]) == 31 and "text" not in answer["conversations"][5]["message"], answer["conversations"][5])
    # Escaped on the way it is found as well; and words of one letter
    await bob.send('{"action":"chat","content":{"fromAccountID":"bob","toAccountID":"eve","chatID":"e1","text":"plan b in \\u4e0a\\u6d77"}}')
    await bob.hear("chatRsp")
    for text in ("上海", "plan b", "b 上海"):
        check(any("plan" in one["message"]["content"]["text"] for one in (await bob.ok("search", text=text))["messages"]), text)
    # Page by page, whatever fits
    for nbr in range(10):
        await said(eve, chat("eve", "bob", f"p{nbr}", text="kiwi " + "y" * 60_000))
    found, before = [], {}
    while True:
        answer = await bob.ok("search", text="kiwi", limit=5, **before)
        found += [one["message"]["content"]["chatID"] for one in answer["messages"]]
        if not answer.get("next"):
            break
        before = {"before": answer["next"]}
    check(found == [f"p{nbr}" for nbr in reversed(range(10))], found)
    for _ in range(40):
        await said(eve, chat("eve", "ann", f"s{_}", text="z" * 900_000))
    lines = server.ctl("export", "eve").split("\n")
    check(sum('"kind":"message"' in line for line in lines) == 171, len(lines))
    check("is erased" in server.ctl("erase", "eve"), "erase")


DAY = 86400000    # msec


async def until(server, statement, rows):
    """Until the store says so."""
    for _ in range(PATIENCE * 5):
        if (got := server.store.ask(statement)) == rows:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{statement}: {got}, not {rows}")


@with_server("chat/keep=10", "chat/device_days=5")
async def kept(server):
    """Old messages and devices go; seqs go on, and the last message stays as an empty one."""
    ann, bob, _ = await group(server, "club", "ann", "bob", "eve")
    for nbr in range(1, 6):
        await said(ann, chat("ann", "bob", f"c{nbr}", text="old" if nbr < 4 else "new"))
        await said(ann, group_chat("ann", "club", f"g{nbr}", text="gone"))
    await ann.ok("search", text="old")
    await ann.ok("react", conversation="ann,bob", seq=1, key="+")
    await ann.ok("groupSet", groupID="club", keep=3)
    last = (await ann.ok("history", conversation="club"))["last"]
    server.store.ask(f"UPDATE message SET at = at - {11 * DAY} WHERE conversation = 'ann,bob' AND seq < 4")
    server.store.ask(f"UPDATE message SET at = at - {4 * DAY} WHERE conversation = 'club'")
    server.store.ask("UPDATE device SET seen = seen - 6 WHERE uid = 'eve'")
    await until(server, "SELECT seq FROM message WHERE conversation = 'ann,bob' ORDER BY seq", [["4"], ["5"], ["6"]])
    await until(server, "SELECT seq FROM message WHERE conversation = 'club'", [[str(last)]])
    await until(server, "SELECT device FROM device WHERE uid = 'eve'", [])
    check(server.store.count("reaction") == 0, "a reaction is left")
    check((await bob.ok("search", text="old"))["messages"] == [], "it is still found")
    messages = (await bob.ok("history", conversation="club"))["messages"]
    check(len(messages) == 1 and messages[0]["recalled"] and "gone" not in str(messages), messages)
    check(await said(ann, group_chat("ann", "club", "n1")) == last + 1, "seqs begin anew")
    check(by_name(await bob.ok("conversations"))["club"]["unread"] == 1, "what is gone isn't unread")


@with_server("chat/page=10")
async def erased(server):
    """All of a user can be given out; and taken away, but for the places of its messages."""
    ann, bob, eve = await group(server, "club", "ann", "bob", "eve")
    await eve.ok("profile", name="Eve", text="here")
    await eve.ok("contactAdd", uid="bob")
    for nbr in range(250):
        await said(eve, chat("eve", "bob", f"c{nbr}", text=f"secret {nbr}"))
    await said(bob, chat("bob", "eve", "b1", text="answer"))
    await said(eve, group_chat("eve", "club", "g1", text="secret"))
    await eve.ok("edit", conversation="bob,eve", seq=7, content={"text": "secret too"})
    await eve.ok("react", conversation="bob,eve", seq=251, key="+")
    await bob.ok("search", text="secret")
    lines = [json.loads(line) for line in server.ctl("export", "eve").split("\n")]
    kinds = [line["kind"] for line in lines]
    check([kinds.count(kind) for kind in ("profile", "device", "contact", "conversation", "message")] == [1, 1, 1, 2, 254], kinds)
    texts = {line["message"]["content"]["text"] for line in lines if line["kind"] == "message" and line["message"]["action"] == "chat"}
    check(texts == {f"secret {nbr}" for nbr in range(250) if nbr != 6} | {"secret too"}, texts)
    check("eve is erased" in server.ctl("erase", "eve"), "erase")
    server.ctl("kick", "eve")
    check(json.loads(server.ctl("export", "eve"))["conversation"] == "bob,eve", "more is left than the name of a talk")
    for client, talk in ((bob, "bob,eve"), (ann, "club")):
        seqs, after = [], 0
        while True:
            answer = await client.ok("history", conversation=talk, after=after)
            if not answer["messages"]:
                break
            seqs += [one["seq"] for one in answer["messages"]]
            check("secret" not in str(answer) and "reactions" not in answer, answer)
            after = seqs[-1]
        check(seqs == list(range(1, answer["last"] + 1)), f"{talk} has gaps: {seqs}")
    check((await bob.ok("search", text="secret"))["messages"] == [] and len((await bob.ok("search", text="answer"))["messages"]) == 1, "search")
    check((await ann.ok("groupMembers", groupID="club"))["members"] == ["ann", "bob"], "it is still in the group")
    check(not (await bob.ok("users", uids=["eve"]))["users"][0]["known"], "it is known")
    check((await bob.ok("contacts"))["contacts"] == [], "it is a contact")
    for words, why in ((("erase", "a b"), "UID expected"), (("export",), "UID expected"), (("erase", ""), "UID expected")):
        check(why in server.ctl(*words, good=False), words)


if __name__ == "__main__":
    run(read, readers, order, groups_in_the_list, new_device, too_many_devices, owned_too_many, search, large, kept, erased)
