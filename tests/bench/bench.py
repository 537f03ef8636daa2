#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What virtscope costs, in one run: beside empty programs of the same type,
beside the budgets, and beside what people run today.

Every figure is a median over short time slices, because a neighbour on the
machine makes a mean worthless.  Net means: less what an empty program of the
same type on the same hook cost in the same slice.  The program measured is
attached first and so meets the colder cache: with empty programs in its place
the bench read 1 to 2 ns per packet and 4 to 18 ns per request, so a figure
errs to the high side.  "Per packet" and "per request" divide by what the
generator or the kernel's own disk statistics counted, never by how often a
program ran.

Even kill -9 leaves nothing but a folder in /tmp: children die with the bench,
the taps live in namespaces of their own, the loop device detaches itself with
its last user, and run-time statistics are on only while a descriptor is held.
"""

import argparse
import contextlib
import glob
import json
import os
import platform
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the tree stays as it was
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

BUDGET_VM_PACKET_NS = 25
BUDGET_NOBODY_PACKET_NS = 8
BUDGET_REQUEST_NS = 215
BUDGET_LOOP_RATIO = 1.12

# What a user would type for the counters alone, and for the ring residence.
BPFTRACE_COUNTERS = (
    "tracepoint:net:net_dev_xmit { @packets[str(args->name)] = count();"
    " @bytes[str(args->name)] = sum(args->len);"
    " @size[str(args->name)] = hist(args->len); }"
    " tracepoint:skb:kfree_skb { @drops[args->reason, args->location] = count(); }"
)
BPFTRACE_RESIDENCE = (
    "tracepoint:net:net_dev_start_xmit { @start[args->skbaddr] = nsecs;"
    " @name[args->skbaddr] = str(args->name);"
    " @packets[str(args->name)] = count(); @bytes[str(args->name)] = sum(args->len); }"
    " tracepoint:skb:skb_copy_datagram_iovec /@start[args->skbaddr]/ {"
    " @residence_us[@name[args->skbaddr]] = hist((nsecs - @start[args->skbaddr]) / 1000);"
    " delete(@start[args->skbaddr]); delete(@name[args->skbaddr]); }"
    " tracepoint:skb:kfree_skb { @drops[args->reason, args->location] = count();"
    " delete(@start[args->skbaddr]); delete(@name[args->skbaddr]); }"
)
BPFTRACE_DISK = (
    "tracepoint:block:block_rq_issue { @start[args->dev, args->sector] = nsecs; }"
    " tracepoint:block:block_rq_complete /@start[args->dev, args->sector]/ {"
    " @usecs[args->dev] = hist((nsecs - @start[args->dev, args->sector]) / 1000);"
    " delete(@start[args->dev, args->sector]); }"
)

# bpftrace and the empty tracepoint programs need tracefs.  Where it is not
# mounted it is mounted for the one child only, in a mount namespace.
WITH_TRACEFS = [
    "unshare", "--mount", "sh", "-c",
    '[ -d /sys/kernel/tracing/events ] || [ -d /sys/kernel/debug/tracing/events ] ||'
    ' mount -t tracefs tracefs /sys/kernel/tracing; exec "$@"', "sh",
]


class BenchError(Exception):
    pass


def say(text):
    print(text, file=sys.stderr, flush=True)


def spawn(argv, **kwargs):
    # --pdeathsig: no child may outlive the bench, however that ends.
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL"] + argv, **kwargs)


def stop(process, sig=signal.SIGTERM, wait_s=10):
    if process.poll() is None:
        process.send_signal(sig)
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()


def readable(stream, end):
    """Waits until it is, or until that moment of time.monotonic(); not select(), which knows 1,024 descriptors."""
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    return poll.poll(max(0, end - time.monotonic()) * 1000)


class Talker:
    """A child that answers one line to each line."""

    def __init__(self, argv, name, timeout_s=15):
        self.name = name
        self.process = spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.buffer = b""
        self.read_line(timeout_s)

    @property
    def pid(self):
        return self.process.pid

    def read_line(self, timeout_s):
        end = time.monotonic() + timeout_s
        while b"\n" not in self.buffer:
            ready = readable(self.process.stdout, end)
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not chunk:
                raise BenchError(f"{self.name} " + ("ended" if ready else f"gave no answer in {timeout_s:.0f} s"))
            self.buffer += chunk
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def ask(self, command, timeout_s=30):
        self.process.stdin.write((command + "\n").encode())
        return self.read_line(timeout_s)

    def close(self):
        stop(self.process)


def bpftool(*words):
    return json.loads(subprocess.run(["bpftool", "-j", *words], check=True, capture_output=True).stdout or "[]")


def read_programs():
    return {p["id"]: p for p in bpftool("prog", "show")}


def family(pid):
    """A daemon and its probe process; of a report, which is one, that."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        for child in file.read().split():
            with open(f"/proc/{child}/comm", encoding="ascii") as comm:
                if comm.read() == "virtscope-probe\n":
                    return [pid, int(child)]
    return [pid]


