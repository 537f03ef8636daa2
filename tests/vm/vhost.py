# SPDX-License-Identifier: GPL-2.0-or-later
"""A VM whose vNICs real vhost workers serve, without a guest; see tests/harness/vhost_drive.c.

Needs /dev/vhost-net. What the kernel did is read from tracefs, /proc and ip.
"""
import collections
import contextlib
import os
import pathlib
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from lab import HARNESS, Disk, Vm, wait_for   # noqa: E402
from probe import programs_of   # noqa: E402

TRACEFS = pathlib.Path("/sys/kernel/tracing")
PF_KTHREAD = 0x00200000

Worker = collections.namedtuple("Worker", "tid kind")


class VhostVm(Vm):
    def stats(self, tap, queue=0):
        """The driver's own counts of one queue pair."""
        return self.do("stats", tap=tap, queue=queue)["queues"][0]

    def settled(self, tap, queue=0):
        """The same, once they stand still: the last signal may come after the last packet."""
        last = None

        def still():
            nonlocal last
            before, last = last, self.stats(tap, queue)
            return before == last and last
        return wait_for(f"{tap}: counts stand still", still, 10, step_s=0.1)[0]

    def workers(self):
        """Its vhost workers: threads of its own ("task") or of the kernel ("kthread")."""
        name = f"vhost-{self.pid}"
        found = [Worker(int(p.parent.name), "task")
                 for p in pathlib.Path(f"/proc/{self.pid}/task").glob("*/comm")
                 if p.read_text().strip() == name]
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                comm, _, rest = path.read_text().partition("(")[2].rpartition(")")
                if comm == name and int(rest.split()[6]) & PF_KTHREAD:
                    found.append(Worker(int(path.parent.name), "kthread"))
        return sorted(found)


def vhost_vm(lab, ns, taps, disks=(), name=None, cgroup=None):
    """Starts one; it ends with the lab."""
    binary = lab.scratch / "vhost" / "qemu-system-x86_64"
    if not binary.exists():
        binary.parent.mkdir()
        shutil.copy(HARNESS / "vhost_drive", binary)
    vm = VhostVm(binary, name or f"vhost{lab._next()}-{lab.tag}", ns, taps,
                 [d.path if isinstance(d, Disk) else d for d in disks], cgroup)
    lab.undo.callback(vm.quit)
    return vm


def kernel_has(function):
    return any(line.split()[2] == function for line in pathlib.Path("/proc/kallsyms").open())


def kprobe_event(line):
    # Not open(): it seeks to the end of what it appends to, which this file refuses.
    fd = os.open(TRACEFS / "kprobe_events", os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, f"{line}\n".encode())
    finally:
        os.close(fd)


class Calls:
    """Counts how often these threads enter a function of the kernel."""

    def __init__(self, function, tids):
        self.event = f"vst_{os.getpid()}_{function}"
        self.instance = TRACEFS / "instances" / self.event
        kprobe_event(f"p:{self.event} {function}")
        self.instance.mkdir()
        (self.instance / "buffer_size_kb").write_text("16384")
        event = self.instance / "events" / "kprobes" / self.event
        (event / "filter").write_text(" || ".join(f"common_pid == {t}" for t in tids))
        (event / "enable").write_text("1")

    def count(self):
        lines = (self.instance / "trace").read_text().splitlines()
        return sum(not line.startswith("#") for line in lines)

    def end(self):
        (self.instance / "events" / "kprobes" / self.event / "enable").write_text("0")
        time.sleep(0.05)
        self.instance.rmdir()
        kprobe_event(f"-:{self.event}")


def calls(lab, function, tids):
    counter = Calls(function, tids)
    lab.undo.callback(counter.end)
    return counter


def queue(report, vm, tap, direction, index=0):
    """The row of a virtqueue that ran; one that no worker touched yet has none."""
    found = [q for q in report.vnic(vm, tap)["vhost"] if q["direction"] == direction and q["queue"] == index]
    assert len(found) == 1, f"{direction} {index} is not once among {report.vnic(vm, tap)['vhost']}"
    return found[0]


def vhost_programs(pid):
    return [name for name in programs_of(pid) if name.startswith("vs_vq_")]


def attached(virtscope):
    # Each program waits for the kernel to be quiet; an emulated one takes its time.
    wait_for("the probe to be attached", lambda: len(vhost_programs(virtscope.pid)) >= 9, 120, step_s=0.5)
