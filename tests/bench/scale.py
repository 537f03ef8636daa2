#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How the daemon's cost grows with the number of VMs.

Two series.  Synthetic VMs (virtscope run --synthetic) need no kernel: what they
cost is the daemon itself, its sample, detectors, events and /metrics, up to
1,000 VMs.  Posed VMs are processes with a tap and six threads each: what
reading the kernel costs is in there, too.

CPU is what the scheduler counted for the daemon and its probe, over a stretch
in which nobody asks it anything, and over one in which /metrics is read every
two seconds, which Prometheus does not do: every 15 is usual.  The tick is what
the daemon says of itself in "self" of its report.  A scrape's time is that of a
client on loopback that reads all of it.

Load on the machine makes every figure worse; the table begins with it.
"""

import argparse
import contextlib
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench import BenchError, ROOT, say, spawn, stop  # noqa: E402
from fleet import Fleet, cpu_ns, resident_mib  # noqa: E402

SYNTHETIC = (10, 100, 200, 1000)
POSED = (10, 100, 200)
POSED_THREADS = 6
SCRAPE_EVERY_S = 2
# VMs: CPU of a core in %, resident MiB, scrape in ms; None: no budget
BUDGETS = {100: (0.5, 24, None), 200: (None, None, 100), 1000: (3.0, 96, None)}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Daemon:
    """virtscope run with sockets and files in a folder of its own."""

    def __init__(self, stack, binary, extra, prefix=()):
        self.binary, self.prefix = binary, list(prefix)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="virtscope-scale-"))
        self.control = os.path.join(folder, "control")
        self.port = free_port()
        config = os.path.join(folder, "virtscope.yaml")
        with open(config, "w", encoding="ascii") as file:
            file.write(f"metrics:\n  listen: 127.0.0.1:{self.port}\n")
        self.process = spawn([*prefix, binary, "run", "--config", config, "--control", self.control, "--events",
                              os.path.join(folder, "events.jsonl"), "--libvirt", "none", *extra],
                             stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        stack.callback(stop, self.process)
        log = []
        for line in self.process.stderr:
            log.append(line)
            if line.startswith("virtscope: ready"):
                os.set_blocking(self.process.stderr.fileno(), False)
                return
        raise BenchError("virtscope run ended: " + "".join(log).strip()[-500:])

    def report(self, seconds):
        answer = subprocess.run([*self.prefix, self.binary, "report", "--json", "--duration", str(seconds),
                                 "--control", self.control], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                timeout=seconds + 60, check=False)
        if answer.returncode:
            raise BenchError(f"virtscope report ended with {answer.returncode}")
        return json.loads(answer.stdout)

    def spent_percent(self, seconds, meanwhile=None):
        """Median over slices of five seconds: a neighbour on the machine makes a mean worthless."""
        slices = max(1, round(seconds / 5))
        return statistics.median(self._spent(seconds / slices, meanwhile) for _ in range(slices))

    def _spent(self, seconds, meanwhile):
        before, begin = cpu_ns(self.process.pid), time.monotonic()
        while (left := begin + seconds - time.monotonic()) > 0:
            if meanwhile:
                meanwhile()
            time.sleep(min(left, SCRAPE_EVERY_S))
        return (cpu_ns(self.process.pid) - before) / (time.monotonic() - begin) / 1e7

    def scrape(self):
        """Milliseconds and bytes of one; None where nobody listens."""
        begin = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/metrics", headers={"Accept-Encoding": "identity"})
            answer = connection.getresponse()
            body = answer.read()
        except ConnectionRefusedError:
            return None
        finally:
            connection.close()
        if answer.status != 200 or not body.startswith(b"#"):
            raise BenchError(f"/metrics answered {answer.status}: {body[:100]!r}")
        return (time.monotonic() - begin) * 1e3, len(body)


def measure(daemon, count, seconds, scraped):
    """One row: see COLUMNS."""
    time.sleep(min(seconds, 6))  # the first looks are the dearest
    row = {"vms": count, "cpu": daemon.spent_percent(seconds), "rss": resident_mib(daemon.process.pid)}
    times = []
    if scraped and daemon.scrape():
        row["cpu_scraped"] = daemon.spent_percent(max(seconds, 2 * SCRAPE_EVERY_S),
                                                  lambda: times.append(daemon.scrape()))
        row["scrape"] = statistics.median(t for t, _ in times)
        row["scrape_max"] = max(t for t, _ in times)
        row["page"] = times[-1][1] / 2**20
        row["rss_scraped"] = resident_mib(daemon.process.pid)
    report = daemon.report(max(seconds, 2))
    if len(report["vms"]) < count:
        raise BenchError(f"the daemon sees {len(report['vms'])} of {count} VMs")
    ticks = report["self"]["ticks"]
    row["tick"], row["tick_p99"] = ticks["took_us"]["p50"] / 1e3, ticks["took_us"]["p99"] / 1e3
    row["late"] = ticks["late_us"]["p99"] / 1e3
    row["missed"] = ticks["missed"]
    return row


def synthetic(options, count):
    with contextlib.ExitStack() as stack:
        say(f"{count} synthetic VMs")
        return measure(Daemon(stack, options.virtscope, ["--synthetic", str(count)]), count, options.seconds, True)


def posed(options, count):
    with contextlib.ExitStack() as stack:
        say(f"{count} posed VMs")
        fleet = Fleet(stack, stack.enter_context(tempfile.TemporaryDirectory(prefix="virtscope-scale-")))
        fleet.grow(count, POSED_THREADS)
        daemon = Daemon(stack, options.virtscope, [], fleet.enter)
        # Its port is in the fleet's namespace: out of reach from here.
        return measure(daemon, count, options.seconds, False)


COLUMNS = (("VMs", "vms", "{:.0f}"), ("CPU %", "cpu", "{:.2f}"), ("CPU %, scraped", "cpu_scraped", "{:.2f}"),
           ("MiB", "rss", "{:.1f}"), ("MiB, scraped", "rss_scraped", "{:.1f}"), ("tick ms", "tick", "{:.2f}"),
           ("tick p99", "tick_p99", "{:.2f}"), ("late p99 ms", "late", "{:.2f}"), ("scrape ms", "scrape", "{:.1f}"),
           ("scrape max", "scrape_max", "{:.1f}"), ("page MiB", "page", "{:.2f}"))


def verdicts(row):
    """What of the row has a budget, and whether it holds."""
    budgets = BUDGETS.get(row["vms"], (None,) * 3)
    names = (("cpu", "CPU", "%"), ("rss", "memory", "MiB"), ("scrape", "scrape", "ms"))
    for (key, name, unit), budget in zip(names, budgets):
        if budget is not None and key in row:
            yield row[key] <= budget, f"{name} {row[key]:.2f} {unit} of {budget:g}"


def print_table(title, rows):
    print(f"\n{title}\n\n| " + " | ".join(name for name, _, _ in COLUMNS) + " | budgets |")
    print("|" + "---:|" * len(COLUMNS) + "---|")
    for row in rows:
        cells = [form.format(row[key]) if key in row else "-" for _, key, form in COLUMNS]
        told = "; ".join(("" if met else "MISSED: ") + text for met, text in verdicts(row))
        print("| " + " | ".join(cells) + f" | {told} |")
    if len(rows) > 1:
        first, last = rows[0], rows[-1]
        print(f"\nfrom {first['vms']} to {last['vms']} VMs, {last['vms'] / first['vms']:.0f} times as many: " + ", ".join(
            f"{name} x {last[key] / first[key]:.1f}" for name, key, _ in COLUMNS[1:]
            if first.get(key) and last.get(key)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="less than a minute, too short for figures")
    parser.add_argument("--only", choices=("synthetic", "posed"), help="one of the two series")
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON too")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a budget is missed")
    parser.add_argument("--virtscope", default=os.path.join(ROOT, "build/virtscope"), help="the binary to measure")
    options = parser.parse_args()
    options.seconds = 2 if options.quick else 20
    if os.geteuid() != 0 and options.only != "synthetic":
        say("bench: cannot pose VMs: needs root; run it as root, or with --only synthetic")
        return 3
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    series = {}
    print(f"load when it began: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs; {options.seconds} s each")
    try:
        if options.only != "posed":
            series["synthetic"] = [synthetic(options, n) for n in SYNTHETIC]
        if options.only != "synthetic":
            series["posed"] = [posed(options, n) for n in POSED]
    except BenchError as error:
        say(f"bench: {error}")
        return 1
    for name, rows in series.items():
        print_table(f"{name} VMs", rows)
    print(f"\nload when it ended: {os.getloadavg()[0]:.1f}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"schema": "virtscope.bench.scale/1", "seconds": options.seconds, **series}, file, indent=1)
            file.write("\n")
    missed = [text for rows in series.values() for row in rows for met, text in verdicts(row) if not met]
    return 1 if options.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
