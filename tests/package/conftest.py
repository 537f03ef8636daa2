# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages under test, and a machine to install them on. Root only."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from machine import BUILD, ROOT, Machine, run  # noqa: E402

VERSION = (ROOT / "VERSION").read_text().strip()
PREVIOUS = "0.0.1~prev"


def package(version):
    """Builds the package of one version, unless there is one that is newer than the tree."""
    names = run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]).stdout.split("\0")
    changed = max((ROOT / n).lstat().st_mtime for n in names if n and not n.startswith("tests/") and (ROOT / n).exists())
    found = [p for p in (BUILD / "deb").glob(f"virtscope_{version}_*.deb") if p.stat().st_mtime > changed]
    if found:
        return found[0]
    r = run(["make", "-s", "-C", ROOT, "deb", f"VERSION={version}"], 600)
    assert r.returncode == 0, r.stdout + r.stderr
    return BUILD / "deb" / r.stdout.split()[-1].split("/")[-1]


@pytest.fixture(scope="session")
def deb():
    assert os.geteuid() == 0, "needs root"
    return package(VERSION)


@pytest.fixture(scope="session")
def previous_deb():
    return package(PREVIOUS)


@pytest.fixture(scope="session")
def bare_system(deb):
    r = run([ROOT / "scripts" / "bare-system", "bare", deb], 900)
    assert r.returncode == 0, r.stderr
    return pathlib.Path(r.stdout.strip())


@pytest.fixture(scope="module")
def machine(bare_system):
    machine = Machine(bare_system)
    try:
        machine.boot()
        yield machine
    finally:
        machine.end()