def files_of(pid, what):
    return [path for process in family(pid) for path in glob.glob(f"/proc/{process}/{what}")]


def programs_of(pid):
    """Ids of the programs that a daemon holds, directly or through a link."""
    ids = set()
    for path in files_of(pid, "fdinfo/*"):
        with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
            for line in file:
                if line.startswith("prog_id:"):
                    ids.add(int(line.split()[1]))
    return ids


def describe_programs(ids):
    """id -> (name, type, hook) with type as in an ELF section: tp_btf, raw_tp, tp."""
    links = {}
    for link in bpftool("link", "show"):
        links[link.get("prog_id")] = link.get("tp_name")
    types = {"tracing": "tp_btf", "raw_tracepoint": "raw_tp", "tracepoint": "tp"}
    result = {}
    for ident, program in read_programs().items():
        if ident not in ids:
            continue
        name = program.get("name", "?")
        kind = types.get(program["type"], program["type"])
        hook = links.get(ident) or re.sub(r"_btf$", "", name)
        result[ident] = (name, kind, hook)
    return result


class Slice:
    """Differences of the kernel's run time and run count over one slice."""

    def __init__(self, before, after, work):
        self.work = work
        self.delta = {}
        for ident, program in after.items():
            old = before.get(ident, {})
            count = program.get("run_cnt", 0) - old.get("run_cnt", 0)
            if count > 0:
                self.delta[ident] = (program.get("run_time_ns", 0) - old.get("run_time_ns", 0), count)

    def mean(self, ident):
        total, count = self.delta.get(ident, (0, 0))
        return total / count if count else None


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


