# SPDX-License-Identifier: MIT
# xlexamples.py - every example and every key of Debian's xen-utils and of its manual pages through
# `sluice config check`: read, or refused with the reason; nothing that has no effect in silence.
#   xlexamples.py SLUICE ROOT TMP     ROOT: the packages, unpacked
# Prints "ok - what" and "not ok - what" lines.
import glob, html, os, re, subprocess, sys
from html.parser import HTMLParser

sluice, root, tmp = sys.argv[1:]
man = root + "/usr/share/doc/xen/html/man/"
# What a domain of ours is made of; every other key must say something.
APPLIED = set("""name type builder kernel ramdisk cmdline root extra memory maxmem vcpus maxvcpus cpu_weight cap cpus cpus_soft
uuid vif disk on_poweroff on_reboot on_crash on_watchdog""".split())

def report(good, what, more=""):
    print(("ok - " if good else "not ok - ") + what)
    if not good:
        print("    | " + more.replace("\n", "\n    | "))

def check(text, name="t.cfg"):
    """Status and what was said about a configuration."""
    path = os.path.join(tmp, name)
    with open(path, "w") as f:
        f.write(text)
    r = subprocess.run([sluice, "config", "check", path], capture_output=True, text=True, timeout=20)
    said = r.stderr + r.stdout
    sane = r.returncode in (0, 2) and "Sanitizer" not in said and "runtime error" not in said
    if r.returncode == 2 and "refused: " not in r.stderr:
        sane = False
    return r.returncode if sane else -1, said

# ---- the example files
want = {"xlexample.pvlinux": (0, "among the host's own disks"), "xlexample.hvm": (2, "type = 'hvm' is not supported"),
        "xlexample.pvhlinux": (2, "type = 'pvh' is not supported"), "cpupool": (2, "unknown key 'sched'")}
files = [f for pattern in ("/etc/xen/*example*", "/usr/share/doc/xen*/examples/*") for f in glob.glob(root + pattern)]
for f in sorted(files):
    status, said = check(open(f).read())
    wanted, reason = want.get(os.path.basename(f), (None, ""))
    report(status == wanted and reason in said, f"{os.path.basename(f)}: {'read' if wanted == 0 else 'refused'}, and says why", said)
report(len(files) >= 4, f"{len(files)} example files", str(files))

# ---- the keys of xl.cfg(5): the outermost <dt> of each list, "key=VALUE"
class Keys(HTMLParser):
    depth, inside, text, found = 0, False, "", []
    def handle_starttag(self, tag, attrs):
        self.depth += tag == "dl"
        if tag == "dt" and self.depth == 1:
            self.inside, self.text = True, ""
    def handle_endtag(self, tag):
        self.depth -= tag == "dl"
        if tag == "dt" and self.inside:
            self.inside = False
            self.found.append(self.text)
    def handle_data(self, data):
        if self.inside:
            self.text += data

k = Keys()
k.feed(open(man + "xl.cfg.5.html").read())
keys = sorted({m.group(1) for t in k.found for m in [re.match(r"([a-z_0-9]+)\s*=", t)] if m})
report(len(keys) > 120, f"xl.cfg(5) describes {len(keys)} keys", " ".join(keys))
silent, unknown, broken = [], [], []
for key in keys:
    base = "".join(f'{n} = "x"\n' for n in ("name", "kernel") if n != key)
    for value in ('"1"', "1", '[ [ "a", "b" ], "c=d" ]'):
        status, said = check(base + f"{key} = {value}\n")
        if status < 0:
            broken.append(f"{key} = {value}: {said}")
        if f"unknown key '{key}'" in said:
            unknown.append(key)
        # A key that is not applied: refused, or a note that names it.
        if key not in APPLIED and not re.search(rf"t.cfg:3:1: (refused|note): {key} (is not supported|has no effect here): ..", said):
            silent.append(f"{key} = {value}: {said}")
report(not broken, "  every value of each is read or refused with a reason", "\n".join(broken[:5]))
report(not unknown, "  each is known by name", " ".join(sorted(set(unknown))))
report(not silent, "  each that is not applied says so, and what to do", "\n".join(silent[:5]))

