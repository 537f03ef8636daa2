# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that are saved, restored and destroyed, and a libvirtd that dies, all of it at work."""
import json
import subprocess
import time

import pytest

from guest import Guest, virsh
from lab import backing_disk, wait_for
from probe import Report, map_rows, run, validate

SOON_S = 30
# vm.start waits 10 s for libvirt's word, which comes when the memory has been read; then it tells what the command
# line looks like: migrated_in.
TELL_S = 9


@pytest.fixture(scope="module")
def two_pairs(libvirtd, initrd, bridge, guest_numbers):
    """A guest with two CPUs and two queue pairs; one that has ended is replaced."""
    made = []

    def get():
        if not made or made[-1].state() != "running":
            number = next(guest_numbers)
            made.append(Guest(f"vst{number}", number, bridge, initrd, vcpus=2, queues=2).start())
        return made[-1]
    yield get
    for one in made:
        one.end()


def named(virtscope, guest):
    """The row of a report of the running daemon, once libvirt has told it of the guest."""
    def ask():
        row = [v for v in ask_now(virtscope)["vms"] if v["pid"] == guest.pid]
        return row[0] if row and row[0]["source"] == "libvirt" else None
    return wait_for(f"libvirt names {guest.name}", ask, SOON_S)[0]


def ask_now(virtscope, seconds=0.1):
    status, out, err = run("report", "--json", "-d", seconds, "--control", virtscope.control)
    assert status == 0, err
    report = Report(json.loads(out))
    validate(report, "report")
    return report


def number(octets, at=0):
    return int.from_bytes(bytes(int(o, 16) for o in octets[at:at + 4]), "little")


def vm_ref(virtscope, pid):
    """What the maps call a VM: slot and generation."""
    [row] = [r for r in map_rows(virtscope.pid, "vs_task") if number(r["key"]) == pid]
    return number(row["value"]), number(row["value"], 4)


def row_counts(virtscope, pid, ref):
    """{map: rows of this VM in it}"""
    def rows(name, part):
        return sum((number(r[part]), number(r[part], 4)) == ref for r in map_rows(virtscope.pid, name))
    return {"vs_task": sum(number(r["key"]) == pid for r in map_rows(virtscope.pid, "vs_task")),
            "vs_cgroup": rows("vs_cgroup", "value"), "vs_disk": rows("vs_disk", "key"),
            # The other guest is idle: it has none.
            "vs_virtq": len(map_rows(virtscope.pid, "vs_virtq"))}


def test_each_queue_pair_has_its_own_worker_and_packets(two_pairs, look):
    guest = two_pairs()
    tap = guest.taps[0]
    workers = guest.vhost_tids()
    assert len(workers) == 2
    one = look()
    assert guest.send(300, queue=0) == 300
    assert guest.send(200, queue=1) == 200
    report = one.finish()
    tx = {q["queue"]: q for q in report.vnic(guest, tap)["vhost"] if q["direction"] == "tx"}
    assert {n: q["buffers"] for n, q in tx.items()} == {0: 300, 1: 200}
    assert {q["tid"] for q in tx.values()} == set(workers)
    assert report.vnic(guest, tap)["tx"]["packets"] == 500
    assert report.vm(guest)["cpu"]["vcpus"] == 2


def test_destroyed_under_load_its_last_figures_are_told_and_no_rows_are_left(two_pairs, shared_guest, daemon, look):
    guest = two_pairs()
    virtscope = daemon()
    named(virtscope, guest)
    pid, tap, disk = guest.pid, guest.taps[0], backing_disk(guest.images[0])
    net, blk = guest.domifstat(), guest.domblkstat()
    one = look("--control", virtscope.control, standalone=False)
    guest.begin(f"(while :; do dd if=/dev/vda of=/dev/null bs=4k iflag=direct 2>/dev/null; done) & ({guest.send_command(0)})")
    wait_for("load", lambda: guest.domblkstat()["rd_req"] > blk["rd_req"] + 50 and
             guest.domifstat()["tx_packets"] > net["tx_packets"] + 500, SOON_S, 0.2)
    ref = vm_ref(virtscope, pid)
    used = row_counts(virtscope, pid, ref)
    assert used["vs_task"] and used["vs_disk"] and used["vs_virtq"], used
    told = guest.domifstat(), guest.domblkstat()
    virsh("destroy", guest.name)
    [stop] = wait_for("vm.stop", lambda: virtscope.events("vm.stop"), SOON_S)[0]
    assert (stop["vm"]["pid"], stop["vm"]["name"], stop["data"]["reason"]) == (pid, guest.name, "destroyed")
    report = one.finish()
    [row] = [v for v in report["vms"] if v["pid"] == pid]
    assert (row["name"], row["running"]) == (guest.name, False)
    [vnic] = [n for n in row["vnics"] if n["name"] == tap]
    [ops] = [d["ops"] for d in row["disks"] if d["device"] == disk]
    sent = sum(q["buffers"] for q in vnic["vhost"] if q["direction"] == "tx")
    # Not less than libvirt had said just before the end.
    assert sent >= told[0]["tx_packets"] - net["tx_packets"] > 0
    assert ops["read"]["count"] >= told[1]["rd_req"] - blk["rd_req"] > 0
    assert [v["name"] for v in ask_now(virtscope)["vms"]] == [shared_guest.name]
    left = row_counts(virtscope, pid, ref)
    assert not any(left.values()), left


