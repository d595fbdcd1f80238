import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs import tfs_status as codec
from gateway.codecs.tfs_model_spec import ModelQuery
from gateway.codecs.tfs_status import AVAILABLE, END, LOADING, UNLOADING, VersionStatus
from gateway.core.errors import BackendError, GatewayError

statuses = st.lists(
    st.builds(
        VersionStatus,
        st.integers(0, 2**63 - 1),
        st.sampled_from([AVAILABLE, LOADING, UNLOADING, END]),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=5),
    ),
    max_size=3,
    unique_by=lambda status: status.version,
)


@given(statuses)
def test_statuses_round_trip_over_grpc_and_rest_oldest_first(given_):
    oldest_first = sorted(given_, key=lambda status: status.version)
    assert codec.decode_status_response(codec.encode_status_response(given_)) == oldest_first
    assert codec.decode_status_document(json.loads(json.dumps(codec.status_document(given_)))) == oldest_first


def test_the_document_is_tensorflow_servings():
    assert codec.status_document([VersionStatus(123, AVAILABLE), VersionStatus(124, LOADING, "not yet")]) == {
        "model_version_status": [
            {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
            {"version": "124", "state": "LOADING", "status": {"error_code": "UNAVAILABLE", "error_message": "not yet"}},
        ]
    }


def test_requests_round_trip():
    assert codec.decode_status_request(codec.encode_status_request("m")) == ModelQuery("m")
    assert codec.decode_status_request(codec.encode_status_request("m", "7")) == ModelQuery("m", "7")


@pytest.mark.parametrize("document", [None, 3, [], {"model_version_status": 3}])
def test_a_broken_document_is_the_backends_fault(document):
    with pytest.raises(BackendError):
        codec.decode_status_document(document)


@given(st.binary(max_size=100))
def test_garbage_never_raises_anything_but_our_errors(data):
    for call in (codec.decode_status_request, codec.decode_status_response):
        try:
            call(data)
        except GatewayError as error:
            assert error.message
