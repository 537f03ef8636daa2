# SPDX-License-Identifier: GPL-2.0-or-later
"""What a test poses with: namespaces, taps, VMs, disks, traffic.

Everything is made through a Lab, named after the test, and undone in reverse
order when the test ends, however it ends. The kernel's counters are read with
ip, tc and /proc, never with the probe.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import uuid
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
HARNESS = BUILD / "tests" / "harness"
# A file system with direct I/O: in scripts/host-vm's machine build/ is an overlay in memory.
DISK_ROOT = pathlib.Path(os.environ.get("VS_DISK", BUILD))
REPLY_S = 60


def sh(*argv, check=True, **kw):
    """Runs a command, returns its stdout; a failure shows its stderr."""
    r = subprocess.run([str(a) for a in argv], capture_output=True, text=True, **kw)
    if check and r.returncode:
        raise RuntimeError(f"{' '.join(map(str, argv))}: {r.returncode}: {r.stderr.strip()}")
    return r.stdout


def wait_for(what, condition, timeout_s, step_s=0.02):
    """Polls until condition() is true, returns its value and the seconds it took."""
    begin = time.monotonic()
    while True:
        value = condition()
        took = time.monotonic() - begin
        if value:
            return value, took
        assert took < timeout_s, f"{what}: not within {timeout_s} s"
        time.sleep(step_s)


class Netns:
    def __init__(self, name):
        self.name = name

    def exec(self, *argv, **kw):
        return sh("ip", "netns", "exec", self.name, *argv, **kw)

    def ip(self, *argv):
        return sh("ip", "-n", self.name, *argv)

    def tc(self, *argv):
        return sh("tc", "-n", self.name, *argv)

    def link(self, dev):
        return json.loads(self.ip("-j", "-s", "-s", "link", "show", "dev", dev))[0]

    def counters(self, dev):
        """The guest's view: rx is what the tap transmits. Driver drops only."""
        s = self.link(dev)["stats64"]
        return {
            "rx": {"packets": s["tx"]["packets"], "bytes": s["tx"]["bytes"], "dropped": s["tx"]["dropped"]},
            "tx": {"packets": s["rx"]["packets"], "bytes": s["rx"]["bytes"], "dropped": s["rx"]["dropped"]},
        }

    def qdisc(self, dev):
        return json.loads(self.tc("-j", "-s", "qdisc", "show", "dev", dev))[0]

    def send(self, dev, count, size=100, rate=0):
        """Sends frames towards a guest, returns what the generator saw."""
        more = ["--rate", rate] if rate else []
        return json.loads(self.exec(HARNESS / "packet_gen", "--dev", dev, "--count", count,
                                    "--size", size, *more))


