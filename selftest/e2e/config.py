#!/usr/bin/python3
#  runs: plain
"""config.py - run --check finds what run would: files, folders, handlers, keys, ports; each in one line that says what to do"""

import os
import socket
import sqlite3
import subprocess
import sys
import tempfile

from rookery import PATIENCE, Server, check, run

BINARY = sys.argv[1] if len(sys.argv) > 1 else "build/rookery"


def said(*settings, words=("--check",), file=None):
    """Exit status, and what is said, of run with free ports unless they are given."""
    line = [BINARY, "run", *words, *(("-c", file) if file else ())]
    for setting in ("gateway/listen=127.0.0.1:0", "console/listen=127.0.0.1:0", "receiver/upstream=none", "sender/downstream=none",
                    "console/control=none", *settings):
        line += ["-s", setting]
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, done.stdout + done.stderr


def refused(words, *settings, **more):
    """--check says it in one line; run, which may add where it was, doesn't run either."""
    status, text = said(*settings, **more)
    check(status != 0 and text.count("\n") == 1 and words in text, f"{settings}: {status} {text}")
    status, text = said(*settings, words=(), **more)
    check(status != 0 and "rookery: " in text, f"run {settings}: {status} {text}")


def in_folder(test):
    def started():
        with tempfile.TemporaryDirectory(prefix="rookery-config-") as folder:
            test(folder)
    started.__name__ = test.__name__
    return started


@in_folder
def files(folder):
    store = f"store/path={folder}/rookery.db"
    status, text = said(store)
    check((status, text) == (0, "the configuration is good\n"), text)
    refused("store/path = " + folder + ": is a folder; name a file in it", f"store/path={folder}")
    refused("No such file or directory", "store/path=/nowhere/at/all/rookery.db")
    refused(f"lua/core = {folder}/none", f"lua/core={folder}/none", store)
    refused("none: No such file or directory", f"lua/app={folder}/none", store)
    refused("auth/keys = /nowhere", "auth/mode=token", "auth/keys=/nowhere", store)
    refused("gateway/certificate = /nowhere", "gateway/certificate=/nowhere", "gateway/key=/nowhere", store)
    refused("curve/certificate = /nowhere", "curve/certificate=/nowhere", f"curve/known={folder}", store)
    refused(f"{folder}: is a folder", store, file=folder)
    for text, words in (("store\n    path = x\n    path = y\n", ":3: store/path is given twice"), ("\xff", ":1: isn't NAME"),
                        ("\ufeffstore\n", ":1: begins with a byte order mark"), ("auth\n    secret = a#b\n", ":2: # begins a comment")):
        with open(f"{folder}/bad.cfg", "w", encoding="utf-8") as file:
            file.write(text)
        refused(f"{folder}/bad.cfg{words}", store, file=f"{folder}/bad.cfg")
    # What isn't run needs nothing
    check(said("app/enabled=0", "gateway/app/x/upstream=tcp://127.0.0.1:1", "gateway/app/x/downstream=tcp://127.0.0.1:2", "lua/core=/nowhere")[0] == 0, "gateway")
    check(said("gateway/enabled=0", "gateway/web=/nowhere", store)[0] == 0, "app server")


@in_folder
def handlers(folder):
    store = f"store/path={folder}/rookery.db"
    app = f"lua/app={folder}/app,lua/app"
    os.mkdir(f"{folder}/app")
    for text, words in (("this is no Lua", "bad.lua:1:"), ("error 'at the load'", "at the load"), ("return {handle = 5}", "bad.lua"),
                        ("return {handle = function () end}", 'bad.lua: a handler needs action'),
                        ("redis_api.cmd ('none', 'k', 'GET', 'k') return {}", "there is no redis/none")):
        with open(f"{folder}/app/bad.lua", "w") as file:
            file.write(text)
        refused(words, app, store)
    with open(f"{folder}/app/bad.lua", "w") as file:
        file.write("redis_api.subscribe ('main', 'news', function () end) timer.after (10, function () end) "
                   "return {action = 'good', handle = function () return {} end}")
    check(said(app, store, "redis/main/port=1")[0] == 0, said(app, store, "redis/main/port=1"))


@in_folder
def places(folder):
    """Ports and stores that others have; beside a server of the same configuration they are its own."""
    store = f"store/path={folder}/rookery.db"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for key, form in (("gateway/listen", "127.0.0.1:%d"), ("console/listen", "127.0.0.1:%d"), ("receiver/upstream", "tcp://127.0.0.1:%d"),
                          ("sender/downstream", "tcp://127.0.0.1:%d")):
            refused(f"{key} = ", f"{key}={form % port}", store)
    server = Server()
    try:
        if not server.store.mariadb:
            refused("another server uses it", f"store/path={server.store.path}")
            os.symlink(server.store.path, f"{folder}/alias.db")
            refused("another server uses it", f"store/path={folder}/alias.db")
        own = ("gateway/listen=" + server.url.split("/")[2], f"console/control=ipc://{server.folder}/control")
        check(said(*server.store.settings, *own)[0] == 0, said(*server.store.settings, *own))
        check(said(store, own[0])[0] != 0, "its port is taken")
        check(sqlite3.connect(server.store.path).execute("SELECT 1").fetchall() == [(1,)], "the store suffers")
    finally:
        server.remove()


if __name__ == "__main__":
    run(files, handlers, places)
