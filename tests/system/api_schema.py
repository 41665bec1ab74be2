# SPDX-License-Identifier: MIT
"""
api_schema - holds openapi.json against the server: the same routes and roles as in the tables of the
source, 401 and 403 where they belong, every status and body of live answers as described.

    api_schema.py PKI PORT SOURCE-TREE
"""
import glob
import hashlib
import json
import re
import ssl
import sys
import time
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
import jsonschema
from apilib import PKI, Client, ask, check, finish, get

TOP = sys.argv[3]
status, fields, text = ask("GET", "/v1/openapi.json", role=None)
doc = json.loads(text)
with open(TOP + "/toolstack/http/openapi.json") as f:
    check("openapi.json is served to everybody, as it is in the tree", status == 200 and doc == json.load(f))

# ---- the same routes, the same roles
table = {}
for name in glob.glob(TOP + "/toolstack/http/routes_*.c"):
    with open(name) as f:
        for m in re.finditer(r'\{\s*HTTP_(\w+),\s*"([^"]+)",\s*ROLE_(\w+),', f.read()):
            table[(m.group(1).lower(), m.group(2))] = {"ANYBODY": "any"}.get(m.group(3), m.group(3).lower())
described = {(m, p): op["x-role"] for p, ops in doc["paths"].items() for m, op in ops.items()}
hidden = {k for k in table if table[k] == "any" and k not in described}     # the web page's files
check("every route is described", set(table) - hidden <= set(described), sorted(set(table) - set(described)))
check("  and every description is of a route", set(described) <= set(table), sorted(set(described) - set(table)))
check("  with the role that the table asks for", all(described[k] == table[k] for k in described if k in table))
check("  and what anybody may do says that it needs no credential",
      all(doc["paths"][p][m].get("security") == [] for (m, p) in described if described[(m, p)] == "any"))

# ---- without a credential: the same answer everywhere, and no byte of state in it
resolver = jsonschema.RefResolver.from_schema(doc)


def fill(path):
    return path.replace("{name}", "web").replace("{item}", "xvda").replace("{vcpu}", "all")


def deref(x):
    while "$ref" in x:
        x = resolver.resolve(x["$ref"])[1]
    return x


ask("POST", "/v1/domains", 'name="web"\nkernel="spin"\nmemory=16\nextra="for=100000"\n')
wrong = []
answers = set()
for method, path in sorted(table):
    if table[(method, path)] == "any":
        continue
    for fields in ({}, {"Authorization": "Bearer " + "0" * 48}, {"Authorization": "Basic YTpi"}):
        got, head, body = ask(method.upper(), fill(path), role=None, fields=fields)
        head.pop("connection", None)
        answers.add((got, body, tuple(sorted(head.items()))))
# "/" and its files are the web page, static files of the tree: tests/system/page.sh compares them.
for path in ("/index.html", "/page", "/page.js/", "//", "/v1/", "/v1/domains/web/nothing", "/v2/host", "/v1/domains/" + "x" * 200, "/metrics/x", "/v1/host/"):
    if ("get", path) not in table:
        got, head, body = ask("GET", path, role=None)
        answers.add((got, body, tuple(sorted(head.items()))))
check("without a credential every route and every other path gives one and the same answer",
      len(answers) == 1 and list(answers)[0][0] == 401, answers)
got, head, body = ask("HEAD", "/v1/domains", role=None)
check("  HEAD as well", got == 401)
refused = [(m, p) for (m, p), role in sorted(table.items()) if role == "admin" and
           ask(m.upper(), fill(p), role="reader")[0] != 403]
check("a reader gets 403 on every route of the administrator", not refused, refused)
check("  and the domain still runs", get("/v1/domains/web")["state"] == "running")

# ---- live answers
seen = set()


