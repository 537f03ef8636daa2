# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt and its guests, in scripts/host-vm's machine.

A guest is a real KVM domain (KVM in an emulated machine) with vhost-net and a
raw disk with cache='none' and io='native'. What it does is told to it over a
virtio-serial port, so that its network and disk carry the test's work alone.
libvirt is asked through virsh: the tests' ground truth shares no code with the probe.
"""
import contextlib
import os
import pathlib
import re
import socket
import subprocess
import threading
import time
import uuid
from xml.sax.saxutils import escape

from lab import ROOT, Netns, sh, wait_for

KERNEL = pathlib.Path(os.environ.get("VS_KERNEL", "/nonexistent"))
DISK_ROOT = pathlib.Path(os.environ.get("VS_DISK", "/nonexistent"))
RUN = pathlib.Path("/run/vst")
BOOT_S = 180    # 15 s when the machine has the host to itself
REPLY_S = 120
VIRSH_S = 120
DISCARD_PORT = 9
# Seen under emulation on the way to the first command: 10 s less with quiet, and no timer calibration.
CMDLINE = ("console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable no_timer_check "
           "random.trust_cpu=on ipv6.disable=1")

INTERFACE = """
<interface type='bridge'>
  <mac address='{mac}'/><source bridge='{bridge}'/><target dev='{tap}'/>
  <model type='virtio'/><driver name='vhost' queues='{queues}'/><rom enabled='no'/>
</interface>"""
DISK = """
<disk type='file' device='disk'>
  <driver name='qemu' type='raw' cache='none' io='native'/>
  <source file='{image}'/><target dev='{target}' bus='virtio'/>
</disk>"""
DISK_BLOCK = """
<disk type='block' device='disk'>
  <driver name='qemu' type='raw' cache='none' io='native'/>
  <source dev='{device}'/><target dev='{target}' bus='virtio'/>
