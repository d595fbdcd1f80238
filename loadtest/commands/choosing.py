"""From the options to targets with their workloads."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from loadtest.commands.options import Transport, Via, numbers_of
from loadtest.errors import BadSpec, StackError
from loadtest.load.seeds import Seeds
from loadtest.payloads.mix import parse_mix
from loadtest.payloads.sources import workload_of
from loadtest.payloads.workload import Workload
from loadtest.targets.describe import describer
from loadtest.targets.line import checked
from loadtest.targets.stack import WIRES, targets_of
from loadtest.targets.stack_state import StackState, read_stack
from loadtest.targets.target import Target, Wire
from loadtest.targets.url import parse_targets
from model_store.store import ModelStore, default_root

_MOST_ROWS = 4096


@dataclass(slots=True, frozen=True, kw_only=True)
class Asked:
    """What is asked of whom, as the command line says it."""

    model: str
    store: Path | None
    payloads: Sequence[str] | None
    shapes: Sequence[str] | None
    batch: str
    run_directory: Path
    backends: str = ""
    via: Via = Via.BOTH
    protocol: Transport = Transport.BOTH
    wires: str = ""
    urls: Sequence[str] | None = None


def choose_targets(asked: Asked) -> list[Target]:
    """The targets that ``asked`` names: servers by their URLs, or those of the running stack.

    Raises:
        Unusable: there are none.
    """
    if asked.urls:
        return parse_targets(asked.urls)
    stack = read_stack(asked.run_directory)
    _check_models(asked.model, stack)
    wanted = _names("--backend", asked.backends, stack.backends)
    wires = cast(list[Wire], _names("--wire", asked.wires, WIRES))
    found = [target for target in targets_of(stack, wires) if not wanted or target.backend in wanted]
    chosen = [
        target
        for target in found
        if asked.via in (Via.BOTH, target.via) and asked.protocol in (Transport.BOTH, target.protocol.lower())
    ]
    if not chosen:
        ways = ", ".join(dict.fromkeys(f"{target.name}" for target in found)) or "nothing"
        raise StackError(f"the running stack has no such target; --backend, --via, --protocol and --wire left: {ways}")
    return chosen


def pair_with_workloads(asked: Asked, targets: Sequence[Target], seeds: Seeds) -> list[tuple[Target, Workload]]:
    """Every target with its workload; a target several times when batch sizes are swept.

    Raises:
        Unusable: the model or its payloads cannot be had.
    """
    batches = numbers_of("--batch", asked.batch, _MOST_ROWS) or (1,)
    pairs: list[tuple[Target, Workload]] = []
    for batch in batches:
        workload = workload_of(
            asked.model,
            ModelStore(asked.store or default_root()),
            asked.payloads or (),
            batch=batch,
            seed=seeds.payloads,
            shapes=asked.shapes or (),
            describe=describer(targets),
        )
        suffix = f" ×{batch}" if len(batches) > 1 else ""
        named = [replace(target, name=target.name + suffix) for target in targets]
        pairs += [(target, workload) for target in checked(named, workload)]
    return pairs


def _check_models(models: str, stack: StackState) -> None:
    served_names = {model.partition("/")[0] for model in stack.models}
    for share in parse_mix(models):
        if share.name not in served_names:
            served = ", ".join(stack.models) or "nothing"
            raise StackError(f"the running stack does not serve {share.name!r}; it serves {served}")


def _names(option: str, text: str, known: Collection[str]) -> list[str]:
    names = [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        if name not in known:
            raise BadSpec(f"{option}: {name!r} is not known; there are {', '.join(known)}")
    return names
