# SPDX-License-Identifier: GPL-2.0-or-later
"""virtscope.yaml: what is wrong is told with its line, flags override it, SIGHUP reads it again."""
import json
import os
import re
import signal
import subprocess
import urllib.request

import pytest

from lab import wait_for
from probe import VIRTSCOPE, Process, Report, run, validate

# (what, file, the one line that is said of it, after the file's name and a colon)
BAD = [
    ('unknown key at the top', 'colour: red',
     '1: colour: unknown key; allowed: control, user, libvirt, probe, events, metrics, detect'),
    ('unknown key in a section', 'metrics:\n  lisen: none',
     '2: metrics.lisen: unknown key; allowed: listen, tls_certificate, tls_key, token_file, buckets, series_per_vm, vms, detail'),
    ('unknown key two sections down', 'events:\n\n  file:\n    size: 1',
     '4: events.file.size: unknown key; allowed: path, max_bytes, keep'),
    ('key in dots is no key', 'events.journal: true',
     '1: events.journal: unknown key; allowed: control, user, libvirt, probe, events, metrics, detect'),
    ('key given twice', 'control: /a\nuser: b\ncontrol: /c',
     '3: control: given twice, first on line 1; allowed: each key once'),
    ('section given twice', 'detect: {}\nprobe:\ndetect:',
     '3: detect: given twice, first on line 1; allowed: each key once'),
    ('any word is not true', 'events:\n  journal: flase',
     "2: events.journal: 'flase' is neither true nor false; allowed: true or false"),
    ('true in quotes is text', 'events: {journal: "true"}',
     "1: events.journal: 'true' in quotes is text; allowed: true or false"),
    ('no octal', 'events: {memory: 010}',
     "1: events.memory: '010' is no whole number; allowed: a number from 1 to 1000000"),
    ('no sign', 'events:\n  memory: -1',
     "2: events.memory: '-1' is no whole number; allowed: a number from 1 to 1000000"),
    ('out of range', 'events: {file: {keep: 101}}',
     "1: events.file.keep: '101' is out of range; allowed: a number from 0 to 100"),
    ('too large for any number', 'events: {file: {max_bytes: 99999999999999999999}}',
     "1: events.file.max_bytes: '99999999999999999999' is out of range; allowed: a number from 0 to 1099511627776"),
    ('no nan', 'detect: {threshold: nan}',
     "1: detect.threshold: 'nan' is no number; allowed: a number from 1 to 1000"),
    ('empty value', 'user:',
     '1: user: has no value; allowed: the name of a user, or ""'),
    ('mapping for a value', 'control:\n  path: /x',
     '2: control: a mapping is not possible; allowed: an absolute path of up to 99 bytes'),
    ('list for a section', 'metrics: [listen]',
     '1: metrics: a list is not possible; allowed: listen, tls_certificate, tls_key, token_file, buckets, series_per_vm, vms, detail'),
    ('value for a list', 'probe:\n  vms: web=12',
     '2: probe.vms: a single value is not possible; allowed: a list of up to 64 NAME=PID'),
    ('entry of a list', 'probe:\n  vms:\n    - web=12\n    - web',
     "4: probe.vms[1]: 'web' is not possible; allowed: a list of up to 64 NAME=PID"),
    ('entry that is a list', 'probe: {deny: [iter, [bpf]]}',
     '1: probe.deny[1]: a list is not possible; allowed: a list of tp_btf, raw_tp, iter, fentry, kprobe, sched, bpf'),
    ('missing field', 'libvirt:\n  labels:\n  - name: a',
     '3: libvirt.labels[0]: path is missing; allowed: names of elements with / between them, then perhaps /@attribute'),
    ('field given twice', 'libvirt:\n  labels:\n  - name: a\n    name: b\n    path: c',
     '4: libvirt.labels[0].name: given twice, first on line 3; allowed: each key once'),
    ('reserved label', 'libvirt: {labels: [{name: vm, path: c}]}',
     "1: libvirt.labels[0].name: 'vm' is not possible; allowed: letters, digits and _, 32 at most, no digit or __ first, no label of virtscope's own"),
    ('unknown field', 'libvirt: {labels: [{name: a, path: b, as: c}]}',
     '1: libvirt.labels[0].as: unknown key; allowed: name, path'),
    ('buckets that fall', 'metrics:\n  vms: 1\n  buckets: [1, 0.5]',
     '3: metrics.buckets: 0.5 comes after 1; allowed: numbers, each larger than the one before'),
    ('no buckets', 'metrics: {buckets: []}',
     '1: metrics.buckets: is empty; allowed: a list of 1 to 32 numbers'),
    ('key without certificate', 'metrics:\n  tls_key: /k',
     '2: metrics.tls_key: is of no use alone; allowed: both tls_certificate and tls_key, or neither'),
    ('no such address', "metrics: {listen: 'example.org:80'}",
     "1: metrics.listen: 'example.org:80' is not possible; allowed: none, or ADDRESS:PORT (127.0.0.1:9752, [::1]:9752)"),
    ('no such port', "metrics: {listen: '127.0.0.1:65536'}",
     "1: metrics.listen: '127.0.0.1:65536' is not possible; allowed: none, or ADDRESS:PORT (127.0.0.1:9752, [::1]:9752)"),
    ('open to all without a token', 'metrics:\n  tls_certificate: /c\n  tls_key: /k\n  listen: 0.0.0.0:9752',
     "4: metrics.listen: '0.0.0.0:9752' can be reached from elsewhere, and metrics.token_file is not set; allowed: 127.0.0.1:PORT, or with tls_certificate, tls_key and token_file"),
    ('relative path', 'events: {file: {path: events.jsonl}}',
     '1: events.file.path: \'events.jsonl\' is not possible; allowed: an absolute path, or "" for no file'),
    ('no power of two', 'probe: {sample: 12}',
     "1: probe.sample: '12' is not possible; allowed: auto, or a power of two from 1 to 1048576"),
    ('tab', 'events:\n\tjournal: true',
     '2: syntax: found character that cannot start any token, while scanning for the next token; allowed: YAML, indented by spaces: virtscope.yaml(5)'),
    ('bracket left open', 'probe: {vms: [a=1\n',
     "2: syntax: did not find expected ',' or ']', while parsing a flow sequence; allowed: YAML, indented by spaces: virtscope.yaml(5)"),
    ('alias', 'user: &a b\n',
     "1: the anchor or alias 'a' is not possible; allowed: values themselves, without & and *"),
    ('tag', 'user: !!str b\n',
     "1: the tag 'tag:yaml.org,2002:str' is not possible; allowed: values without a tag"),
    ('list at the top', '- a\n',
     '1: a list is not possible; allowed: control, user, libvirt, probe, events, metrics, detect'),
    ('word at the top', '\nvirtscope\n',
     '2: a single value is not possible; allowed: control, user, libvirt, probe, events, metrics, detect'),
    ('second document', 'user: a\n---\nuser: b\n',
     '2: a second document begins; allowed: one document'),
    ('escape codes are told as text', '"\\x1b[2J": 1',
     '1: \\x1b[2J: unknown key; allowed: control, user, libvirt, probe, events, metrics, detect'),
    ('NUL', 'user: "a\\0b"',
     '1: user: \'a\' has a NUL in it; allowed: the name of a user, or ""'),
]


