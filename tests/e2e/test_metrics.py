# SPDX-License-Identifier: GPL-2.0-or-later
"""What is served over HTTP: against the report, promtool, and clients that behave badly.

Behaviour is tried on synthetic VMs; figures on posed ones.
"""
import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import statistics
import subprocess
import threading
import time

import pytest

from lab import sh, wait_for
from probe import VIRTSCOPE, Process, Report, status, validate

LINE = re.compile(r'^(\w+)(?:\{(.*)\})? (-?[0-9.]+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
TOKEN = "0123456789abcdef-of-a-test"


def series(text):
    """{(name, frozenset(labels)): value}; each stands once, and each line is understood."""
    found = {}
    for line in text.split("\n"):     # names may hold what Python takes for the end of a line
        if not line or line.startswith("#"):
            continue
        match = LINE.match(line)
        assert match, line
        key = match[1], frozenset(LABEL.findall(match[2] or ""))
        assert key not in found, line
        found[key] = float(match[3])
    return found


class Page:
    def __init__(self, text):
        self.text, self.series = text, series(text)

    def all(self, name, **labels):
        want = set(labels.items())
        return {k[1]: v for k, v in self.series.items() if k[0] == name and want <= k[1]}

    def sum(self, name, **labels):
        return sum(self.all(name, **labels).values())

    def one(self, name, **labels):
        found = self.all(name, **labels)
        assert len(found) == 1, f"{name}{labels}: {found}"
        return next(iter(found.values()))

    def quantile(self, name, q, **labels):
        """histogram_quantile() as Prometheus has it."""
        rows = sorted((float(dict(k)["le"]), v) for k, v in self.all(f"{name}_bucket", **labels).items()
                      if dict(k)["le"] != "+Inf")
        rank, below, low = q * self.one(f"{name}_count", **labels), 0.0, 0.0
        for le, n in rows:
            if n >= rank:
                return low + (le - low) * (rank - below) / (n - below), low, le
            below, low = n, le
        return low, low, float("inf")


class Server(Process):
    """A daemon that serves, on a port of its own."""

    def __init__(self, scratch, *args, listen="127.0.0.1:0", tls=None):
        self.tls = tls
        super().__init__(["run", "--events", "/dev/null", "--control", scratch / "control",
                          "--metrics", listen, *args])

    @property
    def port(self):
        return next(int(m[1]) for line in self.stderr if (m := re.search(r"/metrics, port (\d+)$", line)))

    def connection(self, timeout=10):
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def get(self, path, method="GET", **headers):
        with contextlib.closing(self.connection()) as c:
            c.request(method, path, headers=headers)
            reply = c.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read().decode()

    def page(self):
        status, headers, text = self.get("/metrics")
        assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return Page(text)

    def next_page(self):
        """A page that was made of a later sample than the one at the time of the call."""
        ticks = self.page().sum("virtscope_self_ticks_total")    # none before the first
        return wait_for("a later sample", lambda: (p := self.page()).sum("virtscope_self_ticks_total") > ticks + 1 and p,
                        5, 0.1)[0]


@pytest.fixture
def serve(scratch):
    with contextlib.ExitStack() as undo:
        def start(*args, **kw):
            server = Server(scratch, *args, **kw)
            undo.callback(server.end)
            return server.ready()
        yield start


@pytest.fixture
def synthetic(serve):
    return lambda n=3, *args, **kw: serve("--synthetic", n, *args, **kw)


def check(text):
    r = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert r.returncode == 0 and not r.stdout + r.stderr, r.stdout + r.stderr


# Figures

def test_the_page_of_a_real_vm_says_what_the_report_says(lab, serve):
    ns = lab.netns()
    vm = lab.vm(ns, ["t0"])
    server = serve()
    wait_for("the VM", lambda: server.page().all("virtscope_vm_info", vm=vm.name), 5, 0.2)
    before = server.next_page()
    with contextlib.closing(server.connection(timeout=20)) as c:
        c.request("GET", "/api/v1/report?duration=4")
        time.sleep(0.5)
        sent = ns.send("t0", 1500, size=200)
        got = vm.do("read")
        guest = vm.do("send", count=321, size=100)
        report = Report(json.loads(c.getresponse().read()))
    validate(report, "report")
    after = server.next_page()
    check(after.text)
    vnic = report.vnic(vm, "t0")

    def grown(name, **labels):
        return after.sum(name, vm=vm.name, vnic="t0", **labels) - before.sum(name, vm=vm.name, vnic="t0", **labels)

    for direction in ("rx", "tx"):
        assert grown("virtscope_vnic_packets_total", direction=direction) == vnic[direction]["packets"]
        assert grown("virtscope_vnic_bytes_total", direction=direction) == vnic[direction]["bytes"]
        assert grown("virtscope_vnic_kernel_dropped_total", direction=direction) == vnic[direction]["kernel_dropped"]
        assert grown("virtscope_vnic_lost_packets_total", direction=direction) == vnic[direction]["drops_total"]
        assert after.one("virtscope_vnic_unexplained_drops", vm=vm.name, direction=direction) == 0
    assert (vnic["rx"]["packets"], vnic["tx"]["packets"]) == (got["packets"], guest["sent"]) != (0, 0)
    assert grown("virtscope_vnic_drops_total", direction="rx", site="tap", reason="FULL_RING") == sent["accepted"] - got["packets"] > 0
    residence = vnic["rx"]["residence_us"]
    assert grown("virtscope_vnic_residence_seconds_count") == residence["packets"] > 0
    assert grown("virtscope_vnic_residence_samples_total") == residence["samples"]
    assert grown("virtscope_vnic_residence_seconds_sum") == pytest.approx(residence["sum"] / 1e6, rel=1e-6)
    value, low, high = after.quantile("virtscope_vnic_residence_seconds", 0.5, vm=vm.name)
    assert low * 1e6 <= residence["p50"] <= high * 1e6, (value, residence)
    info = next(iter(after.all("virtscope_vm_info", vm=vm.name)))
    assert dict(info)["uuid"] == vm.uuid and dict(info)["pid"] == str(vm.pid)


def test_disk_figures_are_those_of_the_report(lab, serve):
    disk = lab.disk()
    vm = lab.vm(None, [], [disk])
    server = serve()
    with contextlib.closing(server.connection(timeout=20)) as c:
        c.request("GET", "/api/v1/report?duration=3")
        time.sleep(0.5)
        vm.do("disk", op="read", count=200, size=4096)
        report = Report(json.loads(c.getresponse().read()))
    page = server.next_page()
    device = os.path.basename(disk.path)
    ops = report.ops(vm, device, "read")
    labels = {"vm": vm.name, "disk": device, "op": "read", "layer": "logical"}
    assert page.one("virtscope_disk_requests_total", **labels) == ops["count"] == 200
    assert page.one("virtscope_disk_bytes_total", **labels) == ops["bytes"]
    assert page.one("virtscope_disk_latency_seconds_count", part="total", **labels) == ops["total_us"]["count"]
    _, low, high = page.quantile("virtscope_disk_latency_seconds", 0.99, part="total", **labels)
    assert low * 1e6 <= ops["total_us"]["p99"] <= high * 1e6
    assert not page.all("virtscope_disk_latency_seconds_count", part="queue")


def test_series_of_a_stopped_vm_are_gone(lab, serve):
    vms = [lab.vm(name="twin") for _ in range(2)]
    server = serve()
    names = {f"twin~{vm.pid}" for vm in vms}
    wait_for("both", lambda: names <= {dict(k)["vm"] for k in server.page().all("virtscope_vm_info")}, 5, 0.2)
    vms[0].quit()
    page, _ = wait_for("one", lambda: not (p := server.page()).all("virtscope_vm_info", vm=f"twin~{vms[0].pid}") and p, 3, 0.1)
    assert f"~{vms[0].pid}" not in page.text
    assert page.all("virtscope_vm_info", vm="twin") or server.next_page().all("virtscope_vm_info", vm="twin")


def test_hostile_names_come_out_valid(lab, serve):
    names = ['a"b', "a\\b", "a\nb", "a\x1b[31mb", "x" * 4096, "twin", "twin", "twin", "other"]
    for name in names:
        lab.vm(name=name.replace(",", ""))
    server = serve()
    wait_for("all", lambda: len(server.page().all("virtscope_vm_info")) >= len(names), 5, 0.2)
    text = server.page().text
    check(text)
    assert "\x1b" not in text
    assert 'vm="a\\"b"' in text and 'vm="a\\\\b"' in text and 'vm="other"' not in text
    assert len(re.findall(r'virtscope_vm_info\{vm="twin~\d+"', text)) == 3


# HTTP

def test_promtool_finds_nothing_to_complain_about(synthetic):
    server = synthetic(20)
    server.next_page()
    check(server.page().text)


def test_paths_methods_and_states(synthetic):
    server = synthetic()
    assert server.get("/healthz")[0] == server.get("/readyz")[0] == server.get("/")[0] == 200
    status, _, text = server.get("/nothing")
    assert status == 404 and "/metrics" in text
    status, headers, _ = server.get("/metrics", method="POST")
    assert status == 405 and headers["Allow"] == "GET, HEAD"
    status, headers, text = server.get("/metrics", method="HEAD")
    assert status == 200 and not text and int(headers["Content-Length"]) > 1000
    for bad in ("x", "0", "61", "nan", "-1", "1x", ""):
        assert server.get(f"/api/v1/report?duration={bad}")[0] == 400, bad
    begin = time.monotonic()
    status, headers, text = server.get("/api/v1/report?duration=0.5")
    assert status == 200 and 0.5 <= time.monotonic() - begin < 3
    assert headers["Content-Type"] == "application/json" and json.loads(text)["schema"] == "virtscope.report/1"


def test_no_more_reports_than_it_can_measure(synthetic):
    server = synthetic()
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(contextlib.closing(server.connection())) for _ in range(4)]
        for c in waiting:
            c.request("GET", "/api/v1/report?duration=2")
        time.sleep(0.5)
        assert server.get("/api/v1/report")[0] == 503
        assert [c.getresponse().status for c in waiting] == [200] * 4
    assert server.get("/api/v1/report?duration=0.1")[0] == 200


