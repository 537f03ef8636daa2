# SPDX-License-Identifier: GPL-2.0-or-later
"""CPU of VMs: run time, steal, exits, and who ran instead.

Ground truth is what the test itself reads from /proc and from KVM's debugfs.
Times are compared with each other, never with a clock of the test's own making:
the machine may be slow and shared.
"""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

from lab import HARNESS, Vm, wait_for
from probe import bpf_objects, run

KVM_STATS = pathlib.Path("/sys/kernel/debug/kvm")
NEAR = 0.06     # of wall time: samples and the test's own reads are not of one moment
BUSY_S = 2.5


def schedstat(tid, fresh_s=0.5):
    """(run, run delay) in ns, and when that was read.

    A wait counts when it ends. So this reads when the thread has just got its CPU,
    or after half a second without a wait that ended.
    """
    begin, slices = time.monotonic(), None
    while True:
        run_ns, delay_ns, now = map(int, pathlib.Path(f"/proc/{tid}/schedstat").read_text().split())
        if slices not in (None, now) or time.monotonic() - begin > fresh_s:
            return run_ns, delay_ns, time.monotonic_ns()
        slices = now
        time.sleep(0.001)


def since(before, after):
    """run and run delay as shares of the wall time."""
    wall = after[2] - before[2]
    return (after[0] - before[0]) / wall, (after[1] - before[1]) / wall


def threads(report, vm, role=None):
    rows = report.vm(vm)["cpu"]["threads"]
    return [t for t in rows if not role or t["role"] == role]


def thread(report, vm, tid):
    found = [t for t in threads(report, vm) if t["tid"] == tid]
    assert len(found) == 1, f"{tid} is not once among {threads(report, vm)}"
    return found[0]


def deep_thread(report, tid):
    found = [t for t in report["deep"]["threads"] if t["tid"] == tid]
    assert len(found) == 1, f"{tid} is not once among {[t['tid'] for t in report['deep']['threads']]}"
    return found[0]


def sched_programs():
    return sorted(name for (kind, _), name in bpf_objects().items() if kind == "prog" and name.startswith("vs_sched"))


@pytest.fixture
def cpu():
    return max(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def before_others():
    """What a test poses with has more right to a CPU than the rest of a busy machine, all of it the same."""
    group = pathlib.Path("/proc/self/autogroup")

    def prefer(nice):
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        with contextlib.suppress(OSError):
            group.write_text(str(nice))
    prefer(-12)
    yield
    prefer(0)


@pytest.fixture
def hog(lab):
    """hog(cpu) starts a process that does nothing but run there."""
    def start(where):
        process = subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"],
                                   preexec_fn=lambda: os.sched_setaffinity(0, {where}))
        lab.undo.callback(lambda: (process.kill(), process.wait()))
        return process
    return start


@pytest.fixture
def kvm_guest(lab, scratch):
    """A real KVM guest; see tests/harness/kvm_guest.c."""
    def start(*options):
        folder = scratch / f"kvm-{len(list(scratch.iterdir()))}"
        folder.mkdir()
        binary = folder / "qemu-system-x86_64"
        shutil.copy(HARNESS / "kvm_guest", binary)
        vm = Vm(binary, f"kvm-{lab.tag}", None, [], [], None, options)
        lab.undo.callback(vm.quit)
        return vm
    if not os.access("/dev/kvm", os.W_OK):
        pytest.skip("no /dev/kvm here")
    return start


def kvm_stats_readable():
    try:
        (KVM_STATS / "exits").read_text()
    except OSError:
        return False
    return True


def kvm_stat(vm, name):
    return sum(int(path.read_text()) for path in KVM_STATS.glob(f"{vm.pid}-*/{name}"))


@pytest.fixture(params=[None, "iter"], ids=["iterator", "proc"])
def reading(request):
    return ["--deny-hook", request.param] if request.param else []


def test_steal_is_the_run_queue_delay_that_schedstat_counts(lab, look, hog, cpu, reading):
    vm = lab.vm()
    tid, = vm.do("threads", name="CPU_0/KVM", cpu=cpu, mode="burn")["tids"]
    hog(cpu)
    measure = look(*reading)
    before = schedstat(tid)
    time.sleep(BUSY_S)
    after = schedstat(tid)
    report = measure.finish()
    ran, waited = since(before, after)
    assert report["probes"]["cpu.threads"]["state"] == ("fallback" if reading else "active")
    row, total = thread(report, vm, tid), report.vm(vm)["cpu"]
    assert waited > 0.2, "the hog does not compete: the test says nothing"
    assert (row["role"], row["index"], row["name"]) == ("vcpu", 0, "CPU 0/KVM")
    assert row["run_ratio"] == pytest.approx(ran, abs=NEAR)
    assert row["run_delay_ratio"] == pytest.approx(waited, abs=NEAR)
    assert total["steal_ratio"] == pytest.approx(waited, abs=NEAR)
    # It never slept: whenever it had no CPU, that was steal, not idling.
    assert total["utilization_ratio"] == pytest.approx(1, abs=2 * NEAR)
    assert total["vcpus"] == 1


