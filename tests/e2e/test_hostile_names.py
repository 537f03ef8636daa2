# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that guests' owners choose to do harm, through every output at once: valid, whole, apart, and nothing steers a terminal."""
import json
import os
import pty
import re
import select
import subprocess
import time

import pytest

from lab import wait_for
from probe import VIRTSCOPE, Process, run, validate
from test_journal import journal    # noqa: F401 (a fixture)
from test_metrics import Page, Server

SOON_S = 10
# Between marks, so that what is left of each can be found; 47 is a colour that virtscope never uses.
NAMES = {
    "quotes": 'q"u\'o\\t`e</script>{{$labels}}${HOME}%s%n',
    "newlines": "two\nlines\r\nvm.stop\x0b\x0c\x85end",
    "csi": "\x1b[35;47mred\x1b[2J\x1b[6n",
    "osc": "\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x1b\\",
    "c1": "\u009b35;47m\u009d0;title\u009c",
    "dcs": "\x1bP$q\"p\x1b\\\x05\x08\x08\x7f",
    "bidi": "\u202eevil\u2066\u2069\u200f\u200e\u061c\u2028\u2029",
    "invalid": os.fsdecode(b"\xff\xfe\xc3(\xed\xa0\x80\xf5"),
    "invalid2": os.fsdecode(b"\xfe\xff\xc3(\xed\xa0\x80\xf6"),   # the same once it is valid
    "c1raw": os.fsdecode(b"\x9b35;47m\x90"),
    "labels": 'x",vm="other"} 1\nvirtscope_vm_info{vm="forged',
    "blank": " ",
    "json": '{"name":null},\\u0000',
    "long": "n" * 4096,
    "long2": "n" * 4095 + "m",      # the same once it is cut
    "commas": "a,debug-threads=on,process=init",
    "twin 1": "twin", "twin 2": "twin", "twin 3": "twin",
    # What steers: C0 but the newline, DEL, C1, marks and overrides of direction, separators of lines.
}
STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
OWN_COLOURS = re.compile(r"\x1b\[(?:[0-9]|[39][0-7]|[0-9];3[0-7])?m")


def on_terminal(*argv, columns=200):
    """What a program writes to a terminal; \\r\\n is the terminal's own line end."""
    master, slave = pty.openpty()
    child = subprocess.Popen([str(a) for a in argv], stdin=slave, stdout=slave, stderr=slave, close_fds=True,
                             env={"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8", "COLUMNS": str(columns)})
    os.close(slave)
    raw = b""
    while select.select([master], [], [], 30)[0]:
        try:
            piece = os.read(master, 65536)
        except OSError:     # EIO: the other end is closed
            break
        raw += piece
    os.close(master)
    assert child.wait(10) == 0, raw
    return raw.decode().replace("\r\n", "\n")      # invalid UTF-8 raises


def assert_harmless(text, what):
    left = OWN_COLOURS.sub("", text)
    found = STEERS.search(left)
    assert not found, f"{what}: {found[0]!r} in {left[max(0, found.start() - 60):found.end() + 60]!r}"


class Everything(Server):
    """A daemon with all outputs: event file, journal, control socket, HTTP."""

    def __init__(self, scratch, journal):   # noqa: F811
        self.tls, self.control, self.events_path = None, scratch / "control", scratch / "events.jsonl"
        Process.__init__(self, ["run", "--events", self.events_path, "--control", self.control, "--journal",
                                "--metrics", "127.0.0.1:0"], journal.inside)


@pytest.fixture
def guests(lab):
    ns = lab.netns()
    vms = {kind: lab.vm(ns, [f"h{i}"], name=name.replace(",", ",,")) for i, (kind, name) in enumerate(NAMES.items())}
    # One that looks like what tells two of one name apart.
    vms["forged"] = lab.vm(ns, ["h99"], name=f"twin~{vms['twin 2'].pid}")
    return vms


@pytest.fixture
def told(lab, scratch, journal, guests):      # noqa: F811
    """A daemon with every output, which has told of all guests."""
    server = Everything(scratch, journal)
    lab.undo.callback(server.end)
    server.ready()

    def attached():
        pids = {e["vm"]["pid"] for line in server.events_path.read_text().split("\n")[:-1]
                if (e := json.loads(line))["type"] == "vnic.attach"}
        return {vm.pid for vm in guests.values()} <= pids
    wait_for("all guests", attached, SOON_S)
    return server


def test_events_file_is_valid_line_by_line(told, guests):
    raw = told.events_path.read_bytes()
    seqs, starts = [], {}
    for line in raw.decode().removesuffix("\n").split("\n"):
        event = json.loads(line)
        validate(event, "event")
        assert not re.search("[\x00-\x1f]", line)
        seqs.append(event["seq"])
        if event["type"] == "vm.start":
            starts[event["vm"]["pid"]] = event["vm"]["name"]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    for kind in ("quotes", "newlines", "csi", "osc", "bidi", "labels", "json", "commas"):
        assert starts[guests[kind].pid] == NAMES[kind], kind
    assert starts[guests["long"].pid] == "n" * 255
    assert starts[guests["invalid"].pid].startswith("\ufffd\ufffd\ufffd(")


