# SPDX-License-Identifier: GPL-2.0-or-later
"""A real Prometheus scrapes a real daemon, with virtscope's rules; the panels' queries are asked of it."""
import contextlib
import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest
import yaml

from lab import Lab, ROOT, sh, wait_for
from probe import Daemon, Look
from prometheus_lab import SHORT, Prometheus, free_port, get, panels, rules, selectors

SCRAPED_S = 5       # a tick, a scrape and a page that two scrapes share, on a busy machine
HOST = 'job="virtscope", instance="host"'
SYNTHETIC_VMS = 5

# What neither posed VMs on this kernel nor synthetic ones show, and why.
NOT_HERE = {
    "virtscope_self_program_run_seconds_total": "kernel.bpf_stats_enabled is the host's, and costs others",
}


def daemon(lab, scratch, *args, **metrics):
    """A daemon with /metrics on a free port of loopback."""
    port = free_port()
    config = scratch / "virtscope.yaml"
    config.write_text(yaml.safe_dump({"metrics": {"listen": f"127.0.0.1:{port}", **metrics},
                                      "libvirt": {"uri": "none"}}))
    process = Daemon(scratch, "--config", config, *args)
    lab.undo.callback(process.end)
    process.ready()
    process.port = port
    return process


@pytest.fixture(scope="module")
def stage():
    """Two posed VMs with taps and disks, watched by a daemon; a daemon with synthetic VMs; one Prometheus for both."""
    with contextlib.ExitStack() as undo:
        folders = [pathlib.Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="vst-"))) for _ in range(3)]
        for folder in folders:
            folder.chmod(0o755)
        lab = Lab("test_prometheus.py::stage", folders[0])
        undo.enter_context(lab.undo)
        lab.ns = lab.netns()
        lab.daemon = daemon(lab, folders[0], detail=["prom-a"])
        lab.synthetic = daemon(lab, folders[1], "--synthetic", SYNTHETIC_VMS)
        lab.prometheus = Prometheus(folders[2], {"host": lab.daemon.port, "synthetic": lab.synthetic.port})
        undo.callback(lab.prometheus.end)
        lab.prometheus.ready()
        yield lab


def scraped_after(prometheus, instance, moment):
    """Waits for a scrape whose figures were taken after @moment (time.time())."""
    # Two ticks later whatever was under way has been counted; and the scrape that shows it comes after.
    series = f'timestamp(virtscope_self_ticks_total{{job="virtscope", instance="{instance}"}})'
    wait_for("a later scrape", lambda: [v for _, v in prometheus.query(series) if v > moment + 2.5], 30, 0.2)


def test_rules_are_valid_and_each_alert_fires_on_its_case_and_not_on_the_calm_one():
    folder = ROOT / "dist" / "prometheus"
    assert "SUCCESS" in sh("promtool", "check", "rules", folder / "virtscope.rules.yml")
    assert "SUCCESS" in sh("promtool", "check", "config", folder / "prometheus.example.yml")
    tests = sorted((folder / "tests").glob("*.yml"))
    assert sh("promtool", "test", "rules", *tests).count("SUCCESS") == len(tests)


def test_rules_tests_find_a_rule_that_never_and_one_that_always_fires(scratch):
    text = (ROOT / "dist" / "prometheus" / "virtscope.rules.yml").read_text()
    shutil.copytree(ROOT / "dist" / "prometheus" / "tests", scratch / "tests")
    for broken in (text.replace("vm:virtscope_steal:ratio_rate5m > 0.1", "vm:virtscope_steal:ratio_rate5m > 10"),
                   text.replace("vm:virtscope_steal:ratio_rate5m > 0.1", "vm:virtscope_steal:ratio_rate5m > 0")):
        assert broken != text
        (scratch / "virtscope.rules.yml").write_text(broken)
        assert subprocess.run(["promtool", "test", "rules", scratch / "tests" / "vm.yml"], capture_output=True).returncode


def test_the_page_is_clean_to_promtool(stage):
    page = get(f"http://127.0.0.1:{stage.daemon.port}/metrics")
    check = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
    assert (check.returncode, check.stdout + check.stderr) == (0, ""), check