def test_ends_in_time_with_connections_and_reports_open(synthetic):
    server = synthetic()
    with contextlib.ExitStack() as stack:
        for path in ("/api/v1/report?duration=60", "/metrics", "/api/v1/report?duration=60"):
            c = stack.enter_context(contextlib.closing(server.connection()))
            c.request("GET", path)
        time.sleep(0.3)
        begin = time.monotonic()
        server.signal(15)
        assert server.wait(5) == 0 and time.monotonic() - begin < 2


# Where it listens

def run_once(*args, timeout=10):
    return subprocess.run([VIRTSCOPE, "run", "--synthetic", "1", "--events", "/dev/null", *map(str, args)],
                          capture_output=True, text=True, timeout=timeout)


@pytest.fixture
def secrets(scratch):
    """A certificate for 127.0.0.1, its key, and a token."""
    sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
       "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", scratch / "key", "-out", scratch / "cert")
    (scratch / "token").write_text(TOKEN + "\n")
    for name in ("key", "token"):
        (scratch / name).chmod(0o640)
    return scratch


def config(scratch, **metrics):
    path = scratch / "virtscope.yaml"
    path.write_text("metrics:\n" + "".join(f"  {k}: {v}\n" for k, v in metrics.items()))
    return path


def guarded(scratch, listen="127.0.0.1:0", **more):
    files = {"tls_certificate": "cert", "tls_key": "key", "token_file": "token"}
    return config(scratch, listen=listen, **{k: scratch / v for k, v in files.items() if k not in more},
                  **{k: v for k, v in more.items() if v})