def check(path, *args):
    return run("check-config", *args, path)


@pytest.mark.parametrize("text, told", [row[1:] for row in BAD], ids=[row[0].replace(" ", "_") for row in BAD])
def test_a_bad_file_exits_2_and_says_line_key_and_what_is_allowed(scratch, text, told):
    path = scratch / "bad.yaml"
    path.write_text(text)
    status, out, err = check(path)
    assert err == f"{path}:{told}\n"
    assert status == 2 and out == ""


def test_all_problems_are_said_at_once_as_json_too(scratch):
    path = scratch / "bad.yaml"
    path.write_text("user: 1\nevents:\n  journal: maybe\nmetrics: 7\n")
    status, out, err = check(path, "--json")
    assert status == 2 and err == ""
    found = json.loads(out)
    assert [(p["line"], p["key"]) for p in found["problems"]] == [(1, "user"), (3, "events.journal"), (4, "metrics")]
    assert found["fine"] is False and found["effective"] is None and found["file"] == str(path)


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "huge", "binary", "unreadable"])
def test_what_is_no_such_file_exits_2_and_does_not_hang(scratch, kind):
    path = scratch / "file"
    prefix = []
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "huge":
        path.write_text("# " + "x" * (1 << 20))
    elif kind == "binary":
        path.write_bytes(VIRTSCOPE.read_bytes()[:5000])
    elif kind == "unreadable":
        path.write_text("user: a\n")
        path.chmod(0)
        prefix = ["setpriv", "--bounding-set", "-all"]
    told = {"missing": "No such file", "directory": "not a regular file", "fifo": "not a regular file",
            "huge": "larger than 1 MiB", "binary": "syntax", "unreadable": "Permission denied"}[kind]
    if prefix:
        r = subprocess.run([*prefix, VIRTSCOPE, "check-config", path], capture_output=True, text=True, timeout=10)
        status, err = r.returncode, r.stderr
    else:
        status, _, err = check(path)
    assert status == 2 and err.startswith(f"{path}:") and told in err, err


