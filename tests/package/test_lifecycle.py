# SPDX-License-Identifier: GPL-2.0-or-later
"""The package's life on a bare Debian 12 with systemd: installed, upgraded, rotated, broken, removed, purged. In this order."""
import json
import re

import pytest

from conftest import PREVIOUS, VERSION
from machine import wait_for

LOG = "/var/log/virtscope/events.jsonl"
# What the unit's start may take on a busy machine.
START_S = 60


class Service:
    def __init__(self, machine):
        self.machine = machine

    def show(self, *names):
        out = self.machine.sh("systemctl show virtscope " + " ".join(f"-p {n}" for n in names))
        return dict(line.split("=", 1) for line in out.splitlines())

    def state(self):
        return self.show("ActiveState")["ActiveState"]

    def pid(self):
        return int(self.show("MainPID")["MainPID"])

    def wait_active(self):
        wait_for("the unit active", lambda: self.state() == "active", START_S)

    def wait_other_pid(self, pid):
        wait_for("another process", lambda: self.pid() not in (0, pid) and self.state() == "active", START_S)

    def events(self):
        text = self.machine.sh(f"ls -1 {LOG}* | sort -r | while read f; do case $f in *.gz) zcat $f;; *) cat $f;; esac; done")
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def service(machine):
    return Service(machine)


@pytest.fixture(scope="module")
def before(machine):
    return machine.files()


def install(machine, deb):
    machine.put(deb, "/root/virtscope.deb")
    machine.sh("apt-get install -y /root/virtscope.deb && rm /root/virtscope.deb", timeout_s=400)


