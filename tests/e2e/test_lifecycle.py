# SPDX-License-Identifier: GPL-2.0-or-later
"""What the probe leaves behind: nothing, neither in the kernel nor in its own memory."""
import signal
import time

import pytest

from lab import wait_for
from probe import bpf_ids, bpf_objects, map_entries, map_rows, rows

GONE_S = 5
REST_S = 10     # a freed slot is not given out again for so long


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL],
                         ids=["sigterm", "sigint", "sigkill"])
def test_within_5_s_of_its_end_nothing_of_ours_is_in_the_kernel(lab, daemon, number):
    ns = lab.netns()
    lab.vm(ns, ["t0"])
    probe = daemon()
    ours = bpf_objects(probe.pid)
    kinds = {kind for kind, _ in ours}
    assert {"prog", "map"} <= kinds, ours
    probe.signal(number)
    status = probe.wait(GONE_S)
    assert status == (-number if number == signal.SIGKILL else 0), probe.stderr
    wait_for("BPF objects gone", lambda: not bpf_ids() & set(ours), GONE_S)


def test_one_look_leaves_nothing_in_the_kernel(lab, look):
    lab.vm(lab.netns(), ["t0"])
    measure = look()
    ours = bpf_objects(measure.pid)
    assert ours
    measure.finish()
    wait_for("BPF objects gone", lambda: not bpf_ids() & set(ours), GONE_S)


@pytest.mark.parametrize("vm_first", [True, False], ids=["vm_before_probe", "probe_before_vm"])
def test_a_namespace_deleted_under_the_probe_is_freed_within_1_s(lab, daemon, vm_first):
    ns, witness = lab.netns(), lab.netns()
    # A veth dies with its peer's namespace: that is how the end is seen.
    witness.ip("link", "add", "peer", "type", "veth", "peer", "name", "inside", "netns", ns.name)
    vm = lab.vm(ns, ["t0"]) if vm_first else None
    probe = daemon()
    vm = vm or lab.vm(ns, ["t0"])
    probe.event("vnic.attach", vm)
    ns.send("t0", 1100)
    time.sleep(1.2)     # at least one round of reading its counters
    vm.quit()
    lab.netns_del(ns)
    wait_for("namespace freed", lambda: '"peer"' not in witness.ip("-j", "link", "show"), 1.0)


def born_and_dead(lab, probe, vms, drops):
    """One generation: VMs with a tap each in a namespace whose name and ifindexes repeat."""
    ns = lab.netns(f"{lab.slug}-gen")
    generation = [lab.vm(ns, [f"t{i}"], name=f"gen{i}") for i in range(vms)]
    probe.event("vnic.attach", generation[-1], 4.0)
    for i, vm in enumerate(generation):
        vm.do("filter", kind="socket")
        ns.send(f"t{i}", drops)
    assert ns.counters("t0")["rx"]["dropped"] == drops
    indexes = [ns.link(f"t{i}")["ifindex"] for i in (0, vms - 1)]
    for vm in generation:
        vm.quit()
    probe.event("vm.stop", generation[-1], 4.0)
    lab.netns_del(ns)
    return indexes


def entries_of_vms(pid):
    """Entries of the hash maps; of disks' rows those that are a VM's, which the key begins with: nobody's may come any time."""
    found = {name: n for (name, _), n in map_entries(pid).items()}
    found["vs_disk"] = sum(any(int(octet, 16) for octet in row["key"][:4]) for row in map_rows(pid, "vs_disk"))
    return found


def test_500_vms_born_and_dead_leave_memory_and_maps_as_they_were(lab, daemon):
    probe = daemon()
    indexes = born_and_dead(lab, probe, 50, 15)     # first use of everything
    time.sleep(REST_S + 2)
    rss, entries = probe.rss_kib(), entries_of_vms(probe.pid)
    for _ in range(10):
        assert born_and_dead(lab, probe, 50, 15) == indexes
    time.sleep(REST_S + 2)
    grown = {k: (entries.get(k, 0), n) for k, n in entries_of_vms(probe.pid).items() if n > entries.get(k, 0)}
    assert not grown
    assert probe.rss_kib() - rss < 4096
    assert not [e for e in probe.events() if e["type"] == "self.lost"]
    starts, stops = probe.events("vm.start"), probe.events("vm.stop")
    mine = {e["vm"]["pid"] for e in starts if e["vm"]["name"].startswith("gen")}
    assert mine == {e["vm"]["pid"] for e in stops if e["vm"]["name"].startswith("gen")} and len(mine) == 550


def test_a_reused_name_and_ifindex_starts_at_zero(lab, look):
    measure = look()
    seen = set()
    for drops in (400, 7):
        ns = lab.netns(f"{lab.slug}-gen")
        vm = lab.vm(ns, ["t0"], name="phoenix")
        time.sleep(1.5)
        ns.send("t0", 1000 + drops)
        dropped, index = ns.counters("t0")["rx"]["dropped"], ns.link("t0")["ifindex"]
        seen.add(index)
        if drops == 400:
            time.sleep(1.2)
            vm.quit()
            lab.netns_del(ns)
            time.sleep(REST_S + 1)      # its slot may be given out again
    vnic = measure.finish().vnic(vm, "t0")
    assert len(seen) == 1
    assert dropped == 7 == vnic["rx"]["kernel_dropped"] == rows(vnic, "rx", reason="FULL_RING")
    assert vnic["rx"]["unexplained"] == 0
