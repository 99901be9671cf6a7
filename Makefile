# `make demo` and `make test` are all that a newcomer needs. Both set up what they use, in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= tenure-data

# What is imported is compiled once: the tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo install test check unit sdk lock bench screenshots prove soak fuzz clean

demo: $(VENV)/.runtime
	$(BIN)/tenure demo --serve --data $(DATA)

install: $(VENV)/.runtime

test: $(VENV)/.dev
	$(MAKE) --jobs=2 --output-sync=target check sdk
	$(MAKE) unit

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# More workers than processors: most tests wait for a server most of the time.
WORKERS ?= 3
unit: $(VENV)/.dev tests/clients/node/node_modules tests/browser/node/node_modules sdk/js/dist
	scripts/system-packages redis-server postgresql chromium strace e2fsprogs fuse3 cc
	$(BIN)/pytest --ignore=tests/soak -m "not soak" -n $(WORKERS) --dist loadscope --no-loadscope-reorder --durations=20

# Tenure's own clients, each against sdk/contract.
sdk: $(VENV)/.dev sdk/js/dist
	$(BIN)/pytest sdk/python/tests
	cd sdk/js && npm test --silent

bench: $(VENV)/.dev
	scripts/system-packages wrk
	$(BIN)/python -m bench
	$(BIN)/python -m bench.linked

# Every page of the demo, light and dark, into docs/images.
screenshots: $(VENV)/.dev
	scripts/system-packages chromium
	$(BIN)/python -m scripts.screenshots

# Kills, power cuts, faults, flips and clocks against a running server, in half an hour; needs Linux and root.
# Writes its results into docs/guarantees.md.
prove: $(VENV)/.dev
	scripts/system-packages strace e2fsprogs fuse3 cc
	$(BIN)/python -m prove --publish

soak: $(VENV)/.dev tests/clients/node/node_modules
	scripts/system-packages strace e2fsprogs fuse3 cc
	$(BIN)/pytest -m soak tests
	TENURE_TEST_KILLS=100 $(BIN)/pytest tests/crash tests/soak
	TENURE_TEST_SUBSCRIPTIONS=100000 TENURE_TEST_EXAMPLES=1000 $(BIN)/pytest tests/loader tests/subscriptions tests/wire tests/health tests/control
	$(BIN)/python -m prove --scale 10 --publish

# Coverage-guided, each decoder for SECONDS; atheris is in no lock, since it has wheels for few platforms.
SECONDS ?= 600
fuzz: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris
	$(BIN)/python -m fuzz --seconds $(SECONDS)

# The runtime alone, then what developing needs beside it; both exactly as locked. Modules are compiled when they are
# first imported: most never are.
$(VENV)/.runtime: requirements.lock pyproject.toml
	PYTHON=$(PYTHON) scripts/system-packages python3-venv
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements-dev.lock
	touch $@

tests/clients/node/node_modules: tests/clients/node/package-lock.json
	scripts/system-packages nodejs npm curl
	cd tests/clients/node && npm ci --no-audit --no-fund --silent
	touch $@

tests/browser/node/node_modules: tests/browser/node/package-lock.json
	scripts/system-packages nodejs npm
	cd tests/browser/node && npm ci --no-audit --no-fund --silent
	touch $@

sdk/js/node_modules: sdk/js/package-lock.json
	scripts/system-packages nodejs npm
	cd sdk/js && npm ci --no-audit --no-fund --silent
	touch $@

sdk/js/dist: sdk/js/node_modules sdk/js/package.json $(wildcard sdk/js/src/*.ts) $(wildcard sdk/js/tsconfig*.json)
	cd sdk/js && npm run --silent build
	touch $@

# Universal: one lock for every platform and Python 3.11+. No index is written into it.
lock: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml requirements-build.in -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header -c requirements.lock requirements-dev.in -o requirements-dev.lock

clean:
	rm -rf $(VENV) tests/clients/node/node_modules tests/browser/node/node_modules sdk/js/node_modules sdk/js/dist .cache
