# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: exit statuses, rights, tiers, the report for people."""
import json
import shutil
import signal
import time

import pytest

from lab import sh
from probe import READY, VIRTSCOPE, Process, Report, run, validate

NOT_ROOT = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
NO_BPF = ["setpriv", "--bounding-set", "-bpf,-perfmon,-sys_admin"]


@pytest.mark.parametrize("args", [
    [],
    ["nosuch"],
    ["report", "--nosuch"],
    ["report", "--duration"],
    ["report", "--duration", "soon"],
    ["report", "--duration", "-1"],
    ["report", "--vm", "nameonly"],
    ["report", "--vm", "name=notapid"],
    ["report", "--deny-hook", "nosuch"],
    ["report", "--sample", "0x"],
    ["run", "surplus"],
], ids=lambda args: " ".join(args) or "nothing")
def test_bad_usage_exits_2_and_says_why(args):
    status, out, err = run(*args)
    assert status == 2, (status, err)
    assert out == "" and err.strip()


def test_help_and_version_exit_0_on_stdout():
    for args in (["-h"], ["--help"], ["--version"], ["run", "-h"], ["report", "-h"], ["doctor", "-h"]):
        status, out, err = run(*args)
        assert status == 0 and out.strip() and not err, (args, err)


@pytest.mark.parametrize("command", [["report", "--duration", "0.2"], ["run"]], ids=["report", "run"])
def test_not_root_exits_3_and_says_what_to_do(scratch, command):
    binary = scratch / "virtscope"
    shutil.copy(VIRTSCOPE, binary)
    binary.chmod(0o755)
    # A copy: the tree may lie where only root may look.
    argv = [*NOT_ROOT, binary, *command, "--control", scratch / "nobody"]
    with pytest.raises(RuntimeError) as failure:
        sh(*argv)
    status, message = str(failure.value).split(": ", 2)[1:]
    assert status == "3", message
    assert "root" in message or "CAP_" in message


def without_btf(scratch):
    empty = scratch / "no-btf"
    empty.touch()
    return ["unshare", "-m", "sh", "-c",
            f'mount --bind {empty} /sys/kernel/btf/vmlinux && exec "$@"', "no-btf"]


@pytest.mark.parametrize("lacking", ["bpf", "btf"])
def test_without_bpf_tier_0_runs_and_says_so(lab, look, scratch, lacking):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0"])
    prefix = ["ip", "netns", "exec", ns.name] + (NO_BPF if lacking == "bpf" else without_btf(scratch))
    measure = look(prefix=prefix)
    sent = ns.send("t0", 1200)
    got = vm.do("read")
    report = measure.finish()
    assert any("tier 0" in line for line in measure.stderr), measure.stderr
    assert report["probes"] and not [p for p in report["probes"].values() if p["state"] in ("active", "fallback")
                                     and "tp_btf" in json.dumps(p)]
    vnic = report.vnic(vm, "t0")
    assert (vnic["rx"]["packets"], vnic["rx"]["bytes"]) == (got["packets"], got["bytes"])
    assert vnic["rx"]["kernel_dropped"] == sent["accepted"] - got["packets"] == 200
    # Not measurable is null, never 0.
    assert vnic["rx"]["residence_us"] is None and vnic["rx"]["drops"] is None


@pytest.mark.parametrize("lacking", ["bpf", "btf"])
def test_require_bpf_exits_3_without_it(scratch, lacking):
    prefix = NO_BPF if lacking == "bpf" else without_btf(scratch)
    status, _, err = run("report", "--standalone", "--duration", "0.2", "--require-bpf", prefix=prefix)
    assert status == 3, err
    assert err.strip()


def test_a_second_run_exits_1_and_names_the_first(daemon):
    first = daemon()
    status, _, err = run("run", "--control", first.control)
    assert status == 1
    assert str(first.pid) in err
    assert first.process.poll() is None


def test_a_lock_left_by_a_killed_daemon_does_not_block_the_next(daemon):
    first = daemon()
    first.signal(signal.SIGKILL)
    first.wait()
    second = daemon()
    assert second.process.poll() is None


