# SPDX-License-Identifier: GPL-2.0-or-later
"""A Prometheus of a test's own, on loopback, and the queries of rules and dashboards."""
import json
import re
import socket
import subprocess
import urllib.parse
import urllib.request

import yaml

from lab import ROOT, wait_for

RULES = ROOT / "dist" / "prometheus" / "virtscope.rules.yml"
BOARDS = sorted((ROOT / "dist" / "grafana").glob("*.json"))
READY_S = 60
WINDOW = "1m"       # what Grafana would put for $__rate_interval
SHORT = "20s"       # for windows and offsets of minutes in rules: no test has those


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url, timeout_s=10):
    with urllib.request.urlopen(url, timeout=timeout_s) as reply:
        return reply.read().decode()


def hurried():
    """The rules with short windows."""
    text = re.sub(r"\[\d+m\]", f"[{SHORT}]", RULES.read_text())
    return re.sub(r"offset \d+m", f"offset {SHORT}", text)


class Prometheus:
    """Scrapes @targets ({instance: port}) every second, with virtscope's rules, hurried."""

    def __init__(self, folder, targets, job="virtscope"):
        self.port = free_port()
        # On loopback they are told apart by the port; an operator would see hosts.
        config = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": ["rules.yml"],
                  "scrape_configs": [{"job_name": job, "static_configs": [
                      {"targets": [f"127.0.0.1:{port}"], "labels": {"instance": name}} for name, port in targets.items()]}]}
        (folder / "rules.yml").write_text(hurried())
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.log = open(folder / "prometheus.log", "w")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
             f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"], stdout=self.log, stderr=self.log)

    def ready(self):
        def answers():
            assert self.process.poll() is None, f"Prometheus ended: see {self.log.name}"
            try:
                return get(f"http://127.0.0.1:{self.port}/-/ready")
            except OSError:
                return None
        wait_for("Prometheus is ready", answers, READY_S, 0.1)
        return self

    def end(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def query(self, expr, at=None):
        """[(labels, value)] of an instant query."""
        args = {"query": expr, **({"time": at} if at else {})}
        reply = json.loads(get(f"http://127.0.0.1:{self.port}/api/v1/query?{urllib.parse.urlencode(args)}"))
        assert reply["status"] == "success" and reply["data"]["resultType"] == "vector", reply
        return [(row["metric"], float(row["value"][1])) for row in reply["data"]["result"]]

    def value(self, expr):
        """Of a query that must have one result."""
        found = self.query(expr)
        assert len(found) == 1, f"{expr}: {found}"
        return found[0][1]

    def api(self, path):
        return json.loads(get(f"http://127.0.0.1:{self.port}/api/v1/{path}"))["data"]


def rules():
    """[(kind, name, expression)]"""
    return [(kind, rule[kind], rule["expr"]) for group in yaml.safe_load(hurried())["groups"]
            for rule in group["rules"] for kind in ("record", "alert") if kind in rule]


def panels(**variables):
    """[(dashboard, panel, query)], variables filled in."""
    found = []
    for path in BOARDS:
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                expr = target["expr"].replace("$__rate_interval", WINDOW)
                for name, value in variables.items():
                    expr = expr.replace(f"${name}", value)
                assert "$" not in expr, expr
                found.append((board["uid"], panel["title"], expr))
    return found


def selectors(expr):
    """[(metric, {labels that it names})] of an expression: what must exist, whatever is compared."""
    return [(name, set(re.findall(r"(\w+)\s*[=!]~?", matchers or "")))
            for name, matchers in re.findall(r"(?<![\w:])((?:[a-z]+:)?virtscope_[\w:]+|up)(?:\{([^}]*)\})?", expr)]
