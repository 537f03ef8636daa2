# SPDX-License-Identifier: GPL-2.0-or-later
"""A libvirtd of a test's own, with real QEMU guests under software emulation.

Its files, sockets and state lie in a mount namespace that nobody else sees, its
taps in a network namespace of the test. virsh and the probe that is tested run in
that mount namespace, too.
"""
import contextlib
import os
import pathlib
import signal
import subprocess

from lab import BUILD, sh, wait_for

GUEST = BUILD / "guest"
PRIVATE = ("/run/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt", "/etc/libvirt")
ACCOUNTS = (("/etc/passwd", "libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin\n"),
            ("/etc/group", "libvirt-qemu:x:64055:\n"))
UP_S = 20
QEMU_CONF = """
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
remember_owner = 0
stdio_handler = "file"
"""
LIBVIRTD_CONF = """
unix_sock_group = "root"
unix_sock_ro_perms = "0777"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
"""

DOMAIN = """
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <title>the {name} of a test</title>
  <memory unit='KiB'>131072</memory>
  <currentMemory unit='KiB'>131072</currentMemory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{guest}/vmlinuz</kernel>
    <initrd>{guest}/initrd</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 vs.seconds=600</cmdline>
  </os>
  <features><acpi/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <controller type='pci' model='pcie-root'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    {disks}
    {nics}
    <serial type='file'><source path='{serial}'/></serial>
    <memballoon model='virtio'/>
  </devices>
  {more}
</domain>
"""


def disk_xml(path, target):
    return (f"<disk type='block' device='disk'><driver name='qemu' type='raw' cache='none'/>"
            f"<source dev='{path}'/><target dev='{target}' bus='virtio'/></disk>")


def nic_xml(bridge, tap, mac):
    return (f"<interface type='bridge'><source bridge='{bridge}'/><mac address='{mac}'/>"
            f"<target dev='{tap}'/><model type='virtio'/><driver name='qemu'/></interface>")


class Domain:
    def __init__(self, libvirt, name, uuid, serial):
        self.libvirt, self.name, self.uuid, self.serial = libvirt, name, uuid, serial

    @property
    def pid(self):
        return int(self.libvirt.read(f"/run/libvirt/qemu/{self.name}.pid"))

    def wait_working(self):
        """Hot-plug needs a guest that has got as far as its drivers."""
        wait_for("guest works", lambda: "vs-guest: working" in self.serial.read_text(errors="replace"), 120, 0.2)


class Libvirt:
    def __init__(self, lab):
        self.lab = lab
        self.daemon = None
        self.root = lab.scratch / "libvirt"
        self.root.mkdir()
        self.net = lab.netns()
        self.net.ip("link", "add", "br0", "type", "bridge")
        self.net.ip("link", "set", "br0", "up")
        # Everything here is thrown away with the namespace.
        mounts = "; ".join([f"mkdir -p {d}; mount -t tmpfs tmpfs {d}" for d in PRIVATE] +
                           [f"mount --bind {self._accounts(file, line)} {file}" for file, line in ACCOUNTS])
        self.holder = subprocess.Popen(
            ["ip", "netns", "exec", self.net.name, "unshare", "-m", "--propagation", "private", "sh", "-ec",
             f"{mounts}; echo ready; exec sleep 3600"], stdout=subprocess.PIPE, text=True)
        lab.undo.callback(self._end_holder)
        assert self.holder.stdout.readline() == "ready\n"
        self.prefix = ["nsenter", "-t", str(self.holder.pid), "-m"]
        self.write("/etc/libvirt/qemu.conf", QEMU_CONF)
        self.write("/etc/libvirt/libvirtd.conf", LIBVIRTD_CONF)
        lab.undo.callback(self._end_domains)
        self.start()

    def _accounts(self, file, line):
        """libvirtd does not start without the user of Debian's libvirt-daemon-system, though it is not used."""
        text = pathlib.Path(file).read_text()
        copy = self.root / pathlib.Path(file).name
        copy.write_text(text if "libvirt-qemu:" in text else text + line)
        return copy

    def _end_holder(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()

    def _end_domains(self):
        """By libvirt's own pid files: whatever became of libvirtd."""
        for pidfile in pathlib.Path(f"/proc/{self.holder.pid}/root/run/libvirt/qemu").glob("*.pid"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(pidfile.read_text()), signal.SIGKILL)
        self.kill()

    def write(self, path, text):
        pathlib.Path(f"/proc/{self.holder.pid}/root{path}").write_text(text)

    def read(self, path):
        return pathlib.Path(f"/proc/{self.holder.pid}/root{path}").read_text()

    def start(self):
        self.log = open(self.root / "libvirtd.log", "a")
        self.daemon = subprocess.Popen(
            [*self.prefix, "-n", "libvirtd", "--config", "/etc/libvirt/libvirtd.conf"], stdout=self.log, stderr=self.log)
        try:
            wait_for("libvirtd answers", lambda: self.virsh("version", check=False), UP_S, 0.1)
        except AssertionError as e:
            raise AssertionError(f"{e}: {(self.root / 'libvirtd.log').read_text()[-3000:]}") from e
        return self

    def kill(self, number=signal.SIGKILL):
        if self.daemon and self.daemon.poll() is None:
            # One that is stopped does not see a gentler signal.
            self.daemon.send_signal(signal.SIGCONT)
            self.daemon.send_signal(number)
            self.daemon.wait(20)

    def stop(self):
        self.daemon.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.daemon.send_signal(signal.SIGCONT)

    def virsh(self, *argv, check=True):
        return sh(*self.prefix, "virsh", "-c", "qemu:///system", *argv, check=check, timeout=60)

    def define(self, name, uuid, disks=(), nics=(), more=""):
        serial = self.root / f"{name}.serial"
        xml = self.root / f"{name}.xml"
        xml.write_text(DOMAIN.format(
            name=name, uuid=uuid, guest=GUEST, serial=serial, more=more,
            disks="".join(disk_xml(path, target) for path, target in disks),
            nics="".join(nic_xml("br0", tap, mac) for tap, mac in nics)))
        self.virsh("define", xml)
        return Domain(self, name, uuid, serial)

    def plug(self, command, domain, xml):
        path = self.root / "device.xml"
        path.write_text(xml)
        return self.virsh(command, domain.name, path, "--live")
