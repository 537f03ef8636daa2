# SPDX-License-Identifier: GPL-2.0-or-later
"""README's "Run it as a service", step by step, in an emulated machine: a minimal Debian 12 with its stock kernel and systemd.

One run of the machine, judged by the tests below.
"""
import json
import pathlib

import pytest

from machine import BUILD, ROOT, run
from readme import blocks

pytestmark = [pytest.mark.demo, pytest.mark.timeout(1500)]
BROKEN_BY_THE_EMULATOR = 75     # scripts/host-vm: says nothing about us
OUT = BUILD / "test" / "bare-machine"
GUESTS = {"demo-a", "demo-b"}


@pytest.fixture(scope="module")
def seen(deb):
    build, install, scrape, guests, look = blocks("Run it as a service")
    # Has been done, to the same end, out here, where the compilers are.
    assert build == "make deb\n"
    assert deb.exists()
    system = run([ROOT / "scripts" / "bare-system", "host", deb], 900)
    assert system.returncode == 0, system.stderr
    steps = BUILD / "package" / "steps"
    steps.mkdir(parents=True, exist_ok=True)
    for name, commands in (("install", install), ("scrape", scrape), ("guests", guests), ("look", look)):
        (steps / name).write_text(commands)
    for _ in range(2):
        run(["rm", "-rf", OUT])
        r = run([ROOT / "scripts" / "host-vm", "--timeout", 900, "--out", OUT, "--log", OUT.with_suffix(".console"),
                 "--system", system.stdout.strip(), "6.1", "--", "tests/package/bare-machine", steps], 1000, cwd=ROOT)
        print(r.stdout, r.stderr)
        if r.returncode != BROKEN_BY_THE_EMULATOR:
            break
    assert r.returncode == 0, r.stdout + r.stderr
    return OUT


def vms_of(path):
    answer = json.loads(path.read_text())
    assert answer["status"] == "success"
    return {r["metric"]["vm"] for r in answer["data"]["result"] if float(r["value"][1]) > 0}


def test_unit_is_active_in_two_processes_of_two_users(seen):
    unit = dict(line.split("=", 1) for line in (seen / "unit").read_text().splitlines())
    assert (unit["ActiveState"], unit["SubState"]) == ("active", "running")
    assert unit["StatusText"].startswith("watching ")
    processes = {tuple(line.split()) for line in (seen / "processes").read_text().splitlines()}
    assert {("virtscope", "virtscope"), ("root", "virtscope-probe")} <= processes


def test_prometheus_has_the_histograms_of_both_guests(seen):
    assert vms_of(seen / "residence.json") >= GUESTS
    assert vms_of(seen / "disk.json") >= GUESTS
    up = json.loads((seen / "up.json").read_text())["data"]["result"]
    assert [r["value"][1] for r in up] == ["1"]


def test_journal_and_file_have_the_start_of_both_guests(seen):
    for name in ("journal.jsonl", "events.jsonl"):
        entries = [json.loads(line) for line in (seen / name).read_text().splitlines()]
        if name == "journal.jsonl":
            started = {e.get("VIRTSCOPE_VM") for e in entries if e.get("VIRTSCOPE_TYPE") == "vm.start"}
        else:
            started = {e["vm"]["name"] for e in entries if e["type"] == "vm.start"}
        assert started >= GUESTS, name


def test_daemon_in_its_sandbox_measures_what_needs_privileges(seen):
    report = json.loads((seen / "report.json").read_text())
    assert report["running_as"] == "daemon"
    vms = {vm["name"]: vm for vm in report["vms"]}
    for name in GUESTS:
        # The taps are in a network namespace: without setns() these are null.
        assert vms[name]["vnics"][0]["rx"]["packets"] > 0
        assert vms[name]["cpu"]["utilization_ratio"] is not None
        assert vms[name]["disks"]


def test_look_of_readme_shows_both_guests(seen):
    text = (seen / "look.log").read_text()
    for name in GUESTS:
        assert f'vm="{name}"' in text
        assert f'"vm":"{name}"' in text
    assert pathlib.Path(seen / "install.log").read_text().count("active")
