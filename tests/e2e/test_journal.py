# SPDX-License-Identifier: GPL-2.0-or-later
"""Events in the journal: a journald of the test's own, in a mount namespace, read by journalctl."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from lab import ROOT, sh, wait_for
from probe import run
from test_events import HOSTILE, SOON_S, asked, come_and_go

JOURNALD = "/lib/systemd/systemd-journald"
CONFIG = "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nRateLimitBurst=0\nRuntimeMaxUse=32M\n"


class Journal:
    """journald on /run/systemd and /run/log of its own; the host's, if any, sees nothing of it."""

    def __init__(self, scratch):
        ready = scratch / "journald.ready"
        self.holder = subprocess.Popen(["unshare", "-m", "sh", "-ec", """
            mount -t tmpfs none /run/systemd
            mkdir -p /run/systemd/journal /run/systemd/journald.conf.d /run/log
            printf "$1" >/run/systemd/journald.conf.d/test.conf
            mount -t tmpfs none /run/log
            touch "$2"
            exec sleep infinity""", "journal", CONFIG, ready])
        wait_for("the namespace", ready.exists, SOON_S)
        self.inside = ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt"]
        self.journald = None

    def start(self):
        self.journald = subprocess.Popen([*self.inside, JOURNALD], stderr=subprocess.DEVNULL)
        wait_for("journald's socket", lambda: os.path.exists(f"/proc/{self.holder.pid}/root/run/systemd/journal/stdout"), SOON_S)

    def stop(self):
        if self.journald:
            self.journald.kill()
            self.journald.wait()
            self.journald = None
            sh(*self.inside, "rm", "-f", "/run/systemd/journal/socket")

    def read(self, *match):
        """[{field: text}] of virtscope's entries; -o export is the journal's own binary-safe form."""
        raw = subprocess.run([*self.inside, "journalctl", "-q", "--no-pager", "-o", "export", "-t", "virtscope", *match],
                             capture_output=True, check=False).stdout
        entries, entry = [], {}
        while raw:
            line, raw = raw.split(b"\n", 1)
            if not line:
                entries, entry = [*entries, entry], {}
            elif b"=" in line:
                key, value = line.split(b"=", 1)
                entry[key.decode()] = value.decode()
            else:
                n = int.from_bytes(raw[:8], "little")
                entry[line.decode()] = raw[8:8 + n].decode()
                raw = raw[8 + n + 1:]
        return [*entries, entry] if entry else entries

    def text(self, *match):
        return sh(*self.inside, "journalctl", "-q", "--no-pager", "-o", "short-precise", "-t", "virtscope", *match, check=False)

    def end(self):
        self.stop()
        self.holder.kill()
        self.holder.wait()


@pytest.fixture
def journal(lab, scratch):
    assert os.path.exists(JOURNALD), "systemd's journald is not installed: see scripts/setup"
    journal = Journal(scratch)
    lab.undo.callback(journal.end)
    journal.start()
    return journal


def entries_of(journal, vm_name, n, timeout_s=SOON_S):
    got, _ = wait_for(f"{n} entries", lambda: (e := journal.read(f"VIRTSCOPE_VM={vm_name}")) and len(e) >= n and e, timeout_s, 0.2)
    return got


def test_entries_have_the_fields_of_the_events(lab, daemon, journal):
    ns = lab.netns()
    probe = daemon("--journal", prefix=journal.inside)
    vm = lab.vm(ns, ["t0"])
    probe.event("vnic.attach", vm, SOON_S)
    ns.send("t0", 2000)     # nobody reads: a burst
    burst = probe.event("drop.burst", vm, 10)
    entries = entries_of(journal, vm.name, 3)
    assert [e["VIRTSCOPE_TYPE"] for e in entries] == ["vm.start", "vnic.attach", "drop.burst"]
    entry = entries[-1]
    data = burst["data"]
    table = (ROOT / "docs" / "EVENTS.md").read_text()
    assert entry["MESSAGE_ID"] == re.search(r"\| `drop\.burst` \| `([0-9a-f]{32})` \|", table)[1]
    assert entry["MESSAGE"].startswith(f"VM {vm.name}: {data['count']} packets lost at t0 (rx")
    assert entry["PRIORITY"] == "4" and entries[0]["PRIORITY"] == "6"
    assert entry["SYSLOG_IDENTIFIER"] == "virtscope"
    assert (entry["VIRTSCOPE_VM"], entry["VIRTSCOPE_VM_UUID"], entry["VIRTSCOPE_VM_PID"]) == (vm.name, vm.uuid, str(vm.pid))
    assert (entry["VIRTSCOPE_SEQ"], entry["VIRTSCOPE_ID"]) == (str(burst["seq"]), burst["id"])
    assert (entry["VIRTSCOPE_VNIC"], entry["VIRTSCOPE_COUNT"]) == ("t0", str(data["count"]))
    assert json.loads(entry["VIRTSCOPE_EVENT"]) == burst
    # journald itself says who wrote it; the fields are indexed.
    assert int(entry["_PID"]) in {probe.pid, *children(probe.pid)}
    assert len(journal.read(f"MESSAGE_ID={entry['MESSAGE_ID']}", f"VIRTSCOPE_VM={vm.name}")) == 1


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return list(map(int, file.read().split()))


