#!/usr/bin/python3
"""upper.py - the service behind the example bridge.lua: answers (UID, text) with the text in capitals"""

import sys

import zmq

socket = zmq.Context().socket(zmq.REP)
socket.bind(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:7200")
while True:
    uid, text = socket.recv_multipart()
    socket.send_multipart([text.decode().upper().encode()])
