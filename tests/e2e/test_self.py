# SPDX-License-Identifier: GPL-2.0-or-later
"""What virtscope says of itself, against others' counts; and VMs that do not exist."""
import json
import shutil
import signal
import time

import pytest

from lab import sh
from probe import READY, VIRTSCOPE, Look, Report, map_entries, run, validate

NOT_ROOT = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def report(probe, seconds, meanwhile=lambda: None):
    look = Look("--control", probe.control, duration_s=seconds, standalone=False)
    try:
        look.ready()
        meanwhile()
        assert look.wait(seconds + 20) == 0, look.stderr
    finally:
        look.end()
    got = Report(json.loads(look.stdout))
    validate(got, "report")
    return got


def test_entries_of_maps_are_those_that_bpftool_counts(lab, daemon):
    probe = daemon()
    ns = lab.netns()
    vms = [lab.vm(ns, [f"t{i}"]) for i in range(3)]
    for vm in vms:
        probe.event("vnic.attach", vm, timeout_s=10)
    ns.send("t0", 1500)     # more than the ring holds: a row of drops
    def count():
        entries = {name: n for (name, _), n in map_entries(probe.probe_pid).items()}
        return {name: entries[name] for name in ("vs_task", "vs_vnic_id", "vs_drop")}

    # Other VMs of this host may come and go: what counts is a look while none did.
    for _ in range(20):
        before = count()
        maps = report(probe, 0.05)["self"]["maps"]
        if count() == before:
            break
    else:
        pytest.skip("VMs of others come and go all the time")
    assert {name: maps[name]["used"] for name in before} == before
    assert before["vs_task"] >= 3 and before["vs_vnic_id"] >= 3 and before["vs_drop"] >= 1
    assert maps["vs_vnic"]["used"] == maps["vs_vnic_id"]["used"]
    for shown in json.loads(sh("bpftool", "-j", "map", "show")):
        if shown.get("name") in ("vs_vnic", "vs_rq", "vs_inflight"):
            assert maps[shown["name"]]["max"] == shown["max_entries"]
            assert maps[shown["name"]]["bytes"] == shown["bytes_memlock"]


def test_a_daemon_that_is_held_up_says_so_of_its_ticks(daemon):
    probe = daemon()
    ticks = report(probe, 4)["self"]["ticks"]
    assert 3 <= ticks["count"] <= 5 and ticks["count"] == ticks["took_us"]["count"] == ticks["late_us"]["count"]

    def hold_up():
        probe.signal(signal.SIGSTOP)
        time.sleep(3.5)
        probe.signal(signal.SIGCONT)
    held = report(probe, 6, hold_up)["self"]["ticks"]
    assert held["missed"] >= 2
    assert held["late_us"]["max"] >= 2.2e6      # 3.5 s, less up to one until the tick was due, less a bucket


def test_events_written_are_the_lines_of_the_file(lab, daemon):
    probe = daemon()
    before = []

    def happen():
        before.extend(probe.events())
        vm = lab.vm(lab.netns(), ["t0"])
        probe.event("vnic.attach", vm, timeout_s=10)
    got = report(probe, 5, happen)["self"]["events"]["file"]
    lines = len(probe.events()) - len(before)
    assert got["lost"] == 0
    assert 2 <= got["written"] <= lines     # as of the last look; more may have come since


def test_synthetic_vms_need_no_root_and_cannot_be_taken_for_real(scratch):
    binary = scratch / "virtscope"
    shutil.copy(VIRTSCOPE, binary)
    binary.chmod(0o755)
    argv = ["report", "--synthetic", "7,42", "--duration", "0.2"]
    text = sh(*NOT_ROOT, binary, *argv)
    assert text.splitlines()[1].startswith("SYNTHETIC")
    status, out, err = run(*argv, "--json")
    got = json.loads(out)
    validate(got, "report")
    assert status == 0 and got["source"] == "synthetic" and len(got["vms"]) == 7
    assert "SYNTHETIC" in err.splitlines()[0] and READY in err
    again = json.loads(run(*argv, "--json")[1])
    assert [v["uuid"] for v in again["vms"]] == [v["uuid"] for v in got["vms"]]


def test_a_daemon_of_synthetic_vms_answers_as_any_other(daemon):
    probe = daemon("--synthetic", "9")
    got = report(probe, 2)
    assert got["source"] == "synthetic" and got["running_as"] == "daemon" and len(got["vms"]) == 9
    assert sum(n["rx"]["packets"] for v in got["vms"] for n in v["vnics"]) > 1000
    assert len(probe.events("vm.start")) == 9
    probe.end()     # then a report measures for itself
    assert report(probe, 0.2)["source"] == "live"
