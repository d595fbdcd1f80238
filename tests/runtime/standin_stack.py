"""A ``gateway up`` of stand-in servers, run as a program: standin_stack.py RUN_DIR PLAN_JSON.

PLAN_JSON maps names to the arguments of standin.py; one of the names is ``gateway``.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import numpy as np

from gateway.core.tensors import Tensor
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.launch import Launch
from gateway.runtime.plan import Plan
from gateway.runtime.readiness import ProbeInput, oip_probe
from gateway.runtime.state import RunDirectory
from gateway.runtime.up import run_plan

STANDIN = Path(__file__).with_name("standin.py")


def launch(name: str, arguments: list[str], directory: Path) -> Launch:
    url = f"http://127.0.0.1:{arguments[0]}"
    inputs = [ProbeInput("digits", (Tensor.from_numpy("x", np.zeros((1, 4), np.float32)),))]
    return Launch(
        name=name,
        server="stand-in",
        command=(sys.executable, "-S", str(STANDIN), *arguments),
        directory=directory,
        environment=dict(os.environ),
        probe=oip_probe(url, inputs),
        ready_timeout=20.0,
        stop_timeout=10.0,
        facts={"kind": "oip", "url": url, "device": "cpu", "threads": 1},
    )


def main() -> int:
    run = RunDirectory(Path(sys.argv[1]))
    run.create()
    launches = {name: launch(name, args, run.path) for name, args in json.loads(sys.argv[2]).items()}
    gateway = launches.pop("gateway")
    try:
        with run.lock():
            asyncio.run(run_plan(Plan(list(launches.values()), gateway, ["digits"], "gateway models"), run))
    except RuntimeFailure as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    finally:
        run.remove_state()
    return 0


if __name__ == "__main__":
    sys.exit(main())
