#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What tier 2 costs (vhost workers), in scripts/host-vm's emulated machine.

    scripts/host-vm 6.1 -- tests/bench/bench_vhost.py

The machine is emulated in software: its nanoseconds are no machine's.  To be
read are only counts (programs per packet and per run, exact on any machine)
and ratios within this run: to an empty program on the same hook, to bpftrace,
and of the same work with and without.

Vhost workers of the kernel are driven at full rate by tests/harness/vhost_drive,
without a guest.  Rates are taken in turns, each between two slices with nothing
attached; run times of programs in separate slices, since the statistics cost
time themselves.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the tree stays as it was
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "bench"), str(ROOT / "tests" / "vm"), str(ROOT / "tests" / "e2e")]

import bench as tier1                                                     # noqa: E402
from bench import Bench, BenchError, median, programs_of, read_programs, say   # noqa: E402
from lab import HARNESS, Lab, wait_for                                    # noqa: E402
from vhost import vhost_vm                                                # noqa: E402

FORMS = {"fentry": [], "kprobe": ["fentry"], "tracepoints": ["fentry", "kprobe"]}
WITHOUT_TIER_2 = ["fentry", "kprobe", "raw_tp"]
VHOST_VMS = 8

# What a user would type for "how long does a kick wait for its handler?". 40 is
# how far vhost_poll.work lies behind vhost_poll.wait, the first argument of the wake-up.
BPFTRACE = (
    "kprobe:vhost_poll_wakeup /!@at[arg0 + 40]/ { @at[arg0 + 40] = nsecs; }"
    " kprobe:handle_rx_kick, kprobe:handle_tx_kick, kprobe:handle_rx_net, kprobe:handle_tx_net /@at[arg0]/ {"
    " @us[tid, func] = hist((nsecs - @at[arg0]) / 1000); delete(@at[arg0]); }"
)
BPFTRACE_PROGRAMS = 5

FUNCTIONS = {
    "wake": "vhost_poll_wakeup", "rx_kick": "handle_rx_kick", "tx_kick": "handle_tx_kick", "rx_net": "handle_rx_net",
    "tx_net": "handle_tx_net", "signal": "vhost_add_used_and_signal_n", "call": "eventfd_signal",
    "call_mask": "eventfd_signal_mask", "poll": "vhost_net_busy_poll", "copy": "skb_copy_datagram_iovec",
    "receive": "netif_receive_skb", "waking": "sched_waking", "switch": "sched_switch", "msi": "kvm_msi_set_irq",
}
# One run of a handler each.
BEGINS = {f"{form}/handle_{direction}_{why}" for form in ("fentry", "kprobe") for direction in ("rx", "tx")
          for why in ("kick", "net")}


def hook_of(name):
    """Our program's name -> (type, function); None if it is not of tier 2."""
    area, _, rest = name[3:].partition("_")
    if not name.startswith("vs_") or area not in ("vq", "ws"):
        return None
    kprobe, end = rest.endswith("_kp"), rest.removesuffix("_kp").endswith("_end")
    function = FUNCTIONS[rest.removesuffix("_kp").removesuffix("_end")]
    if area == "ws":
        return "raw_tp", function
    return {(0, 0): "fentry", (0, 1): "fexit", (1, 0): "kprobe", (1, 1): "kretprobe"}[kprobe, end], function


def describe(ids):
    """As bench.describe_programs(), for tier 2 and for bpftrace's kprobes only."""
    result = {}
    for ident, program in read_programs().items():
        name = program.get("name", "?")
        hook = hook_of(name)
        if ident in ids and hook:
            result[ident] = (name, *hook)
        elif ident in ids and program["type"] == "kprobe":
            result[ident] = (name, "kprobe", name)
    return result


def run_ns(tids):
    """Time on a CPU of these threads so far, as the scheduler has it."""
    return sum(int(pathlib.Path(f"/proc/{tid}/schedstat").read_text().split()[0]) for tid in tids)