@pytest.mark.parametrize("listen", ["0.0.0.0:9752", "[::]:9752", "192.0.2.1:9752"])
def test_other_addresses_are_refused_without_tls_and_token(scratch, listen):
    r = run_once("--control", scratch / "c", "--metrics", listen)
    assert r.returncode in (1, 2), r
    assert "tls_certificate" in r.stderr and "token_file" in r.stderr


def test_an_address_that_is_taken_says_so(scratch, synthetic):
    server = synthetic()
    r = run_once("--control", scratch / "c2", "--metrics", f"127.0.0.1:{server.port}")
    assert r.returncode == 1 and "Address already in use" in r.stderr and "metrics.listen" in r.stderr


@pytest.mark.parametrize("name", ["key", "token"])
def test_secrets_that_everybody_reads_are_refused(secrets, name):
    (secrets / name).chmod(0o644)
    r = run_once("--control", secrets / "c", "--config", guarded(secrets))
    assert r.returncode != 0 and "chmod" in r.stderr, r.stderr


def test_a_short_token_is_refused(secrets):
    (secrets / "token").write_text("short\n")
    r = run_once("--control", secrets / "c", "--config", guarded(secrets))
    assert r.returncode != 0 and "16" in r.stderr, r.stderr


def test_tls_and_token_on_every_address(secrets, scratch):
    path = guarded(secrets, listen="0.0.0.0:0")
    context = ssl.create_default_context(cafile=secrets / "cert")
    server = Process(["run", "--synthetic", 3, "--events", "/dev/null", "--control", scratch / "c", "--config", path])
    try:
        server.ready()
        server.tls = context
        port = next(int(m[1]) for line in server.stderr if (m := re.search(r"/metrics, port (\d+)$", line)))

        def get(url, **headers):
            with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)) as c:
                c.request("GET", url, headers=headers)
                r = c.getresponse()
                return r.status, dict(r.getheaders()), r.read().decode()

        good = {"Authorization": f"Bearer {TOKEN}"}
        status, _, text = get("/metrics", **good)
        assert status == 200
        check(text)
        assert TOKEN not in text
        for url in ("/metrics", "/healthz", "/nothing", "/api/v1/report"):
            status, headers, text = get(url)
            assert status == 401 and headers["WWW-Authenticate"].startswith("Bearer") and "vm=" not in text
        for bad in (TOKEN[:-1], TOKEN + "x", "X" + TOKEN[1:], "", TOKEN * 2):
            assert get("/metrics", Authorization=f"Bearer {bad}")[0] == 401, bad
        assert get("/metrics", Authorization=f"Basic {TOKEN}")[0] == 401
        with pytest.raises((http.client.HTTPException, OSError)):
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as c:
                c.request("GET", "/metrics", headers=good)
                c.getresponse()
    finally:
        server.end()


