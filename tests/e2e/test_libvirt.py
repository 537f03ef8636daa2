# SPDX-License-Identifier: GPL-2.0-or-later
"""What libvirt says, against virsh; and what happens when it says nothing. Real guests, emulated."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid

import pytest

from lab import BUILD, Lab, sh, wait_for
from libvirt_lab import GUEST, Libvirt, disk_xml, nic_xml
from probe import Daemon, Report, run, validate
from prometheus_lab import free_port, get

NOTICED_S = 6       # 3 s of silence, looked for every second, on a busy machine
HUNG_S = 30         # killed after 12 s of silence, which keepalive may renew once; then a pause
RESTORED_S = 15     # a new attempt begins every 8 s at the latest
SOON_S = 8          # libvirt cleans up before it tells of an end
READY_S = 1.5


@pytest.fixture(scope="module")
def libvirt():
    """One libvirtd for all: it takes some seconds to start."""
    assert shutil.which("libvirtd"), "libvirtd is missing: run scripts/setup"
    assert (BUILD / "virtscope-libvirt").exists(), "built without libvirt"
    if not (GUEST / "initrd").exists():
        sh(BUILD.parent / "scripts" / "guest-image")
    with tempfile.TemporaryDirectory(prefix="vst-") as name:
        lab = Lab("test_libvirt.py::libvirt", pathlib.Path(name))
        with lab.undo:
            yield Libvirt(lab)


@pytest.fixture
def domain(lab, libvirt):
    """domain(disks=…, nics=…) is a running domain of this test."""
    def make(disks=(), nics=(), start=True, **kw):
        name = f"dom-{lab.tag}-{lab._next()}"
        made = libvirt.define(name, str(uuid.uuid4()), disks, nics, **kw)
        lab.undo.callback(libvirt.virsh, "undefine", name, "--managed-save", check=False)
        lab.undo.callback(libvirt.virsh, "destroy", name, check=False)
        if start:
            libvirt.virsh("start", name)
        return made
    return make


@pytest.fixture
def probe(lab, scratch, libvirt):
    def start(*args):
        process = Daemon(scratch, *args, prefix=libvirt.prefix)
        lab.undo.callback(process.end)
        return process.ready()
    return start


def ask(probe, seconds=0.2):
    """A report of the running daemon."""
    status, out, err = run("report", "--json", "-d", seconds, "--control", probe.control)
    assert status == 0, err
    report = Report(json.loads(out))
    validate(report, "report")
    assert report["running_as"] == "daemon"
    return report


def look_once(libvirt, *args, seconds=1):
    status, out, err = run("report", "--json", "--standalone", "-d", seconds, *args, prefix=libvirt.prefix)
    assert status == 0, err
    report = Report(json.loads(out))
    validate(report, "report")
    return report


def named_by(probe, vm, source, timeout_s):
    wait_for(f"{vm.name} named by {source}", lambda: ask(probe).vm(vm)["source"] == source, timeout_s)


def host_event(probe, kind, timeout_s, seen=0):
    """The first event of its kind after the first @seen of them, and how long it took."""
    found, took = wait_for(kind, lambda: probe.events(kind)[seen:], timeout_s)
    return found[0], took


def test_domain_disks_and_vnics_are_as_virsh_says(lab, libvirt, domain):
    disk = lab.disk(mib=16)
    vm = domain([(disk.path, "vda")], [("vst-a", "52:54:00:aa:00:01")])
    row = look_once(libvirt).vm(vm)
    assert row["source"] == "libvirt"
    info = dict(re.findall(r"^([\w()]+ ?[\w()]*): +(.*)$", libvirt.virsh("dominfo", vm.name), re.M))
    assert (row["name"], row["uuid"]) == (info["Name"], info["UUID"]) == (vm.name, vm.uuid)
    assert row["libvirt"]["id"] == int(info["Id"]) and row["libvirt"]["state"] == info["State"]
    assert row["libvirt"]["reason"] == libvirt.virsh("domstate", vm.name, "--reason").split("(")[1].split(")")[0]
    assert row["libvirt"]["title"] == f"the {vm.name} of a test"
    assert row["libvirt"]["disagreement"] is None
    assert row["memory"]["total_bytes"] == int(info["Max memory"].split()[0]) * 1024
    assert row["memory"]["balloon_bytes"] == int(info["Used memory"].split()[0]) * 1024
    rss = int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{vm.pid}/status").read_text()).group(1)) * 1024
    assert 0.5 * rss < row["memory"]["used_bytes"] < 2 * rss
    blocks = [line.split() for line in libvirt.virsh("domblklist", vm.name).splitlines()[2:] if line.strip()]
    assert [[i["target"], i["path"]] for i in row["images"]] == blocks == [["vda", disk.path]]
    nics = [line.split() for line in libvirt.virsh("domiflist", vm.name).splitlines()[2:] if line.strip()]
    assert [(n["name"], n["mac"]) for n in row["vnics"]] == [(n[0], n[4]) for n in nics]
    assert row["vnics"][0]["alias"] == "net0"


def test_labels_follow_the_metadata_while_the_domain_runs(libvirt, domain, probe):
    """As Nova writes them. virsh's own word is the truth."""
    uri = "http://openstack.org/xmlns/libvirt/nova/1.1"
    nova = ("<nova:instance xmlns:nova='{uri}'><nova:name>{name}</nova:name><nova:owner>"
            "<nova:user uuid='1'>eve</nova:user><nova:project uuid='2'>shop</nova:project></nova:owner></nova:instance>")
    vm = domain(more="<metadata>" + nova.format(uri=uri, name="web") + "</metadata>")
    daemon = probe()
    named_by(daemon, vm, "libvirt", RESTORED_S)
    assert ask(daemon).vm(vm)["labels"] == {"nova_name": "web", "nova_project": "shop"}
    inner = nova.format(uri=uri, name="mail &amp; &quot;co&quot;").replace("nova:", "").replace("xmlns:nova", "xmlns")
    libvirt.virsh("metadata", vm.name, uri, "--live", "--key", "nova", "--set", inner)
    assert "mail &amp;" in libvirt.virsh("metadata", vm.name, uri, "--live")
    wait_for("new label", lambda: ask(daemon).vm(vm)["labels"].get("nova_name") == 'mail & "co"', NOTICED_S)


