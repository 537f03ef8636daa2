# SPDX-License-Identifier: GPL-2.0-or-later
"""A vhost worker that shares its CPU with somebody who has no consideration."""
import os
import shutil
import subprocess

import pytest

from lab import backing_disk

FIRST, PACKETS, READS = 5, 150, 100


@pytest.fixture
def hog(lab):
    """hog(cpu) burns a CPU at real-time priority: what has slept and wakes there is not put first, and gets 5 %."""
    def start(cpu):
        program = lab.scratch / "vst-hog"
        shutil.copy("/bin/sh", program)
        process = subprocess.Popen([program, "-c", "while :; do :; done"])
        lab.undo.callback(lambda: (process.kill(), process.wait()))
        # Only now, so that it is known by this name from its first turn on that CPU.
        os.sched_setscheduler(process.pid, os.SCHED_RR, os.sched_param(1))
        os.sched_setaffinity(process.pid, {cpu})
        return process
    return start


@pytest.fixture
def pinned_worker(shared_guest, lab):
    """The worker alone on CPU 1, all of QEMU on CPU 0."""
    everywhere = os.sched_getaffinity(0)
    [worker] = shared_guest.vhost_tids()

    def pin(tids, cpus):
        for tid in tids:
            os.sched_setaffinity(tid, cpus)
    pin(shared_guest.threads(), {0})
    pin([worker], {1})
    yield worker
    pin([*shared_guest.threads(), worker], everywhere)


def test_a_hog_on_the_workers_cpu_is_named_and_disks_stay_as_they_were(shared_guest, pinned_worker, hog, look):
    tap, disk = shared_guest.taps[0], backing_disk(shared_guest.images[0])

    def measure(*options, bully=lambda: None):
        # The probe takes its places while there is still a CPU for it.
        one = look(*options, duration_s=60)
        # A worker's first wait has nothing to be compared with, so it is nobody's: not the hog's either.
        assert shared_guest.send(FIRST, delay_ns=10_000_000) == FIRST
        process = bully()
        # So slow that the worker sleeps in between: each packet is a kick.
        assert shared_guest.send(PACKETS, delay_ns=10_000_000) == PACKETS
        shared_guest.read(READS)
        if process:
            process.kill()
        report = one.finish()
        [tx] = [q for q in report.vnic(shared_guest, tap)["vhost"] if q["direction"] == "tx"]
        return report, tx, report.ops(shared_guest, disk, "read"), process

    _, was, read_was, _ = measure()
    report, now, read_now, bully = measure("--deep", bully=lambda: hog(1))
    print(was, now, read_was, read_now)
    assert (was["tid"], was["buffers"], now["tid"], now["buffers"]) == (pinned_worker, FIRST + PACKETS) * 2
    # The run queue's delay rises, and with it what the guest sees: from its kick to the worker's work.
    assert now["run_delay_us"]["sum"] > 5 * was["run_delay_us"]["sum"]
    assert now["waits"]["mostly"] == "cpu" and now["waits"]["cpu_us"] > 5 * was["waits"]["cpu_us"]
    assert now["kick_delay_us"]["p99"] > 2 * was["kick_delay_us"]["p99"]
    # Who had its CPU meanwhile.
    [row] = [t for t in report["deep"]["threads"] if t["tid"] == pinned_worker]
    print(row)
    assert (row["vm"], row["role"]) == (shared_guest.name, "worker")
    worst = row["ran_instead"][0]
    assert (worst["comm"], worst["pid"], worst["vm"]) == ("vst-hog", bully.pid, None)
    assert worst["share"] > 0.5 and worst["share"] == max(r["share"] for r in row["ran_instead"])
    # Its disk knows nothing of it.
    assert read_was["count"] == read_now["count"] == READS
    # Nearly: an emulated machine with one CPU more at work is slower in all it does.
    read_rose = read_now["total_us"]["p50"] / read_was["total_us"]["p50"]
    assert read_rose < 8 and read_rose < now["run_delay_us"]["sum"] / was["run_delay_us"]["sum"]