def test_journal_has_each_guest_and_no_field_of_their_making(told, guests, journal):     # noqa: F811
    entries, _ = wait_for("entries", lambda: (e := journal.read("VIRTSCOPE_TYPE=vm.start")) and len(e) >= len(guests) and e,
                          SOON_S, 0.5)
    names = {int(e["VIRTSCOPE_VM_PID"]): e["VIRTSCOPE_VM"] for e in entries}
    for kind in ("quotes", "newlines", "csi", "osc", "bidi", "labels", "json"):
        assert names[guests[kind].pid] == NAMES[kind], kind
    assert all(e["VIRTSCOPE_TYPE"] == "vm.start" for e in entries)
    assert_harmless(journal.text(), "journalctl")


def test_report_is_valid_and_has_each_guest(told, guests):
    status, out, err = run("report", "--control", told.control, "--duration", 1, "--json")
    assert status == 0, err
    report = json.loads(out)
    validate(report, "report")
    names = {v["pid"]: v["name"] for v in report["vms"]}
    assert names[guests["quotes"].pid] == NAMES["quotes"]
    assert names[guests["newlines"].pid] == NAMES["newlines"]
    assert [names[guests[f"twin {i}"].pid] for i in (1, 2, 3)] == ["twin"] * 3
    assert all(vm.pid in names for vm in guests.values())


@pytest.mark.parametrize("columns", [200, 40])
@pytest.mark.parametrize("more", [[], ["--histogram"]], ids=["table", "histogram"])
def test_report_on_a_terminal_lets_nothing_pass(told, guests, more, columns):
    text = on_terminal(VIRTSCOPE, "report", "--control", told.control, "--duration", 1, *more, columns=columns)
    assert_harmless(text, "report")
    assert r"\x1b]0;title\x07" in text.replace("\n", "")     # shown, but as text
    assert "vm.stop" not in [line.strip() for line in text.splitlines()]


def test_report_as_json_on_a_terminal_lets_nothing_pass(told, guests):
    text = on_terminal(VIRTSCOPE, "report", "--control", told.control, "--duration", 1, "--json")
    assert text.isascii() and not re.search("[\x00-\x09\x0b-\x1f]", text)
    assert NAMES["c1"] in [v["name"] for v in json.loads(text[text.index("{"):])["vms"]]


def test_doctor_on_a_terminal_lets_nothing_pass(guests):
    assert_harmless(on_terminal(VIRTSCOPE, "doctor"), "doctor")


def test_events_on_a_terminal_let_nothing_pass(told, guests):
    text = on_terminal(VIRTSCOPE, "events", "--control", told.control)
    assert_harmless(text, "events")
    assert r"\x1b]0;title\x07" in text
    as_json = on_terminal(VIRTSCOPE, "events", "--json", "--control", told.control)
    for line in as_json.split("\n")[:-1]:
        assert json.loads(line)
    assert as_json.isascii() and not re.search("[\x00-\x09\x0b-\x1f]", as_json)


def test_events_of_a_hostile_name_can_be_asked_for(told, guests):
    for kind in ("quotes", "newlines", "csi", "bidi", "labels"):
        status, out, err = run("events", "--control", told.control, "--json", "--vm", NAMES[kind])
        assert status == 0, err
        pids = {json.loads(line)["vm"]["pid"] for line in out.split("\n")[:-1]}
        assert pids == {guests[kind].pid}, kind


def test_metrics_are_valid_and_no_two_guests_share_a_series(told, guests, tmp_path):
    wait_for("a page", lambda: told.get("/metrics")[2].count("virtscope_vm_info{") >= len(guests), SOON_S, 0.5)
    text = told.get("/metrics")[2]
    r = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True)
    assert r.returncode == 0, r.stderr.decode()
    # Lines as the format has them: split at \n only, as a name may hold other separators.
    page = Page("\n".join(line.replace("\x0b", " ").replace("\x0c", " ").replace("\x85", " ").replace("\r", " ")
                          .replace("\u2028", " ").replace("\u2029", " ") for line in text.split("\n")))
    info = {int(dict(labels)["pid"]): dict(labels)["vm"] for labels in page.all("virtscope_vm_info")}
    mine = [info[vm.pid] for vm in guests.values()]
    assert len(mine) == len(set(mine)), sorted(mine)
    assert "forged" not in info.values() and "other" not in info.values()
    vnics = page.all("virtscope_vnic_packets_total", direction="rx")
    for name in mine:
        assert sum(dict(labels)["vm"] == name for labels in vnics) == 1, name
    assert not re.search("[\x00-\x08\x0e-\x1f]", re.sub("[\x1b\x05\x07\x08]", "", text))


def test_api_report_is_valid(told, guests):
    status, headers, body = told.get("/api/v1/report")
    assert status == 200 and headers["Content-Type"].startswith("application/json")
    report = json.loads(body)
    validate(report, "report")
    assert {vm.pid for vm in guests.values()} <= {v["pid"] for v in report["vms"]}


def test_no_name_reaches_the_daemons_own_log_raw(told, guests):
    for vm in guests.values():
        vm.quit()
    time.sleep(2.5)
    for line in told.stderr:
        assert_harmless(line, "stderr")
