import io
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest
from rich.console import Console

from model_store.errors import BuildFailed
from model_store.steps import Progress, StepRunner


@pytest.fixture
def runner(tmp_path, monkeypatch):
    """Runs the steps that ``step`` writes."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(time_limit=30.0):
        stream = io.StringIO()
        made = StepRunner("tiny", tmp_path / "logs", tmp_path / "scratch", Progress(Console(file=stream)), time_limit)
        return made, stream

    return make


@pytest.fixture
def step(tmp_path):
    def write(body):
        code = "import os, signal, sys, time\ndef main():\n" + textwrap.indent(textwrap.dedent(body), "    ")
        (tmp_path / "a_step.py").write_text(code)

    return write


def test_a_step_runs_in_its_own_process_with_its_own_temporary_folder(runner, step, tmp_path):
    step(
        """
        print("hello")
        open(sys.argv[1], "w").write(f"{os.getpid()} {os.environ['TMPDIR']}")
        """
    )
    steps, said = runner()
    steps.run("Some step", "a_step", [tmp_path / "result"])
    pid, temporary = (tmp_path / "result").read_text().split()
    assert int(pid) != os.getpid()
    assert temporary == str(tmp_path / "scratch" / "tmp")
    assert (tmp_path / "logs" / "some-step.log").read_text() == "hello\n"
    assert said.getvalue().startswith("tiny: Some step …\ntiny: Some step done in ")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise ValueError('it is\\n  broken')", "it is broken"),
        ("import no_such_package", "the package 'no_such_package' is not installed"),
        ("raise OSError(28, 'No space left on device', '/x')", "No space left on device: /x"),
        ("raise KeyError", "KeyError"),
        ("print('last words', file=sys.stderr); os._exit(3)", "last words"),
        ("os._exit(3)", "exit code 3"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "it was ended by SIGSEGV"),
    ],
)
def test_a_failing_step_says_why_and_where_its_log_is(runner, step, tmp_path, body, words):
    step(body)
    with pytest.raises(BuildFailed) as caught:
        runner()[0].run("Step", "a_step", [])
    assert str(caught.value) == f"tiny: Step failed: {words}; its log is {tmp_path / 'logs' / 'step.log'}"


def test_a_traceback_is_kept_in_the_log(runner, step, tmp_path):
    step("raise ValueError('broken')")
    with pytest.raises(BuildFailed):
        runner()[0].run("Step", "a_step", [])
    assert "Traceback" in (tmp_path / "logs" / "step.log").read_text()


def test_a_step_that_hangs_is_ended_with_its_children(runner, step, tmp_path):
    os.mkfifo(tmp_path / "alive")
    step(
        f"""
        import subprocess
        subprocess.Popen(["sleep", "600"], stdout=open({str(tmp_path / "alive")!r}, "w"))
        time.sleep(600)
        """
    )
    alive = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(BuildFailed, match="took longer than 1 s"):
        runner(time_limit=1.0)[0].run("Step", "a_step", [])
    # The pipe ends when its last writer, the child of the step, is gone.
    os.set_blocking(alive, True)
    assert os.read(alive, 1) == b""


def test_a_killed_build_takes_its_step_along(step, tmp_path):
    os.mkfifo(tmp_path / "alive")
    step(f"held = open({str(tmp_path / 'alive')!r}, 'w'); held.write('up'); held.flush(); time.sleep(600)")
    code = (
        "from pathlib import Path; from rich.console import Console; from model_store.steps import *;"
        f"root = Path({str(tmp_path)!r});"
        "StepRunner('tiny', root / 'logs', root / 'scratch', Progress(Console(stderr=True))).run('Step', 'a_step', [])"
    )
    build = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(tmp_path)}, stderr=subprocess.DEVNULL
    )
    with (tmp_path / "alive").open("rb") as alive:
        assert alive.read(2) == b"up"
        build.send_signal(signal.SIGKILL)
        assert alive.read() == b""
    build.wait()


def test_a_full_disk_is_named_whatever_the_step_said(runner, step, monkeypatch):
    step("raise ValueError('983040 requested and 305120 written')")
    usage = shutil.disk_usage("/")._replace(free=4096)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(BuildFailed, match="tiny: Step failed: the disk is full; its log is"):
        runner()[0].run("Step", "a_step", [])
