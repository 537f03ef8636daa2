# SPDX-License-Identifier: GPL-2.0-or-later
"""What the two processes of the daemon may do, and what the end of one means to the other."""
import json
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import time

import pytest

from lab import wait_for
from probe import Daemon, bpf_ids, bpf_objects, children, status

# linux/capability.h; docs/SECURITY.md says what for.
KEPT = {"CAP_DAC_READ_SEARCH": 2, "CAP_NET_ADMIN": 12, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21,
        "CAP_SYS_RESOURCE": 24, "CAP_SYSLOG": 34, "CAP_PERFMON": 38, "CAP_BPF": 39}
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
USER = "nobody"
SOON_S = 5
HUNG_S = 20 + 1 + 4      # the limit of a call, the wait for the next tick, slack


def capabilities(pid):
    row = status(pid)
    return {name: int(row[name], 16) for name in SETS}


@pytest.fixture
def as_user(lab, scratch):
    """A daemon that serves as another user, in a folder of that user's."""
    folder = scratch / "theirs"
    folder.mkdir()
    for path in (scratch, *scratch.parents):
        if not path.stat().st_mode & 0o001 and path != pathlib.Path("/"):
            path.chmod(path.stat().st_mode | 0o011)
    shutil.chown(folder, USER)

    def start(*args):
        process = Daemon(folder, "--user", USER, *args)
        lab.undo.callback(process.end)
        return process.ready()
    return start


def test_the_process_that_serves_holds_no_capability_and_can_gain_none(daemon):
    probe = daemon()
    row = status(probe.pid)
    assert capabilities(probe.pid) == dict.fromkeys(SETS, 0)
    assert row["NoNewPrivs"] == "1"
    assert row["Seccomp"] == "2"    # a filter
    assert row["Uid"].split() == ["0"] * 4      # no user was given


def test_the_probe_process_keeps_what_it_needs_and_no_more(daemon):
    probe = daemon()
    # What this test itself does not hold (in a container, say) cannot be kept.
    kept = sum(1 << bit for bit in KEPT.values()) & capabilities(os.getpid())["CapPrm"]
    assert capabilities(probe.probe_pid) == {"CapInh": 0, "CapAmb": 0, "CapPrm": kept, "CapEff": kept, "CapBnd": kept}
    assert status(probe.probe_pid)["NoNewPrivs"] == "1"


