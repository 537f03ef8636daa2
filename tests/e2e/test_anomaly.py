# SPDX-License-Identifier: GPL-2.0-or-later
"""A VM that behaves unlike itself is told, and told again when that is over. What is usual is learnt from scratch here."""
import calendar
import contextlib
import subprocess
import time

import pytest

from lab import HARNESS, wait_for

CONFIG = """
detect:
  warmup_s: 5
  threshold: 4          # a busy test host makes what is usual wide
  hold_off_s: 0
"""
LEARNT_S = 22       # the warm-up, 11 values, and the first seconds of a VM
OVER, OF, BELOW = 5, 8, 10      # user/detect/stretch.h, in values of a second


@pytest.fixture
def learner(daemon, scratch):
    path = scratch / "virtscope.yaml"
    path.write_text(CONFIG)
    return daemon("--config", path)


@contextlib.contextmanager
def traffic(ns, tap, rate, seconds=120, size=100):
    """Frames at a steady rate towards a guest, until the end of the block."""
    sender = subprocess.Popen(["ip", "netns", "exec", ns.name, HARNESS / "packet_gen", "--dev", tap, "--count",
                               str(rate * seconds), "--size", str(size), "--rate", str(rate)],
                              stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        sender.kill()
        sender.wait()


def anomalies(probe, vm, series, state):
    return [e for e in probe.events("anomaly", vm)
            if e["data"]["series"] == series and e["data"]["state"] == state]


def test_a_reader_that_stalls_is_told_at_start_and_stop_and_one_that_does_not_is_not(lab, learner):
    ns = lab.netns()
    sick, well = lab.vm(ns, ["t0"]), lab.vm(ns, ["t1"])
    learner.event("vnic.attach", well, 4.0)
    for vm in (sick, well):
        vm.do("drain", on=1)
    with traffic(ns, "t0", 400), traffic(ns, "t1", 400):
        time.sleep(LEARNT_S)
        assert not learner.events("anomaly")
        # Reads a tenth of the time from here on, then, as the last act of the command, all the time again.
        begin = time.time()
        sick.begin("bursty", ms=20_000, stall_ms=900, period_ms=1000)
        start, took = wait_for("start", lambda: anomalies(learner, sick, "residence", "start"), OF + 10)
        assert took >= OVER - 1
        stop, _ = wait_for("stop", lambda: anomalies(learner, sick, "residence", "stop"), 20 + BELOW + 30)
    truth = sick.result()

    [start], [stop] = start, stop
    assert start["severity"] == "warning" and stop["severity"] == "info"
    data = start["data"]
    assert (data["vnic"], data["direction"], data["disk"], data["op"]) == ("t0", "rx", None, None)
    # The mean over a second of waits up to 900 ms, and what the reader itself saw at most.
    assert 0.1 < data["value"] < truth["wait_us"]["max"] / 1e6
    assert data["expected"] < data["value"] / 3
    assert data["deviation"] > 4 and data["peak"] >= data["value"]
    since = time.strptime(data["since"].split(".")[0], "%Y-%m-%dT%H:%M:%S")
    assert abs(calendar.timegm(since) - begin) < 4
    assert stop["data"]["cause"] == "calm" and stop["data"]["since"] == data["since"]
    assert 20 <= stop["data"]["duration_s"] < 60
    assert not anomalies(learner, well, "residence", "start")


def test_a_guest_that_is_flooded_is_told_as_a_jump_of_throughput(lab, learner):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0"])
    learner.event("vnic.attach", vm, 4.0)
    vm.do("drain", on=1)
    time.sleep(65)      # 11 values of 5 s each
    with traffic(ns, "t0", 20_000, size=1400):
        [start], _ = wait_for("start", lambda: anomalies(learner, vm, "throughput", "start"), OF * 5 + 5)
    data = start["data"]
    assert (data["vnic"], data["direction"], data["unit"]) == ("t0", "rx", "B/s")
    assert data["expected"] < 10_000
    assert data["value"] > 5e6 and data["deviation"] > 6
    assert not anomalies(learner, vm, "throughput", "stop")