class Bench:
    KINDS = {"tp_btf", "raw_tp", "tp"}
    EMPTY_ARGS = []
    BUDGETS = True   # of this machine; an emulated one has none
    patience = 1     # times the usual, for an emulated machine
    describe = staticmethod(describe_programs)

    def __init__(self, options, stack):
        self.options = options
        self.stack = stack
        self.quick = options.quick
        self.slice_s = 0.25 if self.quick else 0.6
        self.slices = 3 if self.quick else 9
        self.pairs = 2 if self.quick else 15
        self.depths = (16,) if self.quick else (1, 4, 16)
        self.rows = []
        self.programs = {}
        self.notes = []
        self.result = {}
        self.empty = None
        self.daemon_log = None
        self.tmp = stack.enter_context(tempfile.TemporaryDirectory(prefix="virtscope-bench-"))

    def note(self, text):
        self.notes.append(text)
        say(f"note: {text}")

    # -- pieces ---------------------------------------------------------------

    def open_empty(self):
        self.empty = Talker(WITH_TRACEFS + [os.path.join(self.options.bin, "empty_progs")] + self.EMPTY_ARGS,
                            "empty_progs", 15 * self.patience)
        self.stack.callback(self.empty.close)

    @contextlib.contextmanager
    def empties(self, kinds):
        """Empty programs attached and statistics on; yields {(type, hook): id}."""
        answer = self.empty.ask("stats on")
        if answer != "stats":
            raise BenchError("the kernel refuses run-time statistics (BPF_ENABLE_STATS, Linux 5.8 or later)")
        try:
            attached = json.loads(self.empty.ask("attach " + " ".join(sorted(kinds))))
            yield {(p["type"], p["hook"]): p["id"] for p in attached}
        finally:
            self.empty.ask("detach")
            self.empty.ask("stats off")

    def open_loop(self, vm):
        binary = os.path.join(self.options.bin, "tap_loop")
        name = "qemu-system-x86_64" if vm else "bench-nobody"
        copy = os.path.join(self.tmp, name)
        shutil.copy(binary, copy)
        argv = [copy, "-cpu", str(max(os.sched_getaffinity(0)))]
        if vm:
            argv += ["-name", "guest=bench", "-uuid", "b0000000-0000-4000-8000-00000000be9c"]
        loop = Talker(argv, name)
        self.stack.callback(loop.close)
        return loop

    @contextlib.contextmanager
    def virtscope(self, *extra, prefix=()):
        argv = [*prefix, self.options.virtscope, "run", "--events", os.path.join(self.tmp, "events.jsonl"),
                "--control", os.path.join(self.tmp, "control")]
        for kind in self.options.deny_hook:
            argv += ["--deny-hook", kind]
        process = spawn(argv + list(extra), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, bufsize=0)
        try:
            log = b""
            end = time.monotonic() + 15 * self.patience
            while b"virtscope: ready" not in log:
                ready = readable(process.stderr, end)
                chunk = os.read(process.stderr.fileno(), 65536) if ready else b""
                if not chunk:
                    raise BenchError("virtscope run " + ("ended" if ready else "is not ready in time")
                                     + ": " + log.decode(errors="replace").strip()[-500:])
                log += chunk
            # Whatever it logs from here on must not fill the pipe and block it.
            os.set_blocking(process.stderr.fileno(), False)
            yield process
        finally:
            ours = programs_of(process.pid)
            stop(process)
            self.wait_gone(ours)

    def wait_gone(self, ids):
        """The kernel frees programs a moment after the last descriptor."""
        end = time.monotonic() + 5
        while ids & set(read_programs()):
            if time.monotonic() > end:
                raise BenchError(f"programs {sorted(ids)} are still loaded 5 s after their owner ended")
            time.sleep(0.02)

    @contextlib.contextmanager
    def tool(self, argv, programs_n, sig=signal.SIGINT):
        """bpftrace or biolatency; yields its pid once its programs are loaded."""
        process = spawn(WITH_TRACEFS + argv, stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            end = time.monotonic() + 20 * self.patience
            while len(programs_of(process.pid)) < programs_n:
                if process.poll() is not None:
                    raise BenchError(f"{argv[0]} ended: {process.stderr.read().decode()[-300:]}")
                if time.monotonic() > end:
                    raise BenchError(f"{argv[0]} has not loaded {programs_n} programs in time")
                time.sleep(0.05)
            time.sleep(0.3)
            yield process
        finally:
            ours = programs_of(process.pid)
            stop(process, sig)
            self.wait_gone(ours)

    def measure(self, pid, work, slices=None):
        """Runs work() in slices beside the empty programs; work() returns how
        many units it did.  Returns (programs, empties, [Slice])."""
        programs = self.describe(programs_of(pid))
        if not programs:
            raise BenchError(f"process {pid} holds no BPF program")
        kinds = {kind for _, kind, _ in programs.values()} & self.KINDS
        taken = []
        with self.empties(kinds) as empties:
            work()  # warms caches and lets adaptive sampling settle
            for _ in range(slices or self.slices):
                before = read_programs()
                done = work()
                taken.append(Slice(before, read_programs(), done))
        # A daemon that died, or programs that never ran, would read as free.
        if not set(programs) <= programs_of(pid):
            raise BenchError(f"process {pid} lost programs while it was measured")
        if not all(set(programs) & set(piece.delta) for piece in taken):
            raise BenchError(f"no program of process {pid} ran during a slice: it does not watch this workload")
        return programs, empties, taken

    @staticmethod
    def empty_mean(piece, empties, kind, hook):
        # bpftrace's hooks are known by program name only, cut at 15 characters.
        ident = next((i for (k, h), i in empties.items() if k == kind and
                      (h == hook or (len(hook) == 15 and h.startswith(hook)))), None)
        mean = piece.mean(ident) if ident else None
        if mean is None:
            # A hook that we have no empty program for: the type's average.
            same = [piece.mean(i) for (k, _), i in empties.items() if k == kind]
            mean = median(same)
        return mean or 0.0

    def net_per_unit(self, programs, empties, taken):
        """ns per unit of work, net, summed over all programs: one per slice."""
        result = []
        for piece in taken:
            net = 0.0
            for ident, (_, kind, hook) in programs.items():
                if ident in piece.delta:
                    total, count = piece.delta[ident]
                    net += total - count * self.empty_mean(piece, empties, kind, hook)
            result.append(net / piece.work)
        return result

    def keep_programs(self, label, programs, empties, taken):
        rows = []
        for ident, (name, kind, hook) in sorted(programs.items(), key=lambda p: p[1]):
            runs = median([piece.delta.get(ident, (0, 0))[1] / piece.work for piece in taken]) or 0
            if runs < 0.01:
                continue
            raw = median([piece.mean(ident) for piece in taken])
            empty = median([self.empty_mean(piece, empties, kind, hook) for piece in taken])
            net = median([piece.mean(ident) - self.empty_mean(piece, empties, kind, hook)
                          for piece in taken if piece.mean(ident) is not None])
            rows.append({"program": name, "type": kind, "hook": hook, "runs_per_unit": round(runs, 3),
                         "mean_ns": round(raw, 1), "empty_ns": round(empty, 1), "net_ns": round(net, 1)})
        self.programs[label] = rows

    def cost(self, label, pid, work, slices=None):
        """None if the workload did not run the programs: that is not free,
        it is not measured."""
        programs, empties, taken = self.measure(pid, work, slices)
        self.keep_programs(label, programs, empties, taken)
        if sum(row["runs_per_unit"] for row in self.programs[label]) < 0.5:
            self.note(f"{label}: not measured, no program ran for most units of work: is it attached?")
            return None
        per_unit = self.net_per_unit(programs, empties, taken)
        say(f"  {label}: {median(per_unit):.1f} ns net (slices "
            + " ".join(f"{v:.1f}" for v in sorted(per_unit)) + ")")
        return median(per_unit)

    def add(self, figure, value, unit, budget=None, ratio=None):
        # A figure with a budget that could not be measured has not met it.
        budget = budget if self.BUDGETS else None
        self.rows.append({"figure": figure, "value": value, "unit": unit, "budget": budget, "ratio": ratio,
                          "met": None if budget is None else value is not None and value <= budget})

    # -- network ----------------------------------------------------------------

    @staticmethod
    def loop_work(loop, seconds):
        def work():
            answer = json.loads(loop.ask(f"run {seconds}"))
            if answer["missed"] * 1000 > answer["packets"]:
                raise BenchError(f"{loop.name}: {answer['missed']} of {answer['packets']} packets went missing")
            return answer["packets"]
        return work

    @staticmethod
    def drop_work(loop):
        return lambda: json.loads(loop.ask("drop 50000"))["lost"]

    def check_seen(self, loop):
        """A figure for a VM is worth nothing if the probe did not take it for one."""
        report = spawn([self.options.virtscope, "report", "--json", "--duration", "1", "--control",
                        os.path.join(self.tmp, "control")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            sent = json.loads(loop.ask("run 2"))["packets"]
            text = report.communicate(timeout=15)[0]
        finally:
            stop(report)
        try:
            vms = {vm["name"]: vm for vm in json.loads(text)["vms"]}
        except (ValueError, KeyError) as error:
            raise BenchError(f"virtscope report --json gave no report: {error}") from error
        if "bench" not in vms or not vms["bench"]["vnics"]:
            raise BenchError("virtscope does not see the bench's VM and its vNIC: its figures would be those of nobody")
        residence = vms["bench"]["vnics"][0]["rx"].get("residence_us") or {}
        self.result["residence_samples_per_s"] = residence.get("samples")
        if not residence.get("samples"):
            self.note(f"no residence sample of {sent} packets: the VM figure is without sampling")

    def run_network(self):
        self.vm, self.nobody = self.open_loop(True), self.open_loop(False)
        self.ours = {}
        drop_slices = 3 if self.quick else 5
        if self.options.virtscope:
            say("virtscope, packets")
            with self.virtscope() as daemon:
                time.sleep(0.3)
                self.check_seen(self.vm)
                for key, loop in (("vm", self.vm), ("nobody", self.nobody)):
                    self.ours[key] = self.cost(f"virtscope, packet of {key}", daemon.pid,
                                               self.loop_work(loop, self.slice_s))
                self.ours["drop"] = self.cost("virtscope, drop at a VM's tap", daemon.pid,
                                              self.drop_work(self.vm), drop_slices)
            self.add("packet of a VM, net, all programs", self.ours["vm"], "ns", BUDGET_VM_PACKET_NS)
            self.add("packet of nobody, net, all programs", self.ours["nobody"], "ns", BUDGET_NOBODY_PACKET_NS)
            self.add("lost packet at a VM's tap, net (with its sending)", self.ours["drop"], "ns")
        say("bpftrace, packets")
        slices = 3 if self.quick else 5
        for label, script, programs_n in (("bpftrace counters", BPFTRACE_COUNTERS, 2),
                                          ("bpftrace counters and residence", BPFTRACE_RESIDENCE, 3)):
            with self.tool(["bpftrace", "-e", script], programs_n) as process:
                per_packet = self.cost(f"{label}, packet", process.pid, self.loop_work(self.vm, self.slice_s), slices)
                per_drop = self.cost(f"{label}, drop", process.pid, self.drop_work(self.vm), drop_slices)
            self.add(f"{label}: packet, net", per_packet, "ns", ratio=self.over_ours(per_packet, "vm"))
            self.add(f"{label}: lost packet, net", per_drop, "ns", ratio=self.over_ours(per_drop, "drop"))

    def over_ours(self, value, key):
        ours = self.ours.get(key)
        # Below a nanosecond a ratio says nothing.
        return value / ours if ours and ours >= 1 and value is not None else None

    def run_on_off(self):
        """The loop with the probe detached and attached, A B B A so that a
        drift of the machine hits both alike.  No statistics here: they would
        be charged to the probe."""
        if int(open("/proc/sys/kernel/bpf_stats_enabled", encoding="ascii").read()):
            self.note("kernel.bpf_stats_enabled is 1: the on/off loop reads too high")
        for label, start, pairs, budget in (
                ("virtscope", self.virtscope if self.options.virtscope else None, self.pairs, BUDGET_LOOP_RATIO),
                ("bpftrace counters", lambda: self.tool(["bpftrace", "-e", BPFTRACE_COUNTERS], 2),
                 0 if self.quick else 3, None)):
            if not start or not pairs:
                continue
            say(f"{label}, send+read loop on and off, {pairs} pairs")
            medians, means, off = [], [], []
            for i in range(pairs):
                pair = {}
                for state in ("on", "off") if i % 2 else ("off", "on"):
                    with start() if state == "on" else contextlib.nullcontext() as process:
                        if process:
                            time.sleep(0.3)
                        self.vm.ask("run 0.1")
                        pair[state] = json.loads(self.vm.ask(f"run {self.slice_s}"))
                        if process and not programs_of(process.pid):
                            raise BenchError(f"{label} ended while the loop ran")
                for values, key in ((medians, "median_ns_per_packet"), (means, "ns_per_packet")):
                    values.append(pair["on"][key] / pair["off"][key])
                off.append(pair["off"]["median_ns_per_packet"])
            ratio = statistics.median(medians)
            if label == "virtscope" and self.ours.get("vm") is None:
                # Nothing was attached to the path: the ratio is noise.
                ratio = None
            say("  ratios " + " ".join(f"{v:.3f}" for v in sorted(medians)))
            self.result[f"loop {label}"] = {"pairs": pairs, "off_ns": statistics.median(off), "ratio": ratio,
                                            "ratios": medians, "ratio_of_means": statistics.median(means)}
            self.add(f"send+read loop, {label} on / off ({pairs} pairs, off {statistics.median(off):.0f} ns)",
                     ratio, "x", budget)

    # -- disk ----------------------------------------------------------------------

    def open_disk(self):
        """A private disk in memory: a loop device whose file is already
        unlinked and which detaches itself when its last user is gone."""
        folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else self.tmp
        fd, path = tempfile.mkstemp(prefix="virtscope-bench-disk-", dir=folder)
        try:
            os.posix_fallocate(fd, 0, 64 << 20)
            device = subprocess.run(["losetup", "--find", "--show", path], check=True,
                                    capture_output=True, text=True).stdout.strip()
        finally:
            os.unlink(path)
            os.close(fd)
        try:
            holder = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
            self.stack.callback(os.close, holder)
        finally:
            subprocess.run(["losetup", "--detach", device], check=False)
        return device

    @contextlib.contextmanager
    def fio(self, device, depth):
        # --thread: the job is a thread of the registered process, not a child.
        process = spawn(["fio", "--name=bench", f"--filename={device}", "--rw=randread", "--bs=4k", "--direct=1",
                         "--ioengine=libaio", f"--iodepth={depth}", "--thread", "--time_based", "--runtime=600",
                         "--readonly", "--output=/dev/null"],
                        cwd=self.tmp, stdin=subprocess.DEVNULL)
        try:
            time.sleep(0.7)
            if process.poll() is not None:
                raise BenchError(f"fio ended with status {process.returncode}")
            yield process
        finally:
            stop(process, signal.SIGINT)

    def run_disk(self):
        device = self.open_disk()
        stat = f"/sys/block/{os.path.basename(device)}/stat"

        def completed():
            with open(stat, encoding="ascii") as file:
                return int(file.read().split()[0])

        def work():
            before = completed()
            time.sleep(self.slice_s)
            done = completed() - before
            if not done:
                raise BenchError(f"no request completed on {device}")
            return done

        tools = [("biolatency -D", ["biolatency", "-D", "600", "1"]),
                 ("bpftrace disk latency", ["bpftrace", "-e", BPFTRACE_DISK])]
        for tool in tools[:]:
            if not shutil.which(tool[1][0]):
                self.note(f"{tool[1][0]} is not installed")
                tools.remove(tool)
        # The loop worker shares fio's CPU or not, as the scheduler likes, and
        # that alone doubles what a program costs.  So the tools take turns,
        # and ratios are formed within a turn.
        turns, slices = (1, 3) if self.quick else (3, 3)
        for depth in self.depths:
            say(f"disk {device}, fio randread, queue depth {depth}")
            ours, theirs = [], {label: [] for label, _ in tools}
            with self.fio(device, depth) as fio:
                for _ in range(turns):
                    if self.options.virtscope:
                        with self.virtscope("--vm", f"bench-disk={fio.pid}") as daemon:
                            ours.append(self.cost(f"virtscope, request at depth {depth}", daemon.pid, work, slices))
                            self.check_disk_seen()
                    for label, argv in tools:
                        with self.tool(argv, 2) as process:
                            theirs[label].append(self.cost(f"{label}, request at depth {depth}",
                                                           process.pid, work, slices))
            if ours:
                self.add(f"disk request at depth {depth}, net, all programs", median(ours), "ns", BUDGET_REQUEST_NS)
            for label, values in theirs.items():
                ratio = median([x / y for x, y in zip(values, ours) if x and y and y >= 1])
                self.add(f"{label}: request at depth {depth}, net", median(values), "ns", ratio=ratio)

    def report(self):
        """VMs by name, of the daemon that runs."""
        text = subprocess.run([self.options.virtscope, "report", "--json", "--duration", "0.5", "--control",
                               os.path.join(self.tmp, "control")], capture_output=True, timeout=15 * self.patience,
                              check=False).stdout
        try:
            return {vm["name"]: vm for vm in json.loads(text)["vms"]}
        except (ValueError, KeyError) as error:
            raise BenchError(f"virtscope report --json gave no report: {error}") from error

    def count_vms(self):
        return sum(name.startswith("fleet") for name in self.report())

    def folder(self):
        return tempfile.TemporaryDirectory(dir=self.tmp)

    def check_disk_seen(self):
        vms = self.report()
        if not any(disk["ops"]["read"]["count"] for disk in vms.get("bench-disk", {}).get("disks", [])):
            raise BenchError("virtscope does not see fio's requests as those of bench-disk")

    # -- results -----------------------------------------------------------------------

    def print_result(self):
        print(f"virtscope bench on Linux {platform.release()}, {os.cpu_count()} CPUs"
              + (", quick: noisy, a smoke only" if self.quick else ""))
        for label, rows in self.programs.items():
            print(f"\n{label}\n\n| program | type | runs per unit | mean ns | empty ns | net ns |\n|---|---|---:|---:|---:|---:|")
            for r in rows:
                print(f"| {r['program']} | {r['type']}/{r['hook']} | {r['runs_per_unit']:.2f} |"
                      f" {r['mean_ns']:.1f} | {r['empty_ns']:.1f} | {r['net_ns']:.1f} |")
        print("\n| figure | measured | budget | measured / budget | theirs / ours | |\n|---|---:|---:|---:|---:|---|")
        for r in self.rows:
            if r["value"] is None:
                budget = f"≤ {r['budget']:g} {r['unit']}" if r["budget"] else ""
                print(f"| {r['figure']} | not measured | {budget} | | | {'missed' if r['budget'] else ''} |")
                continue
            budget = f"≤ {r['budget']:g} {r['unit']}" if r["budget"] else ""
            of_budget = f"{r['value'] / r['budget']:.2f}" if r["budget"] else ""
            # For the loop the budget is on what is added, not on the whole.
            verdict = {None: "", True: "met", False: "missed"}[r["met"]]
            if r["met"] is False:
                verdict += f" by {(r['value'] / r['budget'] - 1) * 100:.0f} %"
            if r["unit"] == "x":
                measured = f"{(r['value'] - 1) * 100:+.1f} %"
                budget = f"≤ {(r['budget'] - 1) * 100:+.0f} %" if r["budget"] else ""
                of_budget = f"{(r['value'] - 1) / (r['budget'] - 1):.2f}" if r["budget"] else ""
                if r["met"] is False:
                    verdict = f"missed by {(r['value'] - r['budget']) * 100:.1f} points"
            else:
                measured = f"{r['value']:.1f} {r['unit']}"
            ratio = f"{r['ratio']:.1f}" if r["ratio"] else ""
            print(f"| {r['figure']} | {measured} | {budget} | {of_budget} | {ratio} | {verdict} |")
        for text in self.notes:
            print(f"\nnote: {text}")

    def to_json(self):
        return {"schema": "virtscope.bench/1", "kernel": platform.release(), "cpus": os.cpu_count(),
                "quick": self.quick, "deny_hook": self.options.deny_hook, "figures": self.rows,
                "programs": self.programs, "notes": self.notes, **self.result}


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test of some 20 seconds, too noisy for figures")
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON too")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a budget is missed")
    parser.add_argument("--deny-hook", metavar="KIND", action="append", default=[], help="passed on to virtscope run")
    parser.add_argument("--only-baselines", action="store_true", help="measure everything but virtscope")
    parser.add_argument("--virtscope", default=os.path.join(ROOT, "build/virtscope"), help="the binary to measure")
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/tests/bench"), help="where the bench's own programs are")
    return parser.parse_args()


def main():
    options = parse_options()
    # The tools are in /usr/sbin, which a user's PATH may lack.
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if os.geteuid() != 0:
        say("bench: cannot measure: needs root; run it as root or with sudo")
        return 3
    if options.only_baselines:
        options.virtscope = None
    elif not os.access(options.virtscope, os.X_OK):
        say(f"bench: {options.virtscope} is not there; run make first, or use --only-baselines")
        return 1
    for name in ("empty_progs", "tap_loop"):
        if not os.access(os.path.join(options.bin, name), os.X_OK):
            say(f"bench: {options.bin}/{name} is not there; run make bench-bins first")
            return 1
    for name in ("bpftool", "bpftrace", "fio", "losetup", "setpriv", "unshare"):
        if not shutil.which(name):
            say(f"bench: {name} is not installed; run scripts/setup")
            return 1

    from fleet import run_fleet  # here: it imports this file
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    start = time.monotonic()
    try:
        with contextlib.ExitStack() as stack:
            bench = Bench(options, stack)
            foreign = [p.get("name") for p in read_programs().values() if p.get("name", "").startswith("vs_")]
            if foreign:
                bench.note("another virtscope is running on this host: the figures suffer")
            bench.open_empty()
            bench.run_network()
            bench.run_on_off()
            bench.run_disk()
            if options.virtscope:
                run_fleet(bench, (100,) if options.quick else (100, 1000))
    except BenchError as error:
        say(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        say("bench: interrupted, everything is cleaned up")
        return 130
    bench.result["duration_s"] = round(time.monotonic() - start, 1)
    bench.print_result()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(bench.to_json(), file, indent=1)
            file.write("\n")
    return 1 if options.strict and any(r["met"] is False for r in bench.rows) else 0


if __name__ == "__main__":
    # As a module: what fleet.py raises is then what is caught here.
    import bench as module
    sys.exit(module.main())
