# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets and drops: against the generator, the reader, ip and tc.

Each drop test shows first, by a count that is not the probe's, that something
was dropped; then that the probe says the same and names the cause.
"""
import time

import pytest

from probe import rows

RING = 1000     # txqueuelen of a tap


def assert_explained(vnic, direction, kernel_dropped):
    """Every drop that the kernel counted has a reason, and no other."""
    side = vnic[direction]
    assert side["kernel_dropped"] == kernel_dropped
    assert side["unexplained"] == 0, side
    assert side["drops_total"] == rows(vnic, direction, **{"class": "loss"})


def test_packets_and_bytes_equal_what_was_sent_and_read(lab, look, hooks):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0"])
    measure = look(*hooks)
    sent = ns.send("t0", 700, size=333)
    got = vm.do("read")
    guest = vm.do("send", count=450, size=222)
    vnic = measure.finish().vnic(vm, "t0")

    assert sent["accepted"] == got["packets"] == got["stamped"] == 700
    assert (vnic["rx"]["packets"], vnic["rx"]["bytes"]) == (got["packets"], got["bytes"]) == (700, sent["bytes"])
    assert (vnic["tx"]["packets"], vnic["tx"]["bytes"]) == (guest["sent"], guest["bytes"])
    assert vnic["rx"]["drops_total"] == vnic["rx"]["kernel_dropped"] == vnic["rx"]["unexplained"] == 0


def test_a_virtio_net_header_is_not_counted_as_bytes(lab, look):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0,vnet_hdr"])
    measure = look()
    sent = ns.send("t0", 100, size=77)
    got = vm.do("read")
    vnic = measure.finish().vnic(vm, "t0")
    assert vnic["rx"]["bytes"] == ns.counters("t0")["rx"]["bytes"] == got["bytes"] == sent["bytes"]


def test_ring_overflow_counts_equal_tx_dropped(lab, look, hooks):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0"])
    measure = look(*hooks)
    sent = ns.send("t0", RING + 500, size=200)
    got = vm.do("read")
    dropped = ns.counters("t0")["rx"]["dropped"]
    vnic = measure.finish().vnic(vm, "t0")

    assert dropped == sent["accepted"] - got["packets"] == 500
    assert_explained(vnic, "rx", dropped)
    assert rows(vnic, "rx", site="tap", reason="FULL_RING", location="tun_net_xmit", **{"class": "loss"}) == dropped
    assert vnic["rx"]["drops_total"] == dropped


def test_every_transmitted_packet_is_read_dropped_or_purged(lab, look, hooks):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0,persist", "t1"])
    measure = look(*hooks)
    sent = ns.send("t0", RING + 400)
    got = vm.do("read", count=300)
    kernel = ns.counters("t0")
    in_ring = sent["accepted"] - got["packets"] - kernel["rx"]["dropped"]
    vm.do("close", tap="t0")
    vnic = measure.finish().vnic(vm, "t0")

    assert in_ring == RING - 300
    purged = rows(vnic, "rx", **{"class": "teardown"})
    assert purged == in_ring
    assert sent["accepted"] == vnic["rx"]["packets"] + vnic["rx"]["drops_total"] + purged


def test_the_purge_of_a_full_ring_is_teardown_not_loss(lab, look, hooks):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0,persist", "t1"])
    measure = look(*hooks)
    sent = ns.send("t0", RING)
    before = ns.counters("t0")["rx"]
    vm.do("close", tap="t0")
    after = ns.counters("t0")["rx"]
    vnic = measure.finish().vnic(vm, "t0")

    # Accepted by the tap, never read: gone, and in no counter of the kernel's.
    assert sent["accepted"] == RING and before["packets"] == after["packets"] == 0
    assert after["dropped"] == 0
    assert rows(vnic, "rx", **{"class": "teardown"}) == RING
    assert vnic["rx"]["drops_total"] == 0
    assert_explained(vnic, "rx", 0)


@pytest.mark.parametrize("kind,reason", [
    ("socket", "SOCKET_FILTER"), ("ebpf", "TAP_FILTER"), ("mac", "TAP_TXFILTER"),
])
def test_a_tap_filter_is_named_as_such(lab, look, hooks, kind, reason):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0"])
    vm.do("filter", kind=kind)
    measure = look(*hooks)
    sent = ns.send("t0", 120)
    got = vm.do("read", idle_ms=50)
    dropped = ns.counters("t0")["rx"]["dropped"]
    vnic = measure.finish().vnic(vm, "t0")

    assert got["packets"] == 0 and dropped == sent["tried"] == 120
    assert_explained(vnic, "rx", dropped)
    assert rows(vnic, "rx", site="tap", reason=reason) == dropped


def test_a_tap_without_a_reader_is_explained(lab, look, hooks):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0,persist", "t1"])
    measure = look(*hooks)
    vm.do("close", tap="t0")
    # First the driver refuses; once the link watch has put the noop qdisc in
    # place, that does. Newer kernels count both in tx_dropped, older ones the
    # driver's only; the sender was refused all.
    sent = ns.send("t0", 60)["tried"]
    time.sleep(1.2)
    sent += ns.send("t0", 70)["tried"]
    counted = ns.counters("t0")["rx"]["dropped"]
    vnic = measure.finish().vnic(vm, "t0")

    by_driver, by_noop = (rows(vnic, "rx", reason=r) for r in ("DEV_READY", "QDISC_DROP"))
    assert sent == vnic["rx"]["drops_total"] == by_driver + by_noop == 130
    assert counted in (sent, by_driver)
    assert (vnic["rx"]["kernel_dropped"], vnic["rx"]["unexplained"]) == (counted, 0)


def test_a_tap_with_its_queues_detached_is_explained(lab, look, hooks):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0,queues=2"])
    vm.do("detach", tap="t0")
    measure = look(*hooks)
    ns.send("t0", 90)
    dropped = ns.counters("t0")["rx"]["dropped"]
    vnic = measure.finish().vnic(vm, "t0")

    assert dropped == 90
    assert_explained(vnic, "rx", dropped)
    assert rows(vnic, "rx", site="tap", reason="DEV_READY") == dropped


def test_a_shaping_qdisc_drops_at_site_qdisc(lab, look, hooks):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0"])
    ns.tc("qdisc", "add", "dev", "t0", "root", "tbf", "rate", "1mbit", "burst", "2000", "limit", "5000")
    measure = look(*hooks)
    vm.do("drain", on=1)
    sent = ns.send("t0", 300, size=500)
    # What tbf kept leaves within 5000 bytes / 1 Mbit/s = 40 ms.
    time.sleep(0.3)
    got = vm.do("drain", on=0)
    kernel, qdisc = ns.counters("t0"), ns.qdisc("t0")
    vnic = measure.finish().vnic(vm, "t0")

    assert qdisc["drops"] == sent["enobufs"] == 300 - got["packets"] > 200
    assert kernel["rx"]["dropped"] == 0
    assert_explained(vnic, "rx", 0)
    assert rows(vnic, "rx", site="qdisc", **{"class": "loss"}) == qdisc["drops"] == vnic["rx"]["drops_total"]
    assert rows(vnic, "rx", site="tap") == 0


def test_a_noop_and_a_shaping_drop_on_one_tap_are_told_apart(lab, look):
    """Both are QDISC_DROP freed by __dev_queue_xmit; noop's are in tx_dropped on some kernels, the shaper's on none."""
    ns = lab.netns()
    vm = lab.vm(ns, ["t0,persist", "t1"])
    ns.tc("qdisc", "add", "dev", "t0", "root", "tbf", "rate", "1mbit", "burst", "2000", "limit", "5000")
    measure = look()
    vm.do("drain", on=1)
    shaped = ns.send("t0", 200, size=500)["enobufs"]
    time.sleep(0.3)
    vm.do("drain", on=0)
    assert ns.counters("t0")["rx"]["dropped"] == 0
    vm.do("close", tap="t0")
    time.sleep(1.2)
    refused = ns.send("t0", 50, size=500)["tried"]
    dropped = ns.counters("t0")["rx"]["dropped"]
    vnic = measure.finish().vnic(vm, "t0")

    assert shaped > 100 and refused == 50
    assert dropped in (refused, rows(vnic, "rx", reason="DEV_READY"))
    assert_explained(vnic, "rx", dropped)
    assert vnic["rx"]["drops_total"] == shaped + refused


def test_a_guest_that_transmits_into_a_link_that_is_down_is_explained(lab, look, hooks):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0"])
    ns.ip("link", "set", "t0", "down")
    measure = look(*hooks)
    guest = vm.do("send", count=30)
    dropped = ns.counters("t0")["tx"]["dropped"]
    vnic = measure.finish().vnic(vm, "t0")

    assert guest["errors"] == dropped == 30
    assert_explained(vnic, "tx", dropped)
    assert rows(vnic, "tx", site="tap", reason="DEV_READY", **{"class": "loss"}) == dropped


def test_a_protocol_that_nobody_handles_is_benign(lab, look, hooks):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0"])
    measure = look(*hooks)
    guest = vm.do("send", count=50, type="0x88b5")
    dropped = ns.counters("t0")["tx"]["dropped"]
    vnic = measure.finish().vnic(vm, "t0")

    assert guest["sent"] == dropped == 50
    assert rows(vnic, "tx", reason="UNHANDLED_PROTO", **{"class": "benign"}) == dropped
    assert vnic["tx"]["drops_total"] == 0
    assert_explained(vnic, "tx", dropped)


def bridge(lab, *vms_taps):
    ns = lab.netns()
    # Without snooping, whose queries would be packets of the bridge's own.
    ns.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
    ns.ip("link", "set", "br0", "up")
    vms = [lab.vm(ns, [tap]) for tap in vms_taps]
    for tap in vms_taps:
        ns.ip("link", "set", tap, "master", "br0")
    # Ports forward at once without STP; the link watch sets carrier first.
    time.sleep(0.3)
    return ns, vms


def test_a_loss_at_the_receivers_tap_is_the_senders_peer_drop(lab, look, hooks):
    ns, (a, b) = bridge(lab, "a0", "b0")
    mac_a, mac_b = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
    b.do("send", src=mac_b)     # the bridge learns where B is
    a.do("read", idle_ms=100)
    measure = look(*hooks)
    guest = a.do("send", count=RING + 300, size=300, src=mac_a, dst=mac_b)
    got = b.do("read")
    dropped = ns.counters("b0")["rx"]["dropped"]
    report = measure.finish()
    vnic_a, vnic_b = report.vnic(a, "a0"), report.vnic(b, "b0")

    assert dropped == guest["sent"] - got["packets"] == 300
    assert_explained(vnic_b, "rx", dropped)
    assert rows(vnic_b, "rx", site="tap", reason="FULL_RING") == dropped
    assert rows(vnic_a, "tx", site="peer", reason="FULL_RING") == dropped
    assert vnic_a["tx"]["kernel_dropped"] == 0 == vnic_a["tx"]["unexplained"]
    assert vnic_a["tx"]["packets"] == guest["sent"]
    assert vnic_b["rx"]["packets"] == got["packets"]
    assert vnic_b["tx"]["drops_total"] == vnic_a["rx"]["drops_total"] == 0


def test_a_frame_that_a_bridge_has_no_port_for_is_benign(lab, look):
    ns, (a, b) = bridge(lab, "a0", "b0")
    mac_a = "02:00:00:00:00:0a"
    a.do("send", src=mac_a)
    b.do("read", idle_ms=100)
    measure = look()
    # To the port it came from: freed as an ordinary outcome.
    a.do("send", count=40, src=mac_a, dst=mac_a)
    got = b.do("read", idle_ms=100)
    vnic = measure.finish().vnic(a, "a0")

    assert got["packets"] == 0 and ns.counters("a0")["tx"]["dropped"] == 0
    assert vnic["tx"]["drops_total"] == vnic["tx"]["unexplained"] == 0
    assert rows(vnic, "tx", **{"class": "benign"}) == 40


def test_same_named_taps_in_two_namespaces_stay_apart(lab, look, hooks):
    ns1, ns2 = lab.netns(), lab.netns()
    vm1, vm2 = lab.vm(ns1, ["t0"]), lab.vm(ns2, ["t0"])
    measure = look(*hooks)
    ns1.send("t0", RING + 11)
    ns2.send("t0", RING + 222)
    vm1.do("read"), vm2.do("read", count=10)
    report = measure.finish()
    vnic1, vnic2 = report.vnic(vm1, "t0"), report.vnic(vm2, "t0")

    assert vnic1["ifindex"] == vnic2["ifindex"] == ns1.link("t0")["ifindex"]
    assert vnic1["netns"] != vnic2["netns"]
    assert ns1.counters("t0")["rx"]["dropped"] == 11 == rows(vnic1, "rx", reason="FULL_RING")
    assert ns2.counters("t0")["rx"]["dropped"] == 222 == rows(vnic2, "rx", reason="FULL_RING")
    assert (vnic1["rx"]["packets"], vnic2["rx"]["packets"]) == (RING, 10)


def test_a_tap_of_nobody_does_not_reach_a_vm(lab, look):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0"])
    # Persistent, without a reader: no VM's.
    ns.ip("tuntap", "add", "dev", "other", "mode", "tap")
    ns.ip("link", "set", "other", "up")
    measure = look()
    sent = ns.send("other", 100)
    report = measure.finish()
    assert (sent["tried"], ns.counters("other")["rx"]["packets"]) == (100, 0)
    assert [n["name"] for n in report.vm(vm)["vnics"]] == ["t0"]
    assert report.vnic(vm, "t0")["rx"]["drops_total"] == 0
