# SPDX-License-Identifier: MIT
# fakehost.py - hosts that answer wrongly, for tests of the operator's command. Each kind listens on
# a port of its own; a line "KIND PORT" for each is printed, then they serve until killed.
#   fakehost.py [CERT KEY]    with them also kinds over TLS
import json, socket, ssl, sys, threading, time

def answer(status, body, kind="application/json", extra=""):
    if isinstance(body, str):
        body = body.encode()
    return (f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{extra}"
            "Connection: close\r\n\r\n").encode() + body

def chunked(kind="application/json"):
    return f"HTTP/1.1 200 X\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()

def domain(**more):
    d = {"name": "web", "id": 1, "state": "running", "memory_kib": 131072, "vcpus": 1, "cpu_seconds": 1.5}
    d.update(more)
    return d

LONG = "a-domain-with-a-name-of-sixty-three-characters-which-is-the-most"[:63]
GOOD = [domain(), domain(name=LONG, id=12, state="paused", uuid="0" * 8), domain(name="db", id=2, blocked=True),
        domain(name="old", id=3, state="shutdown", reason="crash"), {"name": "new", "state": "building"}]

def good(path):
    if path == "/v1/domains":
        return answer(200, json.dumps(GOOD))
    if path == "/v1/host":
        return answer(200, json.dumps({"software": "sluice", "name": "fake", "cpus": 2, "uptime_ns": 90061000000000,
                                       "memory_pages": 262144, "memory_free_pages": 1000, "version": "9.9"}))
    if path.startswith("/v1/domains/"):
        here = [d for d in GOOD if d["name"] == path.split("/")[3]]
        if not here:
            return answer(404, '{"error":"no domain"}')
        if path.count("/") == 3:
            return answer(200, json.dumps(here[0]))
        of = {"vcpus": [{"vcpu": 0, "online": True, "cpu": 1, "blocked": True, "cpu_seconds": 1.5, "affinity": [0, 1, 3]},
                        {"vcpu": 1, "online": True, "running": False, "blocked": False, "cpu": 0, "cpu_seconds": 0,
                         "affinity": [], "soft_affinity": [63]}],
              "networks": [{"devid": 0, "mac": "00:16:3e:00:00:07"}], "disks": [{"vdev": "xvda"}, {"vdev": "xvdb"}]}
        # "old" ends between the list and this.
        if here[0]["name"] == "old":
            return answer(404, '{"error":"no domain old"}')
        if path.split("/")[4] in of:
            return answer(200, json.dumps(of[path.split("/")[4]]))
    if path.startswith("/v1/events"):
        lines = [{"seq": 1, "time": 1700000000, "event": "created", "domain": "web", "id": 1},
                 {"seq": 2, "time": 1700000001, "event": "crashed\033[31m", "domain": "db", "id": 2, "reason": "x"}]
        return answer(200, "".join(json.dumps(l) + "\n" for l in lines))
    return answer(404, '{"error":"no such path"}')

def listed(value):
    return lambda path: answer(200, value if isinstance(value, str) else json.dumps(value))

KINDS = {
    "good": good,
    "huge": listed("[" + '{"name":"a","state":"running"},' * 600000 + '{"name":"a","state":"running"}]'),
    "deep": listed("[" * 1000000),
    "html": lambda p: answer(200, "<html>hello</html>", "text/html"),
    "html404": lambda p: answer(404, "<html>not here</html>", "text/html"),
    "empty": listed(""),
    "null": listed("null"),
    "object": listed({"name": "web"}),
    "array": listed([]),
    "numbers": listed([1, 2]),
    "badname": listed([{"name": 7, "state": "running"}]),
    "nostate": listed([{"name": "web"}]),
    "twice": listed('[{"name":"a","name":"b","state":"running"}]'),
    "badutf8": lambda p: answer(200, b'[{"name":"\xff\xfe","state":"running"}]'),
    "oddtypes": listed([domain(id=-5, memory_kib="much", vcpus=[], cpu_seconds={}, uuid=3, reason=False, vifs=7)]),
    "bigints": listed('[{"name":"web","state":"running","id":99999999999999,"memory_kib":9223372036854775807,'
                      '"vcpus":9223372036854775807,"cpu_seconds":1e300,"started":-9e300}]'),
    "overflow": listed('[{"name":"web","state":"running","id":99999999999999999999999999}]'),
    "escape": listed([domain(name="a\033]0;title\007\033[2Jb\u009b31m", state="runn\ning")]),
    "escerror": lambda p: answer(422, json.dumps({"error": "bad\033[31m thing\r\nsecond line"})),
    "noreason": lambda p: answer(500, ""),
    "unauthorized": lambda p: answer(401, '{"error":"a credential is needed"}'),
    "forbidden": lambda p: answer(403, '{"error":"only for administrators"}'),
    "busy": lambda p: answer(429, '{"error":"too many requests"}'),
    "oldhost": lambda p: answer(405, '{"error":"this path knows other methods only"}'),
    "redirect": lambda p: answer(302, "", extra="Location: http://127.0.0.1:1/stolen\r\n"),
    "cut": lambda p: b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n[{",
    "cuthead": lambda p: b"HTTP/1.1 200 X\r\nContent-Le",
    "cutchunk": lambda p: chunked() + b"10\r\n[{",
    "nothing": lambda p: b"",
    "garbage": lambda p: b"\x16\x03\x01\x02\x00 SSH-2.0 what?\r\n" * 3,
    "badevents": lambda p: chunked() + b"4\r\n123\n\r\n0\r\n\r\n" if "events" in p else good(p),
    "longevent": lambda p: chunked() + b"20000\r\n" + b"x" * 0x20000 + b"\r\n0\r\n\r\n" if "events" in p else good(p),
    # A console as an old host has it: what is kept, and the answer ends though the domain runs.
    "nostream": lambda p: answer(200, "hello\r\n", "text/plain") if "console" in p else good(p),
}

def serve(make, listener, context):
    def one(s):
        try:
            s.settimeout(20)
            if context:
                s = context.wrap_socket(s, server_side=True)
            data = b""
            while b"\r\n\r\n" not in data:
                d = s.recv(65536)
                if not data and d[:1] == b"\x16":       # TLS
                    s.sendall(b"HTTP/1.1 400 X\r\nConnection: close\r\n\r\n")
                    return
                if not d:
                    return
                data += d
            head, _, body = data.partition(b"\r\n\r\n")
            length = [int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length:")]
            while length and len(body) < length[0]:
                body += s.recv(65536)
            path = head.split(b" ")[1].decode()
            if make is None:
                time.sleep(60)
            elif make == "endless":
                s.sendall(chunked())
                while True:
                    s.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
            else:
                s.sendall(make(path))
        except (OSError, ValueError):
            pass
        finally:
            s.close()
    while True:
        s, _ = listener.accept()
        threading.Thread(target=one, args=(s,), daemon=True).start()

def start(name, make, context=None):
    l = socket.socket()
    l.bind(("127.0.0.1", 0))
    l.listen(16)
    print(name, l.getsockname()[1], flush=True)
    threading.Thread(target=serve, args=(make, l, context), daemon=True).start()

for name, make in KINDS.items():
    start(name, make)
start("silent", None)
start("endless", "endless")
if len(sys.argv) > 2:
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(sys.argv[1], sys.argv[2])
    start("tls", good, ctx)
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(sys.argv[1], sys.argv[2])
    ctx.maximum_version = ssl.TLSVersion.TLSv1_2
    start("tls12", good, ctx)
print("ready", 0, flush=True)
while True:
    time.sleep(3600)
