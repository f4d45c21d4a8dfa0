#!/usr/bin/python3
#  runs: asan mysql shards
"""people.py - profiles, contacts, blocks, typing; groups that are like something, and whose members learn each change"""

from rookery import Talker, chat, check, run
from app import with_server
from changes import group, group_chat


async def three(server):
    return [await Talker.open(server, uid, "phone") for uid in ("ann", "bob", "eve")]


@with_server()
async def profiles(server):
    ann, bob, _ = await three(server)
    desk = await Talker.open(server, "ann", "desk")
    await ann.ok("profile", name="Ann Zoë 上海", text="hello")
    await desk.hear("profileChanged", uid="ann", name="Ann Zoë 上海", text="hello")
    await ann.ok("profile", picture="https://example.org/1.png")
    await ann.refused("not-found", "profile", picture="/media/1")
    answer = await bob.ok("users", uids=["ann", "bob", "nobody", "ann"])
    check([one["uid"] for one in answer["users"]] == ["ann", "bob", "nobody", "ann"], answer)
    one = answer["users"][0]
    check((one["name"], one["text"], one["picture"], one["known"]) == ("Ann Zoë 上海", "hello", "https://example.org/1.png", True), one)
    check(answer["users"][1]["known"] and not answer["users"][2]["known"], answer)
    await ann.ok("profile", name="")
    check((await bob.ok("users", uids=["ann"]))["users"][0]["name"] == "", "it can be emptied")
    # Another system says it for her
    check(server.ctl("profile", "ann", '{"name":"Ann of the tower"}') == "the profile of ann is set", "ctl profile")
    await desk.hear("profileChanged", uid="ann", name="Ann of the tower")
    one = (await bob.ok("users", uids=["ann"]))["users"][0]
    check((one["name"], one["text"]) == ("Ann of the tower", "hello"), one)
    for words, why in (((), "UID expected"), (("ann",), "an object"), (("ann", "{"), "an object"), (("ann", "[1]"), "an object"), (("ann", '{"name":5}'), "name must be"),
                       (("a b", '{"name":"x"}'), "UID JSON expected")):
        check(why in server.ctl("profile", *words, good=False), words)
    await ann.ok("profile", name="")
    for wrong in ({}, {"name": 5}, {"name": "x" * 257}):
        await ann.refused("bad-request", "profile", **wrong)
    for wrong in ("ann", ["a b"], [str(nbr) for nbr in range(51)], {"0": "ann"}):
        await ann.refused("bad-request", "users", uids=wrong)
    await ann.request(chat("ann", "bob", "1"), "ok")
    check((await bob.ok("conversations"))["conversations"][0].get("name") == "", "the list shows it")


@with_server()
async def contacts(server):
    ann, bob, eve = await three(server)
    check((await ann.ok("contactAdd", uid="bob"))["state"] == "asked", "asked")
    await bob.hear("contactChanged", uid="ann", state="asks")
    check((await ann.ok("contactAdd", uid="bob"))["state"] == "asked", "asked twice")
    await bob.quiet("contactChanged")
    await ann.refused("not-found", "contactAccept", uid="bob")    # Nobody accepts oneself
    await eve.refused("not-found", "contactAccept", uid="ann")
    await bob.ok("contactAccept", uid="ann")
    await ann.hear("contactChanged", uid="bob", state="contact")
    # Who asks one that has asked it is its contact
    await eve.ok("contactAdd", uid="ann")
    await ann.hear("contactChanged", uid="eve", state="asks")
    check((await ann.ok("contactAdd", uid="eve"))["state"] == "contact", "both have asked")
    await eve.hear("contactChanged", uid="ann", state="contact")
    got = (await ann.ok("contacts"))["contacts"]
    check([(one["uid"], one["state"]) for one in got] == [("bob", "contact"), ("eve", "contact")], got)
    got = await ann.ok("contacts", limit=1)
    check(got["more"] and [one["uid"] for one in (await ann.ok("contacts", after="bob"))["contacts"]] == ["eve"], got)
    await bob.ok("contactRemove", uid="ann")
    await ann.hear("contactChanged", uid="bob", state="none")
    check([one["uid"] for one in (await ann.ok("contacts"))["contacts"]] == ["eve"], "bob is still there")
    check(server.store.count("contact") == 2, "rows are left")
    await ann.refused("bad-request", "contactAdd", uid="ann")


