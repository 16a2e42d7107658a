# One entry point for everything. `make help` lists what there is.
# Options are variables, given either way round: `make run GATEWAYS=2` or `GATEWAYS=2 make run`.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
CHECKED := $(wildcard shared services deploy tests examples docs bench clients/python clients/chat)

.DEFAULT_GOAL := help
.PHONY: help run chat test test-long test-faults fuzz check bench format docs examples protocol-coverage lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(STAMP) ## start the whole system here (PORT GATEWAYS GUILDS MESSAGES PRESENCE DATA LIMITS MONGO_URL NATS_URL)
	@$(BIN)/python -m deploy.local

chat: $(STAMP) ## chat in the terminal (URL=ws://127.0.0.1:8080/ws, several with commas between; PROFILE keeps accounts apart)
	@PYTHONPATH=clients/python:clients/chat $(BIN)/python -m guildwire_chat --profile "$(or $(PROFILE),default)" \
		"$(or $(URL),ws://127.0.0.1:8080/ws)"

test: $(STAMP) ## run the tests (ARGS="tests/unit -k journal" for some of them)
	@$(BIN)/python -m pytest $(ARGS)

test-long: $(STAMP) ## search long for what the tests of every day may miss (hours; LEAK_EXAMPLES=400, of 50 steps each)
	@LEAK_EXAMPLES=$(or $(LEAK_EXAMPLES),400) $(BIN)/python -m pytest tests/system/test_leaks.py
	@HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest \
		tests/system/test_property.py tests/system/test_structure_property.py tests/clients/test_pages.py

test-faults: $(STAMP) ## break everything at full size, an hour or more, and write what was seen to docs/reliability.md (ARGS)
	@FAULTS=full $(BIN)/python -m pytest $(or $(ARGS),tests/faults); held=$$?; $(BIN)/python -m docs.generate; exit $$held

fuzz: $(STAMP) ## send what strangers may send (FUZZ_SECONDS=600); finds go into tests/fuzz/corpus
	@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),600) $(BIN)/python -m pytest tests/fuzz $(ARGS)

bench: $(STAMP) ## measure (BENCH="latency durable coming_back affinity" for some of it); quote ratios, not single figures
	@$(BIN)/python -m bench $(BENCH)

check: $(STAMP) ## check format, lint, types, imports, our code for weaknesses, and the packages for known holes
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy $(CHECKED)
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive shared services deploy clients
	@$(BIN)/python -m tests.audit

format: $(STAMP) ## format the code and mend what the linter can
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .

docs: $(STAMP) ## write the pages that are made from the code anew
	@$(BIN)/python -m docs.generate

examples: $(STAMP) ## play the story of the protocol's examples anew, and write it and the pages that show it
	@$(BIN)/python -m tests.docs.record
	@$(BIN)/python -m docs.generate

protocol-coverage: $(STAMP) ## list the rows of the protocol with the tests that show them; fails when one has none
	@$(BIN)/python -m tests.docs.coverage

lock: $(STAMP) ## resolve requirements.in into requirements.lock anew, and the image's part of it
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --custom-compile-command 'make lock' --output-file requirements.lock requirements.in
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --constraint requirements.lock \
		--no-emit-index-url --no-annotate --custom-compile-command 'make lock' \
		--output-file requirements-runtime.lock requirements-runtime.in

clean: ## remove the virtual environment and the tools' caches (data under .local stays)
	@rm -rf .venv .mypy_cache .pytest_cache .import_linter_cache .hypothesis
	@find . \( -name __pycache__ -o -name .ruff_cache \) -type d -prune -exec rm -rf {} +

$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "error: $(PYTHON) is not Python 3.11 or later; install one and name it: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		echo "making .venv (once; a minute or two)" >&2; $(PYTHON) -m venv --clear .venv; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@
