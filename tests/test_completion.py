"""TAB in a real bash, and in a real zsh where one is installed, with the script that `completion` prints."""

import os
import pty
import select
import shutil
import subprocess
import time

import pytest

from splitwatt.__main__ import BELOW, VERBS
from tests.conftest import splitwatt

SHELLS = [["bash", "--norc", "--noprofile", "-i"]]
SHELLS += [["zsh", "-f", "-i"]] if shutil.which("zsh") else []
_PROMPT = "ready> "


class Shell:
    """An interactive shell on a terminal of its own, with the completions of splitwatt."""

    def __init__(self, command, folder):
        self._terminal, its_end = pty.openpty()
        environment = {**os.environ, "TERM": "dumb", "HISTFILE": "", "COLUMNS": "400",
                       "SPLITWATT_OF_THE_SHELL": "1"}  # fmt: skip
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=its_end, stdout=its_end, stderr=its_end,
            start_new_session=True,
        )  # fmt: skip
        os.close(its_end)
        script = folder / "script"
        script.write_text(splitwatt("completion", command[0]).stdout)
        self.typed(f"PS1='{_PROMPT}'; . ./script; echo lo''aded\n", "loaded")

    def typed(self, keys, expected):
        """Type, and wait until the terminal shows what is expected; all that it showed."""
        os.write(self._terminal, keys.encode())
        shown, until = "", time.monotonic() + 60
        while expected not in shown:
            assert time.monotonic() < until, shown
            if select.select([self._terminal], [], [], 1.0)[0]:
                shown += os.read(self._terminal, 1 << 16).decode(errors="replace")
        return shown

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


@pytest.fixture(params=SHELLS, ids=lambda command: command[0])
def shell(request, tmp_path):
    (tmp_path / "own-config.yaml").write_text("")
    started = Shell(request.param, tmp_path)
    yield started
    started.close()


def test_tab_completes_verbs_options_and_values(shell):
    clear = "\x15"  # what was typed is deleted
    for typed, completed in [
        ("splitwatt whati", "splitwatt whatif"),
        ("splitwatt profile --board-q", "--board-quota"),
        ("splitwatt export --target xav", "xavier_nx"),
        ("splitwatt profile --config table", "table3.yaml"),
        ("splitwatt report --for=wac", "wacv"),
        ("splitwatt export --target=xav", "xavier_nx"),
        ("splitwatt profile --config own", "own-config.yaml"),
        ("splitwatt export --model ladon_resnest", "ladon_resnest269e"),
        ("splitwatt serve --engine emb", "embedded"),
        ("splitwatt energy integ", "integrate"),
        ("splitwatt energy record --warm", "--warmup"),
        ("splitwatt completion zs", "zsh"),
        ("profile --board-q", "--board-quota"),
        ("profile --config table", "table3.yaml"),
        ("bin/profile --config own", "own-config.yaml"),
        ("bin/export --target xav", "xavier_nx"),
        ("bin/export --model ladon_resnest", "ladon_resnest269e"),
        ("export SPLITWATT_OF_THE_SH", "SPLITWATT_OF_THE_SHELL"),  # a builtin, not our script
        ("export OTHER=$SPLITWATT_OF_THE_SH", "SPLITWATT_OF_THE_SHELL"),
    ]:
        shell.typed(typed + "\t", completed)
        shell.typed(clear, "")


def test_every_verb_is_in_the_script():
    script = splitwatt("completion", "bash").stdout
    for verb in VERBS:
        assert f'("{verb}") words="' in script
    assert all(f'("energy {below}") words="' in script for below in BELOW["energy"])


def test_another_shell_is_refused():
    done = splitwatt("completion", "fish", check=False)
    assert done.returncode == 2 and "invalid choice: 'fish'" in done.stderr