def test_a_fine_file_exits_0_and_its_effect_can_be_read_again(scratch):
    path, again = scratch / "fine.yaml", scratch / "again.yaml"
    path.write_text("events:\n  file:\n    path: /var/log/x\nprobe: {vms: ['a b=12']}\n")
    status, out, _ = check(path)
    assert (status, out) == (0, f"{path}: fine\n")
    status, effective, _ = check(path, "--effective")
    assert status == 0
    again.write_text(effective)
    assert check(again, "--effective")[1].splitlines()[1:] == effective.splitlines()[1:]
    settings = json.loads(check(path, "--json")[1])["effective"]
    assert settings["events"]["file"]["path"] == "/var/log/x" and settings["probe"]["vms"] == ["a b=12"]
    assert settings["events"]["stdout"] == "auto"


def test_a_file_that_is_named_must_be_there(scratch):
    status, _, err = run("run", "--config", scratch / "nosuch")
    assert status == 2 and f"{scratch}/nosuch: No such file" in err


def test_run_refuses_a_bad_file_before_it_does_anything(scratch):
    path = scratch / "bad.yaml"
    path.write_text(f"control: {scratch}/control\nevents: {{file: {{path: {scratch}/events, keep: many}}}}\n")
    status, _, err = run("run", "-c", path)
    assert status == 2 and f"{path}:2: events.file.keep: 'many' is no whole number" in err
    assert [p.name for p in scratch.iterdir()] == ["bad.yaml"]


class Configured(Process):
    """`run` by a file; flags only where a test gives some."""

    def __init__(self, scratch, *args, **sections):
        self.path = scratch / "virtscope.yaml"
        self.control = scratch / "control"
        self.events_path = scratch / "events.jsonl"
        self.sections = {"control": str(self.control), "libvirt": {"uri": "none"}, "events": {"file": {"path": str(self.events_path)}}}
        self.write(**sections)
        super().__init__(["run", "--config", self.path, *args])

    def write(self, **sections):
        self.sections.update(sections)
        self.path.write_text(json.dumps(self.sections, indent=1))   # JSON is YAML

    def reload(self):
        """Waits until the daemon has read again; what it said."""
        before = len(self.stderr)
        self.signal(signal.SIGHUP)
        wait_for("the reload", lambda: any("reload: " in line for line in self.stderr[before:]), 5)
        return self.stderr[before:]


@pytest.fixture
def configured(lab, scratch):
    def start(*args, **sections):
        process = Configured(scratch, *args, **sections)
        lab.undo.callback(process.end)
        return process.ready()
    return start


def lines(*paths):
    return [json.loads(line) for path in paths if path.exists() for line in path.read_text().splitlines()]


def holes(events):
    seqs = [e["seq"] for e in events]
    return [n for n in range(seqs[0], seqs[-1] + 1) if seqs.count(n) != 1]


def test_flags_override_the_file(scratch, configured):
    other = scratch / "other.jsonl"
    daemon = configured("--events", other, "--vm", f"me={os.getpid()}", "--sample", "16",
                        probe={"vms": ["nobody=4194304"], "sample": 2})
    wait_for("the VM that a flag names", lambda: [e for e in lines(other) if e["vm"] and e["vm"]["name"] == "me"], 5)
    assert daemon.control.exists() and not daemon.events_path.exists()
    # and still do when the file is read again
    daemon.write(probe={"sample": 4})
    assert any("reload: 0 keys changed" in line for line in daemon.reload()), daemon.stderr


def test_sighup_applies_what_can_be_applied_and_names_the_rest(scratch, configured):
    daemon = configured()
    moved = scratch / "moved.jsonl"
    daemon.write(events={"file": {"path": str(moved)}, "memory": 5}, probe={"sample": 8}, detect={"warmup_s": 7})
    said = daemon.reload()
    assert [line.removeprefix("virtscope: ") for line in said] == [
        "probe.sample: changed, takes effect after a restart",
        "events.file.path: changed",
        "events.memory: changed, takes effect after a restart",
        "detect.warmup_s: changed",
        "reload: 4 keys changed, 2 of them after a restart"]
    wait_for("the new file", moved.exists, 2)
    # What waits for a restart is named each time, what was applied is not.
    assert [line for line in daemon.reload() if "changed" in line][-1].endswith(
        "reload: 2 keys changed, 2 of them after a restart")


def test_a_bad_file_at_sighup_changes_nothing(scratch, lab, configured):
    daemon = configured()
    daemon.write(metrics={"listen": "nowhere"})
    said = daemon.reload()
    assert any(f"{daemon.path}:" in line and "metrics.listen: 'nowhere' is not possible" in line for line in said), said
    assert said[-1].endswith("reload: the settings stay as they were")
    daemon.path.unlink()
    assert any("No such file" in line for line in daemon.reload())
    vm = lab.vm()
    wait_for("an event after it", lambda: [e for e in lines(daemon.events_path) if e["vm"] and e["vm"]["pid"] == vm.pid], 5)