def test_a_sleeping_vcpu_is_idle_and_halves_the_utilisation_of_two(lab, look, reading):
    vm, idle = lab.vm(), lab.vm()
    busy, = vm.do("threads", name="CPU_0/KVM", mode="burn")["tids"]
    vm.do("threads", name="CPU_1/KVM")
    idle.do("threads", name="CPU_0/KVM", count=3)
    idle.do("threads", name="IO_iothread0")
    measure = look(*reading)
    before = schedstat(busy)
    time.sleep(BUSY_S)
    ran, waited = since(before, schedstat(busy))
    report = measure.finish()
    # run / (run + idle): the other vCPU idles for the whole wall time.
    assert report.vm(vm)["cpu"]["utilization_ratio"] == pytest.approx(ran / (2 - waited), abs=NEAR)
    assert report.vm(idle)["cpu"]["utilization_ratio"] == pytest.approx(0, abs=0.001)
    assert report.vm(idle)["cpu"]["steal_ratio"] == pytest.approx(0, abs=0.001)
    assert len(threads(report, idle, "vcpu")) == report.vm(idle)["cpu"]["vcpus"] == 3
    assert [t["name"] for t in threads(report, idle, "iothread")] == ["IO iothread0"]
    assert len(threads(report, idle, "emulator")) == 1


def test_a_vm_without_vcpu_threads_has_no_utilisation(lab, look):
    vm = lab.vm()
    report = look().finish()
    cpu = report.vm(vm)["cpu"]
    assert cpu["utilization_ratio"] is cpu["steal_ratio"] is cpu["halt_polling"] is cpu["vcpus"] is None
    assert [t["role"] for t in cpu["threads"]] == ["emulator"]


def test_a_thread_that_began_meanwhile_has_no_ratio_yet(lab, look, reading):
    vm = lab.vm()
    vm.do("threads", name="CPU_0/KVM")
    measure = look(*reading)
    late, = vm.do("threads", name="CPU_1/KVM", mode="burn")["tids"]
    time.sleep(0.3)
    report = measure.finish()
    assert thread(report, vm, late)["run_ratio"] is None
    assert report.vm(vm)["cpu"]["utilization_ratio"] == pytest.approx(0, abs=0.001)


@pytest.mark.skipif(not kvm_stats_readable(), reason="KVM's statistics in debugfs cannot be read here")
@pytest.mark.parametrize("how", ["standalone", "daemon"])
def test_exits_equal_those_that_the_guest_made(kvm_guest, look, daemon, how):
    vm = kvm_guest()
    vm.do("run", count=10)
    if how == "daemon":
        measure = look("--control", daemon().control, standalone=False)
    else:
        measure = look()
    before = kvm_stat(vm, "io_exits")
    vm.do("run", count=1234)
    assert kvm_stat(vm, "io_exits") - before == 1234
    all_exits = kvm_stat(vm, "exits")
    cpu = measure.finish().vm(vm)["cpu"]
    assert cpu["exits"]["io_exits"] == 1234
    assert 1234 <= cpu["exits"]["exits"] <= all_exits
    assert cpu["halt_polling"] == "subtracted"
    assert "pages_4k" not in cpu["exits"]


def test_without_kvms_statistics_exits_are_null_and_polling_is_included(kvm_guest, look):
    vm = kvm_guest()
    hide = ["unshare", "-m", "sh", "-c", "umount -l /sys/kernel/debug 2>/dev/null; exec \"$0\" \"$@\""]
    measure = look(prefix=hide)
    vm.do("run", count=100)
    cpu = measure.finish().vm(vm)["cpu"]
    assert cpu["exits"] is None
    assert cpu["halt_polling"] == "included"
    assert 0 < cpu["utilization_ratio"] <= 1


@pytest.mark.skipif(not kvm_stats_readable(), reason="KVM's statistics in debugfs cannot be read here")
def test_the_end_of_a_vm_is_not_held_up_by_reading_its_statistics(kvm_guest, daemon, look):
    vm = kvm_guest()
    probe = daemon()
    look("--control", probe.control, standalone=False).finish()
    assert list(KVM_STATS.glob(f"{vm.pid}-*"))
    vm.quit()
    wait_for("KVM frees the VM", lambda: not list(KVM_STATS.glob(f"{vm.pid}-*")), 2)
    held = [os.readlink(f) for f in pathlib.Path(f"/proc/{probe.probe_pid}/fd").iterdir()]
    assert not [h for h in held if h.startswith(str(KVM_STATS))]


