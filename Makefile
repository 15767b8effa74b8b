# `make demo` and `make test` need Python 3.10 to 3.12 with venv, git and a C++ compiler; they install the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := splitwatt/__init__.py splitwatt/__main__.py splitwatt/completion.py device_configs engines energy profiler export reports tests tools
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt
DEMO := demo
PAYLOAD ?= measured
# Tests start thousands of short processes: without bytecode each of them would compile what it imports.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo trained agreement table3 test long check coverage bench docs soak fuzz format lint types wheel-board wheelhouse-board clean

help: ## what can be made
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(VENV)/.user: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 10) <= sys.version_info < (3, 13) else "a host needs Python 3.10, 3.11 or 3.12 (CompressAI holds NumPy below 2); try: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing splitwatt and what it needs into $(VENV) (PyTorch is large: several GB, some minutes)"
	$(PIP) -e '.[export,report,serve]'
	@touch $@

$(VENV)/.dev: $(VENV)/.user
	$(PIP) -e '.[dev]'
	@touch $@

# The models whose answers the demo compares with the local model's.
COMPARED := $(foreach q,10 30 70,jpeg@$(q)+efficientnet_lite0 webp@$(q)+efficientnet_lite0) \
	$(foreach r,1 2 3 4 5,split_lite0@$(r))
# A board of about a Jetson Nano's speed, where the kernel lets this user limit processor time (docs/profiling.md).
SLOW_BOARD := --threads 1 --board-quota 0.12
demo: $(VENV)/.user ## a trained split model beside JPEG and WebP; then seven of Table 3's configurations
	$(BIN)/splitwatt export --config trained.yaml --target cpu --bundles $(DEMO)/bundles
	run=$(DEMO)/runs/trained-$$(date +%Y%m%d-%H%M%S) && \
	$(BIN)/splitwatt profile --config trained.yaml --target cpu --bundles $(DEMO)/bundles --out $$run && \
	for model in $(COMPARED); do \
	$(BIN)/splitwatt evaluate $(DEMO)/bundles/cpu/$$model --against $(DEMO)/bundles/cpu/efficientnet_lite0 \
	--data images:examples/held-out --out $$run > /dev/null || exit 1; done && \
	$(BIN)/splitwatt report $$run --out $(DEMO)/trained
	$(BIN)/splitwatt infer $(DEMO)/bundles/cpu/split_lite0@3 engines/photographs/*.jpg --out $(DEMO)/answers
	$(BIN)/splitwatt export --config demo.yaml --target cpu --weights random --bundles $(DEMO)/bundles
	run=$(DEMO)/runs/$$(date +%Y%m%d-%H%M%S) && \
	profile="$(BIN)/splitwatt profile --config demo.yaml --target cpu --bundles $(DEMO)/bundles --out $$run" && \
	{ $$profile $(SLOW_BOARD) || { test $$? = 2 && echo "going on without a quota: the board is this whole machine" && $$profile; }; } && \
	$(BIN)/splitwatt report $$run --out $(DEMO)/report

trained: $(VENV)/.user ## train split_lite0 again in build/trained (other backbones: docs/trained.md)
	$(BIN)/python -m splitwatt.export.training --out build/trained

# Every rate point against the local model, on the crops that `make trained` held out.
AGREE := $(foreach c,jpeg webp,$(foreach q,10 20 30 50 70 90,$(c)@$(q)+efficientnet_lite0)) \
	$(foreach r,1 2 3 4 5,split_lite0@$(r))
agreement: $(VENV)/.user ## bytes and agreement of split_lite0, JPEG and WebP: the tables of docs/trained.md
	$(BIN)/python -m splitwatt.export.training --out build/trained --only-held-out
	$(BIN)/splitwatt export $(foreach m,efficientnet_lite0 $(AGREE),--model $(m)) --target cpu --bundles build/agreement
	for model in $(AGREE); do \
	$(BIN)/splitwatt evaluate build/agreement/cpu/$$model --against build/agreement/cpu/efficientnet_lite0 \
	--data images:build/trained/held-out --out build/agreement || exit 1; done
	$(BIN)/python -m tools.trained_page build/agreement

table3: $(VENV)/.user ## all 40 rows of the paper's Table 3; PAYLOAD=published for the papers' sizes on the links
	@mkdir -p build && sed 's/^payload: measured/payload: $(PAYLOAD)/' profiler/configs/table3.yaml > build/table3.yaml
	$(BIN)/splitwatt export --config build/table3.yaml --target cpu --weights random
	run=runs/table3-$$(date +%Y%m%d-%H%M%S) && \
	$(BIN)/splitwatt profile --config build/table3.yaml --target cpu --out $$run && \
	$(BIN)/splitwatt report $$run --out paper

# One more than processors: many tests wait for other processes. Each computes on one core: workers share them.
WORKERS = $(shell $(BIN)/python -c 'import os; print((os.cpu_count() or 1) + 1)')
TESTS = OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n $(WORKERS) --dist worksteal
test: $(VENV)/.dev ## the tests, but for the long ones
	$(TESTS) -m "not long"

long: $(VENV)/.dev ## the tests with other Pythons, NVIDIA's builder, sc2bench, LaTeX, clusters, training
	$(TESTS) -m long

check: format lint types $(VENV)/.dev ## what CI runs: format, lint, types, all tests
	$(TESTS)

coverage: $(VENV)/.dev ## how much of each room its tests run
	$(BIN)/python tools/room_coverage.py

format: $(VENV)/.dev ## is every file formatted?
	$(BIN)/ruff format --check $(SOURCES)

lint: $(VENV)/.dev ## ruff's findings
	$(BIN)/ruff check $(SOURCES)

types: $(VENV)/.dev ## mypy's findings
	$(BIN)/mypy

docs: $(VENV)/.dev ## the documentation as a site, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.dev ## the figures that the documentation states
	$(BIN)/python -m tests.bench

soak: $(VENV)/.dev ## long trials: a thousand kills, and others
	$(BIN)/python -m tests.soak

fuzz: $(VENV)/.dev ## change files of every kind 100,000 times and read them
	$(BIN)/python -m tests.fuzz

$(VENV)/.cross: $(VENV)/.user
	$(PIP) ziglang pyelftools
	@touch $@

wheel-board: $(VENV)/.cross ## one wheel for every aarch64 board, in dist/
	$(BIN)/python tools/board_wheel.py --out dist

wheelhouse-board: wheel-board ## that wheel and all it needs, for boards without internet, in wheelhouse/
	$(BIN)/python tools/wheelhouse.py --wheel dist/splitwatt-*-py3-none-linux_aarch64.whl --out wheelhouse

clean: ## remove what make made, but bundles/, runs/ and paper/: yours may be there too
	rm -rf $(VENV) build demo dist wheelhouse .mypy_cache .ruff_cache .pytest_cache