@with_server()
async def blocks(server):
    """Who is blocked is told nothing but not-allowed, and what it says doesn't come; chats of before are as they were."""
    ann, bob, eve = await three(server)
    await ann.request(chat("ann", "bob", "1"), "ok")
    await bob.hear("chat", seq=1)
    await bob.ok("block", uid="ann")
    await bob.ok("block", uid="eve")
    for sender, client in (("ann", ann), ("eve", eve)):    # One has talked to bob before, the other hasn't
        for chat_id in ("2", "2", "3"):
            answer = await client.request(chat(sender, "bob", chat_id), "not-allowed")
            check("block" not in answer["message"], answer)
    check((await ann.request(chat("ann", "bob", "1"), "ok"))["seq"] == 1, "what was answered is answered again")
    await ann.refused("not-allowed", "edit", conversation="ann,bob", seq=1, content={"text": "x"})
    await ann.refused("not-member", "typing", conversation="ann,bob")
    check("seq" not in await ann.ok("react", conversation="ann,bob", seq=1, key="+"), "a reaction")
    await bob.quiet("chat", "edit", "typing", "react")
    await bob.request(chat("bob", "ann", "b1"), "ok")    # The other way it goes on
    got = (await bob.ok("contacts"))["contacts"]
    check([(one["uid"], one["state"], one["blocked"]) for one in got] == [("ann", "none", True), ("eve", "none", True)], got)
    await ann.ok("contactAdd", uid="bob")
    await bob.quiet("contactChanged")
    await bob.ok("block", uid="ann", blocked=False)
    answer = await ann.request(chat("ann", "bob", "3"), "ok")
    check(answer["seq"] == 3, answer)
    await bob.hear("chat", seq=3)
    check([(one["uid"]) for one in (await eve.ok("conversations"))["conversations"]] == [], "eve has no talk with bob")


@with_server("chat/strangers=contacts")
async def strangers(server):
    ann, bob, _ = await three(server)
    await ann.request(chat("ann", "bob", "1"), "not-allowed")
    await ann.request(chat("ann", "ann", "1"), "ok")    # A note to oneself
    await ann.ok("contactAdd", uid="bob")
    await ann.request(chat("ann", "bob", "1"), "not-allowed")
    await bob.ok("contactAccept", uid="ann")
    await ann.request(chat("ann", "bob", "1"), "ok")
    await ann.request(chat("ann", "bob", "2"), "ok")
    await bob.ok("block", uid="ann")
    await ann.request(chat("ann", "bob", "3"), "not-allowed")


@with_server()
async def typing(server):
    ann, bob, eve = await group(server, "club", "ann", "bob", "eve")
    await ann.request(chat("ann", "bob", "1"), "ok")
    await ann.send({"action": "typing", "conversation": "ann,bob"})
    await bob.hear("typing", conversation="ann,bob", uid="ann")
    await bob.send({"action": "typing", "conversation": "club"})
    for client in (ann, eve):
        await client.hear("typing", conversation="club", uid="bob")
    await ann.quiet("typingRsp")
    await eve.quiet("typing")
    await eve.refused("not-member", "typing", conversation="ann,bob")
    await eve.refused("not-member", "typing", conversation="other")
    await eve.refused("bad-request", "typing")
    check(server.store.count("message WHERE conversation = 'ann,bob'") == 1, "it is stored")


@with_server("chat/durability=relayed")
async def relayed(server):
    ann, bob = await Talker.open(server, "ann"), await Talker.open(server, "bob")
    await ann.send({"action": "typing", "conversation": "ann,bob"})
    await bob.hear("typing", uid="ann")
    for action, more in (("read", {"conversation": "ann,bob", "seq": 1}), ("conversations", {}), ("contacts", {}), ("search", {"text": "x"}),
                         ("edit", {"conversation": "ann,bob", "seq": 1, "content": {}}), ("groupCreate", {"groupID": "g"})):
        await ann.refused("not-stored", action, **more)
    await ann.refused("not-member", "typing", conversation="club")
    await ann.ok("groupJoin", groupID="club")
    await bob.ok("groupJoin", groupID="club")
    await ann.send({"action": "typing", "conversation": "club"})
    await bob.hear("typing", conversation="club")


