# Everything a person does here: demo, test, up, check, bench.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help install models matrix demo test up check format bench clients protos docs dashboards constraints fuzz clean

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

# The stamp is newer than both files exactly when the environment has what they ask for.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 13) else f"CPython 3.11 or 3.12 is needed, {sys.executable} is {v[0]}.{v[1]}; try: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): about 4 GB, some minutes the first time (log: $(VENV)/install.log)"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --constraint constraints.txt --editable '.[all,dev]' 2>&1 \
	  | tee $(VENV)/install.log | sed -un 's/^Collecting \([^ ]*\).*/  \1/p; s/^Installing collected.*/  … unpacking all of them/p; /^ERROR/p; /^error/p'
	@touch $(READY)

install: $(READY) ## Create .venv and install everything into it

models: $(READY) ## Build the models' artefacts and prove them equal
	$(BIN)/model-store build --all --jobs 2

matrix: $(READY) ## Import a model of every kind, build it for every server, print the table of differences
	$(BIN)/python scripts/matrix .matrix

demo: models ## Start all servers, classify photographs, compare the servers, stop
	scripts/demo $(BIN)

test: models ## Run every test that this machine can run
	$(BIN)/python -m pytest

up: models ## Start all servers and the gateway until Ctrl-C
	$(BIN)/gateway up

check: $(READY) ## Check format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(READY) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: models ## Measure the gateway beside Envoy and other servers, and compare the frameworks
	scripts/bench $(BIN)

clients: models ## Run other projects' clients and examples, unmodified, against the gateway
	$(BIN)/python scripts/clients .clients

protos: $(READY) ## Compile the .proto files
	$(BIN)/python -m gateway.protos.compile

docs: $(READY) ## Write the tables of docs/protocols.md, docs/openapi.json and the schemas of results from the code
	$(BIN)/python scripts/protocols
	$(BIN)/python scripts/openapi
	$(BIN)/python scripts/schema

dashboards: $(READY) ## Write Grafana's dashboards from their source
	$(BIN)/python deploy/grafana/source

constraints: $(READY) ## Write the versions in .venv, which the tests ran with, to constraints.txt
	@{ head -1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > $(VENV)/constraints.txt
	@mv $(VENV)/constraints.txt constraints.txt

FUZZ_SECONDS ?= 120
fuzz: $(READY) ## Fuzz the codecs and both ports for FUZZ_SECONDS seconds
	$(BIN)/python scripts/fuzz $(FUZZ_SECONDS)

clean: ## Remove the environment, the built models and all that was written while running
	rm -rf $(VENV) .models .matrix .clients .bench .gateway reports .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