class VhostBench(Bench):
    KINDS = {"raw_tp", "fentry", "fexit", "kprobe", "kretprobe"}
    EMPTY_ARGS = ["--vhost"]
    BUDGETS = False
    patience = 6
    describe = staticmethod(describe)

    def __init__(self, options, stack):
        super().__init__(options, stack)
        self.slice_s = 0.2 if self.quick else 0.4
        self.slices = 3 if self.quick else 9
        self.rounds = 1 if self.quick else options.rounds
        self.depths = (16,) if self.quick else (1, 16)
        self.result["costs"], self.result["ratios"] = {}, {}
        scratch = pathlib.Path(tempfile.mkdtemp(prefix="virtscope-bench-vhost-"))
        stack.callback(shutil.rmtree, scratch, True)
        self.lab = Lab("bench_vhost", scratch)
        stack.enter_context(self.lab.undo)

    # -- the work ----------------------------------------------------------------

    def open_vms(self):
        self.ns = self.lab.netns()
        self.vm = vhost_vm(self.lab, self.ns, ["t0", "t1,queues=2"])
        self.tids = [worker.tid for worker in self.vm.workers()]
        ms = int(self.slice_s * 1000)
        self.scenarios = {
            "tx, full rate": lambda: self.send(tap="t0", ms=ms),
            "tx, a kick per packet": lambda: self.send(tap="t0", ms=ms, rate=1000, batch=1),
            "tx, two queue pairs": lambda: self.send(tap="t1", queue="all", ms=ms),
            "rx, full rate": self.receive,
        }

    def send(self, **how):
        reply = self.vm.do("send", **how)
        return reply["used"], reply["ns"]

    def receive(self):
        before = self.vm.stats("t0")["rx"]["packets"]
        begin = time.monotonic_ns()
        self.ns.send("t0", int(self.slice_s * 40000))
        took = time.monotonic_ns() - begin
        self.vm.do("receive", tap="t0", idle_ms=60)
        return self.vm.stats("t0")["rx"]["packets"] - before, took

    # -- what is attached ----------------------------------------------------------

    @contextlib.contextmanager
    def daemon(self, deny):
        """virtscope run, with tier 2 attached in the form that remains."""
        words = [word for kind in deny for word in ("--deny-hook", kind)]
        with self.virtscope(*words) as process:
            if deny != WITHOUT_TIER_2:
                wait_for("tier 2 to be attached", lambda: describe(programs_of(process.pid)), 30, step_s=0.1)
            time.sleep(0.5)
            yield process

    @contextlib.contextmanager
    def empty_programs(self, kinds):
        attached = json.loads(self.empty.ask("attach " + " ".join(kinds)))
        if not attached:
            raise BenchError(f"no empty program of the kinds {kinds} could be attached")
        try:
            yield
        finally:
            self.empty.ask("detach")

    def bpftrace(self):
        return self.tool(["bpftrace", "-e", BPFTRACE], BPFTRACE_PROGRAMS)

    # -- run time and counts ---------------------------------------------------------

    def cost_of(self, label, pid, work):
        """Sums of one workload, per packet and per run of a handler: programs run,
        ns net of empty programs, and how many times an empty program that is.
        Of each program the best slice counts: an emulated machine that is not
        let run by its host only ever adds."""
        programs, empties, taken = self.measure(pid, lambda: work()[0])
        self.keep_programs(label, programs, empties, taken)
        sums = dict.fromkeys(("count", "runs", "gross", "empty"), 0.0)
        result = {}
        for ident, (_, kind, hook) in programs.items():
            ran = [piece for piece in taken if ident in piece.delta]
            if not ran:
                continue
            each = median([piece.delta.get(ident, (0, 0))[1] / piece.work for piece in taken])
            mean, empty = min(p.mean(ident) for p in ran), min(self.empty_mean(p, empties, kind, hook) for p in ran)
            sums["count"] += each
            sums["runs"] += each if f"{kind}/{hook}" in BEGINS else 0
            sums["gross"] += each * mean
            sums["empty"] += each * empty
            if hook == "sched_switch":
                result |= {"net_ns_per_switch": mean - empty, "switch_times_empty": mean / empty, "switches_per_packet": each}
        net, runs = sums["gross"] - sums["empty"], sums["runs"] or None
        result |= {"programs_per_packet": sums["count"], "runs_per_packet": runs,
                   "programs_per_run": sums["count"] / runs if runs else None,
                   "net_ns_per_packet": net, "net_ns_per_run": net / runs if runs else None,
                   "times_empty": sums["gross"] / sums["empty"] if sums["empty"] else None}
        say(f"  {label}: {result['programs_per_packet']:.2f} programs and {result['net_ns_per_packet']:.0f} ns net a packet,"
            f" {result['times_empty'] or 0:.2f} times empty programs")
        return result

    def run_costs(self):
        starts = {f"virtscope by {form}": (lambda deny=deny: self.daemon(deny)) for form, deny in FORMS.items()
                  if form in self.options.form}
        if self.options.form == list(FORMS):
            starts["bpftrace"] = self.bpftrace
        for label, start in starts.items():
            say(f"{label}: run times of its programs")
            try:
                with start() as process:
                    for name, work in self.scenarios.items():
                        self.result["costs"][f"{label}: {name}"] = self.cost_of(f"{label}: {name}", process.pid, work)
            except BenchError as error:
                self.note(f"{label}: {error}")

    # -- on and off --------------------------------------------------------------------

    def look(self):
        """scenario -> (packets per second, the workers' CPU time a packet)"""
        seen = {}
        for name, work in self.scenarios.items():
            cpu = run_ns(self.tids)
            packets, took = work()
            if not packets:
                raise BenchError(f"{name}: no packet came through")
            seen[name] = packets / took, (run_ns(self.tids) - cpu) / packets
        return seen

    def run_ratios(self):
        variants = {"empty programs, fentry": lambda: self.empty_programs(["fentry", "fexit"]),
                    "empty programs, kprobe": lambda: self.empty_programs(["kprobe", "kretprobe"]),
                    "virtscope without tier 2": lambda: self.daemon(WITHOUT_TIER_2)}
        variants |= {f"virtscope by {form}": (lambda deny=deny: self.daemon(deny)) for form, deny in FORMS.items()}
        variants["bpftrace"] = self.bpftrace
        rates = {label: {name: [] for name in self.scenarios} for label in variants}
        cpus = {label: {name: [] for name in self.scenarios} for label in variants}
        for turn in range(self.rounds):
            say(f"with and without, round {turn + 1} of {self.rounds}")
            off = self.look()
            for label in list(variants)[::-1 if turn % 2 else 1]:
                try:
                    with variants[label]() as process:
                        on = self.look()
                        if process and not programs_of(process.pid):
                            raise BenchError(f"{label} ended while it was measured")
                except BenchError as error:
                    self.note(f"{label}: {error}")
                    continue
                before, off = off, self.look()
                for name in self.scenarios:
                    rates[label][name].append(2 * on[name][0] / (before[name][0] + off[name][0]))
                    cpus[label][name].append(2 * on[name][1] / (before[name][1] + off[name][1]))
        for label in variants:
            self.result["ratios"][label] = {name: {
                "rate": median(rates[label][name]), "worker_cpu": median(cpus[label][name]),
                "rates": rates[label][name], "worker_cpus": cpus[label][name]} for name in self.scenarios}

    # -- the daemon, and disks -------------------------------------------------------------

    def run_daemon(self):
        """CPU of the daemon itself without VMs, and with VMs whose vNICs vhost serves."""
        ticks = os.sysconf("SC_CLK_TCK")

        def used(pid):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / ticks

        seconds = 3 if self.quick else 20
        self.result["daemon_cpu_pct"] = {}
        say(f"the daemon's CPU, {seconds} s each")
        for extra in (0, VHOST_VMS):
            for i in range(extra):
                vhost_vm(self.lab, self.ns, [f"d{i}"])
            with self.daemon([]) as process:
                time.sleep(2)
                before, begin = used(process.pid), time.monotonic()
                time.sleep(seconds)
                spent = (used(process.pid) - before) / (time.monotonic() - begin) * 100
            self.result["daemon_cpu_pct"][f"{1 + extra} VMs"] = spent
            self.add(f"daemon's CPU, {1 + extra} VMs with vhost vNICs, idle", spent, "% of an emulated CPU")

    def run_disk(self):
        self.describe, kinds = tier1.describe_programs, self.KINDS
        self.KINDS = Bench.KINDS
        # fio goes on while bpftool reads, for a second here: a slice must be long beside that.
        self.slice_s = 3
        try:
            super().run_disk()
        finally:
            self.describe, self.KINDS = describe, kinds

    # -- results -------------------------------------------------------------------------------

    def print_result(self):
        print(f"virtscope bench of tier 2 on Linux {platform.release()}, {os.cpu_count()} CPUs EMULATED IN SOFTWARE"
              + (", quick: noisy, a smoke only" if self.quick else "")
              + "\nNo time below is a machine's. Read counts, and ratios within this run; nothing else.")

        def cell(value, form):
            return "-" if value is None else format(value, form)

        if self.result["costs"]:
            print("\n| what, workload | programs/packet | runs/packet | programs/run | x empty | emulated net ns/packet |"
                  " emulated net ns/run |\n|---|---:|---:|---:|---:|---:|---:|")
            for label, c in self.result["costs"].items():
                print(f"| {label} | {c['programs_per_packet']:.3f} | {cell(c['runs_per_packet'], '.3f')} |"
                      f" {cell(c['programs_per_run'], '.1f')} | {cell(c['times_empty'], '.2f')} | {c['net_ns_per_packet']:.0f} |"
                      f" {cell(c['net_ns_per_run'], '.0f')} |")
            for label, c in self.result["costs"].items():
                if "net_ns_per_switch" in c:
                    print(f"\nsched_switch, {label}: {c['switch_times_empty']:.2f} times an empty program,"
                          f" {c['net_ns_per_switch']:.0f} emulated ns net a switch, {c['switches_per_packet']:.3f} switches a packet")
        if self.result["ratios"]:
            print(f"\nWith / without, median of {self.rounds} pairs: packets a second, and the vhost workers' CPU time a packet.\n\n| |"
                  + "".join(f" {name} |" for name in self.scenarios) + "\n|---|" + "---:|" * len(self.scenarios))
            for label, row in self.result["ratios"].items():
                print(f"| {label} |" + "".join(f" {cell(r['rate'], '.2f')}, CPU {cell(r['worker_cpu'], '.2f')} |"
                                               for r in row.values()))
        if self.options.programs:
            super().print_result()
            return
        if self.rows:
            print("\n| emulated | measured | theirs / ours |\n|---|---:|---:|")
        for r in self.rows:
            print(f"| {r['figure']} | {cell(r['value'], '.1f')} {r['unit']} | {cell(r['ratio'], '.2f')} |")
        for text in self.notes:
            print(f"\nnote: {text}")

    def to_json(self):
        return super().to_json() | {"schema": "virtscope.bench-vhost/1", "emulated": True}


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke test, too noisy for figures")
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON too; relative to $VS_OUT")
    parser.add_argument("--strict", action="store_true", help="exit 1 if something could not be measured")
    parser.add_argument("--only", action="append", choices=("costs", "ratios", "daemon", "disk"), help="this part; may be repeated")
    parser.add_argument("--form", action="append", choices=list(FORMS), help="costs of this form only; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of with and without (default 5)")
    parser.add_argument("--virtscope", default=str(ROOT / "build" / "virtscope"), help="the binary to measure")
    parser.add_argument("--programs", action="store_true", help="print a table of each program, too")
    options = parser.parse_args()
    options.only = options.only or ["costs", "ratios", "daemon", "disk"]
    options.form = options.form or list(FORMS)
    options.deny_hook = []
    options.bin = str(ROOT / "build" / "tests" / "bench")
    return options