def changes_of(client):
    return [(got["change"], got.get("uid"), got["by"], got["seq"]) for got in client.heard if got["action"] == "groupChanged"]


@with_server()
async def told(server):
    """Each change of a group is a numbered message: who was away learns it as all else."""
    ann, bob, eve = await three(server)
    await ann.ok("groupCreate", groupID="club", name="The club")
    await bob.ok("groupJoin", groupID="club")
    await eve.ok("groupJoin", groupID="club")
    await eve.close()
    await ann.ok("groupRole", groupID="club", uid="bob", role="owner")
    await bob.ok("groupSet", groupID="club", description="of rooks", announcement="at noon", writers="owners", picture="/p")
    await ann.ok("groupMute", groupID="club", uid="eve", seconds=60)
    await ann.ok("groupTransfer", groupID="club", uid="eve")
    await ann.ok("groupLeave", groupID="club")
    await bob.ok("groupRemove", groupID="club", uid="eve")
    await bob.quiet()
    expected = [("created", "ann", "ann", 1), ("joined", "bob", "bob", 2), ("joined", "eve", "eve", 3), ("role", "bob", "ann", 4),
                ("set", None, "bob", 5), ("muted", "eve", "ann", 6), ("transferred", "eve", "ann", 7), ("left", "ann", "ann", 8),
                ("removed", "eve", "bob", 9)]
    check(changes_of(bob) == expected[1:], changes_of(bob))
    check(changes_of(ann) == expected[:7], changes_of(ann))
    late = await Talker.open(server, "bob", "tablet")
    await late.hear("groupChanged", seq=9)
    set_ = next(got for got in late.heard if got["action"] == "groupChanged" and got["seq"] == 5)["set"]
    check(set_ == {"description": "of rooks", "announcement": "at noon", "writers": "owners", "picture": "/p"}, set_)
    check(changes_of(late) == expected[1:8], changes_of(late))
    history = await bob.ok("history", conversation="club")
    check([one["change"] for one in history["messages"]] == [one[0] for one in expected], history)
    info = await bob.ok("groupInfo", groupID="club")
    check((info["name"], info["description"], info["announcement"], info["writers"], info["joining"], info["members"], info["owner"])
          == ("The club", "of rooks", "at noon", "owners", "open", 1, True), info)
    await ann.refused("not-member", "groupInfo", groupID="club")
    # What changed nothing isn't told
    await bob.refused("not-member", "groupMute", groupID="club", uid="eve")
    await bob.refused("not-member", "groupRole", groupID="club", uid="eve", role="owner")
    await bob.ok("groupJoin", groupID="club")
    await bob.quiet()
    check(len(changes_of(bob)) == 8, changes_of(bob))
    # A group that nobody made tells nothing
    await ann.ok("groupJoin", groupID="open")
    await bob.ok("groupJoin", groupID="open")
    check((await ann.request(group_chat("ann", "open", "1"), "ok"))["seq"] == 1, "an open group")


@with_server()
async def who_writes(server):
    ann, bob, eve = await group(server, "club", "ann", "bob", "eve")
    await ann.ok("groupMute", groupID="club", uid="bob")
    answer = await bob.request(group_chat("bob", "club", "1"), "not-allowed")
    check("muted" in answer["message"], answer)
    await bob.refused("not-member", "typing", conversation="club")
    check((await ann.ok("groupMembers", groupID="club"))["silenced"] == ["bob"], "who is muted")
    check((await bob.ok("groupInfo", groupID="club"))["mutedTill"] == 1 << 53, "for ever")
    await ann.ok("groupMute", groupID="club", uid="bob", seconds=0)
    await bob.request(group_chat("bob", "club", "1"), "ok")
    await ann.ok("groupSet", groupID="club", writers="owners")
    await eve.request(group_chat("eve", "club", "1"), "not-allowed")
    await ann.request(group_chat("ann", "club", "1"), "ok")
    await ann.ok("groupSet", groupID="club", writers="all")
    await eve.request(group_chat("eve", "club", "1"), "ok")
    await ann.ok("groupDissolve", groupID="club")
    await eve.hear("groupChanged", change="dissolved")
    for client in (ann, eve):
        await client.request(group_chat(client.uid, "club", "2"), "not-allowed")
    await (await Talker.open(server, "zed")).refused("not-allowed", "groupJoin", groupID="club")
    check(len((await eve.ok("history", conversation="club"))["messages"]) > 3, "it can be read")
    for action in ("groupSet", "groupMute", "groupDissolve", "groupBan", "groupTransfer", "groupAnswer", "groupInvitations"):
        more = {"uid": "ann", "name": "x", "accept": True, "which": "asks"}
        await eve.refused("not-owner", action, groupID="club", **more)
        await eve.refused("bad-request", action, groupID="c b", **more)
    await ann.refused("bad-request", "groupSet", groupID="club")
    await ann.refused("bad-request", "groupSet", groupID="club", writers="nobody")
    for client in (ann, bob, eve):
        await client.ok("groupLeave", groupID="club")
    await eve.ok("groupCreate", groupID="club")    # Who left last may make it anew, and write
    await eve.request(group_chat("eve", "club", "3"), "ok")


