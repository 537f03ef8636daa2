# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be said of the unit and the package without starting anything."""
import re

from machine import ROOT, run

UNIT = ROOT / "dist" / "systemd" / "virtscope.service"
# As measured; docs/SECURITY.md has the figure. Less is better: lower it when the unit gets stricter.
EXPOSURE_MAX = 4.0


def settings():
    """Each key of the unit with all of its values, comments left out."""
    found = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def test_unit_exposes_no_more_than_documented():
    r = run(["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT])
    measured = float(re.search(r"Overall exposure level for virtscope.service: ([\d.]+)", r.stdout)[1])
    assert measured <= EXPOSURE_MAX
    documented = (ROOT / "docs" / "SECURITY.md").read_text()
    assert f"exposure level {measured} " in documented


def test_unit_has_the_capabilities_that_are_documented_and_no_others():
    unit = set(" ".join(settings()["CapabilityBoundingSet"]).split())
    text = (ROOT / "docs" / "SECURITY.md").read_text()
    section = text.split("## Capabilities of the probe")[1].split("\n## ")[0]
    documented = {c for line in section.splitlines() if line.startswith("| CAP_") for c in re.findall(r"CAP_\w+", line.split("|")[1])}
    documented |= set(re.findall(r"CAP_SETUID|CAP_SETGID|CAP_SETPCAP", section))
    assert unit == documented


def test_unit_is_valid_for_systemd(tmp_path):
    # Installed, ExecStart is there; here any program serves.
    copy = tmp_path / "virtscope.service"
    copy.write_text(UNIT.read_text().replace("/usr/bin/virtscope", "/bin/true"))
    r = run(["systemd-analyze", "verify", "--man=no", copy])
    assert r.returncode == 0 and "virtscope.service" not in r.stderr, r.stderr


def test_lintian_finds_no_error(deb):
    r = run(["lintian", "--no-cfg", "--allow-root", "--fail-on", "error", deb])
    assert r.returncode == 0, r.stdout + r.stderr


def test_version_is_one_and_the_same(deb, tmp_path):
    version = (ROOT / "VERSION").read_text().strip()
    run(["dpkg-deb", "-x", deb, tmp_path]).check_returncode()
    assert run(["dpkg-deb", "-f", deb, "Version"]).stdout.strip() == version
    assert run([tmp_path / "usr/bin/virtscope", "--version"]).stdout == f"virtscope {version}\n"
    pages = list(tmp_path.glob("usr/share/man/man*/*.gz"))
    assert len(pages) > 5
    for page in pages:
        # None, where a page does not say it: nothing then can say another.
        assert set(re.findall(r"virtscope (\d+\.\d+\.\d+)", run(["zcat", page]).stdout)) <= {version}, page


def test_install_and_uninstall_leave_only_the_administrators_files(tmp_path):
    make = ["make", "-s", "-C", ROOT, f"DESTDIR={tmp_path}", "PREFIX=/opt/vs"]
    run([*make, "install"]).check_returncode()
    unit = (tmp_path / "opt/vs/lib/systemd/system/virtscope.service").read_text()
    assert "ExecStart=/opt/vs/bin/virtscope run" in unit
    assert (tmp_path / "opt/vs/libexec/virtscope-libvirt").exists()
    config = tmp_path / "etc/virtscope/virtscope.yaml"
    config.write_text("# mine\n")
    run([*make, "install"]).check_returncode()
    assert config.read_text() == "# mine\n"
    run([*make, "uninstall"]).check_returncode()
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if not p.is_dir()}
    assert left == {"etc/virtscope/virtscope.yaml", "etc/logrotate.d/virtscope"}
