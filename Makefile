# Everything a developer types. `make demo` and `make test` need Python 3.11 to 3.13, git and make; the rest comes from the lock files.
# ARGS passes options on: make demo ARGS='--seconds 20 --json'. PYTHON=… chooses an interpreter.
# Tests run in WORKERS processes at once, since most of them wait longer than they compute. Those that share a costly fixture have one xdist_group.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
VENV := .venv
PY := $(VENV)/bin/python
ARGS ?=
PYTHON ?=
WORKERS ?= 4
CCXT := .venv-ccxt
ENGINES ?= redis valkey
PYTEST = $(PY) -m pytest -q -n $(WORKERS) --dist loadgroup
COVERAGE := --cov --cov-report=term-missing:skip-covered --cov-fail-under=95
ENGINE_TESTS ?= tests/bus tests/connector tests/aggregator
BROWSER_TESTS := tests/browser tests/typescript
PURE_TESTS := tests/schemas tests/settings tests/runtime tests/bus tests/connector tests/aggregator

# A given PYTHON makes the environment; one that exists is not made again for it. `clean` removes it, so it needs no warning.
ifneq ($(and $(PYTHON),$(wildcard $(PY)),$(filter-out clean,$(or $(MAKECMDGOALS),help))),)
ifneq ($(shell $(PYTHON) --version 2>&1),$(shell $(PY) --version 2>&1))
$(warning $(VENV) keeps its $(shell $(PY) --version 2>&1), not PYTHON=$(PYTHON): to change it, `make clean` first)
endif
endif

.PHONY: help demo up test test-slow test-browser test-ccxt test-docker test-engines chaos test-rare soak check lint types coverage bench docs new-venue ccxt schema lock clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

demo: $(VENV)/.run ## show consolidated quotes of simulated venues, in a table and on a page; needs no network
	@$(PY) -m crosstape_cli.main demo $(ARGS)

up: $(VENV)/.run ## connect to the live venues of your settings
	@$(PY) -m crosstape_cli.main up $(ARGS)

test: $(VENV)/.ready ## run all tests but the slow ones and those that need Docker; ARGS names some of them
	@$(PYTEST) -m "not slow and not docker and not chaos and not rare" $(ARGS)

test-slow: WORKERS := 4
test-slow: $(VENV)/.ready ## run the slow tests: outages, kills, long recordings
	@$(PYTEST) -m "slow and not docker and not chaos and not rare" $(BROWSER_TESTS:%=--ignore=%) $(ARGS)

test-browser: WORKERS := 2
test-browser: $(VENV)/.ready ## run the tests of the page and of the TypeScript client; they need Chromium, Node and npm
	@$(PYTEST) $(BROWSER_TESTS) $(ARGS)

test-ccxt: WORKERS := 2
test-ccxt: $(CCXT)/.ready ## test the bridge to ccxt, in an environment of its own: the library's requirements are not ours
	@$(CCXT)/bin/python -m pytest -q -n $(WORKERS) tests/bridge $(ARGS)

test-docker: $(VENV)/.ready ## build the image and test it and compose; needs a Docker engine
	@CROSSTAPE_DOCKER=1 $(PYTEST) -n 0 -m "docker and not chaos" $(ARGS)

test-engines: WORKERS := 3
test-engines: $(VENV)/.ready ## run the tests of bus, connector and aggregator on Redis, then on Valkey; needs a Docker engine
	@for engine in $(ENGINES); do $(PYTEST) --engine $$engine $(ENGINE_TESTS) $(ARGS) || exit 1; done

chaos: WORKERS := 2
chaos: $(VENV)/.ready ## set every fault on venues that stand for all, end servers and processes, compare the tape with the truth
	@$(PYTEST) tests/chaos -m "not rare" --durations=10 $(ARGS)

test-rare: WORKERS := 2
test-rare: $(VENV)/.ready ## run what all these leave out: faults and slow tests on the other venues, further combinations; an hour
	@$(PYTEST) -m "rare and chaos" --durations=20 $(ARGS)
	@$(PYTEST) -m "rare and not chaos and not docker" $(ARGS)

