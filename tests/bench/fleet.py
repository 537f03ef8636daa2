# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon costs with many VMs: processes that pose as such, a tap and
sleeping threads each; 6,000 threads whatever the number of VMs, so that their
accounts are in the figure.  It ticks once a second, nobody asks it anything.
Daemon and taps are in one network namespace, as with libvirt."""

import contextlib
import json
import os
import resource
import shutil
import subprocess
import time
import uuid

from bench import BenchError, ROOT, bpftool, files_of, say, spawn, stop

THREADS = 6000
# VMs: CPU of a core, resident MiB, MiB of maps, seconds to ready
BUDGETS = {100: (0.5, 24, None, 1.5), 1000: (3.0, 96, 64, 1.5)}


def cpu_ns(pid):
    """As the scheduler has it: exact, where times of /proc/PID/stat are ticks."""
    total = 0
    for path in files_of(pid, "task/*/schedstat"):
        with open(path, encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def resident_mib(pid):
    """Of both processes; what they share counts twice."""
    kib = 0
    for path in files_of(pid, "status"):
        with open(path, encoding="ascii") as file:
            kib += next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    return kib / 1024


def maps_mib(pid):
    ids = set()
    for path in files_of(pid, "fdinfo/*"):
        with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
            ids |= {int(line.split()[1]) for line in file if line.startswith("map_id:")}
    return sum(m.get("bytes_memlock", 0) for m in bpftool("map", "show") if m["id"] in ids) / 2**20


class Fleet:
    """VMs in a network namespace that ends with them; self.enter starts a program in there."""

    def __init__(self, stack, folder):
        binary = os.path.join(ROOT, "build/tests/harness/posed_vm")
        if not os.access(binary, os.X_OK):
            raise BenchError(f"{binary} is not there; run make harness first")
        self.binary = os.path.join(folder, "fleet", "qemu-system-x86_64")
        os.mkdir(os.path.dirname(self.binary))
        shutil.copy(binary, self.binary)
        self.holder = spawn(["unshare", "--net", "sleep", "infinity"])
        self.enter = ["nsenter", "-t", str(self.holder.pid), "--net"]
        self.vms = []
        stack.callback(stop, self.holder)
        stack.callback(self.close)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == own:
            time.sleep(0.01)

    def close(self):
        for vm in self.vms:
            vm.kill()
        for vm in self.vms:
            vm.wait()
            vm.stdin.close()
            vm.stdout.close()
        self.vms.clear()

    def grow(self, count, threads=None):
        for i in range(count):
            # down: a thousand taps that are up would talk IPv6 among themselves.
            self.vms.append(spawn([*self.enter, self.binary, "-name", f"guest=fleet{i}", "-uuid",
                                   str(uuid.uuid4()), "--tap", f"f{i},down"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        each = threads or THREADS // count
        for vm in self.vms:
            vm.stdin.write(f"threads count={each} name=CPU_0/KVM\n")
            vm.stdin.flush()
        for vm in self.vms:
            vm.stdout.readline()
            if not json.loads(vm.stdout.readline() or "{}").get("tids"):
                raise BenchError("a posed VM did not start")


def run_fleet(bench, sizes):
    seconds = 5 if bench.quick else 20
    for count in sizes:
        with contextlib.ExitStack() as stack:
            fleet = Fleet(stack, stack.enter_context(bench.folder()))
            say(f"daemon with {count} VMs of {THREADS // count} threads each")
            fleet.grow(count)
            begin = time.monotonic()
            with bench.virtscope(prefix=fleet.enter) as daemon:
                ready = time.monotonic() - begin
                time.sleep(6)  # its first looks are its dearest
                before, begin = cpu_ns(daemon.pid), time.monotonic()
                time.sleep(seconds)
                spent = (cpu_ns(daemon.pid) - before) / (time.monotonic() - begin) / 1e7
                figures = (spent, resident_mib(daemon.pid), maps_mib(daemon.pid), ready)
                # Afterwards, since a report takes memory, too.
                seen = bench.count_vms()
                if seen < count:
                    raise BenchError(f"the daemon sees {seen} of {count} VMs")
        for what, unit, value, budget in zip(("CPU of a core", "resident", "maps", "time to ready"),
                                             ("%", "MiB", "MiB", "s"), figures, BUDGETS[count]):
            bench.add(f"daemon, {count} VMs, {THREADS} threads: {what}", value, unit, budget)
