# SPDX-License-Identifier: MIT
# clipty.py - drives a command on a terminal of its own, as fingers and eyes would.
#   clipty.py LOG STEP... -- COMMAND...
# Steps, in order: "wait:PATTERN" until the output since the last such step matches; "type:TEXT"
# (escapes as in Python); "size:ROWSxCOLS" the window changes; "end" the command must end by itself;
# "run:COMMAND" a shell command on the side. Afterwards the terminal must be as it was before.
# Ends with the command's status; 99: a step failed, 98: the terminal was left changed.
import fcntl, os, pty, re, select, signal, struct, subprocess, sys, termios, time

log, rest = sys.argv[1], sys.argv[2:]
steps, command = rest[:rest.index("--")], rest[rest.index("--") + 1:]
PATIENCE = int(os.environ.get("PATIENCE", "120"))      # seconds for each step

master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
before = termios.tcgetattr(slave)
child = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                         preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
seen, mark, raw_seen = b"", 0, False

def pump(seconds):
    global seen, raw_seen
    r, _, _ = select.select([master], [], [], seconds)
    if r:
        try:
            seen += os.read(master, 65536)
        except OSError:
            pass
    raw_seen |= not termios.tcgetattr(slave)[3] & termios.ICANON

def give_up(what):
    with open(log, "wb") as f:
        f.write(seen)
    child.kill()
    print("# " + what)
    sys.exit(99)

for step in steps:
    kind, _, arg = step.partition(":")
    until = time.monotonic() + PATIENCE
    if kind == "wait":
        while True:
            m = re.search(arg.encode(), seen[mark:])
            if m:
                mark += m.end()
                break
            if time.monotonic() > until or (child.poll() is not None and not select.select([master], [], [], 0)[0]):
                give_up(f"never saw {arg}")
            pump(0.1)
    elif kind == "type":
        os.write(master, arg.encode().decode("unicode_escape").encode("latin-1"))
    elif kind == "size":
        rows, cols = map(int, arg.split("x"))
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        os.killpg(child.pid, signal.SIGWINCH)
    elif kind == "run":
        subprocess.run(arg, shell=True, check=False)
    elif kind == "end":
        while child.poll() is None:
            if time.monotonic() > until:
                give_up("the command did not end")
            pump(0.1)
until = time.monotonic() + PATIENCE
while child.poll() is None:
    if time.monotonic() > until:
        give_up("the command did not end")
    pump(0.1)
for _ in range(5):
    pump(0.05)
with open(log, "wb") as f:
    f.write(seen)
if termios.tcgetattr(slave) != before:
    print("# the terminal was left changed")
    sys.exit(98)
if not raw_seen and b"console" in b" ".join(c.encode() for c in command):
    print("# the terminal was never raw")
    sys.exit(97)
sys.exit(child.returncode if child.returncode >= 0 else 128 - child.returncode)
