# SPDX-License-Identifier: MIT
"""
apifair - one client's crowd does not lock another one out: silent connections, handshakes without a
credential, requests for connections from addresses where nobody is.

    API_HOST=ADDRESS apifair.py PKI PORT GOOD-SOURCE BAD-SOURCE
"""
import itertools
import json
import socket
import struct
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


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def syn(source, port, seq):
    """An IP packet that asks for a connection, with the options that Linux sends."""
    a = socket.inet_aton(source) + socket.inet_aton(HOST)
    tcp = struct.pack("!HHLLBBHHH", port, PORT, seq & 0xffffffff, 0, 0x80, 2 | seq % 2, 64240, 0, 0) + bytes((2, 4, 5, 180, 1, 3, 3, 7, 1, 1, 4, 2))
    tcp = tcp[:16] + struct.pack("!H", checksum(a + struct.pack("!HH", 6, len(tcp)) + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + a
    return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + tcp


def wire():
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind(("tap0", 0x0800))
    with open("/proc/net/arp") as f:
        host = next(w[3] for w in map(str.split, f) if w[0] == HOST)
    return s, bytes.fromhex(host.replace(":", "")) + s.getsockname()[4] + b"\x08\x00"


def ping(s):
    """Waits until the host has taken what was sent before: what is in a queue for long says nothing about it."""
    s.settimeout(10)
    body = struct.pack("!BBHHH", 8, 0, 0, 1, 1)
    s.sendto(body[:2] + struct.pack("!H", checksum(body)) + body[4:], (HOST, 0))
    while s.recv(2000)[20] != 0:
        pass


def half_open(state=[], count=itertools.count()):
    """From addresses of this network and of others, some of each."""
    if not state:
        state += wire() + (socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),)
    for _ in range(200):
        n = next(count)
        source = ("10.9.0.%d" % (100 + n % 130)) if n % 2 else ("198.18.%d.%d" % (n // 250 % 250, 1 + n % 250))
        state[0].send(state[1] + syn(source, 1024 + n // 100 % 60000, n * 7919))
    ping(state[2])
    return 200


check("a request from another address", works())
meanwhile("a client with hundreds of silent connections", silent, 150)
meanwhile("a client with handshakes and no credential", strangers, 5)
meanwhile("thousands of connections that stay half open", half_open, 2000)
stream.sock.settimeout(1)
try:
    gone = stream.sock.recv(100) == b"" if not stream.buf else False
except (TimeoutError, socket.timeout):
    gone = False
check("a stream that was open all the time still is", not gone)
finish()
