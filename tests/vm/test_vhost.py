# SPDX-License-Identifier: GPL-2.0-or-later
"""What virtscope says of vhost workers, against what the driver at the other end counted.

Under emulation times are slow and noisy: counts are exact here, times are
compared with each other only.
"""
import os
import pathlib
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from vhost import attached, queue, vhost_vm   # noqa: E402
from probe import map_entries, rows   # noqa: E402

FORMS = {"fentry": [], "kprobe": ["--deny-hook", "fentry"]}
TRACEPOINTS = ["--deny-hook", "fentry", "--deny-hook", "kprobe"]


@pytest.fixture(params=FORMS, ids=str)
def form(request):
    return FORMS[request.param]


def grown(after, before):
    return {d: {k: after[d][k] - before[d][k] for k in after[d]} for d in ("rx", "tx")}


def quiet(report):
    """Nothing of vhost was lost."""
    lost = {k: v for k, v in report["self"]["lost"].items() if k.startswith("vhost_") and v}
    assert not lost, lost


def test_packets_kicks_and_interrupts_equal_the_drivers(lab, look, form):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0"])
    probe = look(*form)
    before = vm.settled("t0")
    # The ring is mostly idle between these, so most of them are kicks.
    vm.do("send", count=200, rate=200, batch=1)
    vm.do("send", count=5000, size=300)
    ns.send("t0", 1500, rate=1500)
    vm.do("receive", count=1500)
    was = grown(vm.settled("t0"), before)
    report = probe.finish()
    tx, rx = queue(report, vm, "t0", "tx"), queue(report, vm, "t0", "rx")
    assert report["probes"]["vhost.worker"]["state"] == ("fallback" if form else "active")
    assert tx["buffers"] == was["tx"]["packets"] == 5200
    assert rx["buffers"] == was["rx"]["packets"] >= 1500
    assert tx["kick_delay_us"]["count"] == was["tx"]["kicks"] > 20
    assert rx["wake_delay_us"]["count"] + rx["requeued"] + rx["kick_delay_us"]["count"] == rx["runs"]
    assert tx["signals"]["sent"] == was["tx"]["calls"]
    assert rx["signals"]["sent"] == was["rx"]["calls"]
    assert [tx["tid"]] == [rx["tid"]] == [w.tid for w in vm.workers()]
    assert sum(n for _, _, n in tx["buffers_per_run"]["buckets"]) == tx["runs"]
    assert 0 < tx["busy_ratio"] < 1 and 0 < rx["busy_ratio"] < 1
    assert report.vnic(vm, "t0")["tx"]["packets"] == 5200
    quiet(report)


def test_interrupts_that_the_guest_does_not_want_are_suppressed_not_sent(lab, look):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0,event_idx=0"])
    probe = look()
    before = vm.settled("t0")
    vm.do("notify off", which="tx", look_us=2000)
    vm.do("send", count=3000)
    was = grown(vm.settled("t0"), before)
    signals = queue(probe.finish(), vm, "t0", "tx")["signals"]
    assert signals["sent"] == was["tx"]["calls"] == 0
    assert signals["suppressed"] > 0


def test_each_queue_pair_has_its_own_figures(lab, look):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0,queues=2"])
    probe = look()
    vm.do("send", count=700, queue=0)
    vm.do("send", count=300, queue=1)
    report = probe.finish()
    assert queue(report, vm, "t0", "tx", 0)["buffers"] == 700
    assert queue(report, vm, "t0", "tx", 1)["buffers"] == 300
    tids = {q["tid"] for q in report.vnic(vm, "t0")["vhost"]}
    assert tids == {w.tid for w in vm.workers()} and len(tids) == 2


@pytest.mark.parametrize("kind", ["kthread", "task"])
def test_a_worker_is_known_whatever_it_is(lab, look, kind):
    ns = lab.netns()
    try:
        vm = vhost_vm(lab, ns, [f"t0,thread={kind}"])
    except AssertionError:
        if kind == "task":
            pytest.skip("before 6.4 vhost workers are kernel threads")
        vm = vhost_vm(lab, ns, ["t0"])   # not to be chosen here: it is one anyway
    [worker] = vm.workers()
    if worker.kind != kind:
        pytest.skip("this kernel makes no such worker")
    probe = look()
    vm.do("send", count=500)
    ns.send("t0", 500, rate=1000)
    vm.do("receive", count=500)
    report = probe.finish()
    assert queue(report, vm, "t0", "tx")["buffers"] == 500
    assert {q["tid"] for q in report.vnic(vm, "t0")["vhost"]} == {worker.tid}
    threads = {t["tid"]: t["role"] for t in report.vm(vm)["cpu"]["threads"]}
    assert threads[worker.tid] == "worker"


def test_a_driver_that_posts_no_buffers_is_named_as_that(lab, look, form):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0"])
    probe = look(*form)
    vm.do("post off")
    begin = time.monotonic()
    ns.send("t0", 2500, size=100)   # more than its buffers and the tap's ring hold
    time.sleep(2)
    vm.do("post on")
    held_us = (time.monotonic() - begin) * 1e6
    vm.do("receive", idle_ms=500)
    report = probe.finish()
    waits = queue(report, vm, "t0", "rx")["waits"]
    assert waits["mostly"] == "guest_buffers"
    assert 2e6 <= waits["guest_buffers_us"] <= held_us * 1.1
    assert waits["guest_buffers_us"] > 5 * waits["cpu_us"]
    vnic = report.vnic(vm, "t0")
    assert rows(vnic, "rx", reason="FULL_RING") == ns.counters("t0")["rx"]["dropped"] > 0


