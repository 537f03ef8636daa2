# SPDX-License-Identifier: GPL-2.0-or-later
"""vhost_drive tells the truth: its counts against the kernel's, its faults against their effect.

The probe has no part in these. What they show, other tests build on.
"""
import errno
import pathlib
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from vhost import calls, kernel_has, vhost_vm   # noqa: E402
from lab import Lab, wait_for   # noqa: E402

RING = 256          # descriptors, unless the tap's SPEC says otherwise
TAP_RING = 1000     # txqueuelen of a tap
VHOST_BATCH = 64    # vhost takes so many at once from the tap


@pytest.fixture
def lab(request, tmp_path):
    lab = Lab(request.node.nodeid, tmp_path)
    with lab.undo:
        yield lab


@pytest.mark.parametrize("event_idx", [1, 0])
def test_frames_sent_equal_what_the_tap_got(lab, event_idx):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, [f"t0,event_idx={event_idx}"])
    sent = vm.do("send", count=5000, size=222)
    tx = vm.stats("t0")["tx"]
    tap = ns.counters("t0")["tx"]
    assert (sent["sent"], sent["used"], sent["bytes"]) == (5000, 5000, 5000 * 222)
    assert tx["posted"] == tx["used"] == tx["packets"] == tap["packets"] == 5000
    assert tx["bytes"] == tap["bytes"] == 5000 * 222
    assert tx["outstanding"] == tx["errors"] == 0


@pytest.mark.parametrize("event_idx", [1, 0])
def test_frames_into_the_tap_are_received_in_full(lab, event_idx):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, [f"t0,event_idx={event_idx}"])
    gen = ns.send("t0", 5000, size=333, rate=10000)
    got = vm.do("receive", count=5000)
    rx = vm.stats("t0")["rx"]
    tap = ns.counters("t0")["rx"]
    assert gen["accepted"] == got["packets"] == got["stamped"] == rx["packets"] == tap["packets"] == 5000
    assert got["bytes"] == rx["bytes"] == tap["bytes"] == gen["bytes"]
    assert (rx["posted"], rx["used"], rx["outstanding"]) == (RING + 5000, 5000, RING)
    assert tap["dropped"] == 0


def test_a_frame_larger_than_a_buffer_is_one_packet(lab):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0,buffer=512"])
    ns.send("t0", 50, size=1400, rate=1000)
    got = vm.do("receive", count=50)
    assert (got["packets"], got["bytes"]) == (50, 50 * 1400)
    assert vm.stats("t0")["rx"]["used"] == 50 * 3


def test_it_sends_while_it_receives(lab):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0"])
    vm.do("send", rate=2000, count=4000, background=1)
    ns.send("t0", 4000, rate=2000)
    sent, got = vm.do("wait"), vm.do("receive", count=4000)
    tap = ns.counters("t0")
    assert sent["sent"] == sent["used"] == tap["tx"]["packets"] == 4000
    assert got["packets"] == tap["rx"]["packets"] == 4000
    # 2 a millisecond: the last two leave 1999 ticks after the first.
    assert sent["ns"] >= 1.99e9


def test_no_buffers_fill_the_ring_of_the_tap(lab):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0"])
    vm.do("post off")
    gen = ns.send("t0", RING + TAP_RING + 744, size=100)
    held = vm.settled("t0")["rx"]
    dropped = ns.counters("t0")["rx"]["dropped"]
    assert (held["packets"], held["outstanding"], held["posted"]) == (RING, 0, RING)
    assert 744 - VHOST_BATCH <= dropped <= 744
    vm.do("post on")
    got = vm.do("receive", count=gen["accepted"] - dropped)
    assert got["packets"] + dropped == gen["accepted"]
    assert ns.counters("t0")["rx"]["dropped"] == dropped


def test_without_kicks_nothing_leaves(lab):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0"])
    vm.do("kick off")
    vm.do("send", count=10, background=1)
    late = vm.do("wait", check=False, timeout_ms=300)
    assert not late["ok"] and late["errno"] == errno.ETIMEDOUT
    tx = vm.stats("t0")["tx"]
    assert (tx["posted"], tx["used"], tx["kicks"], tx["kicks_withheld"]) == (10, 0, 0, 1)
    assert ns.counters("t0")["tx"]["packets"] == 0
    vm.do("kick on")
    assert vm.do("wait")["used"] == ns.counters("t0")["tx"]["packets"] == 10
    assert vm.stats("t0")["tx"]["kicks"] == 1


