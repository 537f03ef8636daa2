# SPDX-License-Identifier: GPL-2.0-or-later
"""Events on their ways out: file, rotation, full disk, and `virtscope events`."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from lab import sh, wait_for
from probe import VIRTSCOPE, run, validate

SOON_S = 5
HOSTILE = {
    "quotes": 'q"uo\'te\\',
    "newline": "two\nlines\r\n\tPRIORITY=0",
    "escapes": "\x1b[31mred\x1b]0;title\x07\x9b1m\u202eevil",
    "invalid": os.fsdecode(b"\xff\xfe\xc3("),
    "long": "n" * 4096,
}


def config(scratch, text):
    path = scratch / "virtscope.yaml"
    path.write_text(text)
    return ["--config", path]


def lines_of(*paths):
    """Every line of these files, parsed and validated: no half line, no line twice."""
    events = []
    for path in paths:
        *lines, last = pathlib.Path(path).read_text().split("\n")     # splitlines() knows more ends than JSON escapes
        assert last == "", f"{path} ends with half a line"
        for line in lines:
            event = json.loads(line)
            validate(event, "event")
            events.append(event)
    return events


def seqs(events):
    return [e["seq"] for e in events]


def rotated(path):
    """FILE.N, …, FILE.1, FILE: oldest first."""
    old = sorted(path.parent.glob(path.name + ".*"), key=lambda p: -int(p.suffix[1:]))
    return [*old, path]


def come_and_go(lab, ns, n=1, taps=8):
    """About 2 * taps + 2 events each."""
    for _ in range(n):
        vm = lab.vm(ns, [f"t{i}" for i in range(taps)])
        time.sleep(0.3)
        vm.quit()


def ask(probe, *args):
    status, out, err = run("events", "--control", probe.control, *args)
    assert status == 0, err
    return out


def asked(probe, *args):
    return [json.loads(line) for line in ask(probe, "--json", *args).split("\n")[:-1]]


@pytest.fixture
def follow(lab):
    """follow(probe, *options) starts `virtscope events -f`."""
    def start(probe, *args):
        process = subprocess.Popen([VIRTSCOPE, "events", "-f", "--control", probe.control, *args],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        lab.undo.callback(end, process)
        return process

    def end(process):
        if process.poll() is None:
            process.kill()
        process.communicate()
    return start


def test_rotation_while_events_come_loses_no_line_and_doubles_none(lab, daemon, scratch):
    ns = lab.netns()
    path = scratch / "rotated.jsonl"
    limit = 4096
    probe = daemon(*config(scratch, f"events:\n  file: {{path: {path}, max_bytes: {limit}, keep: 100}}\n"), events=None)
    come_and_go(lab, ns, 3, taps=16)
    probe.end()
    files = rotated(path)
    assert len(files) >= 5, [p.name for p in files]
    assert all(p.stat().st_size <= limit for p in files)
    # The next line would not have fitted into any file but the last.
    for this, following in zip(files, files[1:]):
        first = following.read_bytes().split(b"\n")[0] + b"\n"
        assert this.stat().st_size + len(first) > limit
    got = seqs(lines_of(*files))
    assert len(got) >= 3 * 34
    assert got == list(range(1, len(got) + 1))


def test_keep_bounds_the_number_of_files(lab, daemon, scratch):
    ns = lab.netns()
    path = scratch / "few.jsonl"
    probe = daemon(*config(scratch, f"events:\n  file: {{path: {path}, max_bytes: 2048, keep: 2}}\n"), events=None)
    come_and_go(lab, ns, 2, taps=16)
    probe.end()
    assert [p.name for p in rotated(path)] == ["few.jsonl.2", "few.jsonl.1", "few.jsonl"]
    got = seqs(lines_of(*rotated(path)))
    assert got == list(range(got[0], got[0] + len(got)))


def test_logrotate_renames_and_sighup_opens_the_new_file_without_a_line_lost(lab, daemon, scratch):
    ns = lab.netns()
    probe = daemon()
    come_and_go(lab, ns)
    rules = scratch / "rules"
    rules.write_text(f"""{probe.events_path} {{
        rotate 3
        create 0600
        su root root
        postrotate
            kill -HUP {probe.pid}
        endscript
    }}""")
    rules.chmod(0o644)
    for _ in range(2):
        sh("logrotate", "--force", "--state", scratch / "state", rules)
        come_and_go(lab, ns)
    probe.end()
    files = rotated(probe.events_path)
    assert [p.name for p in files] == ["events.jsonl.2", "events.jsonl.1", "events.jsonl"]
    assert all(p.stat().st_size > 0 for p in files)
    got = seqs(lines_of(*files))
    assert got == list(range(1, len(got) + 1))


def test_lines_go_into_the_renamed_file_until_sighup(lab, daemon):
    ns = lab.netns()
    probe = daemon()
    renamed = probe.events_path.with_suffix(".old")
    probe.events_path.rename(renamed)
    come_and_go(lab, ns)
    assert not probe.events_path.exists()
    assert len(lines_of(renamed)) >= 18
    probe.signal(signal.SIGHUP)
    wait_for("the new file", probe.events_path.exists, SOON_S)
    before = len(lines_of(renamed))
    come_and_go(lab, ns)
    probe.end()
    assert len(lines_of(renamed)) == before
    got = seqs(lines_of(renamed, probe.events_path))
    assert got == list(range(1, len(got) + 1))


def test_deleted_file_is_made_again_with_mode_0640(lab, daemon):
    ns = lab.netns()
    probe = daemon()
    come_and_go(lab, ns)
    probe.events_path.unlink()
    vm = lab.vm(ns, ["t0"])
    wait_for("the file", probe.events_path.exists, SOON_S)
    wait_for("the start", lambda: [e for e in lines_of(probe.events_path) if e["vm"] and e["vm"]["pid"] == vm.pid], SOON_S)
    assert probe.events_path.stat().st_mode & 0o777 == 0o640


def test_a_full_disk_is_announced_once_counted_and_recovered(lab, daemon, scratch):
    ns = lab.netns()
    small = scratch / "small"
    small.mkdir()
    sh("mount", "-t", "tmpfs", "-o", "size=4m", "none", small)
    lab.undo.callback(sh, "umount", "-l", small)
    path = small / "events.jsonl"
    probe = daemon("--events", path, events=None)
    come_and_go(lab, ns)
    filler = small / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(b"x" * 4096)
    come_and_go(lab, ns, 2, taps=16)   # more than what is left of the file's last page
    losing, _ = wait_for("sink.dropped", lambda: asked(probe, "--type", "sink.dropped"), SOON_S)
    assert losing[0]["data"] | {"count": 0} == {"sink": "file", "state": "losing", "count": 0,
                                                "why": "No space left on device"}
    validate(losing[0], "event")
    filler.unlink()
    come_and_go(lab, ns)
    wait_for("recovery", lambda: [e for e in asked(probe, "--type", "sink.dropped") if e["data"]["state"] == "recovered"], 15)
    probe.end()
    events = lines_of(path)
    got = seqs(events)
    assert got == sorted(set(got)), "out of order, or twice"
    missing = got[-1] - got[0] + 1 - len(got)
    told = [e["data"]["count"] for e in events if e["type"] == "sink.dropped" and e["data"]["state"] == "recovered"]
    assert got[0] == 1 and missing > 0
    assert sum(told) == missing
    assert len([line for line in probe.stderr if "No space left" in line]) == 1, probe.stderr


def test_numbers_go_on_after_a_restart_whatever_the_sinks_lost(lab, daemon, scratch):
    ns = lab.netns()
    first = daemon("--events", "/dev/full", events=None)
    come_and_go(lab, ns)
    last = asked(first)[-1]["seq"]
    assert last >= 18
    first.end()
    after = int(first.control.with_suffix(".seq").read_text().split()[1])
    assert after > last
    second = daemon()
    vm = lab.vm(ns, ["t0"])
    second.event("vm.start", vm, SOON_S)
    got = seqs(second.events())
    assert got == list(range(after, after + len(got)))


def test_events_are_remembered_filtered_and_counted_from_the_end(lab, daemon):
    ns = lab.netns()
    probe = daemon()
    vm = lab.vm(ns, ["t0", "t1"])
    other = lab.vm(ns, ["t2"])
    probe.event("vnic.attach", vm, SOON_S, data={"vnic": "t1"})
    probe.event("vnic.attach", other, SOON_S)
    of_vm = asked(probe, "--vm", vm.name)
    assert [e["type"] for e in of_vm] == ["vm.start", "vnic.attach", "vnic.attach"]
    assert of_vm == probe.events(vm=vm)
    # Other VMs of the host may come and go meanwhile.
    assert {"vnic.attach"} <= {e["type"] for e in asked(probe, "--type", "vnic.*")} <= {"vnic.attach", "vnic.detach"}
    assert asked(probe, "--vm", vm.name, "--type", "vm.*", "-n", "5") == of_vm[:1]
    assert asked(probe, "--vm", vm.name, "-n", "1") == of_vm[-1:]
    assert asked(probe, "--vm", vm.name, "--since", of_vm[0]["seq"]) == of_vm[1:]
    assert asked(probe, "--vm", "nobody") == []


def test_following_prints_what_comes_and_ctrl_c_ends_it_with_0(lab, daemon, follow):
    ns = lab.netns()
    probe = daemon()
    name = f"followed-{lab.tag}"
    reader = follow(probe, "--json", "--vm", name, "--type", "v[mn]*")
    time.sleep(0.3)
    vm = lab.vm(ns, ["t0"], name=name)
    got = [json.loads(reader.stdout.readline()) for _ in range(2)]
    assert [e["type"] for e in got] == ["vm.start", "vnic.attach"] and got[0]["vm"]["pid"] == vm.pid
    reader.send_signal(signal.SIGINT)
    assert reader.wait(SOON_S) == 0
    assert reader.stderr.read() == ""


def test_a_follower_of_a_daemon_that_ends_says_so_and_exits_1(daemon, follow):
    probe = daemon()
    reader = follow(probe)
    time.sleep(0.3)
    probe.end()
    assert reader.wait(SOON_S) == 1
    assert "ended" in reader.stderr.read()


def test_without_a_daemon_events_exits_1_and_says_what_to_do(scratch):
    status, out, err = run("events", "--control", scratch / "nobody")
    assert status == 1 and out == ""
    assert "virtscope run" in err and str(scratch / "nobody") in err


@pytest.mark.parametrize("args", [["--since", "x"], ["--since", "-1"], ["-n", "0"], ["-n"], ["--type", ""], ["--sample", "2"]],
                         ids=" ".join)
def test_bad_usage_of_events_exits_2(args):
    assert run("events", *args)[0] == 2


def test_a_reader_that_stands_still_delays_neither_events_nor_reports(lab, daemon, follow):
    ns = lab.netns()
    probe = daemon()
    readers = [follow(probe) for _ in range(4)]
    raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    raw.connect(str(probe.control))
    raw.sendall(b'{"request":"events","follow":true}\n')
    lab.undo.callback(raw.close)
    time.sleep(0.3)
    for reader in readers:
        reader.send_signal(signal.SIGSTOP)
    come_and_go(lab, ns, 10, taps=32)   # 660 events, some 240 kB: more than a socket takes
    begin = time.monotonic()
    status, _, err = run("report", "--json", "--duration", "0.5", "--control", probe.control)
    assert status == 0, err
    assert time.monotonic() - begin < 3
    # In the file they are as soon as ever.
    vm = lab.vm(ns, ["t0"])
    probe.event("vnic.attach", vm, SOON_S)
    got = seqs(probe.events())
    assert len(got) >= 660 and got == list(range(1, len(got) + 1))
    # The reader wakes up and has missed nothing: all of it is still remembered.
    text = b""
    raw.settimeout(SOON_S)
    while f'"seq":{got[-1]},'.encode() not in text:
        text += raw.recv(65536)
    assert seqs(map(json.loads, text.split(b"\n")[:-1]))[:len(got)] == got


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_names_come_out_valid_and_steer_no_terminal(lab, daemon, kind):
    ns = lab.netns()
    probe = daemon()
    vm = lab.vm(ns, ["t0"], name=HOSTILE[kind] + lab.tag if kind != "long" else HOSTILE[kind])
    start = probe.event("vm.start", vm, SOON_S)     # read as JSON, valid by the schema
    probe.event("vnic.attach", vm, SOON_S)
    name = start["vm"]["name"]
    if kind == "invalid":
        assert name == "\ufffd\ufffd\ufffd(" + lab.tag
    elif kind == "long":
        assert 200 < len(name) <= 255 and set(name) == {"n"}
    else:
        assert name == vm.name
    assert [e["type"] for e in asked(probe, "--vm", name)] == ["vm.start", "vnic.attach"]
    # Ours only: names of others on this host are not the test's.
    text = ask(probe, "--vm", name)
    assert len(text.splitlines()) == text.count("\n") == 2
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text), repr(text)


def test_text_has_colours_on_a_terminal_only(lab, daemon):
    ns = lab.netns()
    probe = daemon()
    vm = lab.vm(ns, ["t0"])
    probe.event("vnic.attach", vm, SOON_S)
    ns.send("t0", 2000)     # nobody reads: a burst, a warning
    probe.event("drop.burst", vm, 2 * SOON_S)
    plain = ask(probe, "--type", "drop.burst", "--vm", vm.name)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ warning drop\.burst {7}\S+ +[\d]+ packets lost at t0 \(rx.*\)\n",
                        plain.splitlines(True)[0]), plain
    on_terminal = sh("script", "-qec", f"{VIRTSCOPE} events --type drop.burst --control {probe.control}", "/dev/null",
                     env={"PATH": os.environ["PATH"], "TERM": "xterm"})
    assert "\x1b[" in on_terminal and "\x1b" not in plain


AS_VIRTSCOPE = 64210    # uid and gid of a user virtscope that only the daemon's mount namespace knows


@pytest.fixture
def own_user(scratch):
    """A prefix under which there are a user and a group virtscope, as the package makes them."""
    more = {"passwd": f"virtscope:x:{AS_VIRTSCOPE}:{AS_VIRTSCOPE}::/nonexistent:/usr/sbin/nologin\n",
            "group": f"virtscope:x:{AS_VIRTSCOPE}:\n"}
    for name, line in more.items():
        (scratch / name).write_text(pathlib.Path("/etc", name).read_text() + line)
    return ["unshare", "-m", "sh", "-ec",
            f'mount --bind {scratch}/passwd /etc/passwd; mount --bind {scratch}/group /etc/group; exec "$@"', "own-user"]


def test_members_of_the_group_may_read_the_file_and_ask_and_others_may_not(lab, daemon, scratch, own_user):
    os.chown(scratch, AS_VIRTSCOPE, AS_VIRTSCOPE)
    ns = lab.netns()
    probe = daemon("--user", "virtscope", prefix=own_user)
    vm = lab.vm(ns, ["t0"])
    probe.event("vm.start", vm, SOON_S)
    for path, mode in ((probe.events_path, 0o640), (probe.control, 0o660)):
        seen = path.stat()
        assert (seen.st_gid, seen.st_mode & 0o777) == (AS_VIRTSCOPE, mode), path
    binary = scratch / "virtscope"
    shutil.copy(VIRTSCOPE, binary)      # the tree may lie where only root may look
    command = [binary, "events", "--json", "--vm", vm.name, "--control", probe.control]
    member = ["setpriv", "--reuid=65534", "--regid=65534", f"--groups={AS_VIRTSCOPE}"]
    assert json.loads(sh(*member, *command).splitlines()[0])["type"] == "vm.start"
    assert vm.name in sh(*member, "cat", probe.events_path)
    other = subprocess.run([*map(str, ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command])],
                           capture_output=True, text=True)
    assert other.returncode == 3 and "group virtscope" in other.stderr, other.stderr
    with pytest.raises(RuntimeError):
        sh("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", probe.events_path)
    # Rotated and made again by the daemon's own rights.
    probe.events_path.unlink()
    vm.quit()
    wait_for("the file", probe.events_path.exists, SOON_S)
    assert (probe.events_path.stat().st_gid, probe.events_path.stat().st_mode & 0o777) == (AS_VIRTSCOPE, 0o640)