def test_a_driver_that_still_posts_no_buffers_is_seen_waiting(lab, look):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0"])
    vm.do("post off")
    probe = look()
    ns.send("t0", 600, rate=6000)
    time.sleep(1)
    waits = queue(probe.finish(), vm, "t0", "rx")["waits"]
    assert waits["mostly"] == "guest_buffers" and waits["guest_buffers_us"] >= 1e6


def hog(lab, cpu):
    """Burns a CPU at real-time priority: what wakes there is not put first, and gets 5 %."""
    process = subprocess.Popen(["taskset", "-c", str(cpu), "chrt", "-r", "1", "/bin/sh", "-c", "while :; do :; done"])
    lab.undo.callback(lambda: (process.kill(), process.wait()))
    return process


def test_a_worker_without_a_cpu_is_named_as_that_and_disks_stay_as_they_were(lab, look):
    ns = lab.netns()
    disk = lab.disk(mib=16)
    vm = vhost_vm(lab, ns, ["t0"])
    other = lab.vm(disks=[disk])
    os.sched_setaffinity(vm.pid, {0})
    os.sched_setaffinity(other.pid, {0})
    worker = vm.workers()[0].tid
    os.sched_setaffinity(worker, {1})

    def measure(meanwhile=lambda: None):
        probe = look()
        bully = meanwhile()
        vm.do("send", count=300, rate=100, batch=1)
        other.do("disk", op="read", count=50, size=4096)
        if bully:
            bully.kill()    # the probe needs that CPU to take its leave
        return probe.finish()

    calm = measure()
    busy = measure(lambda: hog(lab, 1))
    was, now = (queue(r, vm, "t0", "tx") for r in (calm, busy))
    assert now["waits"]["mostly"] == "cpu"
    assert now["waits"]["cpu_us"] > 5 * was["waits"]["cpu_us"]
    assert now["run_delay_us"]["sum"] > 5 * was["run_delay_us"]["sum"]
    assert now["kick_delay_us"]["p99"] > 2 * was["kick_delay_us"]["p99"]
    # What the scheduler says of the same worker, over its life, holds it all.
    life_ns = int(pathlib.Path(f"/proc/{worker}/schedstat").read_text().split()[1])
    assert now["waits"]["cpu_us"] * 1000 <= now["run_delay_us"]["sum"] * 1000 <= life_ns
    reads = [r.ops(other, disk.name, "read") for r in (calm, busy)]
    assert [r["count"] for r in reads] == [50, 50]
    assert reads[1]["total_us"]["p50"] < 5 * reads[0]["total_us"]["p50"]


def test_a_worker_busy_with_another_queue_is_named_as_that(lab, look):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0,ring=1024"])
    probe = look()
    vm.do("send", count=150000, size=1400, background=1)
    ns.send("t0", 1500, rate=500)
    vm.do("stop")
    vm.do("receive", idle_ms=500)
    rx = queue(probe.finish(), vm, "t0", "rx")
    waits = rx["waits"]
    assert waits["sibling_us"] > waits["guest_buffers_us"]
    assert 0 < waits["sibling_us"] <= (rx["wake_delay_us"]["sum"] + rx["kick_delay_us"]["sum"]) * 1.001


def test_waits_add_up_to_the_delays(lab, look):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0"])
    probe = look()
    vm.do("send", count=20000, background=1)
    ns.send("t0", 2000, rate=2000)
    vm.do("wait")
    report = probe.finish()
    for direction in ("rx", "tx"):
        q = queue(report, vm, "t0", direction)
        parts = sum(q["waits"][k] for k in ("cpu_us", "sibling_us", "other_us"))
        assert parts == pytest.approx(q["kick_delay_us"]["sum"] + q["wake_delay_us"]["sum"], rel=1e-6, abs=1)


def test_by_tracepoints_a_worker_shows_its_packets_and_its_wait_for_a_cpu(lab, look):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0"])
    probe = look(*TRACEPOINTS)
    before = vm.settled("t0")
    vm.do("send", count=3000)
    ns.send("t0", 1000, rate=2000)
    vm.do("receive", count=1000)
    was = grown(vm.settled("t0"), before)
    report = probe.finish()
    assert report["probes"]["vhost.worker"]["state"] == "fallback"
    [w] = report.vnic(vm, "t0")["vhost"]
    assert [w["tid"]] == [x.tid for x in vm.workers()]
    assert w["buffers"] == was["rx"]["packets"] + was["tx"]["packets"]
    assert (w["queue"], w["direction"], w["kick_delay_us"], w["ring_depth"]) == (None,) * 4
    assert w["wake_delay_us"]["count"] > 0 and w["busy_ratio"] > 0
    quiet(report)


def test_destroyed_under_load_it_is_told_of_and_leaves_no_rows(lab, daemon, look):
    virtscope = daemon()
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0"])
    virtscope.event("vnic.attach", vm, timeout_s=10)
    attached(virtscope)
    ask = look("--control", virtscope.control, standalone=False)
    vm.do("send", ms=20000, background=1)
    time.sleep(1)
    vm.process.kill()
    virtscope.event("vm.stop", vm, timeout_s=10)
    report = ask.finish()
    row = report.vm(vm)
    assert row["running"] is False
    assert queue(report, vm, "t0", "tx")["buffers"] > 0

    def left():
        return [n for (name, _), n in map_entries(virtscope.pid).items() if name == "vs_virtq" and n]
    ask = look("--control", virtscope.control, standalone=False)
    assert all(v["pid"] != vm.pid for v in ask.finish()["vms"])
    assert not left()