def test_saved_and_restored_it_goes_on_under_its_name(shared_guest, daemon, look):
    guest = shared_guest
    virtscope = daemon()
    named(virtscope, guest)
    pid = guest.pid
    virsh("managedsave", guest.name)
    stop = wait_for("vm.stop", lambda: virtscope.events("vm.stop"), SOON_S)[0]
    assert [(e["vm"]["pid"], e["vm"]["name"], e["data"]) for e in stop] == [(pid, guest.name, {"reason": "saved"})]
    assert guest.name not in [v["name"] for v in ask_now(virtscope)["vms"]]
    begin = time.monotonic()
    virsh("start", guest.name)
    took = time.monotonic() - begin
    guest.connect()
    start = virtscope.event("vm.start", guest, SOON_S)
    assert (start["vm"]["name"], start["vm"]["uuid"]) == (guest.name, guest.uuid)
    print(f"virsh start took {took:.1f} s: {start['data']}")
    assert start["data"]["cause"] == "restored" or took > TELL_S
    assert guest.pid != pid and guest.run("echo alive").strip() == "alive"
    tap = guest.taps[0]
    # It announces itself to the switches first.
    wait_for("silence", lambda: guest.domifstat() == (time.sleep(1.5), guest.domifstat())[1], SOON_S)
    one = look("--control", virtscope.control, standalone=False)
    before = guest.domifstat()
    assert guest.send(250) == 250
    assert guest.ping(10) == 10
    guest.read(25)
    after = guest.domifstat()
    report = one.finish()
    row, vnic = report.vm(guest), report.vnic(guest, tap)
    assert (row["name"], row["source"]) == (guest.name, "libvirt")
    assert vnic["tx"]["packets"] == after["tx_packets"] - before["tx_packets"] == 260
    assert vnic["rx"]["packets"] == after["rx_packets"] - before["rx_packets"] == 10
    assert {q["tid"] for q in vnic["vhost"]} == set(guest.vhost_tids())
    assert report.ops(guest, backing_disk(guest.images[0]), "read")["count"] == 25


def test_a_libvirtd_killed_and_restarted_under_load_costs_no_figure_and_no_vm(shared_guest, libvirtd, daemon, look):
    guest = shared_guest
    tap, disk = guest.taps[0], backing_disk(guest.images[0])
    virtscope = daemon()
    named(virtscope, guest)
    net, blk = guest.domifstat(), guest.domblkstat()
    one = look("--control", virtscope.control, standalone=False)
    seen, first = [], len(virtscope.events())

    def told(kind):
        # A slow libvirtd is lost and restored at the start, too.
        return [e for e in virtscope.events()[first:] if e["type"] == kind]

    def glance():
        row = ask_now(virtscope).vm(guest)
        seen.append((row["name"], row["uuid"], row["pid"], row["running"]))
        return row["source"]
    # In shells of their own: the end of one's child would stop the generator of the other.
    guest.begin(f"(for i in 1 2 3 4 5 6 7 8; do dd if=/dev/vda of=/dev/null bs=4k count=50 iflag=direct 2>/dev/null; done) & "
                f"({guest.send_command(2000, delay_ns=4_000_000)}) && wait")
    glance()
    libvirtd.kill()
    lost = wait_for("libvirt.lost", lambda: glance() and told("libvirt.lost"), SOON_S)[0]
    wait_for("/proc's word", lambda: glance() == "proc", SOON_S)
    up = subprocess.Popen([libvirtd.script])
    wait_for("libvirtd", lambda: glance() and up.poll() is not None, 60)
    assert up.returncode == 0
    restored = wait_for("libvirt.restored", lambda: glance() and told("libvirt.restored"), SOON_S)[0]
    wait_for("libvirt's word", lambda: glance() == "libvirt", SOON_S)
    guest.result()
    assert guest.ping(5) == 5
    after, blk_after = guest.domifstat(), guest.domblkstat()
    report = one.finish()
    assert len(lost) == len(restored) == 1 and lost[0]["data"]["was_connected"]
    # At no moment was it away, or another.
    assert len(seen) > 5 and set(seen) == {(guest.name, guest.uuid, guest.pid, True)}
    assert virtscope.events("vm.stop") == [] and len(virtscope.events("vm.start", guest)) == 1
    vnic = report.vnic(guest, tap)
    for direction in ("rx", "tx"):
        assert vnic[direction]["packets"] == after[f"{direction}_packets"] - net[f"{direction}_packets"]
        assert sum(q["buffers"] for q in vnic["vhost"] if q["direction"] == direction) == vnic[direction]["packets"]
    assert vnic["tx"]["packets"] == 2005
    assert report.ops(guest, disk, "read")["count"] == blk_after["rd_req"] - blk["rd_req"] == 400