</disk>"""
# Without XSAVE: QEMU's emulated SVM does not keep the states of guest and host apart, and guests die of it, or the host.
# 'pc' without USB, HPET and option ROMs is the fastest to boot here; q35 takes 15 % more, microvm is no faster.
DOMAIN = """
<domain type='kvm'>
  <name>{name}</name><uuid>{uuid}</uuid>
  <memory unit='MiB'>{memory_mib}</memory><vcpu>{vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{cmdline}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='host-passthrough'><feature policy='disable' name='xsave'/></cpu>
  <clock offset='utc'><timer name='hpet' present='no'/></clock>
  <on_reboot>destroy</on_reboot>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <serial type='file'><source path='{console}'/></serial>
    <channel type='unix'>
      <source mode='bind' path='{agent}'/><target type='virtio' name='virtscope.test'/>
    </channel>
    <memballoon model='virtio'><stats period='1'/></memballoon>
    {devices}
  </devices>
</domain>"""


def virsh(*argv, check=True):
    return sh("virsh", "-q", "-c", "qemu:///system", *argv, check=check, timeout=VIRSH_S)


class Libvirtd:
    script = ROOT / "tests" / "vm" / "libvirt-up"

    def up(self):
        sh(self.script)

    @property
    def pid(self):
        return int(sh("pgrep", "-xo", "libvirtd"))

    def kill(self, signal="KILL"):
        """Ends it; guests go on. Returns when it is gone."""
        pid = self.pid
        sh("kill", f"-{signal}", pid)
        wait_for("libvirtd's end", lambda: not pathlib.Path(f"/proc/{pid}").exists(), 30)


class Host(Netns):
    """The machine's own network namespace: the taps of libvirt's guests are in there."""

    def __init__(self):
        super().__init__("host")

    def exec(self, *argv, **kw):
        return sh(*argv, **kw)

    def ip(self, *argv):
        return sh("ip", *argv)

    def tc(self, *argv):
        return sh("tc", *argv)


class Bridge:
    """A bridge with an address, and a veth pair on it: frames sent into `port` reach the guests."""

    def __init__(self, name="vsbr0", address="10.77.0.1", port="vsgen0"):
        self.name, self.address, self.port = name, address, port
        pathlib.Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        sh("ip", "link", "add", name, "type", "bridge", "mcast_snooping", "0")
        sh("ip", "addr", "add", f"{address}/16", "dev", name)
        sh("ip", "link", "set", name, "up")
        sh("ip", "link", "add", port, "type", "veth", "peer", "name", f"{port}p")
        sh("ip", "link", "set", f"{port}p", "master", name, "up")
        sh("ip", "link", "set", port, "up")
        # Reads and forgets what guests send to the discard port: an ICMP error would be a packet to the guest.
        self.sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sink.bind((address, DISCARD_PORT))
        threading.Thread(target=self._swallow, daemon=True).start()

    def _swallow(self):
        with contextlib.suppress(OSError):
            while True:
                self.sink.recv(65536)

    @property
    def mac(self):
        return pathlib.Path(f"/sys/class/net/{self.name}/address").read_text().strip()

    def remove(self):
        sh("ip", "link", "del", self.port, check=False)
        sh("ip", "link", "del", self.name, check=False)


class Guest:
    """A domain; start() creates it and returns when its shell answers."""

    def __init__(self, name, number, bridge, initrd, vcpus=1, memory_mib=192, disk_mib=64, queues=1, nics=1, disks=1):
        self.name, self.number, self.bridge, self.initrd = name, number, bridge, initrd
        self.uuid = str(uuid.uuid4())
        self.vcpus, self.memory_mib, self.queues = vcpus, memory_mib, queues
        self.address = f"10.77.1.{number}"
        self.taps = [f"vst{number}n{i}" for i in range(nics)]
        self.images = [self.make_image(i, disk_mib) for i in range(disks)]
        self.console = RUN / f"{name}.console"
        self.agent = RUN / f"{name}.agent"
        self.took = {}
        self.file = None
        self.kept = RUN / f"{name}.xml"
        self.device = RUN / f"{name}-device.xml"

    def make_image(self, index, mib):
        path = DISK_ROOT / f"{self.name}-{index}.img"
        # Written, not sparse: a read of a hole never reaches the disk.
        sh("dd", "if=/dev/zero", f"of={path}", "bs=4M", f"count={mib // 4}", "oflag=direct")
        return path

    def mac(self, index):
        return f"52:54:00:77:{self.number:02x}:{index:02x}"

    def interface_xml(self, index, bridge=None):
        xml = INTERFACE.format(mac=self.mac(index), bridge=bridge or self.bridge.name,
                               tap=f"vst{self.number}n{index}", queues=self.queues)
        return xml.replace(" queues='1'", "")

    def disk_xml(self, image, target):
        return DISK.format(image=image, target=target)

    def xml(self):
        devices = [self.interface_xml(i) for i in range(len(self.taps))]
        devices += [self.disk_xml(image, f"vd{'abcdef'[i]}") for i, image in enumerate(self.images)]
        return DOMAIN.format(name=self.name, uuid=self.uuid, memory_mib=self.memory_mib, vcpus=self.vcpus,
                             kernel=KERNEL / "vmlinuz", initrd=self.initrd, cmdline=escape(CMDLINE),
                             console=self.console, agent=self.agent, devices="".join(devices))

    def start(self):
        RUN.mkdir(exist_ok=True)
        self.kept.write_text(self.xml())
        begin = time.monotonic()
        # Defined, not only created: libvirt saves no domain that it would forget.
        virsh("define", self.kept)
        virsh("start", self.name)
        self.took["create"] = time.monotonic() - begin
        self.connect()
        line = self.file.readline()
        assert line.startswith("vs-ready"), f"{self.name}: {line!r}; console: {self.tail()}"
        self.took["shell"] = time.monotonic() - begin
        # The neighbours are told, not asked for: no packet here is the kernels' own.
        self.run(f"ip link set eth0 up; ip addr add {self.address}/16 dev eth0; "
                 f"arp -s {self.bridge.address} {self.bridge.mac}")
        sh("ip", "neigh", "replace", self.address, "lladdr", self.mac(0), "dev", self.bridge.name, "nud", "permanent")
        return self

    def connect(self):
        """Opens the agent's port: also after a restore, when QEMU and its socket are new."""
        if self.file:
            self.file.close()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(BOOT_S)
        self.socket.connect(str(self.agent))
        self.file = self.socket.makefile("rw")

    def tail(self):
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-15:]) if self.console.exists() else ""

    def begin(self, command):
        """Starts a shell command in the guest; result() waits for it."""
        assert "\n" not in command
        self.file.write(command + "\n")
        self.file.flush()

    def result(self, check=True, timeout_s=REPLY_S):
        self.socket.settimeout(timeout_s)
        lines = []
        for line in self.file:
            if line.startswith("vs-status: "):
                status = int(line.split()[1])
                assert not check or status == 0, f"{self.name}: status {status}: {''.join(lines)}"
                return "".join(lines)
            lines.append(line)
        raise AssertionError(f"{self.name} ended; console: {self.tail()}")

    def run(self, command, check=True, timeout_s=REPLY_S):
        self.begin(command)
        return self.result(check, timeout_s)

    # What a guest does, in exact numbers.

    def ping(self, count, size=56, interval_s=0.01):
        """Pings the host, returns the number of answers."""
        out = self.run(f"ping -q -c {count} -s {size} -i {interval_s} {self.bridge.address}")
        return int(re.search(r"(\d+) packets received", out)[1])

    def send(self, count, **kw):
        """Sends count frames of size bytes to the host with the guest kernel's generator, returns how many left."""
        out = self.run(self.send_command(count, **kw))
        return int(re.search(r"sofar: (\d+)", out)[1])

    def send_command(self, count, size=100, delay_ns=0, dev="eth0", queue=0):
        """0: endless."""
        lines = ["rem_device_all", f"add_device {dev}"]
        script = [f"echo {line} > /proc/net/pktgen/kpktgend_0" for line in lines]
        lines = [f"count {count}", f"pkt_size {size - 4}", f"delay {delay_ns}", f"dst {self.bridge.address}",
                 f"src_min {self.address}", f"src_max {self.address}", f"dst_mac {self.bridge.mac}",
                 f"udp_dst_min {DISCARD_PORT}", f"udp_dst_max {DISCARD_PORT}",
                 f"queue_map_min {queue}", f"queue_map_max {queue}"]
        script += [f"echo {line} > /proc/net/pktgen/{dev}" for line in lines]
        script += ["echo start > /proc/net/pktgen/pgctrl", f"cat /proc/net/pktgen/{dev}"]
        return " && ".join(script)

    def read(self, count, size="4k", skip=0, disk="vda"):
        """count requests of size bytes, past the guest's cache."""
        self.run(f"dd if=/dev/{disk} of=/dev/null bs={size} count={count} skip={skip} iflag=direct 2>/dev/null")

    def write(self, count, size="4k", seek=0, disk="vda", fsync=False):
        conv = "conv=notrunc,fsync" if fsync else "conv=notrunc"
        self.run(f"dd if=/dev/zero of=/dev/{disk} bs={size} count={count} seek={seek} oflag=direct {conv} 2>/dev/null")

    # What is done to it.

    def plug(self, xml):
        self.device.write_text(xml)
        virsh("attach-device", self.name, self.device, "--live")

    def unplug(self, xml):
        """Returns when it is asked for: the guest has to agree."""
        self.device.write_text(xml)
        virsh("detach-device", self.name, self.device, "--live")

    @contextlib.contextmanager
    def paused(self):
        virsh("suspend", self.name)
        try:
            yield
        finally:
            virsh("resume", self.name)

    # What libvirt and the kernel say about it.

    @property
    def pid(self):
        return int(pathlib.Path(f"/run/libvirt/qemu/{self.name}.pid").read_text())

    def threads(self):
        """{tid: name} of its QEMU."""
        return {int(p.name): (p / "comm").read_text().strip() for p in pathlib.Path(f"/proc/{self.pid}/task").iterdir()}

    def vhost_tids(self):
        """Its vhost workers: threads of QEMU since 6.4, kernel threads named after it before."""
        tids = [tid for tid, name in self.threads().items() if name.startswith("vhost-")]
        out = sh("ps", "-eo", "pid=,comm=")
        return tids + [int(p) for p, name in (line.split(None, 1) for line in out.splitlines())
                       if name.strip() == f"vhost-{self.pid}"]

    def cgroup(self):
        """Where libvirt put it: the domain's own folder, above emulator/ and vcpu0/."""
        path = pathlib.Path(f"/proc/{self.pid}/cgroup").read_text().strip().removeprefix("0::/")
        return pathlib.Path("/sys/fs/cgroup") / path.removesuffix("/emulator")

    def domifstat(self, tap=None):
        out = virsh("domifstat", self.name, tap or self.taps[0])
        return {key: int(value) for _, key, value in (line.split() for line in out.splitlines() if line)}

    def domblkstat(self, disk="vda"):
        out = virsh("domblkstat", self.name, disk)
        return {key: int(value) for _, key, value in (line.split() for line in out.splitlines() if line)}

    def vcpu_tids(self):
        return sorted(tid for tid, name in self.threads().items() if re.fullmatch(r"CPU \d+/KVM", name))

    def kvm_stats(self):
        """KVM's counters of it, from debugfs."""
        [folder] = pathlib.Path("/sys/kernel/debug/kvm").glob(f"{self.pid}-*")
        return {p.name: int(p.read_text()) for p in folder.iterdir() if p.is_file() and "exit" in p.name}

    def state(self):
        return virsh("domstate", self.name, check=False).strip()

    def end(self):
        virsh("destroy", self.name, check=False)
        virsh("undefine", self.name, "--managed-save", check=False)
        if self.file:
            self.file.close()
            self.socket.close()
        sh("ip", "neigh", "del", self.address, "dev", self.bridge.name, check=False)
        for path in [*self.images, self.agent]:
            path.unlink(missing_ok=True)


def make_initrd(path):
    """In the background, for it takes as long as libvirtd's start; returns the process."""
    return subprocess.Popen([ROOT / "tests" / "vm" / "guest-image", KERNEL, path])
