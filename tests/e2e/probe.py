# SPDX-License-Identifier: GPL-2.0-or-later
"""virtscope as a test uses it: one look, the daemon, and what they say."""
import contextlib
import functools
import json
import os
import pathlib
import signal
import subprocess
import threading

import jsonschema

from lab import BUILD, ROOT, sh, wait_for

VIRTSCOPE = BUILD / "virtscope"
READY = "virtscope: ready"
READY_S = 120 if os.environ.get("VS_VM") else 20   # an emulated machine is slow
HIST_STEP = 1 / 8       # a bucket is at most this much wider than its lower edge


@functools.cache
def validator(name):
    path = ROOT / "docs" / f"{name}.schema.json"
    assert path.exists(), f"{path} is missing"
    schema = json.loads(path.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def validate(value, name):
    validator(name).validate(value)


def percentile(hist, p):
    """From the buckets, linear inside the bucket: report names only some percentiles."""
    total = sum(n for _, n in hist["buckets"])
    rank, seen, below = p * total, 0, 0.0
    for le, n in hist["buckets"]:
        if n and seen + n >= rank:
            low = max(below, le / (1 + HIST_STEP))
            return low + (le - low) * (rank - seen) / n
        seen += n
        below = le
    return below


class Process:
    """A virtscope process whose stderr is followed."""

    def __init__(self, argv, prefix=()):
        self.argv = [*map(str, prefix), str(VIRTSCOPE), *map(str, argv)]
        self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.stderr = []
        self._ready = threading.Event()
        self._out = []
        self._threads = [threading.Thread(target=self._follow, daemon=True),
                         threading.Thread(target=self._collect, daemon=True)]
        for thread in self._threads:
            thread.start()

    def _follow(self):
        for line in self.process.stderr:
            self.stderr.append(line.rstrip("\n"))
            if READY in line:
                self._ready.set()
        self._ready.set()

    def _collect(self):
        self._out.append(self.process.stdout.read())

    def ready(self):
        assert self._ready.wait(READY_S), f"{self.argv}: not ready: {self.stderr}"
        assert any(READY in line for line in self.stderr), f"{self.argv}: {self.stderr}"
        return self

    def wait(self, timeout_s=20):
        status = self.process.wait(timeout_s)
        for thread in self._threads:
            thread.join(5)
        self.stdout = "".join(self._out)
        return status

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        print(f"{self.argv} ended with status {self.wait()} and said:", *self.stderr, sep="\n  ")


class Report(dict):
    """The JSON of one look, validated, with the noun looked up or the whole shown."""

    def vm(self, vm):
        found = [v for v in self["vms"] if v["pid"] == vm.pid]
        assert len(found) == 1, f"{len(found)} rows for pid {vm.pid}: {[(v['name'], v['pid']) for v in self['vms']]}"
        return found[0]

    def vnic(self, vm, tap):
        row = self.vm(vm)
        found = [n for n in row["vnics"] if n["name"] == tap]
        assert len(found) == 1, f"{tap} is not once among {[n['name'] for n in row['vnics']]}"
        return found[0]

    def disk(self, vm, device):
        row = self.vm(vm)
        found = [d for d in row["disks"] if d["device"] == device]
        assert len(found) == 1, f"{device} is not once among {[d['device'] for d in row['disks']]}"
        return found[0]

    def ops(self, vm, device, op):
        return self.disk(vm, device)["ops"][op]

    def unattributed(self, device, op):
        for disk in self["unattributed"]["disks"]:
            if disk["device"] == device:
                return disk["ops"].get(op) or {"count": 0, "bytes": 0}
        return {"count": 0, "bytes": 0}


def rows(vnic, direction, **want):
    """Sum of the drop rows that match; drops(vnic, "rx", reason="FULL_RING")."""
    return sum(d["count"] for d in vnic[direction]["drops"] if all(d[k] == v for k, v in want.items()))


class Look(Process):
    """`report --json --standalone`, ended when the test has seen enough."""

    def __init__(self, *args, duration_s=120, standalone=True, prefix=()):
        argv = ["report", "--json", "--duration", duration_s]
        if standalone:
            argv.append("--standalone")
        super().__init__([*argv, *args], prefix)

    def finish(self):
        self.signal(signal.SIGINT)
        status = self.wait()
        assert status == 0, f"status {status}: {self.stderr}"
        report = Report(json.loads(self.stdout))
        validate(report, "report")
        return report


class Daemon(Process):
    """`run` with a control socket and an event file of its own."""

    def __init__(self, scratch, *args, prefix=(), events="events.jsonl"):
        """events None: whatever args say."""
        self.control = scratch / "control"
        self.events_path = scratch / (events or "events.jsonl")
        self._events, self._read_to = [], 0
        to = ["--events", self.events_path] if events else []
        super().__init__(["run", *to, "--control", self.control, *args], prefix)

    def events(self, kind=None, vm=None):
        if self.events_path.exists():
            with self.events_path.open() as file:
                file.seek(self._read_to)
                # Each line is read and validated once; one being written waits.
                for line in iter(file.readline, ""):
                    if not line.endswith("\n"):
                        break
                    self._read_to += len(line.encode())
                    event = json.loads(line)
                    validate(event, "event")
                    self._events.append(event)
        return [e for e in self._events
                if (not kind or e["type"] == kind) and
                (not vm or (e["vm"] and e["vm"]["pid"] == vm.pid))]

    def event(self, kind, vm, timeout_s=2.0, data=None):
        """Waits for one event, returns it."""
        def match():
            return [e for e in self.events(kind, vm)
                    if all(e["data"].get(k) == v for k, v in (data or {}).items())]
        found, _ = wait_for(f"{kind} of {vm.name} {data or ''}", match, timeout_s)
        return found[0]

    @property
    def probe_pid(self):
        """The process that holds the programs."""
        [pid] = children(self.pid, "virtscope-probe")
        return pid

    def rss_kib(self):
        """Of both processes."""
        return sum(int(status(pid)["VmRSS"].split()[0]) for pid in family(self.pid))


def status(pid):
    """/proc/PID/status as a dict."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, value in (line.split(":", 1) for line in lines)}


def children(pid, comm):
    """Pids of its children of this name; none if it has ended."""
    with contextlib.suppress(OSError):
        pids = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(p) for p in pids if pathlib.Path(f"/proc/{p}/comm").read_text().strip() == comm]
    return []


def family(pid):
    """A daemon's two processes; of a report, which is one, that."""
    return [pid, *children(pid, "virtscope-probe")]


def bpf_objects(pid=None):
    """{(kind, id): name} of programs, maps and links: of all those named vs_*, or those that one daemon holds.

    Which these are is in its open files: not every bpftool knows owners, and one that does
    knows none of an object that somebody else's program holds.
    """
    found = {}
    for kind in ("prog", "map", "link"):
        ours = None if pid is None else _held(pid, f"{kind}_id:")
        for row in json.loads(sh("bpftool", "-j", kind, "show") or "[]"):
            # A link has no name; its program has.
            name = "vs_link" if ours and kind == "link" else row.get("name", "")
            if name.startswith("vs_") and (ours is None or row["id"] in ours):
                found[(kind, row["id"])] = name
    return found


def bpf_ids():
    """{(kind, id)} of all programs, maps and links of the host, whoever has them."""
    return {(kind, row["id"]) for kind in ("prog", "map", "link")
            for row in json.loads(sh("bpftool", "-j", kind, "show") or "[]")}


def _held(pid, key):
    """Ids in a process's open files: not every bpftool knows owners."""
    ids = set()
    for process in family(pid):
        for path in pathlib.Path(f"/proc/{process}/fdinfo").iterdir():
            with contextlib.suppress(OSError):
                ids |= {int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(key)}
    return ids


def programs_of(pid):
    """Names of the programs that a process holds."""
    ids = _held(pid, "prog_id:")
    shown = sh("bpftool", "-j", "prog", "show", check=False)    # one that goes meanwhile is no error
    return [p.get("name", "") for p in (json.loads(shown) if shown.startswith("[") else []) if p.get("id") in ids]


def maps_of(pid):
    """[(name, id, type)] of the maps that a process holds."""
    ids = _held(pid, "map_id:")
    return [(m.get("name", ""), m["id"], m["type"]) for m in json.loads(sh("bpftool", "-j", "map", "show")) if m["id"] in ids]


def map_rows(pid, name):
    """[{"key": octets, "value": octets, …}] of one map of a process."""
    return [row for its, number, _ in maps_of(pid) if its == name
            for row in json.loads(sh("bpftool", "-j", "map", "dump", "id", number))]


def map_entries(pid):
    """{(name, id): number of entries} of the hash maps of one process."""
    found = {}
    for name, number, kind in maps_of(pid):
        if "hash" in kind:
            dump = sh("bpftool", "-j", "map", "dump", "id", number, check=False)
            if dump:
                found[(name, number)] = len(json.loads(dump))
    return found


def run(*args, prefix=(), timeout_s=30):
    """One finished invocation: (status, stdout, stderr)."""
    r = subprocess.run([*map(str, prefix), str(VIRTSCOPE), *map(str, args)],
                       capture_output=True, text=True, timeout=timeout_s)
    return r.returncode, r.stdout, r.stderr
