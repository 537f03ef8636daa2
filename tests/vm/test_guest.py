# SPDX-License-Identifier: GPL-2.0-or-later
"""The test bed itself: what the other tests of this folder take for granted."""
import os
import pathlib
import time

from guest import virsh
from lab import sh


def test_the_guest_is_what_a_kvm_host_runs(shared_guest):
    links = [os.readlink(f) for f in pathlib.Path(f"/proc/{shared_guest.pid}/fd").iterdir()]
    for want in ("anon_inode:kvm-vm", "anon_inode:kvm-vcpu:0", "/dev/net/tun", "/dev/vhost-net"):
        assert want in links
    assert "CPU 0/KVM" in shared_guest.threads().values()
    assert len(shared_guest.vhost_tids()) == 1
    assert shared_guest.uuid in virsh("domuuid", shared_guest.name)
    print("boot:", shared_guest.took)


def test_the_guests_cgroup_has_the_io_and_cpu_controllers(shared_guest):
    cgroup = shared_guest.cgroup()
    assert shared_guest.name in cgroup.name
    assert {"io", "cpu"} <= set((cgroup / "cgroup.controllers").read_text().split())
    shared_guest.write(16)
    assert "wbytes" in (cgroup / "io.stat").read_text()


def test_the_guest_sends_and_receives_exact_numbers(shared_guest):
    before = shared_guest.domifstat()
    assert shared_guest.ping(20) == 20
    assert shared_guest.send(500, size=200) == 500
    time.sleep(0.5)
    after = shared_guest.domifstat()
    # libvirt counts as the guest does: rx is what the guest received.
    assert after["tx_packets"] - before["tx_packets"] == 520
    assert after["rx_packets"] - before["rx_packets"] == 20


def test_the_guests_disk_requests_are_exact_and_pass_the_cache(shared_guest):
    before = shared_guest.domblkstat()
    shared_guest.read(50, "16k")
    shared_guest.write(40, "4k")
    shared_guest.write(8, "4k", fsync=True)
    after = shared_guest.domblkstat()
    assert after["rd_req"] - before["rd_req"] == 50
    assert after["rd_bytes"] - before["rd_bytes"] == 50 * 16384
    assert after["wr_req"] - before["wr_req"] == 48
    assert after["flush_operations"] - before["flush_operations"] >= 1


def test_a_guest_without_work_is_quiet(shared_guest):
    """What a test counts is its own: an idle second has no packet and no request."""
    before = shared_guest.domifstat(), shared_guest.domblkstat()
    time.sleep(2)
    after = shared_guest.domifstat(), shared_guest.domblkstat()
    for key in ("rx_packets", "tx_packets"):
        assert after[0][key] == before[0][key]
    for key in ("rd_req", "wr_req"):
        assert after[1][key] == before[1][key]


def test_virtscope_and_libvirt_count_the_same_packets(shared_guest, look):
    one = look()
    before = shared_guest.domifstat()
    shared_guest.send(300, size=150)
    shared_guest.ping(10)
    after = shared_guest.domifstat()
    row = one.finish().vnic(shared_guest, shared_guest.taps[0])
    for key in ("packets", "bytes"):
        assert row["tx"][key] == after[f"tx_{key}"] - before[f"tx_{key}"]
        assert row["rx"][key] == after[f"rx_{key}"] - before[f"rx_{key}"]


def test_libvirtd_can_be_killed_and_started_again_under_a_guest(shared_guest, libvirtd):
    pid = shared_guest.pid
    libvirtd.kill()
    assert pathlib.Path(f"/proc/{pid}").exists()
    libvirtd.up()
    assert shared_guest.state() == "running"
    assert shared_guest.run("echo alive").strip() == "alive"
    assert sh("pgrep", "-xc", "libvirtd").strip() == "1"