def test_a_vcpu_without_a_name_is_known_by_the_guest_that_it_ran(kvm_guest, look):
    vm = kvm_guest("--unnamed")
    tid = vm.hello["vcpu"]

    def ran_guest():
        vm.do("run", count=200)
        fields = pathlib.Path(f"/proc/{vm.pid}/task/{tid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[40])      # guest_time, field 43
    try:
        wait_for("guest time", ran_guest, 5)
    except AssertionError:
        pytest.skip("this kernel accounts no guest time to a vCPU in real mode")
    row = thread(look().finish(), vm, tid)
    assert (row["role"], row["index"]) == ("vcpu", None)


@pytest.mark.skipif(not os.path.exists("/dev/vhost-net"), reason="no /dev/vhost-net here")
def test_a_vhost_worker_is_a_thread_of_its_vm_wherever_the_kernel_keeps_it(lab, look):
    vm, other = lab.vm(), lab.vm()
    vm.do("vhost")
    report = look().finish()
    worker, = threads(report, vm, "worker")
    assert worker["name"] == f"vhost-{vm.pid}"
    assert pathlib.Path(f"/proc/{worker['tid']}/comm").read_text().strip() == worker["name"]
    assert worker["run_ratio"] is not None
    assert not threads(report, other, "worker")


def test_deep_names_the_hog_that_ran_instead(lab, look, hog, cpu, hooks):
    vm = lab.vm()
    tid, = vm.do("threads", name="CPU_0/KVM", cpu=cpu, mode="burn")["tids"]
    bully = hog(cpu)
    measure = look("--deep", *hooks, duration_s=60)
    before, hog_before = schedstat(tid), schedstat(bully.pid)
    time.sleep(BUSY_S)
    after, hog_after = schedstat(tid), schedstat(bully.pid)
    report = measure.finish()
    row = deep_thread(report, tid)
    # The window is a little longer than the test's own.
    window_ns = report["deep"]["duration_s"] * 1e9
    waited_ns = since(before, after)[1] * window_ns
    hog_ns = since(hog_before, hog_after)[0] * window_ns
    mine, = [r for r in row["ran_instead"] if r["tid"] == bully.pid]
    assert (mine["pid"], mine["vm"], mine["comm"]) == (bully.pid, None, "sh")
    # The victim never sleeps: whenever the hog ran, it waited for the hog.
    assert mine["time_us"] * 1000 == pytest.approx(hog_ns, rel=0.2)
    assert mine["share"] == pytest.approx(hog_ns / waited_ns, abs=0.1)
    # Others run on this machine, too; none of the test's.
    if hog_ns > waited_ns / 2:
        assert row["ran_instead"][0] == mine
    assert row["waited_us"] * 1000 == pytest.approx(waited_ns, rel=0.2)
    assert row["run_delay_us"]["count"] > 0
    charged = sum(r["time_us"] for r in row["ran_instead"]) + row["other_us"] + row["unexplained_us"]
    assert charged == pytest.approx(row["waited_us"], rel=0.01)
    assert row["unexplained_us"] <= 0.02 * row["waited_us"]
    assert any("deep window: 3 programs" in line for line in measure.stderr)
    wait_for("programs gone", lambda: not sched_programs(), 5)


def test_deep_names_the_vm_whose_vcpu_ran_instead(lab, look, cpu):
    victim, bully = lab.vm(name="victim"), lab.vm(name="bully")
    tid, = victim.do("threads", name="CPU_0/KVM", cpu=cpu, mode="burn")["tids"]
    other, = bully.do("threads", name="CPU_5/KVM", cpu=cpu, mode="burn")["tids"]
    measure = look("--deep", duration_s=60)
    time.sleep(BUSY_S)
    first, = [r for r in deep_thread(measure.finish(), tid)["ran_instead"] if r["tid"] == other]
    assert (first["pid"], first["vm"], first["comm"]) == (bully.pid, "bully", "CPU 5/KVM")


def test_deep_follows_a_thread_that_is_moved_while_it_waits(lab, look, hog):
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("one CPU only")
    vm = lab.vm()
    tid, = vm.do("threads", name="CPU_0/KVM", cpu=cpus[0], mode="burn")["tids"]
    measure = look("--deep", duration_s=60)     # before the hogs: they would delay it
    bullies = {hog(c).pid for c in cpus[:2]}
    before, end = schedstat(tid), time.monotonic() + BUSY_S
    while time.monotonic() < end:
        for c in cpus[:2]:
            os.sched_setaffinity(tid, {c})
            time.sleep(0.005)
    waited_ns = schedstat(tid)[1] - before[1]
    row = deep_thread(measure.finish(), tid)
    assert bullies <= {r["tid"] for r in row["ran_instead"]}, row["ran_instead"]
    assert row["waited_us"] * 1000 > 0.85 * waited_ns
    charged = sum(r["time_us"] for r in row["ran_instead"]) + row["other_us"] + row["unexplained_us"]
    assert charged == pytest.approx(row["waited_us"], rel=0.01)
    assert row["unexplained_us"] <= 0.05 * row["waited_us"], row


def test_deep_counts_no_wait_of_a_thread_that_sleeps(lab, look):
    vm = lab.vm()
    tid, = vm.do("threads", name="CPU_0/KVM")["tids"]
    measure = look("--deep", duration_s=60)
    time.sleep(0.5)
    row = deep_thread(measure.finish(), tid)
    assert (row["waited_us"], row["run_delay_us"]["count"], row["ran_instead"]) == (0, 0, [])


def test_a_deep_window_whose_client_is_killed_ends_by_itself(lab, daemon, look):
    vm = lab.vm()
    vm.do("threads", name="CPU_0/KVM", mode="burn")
    probe = daemon()
    assert not sched_programs()
    client = look("--deep", "--control", probe.control, standalone=False, duration_s=60)
    wait_for("programs attached", lambda: len(sched_programs()) == 3, 5)
    client.process.kill()
    client.wait()
    wait_for("programs gone", lambda: not sched_programs(), 5)
    # The daemon lives on, and opens another.
    report = look("--deep", "--control", probe.control, standalone=False, duration_s=60).finish()
    assert report["running_as"] == "daemon" and report["deep"]["threads"]
    wait_for("programs gone", lambda: not sched_programs(), 5)


def test_windows_that_overlap_share_their_programs(lab, daemon, look, hog, cpu):
    vm = lab.vm()
    tid, = vm.do("threads", name="CPU_0/KVM", cpu=cpu, mode="burn")["tids"]
    bully = hog(cpu)
    probe = daemon()
    windows = [look("--deep", "--control", probe.control, standalone=False, duration_s=60) for _ in range(2)]
    late, = vm.do("threads", name="CPU_1/KVM", cpu=cpu, mode="burn")["tids"]
    windows.append(look("--deep", "--control", probe.control, standalone=False, duration_s=60))
    time.sleep(1.5)
    assert len(sched_programs()) == 3
    for window in windows:
        assert len(sched_programs()) == 3
        report = window.finish()
        row = deep_thread(report, tid)
        assert bully.pid in [r["tid"] for r in row["ran_instead"]]
        assert 0 < row["waited_us"] < report["deep"]["duration_s"] * 1.01e6
    assert deep_thread(report, late)["waited_us"] > 0
    wait_for("programs gone", lambda: not sched_programs(), 5)


def test_a_window_says_its_cost_where_the_kernel_measures_it(lab, look):
    vm = lab.vm()
    vm.do("threads", name="CPU_0/KVM")
    knob = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")
    was = knob.read_text()
    lab.undo.callback(lambda: knob.write_text(was))
    knob.write_text("1")
    measure = look("--deep", duration_s=60)
    time.sleep(0.5)
    cost = measure.finish()["deep"]["cost"]
    assert cost["ns_per_run"]["vs_sched_switch"] > 0
    assert cost["programs"]["vs_sched_switch"]["run_cnt"] > 10
    assert any("a run of vs_sched_switch" in line for line in measure.stderr)


def test_denied_deep_window_is_null_and_says_why(lab):
    lab.vm()
    status, out, err = run("report", "--json", "--standalone", "--deep", "-d", "0.2", "--deny-hook", "sched")
    assert status == 0
    assert '"deep": null' in out
    assert "sched was denied" in err
    _, text, _ = run("doctor", "--deny-hook", "sched")
    assert "sched was denied" in text


def test_the_text_report_names_who_ran(lab, hog, cpu):
    vm = lab.vm(name="web1")
    vm.do("threads", name="CPU_0/KVM", cpu=cpu, mode="burn")
    bully = hog(cpu)
    status, out, _ = run("report", "--standalone", "--deep", "-d", "2")
    assert status == 0
    line, = [x for x in out.splitlines() if "VM web1 vCPU 0 waited" in x]
    assert f"sh({bully.pid})" in line
    assert re.search(r" waited [0-9.]+ (ms|s) of [0-9.]+ s \(p99 ", line), line