soak: $(VENV)/.ready ## set a fault every twenty seconds for ten minutes, and print one JSON line
	@$(PY) -m tests.chaos.soak $(ARGS)

check: lint types ## run lint and types: seconds, before every commit

lint: $(VENV)/.ready ## check style with ruff, and that imports point in the allowed directions
	@$(PY) -m ruff check -q .
	@$(PY) -m ruff format --check -q .
	@$(VENV)/bin/lint-imports --no-cache > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }

types: $(VENV)/.ready ## check types with mypy --strict, tests included
	@$(PY) -m mypy

coverage: $(VENV)/.ready ## measure branch coverage of the pure modules: at least 95 %
	@$(PYTEST) -m "not slow and not chaos and not rare" $(COVERAGE) $(PURE_TESTS) $(ARGS)

bench: $(VENV)/.ready ## run small benchmarks; each prints JSON lines. ARGS='--against REV' compares with another revision
	@$(PY) benchmarks/run.py $(ARGS)

new-venue: $(VENV)/.ready ## write the skeleton of a venue: make new-venue NAME=cryptocom
	@$(PY) -m docs.new_venue "$(NAME)"

docs: $(VENV)/.ready schema ## write the generated parts of docs/reference and the Grafana dashboard
	@$(PY) -m docs.generate
	@$(PY) -m docs.dashboard

ccxt: $(CCXT)/.ready ## write the list of the exchanges that ccxt has, after an update of it
	@$(CCXT)/bin/python -m crosstape_connector.bridge.describe > exchanges.new
	@mv exchanges.new services/crosstape_connector/venues/ccxt/exchanges.json

schema: $(VENV)/.ready ## write docs/reference/{events.schema,asyncapi,openapi}.json
	@$(PY) -m crosstape_cli.main schema > docs/reference/events.schema.json
	@$(PY) -m crosstape_cli.main schema --asyncapi > docs/reference/asyncapi.json
	@$(PY) -m crosstape_cli.main schema --openapi > docs/reference/openapi.json

lock: ## update all lock files to the newest versions; needs uv
	@$(call resolve,requirements.lock,pyproject.toml --extra services --extra frames --extra s3 --extra postgres --group dev --upgrade)
	@$(call resolve,docker/run.lock,pyproject.toml --extra services --constraint requirements.lock)
	@$(call resolve,docker/image.lock,pyproject.toml --extra services --extra s3 --extra postgres --constraint requirements.lock)
	@$(call resolve,docker/build.lock,--group build --constraint requirements.lock)
	@$(call resolve,docker/ccxt.lock,pyproject.toml --extra services --extra ccxt)
	@$(call resolve,tests/bridge/ccxt.lock,pyproject.toml --extra services --extra ccxt --group bridge --constraint docker/ccxt.lock --constraint docker/build.lock)

define resolve
{ echo "# Made by 'make lock' from pyproject.toml, for Python 3.11 to 3.13; names no index."; \
  uv pip compile $(2) --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet; } > $(1).new && mv $(1).new $(1)
endef

clean: ## remove the environment and all caches
	@rm -rf $(VENV) $(CCXT) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
	@rm -rf tests/browser/node_modules clients/typescript/node_modules clients/typescript/build clients/typescript/dist

# What runs, then what tests and checks need beside it: a first `make demo` waits for the former only.
$(VENV)/.run: docker/run.lock docker/build.lock pyproject.toml
	@sh .ci/make-venv "$(VENV)" run "$(PYTHON)" >&2

$(CCXT)/.ready: tests/bridge/ccxt.lock pyproject.toml
	@sh .ci/make-venv "$(CCXT)" ccxt "$(PYTHON)" >&2

$(VENV)/.ready: requirements.lock pyproject.toml $(VENV)/.run
	@sh .ci/make-venv "$(VENV)" all "$(PYTHON)" >&2
