# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of a section of README.md, as they stand there: one string for each block of indented lines."""
from machine import ROOT


def blocks(section):
    text = (ROOT / "README.md").read_text()
    body = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    found, block = [], []
    for line in body.splitlines() + [""]:
        if line.startswith("    "):
            block.append(line[4:])
        elif block:
            found.append("\n".join(block) + "\n")
            block = []
    return found