# Clients that behave badly

def ticks(page):
    """Ticks so far, those missed, and the sum of their lateness in seconds."""
    return (page.one("virtscope_self_ticks_total"), page.one("virtscope_self_ticks_missed_total"),
            page.one("virtscope_self_tick_lateness_seconds_sum"),
            page.one("virtscope_self_tick_lateness_seconds_bucket", le="1.00663296"))


def assert_punctual(before, after, seconds):
    """None was missed or late by a second; what a busy host adds is less than 100 ms on average."""
    n, missed, late, soon = (b - a for a, b in zip(before, after))
    assert n >= seconds - 1, (before, after)
    assert missed == 0 and soon == n, f"of {n} ticks {missed} were missed and {n - soon} late by more than a second"
    assert late / n < 0.1


def test_clients_that_stall_delay_no_tick_and_are_cut_off(synthetic):
    """Some say nothing, some send half a request, some ask and do not read."""
    server = synthetic(500)
    before = ticks(server.next_page())
    with contextlib.ExitStack() as stack:
        clients = []
        for i in range(12):
            s = stack.enter_context(socket.socket())
            if i % 3 == 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", server.port))
            s.settimeout(30)
            if i % 3 == 1:
                s.sendall(b"GET /metrics HTTP/1.1\r\nHo")
            if i % 3 == 2:
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            clients.append(s)
        begin = time.monotonic()
        for _ in range(5):
            assert server.get("/metrics")[0] == 200
            time.sleep(1)
        assert_punctual(before, ticks(server.page()), 5)
        for i, s in enumerate(clients):
            if i % 3 != 2:
                assert s.recv(1) == b"", "still open"
        assert 8 < time.monotonic() - begin < 20


