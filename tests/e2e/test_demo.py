# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/demo with its real guests: what it reports, and that it leaves no trace."""
import json
import os
import signal
import subprocess
import time

import pytest

from lab import ROOT, sh
from probe import validate

pytestmark = pytest.mark.demo

DEMO_S = 600    # under emulation, on a busy machine; the demo itself aims at two minutes


def host_state():
    """What a demo could leave behind."""
    qemus = [p for p in os.listdir("/proc") if p.isdigit() and is_qemu(p)]
    return {
        "links": sorted(row["ifname"] for row in json.loads(sh("ip", "-j", "link"))),
        "netns": sorted(line.split()[0] for line in sh("ip", "netns", "list").splitlines()),
        "loops": sorted(line.split(":")[0] for line in sh("losetup", "-a").splitlines()),
        "qemus": sorted(qemus),
        "mounts": sorted(line.split()[4] for line in open("/proc/self/mountinfo")),
    }


def is_qemu(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return b"qemu-system" in f.read().split(b"\0")[0]
    except OSError:
        return False


def start(*args):
    return subprocess.Popen([ROOT / "scripts" / "demo", *map(str, args)], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, start_new_session=True)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """One run of the demo: its report, its output, the host before and after."""
    path = tmp_path_factory.mktemp("demo") / "report.json"
    before = host_state()
    process = start("--json", path)
    try:
        out, _ = process.communicate(timeout=DEMO_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)
    assert process.returncode == 0, out
    return {"report": json.loads(path.read_text()), "out": out, "before": before, "after": host_state()}


def guests(demo):
    validate(demo["report"], "report")
    found = [vm for vm in demo["report"]["vms"] if vm["vnics"]]
    assert len(found) >= 2
    return found


def test_the_demo_shows_traffic_residence_and_disk_of_each_guest(demo):
    for vm in guests(demo):
        rx = sum(n["rx"]["packets"] for n in vm["vnics"])
        tx = sum(n["tx"]["packets"] for n in vm["vnics"])
        samples = sum(n["rx"]["residence_us"]["samples"] for n in vm["vnics"])
        assert rx > 0 and tx > 0 and samples > 0, vm["name"]
        ops = [op for d in vm["disks"] for op in d["ops"].values() if op["count"]]
        assert ops, vm["name"]
        assert all(op["total_us"]["p50"] > 0 and op["total_us"]["p99"] > 0 for op in ops), vm["name"]


def test_the_demos_full_ring_is_reported_as_such(demo):
    full = {vm["name"]: sum(d["count"] for n in vm["vnics"] for d in n["rx"]["drops"]
                            if d["reason"] == "FULL_RING" and d["site"] == "tap") for vm in guests(demo)}
    assert any(full.values()), full
    for vm in guests(demo):
        for vnic in vm["vnics"]:
            assert vnic["rx"]["unexplained"] == 0


def test_the_demos_slow_disk_is_the_right_one(demo):
    """The throttled guest's p99 or max stands out on its loop device."""
    worst = {}
    for vm in guests(demo):
        for disk in vm["disks"]:
            if disk["kind"] == "loop":
                for op in disk["ops"].values():
                    if op["count"]:
                        worst[disk["device"], vm["name"]] = max(worst.get((disk["device"], vm["name"]), 0),
                                                               op["total_us"]["max"])
    assert worst
    slow = max(worst, key=worst.get)
    assert worst[slow] > 20_000, worst
    assert slow[0] in demo["out"] and slow[1] in demo["out"]


def test_the_demo_leaves_the_host_as_it_was(demo):
    assert demo["after"] == demo["before"]


@pytest.mark.parametrize("after_s", [3, 25])
def test_an_interrupted_demo_leaves_the_host_as_it_was(after_s):
    before = host_state()
    process = start()
    time.sleep(after_s)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode != 0 or after_s > 20, out
    assert host_state() == before, out