def test_labels_are_those_that_the_configuration_allows(libvirt, domain, probe, scratch):
    config = scratch / "virtscope.yaml"
    port = free_port()
    config.write_text("libvirt: {labels: [{name: flavor, path: instance/flavor/@name}]}\n"
                      f"metrics: {{listen: '127.0.0.1:{port}'}}\n")
    vm = domain(more="<metadata><n:instance xmlns:n='urn:nova'><n:name>secret</n:name>"
                     "<n:flavor name='m1.small'/></n:instance></metadata>")
    daemon = probe("--config", config)
    named_by(daemon, vm, "libvirt", RESTORED_S)
    assert ask(daemon).vm(vm)["labels"] == {"flavor": "m1.small"}
    # The page is made of the last second's sample.
    wait_for("label in /metrics", lambda: re.search(
        rf'^virtscope_vm_info{{vm="{vm.name}",.*flavor="m1.small".*}} 1$', get(f"http://127.0.0.1:{port}/metrics"), re.M), 5, 0.2)
    assert "secret" not in get(f"http://127.0.0.1:{port}/metrics")


def test_libvirt_none_leaves_it_to_proc(libvirt, domain):
    vm = domain(nics=[("vst-b", "52:54:00:aa:00:02")])
    report = look_once(libvirt, "--libvirt", "none", seconds=0.5)
    row = report.vm(vm)
    assert (row["name"], row["uuid"], row["source"], row["libvirt"]) == (vm.name, vm.uuid, "proc", None)
    assert row["vnics"][0]["mac"] is None and row["memory"]["balloon_bytes"] is None
    assert row["memory"]["total_bytes"] == 128 << 20 and row["memory"]["used_bytes"] > 0
    assert report["probes"]["discover.libvirt"]["state"] == "absent"


