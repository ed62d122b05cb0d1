# Everything a developer types. `make demo` and `make test` need Python 3.11 to 3.13, git and make; the rest comes from requirements.lock.
# ARGS passes options on: make demo ARGS='--seconds 20 --json'; PYTHON=… chooses an interpreter.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
VENV := .venv
PY := $(VENV)/bin/python
ARGS ?=
PYTHON ?=
PURE_TESTS := tests/schemas tests/settings tests/runtime tests/bus tests/connector tests/aggregator

.PHONY: help demo up test test-slow test-docker test-engines chaos soak lint types imports coverage bench docs schema lock clean

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: $(VENV)/.ready ## simulated venues, one consolidated quote, no network
	@$(PY) -m crosstape_cli.main demo $(ARGS)

up: $(VENV)/.ready ## the live venues of your settings
	@$(PY) -m crosstape_cli.main up $(ARGS)

test: $(VENV)/.ready ## all tests but the slow ones and those that need Docker
	@$(PY) -m pytest -m "not slow and not docker and not chaos" -q $(ARGS)

test-slow: $(VENV)/.ready ## the slow tests: outages, kills, long recordings
	@$(PY) -m pytest -m "slow and not docker and not chaos" -q $(ARGS)

test-docker: $(VENV)/.ready ## the image and compose, on a Docker engine
	@CROSSTAPE_DOCKER=1 $(PY) -m pytest -m "docker and not chaos" -q $(ARGS)

chaos: $(VENV)/.ready ## every fault on every venue, of servers and processes too, against the truth: up to ten minutes
	@$(PY) -m tests.chaos $(ARGS)

soak: $(VENV)/.ready ## a fault every twenty seconds at a steady rate, for ten minutes; prints one JSON line
	@$(PY) -m tests.chaos.soak $(ARGS)

test-engines: $(VENV)/.ready ## the suites of bus, connector and aggregator on Redis and on Valkey, in containers
	@for engine in redis valkey; do $(PY) -m pytest --engine $$engine -q tests/bus tests/connector tests/aggregator $(ARGS) || exit 1; done

lint: $(VENV)/.ready ## ruff, and which way imports point
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check -q .
	@$(VENV)/bin/lint-imports --no-cache > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }

types: $(VENV)/.ready ## mypy --strict, tests too
	@$(PY) -m mypy
	@MYPYPATH=. $(PY) -m mypy --explicit-package-bases tests examples docs
	@MYPYPATH=benchmarks $(PY) -m mypy benchmarks

coverage: $(VENV)/.ready ## branch coverage of the pure modules: at least 95 %
	@$(PY) -m pytest -m "not slow and not chaos" -q --cov --cov-report=term-missing:skip-covered --cov-fail-under=95 $(PURE_TESTS) $(ARGS)

bench: $(VENV)/.ready ## the benchmarks, small; each prints one JSON line
	@$(PY) benchmarks/connector.py --count 50000
	@$(PY) benchmarks/aggregator.py --events 100000 --instruments 10 200
	@$(PY) benchmarks/latency.py --rate 2000 --seconds 4
	@$(PY) benchmarks/book.py --updates 5000 --runs 2

docs: $(VENV)/.ready schema ## write the generated parts of docs/reference, and the Grafana dashboard
	@$(PY) -m docs.generate
	@$(PY) -m docs.dashboard

schema: $(VENV)/.ready ## write docs/reference/{events.schema,asyncapi}.json
	@$(PY) -m crosstape_cli.main schema > docs/reference/events.schema.json
	@$(PY) -m crosstape_cli.main schema --asyncapi > docs/reference/asyncapi.json

lock: ## resolve all locks anew (needs uv): what developers install, what the image runs, what builds its wheel
	@$(call resolve,requirements.lock,pyproject.toml --extra services --group dev --upgrade)
	@$(call resolve,docker/run.lock,pyproject.toml --extra services --constraint requirements.lock)
	@$(call resolve,docker/build.lock,--group build --constraint requirements.lock)

define resolve
{ echo "# Made by 'make lock' from pyproject.toml, for Python 3.11 to 3.13; names no index."; \
  uv pip compile $(2) --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet; } > $(1).new && mv $(1).new $(1)
endef

clean: ## remove the environment and all caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*

$(VENV)/.ready: requirements.lock pyproject.toml
	@sh .ci/make-venv "$(VENV)" "$(PYTHON)" >&2
