# SPDX-License-Identifier: MIT
"""machine.py - what the programs of tests/apps share: results, ports, disks over NBD, QEMU's machine, ab."""
import os
import re
import signal
import socket
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = TOP + "/build/apps"
KERNEL = TOP + "/build/kernels/amd64/vmlinuz"
INITRD = WORK + "/initrd.gz"
ROOT = WORK + "/root.img"
MACHINE = ["-accel", "tcg", "-icount", "shift=0,sleep=on", "-smp", "1", "-m", "3072", "-nodefaults",
           "-no-user-config", "-display", "none", "-no-reboot", "-rtc", "base=2026-01-01,clock=vm",
           "-cpu", "Haswell-noTSX,-x2apic,-tsc-deadline,-erms,-pcid,-invpcid"]
bad = 0


def check(what, good):
    global bad
    bad += not good
    print("%s - %s" % ("ok" if good else "not ok", what), flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read().decode("utf-8", "replace").replace("\r", "")
    except FileNotFoundError:
        return ""


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def numbers(text):
    return {k: int(v) for k, v in re.findall(r'"([^"]+)": ?(\d+)', text)}


def disk_server(port, *what):
    """nbdkit on that port; without more words: the server's root file system, changes kept in memory."""
    return subprocess.Popen(["nbdkit", "-f", "-i", "127.0.0.1", "-p", str(port),
                             *(what or ("--filter=cow", "file", ROOT))])


def qemu(name, args):
    err = open("%s/%s.qemu" % (WORK, name), "w")
    return subprocess.Popen(["qemu-system-x86_64"] + MACHINE + args, stdin=subprocess.DEVNULL,
                            stdout=err, stderr=err)


def end(*children):
    for child in children:
        child.terminate()
        child.wait()


def nic(*forwards):
    """A virtio NIC on QEMU's user network; forwards: (port here, address in there, port)."""
    net = "user,id=n" + "".join(",hostfwd=tcp:127.0.0.1:%d-%s:%d" % f for f in forwards)
    return ["-netdev", net, "-device", "virtio-net-pci,netdev=n,disable-legacy=on,romfile="]


def host(build, dom0, files, log, out):
    """QEMU's arguments for a Sluice host. files: name on the host -> path here."""
    modules = [build + "/dom0 ip=10.0.2.254/24 api=insecure " + dom0]
    modules += ["%s %s" % (path, name) for name, path in files.items()]
    return ["-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-serial", "file:" + log,
            "-serial", "file:" + out, "-kernel", build + "/sluice", "-append", "debugexit",
            "-initrd", ",".join(modules)]


def fetch_pages(name, port, n):
    """ab from outside gets the server's page n times."""
    done = subprocess.run(["ab", "-q", "-n", str(n), "-c", "8", "-s", "120",
                           "http://127.0.0.1:%d/page.html" % port],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    write("%s/%s.ab" % (WORK, name), done.stdout)
    check("%s: ab from outside: %d pages of 6144 bytes, none failed" % (name, n),
          all(re.search(line, done.stdout, re.M) for line in (
              r"^Complete requests: +%d$" % n, r"^Failed requests: +0$", r"^Document Length: +6144 bytes$",
              r"^HTML transferred: +%d bytes$" % (6144 * n))))


class Pages:
    """ab from outside gets the server's page again and again, until end()."""
    def __init__(self, name, port):
        self.name = name
        self.child = subprocess.Popen(["ab", "-q", "-n", "10000000", "-c", "8", "-s", "120",
                                       "http://127.0.0.1:%d/page.html" % port],
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def end(self):
        self.child.send_signal(signal.SIGINT)       # it prints what it did
        text = self.child.communicate()[0]
        write("%s/%s.ab" % (WORK, self.name), text)
        check("%s: ab from outside: pages of 6144 bytes, none failed" % self.name,
              all(re.search(line, text, re.M) for line in (
                  r"^Failed requests: +0$", r"^Document Length: +6144 bytes$")))


def work_results(name, text, loads):
    """What work.sh printed: load -> (operations, counters before, counters after)."""
    check("%s: systemd and its services are up" % name, "APPS up" in text)
    for what in re.findall(r"APPS verified ([^\n]*)", text):
        check("%s: %s" % (name, what), True)
    for what in re.findall(r"APPS WRONG ([^\n]*)", text):
        check("%s: %s" % (name, what), False)
    result = {}
    for load in loads:
        m = re.search(r"APPS %s n=(\d+) rc=(\d+)\nBEFORE (\{.*)\nAFTER (\{.*)" % load, text)
        check("%s: %s" % (name, load), m is not None and m[2] == "0")
        if m and m[2] == "0":
            result[load] = (int(m[1]), numbers(m[3]), numbers(m[4]))
    check("%s: to its end" % name, "APPS end" in text)
    return result