def test_a_hung_libvirtd_delays_nothing_and_is_told(libvirt, domain, probe):
    vm = domain()
    daemon = probe()
    named_by(daemon, vm, "libvirt", SOON_S)
    libvirt.stop()
    try:
        lost, _ = host_event(daemon, "libvirt.lost", NOTICED_S)
        assert lost["data"]["was_connected"] and lost["vm"] is None and lost["severity"] == "warning"
        begin = time.monotonic()
        report = ask(daemon, 1)
        assert time.monotonic() - begin < 1 + 1
        assert (report.vm(vm)["source"], report.vm(vm)["name"]) == ("proc", vm.name)
        assert report["probes"]["discover.libvirt"]["state"] == "fallback"
        # Its own looks go on, and its own process is the only one it has.
        seen = len(daemon.events("libvirt.lost"))
        time.sleep(2)
        assert len(daemon.events("libvirt.lost")) == seen == 1
        assert daemon.events("vm.stop", vm) == []
    finally:
        libvirt.go_on()
    restored, _ = host_event(daemon, "libvirt.restored", RESTORED_S)
    assert restored["data"]["lost_s"] > 0
    named_by(daemon, vm, "libvirt", SOON_S)


def children(probe):
    """{pid: name} of the processes that the daemon's probe has started."""
    pids = pathlib.Path(f"/proc/{probe.probe_pid}/task/{probe.probe_pid}/children").read_text().split()
    return {pid: pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0] for pid in pids}


def test_a_process_that_hangs_with_libvirtd_is_replaced(libvirt, domain, probe):
    vm = domain()
    daemon = probe()
    named_by(daemon, vm, "libvirt", SOON_S)
    first = set(children(daemon))
    assert len(first) == 1
    libvirt.stop()
    try:
        wait_for("another process", lambda: set(children(daemon)) and not first & set(children(daemon)), HUNG_S, 0.2)
        assert len(children(daemon)) == 1 and len(daemon.events("libvirt.lost")) == 1
    finally:
        libvirt.go_on()
    host_event(daemon, "libvirt.restored", RESTORED_S)
    named_by(daemon, vm, "libvirt", SOON_S)


def test_first_figures_come_as_soon_as_ever_while_libvirtd_hangs(libvirt, domain):
    vm = domain()
    libvirt.stop()
    try:
        begin = time.monotonic()
        report = look_once(libvirt, seconds=0.5)
        took = time.monotonic() - begin
    finally:
        libvirt.go_on()
    assert took < READY_S + 0.5, f"{took:.2f} s"
    assert report.vm(vm)["source"] == "proc" and report.vm(vm)["name"] == vm.name
    wait_for("libvirtd is back", lambda: libvirt.virsh("list", check=False), SOON_S)


def test_a_hung_libvirtd_does_not_delay_the_daemons_end(libvirt, probe):
    daemon = probe()
    libvirt.stop()
    try:
        begin = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait(5) == 0
        assert time.monotonic() - begin < 2
    finally:
        libvirt.go_on()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["sigterm", "sigkill"])
def test_the_process_that_asks_libvirt_goes_with_the_daemon(libvirt, probe, number):
    daemon = probe()
    started = children(daemon)
    assert list(started.values()) == ["virtscope-libvirt"]
    # Not one of the probe's descriptors is in there: they would keep its programs alive.
    for child in started:
        links = [os.readlink(f) for f in pathlib.Path(f"/proc/{child}/fd").iterdir()]
        assert not [link for link in links if "bpf" in link], links
    daemon.signal(number)
    daemon.wait(5)
    wait_for("it is gone", lambda: not any(pathlib.Path(f"/proc/{c}").exists() for c in started), 2)