@with_server()
async def by_request(server):
    ann, bob, eve = await three(server)
    await ann.ok("groupCreate", groupID="club", joining="request")
    check((await bob.ok("groupJoin", groupID="club"))["asked"], "bob is in")
    await ann.hear("groupAsked", groupID="club", uid="bob")
    check((await bob.ok("groupJoin", groupID="club"))["asked"], "bob is in")
    await eve.ok("groupJoin", groupID="club")
    check((await ann.ok("groupInvitations", groupID="club", which="asks"))["uids"] == ["bob", "eve"], "who asks")
    await bob.refused("not-member", "groupInfo", groupID="club")
    await ann.ok("groupAnswer", groupID="club", uid="eve", accept=False)
    await eve.hear("groupAnswered", groupID="club", accept=False)
    await ann.ok("groupAnswer", groupID="club", uid="bob", accept=True)
    await bob.hear("groupAnswered", groupID="club", accept=True)
    await ann.hear("groupChanged", change="joined", uid="bob", by="ann")
    await ann.request(group_chat("ann", "club", "1", text="welcome"), "ok")
    await bob.hear("chatGroup")
    await ann.refused("not-found", "groupAnswer", groupID="club", uid="eve", accept=True)
    await ann.ok("groupInvite", groupID="club", uid="eve")    # An owner's invitation is no question
    await eve.ok("groupJoin", groupID="club")
    await eve.ok("groupInfo", groupID="club")


@with_server()
async def banned(server):
    ann, bob, eve = await group(server, "club", "ann", "bob", "eve")
    answer = await ann.ok("groupBan", groupID="club", uid="bob")
    check(answer["banned"] is True, answer)
    await bob.hear("groupRemoved", groupID="club")
    await eve.hear("groupChanged", change="banned", uid="bob")
    await bob.refused("not-allowed", "groupJoin", groupID="club")
    await ann.request(group_chat("ann", "club", "1"), "ok")
    await bob.quiet("chatGroup")
    check((await ann.ok("groupInvitations", groupID="club", which="banned"))["uids"] == ["bob"], "who is banned")
    await ann.ok("groupBan", groupID="club", uid="bob", banned=False)
    await bob.ok("groupJoin", groupID="club")
    await ann.ok("groupBan", groupID="club", uid="zed")    # Who never was there, as well
    await (await Talker.open(server, "zed")).refused("not-allowed", "groupJoin", groupID="club")
    await ann.ok("groupInvite", groupID="club", uid="zed")    # An invitation ends it
    await (await Talker.open(server, "zed")).ok("groupJoin", groupID="club")
    await ann.refused("bad-request", "groupBan", groupID="club", uid="ann")


