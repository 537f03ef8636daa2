# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests that need the KVM host in a virtual machine: libvirt, vhost, guests that boot.

Run by scripts/test-vm inside scripts/host-vm; on the build host they fail, and
nothing of it is touched.
"""
import itertools
import os

import pytest

pytest.register_assert_rewrite("guest")

from guest import RUN, Bridge, Guest, Host, Libvirtd, make_initrd   # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def machine(built):
    """A run in the wrong place must not look like a pass."""
    assert os.environ.get("VS_VM"), "tests/vm needs the KVM host in a virtual machine: scripts/host-vm 6.1 -- scripts/test-vm"


@pytest.fixture(scope="session")
def initrd_making(machine):
    RUN.mkdir(exist_ok=True)
    path = RUN / "guest.initrd"
    return make_initrd(path), path


@pytest.fixture(scope="session")
def libvirtd(initrd_making):
    """Comes up while the guests' initramfs is being made."""
    daemon = Libvirtd()
    daemon.up()
    return daemon


@pytest.fixture(scope="session")
def initrd(initrd_making):
    process, path = initrd_making
    assert process.wait(120) == 0, "tests/vm/guest-image failed"
    return path


@pytest.fixture(scope="session")
def bridge(machine):
    bridge = Bridge()
    yield bridge
    bridge.remove()


@pytest.fixture(scope="session")
def host(machine):
    return Host()


@pytest.fixture(scope="session")
def guest_numbers():
    return itertools.count(1)


@pytest.fixture
def guest(libvirtd, initrd, bridge, guest_numbers):
    """guest(**options) boots a guest of the test's own (15 s or more) and destroys it at the end."""
    made = []

    def boot(**options):
        number = next(guest_numbers)
        made.append(Guest(f"vst{number}", number, bridge, initrd, **options))
        return made[-1].start()
    yield boot
    for one in made:
        one.end()


@pytest.fixture(scope="session")
def shared_guest(libvirtd, initrd, bridge, guest_numbers):
    """One guest for the tests that leave it as it was: one vNIC, one disk, running, idle."""
    number = next(guest_numbers)
    one = Guest(f"vst{number}", number, bridge, initrd).start()
    yield one
    one.end()
