# `make serve` and `make test` need Python 3.11 or later and make; each installs what is missing.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
TESTS ?= tests
# One more than there are cores: some tests wait for what takes its time.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')
# Random operations of each sort that are judged.
JUDGED ?= 5000
# Made-up documents that are sent, and the seed that they are drawn from.
FUZZED ?= 20000
SEED ?= $(shell date +%s)
# Lives of readers of the stream in which everything goes wrong.
SIMULATED ?= 2000
# Of a soak.
MINUTES ?= 10
BIN := .venv/bin
PEERS := bench/peers/node
NPM := $(shell command -v npm 2>/dev/null)

EXPLORER := schema/graphiql/dist/index.html
EXPLORER_SOURCES := $(wildcard schema/graphiql/*.json schema/graphiql/*.ts schema/graphiql/*.html \
	schema/graphiql/src/* schema/graphiql/examples/*)

export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Or each of the many processes of the tests would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: serve test judge fuzz simulate chaos soak containers bench bench-orders bench-live bench-store \
	bench-workers bench-overload bench-units skew lint format graphiql schema lock clean explorer

serve: ## serve with the embedded store and demo data; HOST= and PORT= choose where
	@$(MAKE) --no-print-directory --silent -j2 .venv/installed explorer
	@exec $(BIN)/cartograph serve --host $(HOST) --port $(PORT)

test: ## run every test; TESTS= chooses some
	@$(MAKE) --no-print-directory --silent -j2 .venv/installed-dev explorer
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(TESTS)

judge: .venv/installed-dev ## hold plans against graphql-core, thousands of times; JUDGED= says how many
	JUDGED=$(JUDGED) $(BIN)/python -m pytest -n $(WORKERS) tests/unit/schema/execution/test_random.py

fuzz: .venv/installed-dev ## send made-up documents, thousands of them; FUZZED= says how many, SEED= which
	FUZZED=$(FUZZED) SEED=$(SEED) $(BIN)/python -m pytest -n $(WORKERS) tests/unit/schema/test_fuzz.py

simulate: .venv/installed-dev ## read a scripted stream while everything goes wrong; SIMULATED= says how often
	SIMULATED=$(SIMULATED) $(BIN)/python -m pytest -n $(WORKERS) tests/unit/streams/test_simulation.py

chaos: .venv/installed-dev ## shop for a minute while every part fails (needs redis-server); SEED= says how
	$(BIN)/python -m tests.chaos --seed $(SEED)

soak: .venv/installed ## have 500 sockets come and go for MINUTES=, and look what stays
	$(BIN)/python -m bench.soak --minutes $(MINUTES)

bench: .venv/installed $(PEERS)/node_modules/installed ## compare with other servers (needs npm)
	$(BIN)/python -m bench.compare

bench-orders: .venv/installed ## measure orders a second, and what an order costs
	$(BIN)/python -m bench.orders

bench-live: .venv/installed ## measure how fast changes reach subscribers, and at what cost
	$(BIN)/python -m bench.live

bench-store: .venv/installed ## compare what an answer costs over a small and a large store
	$(BIN)/python -m bench.store

bench-units: .venv/installed ## count units and requests of every operation, and what they cost
	$(BIN)/python -m bench.units

skew: .venv/installed ## simulate what partition keys take, and stock in two Regions
	$(BIN)/python -m bench.skew
	$(BIN)/python -m bench.regions

bench-workers: .venv/installed ## compare one worker process and two (needs redis-server)
	$(BIN)/python -m bench.workers

bench-overload: .venv/installed ## measure what is answered of three times too much
	$(BIN)/python -m bench.overload

containers: .venv/installed-dev ## run the Dockerfile's steps and compose.yaml without an engine (needs npm, haproxy, redis-server)
	$(BIN)/python -m tests.containers

lint: .venv/installed-dev ## check style, types, the templates and the containers' files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/cfn-lint infra/*.yaml
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml

format: .venv/installed-dev ## put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

graphiql: $(EXPLORER) ## build the GraphiQL explorer (needs npm)

schema: .venv/installed ## write the schema as the code has it
	$(BIN)/cartograph schema > schema/schema.graphql

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 \
		--extra tracing pyproject.toml -o requirements.lock
	uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 \
		--extra dev --extra tracing pyproject.toml -c requirements.lock -o requirements-dev.lock
	uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 \
		--group build -c requirements-dev.lock -o requirements-build.lock

clean: ## remove what was installed and built
	rm -rf .venv schema/graphiql/dist schema/graphiql/node_modules $(PEERS)/node_modules

# --- what the targets above stand on ---

.venv/bin/python:
	@echo "Making the environment .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; say which: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv .venv \
		|| { rm -rf .venv; echo "Python's venv module is needed (Debian: apt install python3-venv)"; exit 1; }

.venv/installed: .venv/bin/python requirements.lock requirements-build.lock pyproject.toml
	@echo "Installing the service"
	@$(BIN)/pip install --quiet --require-hashes -r requirements.lock -r requirements-build.lock
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/installed-dev: .venv/installed requirements-dev.lock
	@echo "Installing what the tests need"
	@$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

explorer:
ifdef NPM
	@$(MAKE) --no-print-directory --silent $(EXPLORER) \
		|| echo "The GraphiQL explorer could not be built; the service goes without"
else
	@echo "npm is not here: the GraphiQL explorer is not built"
endif

$(EXPLORER): $(EXPLORER_SOURCES)
	@echo "Building the GraphiQL explorer"
	@npm ci --prefix schema/graphiql --no-audit --no-fund --silent
	@npm run build --prefix schema/graphiql --silent -- --logLevel warn
	@touch $@

$(PEERS)/node_modules/installed: $(PEERS)/package-lock.json
	@echo "Installing the servers to compare with"
	@npm ci --prefix $(PEERS) --no-audit --no-fund --silent
	@touch $@
