#!/usr/bin/python3
#  runs: asan mysql
"""foreign_gateway.py - a gateway that is nothing of ours: PUSH and DEALER, frames as in proto/GATEWAY.md"""

import json
import os

import zmq

from rookery import Server, check, run

SAMPLES = os.path.join(os.path.dirname(__file__), "../../proto/samples")


def sample(name):
    with open(f"{SAMPLES}/{name}.json", "rb") as file:
        return file.read().rstrip(b"\n")


class Gateway:
    def __init__(self, server, name):
        self.context = zmq.Context()
        self.up = self.context.socket(zmq.PUSH)
        self.up.connect(server.upstream)
        self.down = self.context.socket(zmq.DEALER)
        self.down.setsockopt(zmq.IDENTITY, name)
        self.down.connect(server.downstream)
        for socket in (self.up, self.down):
            socket.linger = 0
            socket.rcvtimeo = socket.sndtimeo = 20000
        self.down.send_multipart([b"hello", b"1"])
        check(self.receive() == [b"welcome", b"1"], "no welcome")

    def send(self, *frames):
        self.up.send_multipart(frames)

    def receive(self):
        """The next frames that aren't a ping, which is answered, nor tell of a group's change."""
        while True:
            frames = self.down.recv_multipart()
            if frames == [b"ping"]:
                self.down.send(b"pong")
            elif b"groupChanged" not in frames[-1]:
                return frames

    def expect(self, *frames):
        got = self.receive()
        check(got == list(frames), f"expected {frames}, got {got}")

    def answer(self, cid):
        """The next frames must be a message to this connection; returns its JSON."""
        frames = self.receive()
        check(frames[:3] == [b"downstream", b"cid", cid], f"expected an answer for {cid}, got {frames}")
        return json.loads(frames[3])

    def close(self):
        self.context.destroy()


def server_and_gateway():
    server = Server("gateway/enabled=0", "worker/count=2")
    return server, Gateway(server, b"py")


def seed_messages():
    """The messages of the first design, byte for byte."""
    server, py = server_and_gateway()
    try:
        py.send(b"status", b"connected", b"py.1")
        py.send(b"upstream", b"py.1", sample("bind"))
        py.expect(b"setting", b"uidmap", b"py.1", b"15618873958")
        check(py.answer(b"py.1")["action"] == "bindRsp", "bind")
        py.send(b"upstream", b"py.2", b"bind", b'{"uid":"13661683669"}')    # The older form
        py.expect(b"setting", b"uidmap", b"py.2", b"13661683669")
        check(py.answer(b"py.2")["code"] == "ok", "older bind")

        #  The gateway hears of the group of who has caught up; until then what is said comes to that connection alone
        for member in (b"py.1", b"py.2"):
            py.send(b"upstream", member, sample("groupJoin"))
            said = [py.receive(), py.receive()]
            check([b"setting", b"gidmap", member, b"15618873958cg001"] in said, said)
            answer = [frames for frames in said if frames[:3] == [b"downstream", b"cid", member]]
            check(answer and json.loads(answer[0][3])["code"] == "ok", f"groupJoin: {said}")

        py.send(b"upstream", b"py.1", sample("chat"), b"\0attachment\xff")
        frames = py.receive()
        check(frames[:3] == [b"downstream", b"uid", b"13661683669"] and frames[4] == b"\0attachment\xff", frames)
        got, sent = json.loads(frames[3]), json.loads(sample("chat"))
        check(got["seq"] == 1 and got["at"] > 0 and got["content"] == sent["content"], got)
        check(sample("chat")[1:] in frames[3], "the sender's bytes changed on their way")
        answer = py.answer(b"py.1")
        check(answer["code"] == "ok" and answer["seq"] == 1 and answer["chatID"] == sent["content"]["chatID"], answer)

        # The same again: the same answer, and no second delivery
        py.send(b"upstream", b"py.1", sample("chat"))
        check(py.answer(b"py.1") == answer, "another answer to the same chatID")

        py.send(b"upstream", b"py.1", sample("bad-colon"))
        answer = py.answer(b"py.1")
        offset = sample("bad-colon").index("：".encode())
        check(answer["code"] == "bad-json" and answer["offset"] == offset, answer)

        py.send(b"upstream", b"py.1", sample("chatGroup"))
        frames = py.receive()
        check(frames[:3] == [b"downstream", b"gid", b"15618873958cg001"], frames)
        check(py.answer(b"py.1")["seq"] == 1, "chatGroup")

        for name in ("groups", "groupMembers", "history", "ack", "heart"):
            py.send(b"upstream", b"py.1", sample(name))
            if name == "ack":
                check(py.receive()[:3] == [b"downstream", b"uid", b"13661683669"], "the other side isn't told")
            answer = py.answer(b"py.1")
            check(answer["action"] == name + "Rsp" and answer["code"] == "ok", answer)
        py.send(b"upstream", b"py.1", sample("groupLeave"))
        py.expect(b"setting", b"gidunmap", b"py.1", b"15618873958cg001")
        check(py.answer(b"py.1")["code"] == "ok", "groupLeave")
        py.send(b"upstream", b"py.1", sample("chatGroup").replace(b"683670", b"683671"))
        check(py.answer(b"py.1")["code"] == "not-member", "a stranger wrote to a group")
        py.send(b"status", b"closed", b"py.1", b"15618873958")
        py.close()
        check(server.stop() == 0, "exit status")
    finally:
        server.remove()


