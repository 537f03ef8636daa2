# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of tests/e2e and tests/vm share: the built binary against what somebody else counted.

Run as root: scripts/test, or /usr/bin/python3 -m pytest tests/e2e; tests/vm runs in a
virtual machine, see scripts/test-vm. Each test's name is its claim. Ground truth comes
from the generator, the posed VM, ip, tc, fio, virsh and /proc.
"""
import os
import pathlib
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "e2e"))
# Assertions in these are part of the tests.
pytest.register_assert_rewrite("lab", "probe")

from lab import HARNESS, Lab   # noqa: E402
from probe import VIRTSCOPE, Daemon, Look   # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def built():
    """A missing binary or missing rights must fail, not skip: they hide everything."""
    assert os.geteuid() == 0, "the end-to-end tests need root: use scripts/test"
    for path in (VIRTSCOPE, HARNESS / "posed_vm", HARNESS / "packet_gen"):
        assert path.exists(), f"{path} is missing: run make"


@pytest.fixture
def scratch():
    """A short path, readable by all: for control sockets and unprivileged runs."""
    with tempfile.TemporaryDirectory(prefix="vst-") as name:
        path = pathlib.Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
def lab(request, scratch):
    lab = Lab(request.node.nodeid, scratch)
    with lab.undo:
        yield lab


@pytest.fixture(params=[None, "tp_btf"], ids=["any_hook", "no_tp_btf"])
def hooks(request):
    """Options that choose the hooks: the best there are, and their fallbacks."""
    return ["--deny-hook", request.param] if request.param else []


@pytest.fixture
def look(lab):
    """look(*options) starts a measurement and returns it once it is ready."""
    def start(*args, **kw):
        process = Look(*args, **kw)
        lab.undo.callback(process.end)
        return process.ready()
    return start


@pytest.fixture
def daemon(lab, scratch):
    def start(*args, **kw):
        process = Daemon(scratch, *args, **kw)
        lab.undo.callback(process.end)
        return process.ready()
    return start