@with_server()
async def against_their_will(server):
    """Nobody is put into a group, nor told of one, by somebody it has blocked; a ban and a mute hold, whoever leaves and comes back."""
    ann, bob, eve = await group(server, "club", "ann", "bob", "eve")
    zed = await Talker.open(server, "zed")
    for gid, joining in (("open", "open"), ("closed", "invitation")):
        await ann.ok("groupCreate", groupID=gid, joining=joining)
        await ann.ok("groupInvite", groupID=gid, uid="zed")
        await ann.refused("not-found", "groupAnswer", groupID=gid, uid="zed", accept=True)
        await zed.refused("not-member", "groupInfo", groupID=gid)
    await zed.ok("heart")
    zed.heard.clear()
    await zed.ok("block", uid="ann")
    await ann.ok("groupInvite", groupID="open", uid="zed")
    await ann.ok("groupRemove", groupID="open", uid="zed")
    await ann.ok("groupAnswer", groupID="open", uid="zed", accept=False)
    await ann.ok("contactAdd", uid="zed")
    await ann.ok("contactRemove", uid="zed")
    await zed.quiet("groupInvited", "groupRemoved", "groupAnswered", "contactChanged")
    await ann.ok("groupMute", groupID="club", uid="eve")
    await eve.ok("groupLeave", groupID="club")
    await eve.ok("groupJoin", groupID="club")
    await eve.request(group_chat("eve", "club", "1"), "not-allowed")
    await ann.ok("groupBan", groupID="club", uid="bob")
    await ann.ok("groupRemove", groupID="club", uid="bob")
    await bob.refused("not-allowed", "groupJoin", groupID="club")
    await bob.request(chat("bob", "eve", "m1", mentions=["eve"]), "ok")
    await bob.refused("not-member", "chatGroup", content={"fromAccountID": "bob", "chatGroupID": "club", "chatID": "x", "mentions": ["eve"]})
    check(server.store.count("mention WHERE conversation = 'club'") == 0, "one who is banned mentions")


@with_server()
async def hidden(server):
    """What was said before one came by invitation stays hidden, also when the group is opened, and when it is made anew."""
    ann, bob, eve = await three(server)
    await ann.ok("groupCreate", groupID="club", joining="invitation")
    secret = (await ann.request(group_chat("ann", "club", "1", text="secret"), "ok"))["seq"]
    await ann.ok("groupInvite", groupID="club", uid="bob")
    await bob.ok("groupJoin", groupID="club")
    await ann.ok("groupRole", groupID="club", uid="bob", role="owner")
    await bob.ok("groupSet", groupID="club", joining="open")
    await eve.ok("groupJoin", groupID="club")
    for client in (bob, eve):
        for action, fields in (("history", {"conversation": "club"}), ("search", {"text": "secret"}), ("conversations", {})):
            check("secret" not in str((await client.ok(action, **fields)).get("messages", "")), f"{client.uid} reads it in {action}")
        for action in ("react", "versions", "reactions"):
            await client.refused("not-found", action, conversation="club", seq=secret, key="+")
    for client in (ann, eve, bob):
        await client.ok("groupLeave", groupID="club")
    await bob.ok("groupCreate", groupID="club")
    check("secret" not in str(await bob.ok("history", conversation="club")), "bob reads it")


@with_server()
async def all_in_order(server):
    """A chat that mentions all takes its turn as any other."""
    ann, bob = await group(server, "club", "ann", "bob")
    for nbr in range(20):
        await ann.send(group_chat("ann", "club", f"a{nbr}", mentions=["all", "all"]))
        await ann.send(group_chat("ann", "club", f"b{nbr}"))
    heard = [(await bob.hear("chatGroup"))["content"]["chatID"] for _ in range(40)]
    check(heard == [f"{kind}{nbr}" for nbr in range(20) for kind in "ab"], heard)


@with_server()
async def many_members(server):
    """Members come page by page."""
    ann, _ = await group(server, "club", "ann", "bob")
    server.store.ask("INSERT INTO member (uid, conversation, direct, since) VALUES "
                     + ", ".join(f"('u{nbr:04}', 'club', 0, 0)" for nbr in range(1500)))
    found, after = [], {}
    while True:
        answer = await ann.ok("groupMembers", groupID="club", **after)
        found += answer["members"]
        if not answer.get("more"):
            break
        after = {"after": found[-1]}
    check(found == sorted(set(found)) and len(found) == 1502, len(found))
    answer = await ann.ok("groupMembers", groupID="club", limit=3, after="u0001")
    check(answer["members"] == ["u0002", "u0003", "u0004"], answer)


if __name__ == "__main__":
    run(profiles, contacts, blocks, strangers, typing, relayed, told, who_writes, by_request, banned, against_their_will, hidden, all_in_order,
        many_members)
