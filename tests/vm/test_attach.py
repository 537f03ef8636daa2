# SPDX-License-Identifier: GPL-2.0-or-later
"""The probe of vhost comes and goes with those who use the module.

First of its folder by name: once the guest that tests share is up, the module stays.
"""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from vhost import attached, queue, vhost_programs, vhost_vm   # noqa: E402
from lab import sh, wait_for   # noqa: E402


def test_vhost_net_may_be_loaded_after_the_daemon_and_unloaded_under_it(lab, daemon, look):
    sh("modprobe", "-r", "vhost_net")
    lab.undo.callback(sh, "modprobe", "vhost_net")
    virtscope = daemon()
    ns = lab.netns()
    assert not vhost_programs(virtscope.pid)
    sh("modprobe", "vhost_net")
    vm = vhost_vm(lab, ns, ["t0"])
    attached(virtscope)
    ask = look("--control", virtscope.control, standalone=False)
    vm.do("send", count=400)
    assert queue(ask.finish(), vm, "t0", "tx")["buffers"] == 400
    vm.quit()
    # Kept for a minute in case of the next VM, then let go.
    wait_for("the module to be unloaded", lambda: subprocess.run(
        ["modprobe", "-r", "vhost_net"], capture_output=True).returncode == 0, 90, step_s=1)
    assert not vhost_programs(virtscope.pid)
    # And again.
    sh("modprobe", "vhost_net")
    again = vhost_vm(lab, ns, ["t1"])
    attached(virtscope)
    ask = look("--control", virtscope.control, standalone=False)
    again.do("send", count=500)
    assert queue(ask.finish(), again, "t1", "tx")["buffers"] == 500
