# SPDX-License-Identifier: MIT
"""
api_hostile - clients that are slow, silent, cut off, many or malicious, and administrators at odds:
nothing crashes, leaks or keeps others out.

    api_hostile.py PKI PORT
"""
import json
import os
import random
import re
import select
import socket
import ssl
import subprocess
import threading
import time
from apilib import PORT, Client, ask, check, context, finish, get, tcp, token

random.seed(5)


def until(seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if what():
                return True
        except (OSError, EOFError):
            pass
        time.sleep(0.2)
    return False


def works(role="reader"):
    """A request of somebody with a credential gets its answer."""
    return get("/v1/host", role)["software"] == "sluice"


def heap(want=None):
    """
    dom0's heap in bytes and objects while this is the only connection: once it is what is wanted, or
    once it was the same for a second. Connections of before are over, too: those whose client is silent go
    after a minute, those that dom0 has closed first stay in TIME_WAIT for 20 seconds.
    """
    c = Client("reader")
    last, same = None, 0
    for _ in range(600):
        d = json.loads(c.ask("GET", "/v1/host")[2])["dom0"]
        alone = d["http_connections"] == 1 and (d["tcp_open"], d["tcp_closing"], d["tcp_time_wait"]) == (1, 0, 0)
        now = (d["heap_bytes"], d["heap_objects"]) if alone else None
        same = same + 1 if now and now == last else 0
        last = now
        if now and now == want or not want and same == 5:
            break
        time.sleep(0.2)
    c.close()
    return last


def same_heap(what, before, also=True):
    now = heap(before)
    check(what, now == before and also, (before, now))


# ---- somebody's guest, that must not notice anything
got, _, body = ask("POST", "/v1/domains", 'name="bystander"\nkernel="spin"\nmemory=16\nextra="for=100000"\n')
check("a domain that runs meanwhile", got == 201, body)

# ---- form
def raw(data, want, role="admin", what=None):
    c = Client(role)
    try:
        c.sock.sendall(data)
        status = c.read_head()[0]
    except (EOFError, OSError):
        status = 0
    c.close()
    return status in want or print("    | %r: %r, not %r" % (data[:60], status, want))


auth = b"Authorization: Bearer " + token("admin").encode() + b"\r\n"
odd = [(b"GET /v1/host HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", 501), (b"GET /v1/host HTTP/1.1\nHost: x\n", 400),
       (b"GET  /v1/host HTTP/1.1\r\n", 400), (b"GET /v1/host HTTP/2.0\r\n", 400), (b"GET /v1/host\r\n", 400),
       (b"GET /v1/host HTTP/1.1\r\nContent-Length: -1\r\n", 400), (b"GET /v1/host HTTP/1.1\r\nA : b\r\n", 400),
       (b"POST /v1/domains HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n", 400),
       (b"GET /v1/domains/%00 HTTP/1.1\r\n", 400), (b"GET /v1/domains/%zz HTTP/1.1\r\n", 400),
       (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\n", 414), (b"GET /v1/host?" + b"a" * 300 + b" HTTP/1.1\r\n", 414),
       (b"GET /v1/host HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n", 431), (b"BREW /v1/host HTTP/1.1\r\n", 405),
       (b"PUT /v1/files/n HTTP/1.1\r\n", 411), (b"PUT /v1/files/n HTTP/1.1\r\nContent-Length: 9999999999999999\r\n", 413),
       (b"POST /v1/domains HTTP/1.1\r\nContent-Length: 70000\r\n", 413),
       (b"GET /v1/host HTTP/1.1\r\nContent-Length: 3\r\n", 413)]
check("requests that are not in order: %d of them, each its own status" % len(odd),
      all([raw(d[:-2] + b"\r\n" + auth + b"\r\n" if d.endswith(b"\r\n") else d + b"\r\n\r\n", [s]) for d, s in odd]))
for text, want in (('{"config": "x"', 400), ('{"config": {}}', 422), ('[1]', 400), ('{"config": "a\\u0000"}', 400),
                   ("[" * 100, 400), ('{"a":' * 40 + "1" + "}" * 40, 400), ('{"config":"\xff"}', 400), ('nul', 400)):
    got, _, body = ask("POST", "/v1/domains", text.encode("latin1"), fields={"Content-Type": "application/json"})
    check("JSON %s: %d" % (text[:20].encode("ascii", "replace").decode(), want), got == want, (got, body))

# Several requests on one connection, sent at once, in one piece and in single bytes.
c = Client()
many = (b"GET /v1/host HTTP/1.1\r\n" + auth + b"\r\n") * 20 + b"POST /v1/domains/none/pause HTTP/1.1\r\nContent-Length: 0\r\n" + auth + b"\r\n"
c.sock.sendall(many)
check("21 requests in one write", [c.answer()[0] for _ in range(21)] == [200] * 20 + [404])
for b in many[:300]:
    c.sock.send(bytes([b]))
c.sock.sendall(many[300:])
check("  and a byte at a time", [c.answer()[0] for _ in range(21)] == [200] * 20 + [404])
c.close()

# ---- uploads
before = heap()
for n in range(5):
    c = Client()
    c.send_head("PUT", "/v1/files/cut", length=1000000)
    c.sock.sendall(b"x" * (1000 + 70000 * n))
    if n % 2:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")     # reset
    c.close()
check("an upload that is cut off leaves no file", until(30, lambda: ask("GET", "/v1/files/cut")[0] == 404))
c = Client()
c.send_head("PUT", "/v1/files/huge", length=1 << 33)
got, fields = c.read_head()
check("an upload larger than memory is refused before a byte of it is read", got == 413 and fields.get("connection") == "close")
c.close()
c = Client()
c.send_head("PUT", "/v1/files/slow", length=100)
c.sock.sendall(b"x" * 50)
other = ask("PUT", "/v1/files/slow", b"y")[0]
check("two uploads of one name: the second is refused", other == 409)
check("  and the first shows what came", until(20, lambda: get("/v1/files/slow").get("received") == 50))
check("  it cannot be removed meanwhile", ask("DELETE", "/v1/files/slow")[0] == 409)
c.sock.sendall(b"x" * 50)
check("  and is finished", c.answer()[0] == 201 and get("/v1/files/slow")["size"] == 100)
c.close()
big = os.urandom(20 << 20)
check("20 MiB", ask("PUT", "/v1/files/slow", big)[0] == 201 and get("/v1/files/slow")["size"] == 20 << 20)
check("  is removed", ask("DELETE", "/v1/files/slow")[0] == 200)
got = [ask("PUT", "/v1/files/%s" % n, b"x")[0] for n in (".hidden", "a%2fb", "a%20b", "x" * 70)]
check("names of files that cannot be", got == [422, 404, 400, 404], got)
same_heap("  the heap is what it was before the uploads", before)

# A kernel that was uploaded runs; while it does, it stays.
with open("build/guests/hello", "rb") as f:
    kernel = f.read()
check("a kernel is uploaded", ask("PUT", "/v1/files/mykernel", kernel)[0] == 201)
got, _, body = ask("POST", "/v1/domains", 'name="mine"\nkernel="mykernel"\nmemory=16\non_poweroff="preserve"\n')
check("  a domain of it runs", got == 201, body)
check("  and says so", until(60, lambda: b"hello: tick 3" in ask("GET", "/v1/domains/mine/console")[2]))
check("  the file is in use", get("/v1/files/mykernel")["used"] == 1 and ask("DELETE", "/v1/files/mykernel")[0] == 409)
ask("DELETE", "/v1/domains/mine")
check("  and not after the domain's end", until(30, lambda: ask("DELETE", "/v1/files/mykernel")[0] == 200))

# ---- fetched files, from a server that misbehaves
class Server(threading.Thread):
    def __init__(self, answer, wait=False):
        super().__init__(daemon=True)
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(5)
        self.port = self.sock.getsockname()[1]
        self.reply, self.wait = answer, wait
        self.start()

    def run(self):
        while True:
            s = self.sock.accept()[0]
            s.recv(4096)
            try:
                s.sendall(self.reply(self) if callable(self.reply) else self.reply)
            except OSError:
                pass
            if not self.wait:
                s.close()


good = os.urandom(300000)
ok = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(good) + good
for what, answer, want in (("a file", ok, "ready"), ("one byte short", ok[:-1], "failed"),
                           ("an empty file", b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "ready"),
                           ("no length", b"HTTP/1.0 200 OK\r\n\r\nabc", "failed"), ("not HTTP", b"220 hello\r\n", "failed"),
                           ("404", b"HTTP/1.0 404 No\r\nContent-Length: 1\r\n\r\nx", "failed"),
                           ("larger than memory", b"HTTP/1.0 200 OK\r\nContent-Length: 99999999999\r\n\r\nx", "failed"),
                           ("redirected for ever", lambda s: b"HTTP/1.0 302 F\r\nLocation: http://10.0.2.2:%d/\r\n\r\n" % s.port, "failed"),
                           ("redirected to HTTPS", b"HTTP/1.0 302 F\r\nLocation: https://10.0.2.2/\r\n\r\n", "failed"),
                           ("a head without end", b"HTTP/1.0 200 OK\r\nX: " + b"y" * 9000, "failed")):
    s = Server(answer)
    ask("POST", "/v1/files/far", {"url": "http://10.0.2.2:%d/x" % s.port})
    fine = until(30, lambda: get("/v1/files/far")["state"] == want)
    check("fetched: %s: %s" % (what, want), fine, get("/v1/files/far"))
    ask("DELETE", "/v1/files/far")
s = Server(ok[:1000], wait=True)
ask("POST", "/v1/files/far", {"url": "http://10.0.2.2:%d/x" % s.port})
check("a fetch that hangs shows what came", until(30, lambda: get("/v1/files/far").get("received", 0) > 0))
check("  and can be ended", ask("DELETE", "/v1/files/far")[0] == 200 and ask("GET", "/v1/files/far")[0] == 404)

# ---- a domain that dies while its console is open
ask("POST", "/v1/domains", 'name="dies"\nkernel="hello"\nmemory=16\n')
streams = []
for _ in range(3):
    c = Client("reader")
    c.send_head("GET", "/v1/domains/dies/console?follow=1")
    streams.append(c)
texts = [c.answer()[2] for c in streams]
check("a console that is followed ends with its domain, all of it told", all(b"hello: tick 3" in t for t in texts), texts)
check("  input to it goes nowhere", json.loads(ask("POST", "/v1/domains/dies/console", b"x")[2]) == {"accepted": 0})
ask("POST", "/v1/domains", 'name="dies"\nkernel="spin"\nmemory=16\nextra="for=100000"\n')
c = Client("reader")
c.send_head("GET", "/v1/domains/dies/console?follow=1")
check("a console of a domain that is destroyed", c.read_head()[0] == 200)
ask("POST", "/v1/domains/dies/destroy")
while c.chunk():
    pass
check("  ends, too", True)
c.close()
for c in streams:
    c.close()

# Streams are bounded, and what follows them is told.
streams = []
full = None
for n in range(60):
    c = Client("reader")
    c.send_head("GET", ("/v1/events", "/v1/log?follow=1", "/v1/domains/bystander/console?follow=1")[n % 3])
    got = c.read_head()[0]
    if got != 200:
        full = (n, got)
        c.close()
        break
    streams.append(c)
check("the 41st stream: 503", full == (40, 503), full)
check("  and others get their answers", works() and works("admin"))
ask("POST", "/v1/domains/bystander/pause")
ask("POST", "/v1/domains/bystander/unpause")
check("  every stream of events tells", all(b'"paused"' in (c.chunk() + b"") for c in streams[0::3]))
for c in streams:
    c.close()
check("  they end with their clients", until(60, lambda: int(re.search(rb"sluice_http_streams (\d+)", ask("GET", "/metrics")[2]).group(1)) == 0))

# ---- two administrators at odds
statuses, trouble = [], []


def admin(n):
    try:
        for i in range(25):
            what = random.choice(("create", "pause", "unpause", "destroy", "shutdown", "reboot", "get", "console", "file", "nofile"))
            if what == "create":
                s = ask("POST", "/v1/domains", 'name="both"\nkernel="spin"\nmemory=16\nextra="for=100000"\n')[0]
            elif what == "get":
                s = ask("GET", "/v1/domains/both")[0]
            elif what == "console":
                s = ask("POST", "/v1/domains/both/console", b"x")[0]
            elif what == "file":
                s = ask("PUT", "/v1/files/both", os.urandom(50000))[0]
            elif what == "nofile":
                s = ask("DELETE", "/v1/files/both")[0]
            else:
                s = ask("POST", "/v1/domains/both/" + what)[0]
            statuses.append(s)
    except Exception as e:      # whatever it is, it is told
        trouble.append(repr(e))


ts = [threading.Thread(target=admin, args=(n,)) for n in range(3)]
for t in ts:
    t.start()
for t in ts:
    t.join()
check("three administrators at odds: 75 requests, each with a defined answer",
      not trouble and len(statuses) == 75 and set(statuses) <= {200, 201, 202, 404, 409}, (trouble, sorted(set(statuses))))
until(30, lambda: ask("DELETE", "/v1/domains/both")[0] == 404)
ask("DELETE", "/v1/files/both")
check("  nothing of it is left", [d["name"] for d in get("/v1/domains")] == ["bystander"], get("/v1/domains"))

# ---- crowds
before = heap()
slow = []
for n in range(20):             # a byte now and then, in TLS and before it
    s = tcp()
    if n % 2:
        s = context().wrap_socket(s, server_hostname="localhost")
    slow.append(s)
stop = threading.Event()


def drip():
    text = b"GET /v1/host HTTP/1.1\r\nHost: " + b"x" * 7000
    n = 0
    while not stop.is_set():
        for s in slow:
            try:
                s.send(text[n:n + 1] if isinstance(s, ssl.SSLSocket) else b"\x16\x03\x01\x10\x00"[n:n + 1] or b"\1")
            except OSError:
                pass
        n += 1
        stop.wait(1)


drips = threading.Thread(target=drip)
drips.start()
check("with 20 clients that send a byte a second", works())


def silent(count):
    """150 at a time: connected as far as they get within two seconds, then dropped without a word."""
    for _ in range(count // 150):
        socks = []
        for _ in range(150):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", PORT))
            socks.append(s)
        end = time.monotonic() + 2
        while time.monotonic() < end and len(select.select([], socks, [], 0)[1]) < len(socks):
            time.sleep(0.1)
        for s in socks:
            s.close()


ts = [threading.Thread(target=silent, args=(2100,))]
for t in ts:
    t.start()
good, tries = 0, 0
while any(t.is_alive() for t in ts):
    tries += 1
    try:
        good += works()
    except (OSError, EOFError):
        pass
    time.sleep(0.5)
for t in ts:
    t.join()
check("while 2100 silent connections come and go, requests are answered (%d of %d)" % (good, tries), good > 0 and good * 2 >= tries)
noise = 0
for n in range(60):
    s = tcp()
    try:
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(600)
        s.sendall((os.urandom(2000), hello, b"\x17\x03\x03\x40\x00" + os.urandom(20000), b"\x80\x2e\x01\x03" + os.urandom(50))[n % 4])
        s.settimeout(20)
        s.recv(100)
    except OSError:
        pass
    s.close()
    noise += 1
check("after %d connections of noise" % noise, until(30, works))
c = Client()
os.write(c.sock.fileno(), b"\x17\x03\x03\x00\x40" + os.urandom(64))     # past TLS: a forged record
try:
    while c.sock.recv(100):
        pass
    ended = True
except (OSError, ssl.SSLError):
    ended = True
check("a forged record ends its connection", ended and works())
stop.set()
drips.join()


def is_over(s):
    s.setblocking(False)
    try:
        return s.recv(1000) == b""
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True


check("the slow ones are given up in the end", until(90, lambda: all(is_over(s) for s in slow)))
for s in slow:
    s.close()

# A client that asks for much and reads nothing holds its own connection, and that for a while only.
lazy = []
for _ in range(10):
    c = Client()
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in range(200):
        try:
            c.sock.settimeout(0.2)
            c.send_head("GET", "/v1/openapi.json")
        except OSError:
            break
    lazy.append(c)
check("with 10 clients that ask and do not read", works())
for c in lazy:
    c.close()

# ---- nothing is left of all this
same_heap("dom0's heap is what it was before the crowds", before)
c = Client()
paths = ("/v1/host", "/v1/domains", "/v1/files", "/metrics", "/v1/counters", "/v1/none", "/v1/domains/bystander",
         "/v1/log", "/v1/domains/bystander/console", "/v1/openapi.json")
done = sum(c.ask("GET", paths[n % len(paths)])[0] in (200, 404) for n in range(1000))
c.close()
for n in range(100):
    c = Client()
    c.send_head(("GET", "PUT")[n % 2], ("/v1/events", "/v1/files/gone")[n % 2], length=(None, 5000)[n % 2])
    if n % 3:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    c.close()
same_heap("1000 requests and 100 that are broken off: the heap is the same to the byte", before, done == 1000)
got = get("/v1/domains/bystander")
check("the domain that ran meanwhile still does", got["state"] == "running" and got["cpu_seconds"] > 1, got)
ask("DELETE", "/v1/domains/bystander")

# ---- metrics, by a strict reader and by promtool where there is one
text = ask("GET", "/metrics", role="reader")[2].decode()
family, kinds, seen, faults = None, {}, set(), []
for line in text.splitlines():
    m = re.fullmatch(r"# (HELP|TYPE) (sluice_[a-z0-9_]+) (.+)", line)
    if m:
        if m.group(1) == "HELP":
            if m.group(2) in kinds:
                faults.append("twice: " + line)
            family = m.group(2)
        else:
            kinds[m.group(2)] = m.group(3)
            if m.group(2) != family or m.group(3) not in ("counter", "gauge"):
                faults.append(line)
            if (m.group(3) == "counter") != m.group(2).endswith("_total"):
                faults.append("name: " + line)
        continue
    m = re.fullmatch(r'(sluice_[a-z0-9_]+)(\{(?:[a-z]+="[^"\\\n]*",?)+\})? (\d+(?:\.\d+)?)', line)
    if not m or m.group(1) != family or family not in kinds or (m.group(1), m.group(2)) in seen:
        faults.append(line)
    else:
        seen.add((m.group(1), m.group(2)))
check("metrics: %d samples of %d families, in order" % (len(seen), len(kinds)), not faults and text.endswith("\n"), faults[:3])
try:
    p = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True)
    check("  promtool agrees", p.returncode == 0, p.stderr)
except FileNotFoundError:
    pass
finish()