# ---- the verbs of xl(1)
verbs = Keys()
verbs.found = []
verbs.feed(open(man + "xl.1.html").read())
names = sorted({m.group(1) for t in verbs.found for m in [re.match(r"([a-z][a-z0-9-]*)(?: [^ ]|$)", t)] if m} -
               {"start", "setup", "autoballoon", "run", "xl"})
report({"create", "vcpu-pin", "uptime", "psr-mba-show"} < set(names), f"xl(1) describes {len(names)} verbs", " ".join(names))
offered = set(subprocess.run([sluice, "_complete", "verbs"], capture_output=True, text=True).stdout.split())
dumb = []
for name in set(names) - offered:
    r = subprocess.run([sluice, name], capture_output=True, text=True, timeout=20)
    if r.returncode != 2 or f"xl's verb {name} is not offered\n" not in r.stderr or r.stderr.count("\n") != 2:
        dumb.append(name + ": " + r.stderr)
report(not dumb, f"  {len(offered & set(names))} are offered, each other says what to do instead", "\n".join(dumb[:5]))

# ---- what stands as a block of text in the pages
n, broken, quiet = 0, [], []
for page in ("xl.cfg.5", "xl-disk-configuration.5", "xl-network-configuration.5", "xl-pci-configuration.5", "xlcpupool.cfg.5"):
    for block in re.findall(r"<pre><code>(.*?)</code></pre>", open(f"{man}{page}.html").read(), re.S):
        block = html.unescape(block)
        tries = [block, 'name="n"\nkernel="k"\n' + block]
        for line in block.splitlines():
            spec = line.split(" -- ")[0].split(" (deprecated")[0].split(" # ")[0].strip().strip("'").replace("'", "")
            tries += [f"name='n'\nkernel='k'\n{list_} = [ '{spec}' ]\n" for list_ in ("disk", "vif", "pci")]
        for t in tries:
            n += 1
            status, said = check(t)
            if status < 0:
                broken.append(t + said)
report(n > 100 and not broken, f"{n} files made of the pages' blocks and lines: read or refused with a reason", "\n".join(broken[:3]))

# ---- and what of those must be one or the other
for text, wanted, reason in [
    ("disk = [ '/dev/vg/guest-volume,,hda', '/root/image.iso,,hdc,cdrom' ]", 0, ""),
    ("disk = [ 'format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume' ]", 0, ""),
    ("disk = [ '/root/image.iso,raw,hdc,devtype=cdrom' ]", 0, ""),
    ("disk = [ '/root/image.qcow2,qcow2,xvda' ]", 2, "only raw"),
    ("disk = [ '/dev/vg/guest-volume,raw,xvda,rw,backendtype=qdisk' ]", 2, "backendtype= is not supported: there is one kind"),
    ("disk = [ 'raw:/dev/vg/guest-volume,hda,w' ]", 2, "format 'hda'"),
    ("vif = [ 'mac=00:16:3E:74:3d:76,model=rtl8139,bridge=xenbr0' ]", 0, ""),
    ("vif = [ 'mac=00:16:3E:74:34:32', 'mac=00:16:3e:5f:48:e4,bridge=xenbr1' ]", 0, ""),
    ("vif = [ 'rate=1MB/s@20ms' ]", 0, ""),
    ("vif = [ 'type=ioemu' ]", 0, "vif: type= has no effect here"),
    ("vif = [ 'backend=1' ]", 2, "backend= is not supported: there are no driver domains"),
    ("vif = [ 'ip=10.0.0.1', 'gatewaydev=eth0' ]\npool = 'x'", 2, "pool has no effect here: there is one pool"),
    ("cpus = '0-3,^1'\ncpus_soft = ['2', '3']", 0, ""),
    ("cpus = 'nodes:1'", 2, "cpus: there is no node 1"),
    ("vif = [ 'bridge=a', 'colour=red' ]\ndisk = [ 'a,vhd,xvda', 'script=s,vdev=xvdb,target=t' ]", 2, "script= is not supported"),
]:
    status, said = check('name = "n"\nkernel = "k"\n' + text + "\n")
    report(status == wanted and reason in said, f"{'read' if wanted == 0 else 'refused'}: {text}", said)
