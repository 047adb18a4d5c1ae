# Each target sets up what it needs. A fresh machine needs Python 3.11+, make and access to the package registries.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
MANAGE := $(BIN)/python manage.py

help: ## List these targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# The lock file is the only input: change it and the environment follows.
.venv/ready: requirements-dev.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Hoadon needs Python 3.11 or newer; set PYTHON=python3.x")'
	$(PYTHON) -m venv .venv
	sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.lock > .venv/uv.lock
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r .venv/uv.lock
	VIRTUAL_ENV=.venv $(BIN)/uv pip sync -q --compile-bytecode --require-hashes requirements-dev.lock
	touch $@

demo: .venv/ready ## Start everything and send a day of orders through it
	$(MANAGE) demo $(ARGS)

dev: .venv/ready migrate ## Run server, worker, Kafka consumer and beat with reload
	$(MANAGE) dev

migrate: .venv/ready ## Migrate the database and load the seed data
	$(MANAGE) run migrate

# Some seventy processes load the same modules: they keep the bytecode, also where the environment forbids that.
test: export PYTHONDONTWRITEBYTECODE :=
test: .venv/ready .venv/programs ## Run the whole suite
	$(BIN)/python -m pytest -n 2 --durations=20 $(ARGS)

simulate: .venv/ready ## Run seeds of the deterministic simulation (SEEDS=10000, or SEED=123 PERSONALITY=strict)
	$(BIN)/python -W ignore -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000)) $(if $(PERSONALITY),--personality $(PERSONALITY)) $(ARGS)

simulate-breaks: .venv/ready ## Break the code on purpose and count the seeds until each break is found
	$(BIN)/python -W ignore -m tests.simulation --breaks

mutants: .venv/ready ## Change the deciding code in small ways and see which changes no test notices (ARGS="--mutants 400 --seed 1")
	$(BIN)/python -W ignore -m tests.mutants $(ARGS)

chaos: .venv/ready ## Kill, flush, restart and cut off real processes while orders arrive (ROUNDS=5)
	$(BIN)/python -W ignore::RuntimeWarning -m tests.chaos --rounds $(or $(ROUNDS),1) $(ARGS)

bench: .venv/ready ## Measure payments and invoices a second, CPU, latency, memory (ROUNDS=3 ORDERS=2000)
	$(BIN)/python -W ignore::RuntimeWarning -m tests.bench --rounds $(or $(ROUNDS),3) --orders $(or $(ORDERS),2000) $(ARGS)

bench-changes: .venv/ready ## Measure merchant changes a second over Kafka; check the end state after kills (CHANGES=20000)
	$(BIN)/python -W ignore::RuntimeWarning -m tests.bench.changes --changes $(or $(CHANGES),20000) $(ARGS)

screenshots: .venv/ready ## Take the screenshots in docs/images again
	$(BIN)/python -W ignore -m tests.screenshots

bench-console: .venv/ready ## Measure the console's pages at 10,000 and 1,000,000 invoices (ARGS="--rounds 20")
	$(BIN)/python -W ignore::RuntimeWarning -m tests.bench.console $(ARGS)

seed: .venv/ready migrate ## Fill the database with invented invoices (INVOICES=10000)
	$(MANAGE) seed --invoices $(or $(INVOICES),10000)

lint: .venv/ready ## Check style, types, layers, migrations, manifests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(MANAGE) makemigrations --check --dry-run
	$(BIN)/hadolint Dockerfile
	$(BIN)/yamllint --strict --config-file deploy/.yamllint deploy
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml
	$(BIN)/kubernetes-validate --strict --quiet $(filter-out %/kustomization.yaml,$(wildcard deploy/kubernetes/*.yaml))

lint-fix: .venv/ready ## Fix what can be fixed automatically
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: .venv/ready ## Write the lock files from pyproject.toml
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --all-extras pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml -c requirements-dev.lock -o requirements.lock

rebuild: clean .venv/ready migrate ## Start over: clean, install, migrate

clean: ## Stop the embedded servers and remove everything created here
	-[ -x $(BIN)/python ] && $(BIN)/python -m config.processes.embedded stop .local .local/test/* .local/chaos .local/bench
	-[ -x $(BIN)/python ] && $(BIN)/python -m config.processes.broker stop .local .local/*/ .local/*/*/ .local/*/*/*/
	rm -rf .venv .local static .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The page tests need Chromium, the gateway tests nginx; the suite says so if one cannot be installed.
.venv/programs: .venv/ready
	@for program in chromium nginx; do command -v $$program >/dev/null || $(BIN)/python tests/install_program.py $$program; done
	@touch $@

.PHONY: help demo dev migrate test mutants simulate simulate-breaks chaos bench bench-changes bench-console screenshots seed lint lint-fix lock rebuild clean
