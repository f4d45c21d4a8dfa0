#!/usr/bin/python3
#  runs: plain mysql
"""flat.py - what a request costs the store doesn't grow with what was ever said

A store of a million messages: one group of half a million, 500 groups of a thousand each. What is counted is the same on any
machine: of SQLite the steps of its machine (at log level debug), of MariaDB the rows that are read (Handler_read, from the
statements of its general log, run once more). A statement that reads a history takes half a million or more."""

import re

from operate import on_server, threaded
from order import ask, group_chat, opened
from rookery import chat, check, run

GROUPS, EACH, HUGE, MEMBERS = 500, 1000, 500_000, 1000
STEPS_MOST = 100_000    # 27,600 for the list of 502 conversations
READS_MOST = 10_000     # 3,115 for the same

BODY = '{"action":"chatGroup","content":{"fromAccountID":"bob","text":"hello"}}'
#  {numbers N} has the numbers from 1 to N. Names of chats are made in the order that their index has, which is faster
FILL = f"""
INSERT INTO message (conversation, seq, sender, chat_id, recipient, device, at, body, attachment)
    SELECT {{group g.seq}}, s.seq, 'bob', {{text 100000000+g.seq*1000000+s.seq}}, NULL, '', 1700000000000, '{BODY}', NULL
  FROM {{numbers {GROUPS}}} AS g JOIN {{numbers {EACH}}} AS s;
INSERT INTO message (conversation, seq, sender, chat_id, recipient, device, at, body, attachment)
    SELECT 'huge', s.seq, 'bob', {{text 900000000+s.seq}}, NULL, '', 1700000000000, '{BODY}', NULL FROM {{numbers {HUGE}}} AS s;
INSERT INTO member (uid, conversation, direct, since) SELECT uid.uid, {{group g.seq}}, 0, 0
  FROM {{numbers {GROUPS}}} AS g JOIN (SELECT 'ann' AS uid UNION SELECT 'bob') AS uid;
INSERT INTO member (uid, conversation, direct, since) SELECT {{user s.seq}}, 'huge', 0, 0 FROM {{numbers {MEMBERS}}} AS s;
INSERT INTO member (uid, conversation, direct, since) VALUES ('ann', 'huge', 0, 0), ('bob', 'huge', 0, 0);
INSERT INTO device (uid, device) VALUES ('ann', 'phone'), ('bob', 'pc');
INSERT INTO `cursor` SELECT who.uid, who.device, {{group g.seq}}, {EACH} FROM {{numbers {GROUPS}}} AS g
  JOIN (SELECT 'ann' AS uid, 'phone' AS device UNION SELECT 'ann', '' UNION SELECT 'bob', 'pc') AS who;
INSERT INTO `cursor` VALUES ('ann', 'phone', 'huge', {HUGE}), ('ann', '', 'huge', {HUGE}), ('bob', 'pc', 'huge', {HUGE});
INSERT INTO `cursor` SELECT {{user s.seq}}, '', 'huge', {HUGE} FROM {{numbers {MEMBERS}}} AS s
"""
SAID = {
    "sqlite": {"group": "printf ('g%03d', {})", "text": "printf ('%d', {})", "user": "printf ('user%d', {})",
               "numbers": "(WITH RECURSIVE n (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < {}) SELECT seq FROM n)"},
    "mysql": {"group": "concat ('g', lpad ({}, 3, '0'))", "text": "concat ({})", "user": "concat ('user', {})",
              "numbers": "seq_1_to_{}"},
}


def fill(server):
    words = SAID["mysql" if server.store.mariadb else "sqlite"]
    for statement in FILL.split(";\n"):
        server.store.ask(re.sub(r"\{(\w+) ([\w.+*]+)\}", lambda found: words[found[1]].format(found[2]), statement))
    server.store.ask("ANALYZE TABLE message, member, `cursor`" if server.store.mariadb else "ANALYZE")


def reads_of(server, statement):
    """Rows that MariaDB reads for it; what it changes is taken back."""
    rows = server.store.ask(f"BEGIN; FLUSH STATUS; SELECT 'begins'; {statement}; SHOW STATUS LIKE 'Handler_read%'; ROLLBACK")
    return sum(int(row[1]) for row in rows if row[0].startswith("Handler_read") and len(row) == 2)


