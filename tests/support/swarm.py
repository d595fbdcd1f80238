"""Docker engines of their own on this machine, each in a network namespace, joined to a Swarm; needs root.

An engine has its own folder, its own containerd and its own mounts, and shares nothing with the machine's engine but
the kernel. The namespace ``hub`` holds the switch between them, and is where clients stand.
"""

import json
import os
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

HUB = "swarm-hub"
_SUBNET = "10.77.0"
_CGROUPS = Path("/sys/fs/cgroup")
_START_SECONDS = 60.0


class SwarmError(Exception):
    """Something did not come about in time, or a command failed; the message is complete."""


def run(*command):
    """What the command prints; raises SwarmError with what it says on failure."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SwarmError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def wait_for(what, is_so, seconds, explain=str):
    """Ask ``is_so`` until it is true; after ``seconds`` raises SwarmError, with what ``explain`` says."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise SwarmError(f"{what} after {seconds:.0f} s\n{explain()}".rstrip())
        time.sleep(0.25)


def in_namespace(name, *command):
    """The command line that runs ``command`` in the network namespace ``name``."""
    return ["nsenter", f"--net=/run/netns/{name}", *map(str, command)]


class Engine:
    """One node: a network namespace with a cable to the hub, and a Docker engine in it."""

    def __init__(self, number, directory):
        self.name = f"swarm-node{number}"
        self.address = f"{_SUBNET}.1{number}"
        self.directory = Path(directory) / self.name
        self.log = self.directory / "log"
        self.process = None

    def plug_in(self):
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", "eth0", "netns", self.name, "type", "veth", "peer", "name", self.name, "netns", HUB)
        run("ip", "-n", self.name, "link", "set", "lo", "up")
        run("ip", "-n", self.name, "addr", "add", f"{self.address}/24", "dev", "eth0")
        run("ip", "-n", self.name, "link", "set", "eth0", "up")
        run("ip", "-n", HUB, "link", "set", self.name, "master", "switch", "up")

    def start(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        options = {
            "data-root": self.directory / "data",
            "exec-root": self.directory / "exec",
            "pidfile": self.directory / "pid",
            "host": f"unix://{self.directory / 'docker.sock'}",
            "cgroup-parent": f"/{self.name}",
            "log-level": "warn",
        }
        # With mounts of its own, which go when its last process goes.
        dockerd = ["unshare", "--mount", "dockerd", *(f"--{key}={value}" for key, value in options.items())]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                in_namespace(self.name, *dockerd), stdout=log, stderr=log, start_new_session=True
            )
        wait_for(f"{self.name} does not answer", self.answers, _START_SECONDS, self.log.read_text)

    def answers(self):
        return subprocess.run(self._command("version"), capture_output=True, check=False).returncode == 0

    def docker(self, *arguments):
        return run(*self._command(*arguments))

    def load(self, images):
        """Copy images here from the machine's engine."""
        saved = subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE)
        done = subprocess.run(self._command("load"), stdin=saved.stdout, capture_output=True, check=False)
        if saved.wait() != 0 or done.returncode != 0:
            raise SwarmError(f"{self.name}: cannot load {', '.join(images)}: {done.stderr.decode().strip()}")

    def received(self):
        """Bytes that have come to it from the others and from clients."""
        (link,) = json.loads(run("ip", "-n", HUB, "-json", "-statistics", "link", "show", self.name))
        return link["stats64"]["tx"]["bytes"]  # what the switch has sent

    def kill(self):
        """SIGKILL to the engine and all of its containers; the machine below it still answers for their connections."""
        # Twice: a container may be starting.
        for _ in range(2):
            for pid in self._pids():
                with suppress(ProcessLookupError):  # it has ended
                    os.kill(pid, signal.SIGKILL)
            if self.process is not None:
                self.process.wait()
            wait_for(f"{self.name} has not ended", lambda: not self._pids(), 60.0)

    def cut_power(self):
        """Unplug it, then kill it: what is sent to it is lost, and nobody is told."""
        run("ip", "-n", HUB, "link", "set", self.name, "down")
        self.kill()

    def restore(self):
        """Plug it in and start it, after ``kill`` or ``cut_power``."""
        run("ip", "-n", HUB, "link", "set", self.name, "up")
        self.start()

    def remove(self):
        self.kill()
        run("ip", "netns", "del", self.name)
        for cgroup in [*_CGROUPS.glob(f"*/{self.name}"), *_CGROUPS.glob(self.name)]:
            for folder, _, _ in os.walk(cgroup, topdown=False):
                Path(folder).rmdir()

    def _command(self, *arguments):
        return ["docker", "--host", f"unix://{self.directory / 'docker.sock'}", *map(str, arguments)]

    def _pids(self):
        """The engine and its helpers are in its namespace, the containers in its control group."""
        pids = {int(pid) for pid in run("ip", "netns", "pids", self.name).split()}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"/{self.name}/" in (process / "cgroup").read_text():
                    pids.add(int(process.name))
            except OSError:  # it has ended
                continue
        return {pid for pid in pids if _runs(pid)}


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def swarm_of(count, directory):
    """``count`` engines joined to one Swarm, the first its manager; all is gone at the end."""
    with ExitStack() as gone_at_the_end:
        run("ip", "netns", "add", HUB)
        gone_at_the_end.callback(run, "ip", "netns", "del", HUB)
        run("ip", "-n", HUB, "link", "add", "switch", "type", "bridge")
        run("ip", "-n", HUB, "addr", "add", f"{_SUBNET}.1/24", "dev", "switch")
        for link in ("lo", "switch"):
            run("ip", "-n", HUB, "link", "set", link, "up")
        engines = [Engine(number, directory) for number in range(1, count + 1)]
        for engine in engines:
            engine.plug_in()
            gone_at_the_end.callback(engine.remove)
            engine.start()
        manager, *workers = engines
        manager.docker("swarm", "init", "--advertise-addr", manager.address)
        token = manager.docker("swarm", "join-token", "--quiet", "worker").strip()
        for worker in workers:
            address = f"{manager.address}:2377"
            worker.docker("swarm", "join", "--token", token, "--advertise-addr", worker.address, address)
        yield engines