class Vm:
    """A process that poses as a VM; see tests/harness/posed_vm.c."""

    def __init__(self, binary, name, ns, taps, disks, cgroup, more=()):
        self.name = name
        self.uuid = str(uuid.uuid4())
        argv = ["ip", "netns", "exec", ns.name] if ns else []
        argv += [str(binary), "-name", f"guest={name},debug-threads=on", "-uuid", self.uuid]
        for tap in taps:
            argv += ["--tap", tap]
        for disk in disks:
            argv += ["--disk", disk]
        argv += more

        def enter():
            if cgroup:
                (cgroup / "cgroup.procs").write_text(str(os.getpid()))

        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, preexec_fn=enter if cgroup else None)
        self.hello = self.result()
        self.pid = self.hello["pid"]
        assert self.pid == self.process.pid

    def begin(self, command, **args):
        self.process.stdin.write(" ".join([command] + [f"{k}={v}" for k, v in args.items()]) + "\n")
        self.process.stdin.flush()

    def result(self, check=True):
        line = self.process.stdout.readline()
        assert line, f"posed VM {self.name} died"
        reply = json.loads(line)
        assert reply["ok"] or not check, reply
        return reply

    def do(self, command, check=True, **args):
        self.begin(command, **args)
        return self.result(check)

    def quit(self):
        if self.process.poll() is None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Gated:
    """A program that waits for go() before it starts, so that its pid is known first."""

    def __init__(self, *argv, cwd=None):
        self.process = subprocess.Popen(["/bin/sh", "-c", 'read _; exec "$@"', "gate", *map(str, argv)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, cwd=cwd)
        self.pid = self.process.pid

    def go(self, timeout_s=REPLY_S):
        out, err = self.process.communicate("\n", timeout=timeout_s)
        assert self.process.returncode == 0, err
        return out

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Disk:
    """A loop device of its own on a file of its own, written once."""

    def __init__(self, path, image):
        self.path = path
        self.name = pathlib.Path(path).name
        self.image = image

    def queue(self, attribute):
        return pathlib.Path(f"/sys/block/{self.name}/queue/{attribute}").read_text().strip()


class Lab:
    def __init__(self, nodeid, scratch):
        slug = re.sub(r"[^a-z0-9]+", "-", nodeid.split("::")[-1].lower())
        self.tag = f"{zlib.crc32(nodeid.encode()) ^ os.getpid():08x}"
        self.slug = f"vst-{slug[:24].strip('-')}-{self.tag}"
        self.scratch = scratch
        self.undo = contextlib.ExitStack()
        self._made = 0

    def _next(self):
        self._made += 1
        return self._made

    # VMs are found by the name of their program, so each test has a copy.
    def binary(self):
        path = self.scratch / "qemu-system-x86_64"
        if not path.exists():
            shutil.copy(HARNESS / "posed_vm", path)
        return path

    def netns(self, name=None):
        name = name or f"{self.slug}-{self._next()}"
        sh("ip", "netns", "add", name)
        self.undo.callback(sh, "ip", "netns", "del", name, check=False)
        ns = Netns(name)
        # No neighbour discovery: each packet in here is the test's own.
        ns.exec("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        ns.ip("link", "set", "lo", "up")
        return ns

    def netns_del(self, ns):
        sh("ip", "netns", "del", ns.name)

    def vm(self, ns=None, taps=(), disks=(), name=None, cgroup=None):
        vm = Vm(self.binary(), name or f"vm{self._next()}-{self.tag}", ns, taps,
                [d.path if isinstance(d, Disk) else d for d in disks], cgroup)
        self.undo.callback(vm.quit)
        return vm

    def gated(self, *argv):
        gated = Gated(*argv)
        self.undo.callback(gated.end)
        return gated

    def disk(self, mib=64, direct=True):
        # Not in tmpfs: its loop devices know no direct I/O.
        fd, image = tempfile.mkstemp(prefix=f"vst-{self.tag}-", suffix=".img", dir=DISK_ROOT)
        os.close(fd)
        self.undo.callback(os.unlink, image)
        # Written, not allocated: reads of unwritten extents never reach the disk.
        sh("dd", "if=/dev/zero", f"of={image}", "bs=1M", f"count={mib}", "oflag=direct")
        path = sh("losetup", "--find", "--show", f"--direct-io={'on' if direct else 'off'}", image).strip()
        self.undo.callback(sh, "losetup", "-d", path, check=False)
        return Disk(path, image)

    def steady_disk(self, latency_ms=5):
        """A disk that takes latency_ms for each request, in scripts/host-vm's machine; else any disk.

        Emulation stretches a program's own part of a request to that of a fast disk; against
        a steady one it is small again.
        """
        if "VS_VM" not in os.environ:
            return self.disk()
        sh("modprobe", "null_blk", "nr_devices=0")
        if not pathlib.Path("/sys/kernel/config/nullb").exists():
            sh("mount", "-t", "configfs", "configfs", "/sys/kernel/config")
        name = f"nullb{self.tag}x{self._next()}"
        config = pathlib.Path("/sys/kernel/config/nullb") / name
        config.mkdir()
        self.undo.callback(config.rmdir)
        for key, value in (("size", 256), ("queue_mode", 2), ("irqmode", 2), ("completion_nsec", latency_ms * 1000000),
                           ("power", 1)):
            (config / key).write_text(str(value))
        self.undo.callback((config / "power").write_text, "0")
        # Newer kernels name the device after its folder.
        number = (config / "index").read_text().strip()
        path = [p for p in (f"/dev/{name}", f"/dev/nullb{number}") if os.path.exists(p)]
        return Disk(path[0], None)

    def cgroup(self):
        """A cgroup whose I/O the kernel accounts apart: v1 blkio, else v2 with io."""
        for base in ("/sys/fs/cgroup/blkio", "/sys/fs/cgroup"):
            base = pathlib.Path(base)
            enabled = base / "cgroup.subtree_control"
            if not (base / "cgroup.procs").exists():
                continue
            if enabled.exists() and "io" not in enabled.read_text().split():
                try:
                    enabled.write_text("+io")
                except OSError:
                    continue
            path = base / self.slug
            path.mkdir()
            self.undo.callback(self._cgroup_remove, path)
            return path
        return None

    @staticmethod
    def _cgroup_remove(path):
        def gone():
            with contextlib.suppress(OSError):
                path.rmdir()
            return not path.exists()
        wait_for(f"rmdir {path}", gone, 5)


def has_tracepoint(name):
    """Whether the kernel has it; the probe is not asked."""
    with open("/proc/kallsyms") as symbols:
        # A function: its data, __tracepoint_NAME, is listed with KALLSYMS_ALL only.
        return any(line.split()[2] == f"__traceiter_{name}" for line in symbols)


def backing_disk(path):
    """The whole disk under a file, or None where there is none (overlay, tmpfs)."""
    dev = os.stat(path).st_dev
    sysfs = pathlib.Path(f"/sys/dev/block/{os.major(dev)}:{os.minor(dev)}")
    if not sysfs.exists():
        return None
    sysfs = sysfs.resolve()
    if (sysfs / "partition").exists():
        sysfs = sysfs.parent
    return sysfs.name

