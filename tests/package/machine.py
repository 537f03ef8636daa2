# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian 12 that runs systemd in a container, on an overlay, to install packages in.

It shares this host's kernel, so BPF programs load for real. Its network is a loopback of its own, and so is its PID namespace:
the unit's own life can be watched in here, guests cannot (test_bare_machine.py has those).
"""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
BOOT_S = 120


def run(argv, timeout_s=300, **kw):
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=timeout_s, **kw)


def wait_for(what, condition, timeout_s, step_s=0.2):
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what}: not within {timeout_s} s"
        time.sleep(step_s)


class Machine:
    def __init__(self, system):
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="run.", dir=BUILD / "package"))
        self.root = self.scratch / "root"
        self.process = None
        # Changes in memory: dpkg syncs each file it writes.
        run(["mount", "-t", "tmpfs", "tmpfs", self.scratch]).check_returncode()
        for name in ("upper", "work", "root"):
            (self.scratch / name).mkdir()
        options = f"lowerdir={system},upperdir={self.scratch}/upper,workdir={self.scratch}/work"
        run(["mount", "-t", "overlay", "-o", options, "overlay", self.root]).check_returncode()

    def boot(self):
        self.log = open(self.scratch / "console", "wb")
        # Bound once more where systemd's own mounts cover them.
        binds = [f"--bind={p}" for p in ("/sys/fs/bpf", "/sys/kernel/debug", "/sys/kernel/tracing") if os.path.ismount(p)]
        self.process = subprocess.Popen(
            ["systemd-nspawn", "-q", "--register=no", "--keep-unit", "--capability=all", "--private-network", "--system-call-filter=bpf perf_event_open", *binds,
             "--console=pipe", "-D", str(self.root), "--boot"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.leader = wait_for("process 1 of the container", self._find_leader, BOOT_S)
        wait_for(f"systemd in the container; {self.scratch}/console",
                 lambda: self.sh("systemctl is-system-running", check=False).strip() in ("running", "degraded"), BOOT_S)

    def _find_leader(self):
        assert self.process.poll() is None, (self.scratch / "console").read_text(errors="replace")[-2000:]
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in children:
            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                return int(pid)
        return None

    def sh(self, script, check=True, timeout_s=300):
        """Runs a shell script in the container, returns its stdout."""
        r = run(["nsenter", "-t", self.leader, "-m", "-u", "-i", "-n", "-p", "-C", "--", "/bin/bash", "-c",
                 "export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive; cd /; " + script], timeout_s)
        assert not check or r.returncode == 0, f"{script}: {r.returncode}\n{r.stdout}{r.stderr}"
        return r.stdout

    def put(self, path, to):
        shutil.copy(path, self.root / to.lstrip("/"))

    def files(self):
        """Every path, with its kind and mode, of what a package could leave. Not what apt and the system write as they go."""
        skip = ("/var/cache/apt", "/var/lib/apt", "/var/lib/dpkg", "/var/log/journal", "/var/log/apt", "/var/log/dpkg.log",
                "/var/log/alternatives.log", "/var/lib/logrotate/status", "/var/cache/ldconfig", "/var/lib/systemd", "/var/cache/debconf", "/run/systemd",
                "/run/log", "/run/user", "/etc/ld.so.cache", "/tmp", "/var/tmp")
        prune = " -o ".join(f"-path {p}" for p in skip)
        out = self.sh(f"find / -xdev \\( {prune} \\) -prune -o -printf '%y %m %p\\n'; "
                      f"find /run -xdev \\( {prune} \\) -prune -o -printf '%y %m %p\\n'")
        return set(out.splitlines())

    def end(self):
        if self.process:
            # SIGRTMIN+4 is systemd's poweroff; a container that hangs is killed.
            self.process.send_signal(38)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.log.close()
            shutil.copy(self.scratch / "console", BUILD / "package" / "console.log")
        run(["umount", self.root])
        run(["umount", self.scratch])
        self.scratch.rmdir()
