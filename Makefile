# The workshop: `make` lists what there is. It needs Python 3.11, make and PyPI, and nothing else.
#
# PyPI's torch for Linux brings its CUDA libraries, several GB. For the smaller CPU build:
#   make demo PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu

PYTHON ?= $(shell command -v python3.11 || command -v python3)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

# .venv holds the locked dependencies and the project itself, editable. Its stamp carries a checksum
# of what it was made from, so that it is made again when that changes and at no other time.
BIN := .venv/bin
READY := .venv/.ready-$(shell cat requirements.lock pyproject.toml | cksum | cut -d ' ' -f 1)

# build/venv is what a user gets: the wheel, and nothing of the source tree. It borrows the
# dependencies of .venv through a .pth file; .pth files of a borrowed folder are not read, so the
# editable project in there stays out of sight.
WHEEL_PYTHON := build/venv/bin/python
WHEEL_READY := build/venv/.ready
SOURCES := $(shell find hexplan solver runtime -not -name __pycache__ -not -name '*.pyc')
SITE := import sysconfig; print(sysconfig.get_path("purelib"))

# One more than the two cores of CI: tests spend a quarter of their time waiting for processes.
TEST_PROCESSES ?= 3
# Python then leaves the current folder out of its search path, in child processes too.
PYTEST := PYTHONSAFEPATH=1 $(WHEEL_PYTHON) -m pytest

# Real clients, each in an environment of its own that borrows the dependencies of .venv; what it
# needs in another version it has itself. The file of a client in PINS names its version.
PINS := tests/clients/pins
CLIENTS := $(patsubst $(PINS)/%.txt,.clients/%/.ready,$(wildcard $(PINS)/*.txt))

.PHONY: help demo test test-slow test-random wheel-test clients soak chaos gpu-check lint style \
	types format reference lock clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | column -t -s '|'

demo: $(READY) ## Plan a laptop's CPU, check the plan, launch it and stream text
	$(BIN)/hexplan solve cluster_specs/laptop.yaml -o plan.json
	$(BIN)/hexplan show plan.json
	$(BIN)/hexplan check plan.json
	$(BIN)/hexplan launch plan.json --yes --max-tokens 64 \
		--prompt "It is a truth universally acknowledged, that"

test: style $(WHEEL_READY) ## Lint, types, import contracts, and the tests against the built wheel
	$(MAKE) --jobs 2 types wheel-test

wheel-test: $(WHEEL_READY) ## The tests against the built wheel
	$(PYTEST) -m "not slow" --numprocesses $(TEST_PROCESSES) --dist loadfile

test-slow: $(WHEEL_READY) ## The tests that take minutes
	$(PYTEST) -m slow

test-random: $(WHEEL_READY) ## Plan COUNT random clusters (10000), about one a second
	RANDOM_CLUSTERS=$(or $(COUNT),10000) $(PYTEST) -m slow tests/solver/test_random_clusters.py

clients: $(READY) $(CLIENTS) ## Weekly: real clients, unmodified, against a served plan
	$(BIN)/python -m pytest -m slow tests/clients

soak: $(READY) ## Weekly: ten minutes of mixed clients, with flat memory and descriptors
	$(BIN)/python benchmarks/serve_soak.py --minutes 10

chaos: $(READY) ## Weekly: KILLS (500) kills of a served plan's parts under 64 streams
	cd benchmarks && ../$(BIN)/python chaos.py --kills $(or $(KILLS),500)

gpu-check: $(READY) ## On a GPU: tokens against transformers, and decoding against a copy
	$(BIN)/python scripts/gpu_check.py

lint: style types ## Ruff, mypy and the import contracts

style: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy

format: $(READY) ## Format the code, and mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

reference: $(READY) ## Write docs/reference from the code
	for name in cluster plan model profile overlay; do \
		$(BIN)/hexplan schema $$name > docs/reference/$$name.schema.json || exit 1; \
	done
	$(BIN)/python -c 'from hexplan.check import rules_markdown as page; print(page(), end="")' \
		> docs/reference/rules.md

lock: | $(BIN)/python ## Install what pyproject.toml asks for, and write down the versions
	$(BIN)/pip install --quiet --editable '.[runtime,plot,dev]'
	echo '# Versions of all dependencies; `make lock` writes them down from .venv.' > .venv/lock
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//' >> .venv/lock
	mv .venv/lock requirements.lock

clean: ## Remove what was built, but not .venv
	rm -rf build .clients

.clients/%/.ready: $(PINS)/%.txt $(READY)
	@echo "Installing $* into .clients/$*"
	rm -rf .clients/$*
	$(BIN)/python -m venv .clients/$*
	$(BIN)/python -c '$(SITE)' > "$$(.clients/$*/bin/python -c '$(SITE)')/borrowed.pth"
	printf '%s\n' "$(CURDIR)" "$(CURDIR)/solver" "$(CURDIR)/runtime" \
		>> "$$(.clients/$*/bin/python -c '$(SITE)')/borrowed.pth"
	.clients/$*/bin/pip install --quiet --requirement $<
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(READY): | $(BIN)/python
	@echo "Installing the locked dependencies into .venv; the first time takes minutes"
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	rm -f .venv/.ready-*
	touch $@

$(WHEEL_READY): $(READY) $(SOURCES) pyproject.toml
	rm -rf build
	$(BIN)/python -m build --no-isolation --outdir build/dist
	$(BIN)/python -m venv --without-pip build/venv
	$(BIN)/python -c '$(SITE)' > "$$($(WHEEL_PYTHON) -c '$(SITE)')/locked.pth"
	$(BIN)/pip --python $(WHEEL_PYTHON) install --quiet --no-index --no-deps build/dist/*.whl
	$(BIN)/pip --python $(WHEEL_PYTHON) check
	touch $@
