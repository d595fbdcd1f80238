"""A container as a pattern for its successor."""

import pytest

from gateway.runtime.docker.template import Change, template

IMAGE = {
    "Id": "sha256:old",
    "Config": {
        "Env": ["PATH=/opt/venv/bin", "VERSION=1"],
        "Cmd": ["launch", "onnxruntime"],
        "Entrypoint": ["gateway"],
        "Labels": {"org.opencontainers.image.version": "1"},
        "WorkingDir": "/run/gateway",
    },
}
NEW_IMAGE = {"Id": "sha256:new"}


@pytest.fixture
def inspected():
    """A container that compose made, as the engine tells of it."""
    return {
        "Id": "0123456789abcdef",
        "Image": "sha256:old",
        "Config": {
            "Image": "serving-gateway/onnxruntime:1",
            "Hostname": "0123456789ab",
            "Env": ["GATEWAY_MODELS=[]", "PATH=/opt/venv/bin", "VERSION=1"],
            "Cmd": ["launch", "onnxruntime"],
            "Entrypoint": ["gateway"],
            "User": "10001:10001",
            "WorkingDir": "/run/gateway",
            "Labels": {
                "com.docker.compose.container-number": "2",
                "com.docker.compose.config-hash": "abc",
                "com.docker.compose.image": "sha256:old",
                "org.opencontainers.image.version": "1",
            },
        },
        "HostConfig": {"Memory": 1, "RestartPolicy": {"Name": "unless-stopped"}, "NetworkMode": "serving_internal"},
        "NetworkSettings": {
            "Networks": {"serving_internal": {"Aliases": ["onnxruntime", "0123456789ab"], "Links": None}}
        },
    }


def test_it_has_everything_of_the_old_but_what_is_of_its_image_and_its_id(inspected):
    made = template(inspected, IMAGE, NEW_IMAGE, Change(image="serving-gateway/onnxruntime:2"))
    assert made.body["Image"] == "serving-gateway/onnxruntime:2"
    assert made.body["Env"] == ["GATEWAY_MODELS=[]"]
    assert made.body["User"] == "10001:10001"
    assert not {"Cmd", "Entrypoint", "WorkingDir", "Hostname"} & made.body.keys()


def test_compose_knows_it_as_its_own(inspected):
    labels = template(inspected, IMAGE, NEW_IMAGE, Change()).body["Labels"]
    assert labels == {
        "com.docker.compose.container-number": "2",
        "com.docker.compose.config-hash": "abc",
        "com.docker.compose.image": "sha256:new",
    }


def test_nobody_finds_it_and_nothing_restarts_it_until_it_has_proved_itself(inspected):
    made = template(inspected, IMAGE, NEW_IMAGE, Change())
    assert "NetworkingConfig" not in made.body
    assert made.body["HostConfig"] == {
        "Memory": 1,
        "RestartPolicy": {"Name": "no"},
        "NetworkMode": "serving_internal",
    }
    assert made.restart == {"Name": "unless-stopped"}
    assert made.networks == {"serving_internal": {"Aliases": ["onnxruntime"], "Links": None}}


@pytest.mark.parametrize("original", [["GATEWAY_MODELS=[]"], []])
def test_a_variable_goes_back_to_what_it_was_before_all_changes(inspected, original):
    inspected["Config"]["Env"] = original
    for value in ('["a/1", "a/2"]', '["a/2"]'):
        made = template(inspected, IMAGE, NEW_IMAGE, Change(environment={"GATEWAY_MODELS": value}))
        assert made.body["Env"] == [f"GATEWAY_MODELS={value}"]
        inspected["Config"] |= {"Env": made.body["Env"], "Labels": made.body["Labels"]}
    made = template(inspected, IMAGE, NEW_IMAGE, Change(environment={"GATEWAY_MODELS": None}))
    assert made.body["Env"] == original
    assert not any("original" in label for label in made.body["Labels"])