def assert_no_holes(events):
    numbers = [e["seq"] for e in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_first_installation_starts_and_enables_the_unit(machine, service, before, previous_deb):
    install(machine, previous_deb)
    service.wait_active()
    assert machine.sh("virtscope --version").strip() == f"virtscope {PREVIOUS}"
    assert machine.sh("systemctl is-enabled virtscope").strip() == "enabled"
    wait_for("a status", lambda: re.fullmatch(r"watching \d+ VMs?", service.show("StatusText")["StatusText"]), 10)


def test_daemon_is_virtscope_and_the_probe_is_root(machine, service):
    main = service.pid()
    out = machine.sh("ps -eo pid=,user:32=,comm=")
    who = {comm: (int(pid), user) for pid, user, comm in (line.split(None, 2) for line in out.splitlines()) if "virtscope" in comm}
    assert who["virtscope"] == (main, "virtscope")
    # Names of processes end after 15 characters.
    assert who["virtscope-probe"[:15]][1] == "root"
    status = machine.sh(f"cat /proc/{main}/status")
    assert re.findall(r"^Cap(?:Inh|Prm|Eff|Bnd|Amb):\s+(\w+)$", status, re.M) == ["0" * 16] * 5


def test_programs_are_loaded_within_the_sandbox(machine, service):
    report = json.loads(machine.sh("virtscope report --json -d 1"))
    assert report["running_as"] == "daemon"
    assert report["probes"]["tap.drops"]["state"] in ("active", "fallback")
    # Addresses of kernel functions and other processes are seen as from outside of the sandbox.
    outside = json.loads(machine.sh("virtscope report --standalone --json -d 1"))
    assert {n: p["state"] for n, p in report["probes"].items()} == {n: p["state"] for n, p in outside["probes"].items()}


def test_sandbox_shows_what_is_read_and_hides_the_rest(machine, service):
    inside = f"nsenter -t {machine.sh('pgrep -x virtscope-probe').strip()} -m -- "
    # Places of drops get their names here; hidden or without addresses it would be of no use.
    assert re.match(r"(?!0{16})[0-9a-f]{16} ", machine.sh(inside + "grep -m 1 ' T kfree_skb' /proc/kallsyms"))
    assert machine.sh(inside + "ls /sys/kernel/btf/vmlinux /proc/1/ns/net").split()
    for path in ("/etc/x", "/usr/x", "/var/lib/x", "/sys/kernel/x", "/root/x", "/home/x"):
        assert machine.sh(inside + f"touch {path} && echo written", check=False) == "", path
    assert machine.sh(inside + "cat /dev/kmsg", check=False) == ""


def test_files_are_closed_to_others(machine, service):
    out = machine.sh(f"stat -c '%a %U:%G' /var/log/virtscope {LOG} /run/virtscope").splitlines()
    assert out == ["750 virtscope:virtscope", "640 virtscope:virtscope", "750 virtscope:virtscope"]


def test_events_are_in_file_and_journal(machine, service):
    events = service.events()
    assert events
    journal = [json.loads(line) for line in machine.sh("journalctl -t virtscope -o json").splitlines()]
    told = {e.get("VIRTSCOPE_ID") for e in journal}
    assert {e["id"] for e in events} <= told


def test_upgrade_keeps_edits_and_numbers_and_restarts(machine, service, deb):
    machine.sh("echo '# edited' >> /etc/virtscope/virtscope.yaml")
    pid = service.pid()
    install(machine, deb)
    service.wait_other_pid(pid)
    assert machine.sh("virtscope --version").strip() == f"virtscope {VERSION}"
    assert machine.sh("tail -n 1 /etc/virtscope/virtscope.yaml").strip() == "# edited"
    assert_no_holes(service.events())


def test_logrotate_loses_no_event(machine, service):
    had = len(service.events())
    pid = service.pid()
    machine.sh("logrotate -f /etc/logrotate.d/virtscope && test -e " + LOG + ".1")
    assert machine.sh(f"stat -c '%a %U:%G' {LOG}").strip() == "640 virtscope:virtscope"
    wait_for("the new file open, and the old one not", lambda: {
        line for line in machine.sh(f"readlink /proc/{pid}/fd/*", check=False).split() if line.startswith(LOG)} == {LOG}, 20)
    assert service.pid() == pid and service.state() == "active"
    # Each start tells something.
    machine.sh("systemctl restart virtscope")
    service.wait_active()
    events = service.events()
    assert len(events) > had
    assert machine.sh(f"cat {LOG}")
    assert_no_holes(events)


def test_reload_is_told_to_the_manager(machine, service):
    pid = service.pid()
    machine.sh("systemctl reload virtscope")
    wait_for("the reload's end", lambda: service.state() == "active", 20)
    assert service.pid() == pid


def test_daemon_that_hangs_is_started_anew(machine, service):
    machine.sh("mkdir -p /run/systemd/system/virtscope.service.d; "
               "printf '[Service]\\nWatchdogSec=4\\n' > /run/systemd/system/virtscope.service.d/test.conf; "
               "systemctl daemon-reload; systemctl restart virtscope")
    service.wait_active()
    pid = service.pid()
    machine.sh(f"kill -STOP {pid}")
    service.wait_other_pid(pid)
    assert service.show("NRestarts")["NRestarts"] == "1"
    machine.sh("rm -r /run/systemd/system/virtscope.service.d; systemctl daemon-reload; systemctl restart virtscope")
    service.wait_active()


def test_bad_configuration_is_told_once_and_not_tried_again(machine, service):
    machine.sh("cp -p /etc/virtscope/virtscope.yaml /root/good; echo 'nonsense: 1' >> /etc/virtscope/virtscope.yaml")
    machine.sh("systemctl restart virtscope", check=False)
    assert service.show("ActiveState", "ExecMainStatus") == {"ActiveState": "failed", "ExecMainStatus": "2"}
    assert service.show("NRestarts")["NRestarts"] == "0"
    assert "nonsense" in machine.sh("journalctl -u virtscope -n 20 -o cat")
    machine.sh("mv /root/good /etc/virtscope/virtscope.yaml; systemctl reset-failed virtscope; systemctl start virtscope")
    service.wait_active()


def test_remove_stops_and_keeps_what_the_administrator_wrote(machine, service):
    machine.sh("apt-get remove -y virtscope")
    assert service.state() == "inactive"
    assert machine.sh("tail -n 1 /etc/virtscope/virtscope.yaml").strip() == "# edited"
    assert machine.sh("pgrep -x virtscope", check=False) == ""


def test_purge_leaves_nothing_behind(machine, service, before):
    machine.sh("apt-get purge -y virtscope && apt-get autoremove -y --purge && systemctl daemon-reload")
    # Of /etc/passwd and its kin there may be a copy more: the user stays.
    left = {line for line in machine.files() - before if not re.search(r"/etc/(passwd|group|g?shadow|subuid|subgid)-?$", line)}
    assert left == set()