def watch(server):
    """From now on what statements cost is noted."""
    if server.store.mariadb:
        server.store.ask("SET GLOBAL log_output = 'TABLE'; TRUNCATE mysql.general_log; SET GLOBAL general_log = 1")
    else:
        server.ctl("log", "debug", "sqlite")


def noted(server):
    """(cost, statement) of all that ran meanwhile."""
    if not server.store.mariadb:
        return [(int(steps), text) for steps, text in re.findall(r"D sqlite: (\d+) steps: (.*(?:\n[^2].*)*)", server.logged())]
    server.store.ask("SET GLOBAL general_log = 0")
    said = server.store.ask("SELECT HEX(argument) FROM mysql.general_log WHERE command_type = 'Execute'")
    statements = {re.sub(r"\s+", " ", bytes.fromhex(row[0]).decode()) for row in said}
    return [(reads_of(server, statement), statement) for statement in statements]


async def use(server):
    """All that a client can ask for, by a user who has missed a little."""
    bob = await opened(server, "bob", "pc")
    for nbr in range(3):
        for gid in ("g007", "g400", "huge"):
            await bob.send(group_chat("bob", gid, f"{gid}.{nbr}"))
    await ask(bob, chat("bob", "ann", "hi"))
    ann = await opened(server, "ann", "phone")
    missed = set()
    while len(missed) < 10:
        message = ann.other.pop(0) if ann.other else await ann.receive()
        missed.add((message["content"].get("chatGroupID"), message["seq"]))
    check(missed == {(gid, seq + nbr) for gid, seq in (("g007", EACH), ("g400", EACH), ("huge", HUGE)) for nbr in (1, 2, 3)} | {(None, 1)},
          missed)
    for conversation, seq in (("huge", HUGE + 3), ("g007", EACH + 3), ("ann,bob", 1)):
        await ask(ann, {"action": "ack", "conversation": conversation, "seq": seq})
    await ask(ann, {"action": "history", "conversation": "huge"})
    await ask(ann, {"action": "history", "conversation": "huge", "after": HUGE // 2, "limit": 50})
    await ask(ann, {"action": "history", "conversation": "huge", "before": HUGE // 2, "limit": 50})
    await ask(ann, {"action": "attachment", "conversation": "huge", "seq": HUGE // 2}, "not-found")
    check(len((await ask(ann, {"action": "groups"}))["talks"]) == GROUPS + 2, "groups")
    await ask(ann, {"action": "groups", "after": "g300"})
    for nbr in range(2):
        await ask(ann, chat("ann", "bob", f"back{nbr}"))
    await ask(ann, group_chat("ann", "huge", "mine"))
    await ask(ann, {"action": "groupMembers", "groupID": "huge"})
    await ask(ann, {"action": "groupCreate", "groupID": "mine", "invited": True})
    await ask(ann, {"action": "groupInvite", "groupID": "mine", "uid": "eve"})
    eve = await opened(server, "eve", "tablet")
    await ask(eve, {"action": "groupJoin", "groupID": "mine"})
    await ask(eve, {"action": "groupJoin", "groupID": "huge"})
    await ask(eve, {"action": "history", "conversation": "mine"})
    await ask(ann, {"action": "groupRole", "groupID": "mine", "uid": "eve", "role": "owner"})
    await ask(ann, {"action": "groupRemove", "groupID": "mine", "uid": "eve"})
    await ask(eve, {"action": "groupLeave", "groupID": "huge"})
    await ann.close()
    await opened(server, "ann", "watch")    # A device that is new


@on_server("worker/count=1")
async def flat(server):
    await threaded(fill, server)
    await threaded(watch, server)
    await use(server)
    costs = sorted(await threaded(noted, server), reverse=True)
    for cost, statement in costs[:3]:
        print(f"   {cost}: {statement[:100]!r}")
    check(len({statement.split(" FROM ")[0] for _, statement in costs}) > 20, f"few statements were seen: {costs}")
    most = READS_MOST if server.store.mariadb else STEPS_MOST
    check(costs[0][0] < most, "\n".join(f"{cost}: {statement}" for cost, statement in costs if cost >= most))


if __name__ == "__main__":
    run(flat)