@pytest.mark.parametrize("of_daemon", [True, False], ids=["daemon", "standalone"])
def test_the_process_that_asks_libvirt_holds_no_capability(daemon, look, of_daemon):
    parent = daemon().probe_pid if of_daemon else look().pid
    [agent], _ = wait_for("virtscope-libvirt", lambda: children(parent, "virtscope-libvi"), SOON_S)
    time.sleep(0.2)     # it begins with all that its parent has
    found = capabilities(agent)
    assert not any(found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")), found
    assert status(agent)["NoNewPrivs"] == "1"


def links(pid):
    return {int(f.name): os.readlink(f) for f in pathlib.Path(f"/proc/{pid}/fd").iterdir()}


def test_the_probe_process_has_no_descriptor_but_its_own(daemon):
    """Neither the daemon's output nor what the daemon was given; and the daemon nothing of BPF."""
    given = "/proc/self/status"
    probe = daemon(prefix=("/bin/bash", "-c", f'exec 9<{given}; exec "$@"', "bash"))
    mine, its = links(probe.pid), links(probe.probe_pid)
    assert mine[9].endswith("/status") and "pipe:" in mine[1]
    assert its[0] == its[1] == "/dev/null"
    others = [name for fd, name in its.items() if fd > 2]
    assert not [n for n in others if n.startswith("/") and "memfd:" not in n and not n.startswith("/dev/null")], its
    assert sum("pipe:" in n for n in others) == 1, its      # the one that ties it to the daemon
    assert not [n for n in mine.values() if "bpf" in n or "btf" in n], mine


def test_with_a_user_the_daemon_is_that_user_with_its_groups_only(lab, as_user):
    vm = lab.vm(lab.netns(), ["t0"])
    probe = as_user()
    entry, row = pwd.getpwnam(USER), status(probe.pid)
    assert row["Uid"].split() == [str(entry.pw_uid)] * 4
    assert row["Gid"].split() == [str(entry.pw_gid)] * 4
    assert set(map(int, row["Groups"].split())) == set(os.getgrouplist(USER, entry.pw_gid))
    assert capabilities(probe.pid) == dict.fromkeys(SETS, 0)
    assert status(probe.probe_pid)["Uid"].split() == ["0"] * 4
    # It works all the same, and what it writes is that user's.
    probe.event("vnic.attach", vm)
    assert probe.events_path.stat().st_uid == entry.pw_uid


def test_a_daemon_of_a_user_cannot_write_where_only_root_can(scratch, lab):
    folder = scratch / "roots"
    folder.mkdir(mode=0o755)
    process = Daemon(folder, "--user", USER)
    lab.undo.callback(process.end)
    assert process.wait(SOON_S) == 1
    assert any("Permission denied" in line for line in process.stderr), process.stderr


def test_without_a_user_the_daemon_still_cannot_read_another_users_file(scratch, lab):
    """Root without capabilities is a user like others: 0600 of somebody else is closed to it."""
    theirs = scratch / "events.jsonl"
    theirs.write_text("")
    shutil.chown(theirs, USER)
    theirs.chmod(0o600)
    process = Daemon(scratch)
    lab.undo.callback(process.end)
    assert process.wait(SOON_S) == 1
    assert any("Permission denied" in line for line in process.stderr), process.stderr


def test_an_unknown_user_is_an_error(scratch, lab):
    process = Daemon(scratch, "--user", "no-such-user-here")
    lab.undo.callback(process.end)
    assert process.wait(SOON_S) == 1
    assert any("no-such-user-here" in line for line in process.stderr), process.stderr


def test_the_probe_process_killed_ends_the_daemon_with_1_and_a_word(daemon):
    probe = daemon()
    os.kill(probe.probe_pid, signal.SIGKILL)
    assert probe.wait(SOON_S) == 1
    assert any("probe process was ended by signal 9" in line for line in probe.stderr), probe.stderr


def test_a_probe_process_that_hangs_is_noticed_and_goes_with_the_daemon(daemon):
    probe = daemon()
    held, ours = probe.probe_pid, bpf_objects(probe.pid)
    assert ours
    os.kill(held, signal.SIGSTOP)
    assert probe.wait(HUNG_S) == 1
    assert any("probe process does not answer" in line for line in probe.stderr), probe.stderr
    wait_for("the stopped process gone", lambda: not pathlib.Path(f"/proc/{held}").exists(), SOON_S)
    wait_for("BPF objects gone", lambda: not bpf_ids() & set(ours), SOON_S)


@pytest.mark.parametrize("stopped", [False, True], ids=["probe_runs", "probe_stopped"])
@pytest.mark.parametrize("user", [False, True], ids=["same_user", "other_user"])
def test_kill_9_of_the_daemon_ends_the_probe_process_and_leaves_nothing_in_the_kernel(daemon, as_user, user, stopped):
    probe = as_user() if user else daemon()
    held, ours = probe.probe_pid, bpf_objects(probe.pid)
    assert {"prog", "map"} <= {kind for kind, _ in ours}
    if stopped:
        os.kill(held, signal.SIGSTOP)
    probe.signal(signal.SIGKILL)
    probe.wait(SOON_S)
    wait_for("the probe process gone", lambda: not pathlib.Path(f"/proc/{held}").exists(), 2)
    wait_for("BPF objects gone", lambda: not bpf_ids() & set(ours), SOON_S)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["int", "term", "hup"])
def test_a_signal_to_all_processes_is_the_daemons_to_obey(daemon, number):
    probe = daemon()
    held = probe.probe_pid
    os.kill(held, number)
    time.sleep(0.5)
    assert probe.process.poll() is None and pathlib.Path(f"/proc/{held}").exists()
    probe.signal(signal.SIGINT)
    assert probe.wait(SOON_S) == 0, probe.stderr
    assert not pathlib.Path(f"/proc/{held}").exists()
    assert not [line for line in probe.stderr if "probe process" in line], probe.stderr


def test_the_cost_in_the_report_is_that_of_both_processes(daemon):
    probe = daemon()
    report = subprocess.run([probe.argv[0], "report", "--json", "-d", "2", "--control", str(probe.control)],
                            capture_output=True, text=True, check=True).stdout
    said = json.loads(report)["self"]["rss_bytes"]
    assert said == pytest.approx(probe.rss_kib() * 1024, rel=0.1)
    assert said > int(status(probe.probe_pid)["VmRSS"].split()[0]) * 1024 * 1.05