def test_slow_readers_hold_few_pages(synthetic):
    """Each asks for the page of another second and does not read: memory stays bounded, and others are served."""
    server = synthetic(500)
    size = len(server.next_page().text)

    def rss():
        return int(status(server.pid)["VmRSS"].split()[0]) * 1024

    alone = rss()
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            s = stack.enter_context(socket.socket())
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", server.port))
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(1.1)
        assert rss() - alone < 6 * size, (rss(), alone, size)
    assert wait_for("served again", lambda: server.get("/metrics")[0] == 200, 45, 1)


def test_a_client_that_drips_is_cut_off(synthetic):
    """A byte now and then is not silence, but it is not a request either."""
    server = synthetic()
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port))) as s:
        begin = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - begin < 45:
                s.sendall(b"G")
                time.sleep(2)
    assert 25 < time.monotonic() - begin < 40


def test_a_flood_delays_no_tick_and_costs_one_page_a_second(synthetic):
    server = synthetic(200)
    before, stop, done = server.next_page(), threading.Event(), []

    def flood():
        while not stop.is_set():
            try:
                done.append(server.get("/metrics")[0])
            except OSError:
                done.append(0)

    threads = [threading.Thread(target=flood) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(6)
    stop.set()
    for thread in threads:
        thread.join(15)
    after = server.next_page()
    assert done.count(200) > 100, statistics.multimode(done)
    assert_punctual(ticks(before), ticks(after), 6)
    renders, n = (after.one(name) - before.one(name) for name in ("virtscope_self_renders_total", "virtscope_self_ticks_total"))
    assert renders <= n + 1


def test_scrape_of_200_vms_within_100_ms(synthetic):
    server = synthetic(200)
    took = []
    for _ in range(5):
        server.next_page()
        begin = time.monotonic()
        assert server.get("/metrics")[0] == 200
        took.append(time.monotonic() - begin)
    assert statistics.median(took) < 0.1, took
    assert server.page().one("virtscope_self_render_seconds") < 0.1


def test_reload_changes_details_and_buckets(synthetic, scratch):
    path = config(scratch, listen="127.0.0.1:0")
    server = Process(["run", "--synthetic", 3, "--events", "/dev/null", "--control", scratch / "c", "--config", path])
    try:
        server.ready()
        port = next(int(m[1]) for line in server.stderr if (m := re.search(r"/metrics, port (\d+)$", line)))

        def text():
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as c:
                c.request("GET", "/metrics")
                return c.getresponse().read().decode()

        was = text()
        assert 'le="0.00002048"' in was and 'part="queue"' not in was
        config(scratch, listen="127.0.0.1:0", detail='["*"]', buckets="[0.001, 0.01]")
        server.signal(1)
        now, _ = wait_for("the new page", lambda: 'part="queue"' in (t := text()) and t, 5, 0.2)
        check(now)
        assert 'le="0.00002048"' not in now and 'le="0.00098304"' in now
    finally:
        server.end()
