# One entry point for everything. `make help` lists what there is.
# Options are variables, given either way round: `make run GATEWAYS=2` or `GATEWAYS=2 make run`.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
CHECKED := $(wildcard shared services deploy tests examples docs bench clients/python clients/chat)

.DEFAULT_GOAL := help
.PHONY: help run chat test check bench format docs lock clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

run: $(STAMP) ## start the whole system here (PORT GATEWAYS GUILDS MESSAGES PRESENCE DATA LIMITS MONGO_URL NATS_URL)
	@$(BIN)/python -m deploy.local

chat: $(STAMP) ## chat in the terminal (URL=ws://127.0.0.1:8080/ws, several with commas between; PROFILE keeps accounts apart)
	@PYTHONPATH=clients/python:clients/chat $(BIN)/python -m guildwire_chat --profile "$(or $(PROFILE),default)" \
		"$(or $(URL),ws://127.0.0.1:8080/ws)"

test: $(STAMP) ## run the tests (ARGS="tests/unit -k journal" for some of them)
	@$(BIN)/python -m pytest $(ARGS)

bench: $(STAMP) ## measure (BENCH="latency durable coming_back affinity" for some of it); quote ratios, not single figures
	@$(BIN)/python -m bench $(BENCH)

check: $(STAMP) ## check format, lint, types and imports
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy $(CHECKED)
	@$(BIN)/lint-imports --no-logo

format: $(STAMP) ## format the code and mend what the linter can
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .

docs: $(STAMP) ## write the pages that are made from the code anew
	@$(BIN)/python -m docs.generate

lock: $(STAMP) ## resolve requirements.in into requirements.lock anew, and the image's part of it
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --custom-compile-command 'make lock' --output-file requirements.lock requirements.in
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --constraint requirements.lock \
		--no-emit-index-url --no-annotate --custom-compile-command 'make lock' \
		--output-file requirements-runtime.lock requirements-runtime.in

clean: ## remove the virtual environment and the tools' caches (data under .local stays)
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "error: $(PYTHON) is not Python 3.11 or later; install one and name it: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		echo "making .venv (once; a minute or two)" >&2; $(PYTHON) -m venv --clear .venv; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@
