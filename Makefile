# Everything installs into .venv from lock files with hashes. Needs Python 3.11+, git and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AS_ROOT = $$([ "$$(id -u)" = 0 ] || command -v sudo)

.PHONY: run install dev test test-rules test-parts test-faces test-manager test-faults test-end-to-end test-browser chromium check alerts torture bench bench-move bench-nodes costs simulate failover nodes docs screenshots lock clean

run: install  ## serve on http://127.0.0.1:9090, data in ./nightlatch-data
	$(BIN)/nightlatch serve

install: $(VENV)/.installed  ## make .venv/bin/nightlatch

dev: $(VENV)/.dev

test: dev chromium  ## everything: lint, types, contracts, tests, coverage
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory --jobs=4 --output-sync=target \
		test-end-to-end test-manager test-faces test-browser test-parts test-faults test-rules
	$(BIN)/coverage report

test-rules:
	$(BIN)/coverage run -m pytest tests/domain tests/usecases

test-parts:
	$(BIN)/pytest tests/contracts tests/adapters tests/docs tests/test_bootstrap.py tests/test_bootstrap_node.py \
		tests/test_settings.py tests/test_postgres.py tests/test_pytest_plugin.py \
		tests/test_logs.py tests/test_traces.py tests/watching

test-faces:
	$(BIN)/pytest tests/faces/cli tests/faces/graph tests/faces/onprem tests/faces/sandbox \
		tests/faces/test_cloudhooks.py tests/faces/test_door.py tests/faces/test_exports.py \
		tests/faces/test_faults.py tests/faces/test_metrics.py tests/faces/test_readiness.py \
		tests/faces/test_sentences.py tests/faces/test_sentences_cloud.py

test-manager:
	$(BIN)/pytest tests/faces/manager

test-faults:
	$(BIN)/pytest tests/faults

test-end-to-end:
	$(BIN)/pytest tests/end_to_end/test_bridge_story.py tests/end_to_end/test_cloud_api_clients.py \
		tests/end_to_end/test_documents_under_fire.py tests/end_to_end/test_graph_story.py \
		tests/end_to_end/test_prism.py tests/end_to_end/test_processes.py tests/end_to_end/test_story.py

test-browser:
	$(BIN)/pytest tests/test_browser.py tests/end_to_end/test_cloud_pages_in_a_browser.py tests/end_to_end/test_manager_in_a_browser.py

chromium:  ## the browser that the tests of the Manager drive, from Debian when there is none yet
	@command -v chromium >/dev/null || { $(AS_ROOT) apt-get update && \
		$(AS_ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } || { \
		echo "The tests drive the Manager's pages in Chromium, and there is none on the PATH." >&2; \
		echo "Install it as root, then run make again:  apt-get install chromium" >&2; \
		exit 1; }

alerts:  ## check the rules of deploy/prometheus with promtool, of Debian's package prometheus
	promtool check rules deploy/prometheus/alerts.yaml
	promtool test rules deploy/prometheus/alerts_test.yaml
	promtool check config --syntax-only deploy/prometheus/prometheus.yaml

torture: dev  ## the long campaigns of tests/faults: 100 rounds of parallel guesses, 200 and 500 kills
	NIGHTLATCH_ROUNDS=100 NIGHTLATCH_KILLS=200 NIGHTLATCH_BRIDGE_KILLS=500 \
		$(BIN)/pytest -s -o faulthandler_timeout=7200 tests/faults

bench: dev  ## every figure of benchmarks/results.md, as ratios
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/graph.py
	$(BIN)/python benchmarks/webhooks.py
	$(BIN)/python benchmarks/bridge.py

bench-move: dev  ## a million numbers to PostgreSQL and back, killed twice each way; twelve minutes
	$(BIN)/python benchmarks/move.py

bench-nodes: dev  ## the figures of the first part of benchmarks/many-nodes.md, with PostgreSQL; about half an hour
	timeout 3000 $(BIN)/python benchmarks/nodes.py

costs: dev  ## what a request and a number cost, into benchmarks/costs.json; two minutes
	timeout 600 $(BIN)/python benchmarks/costs.py

simulate: dev  ## a hundred million numbers, by those costs
	$(BIN)/python benchmarks/simulate.py

failover: dev  ## a Patroni cluster under load: its primary killed, frozen, cut off, switched over
	$(BIN)/python benchmarks/failover.py --control
	$(BIN)/python benchmarks/failover.py
	$(BIN)/python benchmarks/failover_nodes.py

nodes: dev  ## four nodes shot for ten minutes, and a database frozen for one, under load; a quarter of an hour
	$(BIN)/python benchmarks/nodes_campaign.py

docs: dev  ## write the pages of docs/reference that come from the code, and the picture
	$(BIN)/python -m tests.docs.reference
	$(BIN)/python -m tests.docs.picture

screenshots: dev chromium  ## take the pictures of docs/manager from a staged server
	$(BIN)/python -m tests.docs.screenshots

lock: dev  ## renew the lock files; no address may get into them
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links --group build pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links --group build --group dev pyproject.toml \
		-c requirements.txt -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links deploy/patroni/requirements.in \
		-o deploy/patroni/requirements.txt
	for folder in tests/end_to_end/clients benchmarks/prism; do (cd $$folder && \
		$(CURDIR)/$(BIN)/npm install --package-lock-only --ignore-scripts --no-audit --no-fund \
		--omit-lockfile-registry-resolved --lockfile-version 3 && \
		$(CURDIR)/$(BIN)/python -c 'import json, pathlib as p; f = p.Path("package-lock.json"); \
		d = json.loads(f.read_text()); [one.pop("funding", 0) for one in d["packages"].values()]; \
		f.write_text(json.dumps(d, indent=2) + "\n")'); done

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