def test_report_uses_the_running_daemon_and_says_the_same(lab, daemon):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0"])
    probe = daemon()
    probe.event("vnic.attach", vm)
    ns.send("t0", 1500)     # before the look: not in it
    measure = Process(["report", "--json", "--duration", "60", "--control", probe.control]).ready()
    lab.undo.callback(measure.end)
    time.sleep(0.2)
    ns.send("t0", 33)
    vm.do("read", count=100)
    measure.signal(signal.SIGINT)
    assert measure.wait() == 0, measure.stderr
    report = Report(json.loads(measure.stdout))
    validate(report, "report")
    rx = report.vnic(vm, "t0")["rx"]
    assert rx["kernel_dropped"] == 33 and rx["unexplained"] == 0
    assert sum(d["count"] for d in rx["drops"] if d["reason"] == "FULL_RING") == 33
    assert rx["packets"] == 100
    assert report["self"]["rss_bytes"] == pytest.approx(probe.rss_kib() * 1024, rel=0.5)


def test_a_report_ends_by_itself_after_its_duration(lab):
    vm = lab.vm()
    begin = time.monotonic()
    status, out, err = run("report", "--json", "--standalone", "--duration", "0.7")
    assert status == 0, err
    report = Report(json.loads(out))
    validate(report, "report")
    assert report["duration_s"] == pytest.approx(0.7, abs=0.3) and time.monotonic() - begin < 6
    assert report.vm(vm)["uuid"] == vm.uuid
    assert READY in err


def test_the_text_report_has_units_and_dashes_and_lines_up(lab):
    ns = lab.netns()
    disk = lab.disk(mib=8)
    vm = lab.vm(ns, ["t0"], [disk])
    measure = Process(["report", "--standalone", "--duration", "60"]).ready()
    lab.undo.callback(measure.end)
    ns.send("t0", 1100)
    vm.do("read")
    vm.do("disk", op="read", count=20)
    measure.signal(signal.SIGINT)
    assert measure.wait() == 0, measure.stderr
    text = measure.stdout
    assert vm.name in text and "t0" in text and disk.name in text and "FULL_RING" in text
    assert "\t" not in text and "\x1b" not in text
    assert "µs" in text or "us" in text
    assert "-" in text.split() and "null" not in text and "None" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_histogram_prints_the_histograms(lab):
    disk = lab.disk(mib=8)
    vm = lab.vm(disks=[disk])
    texts = []
    for more in ([], ["--histogram"]):
        measure = Process(["report", "--standalone", "--duration", "60", *more]).ready()
        lab.undo.callback(measure.end)
        vm.do("disk", op="read", count=20)
        measure.signal(signal.SIGINT)
        assert measure.wait() == 0, measure.stderr
        texts.append(measure.stdout)
    assert len(texts[1].splitlines()) > len(texts[0].splitlines()) + 1


def test_doctor_says_facts_choices_and_losses():
    status, out, err = run("doctor")
    assert status == 0, err
    assert "tp_btf" in out and "throttl" in out
    status, out, err = run("doctor", "--json", "--deny-hook", "tp_btf")
    assert status == 0, err
    assert "fallback" in out and json.loads(out)


def test_doctor_tells_the_form_of_each_loaded_program_and_the_verifiers_work():
    forms = {}
    for deny in ([], ["--deny-hook", "tp_btf"]):
        status, out, err = run("doctor", "--json", "--libvirt", "none", *deny)
        assert status == 0, err
        probes = json.loads(out)["probes"]
        loaded = [p for probe in probes.values() for p in probe["loaded"]]
        assert all(p["hook"].startswith(p["form"] + "/") for p in loaded)
        # The kernel tells of all (5.16 and later) or of none.
        counts = [p["verified_insns"] for p in loaded]
        assert all(n is None for n in counts) or all(n > 0 for n in counts)
        for name, probe in probes.items():
            assert bool(probe["programs"]) == bool(probe["loaded"]), name
        assert {p["program"] for p in probes["cpu.threads"]["loaded"]} == {"vs_tasks"}
        assert len(probes["sched.deep"]["loaded"]) == 3
        forms[bool(deny)] = {p["form"] for p in loaded}
    assert "tp_btf" in forms[False] and "raw_tp" in forms[True] and "tp_btf" not in forms[True]


def test_denying_a_hook_shows_as_fallback(lab, look):
    states = {}
    for deny in ([], ["--deny-hook", "tp_btf"]):
        report = look(*deny).finish()
        states[bool(deny)] = {p["state"] for p in report["probes"].values()}
    assert "fallback" in states[True]
    assert "failed" not in states[True] | states[False]
