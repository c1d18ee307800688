"""Shell completion: it is installed and completes, and a command line without it starts no slower."""

import os
import subprocess
import sys
from pathlib import Path

MLBENCH = str(Path(sys.executable).with_name("mlbench"))


def completed(words: str) -> set[str]:
    """What bash is offered for the last of the words, which may be empty."""
    asked = {"_MLBENCH_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run([MLBENCH], capture_output=True, text=True, env=os.environ | asked)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_commands_options_and_choices_are_completed() -> None:
    assert completed("mlbench plu") == {"plugins"}
    assert completed("mlbench run --model") == {"--models"}
    assert completed("mlbench new ") == {"framework", "model", "dataset", "reporter"}


def test_it_is_installed_for_the_shell_at_work(tmp_path: Path) -> None:
    command = [
        "bash",
        "-c",
        f"{MLBENCH} --install-completion; true",
    ]  # two commands, or bash would not stay as the parent
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    script = tmp_path / ".bash_completions" / "mlbench.sh"
    assert "_MLBENCH_COMPLETE=complete_bash" in script.read_text()
    assert f"source '{script}'" in (tmp_path / ".bashrc").read_text()


def test_help_imports_no_more_for_it() -> None:
    """Modules are counted, whose number is the same on every machine, other than a time."""
    code = (
        "import sys\nfrom mlbench_core import cli\ncli.app._add_completion = bool(int(sys.argv[1]))\n"
        "sys.argv = ['mlbench', '--help']\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "sys.stderr.write(f'{cli.app._add_completion} {len(sys.modules)}')"
    )
    with_it, without = (
        subprocess.run([sys.executable, "-c", code, number], capture_output=True, text=True) for number in ("1", "0")
    )
    assert with_it.stderr.split()[0] == "True"
    assert without.stderr.split()[0] == "False"
    assert "--install-completion" in with_it.stdout
    assert "--install-completion" not in without.stdout
    assert with_it.stderr.split()[1] == without.stderr.split()[1]
