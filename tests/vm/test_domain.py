# SPDX-License-Identifier: GPL-2.0-or-later
"""What virtscope says of a domain at work, against virsh, /proc and KVM's own counters.

Counts are exact. Times are compared with each other only: under emulation they are
slow and noisy.
"""
import time

from guest import virsh
from lab import backing_disk
from probe import rows


def table(text):
    return [line.split() for line in text.splitlines() if line.strip()]


def virtqueues(report, vm, tap, direction):
    return [q for q in report.vnic(vm, tap)["vhost"] if q["direction"] == direction]


def test_a_domain_is_named_with_its_vnic_its_worker_and_its_disk(shared_guest, look):
    one = look()
    shared_guest.ping(5)
    shared_guest.read(5)
    report = one.finish()
    row = report.vm(shared_guest)
    assert (row["name"], row["uuid"], row["source"]) == (shared_guest.name, shared_guest.uuid, "libvirt")
    assert row["libvirt"]["id"] == int(virsh("domid", shared_guest.name))
    assert (row["libvirt"]["state"], row["libvirt"]["disagreement"]) == (shared_guest.state(), None)
    [[tap, _, _, _, mac]] = table(virsh("domiflist", shared_guest.name))
    [vnic] = row["vnics"]
    assert (vnic["name"], vnic["mac"], vnic["attached"]) == (tap, mac, True)
    [worker] = shared_guest.vhost_tids()
    assert {(q["tid"], q["queue"]) for q in vnic["vhost"]} == {(worker, 0)}
    assert {q["direction"] for q in vnic["vhost"]} == {"rx", "tx"}
    roles = {t["tid"]: t["role"] for t in row["cpu"]["threads"]}
    assert roles[worker] == "worker"
    assert [tid for tid, role in sorted(roles.items()) if role == "vcpu"] == shared_guest.vcpu_tids()
    images = [[i["target"], i["path"]] for i in row["images"]]
    assert images == table(virsh("domblklist", shared_guest.name))
    [disk] = row["disks"]
    assert (disk["device"], disk["layer"]) == (backing_disk(shared_guest.images[0]), "physical")


def test_packets_equal_domifstat_and_requests_equal_domblkstat(shared_guest, look):
    """Both are at rest before and after, so that all look at the same window.

    virsh domblkstat counts what QEMU was asked for, the probe what the host's block
    layer completed. They are one and the same where nothing lies between them that
    splits or merges: a request of 4 KiB (below any limit of the device) on a raw
    file that is opened with O_DIRECT and was written once (no hole, no journal),
    and the next one only when it has ended, as dd with O_DIRECT sends them.
    """
    net, disk = shared_guest.domifstat(), shared_guest.domblkstat()
    one = look()
    assert shared_guest.send(700, size=150) == 700
    assert shared_guest.ping(60) == 60
    shared_guest.read(120, "4k")
    shared_guest.write(80, "4k")
    net_after, disk_after = shared_guest.domifstat(), shared_guest.domblkstat()
    report = one.finish()
    vnic = report.vnic(shared_guest, shared_guest.taps[0])
    for direction in ("rx", "tx"):
        for key in ("packets", "bytes"):
            assert vnic[direction][key] == net_after[f"{direction}_{key}"] - net[f"{direction}_{key}"]
        assert vnic[direction]["drops_total"] == vnic[direction]["unexplained"] == 0
        # The workers gave the guest the same packets.
        [q] = virtqueues(report, shared_guest, shared_guest.taps[0], direction)
        assert q["buffers"] == vnic[direction]["packets"] == {"tx": 760, "rx": 60}[direction]
    ops = report.disk(shared_guest, backing_disk(shared_guest.images[0]))["ops"]
    for op, short, count in (("read", "rd", 120), ("write", "wr", 80)):
        assert ops[op]["count"] == disk_after[f"{short}_req"] - disk[f"{short}_req"] == count
        assert ops[op]["bytes"] == disk_after[f"{short}_bytes"] - disk[f"{short}_bytes"] == count * 4096
        assert ops[op]["errors"] == 0


def test_exits_equal_kvms_counters(shared_guest, look):
    # Paused at both ends of the window: a running guest exits while one looks.
    with shared_guest.paused():
        before = shared_guest.kvm_stats()
        one = look()
    shared_guest.ping(20)
    shared_guest.read(20)
    with shared_guest.paused():
        after = shared_guest.kvm_stats()
        cpu = one.finish().vm(shared_guest)["cpu"]
    assert {name: cpu["exits"][name] for name in before} == {name: after[name] - n for name, n in before.items()}
    assert cpu["exits"]["exits"] > cpu["exits"]["halt_exits"] > 0
    assert cpu["halt_polling"] == "subtracted"


def test_an_idle_vcpu_is_told_from_a_busy_one(shared_guest, look):
    one = look()
    time.sleep(2)
    idle = one.finish().vm(shared_guest)["cpu"]
    one = look()
    burner = shared_guest.run("(while :; do :; done) >/dev/null 2>&1 & echo $!").strip()
    time.sleep(3)
    busy = one.finish().vm(shared_guest)["cpu"]
    shared_guest.run(f"kill {burner}")
    assert idle["vcpus"] == busy["vcpus"] == len(shared_guest.vcpu_tids()) == 1
    assert busy["utilization_ratio"] > 0.5
    assert idle["utilization_ratio"] < busy["utilization_ratio"] / 2


def test_a_paused_guest_is_named_as_paused_with_its_full_ring_and_no_worker_is_blamed(shared_guest, look, host):
    """QEMU takes the queues of a paused guest from the worker: nobody waits for
    buffers, nobody for a CPU, and what comes fills the ring of the tap."""
    tap = shared_guest.taps[0]
    before = host.counters(tap)["rx"]["dropped"]
    one = look()
    assert shared_guest.ping(10) == 10
    with shared_guest.paused():
        begin = time.monotonic()
        host.send(tap, 2500)
        time.sleep(1)
        held_us = (time.monotonic() - begin) * 1e6
        report = one.finish()
        dropped = host.counters(tap)["rx"]["dropped"] - before
    row, vnic = report.vm(shared_guest), report.vnic(shared_guest, tap)
    assert (row["libvirt"]["state"], row["libvirt"]["reason"]) == ("paused", "user")
    assert rows(vnic, "rx", reason="FULL_RING") == vnic["rx"]["drops_total"] == dropped > 1000
    assert vnic["rx"]["unexplained"] == 0
    [rx] = virtqueues(report, shared_guest, tap, "rx")
    waits = rx["waits"]
    assert waits["guest_buffers_us"] + waits["cpu_us"] + waits["sibling_us"] < held_us / 2
