# SPDX-License-Identifier: MIT
"""
apifair - one client's crowd does not lock another one out: silent connections, handshakes without a
credential.

    API_HOST=ADDRESS apifair.py PKI PORT GOOD-SOURCE BAD-SOURCE
"""
import json
import socket
import sys
import threading
import time
from apilib import HOST, PORT, Client, check, context, finish, tcp

GOOD, BAD = sys.argv[3:5]


def works():
    c = Client("reader", 30, GOOD)
    status, _, body = c.ask("GET", "/v1/host")
    c.close()
    return status == 200 and json.loads(body)["software"] == "sluice"


idle = Client("reader", 60, GOOD)
idle.ask("GET", "/v1/host")
stream = Client("reader", 60, GOOD)
stream.send_head("GET", "/v1/log?follow=1")
stream.read_head()


def meanwhile(what, bad, least):
    """Runs bad() again and again, and asks ten times meanwhile: every question is answered."""
    stop = threading.Event()
    done = []

    def run():
        while not stop.is_set():
            done.append(bad())

    t = threading.Thread(target=run)
    t.start()
    while not done and t.is_alive():
        time.sleep(0.1)
    answers = []
    for _ in range(10):
        try:
            answers.append(works())
        except (OSError, EOFError) as e:
            answers.append(repr(e))
    stop.set()
    t.join()
    check("%s: others get their answers" % what, set(answers) == {True}, answers)
    check("  (%d of them)" % sum(done), sum(done) >= least)
    check("  a connection that was idle meanwhile is still good", idle.ask("GET", "/v1/host")[0] == 200)


def silent():
    socks = []
    for _ in range(150):
        s = socket.socket()
        s.bind((BAD, 0))
        s.setblocking(False)
        s.connect_ex((HOST, PORT))
        socks.append(s)
    time.sleep(1)
    for s in socks:
        s.close()
    return len(socks)


def strangers(socks=[]):
    """Handshakes, and then nothing: there is no credential to show."""
    try:
        socks.append(context().wrap_socket(tcp(20, BAD), server_hostname="localhost"))
    except OSError:
        return 0
    if len(socks) > 100:
        socks.pop(0).close()
    return 1


check("a request from another address", works())
meanwhile("a client with hundreds of silent connections", silent, 150)
meanwhile("a client with handshakes and no credential", strangers, 5)
stream.sock.settimeout(1)
try:
    gone = stream.sock.recv(100) == b"" if not stream.buf else False
except (TimeoutError, socket.timeout):
    gone = False
check("a stream that was open all the time still is", not gone)
finish()