def test_an_event_file_that_cannot_be_opened_leaves_the_old_one(scratch, lab, configured):
    daemon = configured()
    daemon.write(events={"file": {"path": str(scratch / "nosuch" / "x")}})
    daemon.reload()
    wait_for("its message", lambda: any("events.file: stays as it was" in line for line in daemon.stderr), 2)
    vm = lab.vm()
    wait_for("the VM in the old file", lambda: [e for e in lines(daemon.events_path) if e["vm"] and e["vm"]["pid"] == vm.pid], 5)


def test_no_sample_and_no_event_is_lost_by_reloads(scratch, lab, configured):
    """Twenty reloads while packets come: counts are the reader's, numbers have no holes."""
    ns = lab.netns()
    vm = lab.vm(ns, ["t0"])
    daemon = configured()
    wait_for("the vNIC", lambda: [e for e in lines(daemon.events_path) if e["type"] == "vnic.attach"], 5)
    look = Process(["report", "--json", "--duration", "60", "--control", daemon.control]).ready()
    lab.undo.callback(look.end)
    files = [scratch / f"events-{i}.jsonl" for i in range(2)]
    sent = read = 0
    for i in range(20):
        daemon.write(events={"file": {"path": str(files[i % 2]), "max_bytes": 1 << (20 + i)}},
                     detect={"warmup_s": 100 + i})
        daemon.reload()
        sent += ns.send("t0", 60 + i)["accepted"]
        read += vm.do("read")["packets"]
        extra = lab.vm()
        wait_for("its event", lambda: [e for e in lines(daemon.events_path, *files) if e["vm"] and e["vm"]["pid"] == extra.pid], 5)
    look.signal(signal.SIGINT)
    assert look.wait() == 0, look.stderr
    report = Report(json.loads(look.stdout))
    validate(report, "report")
    assert report.vnic(vm, "t0")["rx"]["packets"] == read == sent == sum(60 + i for i in range(20))
    daemon.end()
    events = sorted(lines(daemon.events_path, *files), key=lambda e: e["seq"])
    assert len(events) >= 20 and holes(events) == []


def test_a_file_that_the_daemons_user_cannot_read_is_told_at_sighup(scratch, lab):
    for path in (scratch / "run", scratch / "log"):
        path.mkdir()
        os.chown(path, 65534, 65534)
    daemon = Configured(scratch, user="nobody", control=str(scratch / "run" / "control"),
                        events={"file": {"path": str(scratch / "log" / "events.jsonl")}})
    lab.undo.callback(daemon.end)
    daemon.ready()
    daemon.path.chmod(0o600)
    said = daemon.reload()
    assert any("Permission denied" in line for line in said) and "let the group" in said[-1], said
    os.chown(daemon.path, 0, 65534)
    daemon.path.chmod(0o640)
    assert "reload: 0 keys changed" in daemon.reload()[-1]


def test_the_exporter_listens_where_the_file_says_with_its_buckets(lab, configured):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0"])
    daemon = configured(metrics={"listen": "127.0.0.1:0", "buckets": [0.001, 0.1], "series_per_vm": 100}, probe={"sample": 1})
    line = next(line for line in daemon.stderr if "port " in line)
    ns.send("t0", 50)
    vm.do("read")

    def bounds():
        with urllib.request.urlopen(f"http://127.0.0.1:{line.split('port ')[1]}/metrics", timeout=5) as page:
            return set(re.findall(r'virtscope_vnic_residence_seconds_bucket\{.*le="([^"]+)"', page.read().decode()))
    found, _ = wait_for("histograms", bounds, 5)
    assert "+Inf" in found and len(found) == 3
    assert sorted(float(le) for le in found)[:2] == pytest.approx([0.001, 0.1], rel=0.07)


def test_sighup_finds_a_file_that_was_renamed(scratch, lab, configured):
    daemon = configured()
    old = scratch / "events.jsonl.1"
    first = lab.vm()
    wait_for("its event", lambda: [e for e in lines(daemon.events_path) if e["vm"] and e["vm"]["pid"] == first.pid], 5)
    daemon.events_path.rename(old)
    daemon.reload()
    second = lab.vm()
    wait_for("the next one's", lambda: [e for e in lines(daemon.events_path) if e["vm"] and e["vm"]["pid"] == second.pid], 5)
    daemon.end()
    assert holes(lines(old, daemon.events_path)) == []


def test_the_examples_in_the_tree_are_fine():
    root = VIRTSCOPE.parent.parent
    for path in (root / "docs" / "virtscope.yaml", root / "dist" / "virtscope.yaml"):
        assert check(path)[0] == 0, path