def main():
    options = parse_options()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if not os.environ.get("VS_VM"):
        say("bench_vhost: this is not a virtual machine of scripts/host-vm; say: make bench-vm")
        return 3
    for path in (options.virtscope, os.path.join(options.bin, "empty_progs"), str(HARNESS / "vhost_drive")):
        if not os.access(path, os.X_OK):
            say(f"bench_vhost: {path} is not there; build first, outside: make all harness bench-bins")
            return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    start = time.monotonic()
    try:
        with contextlib.ExitStack() as stack:
            bench = VhostBench(options, stack)
            bench.open_vms()
            bench.open_empty()
            for part in options.only:
                try:
                    getattr(bench, f"run_{part}")()
                except (BenchError, AssertionError) as error:
                    # What the other parts measured is worth printing all the same.
                    bench.note(f"{part}: not measured: {error}")
    except (BenchError, AssertionError, RuntimeError, subprocess.SubprocessError) as error:
        say(f"bench_vhost: {error}")
        return 1
    bench.result["duration_s"] = round(time.monotonic() - start, 1)
    bench.print_result()
    if options.json:
        path = os.path.join(os.environ["VS_OUT"], options.json)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(bench.to_json(), file, indent=1)
            file.write("\n")
    return 1 if options.strict and (bench.notes or any(r["value"] is None for r in bench.rows)) else 0


if __name__ == "__main__":
    sys.exit(main())