def template(path):
    path = path.split("?")[0]
    for p in doc["paths"]:
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", p), path) and ("{" not in p or path not in doc["paths"]):
            return p
    return None


def live(method, path, body=None, expect=None, fields=None):
    """Asks as administrator; the answer's status and body must be described."""
    got, head, data = ask(method.upper(), path, body, fields=fields)
    p = template(path)
    if not check("%s %s: %d" % (method.upper(), path, got), expect is None or got in expect, (expect, data[:200])):
        return got, data
    if p is None or method not in doc["paths"][p]:
        return got, data
    r = doc["paths"][p][method]["responses"].get(str(got))
    if not check("  is described", r is not None, got):
        return got, data
    content = deref(r)["content"]
    kind = head["content-type"].split(";")[0]
    if check("  as %s" % kind, kind in content, list(content)):
        if kind == "application/json":
            schema = content[kind]["schema"]
            try:
                jsonschema.Draft202012Validator(schema, resolver=resolver).validate(json.loads(data))
                ok, why = True, ""
            except (jsonschema.ValidationError, ValueError) as e:
                ok, why = False, str(e)[:400]
            check("  and fits its schema", ok, why)
    seen.add((method, p))
    return got, data


def by_certificate(name):
    """The status that a client gets who shows that certificate and no token."""
    c = Client(None, cert=name)
    try:
        return c.ask("GET", "/v1/host")[0]
    finally:
        c.close()


def ended(c):
    try:
        while True:
            c.more()
    except (EOFError, OSError):
        return True


def wait(path, want):
    for _ in range(400):
        got, _, body = ask("GET", path, role="reader")
        if want(got, json.loads(body) if body[:1] in b"{[" else body):
            return True
        time.sleep(0.1)
    return False


for path in ("/v1/host", "/v1/disks", "/v1/counters", "/v1/log", "/v1/hypervisor-log", "/metrics", "/v1/files", "/v1/domains"):
    live("get", path, expect=[200])
live("get", "/v1/log?from=x", expect=[400])
live("get", "/v1/files/hello", expect=[200])
live("get", "/v1/files/none", expect=[404])
live("put", "/v1/files/copy", b"x" * 70000, expect=[201])
live("put", "/v1/files/hello", b"x", expect=[409])
live("put", "/v1/files/.bad", b"x", expect=[422])
live("post", "/v1/files/far", {"url": "https://example.org/"}, expect=[422])
live("post", "/v1/files/far", {"uri": "http://example.org/"}, expect=[422])
live("post", "/v1/files/far", "{", expect=[400])
live("post", "/v1/files/far", {"url": "http://10.0.2.2:1/x"}, expect=[202])
check("  and the failed fetch says why", wait("/v1/files/far", lambda s, b: b.get("state") == "failed" and b["error"]))
live("get", "/v1/files/far", expect=[200])
live("get", "/v1/files", expect=[200])
live("delete", "/v1/files/far", expect=[200])
live("delete", "/v1/files/copy", expect=[200])
live("delete", "/v1/files/copy", expect=[404])
live("delete", "/v1/files/spin", expect=[409])
live("post", "/v1/domains", "name=", expect=[422])
live("post", "/v1/domains", {"paused": True}, expect=[422])
live("post", "/v1/domains", "x" * 70000, expect=[413])
live("post", "/v1/domains", 'name="web"\nkernel="spin"\nmemory=16\n', expect=[409])
live("post", "/v1/domains", 'name="none"\nkernel="none"\nmemory=16\n', expect=[404])
live("post", "/v1/domains", {"config": 'name="p"\nkernel="hello"\nmemory=16\non_poweroff="preserve"\n', "paused": True},
     expect=[201])
dom = "/v1/domains/p"
live("get", dom, expect=[200])
number = get(dom)["id"]
live("get", "/v1/domains/%d" % number, expect=[200])
live("get", "/v1/domains/none", expect=[404])
live("post", dom + "/unpause", expect=[202])
live("post", dom + "/pause", expect=[202])
live("post", dom + "/unpause", expect=[202])
live("post", dom + "/suspend?timeout=0", expect=[422])
live("post", dom + "/suspend?timeout=x", expect=[400])
live("post", dom + "/suspend", expect=[409])        # a guest that does not offer it
live("post", dom + "/resume", expect=[409])
live("post", "/v1/domains/none/resume", expect=[404])
live("post", dom + "/console", b"a line\n", expect=[200])
live("get", dom + "/console", expect=[200])
check("  it ends, and stays", wait(dom, lambda s, b: b.get("state") == "shutdown"))
live("get", dom, expect=[200])
live("post", dom + "/pause", expect=[409])
live("post", dom + "/reboot", expect=[409])
for body in ({}, {"affinity": 1}, {"affinity": [64]}, {"affinity": [-1]}, {"affinity": ["all"]}, {"soft_affinity": {}}, {"affinity": [63]}):
    live("patch", "/v1/domains/web/vcpus/0", body, expect=[422])
live("patch", "/v1/domains/web/vcpus/7", {"affinity": []}, expect=[404])
live("patch", "/v1/domains/web/vcpus/x", {"affinity": []}, expect=[404])
live("patch", dom + "/vcpus/0", {"affinity": []}, expect=[409])
got, _ = live("patch", "/v1/domains/web/vcpus/all", {"affinity": [0, 63], "soft_affinity": [1]}, expect=[200])
for path, method, good, wrong in ((dom + "/rename", "post", None, {"name": "b b"}),
                                  ("/v1/domains/web/memory", "put", {"target_kib": 16384}, {"target_kib": 1 << 50}),
                                  ("/v1/domains/web/memory", "put", {"max_kib": 32768}, {"max_kib": 1024}),
                                  ("/v1/domains/web/vcpus", "put", {"online": 1}, {"online": 99}),
                                  ("/v1/domains/web/vcpus/0", "patch", {"affinity": [], "soft_affinity": []}, {"affinity": "0"}),
                                  ("/v1/domains/web/scheduler", "put", {"weight": 300}, {"weight": 0}),
                                  ("/v1/domains/web/networks", "post", {"vif": ""}, {"vif": "mac=zz"}),
                                  ("/v1/domains/web/disks", "post", None, {"disk": "nothing"})):
    if (method, template(path) or "") in described:
        live(method, path, "[", expect=[400])
        live(method, path, wrong, expect=[404, 409, 422, 501])
        if good:
            live(method, path, good, expect=[200, 201, 202])
for what in ("vcpus", "scheduler", "networks", "disks"):
    if ("get", "/v1/domains/{name}/" + what) in described:
        live("get", "/v1/domains/web/" + what, expect=[200])
for what in ("networks/9", "disks/xvdz"):
    if ("delete", "/v1/domains/{name}/%s/{item}" % what.split("/")[0]) in described:
        live("delete", "/v1/domains/web/" + what, expect=[404])
live("post", dom + "/destroy", expect=[202])
live("post", "/v1/domains/web/shutdown", expect=[202])
live("delete", "/v1/domains/web", expect=[202])
check("  all are gone", wait("/v1/domains", lambda s, b: b == []))
live("get", dom + "/console", expect=[200])
live("post", "/v1/host", expect=[405])

# ---- a credential is withdrawn while the host runs
with open(PKI + "/api.tokens") as f:
    lines = f.read()
der = ssl.PEM_cert_to_DER_cert(open(PKI + "/reader.crt").read())
stream = Client("reader")
stream.send_head("GET", "/v1/log?follow=1")
check("a stream", stream.read_head()[0] == 200)
live("put", "/v1/tokens", "nobody " + "0" * 64, expect=[422])
live("put", "/v1/tokens", "", expect=[409])
live("put", "/v1/tokens", re.sub("(?m)^admin", "reader", lines), expect=[409])
check("  after which all is as it was", ask("GET", "/v1/host", role="reader")[0] == 200 and by_certificate("reader") == 200)
live("put", "/v1/tokens", "\n".join(x for x in lines.splitlines() if x.startswith("admin")), expect=[200])
check("a token that is no longer listed counts no more", ask("GET", "/v1/host", role="reader")[0] == 401)
check("  and what it had opened has ended", ended(stream))
check("  a certificate still counts", by_certificate("reader") == 200 and by_certificate("admin") == 200)
live("put", "/v1/tokens", lines + "\nrevoked %s bob's\n" % hashlib.sha256(der).hexdigest(), expect=[200])
check("a revoked certificate counts no more", by_certificate("reader") == 401)
check("  others do", by_certificate("admin") == 200 and ask("GET", "/v1/host", role="reader")[0] == 200)
live("put", "/v1/tokens", lines, expect=[200])
check("  until it is taken back", by_certificate("reader") == 200)

c = Client("reader")
c.send_head("GET", "/v1/events?from=1")
got, head = c.read_head()
events = c.chunk().decode().splitlines()
schema = doc["paths"]["/v1/events"]["get"]["responses"]["200"]["content"]["application/x-ndjson"]["schema"]
faults = [str(e) for line in events for e in jsonschema.Draft202012Validator(schema, resolver=resolver).iter_errors(json.loads(line))]
check("GET /v1/events: 200, %d events as described" % len(events),
      got == 200 and not faults and [json.loads(e)["seq"] for e in events] == list(range(1, len(events) + 1)), faults[:3])
check("  what happened to p", [json.loads(e)["event"] for e in events if json.loads(e).get("domain") == "p"][:5] ==
      ["created", "paused", "unpaused", "paused", "unpaused"],
      [json.loads(e)["event"] for e in events if json.loads(e).get("domain") == "p"])
c.close()
seen |= {("get", "/v1/events"), ("get", "/v1/openapi.json")}
check("every described operation was tried", set(described) <= seen, sorted(set(described) - seen))
finish()
