import io
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest
from rich.console import Console

from model_store.errors import BuildFailed, DiskFull
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
    with pytest.raises(DiskFull, match="tiny: Step failed: the disk is full; its log is"):
        runner()[0].run("Step", "a_step", [])


def test_a_failure_with_room_on_the_disk_is_no_full_disk(runner, step):
    step("raise ValueError('983040 requested and 305120 written')")
    with pytest.raises(BuildFailed) as caught:
        runner()[0].run("Step", "a_step", [])
    assert not isinstance(caught.value, DiskFull)


def test_a_step_runs_alone_on_one_thread_and_without_the_network(runner, step, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("OF_THE_CALLER", "kept")
    names = ["OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "HF_HUB_OFFLINE", "KERAS_BACKEND", "OF_THE_CALLER"]
    step(f"open(sys.argv[1], 'w').write(' '.join(os.environ[name] for name in {names}))")
    runner()[0].run("Step", "a_step", [tmp_path / "result"])
    assert (tmp_path / "result").read_text() == "1 1 1 tensorflow kept"


def test_a_steps_own_environment_comes_last(runner, step, tmp_path):
    step("open(sys.argv[1], 'w').write(os.environ['KERAS_BACKEND'] + ' ' + os.environ['OMP_NUM_THREADS'])")
    runner()[0].run("Step", "a_step", [tmp_path / "result"], {"KERAS_BACKEND": "torch"})
    assert (tmp_path / "result").read_text() == "torch 1"
    assert os.environ.get("KERAS_BACKEND") != "torch"


def test_a_new_run_of_a_step_overwrites_its_log(runner, step, tmp_path):
    for word in ("first", "second"):
        step(f"print({word!r})")
        runner()[0].run("Step", "a_step", [])
    assert (tmp_path / "logs" / "step.log").read_text() == "second\n"


def test_a_terminal_is_told_of_steps_of_two_models_at_once():
    stream = io.StringIO()
    progress = Progress(Console(file=stream, force_terminal=True))
    with progress.step("a", "Source"), progress.step("b", "Source"):
        pass
    said = stream.getvalue()
    assert "a: Source done in" in said
    assert "b: Source done in" in said


def test_a_step_that_fails_is_not_said_to_be_done():
    stream = io.StringIO()
    with pytest.raises(ZeroDivisionError), Progress(Console(file=stream)).step("tiny", "Source"):
        raise ZeroDivisionError
    assert stream.getvalue().startswith("tiny: Source …\ntiny: Source failed after ")
    assert "done" not in stream.getvalue()
