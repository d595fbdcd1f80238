"""What the admin port tells of shadows and comparisons, and the requests that were answered differently."""

from __future__ import annotations

import asyncio
import io
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.core.datatypes import Datatype
from gateway.core.errors import NotFound
from gateway.core.mirror_tally import MirrorFindings, MirrorTally
from gateway.core.mismatches import Mismatch
from gateway.core.tensors import Tensor
from gateway.frontends.authorization import Authorization
from gateway.frontends.guarded import guarded


def shadow_routes(findings: MirrorFindings, authorization: Authorization) -> list[BaseRoute]:
    """The sums for each target, and for administrators the mismatches: what clients sent is in them."""

    async def sums(_: Request) -> Response:
        return JSONResponse(
            {
                model: {name: _sums(tally) for name, tally in targets.items()}
                for model, targets in findings.tallies.items()
            }
        )

    async def list_samples(_: Request) -> Response:
        return JSONResponse([_told(mismatch) for mismatch in findings.mismatches])

    async def sample(request: Request) -> Response:
        number: int = request.path_params["number"]
        mismatch = findings.mismatches.get(number)
        if mismatch is None:
            raise NotFound(f"sample {number} is not kept; GET /shadow/samples lists those that are")
        disposition = {"content-disposition": f'attachment; filename="shadow-{number}.npz"'}
        return Response(await asyncio.to_thread(_npz, mismatch), media_type="application/zip", headers=disposition)

    return [
        Route("/shadow", sums),
        Route("/shadow/samples", guarded(list_samples, authorization)),
        Route("/shadow/samples/{number:int}", guarded(sample, authorization)),
    ]


def _sums(tally: MirrorTally) -> dict[str, Any]:
    return {
        "requests": dict(tally.outcomes),
        "dropped": dict(tally.dropped),
        "max_abs": _number(tally.max_abs),
        "max_rel": _number(tally.max_rel),
        "top1": {"rows": tally.rows, "agreeing": tally.agreeing},
    }


def _told(mismatch: Mismatch) -> dict[str, Any]:
    return {
        "number": mismatch.number,
        "model": mismatch.model,
        "version": mismatch.version,
        "target": mismatch.target,
        "at": mismatch.at,
        "backends": {"primary": mismatch.backends[0], "target": mismatch.backends[1]},
        "request_id": mismatch.request_id,
        "trace_id": mismatch.trace_id,
        "bytes": mismatch.nbytes,
        "outputs": {
            each.output: {
                "problem": each.problem,
                "max_abs": _number(each.max_abs),
                "allowed": each.allowed,
                "rows": each.rows,
                "agreeing": each.agreeing,
            }
            for each in mismatch.differences
        },
    }


def _number(value: float) -> float | str:
    """JSON has no infinity."""
    return value if math.isfinite(value) else str(value)


def _npz(mismatch: Mismatch) -> bytes:
    """A NumPy archive: ``input/NAME``, and ``primary/NAME`` and ``target/NAME`` for what both answered."""
    sides = {"input": mismatch.inputs, "primary": mismatch.first, "target": mismatch.second}
    arrays = {f"{side}/{tensor.name}": _plain(tensor) for side, tensors in sides.items() for tensor in tensors}
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _plain(tensor: Tensor) -> npt.NDArray[np.generic]:
    """Text as bytes of a fixed length: an archive of Python objects would be a pickle."""
    array = tensor.to_numpy()
    return array.astype(np.bytes_) if tensor.datatype is Datatype.BYTES else array
