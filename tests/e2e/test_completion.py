# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion in real shells: what Tab offers is what the program takes. And the pages of man."""
import json
import os
import pathlib
import pty
import re
import select
import subprocess
import time

import pytest

from probe import VIRTSCOPE, run

ROOT = VIRTSCOPE.parent.parent
WHERE = ROOT / "dist" / "completion"


def tables():
    return json.loads(run("--dump-tables")[1])


def bash(*words, cwd="/"):
    """What bash would offer for the last of @words."""
    script = f"""source {WHERE}/virtscope.bash
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _virtscope; printf '%s\\n' "${{COMPREPLY[@]}}" """
    r = subprocess.run(["bash", "--norc", "-c", script, "bash", *words], capture_output=True, text=True, cwd=cwd, timeout=10)
    assert r.returncode == 0 and r.stderr == "", r.stderr
    return [line for line in r.stdout.splitlines() if line]


def test_bash_knows_every_command_and_every_long_option():
    commands = tables()["commands"]
    assert set(bash("virtscope", "")) == {c["name"] for c in commands} | {"help", "--help", "--version"}
    for c in commands:
        wanted = {f"--{o['name']}" for o in c["options"] if o["name"]}
        assert set(bash("virtscope", c["name"], "--")) == wanted
        for o in c["options"]:      # the program knows each; the value may be a wrong one
            if o["name"]:
                assert "is not understood" not in run(c["name"], f"--{o['name']}", *(["1"] if o["arg"] else []), "--help")[2]


@pytest.mark.parametrize("words, offered", [
    (["re"], ["report"]),
    (["run", "--deny-hook", "f"], ["fentry"]),
    (["run", "--deny-hook", "=", "f"], ["fentry"]),
    (["doctor", "--deny-hook", "="], ["tp_btf", "raw_tp", "iter", "fentry", "kprobe", "sched", "bpf"]),
    (["events", "--type", "drop"], ["drop.burst"]),
    (["run", "--vm", ""], []),
    (["report", "--duration", ""], []),
    (["help", "do"], ["doctor"]),
    (["nosuch", "--"], []),
], ids=lambda value: "_".join(value) or "nothing")
def test_bash_offers_what_may_follow(words, offered):
    assert bash("virtscope", *words) == offered


def test_bash_offers_files_where_files_are_meant(scratch):
    (scratch / "a file.yaml").touch()
    for words in (["run", "--config", "a"], ["run", "-c", "a"], ["check-config", "a"], ["run", "--events", "=", "a"]):
        assert bash("virtscope", *words, cwd=scratch) == ["a file.yaml"], words


class Zsh:
    """An interactive zsh without anybody's settings."""

    def __init__(self, cwd):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.environ.update(TERM="dumb", HOME=str(cwd), ZDOTDIR=str(cwd), LINES="50", COLUMNS="200")
            os.execvp("zsh", ["zsh", "-f", "-i"])
        self.ask(f"PS1=; unsetopt zle_bracketed_paste; fpath=({WHERE} $fpath); autoload -Uz compinit; "
                 "compinit -D -u; bindkey '^I' complete-word; zstyle ':completion:*' list-prompt ''; echo rea''dy\n", "ready")

    def ask(self, keys, until, timeout_s=15):
        os.write(self.fd, keys.encode())
        seen, end = "", time.monotonic() + timeout_s
        while not re.search(until, seen):
            left = end - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], f"no {until!r} in {seen!r}"
            seen += os.read(self.fd, 65536).decode(errors="replace")
        return seen

    def end(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


@pytest.fixture
def zsh(scratch):
    shell = Zsh(scratch)
    yield shell
    shell.end()


@pytest.mark.parametrize("typed, completed", [
    ("virtscope rep\t", r"virtscope report "),
    ("virtscope run --requ\t", r"run --require-bpf"),
    ("virtscope report --deny-hook fe\t", r"--deny-hook fentry"),
    ("virtscope report --deny-hook=kp\t", r"--deny-hook=kprobe"),
    ("virtscope check-config vi\t", r"check-config virtscope.yaml"),
    ("virtscope run -c vi\t", r"run -c virtscope.yaml"),
    ("virtscope events --fol\t", r"events --follow"),
], ids=lambda value: None)
def test_zsh_completes(zsh, scratch, typed, completed):
    (scratch / "virtscope.yaml").touch()
    zsh.ask(typed, completed)


def test_zsh_lists_every_command_with_its_summary(zsh):
    seen = zsh.ask("virtscope \t\t", "check-config.*--.*right")
    for command in tables()["commands"]:
        assert command["name"] in seen


def test_generated_files_are_what_would_be_made():
    for script in ("gen-man", "gen-completion"):
        r = subprocess.run([ROOT / "scripts" / script, "--check"], capture_output=True, text=True)
        assert r.returncode == 0, r.stderr
    assert run("check-config", "--print-defaults")[1] == (ROOT / "docs" / "virtscope.yaml").read_text()


def test_each_command_and_the_configuration_have_a_page_that_renders():
    pages = ["virtscope.1", "virtscope.yaml.5", "virtscope-events.7"] + [f"virtscope-{c['name']}.1" for c in tables()["commands"]]
    for page in pages:
        shown = subprocess.run(["man", "-l", ROOT / "docs" / "man" / page], capture_output=True, text=True,
                               env={**os.environ, "MANWIDTH": "100"})
        assert shown.returncode == 0 and "EXAMPLES" in shown.stdout and "SEE ALSO" in shown.stdout, (page, shown.stderr)
    shown = pathlib.Path(ROOT / "docs" / "man" / "virtscope.yaml.5").read_text()
    for key in tables()["keys"]:
        if key["type"] != "section":
            assert key["key"] in shown
    shown = pathlib.Path(ROOT / "docs" / "man" / "virtscope-events.7").read_text()
    assert all(f".It Cm {event['type']}\n" in shown for event in tables()["events"])
