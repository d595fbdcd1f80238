"""``gateway models`` against running gateways, and what `check-config` says of versions."""

import asyncio
import json
import sys

import pytest
import uvloop
import yaml
from support.gateways import ENGINE, running, settings
from support.scaled_store import save_scaled
from typer.testing import CliRunner

from gateway.cli import app


async def command(*arguments):
    """Standard output of a ``gateway`` command that succeeds."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", *arguments, stdout=asyncio.subprocess.PIPE, env={"COLUMNS": "80"}
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


def test_stored_and_learned_models_are_listed_with_their_versions(tmp_path):
    async def scenario():
        store = save_scaled(save_scaled(tmp_path / "up", 2), 3, version="2")
        upstream = settings(store, {"engine": ENGINE}, models=["scaled", "scaled/1"])
        async with running(upstream) as (_, up):
            own = save_scaled(tmp_path / "own", 4, name="mine")
            backends = {
                "inside": {**ENGINE, "models": ["mine"]},
                "server": {"kind": "oip", "url": f"http://{up['http']}", "models": ["scaled"]},
            }
            async with running(settings(own, backends)) as (_, addresses):
                file = tmp_path / "gateway.yaml"
                ports = {key: {"port": int(addresses[key].rpartition(":")[2])} for key in ("http", "grpc", "admin")}
                file.write_text(yaml.safe_dump({**ports, "backends": backends}))
                document = json.loads(await command("models", "--json", "--config", str(file)))
                table = await command("models", "--config", str(file))
        up_state = {"ready": True, "problem": ""}
        assert document == {
            "mine": {"inside": {**up_state, "versions": {"1": up_state}}},
            "scaled": {"server": {**up_state, "versions": {"1": up_state, "2": up_state}}},
        }
        assert [line.split()[1:8:2] for line in table.splitlines() if "yes" in line] == [
            ["mine", "1", "inside", "yes"],
            ["scaled", "1", "server", "yes"],
            ["scaled", "2", "server", "yes"],
        ]

    uvloop.run(scenario())


@pytest.mark.parametrize(("version", "code"), [(2, 0), ("1", 2)])
def test_check_config_refuses_a_label_for_a_version_that_is_not_served(tmp_path, version, code):
    save_scaled(save_scaled(tmp_path / "store", 1), 2, version="2")
    file = tmp_path / "gateway.yaml"
    labels = {"scaled": {"stable": version}}
    file.write_text(
        yaml.safe_dump({"model_store": str(tmp_path / "store"), "labels": labels, "backends": {"inside": ENGINE}})
    )
    done = CliRunner().invoke(app, ["check-config", "--config", str(file)])
    assert done.exit_code == code
    if code:
        assert "labels.scaled.stable: version '1' is not served; models serves: 2" in done.stderr.replace("\n", " ")
