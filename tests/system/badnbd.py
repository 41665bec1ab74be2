#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# badnbd.py PORT IMAGE - an NBD server that misbehaves. The export's name says how:
#   magic tls unknown endless slow tiny ro nosize close   never let a client in
#   every=N     honest but for every Nth request, when it does one of: cut a reply short and hang up,
#               answer with a wrong handle, answer twice, answer a write before its data has come, send noise,
#               say it is shutting down, hang up, answer with the handle of a request that is still to come
#   sizes       honest, but the export has another size each time somebody connects
#   error=N     answers every request with NBD error N
# Anything else is honest. Data is kept in memory and shared by all exports and connections, but for export b,
# which has an image of its own.
import os, socket, struct, sys, threading, time

images = [bytearray(open(sys.argv[2], "rb").read()) for i in range(2)]
lock = threading.Lock()
requests = [0]
visits = [0]
tricks = ["short", "handle", "twice", "early", "noise", "shutdown", "hangup", "ahead"]


class Gone(Exception):
    pass


def read(s, n):
    data = b""
    while len(data) < n:
        part = s.recv(n - len(data))
        if not part:
            raise Gone
        data += part
    return data


def option_reply(s, opt, kind, data=b""):
    s.sendall(struct.pack(">QIII", 0x3e889045565a9, opt, kind, len(data)) + data)


def handshake(s):
    """The export's name."""
    first = b"NBDMAGICIHAVEOPT"
    s.sendall(first + b"\0\3")
    read(s, 4)
    while True:
        magic, opt, n = struct.unpack(">QII", read(s, 16))
        data = read(s, n)
        if opt != 7:
            option_reply(s, opt, 0x80000001)
            continue
        length, = struct.unpack(">I", data[:4])
        return data[4:4 + length].decode()


def let_in(s, name):
    size, flags = len(images[0]), 0x16d
    if name == "tls":
        option_reply(s, 7, 0x80000005, b"no TLS, no data")
        raise Gone
    if name == "unknown":
        option_reply(s, 7, 0x80000006, b"never heard of it")
        raise Gone
    if name == "close":
        raise Gone
    while name == "endless":
        option_reply(s, 7, 3, struct.pack(">H", 99) + b"x" * 1000)
    if name == "tiny":
        size = 512
    if name == "ro":
        flags |= 2
    if name == "sizes":
        visits[0] += 1
        size -= visits[0] % 3 * 65536
    if name != "nosize":
        option_reply(s, 7, 3, struct.pack(">HQH", 0, size, flags))
    option_reply(s, 7, 1)


def answer(s, handle, error=0, data=b""):
    s.sendall(struct.pack(">IIQ", 0x67446698, error, handle) + data)


def misbehave(s, trick, cmd, handle, length):
    """True: the request is to be answered properly all the same."""
    if trick == "short":
        if cmd == 0:
            s.sendall(struct.pack(">IIQ", 0x67446698, 0, handle) + b"\xa5" * (length // 2))
        raise Gone
    if trick == "handle":
        answer(s, handle ^ 0x5a00, 0)
    elif trick == "ahead":
        answer(s, handle + 256, 0)
    elif trick == "noise":
        s.sendall(os.urandom(200))
    elif trick == "shutdown":
        answer(s, handle, 108)
    elif trick == "hangup":
        raise Gone
    time.sleep(0.05)
    raise Gone


def serve(s, name):
    every = int(name[6:]) if name.startswith("every=") else 0
    error = int(name[6:]) if name.startswith("error=") else 0
    image = images[name == "b"]
    let_in(s, name)
    while True:
        magic, flags, cmd, handle, offset, length = struct.unpack(">IHHQQI", read(s, 28))
        if cmd == 2:
            return
        with lock:
            requests[0] += 1
            count = requests[0]
        trick = tricks[count // every % len(tricks)] if every and count % every == 0 else None
        if trick == "early" and cmd == 1:
            answer(s, handle)
            time.sleep(0.05)
            data = read(s, length)      # what was promised is kept: that lie nobody could see
            with lock:
                image[offset:offset + length] = data
            raise Gone
        data = read(s, length) if cmd == 1 else b""
        if trick and trick != "twice":
            misbehave(s, trick, cmd, handle, length)
        if error:
            answer(s, handle, error)
            continue
        if offset + length > len(image):
            answer(s, handle, 22)
            continue
        with lock:
            if cmd == 1:
                image[offset:offset + length] = data
            if cmd in (4, 6):
                image[offset:offset + length] = bytes(length)
            out = bytes(image[offset:offset + length]) if cmd == 0 else b""
        answer(s, handle, 0, out)
        if trick == "twice":
            answer(s, handle, 0, out)


def client(s):
    try:
        name = handshake(s)
        print("export", name, flush=True)
        serve(s, name)
    except (Gone, OSError, struct.error):
        pass
    finally:
        s.close()


def slow(s):
    """Ports above the first: who connects there gets a greeting that is wrong, or that never ends."""
    try:
        for b in b"NBDMAGICIHAVEOPT\0\3":
            s.sendall(bytes([b]))
            time.sleep(2)
        time.sleep(1000)
    except OSError:
        pass


def wrong(s):
    try:
        s.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        time.sleep(5)
    except OSError:
        pass


def listen(port, fn):
    l = socket.socket()
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    l.bind(("127.0.0.1", port))
    l.listen(16)
    while True:
        s, _ = l.accept()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=fn, args=(s,), daemon=True).start()


port = int(sys.argv[1])
threading.Thread(target=listen, args=(port + 1, slow), daemon=True).start()
threading.Thread(target=listen, args=(port + 2, wrong), daemon=True).start()
listen(port, client)