def test_a_libvirtd_killed_and_restarted_under_load_costs_no_figure_and_no_vm(lab, libvirt, domain, probe):
    disk = lab.disk(mib=16)
    vm = domain([(disk.path, "vda")], [("vst-c", "52:54:00:aa:00:03")])
    daemon = probe()
    named_by(daemon, vm, "libvirt", SOON_S)
    vm.wait_working()
    before = libvirt.net.counters("vst-c")["rx"]
    look = subprocess.Popen([str(BUILD / "virtscope"), "report", "--json", "-d", "12", "--control", daemon.control],
                            stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    libvirt.net.send("vst-c", 2000, rate=2000)
    libvirt.kill()
    libvirt.net.send("vst-c", 2000, rate=2000)
    libvirt.start()
    libvirt.net.send("vst-c", 2000, rate=2000)
    report = Report(json.loads(look.communicate(timeout=60)[0]))
    vnic, after = report.vnic(vm, "vst-c"), libvirt.net.counters("vst-c")["rx"]
    assert vnic["rx"]["packets"] == after["packets"] - before["packets"] > 0
    assert vnic["rx"]["kernel_dropped"] == after["dropped"] - before["dropped"]
    # The guest reads nothing: 1,000 wait in the ring, the rest is lost and explained.
    assert vnic["rx"]["packets"] + vnic["rx"]["kernel_dropped"] + 1000 >= 6000
    assert vnic["rx"]["drops_total"] == vnic["rx"]["kernel_dropped"] and vnic["rx"]["unexplained"] == 0
    assert report.ops(vm, disk.name, "write")["count"] > 0
    host_event(daemon, "libvirt.lost", NOTICED_S)
    host_event(daemon, "libvirt.restored", RESTORED_S)
    named_by(daemon, vm, "libvirt", SOON_S)
    assert daemon.events("vm.stop", vm) == [] and len(daemon.events("vm.start", vm)) == 1


def test_disks_and_vnics_plugged_and_unplugged_are_told(lab, libvirt, domain, probe):
    first, second = lab.disk(mib=16), lab.disk(mib=8)
    vm = domain([(first.path, "vda")])
    daemon = probe()
    named_by(daemon, vm, "libvirt", SOON_S)
    vm.wait_working()
    xml, nic = disk_xml(second.path, "vdb"), nic_xml("br0", "vst-d", "52:54:00:aa:00:04")
    libvirt.plug("attach-device", vm, xml)
    event = daemon.event("disk.attach", vm, SOON_S)
    assert event["data"] == {"target": "vdb", "path": second.path}
    libvirt.plug("attach-device", vm, nic)
    daemon.event("vnic.attach", vm, SOON_S, data={"vnic": "vst-d"})
    row = ask(daemon).vm(vm)
    assert {i["target"]: i["path"] for i in row["images"]} == {"vda": first.path, "vdb": second.path}
    wait_for("MAC of the vNIC", lambda: ask(daemon).vnic(vm, "vst-d")["mac"] == "52:54:00:aa:00:04", SOON_S)
    libvirt.plug("detach-device", vm, xml)
    event = daemon.event("disk.detach", vm, 20)     # the guest has to agree
    assert event["data"] == {"target": "vdb", "path": second.path}
    libvirt.plug("detach-device", vm, nic)
    daemon.event("vnic.detach", vm, 20, data={"vnic": "vst-d"})
    assert [i["target"] for i in ask(daemon).vm(vm)["images"]] == ["vda"]
    assert len(daemon.events("disk.attach", vm)) == len(daemon.events("disk.detach", vm)) == 1


def test_how_a_domain_began_and_ended_is_told(libvirt, domain, probe):
    daemon = probe()
    vm = domain()
    event = daemon.event("vm.start", vm, SOON_S)
    assert event["data"]["cause"] == "boot"
    named_by(daemon, vm, "libvirt", SOON_S)
    libvirt.virsh("suspend", vm.name)
    event = daemon.event("vm.state", vm, SOON_S)    # the first: a start is no change of state
    assert event["data"] == {"state": "paused", "reason": "user", "was": "running"}
    assert ask(daemon).vm(vm)["libvirt"]["state"] == "paused"
    libvirt.virsh("resume", vm.name)
    daemon.event("vm.state", vm, SOON_S, data={"state": "running"})
    pid = vm.pid
    libvirt.virsh("managedsave", vm.name)
    stop = wait_for("vm.stop", lambda: [e for e in daemon.events("vm.stop") if e["vm"]["pid"] == pid], SOON_S)[0][0]
    assert stop["data"] == {"reason": "saved"} and stop["vm"]["uuid"] == vm.uuid
    libvirt.virsh("start", vm.name)
    event = daemon.event("vm.start", vm, 12)
    assert event["data"] == {"cause": "restored", "source": "libvirt"}
    named_by(daemon, vm, "libvirt", SOON_S)
    pid = vm.pid
    libvirt.virsh("destroy", vm.name)
    stop = wait_for("vm.stop", lambda: [e for e in daemon.events("vm.stop") if e["vm"]["pid"] == pid], SOON_S)[0][0]
    assert stop["data"] == {"reason": "destroyed"} and stop["severity"] == "info"


def test_a_start_that_waits_for_libvirts_word_comes_before_all_else(lab, libvirt, domain, probe):
    """Not libvirt's: it never says a word, and the VM ends while it is waited for."""
    known = domain()
    daemon = probe()
    named_by(daemon, known, "libvirt", SOON_S)
    argv = [str(lab.binary()), "-name", "guest=incoming", "-uuid", str(uuid.uuid4()), "-incoming", "defer", "--tap", "t0"]
    vm = subprocess.Popen(["ip", "netns", "exec", libvirt.net.name, *argv], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True)
    lab.undo.callback(vm.wait)
    lab.undo.callback(vm.kill)
    vm.name = "incoming"
    vm.stdout.readline()
    time.sleep(2)
    assert daemon.events(vm=vm) == []
    vm.kill()
    daemon.event("vm.stop", vm, SOON_S)
    assert [e["type"] for e in daemon.events(vm=vm)] == ["vm.start", "vnic.attach", "vnic.detach", "vm.stop"]
    assert daemon.events("vm.start", vm)[0]["data"] == {"cause": "migrated_in", "source": "proc"}


def test_a_qemu_that_is_killed_has_failed(libvirt, domain, probe):
    vm = domain()
    daemon = probe()
    named_by(daemon, vm, "libvirt", SOON_S)
    pid = vm.pid
    os.kill(pid, signal.SIGKILL)
    stop = wait_for("vm.stop", lambda: [e for e in daemon.events("vm.stop") if e["vm"]["pid"] == pid], SOON_S)[0][0]
    assert stop["data"] == {"reason": "failed"} and stop["severity"] == "warning"


def test_an_io_error_names_the_disk_and_what_qemu_does(lab, libvirt, domain, probe):
    disk = lab.disk(mib=16)
    vm = domain(nics=[], disks=[], start=False)
    xml = disk_xml(disk.path, "vda").replace("cache='none'", "cache='none' error_policy='stop' rerror_policy='stop'")
    path = libvirt.root / "disk.xml"
    path.write_text(xml)
    libvirt.virsh("attach-device", vm.name, path, "--config")
    libvirt.virsh("start", vm.name)
    daemon = probe()
    vm.wait_working()
    os.truncate(disk.image, 4096)   # what lies behind the end cannot be read any more
    event = daemon.event("disk.io_error", vm, 20)
    assert event["data"]["target"] == "vda" and event["data"]["path"] == disk.path
    assert event["data"]["action"] == "pause" and event["data"]["count"] >= 1 and event["severity"] == "warning"
    state = daemon.event("vm.state", vm, SOON_S, data={"state": "paused"})
    assert state["data"]["reason"] == "ioerror" and state["severity"] == "warning"


def test_a_changed_balloon_is_reported(libvirt, domain, probe):
    vm = domain()
    daemon = probe()
    named_by(daemon, vm, "libvirt", SOON_S)
    assert ask(daemon).vm(vm)["memory"]["balloon_bytes"] == 128 << 20
    vm.wait_working()
    libvirt.virsh("setmem", vm.name, "100M", "--live")

    def shrunk():
        said = dict(re.findall(r"^([\w ]+): +(\d+) KiB$", libvirt.virsh("dominfo", vm.name), re.M))
        memory = ask(daemon).vm(vm)["memory"]
        return (memory["balloon_bytes"] == int(said["Used memory"]) * 1024 == 100 << 20 and
                memory["total_bytes"] == 128 << 20)
    wait_for("balloon as virsh says", shrunk, 20)


def test_a_name_that_process_and_libvirt_tell_differently_is_reported(libvirt, domain):
    vm = domain(more="<qemu:commandline><qemu:arg value='-name'/><qemu:arg value='guest=impostor'/></qemu:commandline>")
    row = look_once(libvirt).vm(vm)
    assert row["name"] == vm.name and row["source"] == "libvirt"
    assert row["libvirt"]["disagreement"] == "the command line says name impostor"
    status, out, err = run("doctor", "--json", prefix=libvirt.prefix)
    assert status == 0, err
    said = json.loads(out)["libvirt"]
    assert said["state"] == "connected" and [d for d in said["disagreements"] if vm.name in d and "impostor" in d]


def test_a_second_process_with_the_uuid_of_a_domain_is_reported(lab, libvirt, domain):
    vm = domain()
    argv = [str(lab.binary()), "-name", "guest=twin", "-uuid", vm.uuid]
    twin = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    lab.undo.callback(twin.wait)
    lab.undo.callback(twin.kill)
    twin.stdout.readline()
    report = look_once(libvirt)
    assert report.vm(vm)["source"] == "libvirt" and report.vm(vm)["libvirt"]["disagreement"] is None
    row = report.vm(twin)
    assert (row["name"], row["source"], row["libvirt"]["state"]) == ("twin", "proc", None)
    assert str(vm.pid) in row["libvirt"]["disagreement"] and vm.name in row["libvirt"]["disagreement"]


def test_a_process_in_the_cgroup_of_another_domain_is_reported(lab, libvirt, domain):
    vm = domain()
    cgroup = lab.cgroup()
    if not cgroup:
        pytest.skip("no cgroup can be made here")
    other = cgroup / "machine-qemu\\x2d4711\\x2dother.scope"
    other.mkdir()
    home = next(line.split(":")[2] for line in pathlib.Path(f"/proc/{vm.pid}/cgroup").read_text().splitlines()
                if line.startswith("0::") or "blkio" in line)
    assert "machine-qemu" not in home
    (other / "cgroup.procs").write_text(str(vm.pid))
    try:
        row = look_once(libvirt).vm(vm)
        assert row["libvirt"]["disagreement"] == "its cgroup is that of domain id 4711"
    finally:
        (cgroup.parent / home.lstrip("/") / "cgroup.procs").write_text(str(vm.pid))
        other.rmdir()


def test_the_connection_is_a_reader_only(libvirt, domain):
    """virtscope may be given to people who must not touch the VMs."""
    domain()
    text = (BUILD.parent / "user" / "app" / "libvirt_main.c").read_text()
    assert "virConnectOpenReadOnly" in text and not re.search(r"virConnectOpen(Auth)?\(", text)
    # A reader's socket is enough: the other one is out of reach.
    hidden = f"/proc/{libvirt.holder.pid}/root/run/libvirt/libvirt-sock"
    os.rename(hidden, hidden + ".away")
    try:
        report = look_once(libvirt)
        assert report["probes"]["discover.libvirt"]["state"] == "active"
    finally:
        os.rename(hidden + ".away", hidden)
