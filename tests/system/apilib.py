# SPDX-License-Identifier: MIT
"""apilib - what the Python parts of the API's test share: connections, requests, results."""
import json
import os
import socket
import ssl
import sys

PKI, PORT = sys.argv[1], int(sys.argv[2])
HOST = os.environ.get("API_HOST", "127.0.0.1")
bad = 0


def check(what, ok, detail=""):
    global bad
    print(("ok - " if ok else "not ok - ") + what + ("" if ok or not detail else ": %s" % (detail,)), flush=True)
    bad += not ok
    return ok


def finish():
    sys.exit(bad > 0)


def token(role):
    with open("%s/%s.token" % (PKI, role)) as f:
        return f.read()


def context(cert=None):
    c = ssl.create_default_context(cafile=PKI + "/api.ca")
    if cert:
        c.load_cert_chain("%s/%s.crt" % (PKI, cert), "%s/%s.key" % (PKI, cert))
    return c


def tcp(timeout=60, source=""):
    return socket.create_connection((HOST, PORT), timeout, (source, 0) if source else None)


class Client:
    """One TLS connection; requests one after the other."""

    def __init__(self, role="admin", timeout=60, source="", cert=None):
        self.sock = context(cert).wrap_socket(tcp(timeout, source), server_hostname="localhost")
        self.role = role
        self.buf = b""

    def close(self):
        self.sock.close()

    def send_head(self, method, path, fields=None, length=None):
        head = "%s %s HTTP/1.1\r\nHost: h\r\n" % (method, path)
        if self.role:
            head += "Authorization: Bearer %s\r\n" % token(self.role)
        if length is not None:
            head += "Content-Length: %d\r\n" % length
        for k, v in (fields or {}).items():
            head += "%s: %s\r\n" % (k, v)
        self.sock.sendall(head.encode() + b"\r\n")

    def more(self):
        d = self.sock.recv(65536)
        if not d:
            raise EOFError("the connection ended: %r" % self.buf[:200])
        self.buf += d

    def line(self):
        while b"\r\n" not in self.buf:
            self.more()
        line, self.buf = self.buf.split(b"\r\n", 1)
        return line

    def exactly(self, n):
        while len(self.buf) < n:
            self.more()
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def read_head(self):
        status = int(self.line().split()[1])
        fields = {}
        while True:
            line = self.line()
            if not line:
                return status, fields
            k, v = line.decode().split(":", 1)
            fields[k.lower()] = v.strip()

    def chunk(self):
        """The next chunk of a stream; b"" at its end."""
        n = int(self.line(), 16)
        data = self.exactly(n)
        if self.line() != b"":
            raise ValueError("chunk without its end")
        return data

    def answer(self, method="GET"):
        status, fields = self.read_head()
        if method == "HEAD":
            return status, fields, b""
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                c = self.chunk()
                if not c:
                    return status, fields, body
                body += c
        return status, fields, self.exactly(int(fields["content-length"]))

    def ask(self, method, path, body=None, fields=None):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            fields = dict(fields or {}, **{"Content-Type": "application/json"})
        if isinstance(body, str):
            body = body.encode()
        length = len(body) if body is not None else None
        self.send_head(method, path, fields, length)
        if body:
            self.sock.sendall(body)
        return self.answer(method)


def ask(method, path, body=None, role="admin", fields=None):
    """On a connection of its own. (status, fields, body)"""
    c = Client(role)
    try:
        return c.ask(method, path, body, fields)
    finally:
        c.close()


def get(path, role="reader"):
    status, _, body = ask("GET", path, role=role)
    if status != 200:
        raise ValueError("GET %s: %d %r" % (path, status, body))
    return json.loads(body)