def test_counters_and_quantiles_are_those_of_the_report_and_of_the_kernel(stage):
    disk = stage.disk(mib=32)
    vm = stage.vm(stage.ns, ["t0"], [disk], name="prom-a")
    prometheus = stage.prometheus
    one = f'{HOST}, vm="prom-a"'
    wait_for("the VM is scraped", lambda: prometheus.query(f"virtscope_vm_info{{{one}}}"), 20, 0.2)
    report = Look("--control", stage.daemon.control, standalone=False)
    stage.undo.callback(report.end)
    report.ready()
    # A wait of 300 ms for most packets, and a ring that overflows; then disk requests of two kinds.
    vm.begin("hold", ms=300)
    stage.ns.send("t0", 2000)
    vm.result()
    vm.do("send", count=70)
    vm.do("disk", op="read", count=400)
    vm.do("disk", op="write", count=200)
    done = time.time()
    scraped_after(prometheus, "host", done)
    report = report.finish()
    kernel = stage.ns.counters("t0")
    vnic, rx = report.vnic(vm, "t0"), report.vnic(vm, "t0")["rx"]

    assert prometheus.value(f'up{{{HOST}}}') == 1
    for direction in ("rx", "tx"):
        d = f'{one}, direction="{direction}"'
        assert prometheus.value(f"virtscope_vnic_packets_total{{{d}}}") == kernel[direction]["packets"]
        assert prometheus.value(f"virtscope_vnic_bytes_total{{{d}}}") == kernel[direction]["bytes"]
        assert prometheus.value(f"virtscope_vnic_kernel_dropped_total{{{d}}}") == kernel[direction]["dropped"]
        assert prometheus.value(f"virtscope_vnic_lost_packets_total{{{d}}}") == vnic[direction]["drops_total"]
        assert prometheus.value(f"virtscope_vnic_unexplained_drops{{{d}}}") == vnic[direction]["unexplained"] == 0
    assert rx["drops_total"] == kernel["rx"]["dropped"] > 0
    assert sum(v for _, v in prometheus.query(f'virtscope_vnic_drops_total{{{one}, direction="rx"}}')) == rx["drops_total"]

    def agrees(series, distribution):
        """All of it is the test's own, so the cumulative histogram is that of the report's time."""
        for key, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
            theirs, ours = prometheus.value(f"histogram_quantile({q}, {series})"), distribution[key] / 1e6
            bounds = sorted({0.0, *(float(labels["le"]) for labels, _ in prometheus.query(series))})
            low, high = next((a, b) for a, b in zip(bounds, bounds[1:]) if ours <= b)
            # The bounds are edges of our own buckets, so both look into the same one of Prometheus'.
            assert low <= theirs <= high, f"{series} {key}: {theirs} and {ours}"

    agrees(f"virtscope_vnic_residence_seconds_bucket{{{one}}}", rx["residence_us"])
    assert prometheus.value(f"histogram_quantile(0.5, virtscope_vnic_residence_seconds_bucket{{{one}}})") > 0.1
    assert prometheus.value(f"virtscope_vnic_residence_samples_total{{{one}}}") == rx["residence_us"]["samples"]
    for op in ("read", "write"):
        mine = report.ops(vm, disk.name, op)
        which = f'{one}, disk="{disk.name}", op="{op}"'
        assert prometheus.value(f"virtscope_disk_requests_total{{{which}}}") == mine["count"] > 0
        assert prometheus.value(f"virtscope_disk_bytes_total{{{which}}}") == mine["bytes"]
        for part in ("queue", "device", "total"):
            agrees(f'virtscope_disk_latency_seconds_bucket{{{which}, part="{part}"}}', mine[f"{part}_us"])
            total = prometheus.value(f'virtscope_disk_latency_seconds_sum{{{which}, part="{part}"}}')
            assert total == pytest.approx(mine[f"{part}_us"]["sum"] / 1e6, rel=1e-3)


def test_series_of_a_vm_that_stopped_are_gone_at_the_next_scrape(stage):
    vm = stage.vm(stage.ns, ["t9"], name="prom-gone")
    series = f'{{__name__=~"virtscope_.+", {HOST}, vm="prom-gone"}}'
    wait_for("the VM is scraped", lambda: stage.prometheus.query(series), 20, 0.2)
    vm.quit()
    stage.daemon.event("vm.stop", vm, 5)
    # Prometheus looks 5 minutes back for a series, unless it was told that there is no more of it.
    _, took = wait_for("stale", lambda: not stage.prometheus.query(series), 10, 0.1)
    assert took < SCRAPED_S


