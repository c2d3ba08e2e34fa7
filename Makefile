# Verbs of the project; `make help` lists them. Every verb prepares what it needs by itself.
.DEFAULT_GOAL := help
.PHONY: help setup check test unit real sim mutants fuzz bench demo demo-down protos lock format clean

# Some shells forbid Python its compiled files; then each start would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
# Benches that `make bench` runs, each as `python -m bench.NAME --quick`.
BENCHES := schedule pack deploy hostile failover lookup network
FUZZ_SECONDS := 60
# Hours of random faults that `make sim` simulates, and the seed of its first run.
SIM_HOURS ?= 200
# Of them `make test` simulates so many, so that it ends within the hour or a little more.
TEST_SIM_HOURS ?= 60
SIM_SEED ?= 1
# What needs no engine runs on all cores at once; engines and hosts have the machine to themselves.
SUITES := tests/unit tests/sim tests/doors
ENGINE_SUITES := tests/engine tests/real

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with the locked dependencies and the project itself
	@scripts/setup.sh

demo: setup ## one controller, one agent and a stack of three services on this machine
	@scripts/demo.sh up

demo-down: ## end the demo and remove all that it made
	@scripts/demo.sh down

test: setup ## everything: the checks, then all tests, on real engines too (root)
	@scripts/engine.sh install
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory fuzz
	@$(BIN)/pytest -n auto $(SUITES)
	@$(MAKE) --no-print-directory mutants
	@$(MAKE) --no-print-directory sim SIM_HOURS=$(TEST_SIM_HOURS)
	@$(BIN)/python -m tests.real.clients.installed
	@$(BIN)/pytest $(ENGINE_SUITES)

unit: setup ## the tests that need neither root nor an engine
	@$(BIN)/pytest -n auto $(SUITES)

real: setup ## the tests on three hosts with an engine each (root)
	@scripts/engine.sh install
	@$(BIN)/python -m tests.real.clients.installed
	@$(BIN)/pytest tests/real

sim: setup ## SIM_HOURS of random faults on simulated clusters; prints the seed of what breaks
	@$(BIN)/python -m tests.sim.hours $(SIM_HOURS) $(SIM_SEED)

mutants: setup ## plant faults into the real code, each of which the simulator must find
	@$(BIN)/python -m tests.sim.mutants

fuzz: setup ## look for input that breaks the compose loader, the HTTP surfaces or DNS, each for FUZZ_SECONDS
	@$(BIN)/python -m tests.fuzz.compose $(FUZZ_SECONDS)
	@$(BIN)/python -m tests.fuzz.http $(FUZZ_SECONDS)
	@$(BIN)/python -m tests.fuzz.dns $(FUZZ_SECONDS)

check: setup ## style, types, import contracts, protos, systemd units
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/buf lint
	@scripts/protos.sh --diff
	@scripts/check_units.sh

bench: setup ## the quick benches (root)
	@scripts/engine.sh install
	@set -e; for name in $(BENCHES); do $(BIN)/python -m bench.$$name --quick; done

protos: setup ## generate bayplan/v1 from protos/
	@scripts/protos.sh

lock: setup ## resolve the dependencies anew into the lock files
	@scripts/lock.sh

format: setup ## apply ruff's fixes and format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

clean: ## remove the environment and all caches
	@rm -rf .venv .clients .setup.lock .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
