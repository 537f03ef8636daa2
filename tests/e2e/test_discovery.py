# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is a VM and what it owns: seen within two seconds, without libvirt."""
import fcntl
import os
import subprocess
import sys
import time

import pytest

from probe import rows

SOON_S = 2.0

KVM_VM = """
import fcntl, os, sys, time
kvm = os.open("/dev/kvm", os.O_RDWR)
vm = fcntl.ioctl(kvm, 0xAE01, 0)
print("created", flush=True)
sys.stdin.readline()
"""


def kvm_works():
    try:
        kvm = os.open("/dev/kvm", os.O_RDWR)
    except OSError:
        return False
    try:
        os.close(fcntl.ioctl(kvm, 0xAE01, 0))   # KVM_CREATE_VM
        return True
    except OSError:
        return False
    finally:
        os.close(kvm)


def test_a_vm_that_ran_before_is_found_with_name_and_uuid(lab, daemon):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0"])
    probe = daemon()
    event = probe.event("vm.start", vm)
    assert event["data"]["cause"] == "found"
    assert (event["vm"]["name"], event["vm"]["uuid"], event["vm"]["pid"]) == (vm.name, vm.uuid, vm.pid)
    probe.event("vnic.attach", vm)


def test_a_vm_started_and_stopped_is_seen_within_two_seconds(lab, daemon, hooks):
    """Software emulation: no KVM descriptor, no uevent."""
    ns = lab.netns()
    probe = daemon(*hooks)
    vm = lab.vm(ns, ["t0"])
    event = probe.event("vm.start", vm, SOON_S)
    assert event["data"]["cause"] == "boot" and event["vm"]["name"] == vm.name
    probe.event("vnic.attach", vm, SOON_S)
    vm.quit()
    probe.event("vm.stop", vm, SOON_S)


def test_a_vm_without_a_tap_is_seen_too(lab, daemon):
    probe = daemon()
    vm = lab.vm()
    probe.event("vm.start", vm, SOON_S)
    vm.quit()
    probe.event("vm.stop", vm, SOON_S)


def test_a_vm_that_is_killed_is_stopped(lab, daemon):
    probe = daemon()
    vm = lab.vm()
    probe.event("vm.start", vm, SOON_S)
    vm.process.kill()
    vm.process.wait()
    probe.event("vm.stop", vm, SOON_S)


def test_a_tap_plugged_and_unplugged_is_seen_within_two_seconds(lab, daemon):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0"])
    probe = daemon()
    probe.event("vnic.attach", vm)
    vm.do("open", tap="hot0")
    attach = probe.event("vnic.attach", vm, SOON_S, data={"vnic": "hot0"})
    assert attach["vm"]["name"] == vm.name
    vm.do("close", tap="hot0")
    probe.event("vnic.detach", vm, SOON_S, data={"vnic": "hot0"})
    assert not [e for e in probe.events("vnic.detach", vm) if e["data"]["vnic"] == "t0"]


def test_a_tap_plugged_while_looking_is_counted_from_its_first_drop(lab, look):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0"])
    measure = look()
    vm.do("open", tap="hot0")
    time.sleep(SOON_S)
    ns.send("hot0", 1040)
    vnic = measure.finish().vnic(vm, "hot0")
    assert ns.counters("hot0")["rx"]["dropped"] == 40
    assert rows(vnic, "rx", reason="FULL_RING") == 40 and vnic["rx"]["unexplained"] == 0


def test_a_disk_is_seen_with_its_first_request(lab, daemon):
    disk = lab.disk(mib=8)
    probe = daemon()
    vm = lab.vm(disks=[disk])
    probe.event("vm.start", vm, SOON_S)
    time.sleep(0.5)
    assert probe.events("disk.seen", vm) == []
    vm.do("disk", op="read")
    event = probe.event("disk.seen", vm, SOON_S)
    assert event["data"]["device"] == disk.name
    vm.do("disk", op="read", count=20)
    time.sleep(1.5)
    assert len(probe.events("disk.seen", vm)) == 1


def test_a_kvm_descriptor_makes_a_vm_whatever_its_name(lab, daemon):
    if not kvm_works():
        pytest.skip("/dev/kvm creates no VM here")
    probe = daemon()
    process = subprocess.Popen([sys.executable, "-c", KVM_VM], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "created\n"
        process.name = "the kvm process"
        event = probe.event("vm.start", process, SOON_S)
        assert event["vm"]["name"] == f"qemu-{process.pid}" and event["vm"]["uuid"] is None
        process.communicate("\n")
        probe.event("vm.stop", process, SOON_S)
    finally:
        process.kill()
        process.wait()


def test_two_vms_of_one_name_are_two_vms(lab, look):
    ns = lab.netns()
    a, b = lab.vm(ns, ["a0"], name="twin"), lab.vm(ns, ["b0"], name="twin")
    measure = look()
    ns.send("a0", 30)
    a.do("read", idle_ms=50)
    report = measure.finish()
    assert report.vm(a)["name"] == report.vm(b)["name"] == "twin"
    assert report.vnic(a, "a0")["rx"]["packets"] == 30
    assert report.vnic(b, "b0")["rx"]["packets"] == 0


def test_a_vms_name_is_untrusted_text(lab, look):
    name = 'ev"il\\\x1b[31m\u00e9'
    vm = lab.vm(name=name)
    report = look().finish()        # valid JSON, or this raises
    assert report.vm(vm)["name"].startswith("ev")


def test_events_are_numbered_without_holes(lab, daemon):
    probe = daemon()
    for _ in range(3):
        vm = lab.vm()
        probe.event("vm.start", vm, SOON_S)
        vm.quit()
        probe.event("vm.stop", vm, SOON_S)
    seq = [e["seq"] for e in probe.events()]
    assert seq == list(range(seq[0], seq[0] + len(seq)))


def test_event_numbers_go_on_across_restarts_of_the_daemon(lab, daemon):
    first = daemon()
    vm = lab.vm()
    first.event("vm.start", vm, SOON_S)
    first.end()
    second = daemon()       # appends to the same file
    second.event("vm.start", vm, SOON_S)
    seq = [e["seq"] for e in second.events()]
    assert seq == list(range(seq[0], seq[0] + len(seq)))


def test_drop_burst_comes_once_in_ten_seconds_and_carries_the_sum(lab, daemon):
    ns = lab.netns()
    vm, calm = lab.vm(ns, ["t0"]), lab.vm(ns, ["t1"])
    probe = daemon()
    probe.event("vnic.attach", vm, SOON_S)
    probe.event("vnic.attach", calm, SOON_S)
    calm.do("filter", kind="socket")
    ns.send("t1", 9)                # one too few
    ns.send("t0", 1000)             # fills the ring
    ns.send("t0", 50)
    begin = time.monotonic()
    first = probe.event("drop.burst", vm, 3.0)
    while time.monotonic() < begin + 7:
        ns.send("t0", 20)
        time.sleep(0.5)
    assert len(probe.events("drop.burst", vm)) == 1
    assert first["data"]["reason"] == "FULL_RING" and first["data"]["direction"] == "rx"
    assert 10 <= first["data"]["count"] <= 90
    time.sleep(max(0, begin + 13 - time.monotonic()))
    bursts = probe.events("drop.burst", vm)
    dropped = ns.counters("t0")["rx"]["dropped"]
    assert len(bursts) == 2
    assert sum(e["data"]["count"] for e in bursts) == dropped
    assert probe.events("drop.burst", calm) == []