@pytest.mark.parametrize("event_idx", [1, 0])
def test_suppressed_signals_do_not_come(lab, event_idx):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, [f"t0,event_idx={event_idx}"])
    # The device's very first signal is given whatever the driver wants.
    vm.do("send")
    ns.send("t0", 1)
    vm.do("receive", count=1)
    vm.settled("t0")
    vm.do("notify off")
    before = vm.settled("t0")
    assert vm.do("send", count=3000)["used"] == 3000
    ns.send("t0", 500, rate=2000)
    assert vm.do("receive", count=500)["packets"] == 500
    after = vm.settled("t0")
    assert after["tx"]["used"] - before["tx"]["used"] == 3000
    for side in ("rx", "tx"):
        assert after[side]["calls"] == before[side]["calls"]
    vm.do("notify on")
    vm.do("send", count=100)
    assert vm.settled("t0")["tx"]["calls"] > after["tx"]["calls"]


def test_a_stalled_driver_looks_at_nothing(lab):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0"])
    vm.begin("stall", ms=1000)
    ns.send("t0", 100)
    wait_for("vhost delivers", lambda: ns.counters("t0")["rx"]["packets"] == 100, 5)
    vm.result()
    got = vm.do("receive", count=100)
    assert got["packets"] == 100
    assert got["wait_us"]["min"] > 200_000


def test_kicks_and_signals_equal_those_in_the_kernel(lab):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0,queues=2", "t1,event_idx=0"])
    signal = "eventfd_signal" if kernel_has("eventfd_signal") else "eventfd_signal_mask"
    before = vm.do("stats")["queues"]
    kicked = calls(lab, "eventfd_write", [vm.pid])
    signalled = calls(lab, signal, [w.tid for w in vm.workers()])
    vm.do("send", tap="all", queue="all", count=2000, rate=5000, batch=1)
    vm.do("send", tap="all", queue="all", count=5000)
    ns.send("t0", 1000, rate=2000)
    ns.send("t1", 1000, rate=2000)
    vm.do("receive", count=2000)
    for tap, queue in (("t0", 0), ("t0", 1), ("t1", 0)):
        vm.settled(tap, queue)
    after = vm.do("stats")["queues"]

    def rise(key):
        return sum(a[side][key] - b[side][key] for a, b in zip(after, before) for side in ("rx", "tx"))
    assert rise("kicks") == kicked.count() > 0
    assert rise("calls") == signalled.count() > 0
    # Each publish was kicked for or spared one.
    tx = [q["tx"] for q in after]
    assert all(q["kicks"] + q["kicks_spared"] >= 2000 for q in tx)
    # A device at work needs no kick.
    assert any(q["kicks_spared"] for q in tx)


def test_each_queue_pair_carries_its_traffic(lab):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0,queues=2"])
    vm.do("send", queue=0, count=300)
    vm.do("send", queue=1, count=700)
    assert [vm.stats("t0", q)["tx"]["packets"] for q in (0, 1)] == [300, 700]
    assert ns.counters("t0")["tx"]["packets"] == 1000

    # The tap chooses a queue by flow.
    ns.ip("addr", "add", "192.0.2.1/24", "dev", "t0")
    ns.ip("neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:01", "dev", "t0")
    ns.exec("bash", "-c", "for port in {1001..1064}; do echo x > /dev/udp/192.0.2.2/$port; done")
    got = vm.do("receive", count=64)
    each = [q["packets"] for q in got["queues"]]
    assert sum(each) == got["packets"] == 64
    assert min(each) > 0, each


def test_each_queue_pair_has_a_worker(lab):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0", "t1,queues=2"])
    workers = vm.workers()
    assert len(workers) == 3
    assert len({w.kind for w in workers}) == 1
    vm.do("close", tap="t1")
    wait_for("workers end", lambda: len(vm.workers()) == 1, 5)
    assert vm.do("send", count=100)["used"] == ns.counters("t0")["tx"]["packets"] == 100


@pytest.mark.parametrize("kind", ["kthread", "task"])
def test_the_kind_of_worker_can_be_chosen_where_the_kernel_lets_one(lab, kind):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0"])
    default = {w.kind for w in vm.workers()}
    reply = vm.do("open", check=False, tap=f"t1,thread={kind}")
    if not reply["ok"]:
        # Older kernels refuse everything that is unknown to who does not own the device yet.
        assert reply["errno"] in (errno.ENOTTY, errno.EPERM), reply
        assert "VHOST_SET_FORK_FROM_OWNER" in reply["error"]
        assert len(vm.workers()) == 1
        return
    assert {w.kind for w in vm.workers()} == default | {kind}
    assert vm.do("send", tap="t1", count=100)["used"] == 100


def test_it_ends_with_its_input_and_leaves_nothing(lab):
    ns = lab.netns()
    vm = vhost_vm(lab, ns, ["t0"])
    vm.do("send", ms=60000, background=1)
    time.sleep(0.2)
    vm.process.stdin.close()
    assert vm.process.wait(5) == 0
    assert vm.workers() == []
    assert "t0" not in ns.ip("link")