def bad_frames():
    """Too few, too many, empty and huge parts cost nobody else anything, and are counted."""
    server, py = server_and_gateway()
    try:
        for frames in ([b"upstream"], [b"upstream", b"py.1"], [b""], [b"", b"", b""], [b"upstream", b"nodot", b"{}"],
                       [b"upstream", b"py.1", b""], [b"status", b"up", b"py.1"], [b"x" * 100, b"py.1", b"{}"],
                       [b"upstream", b"py.1", b"{}"] + [b"a"] * 30, [b"upstream", b"py." + b"9" * 1000, b"{}"],
                       [b"status", b"connected", b"py.1", b"u", b"g", b"device", b"more"]):
            py.send(*frames)
        py.send(b"upstream", b"py.1", b'{"a":"' + b"x" * 10_000_000 + b'"}')
        check(py.answer(b"py.1")["code"] in ("unknown-action", "internal"), "a huge message")
        py.send(b"upstream", b"py.1", b"[" * 100_000)
        answer = py.answer(b"py.1")
        check(answer["code"] == "bad-json" and "deeply" in answer["message"], answer)
        py.down.send_multipart([b"what", b"is", b"this"])
        check(py.receive()[0] == b"refused", "an unknown frame on the downstream socket")
        py.send(b"upstream", b"py.1", sample("heart"))
        check(py.answer(b"py.1")["code"] == "ok", "after all this")
        counted = server.counters()["receiver"]
        check(counted["too_few_frames"] == 2 and counted["too_many_frames"] == 2, counted)
        check(counted["unknown_name"] == 4 and counted["bad_id"] == 2 and counted["empty"] == 1, counted)
        check("dropped upstream: the CID isn't GATEWAY.REST cid=nodot msg=" in server.logged(), "no explanation")
        py.close()
        check(server.stop() == 0, "exit status")
    finally:
        server.remove()


def comes_back():
    """A gateway that went away and joins again is the same gateway, and tells what it holds."""
    server, py = server_and_gateway()
    try:
        py.send(b"upstream", b"py.1", b'{"uid":"a"}')
        py.expect(b"setting", b"uidmap", b"py.1", b"a")
        py.answer(b"py.1")
        py.close()
        other = Gateway(server, b"other")
        other.send(b"upstream", b"other.1", b'{"uid":"b"}')
        other.receive()
        other.answer(b"other.1")
        py = Gateway(server, b"py")
        py.send(b"status", b"connected", b"py.7", b"a", b"g1,g2", b"phone")
        py.expect(b"setting", b"gidunmap", b"py.7", b"g1,g2")    # The store says that it is in no group
        other.send(b"upstream", b"other.1", b'{"action":"chat","content":{"fromAccountID":"b","toAccountID":"a",'
                                            b'"chatID":"1"}}')
        check(other.answer(b"other.1")["code"] == "ok", "chat")
        got = py.receive()
        check(got[:2] in ([b"downstream", b"uid"], [b"downstream", b"cid"]), f"the way to a user is lost: {got}")
        py.close()
        other.close()
        check(server.stop() == 0, "exit status")
    finally:
        server.remove()


if __name__ == "__main__":
    run(seed_messages, bad_frames, comes_back)