def test_journal_and_file_have_the_same_events(lab, daemon, journal):
    ns = lab.netns()
    probe = daemon("--journal", prefix=journal.inside)
    for _ in range(3):
        come_and_go(lab, ns)
        time.sleep(0.5)
    wait_for("events", lambda: len(probe.events()) >= 54, SOON_S)
    probe.end()
    wait_for("journald", lambda: len(journal.read()) >= len(probe.events()), SOON_S, 0.2)
    assert [json.loads(e["VIRTSCOPE_EVENT"]) for e in journal.read()] == probe.events()


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_names_forge_nothing_in_the_journal(lab, daemon, journal, kind):
    ns = lab.netns()
    probe = daemon("--journal", prefix=journal.inside)
    vm = lab.vm(ns, ["t0"], name=HOSTILE[kind] + (lab.tag if kind != "long" else ""))
    start = probe.event("vm.start", vm, SOON_S)
    def ours():
        return [e for e in journal.read() if e.get("VIRTSCOPE_VM_PID") == str(vm.pid)]
    entry = wait_for("the entry", ours, SOON_S, 0.2)[0][0]
    # Whole, newline and escapes and all: fields are bytes.
    assert entry["VIRTSCOPE_VM"] == start["vm"]["name"]
    assert (entry["VIRTSCOPE_TYPE"], entry["PRIORITY"]) == ("vm.start", "6")
    assert json.loads(entry["VIRTSCOPE_EVENT"]) == start
    # On a terminal one line, with nothing that steers it.
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", entry["MESSAGE"])
    shown = journal.text(f"VIRTSCOPE_VM_PID={vm.pid}", "VIRTSCOPE_TYPE=vm.start")
    assert shown.count("\n") == 1 and "blob data" not in shown and "\x1b" not in shown


def test_journald_that_stands_still_delays_nothing_and_has_everything_afterwards(lab, daemon, journal):
    ns = lab.netns()
    probe = daemon("--journal", prefix=journal.inside)
    journal.journald.send_signal(signal.SIGSTOP)
    come_and_go(lab, ns, 15, taps=32)   # 990 events, of which its socket takes 11 to 512
    vm = lab.vm(ns, ["other"])
    probe.event("vnic.attach", vm, SOON_S)
    begin = time.monotonic()
    status, _, err = run("report", "--json", "--duration", "0.5", "--control", probe.control)
    assert status == 0 and time.monotonic() - begin < 3, err
    assert len(journal.read()) < 600
    journal.journald.send_signal(signal.SIGCONT)
    wanted = len(probe.events())
    wait_for("all", lambda: len(journal.read()) >= wanted, 15, 0.2)
    probe.end()
    assert [int(e["VIRTSCOPE_SEQ"]) for e in journal.read()] == [e["seq"] for e in probe.events()]
    assert probe.events("sink.dropped") == []


def test_without_journald_events_are_counted_as_lost_until_it_is_there(lab, daemon, journal):
    ns = lab.netns()
    journal.stop()
    probe = daemon("--journal", prefix=journal.inside)
    come_and_go(lab, ns)
    [losing], _ = wait_for("sink.dropped", lambda: asked(probe, "--type", "sink.dropped"), SOON_S)
    assert losing["data"]["sink"] == "journal" and losing["data"]["count"] >= 1
    journal.start()
    come_and_go(lab, ns)
    wait_for("recovery", lambda: [e for e in probe.events("sink.dropped") if e["data"]["state"] == "recovered"], 15)
    probe.end()
    last = probe.events()[-1]["seq"]
    wait_for("journald", lambda: journal.read(f"VIRTSCOPE_SEQ={last}"), SOON_S, 0.2)
    recovered = [e for e in journal.read("VIRTSCOPE_TYPE=sink.dropped") if e["VIRTSCOPE_STATE"] == "recovered"]
    assert len(recovered) == 1 and recovered[0]["PRIORITY"] == "6"
    assert int(recovered[0]["VIRTSCOPE_COUNT"]) == len(probe.events()) - len(journal.read())
