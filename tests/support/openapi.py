"""The gateway's operations as schemathesis generates requests for them."""

import schemathesis
from hypothesis import strategies as st
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.openapi import document

load_all_checks()
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
ALLOWED_FAILURES = (501, 503)
# Without these, nearly every request would stop at an unknown model.
KNOWN = {"name": "double", "version": "1"}
KNOWN_BODIES = {
    "RequestInput": {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]},
    "RequestOutput": {"name": "y"},
    "Predict": {"instances": [[1, 2]], "inputs": [[1, 2]]},
}


def operations():
    """Every operation of the description."""
    described = document()
    for path in described["paths"].values():
        for operation in path.values():
            for parameter in operation["parameters"]:
                if parameter["name"] in KNOWN:
                    known = {"const": KNOWN[parameter["name"]]}
                    parameter["schema"] = {"anyOf": [known, parameter["schema"]]}
    schemas = described["components"]["schemas"]
    for name, values in KNOWN_BODIES.items():
        properties = schemas[name]["properties"]
        for field, value in values.items():
            properties[field] = {"anyOf": [{"const": value}, properties[field]]}
    return [found.ok() for found in schemathesis.openapi.from_dict(described).get_all_operations()]


def cases(operation):
    """Requests that fit the description, and requests that do not."""
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    strategies = []
    for mode in modes:
        strategy = operation.as_strategy(generation_mode=mode)
        if not strategy.is_empty:
            strategies.append(strategy)
    return st.one_of(strategies)


def check(case, address, session=None):
    """Send ``case``; the status. Raises what is wrong with the answer."""
    response = case.call(base_url=f"http://{address}", session=session, timeout=10)
    assert response.status_code < 500 or response.status_code in ALLOWED_FAILURES, response.content
    case.validate_response(response, checks=CHECKS)
    return response.status_code
