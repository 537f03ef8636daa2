# SPDX-License-Identifier: GPL-2.0-or-later
"""vNICs and disks that come and go under a running guest."""
import os
import pathlib

from guest import DISK_BLOCK, virsh
from lab import backing_disk, wait_for

SOON_S = 20     # the guest has to see it, or to let go of it


def only_expected_losses(report):
    """Of these none costs a figure of the guest; a request of the host's may have begun before the probe."""
    harmless = ("sample_collision", "dev_stale", "rq_untracked")
    lost = {k: v for k, v in report["self"]["lost"].items() if v and k not in harmless}
    assert not lost, lost


def in_guest(guest, path):
    return lambda: guest.run(f"test -e {path}; echo $?").strip() == "0"


def test_a_vnic_plugged_in_is_counted_as_its_tap_and_unplugged_it_ends(shared_guest, daemon, look, host):
    virtscope = daemon()
    virtscope.event("vnic.attach", shared_guest, SOON_S, data={"vnic": shared_guest.taps[0]})
    xml, tap = shared_guest.interface_xml(1), f"{shared_guest.taps[0][:-1]}1"
    one = look("--control", virtscope.control, standalone=False)
    first = shared_guest.domifstat()
    shared_guest.plug(xml)
    event = virtscope.event("vnic.attach", shared_guest, SOON_S, data={"vnic": tap})
    assert event["data"]["netns"] == "host"
    wait_for("the guest's driver", in_guest(shared_guest, "/sys/class/net/eth1"), SOON_S)
    shared_guest.run("ip link set eth1 up")
    host.send(tap, 300, size=200, rate=1000)
    assert shared_guest.send(400, size=120, dev="eth1") == 400
    shared_guest.ping(10)
    wait_for("the ring is empty", lambda: host.counters(tap)["rx"]["packets"] >= 300, SOON_S)
    new, told = host.counters(tap), shared_guest.domifstat(tap)
    report = one.finish()
    vnic = report.vnic(shared_guest, tap)
    assert vnic["attached"] and vnic["mac"] == shared_guest.mac(1)
    for direction, count in (("rx", 300), ("tx", 400)):
        assert vnic[direction]["packets"] == new[direction]["packets"] == told[f"{direction}_packets"] == count
        assert vnic[direction]["bytes"] == new[direction]["bytes"]
        assert sum(q["buffers"] for q in vnic["vhost"] if q["direction"] == direction) == count
    # It has a worker of its own.
    assert {q["tid"] for q in vnic["vhost"]} < set(shared_guest.vhost_tids())
    assert report.vnic(shared_guest, shared_guest.taps[0])["tx"]["packets"] == 10
    only_expected_losses(report)

    one = look("--control", virtscope.control, standalone=False)
    shared_guest.ping(15)
    shared_guest.unplug(xml)
    event = virtscope.event("vnic.detach", shared_guest, SOON_S, data={"vnic": tap})
    assert event["data"]["ifindex"] == vnic["ifindex"]
    shared_guest.ping(15)
    report = one.finish()
    assert [n for n in report.vm(shared_guest)["vnics"] if n["name"] == tap and n["attached"]] == []
    assert report.vnic(shared_guest, shared_guest.taps[0])["tx"]["packets"] == 30
    assert shared_guest.domifstat()["tx_packets"] - first["tx_packets"] == 40
    assert len(shared_guest.vhost_tids()) == 1
    only_expected_losses(report)
    assert len(virtscope.events("vnic.detach", shared_guest)) == 1


def test_a_disk_plugged_in_is_counted_as_libvirt_does_and_unplugged_it_ends(shared_guest, daemon, look):
    virtscope = daemon()
    spare = os.environ["VS_SPARE"]
    device = pathlib.Path(spare).name
    wait_for("libvirt's word", lambda: virtscope.events("vm.start", shared_guest), SOON_S)
    xml = DISK_BLOCK.format(device=spare, target="vdb")
    shared_guest.plug(xml)
    event = virtscope.event("disk.attach", shared_guest, SOON_S)
    assert event["data"] == {"target": "vdb", "path": spare}
    wait_for("the guest's driver", in_guest(shared_guest, "/dev/vdb"), SOON_S)
    # Only now: QEMU has read a disk that is plugged in itself, to find out its alignment.
    one = look("--control", virtscope.control, standalone=False)
    before = shared_guest.domblkstat("vdb"), shared_guest.domblkstat("vda")
    shared_guest.read(60, skip=4096, disk="vdb")
    shared_guest.write(50, seek=8192, disk="vdb")
    shared_guest.read(20)
    after = shared_guest.domblkstat("vdb"), shared_guest.domblkstat("vda")
    report = one.finish()
    assert {i["target"]: i["path"] for i in report.vm(shared_guest)["images"]} == {
        "vda": str(shared_guest.images[0]), "vdb": spare}
    ops, first = report.disk(shared_guest, device)["ops"], report.disk(shared_guest, backing_disk(shared_guest.images[0]))["ops"]
    for op, short, count in (("read", "rd", 60), ("write", "wr", 50)):
        assert ops[op]["count"] == after[0][f"{short}_req"] - before[0][f"{short}_req"] == count
        assert ops[op]["bytes"] == after[0][f"{short}_bytes"] - before[0][f"{short}_bytes"]
    assert first["read"]["count"] == after[1]["rd_req"] - before[1]["rd_req"] == 20
    virtscope.event("disk.seen", shared_guest, SOON_S, data={"device": device})
    only_expected_losses(report)

    one = look("--control", virtscope.control, standalone=False)
    shared_guest.read(30)
    shared_guest.unplug(xml)
    event = virtscope.event("disk.detach", shared_guest, SOON_S)
    assert event["data"] == {"target": "vdb", "path": spare}
    shared_guest.read(30)
    report = one.finish()
    row = report.vm(shared_guest)
    assert [i["target"] for i in row["images"]] == ["vda"]
    assert report.ops(shared_guest, backing_disk(shared_guest.images[0]), "read")["count"] == 60
    # The guest asks nothing of it any more; QEMU itself may look at it as it lets go.
    assert sum(op["count"] for op in report.disk(shared_guest, device)["ops"].values() if op) <= 3
    only_expected_losses(report)
    assert "vdb" not in virsh("domblklist", shared_guest.name)