def test_a_ring_that_overflows_fires_its_alert_which_names_the_vm_and_its_runbook_section(stage):
    up = f'up{{{HOST}}} offset {SHORT}'
    wait_for("an old target: of a new one nobody knows what is new", lambda: stage.prometheus.query(up), 40, 0.5)
    vm, calm = (stage.vm(stage.ns, [tap], name=name) for tap, name in (("t2", "prom-full"), ("t3", "prom-calm")))
    for name in (vm.name, calm.name):
        wait_for("scraped", lambda: stage.prometheus.query(f'virtscope_vm_info{{vm="{name}"}}'), 20, 0.2)
    for tap, count in (("t2", 2000), ("t3", 10)):
        stage.ns.send(tap, count)
    dropped = stage.ns.counters("t2")["rx"]["dropped"]
    assert dropped > 100

    def firing():
        return [a for a in stage.prometheus.api("alerts")["alerts"]
                if a["labels"].get("vm") == vm.name and a["labels"]["alertname"] == "VirtscopeRingOverflow"]
    found, _ = wait_for("the alert", firing, 20, 0.2)
    assert found[0]["state"] == "firing" and float(found[0]["value"]) == dropped
    assert found[0]["annotations"]["summary"] == "The ring of prom-full overflows"
    assert found[0]["annotations"]["runbook_url"].endswith("/RUNBOOK.md#virtscoperingoverflow")
    assert not [a for a in stage.prometheus.api("alerts")["alerts"] if a["labels"].get("vm") == calm.name]


def keep_busy(stage, seconds=25):
    """What every panel needs: traffic both ways, losses, waits and requests, while Prometheus looks."""
    disk = stage.disk(mib=32)
    vm = stage.vm(stage.ns, ["t1"], [disk], name="prom-busy")
    vm.do("threads", name="CPU 0/KVM", count=1, mode="burn")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        vm.begin("hold", ms=100)
        stage.ns.send("t1", 1500)
        vm.result()
        vm.do("send", count=50)
        for op in ("read", "write", "flush"):
            vm.do("disk", op=op, count=20)


def test_every_panel_and_every_rule_has_data(stage):
    keep_busy(stage)
    scraped_after(stage.prometheus, "host", time.time())
    empty, used = [], set()
    for board, panel, expr in panels(job="virtscope", instance="host|synthetic", vm=".+"):
        if stage.prometheus.query(expr):
            continue
        excuse = [name for name in NOT_HERE if name in expr]
        used |= set(excuse)
        if not excuse:
            empty.append(f"{board}: {panel}: {expr}")
    for kind, name, expr in rules():
        if kind == "record" and not stage.prometheus.query(expr) and not any(n in expr for n in NOT_HERE):
            empty.append(f"{name}: {expr}")
        # An alert has no data as long as all is well; what it looks at is there.
        for metric, labels in selectors(expr):
            matchers = ",".join(f'{label}!=""' for label in labels)
            if metric not in NOT_HERE and not stage.prometheus.query(f"count({metric}{{{matchers}}})"):
                empty.append(f"{name}: {metric} with labels {sorted(labels)}")
            used |= {metric} & set(NOT_HERE)
    assert not empty, "\n".join(sorted(set(empty)))
    assert used == set(NOT_HERE), f"no longer missing: {set(NOT_HERE) - used}"


def test_prometheus_evaluates_every_rule_without_an_error(stage):
    wait_for("an evaluation", lambda: all(g["lastEvaluation"] > "2000" for g in stage.prometheus.api("rules")["groups"]), 30, 0.2)
    states = [(r["name"], r["health"], r.get("lastError"))
              for g in stage.prometheus.api("rules")["groups"] for r in g["rules"]]
    assert len(states) == len(rules()) and not [s for s in states if s[1] != "ok"], states


def test_a_daemon_that_ends_is_down_and_its_series_are_stale(stage, scratch):
    """Last: it ends the synthetic daemon."""
    up = 'up{job="virtscope", instance="synthetic"}'
    assert stage.prometheus.value(up) == 1
    stage.synthetic.end()
    wait_for("down", lambda: stage.prometheus.value(up) == 0, SCRAPED_S, 0.1)
    assert not stage.prometheus.query('virtscope_vm_info{instance="synthetic"}')
    wait_for("pending", lambda: [l for l, _ in stage.prometheus.query('ALERTS{alertname="VirtscopeDown"}')
                                 if l["alertstate"] == "pending" and l["instance"] == "synthetic"], SCRAPED_S, 0.2)
