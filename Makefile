# Everything installs into .venv from lock files with hashes. Needs Python 3.11+, git and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run install dev test check torture bench docs lock clean

run: install  ## serve on http://127.0.0.1:9090, data in ./nightlatch-data
	$(BIN)/nightlatch serve

install: $(VENV)/.installed  ## make .venv/bin/nightlatch

dev: $(VENV)/.dev

test: dev  ## everything: lint, types, contracts, tests, coverage
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report

torture: dev  ## the long campaigns of tests/faults: 100 rounds of parallel guesses, 200 kills
	NIGHTLATCH_ROUNDS=100 NIGHTLATCH_KILLS=200 $(BIN)/pytest -s tests/faults

bench: dev  ## every figure of benchmarks/results.md, as ratios
	$(BIN)/python benchmarks/run.py

docs: dev  ## write the pages of docs/reference that come from the code, and the picture
	$(BIN)/python -m tests.docs.reference
	$(BIN)/python -m tests.docs.picture

lock: dev  ## renew the lock files; no address may get into them
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links --group build pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links --group build --group dev pyproject.toml \
		-c requirements.txt -o requirements-dev.txt

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Nightlatch needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@
