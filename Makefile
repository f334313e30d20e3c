# Needs only make and a Python from 3.11 on with pip. `make help` lists the targets.
PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
SEED ?= 1
KILLS ?= 1000
MINUTES ?= 60
PART ?= 1
PYTEST ?= -n 2 --dist loadgroup

BIN := .venv/bin
PIP := $(BIN)/python -m pip install -qq $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# tests start hundreds of processes, which would compile all modules each time
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help test demo bench scale mutants soak fuzz wheel everything constraints clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

# hatchling and editables first: the package is then built with these versions and no others.
.venv/ok: pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "corecube needs Python 3.11 or newer, and '$(PYTHON)' is not; say which: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	echo "'$(PYTHON) -m venv' is missing; install it (Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(PIP) --upgrade pip
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation -e '.[dev]'
	@touch $@

test: .venv/ok ## style, types, imports, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest $(PYTEST)

demo: .venv/ok ## simulated sky, archive, queries in demo/ (SEED=1)
	$(BIN)/python examples/demo.py --seed $(SEED) --output demo

bench: .venv/ok ## measure, into bench-results/
	$(PIP) --no-build-isolation -e '.[bench]'
	$(BIN)/python benchmarks/run.py --output bench-results

scale: .venv/ok ## archives of 1e7 fibres and of 500 frames, made and mended (hours, 20 GB; PART=0.05)
	$(BIN)/python benchmarks/scale.py --output bench-results --part $(PART)

mutants: .venv/ok ## break promises on purpose and see their tests fail
	$(BIN)/python tests/mutants/run.py

soak: .venv/ok ## kill -9 at a thousand moments, Ctrl-C among 185 frames: nothing may be lost (KILLS=1000 SEED=1)
	$(BIN)/python tests/soak/kills.py --kills $(KILLS) --seed $(SEED)
	$(BIN)/python tests/soak/stopping.py

fuzz: .venv/ok ## damage and forge archives for an hour (MINUTES=60 SEED=1)
	$(BIN)/python tests/soak/fuzz.py --minutes $(MINUTES) --seed $(SEED)

wheel: .venv/ok ## sdist and wheel, into dist/
	$(BIN)/python -m build --no-isolation --outdir dist

everything: export CORECUBE_NO_SKIP := 1
everything: test demo bench wheel ## all of these; what would be skipped fails

constraints: ## renew constraints.txt with the newest versions (Python 3.11)
	rm -rf build/constraints
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/python -m pip install -qq --upgrade pip
	build/constraints/bin/python -m pip install -qq '.[dev,bench]'
	{ sed -n '/^#/p' constraints.txt; build/constraints/bin/python -m pip list --format=freeze \
	    --exclude corecube --exclude setuptools; } > build/constraints.txt
	mv build/constraints.txt constraints.txt
	rm -rf build/constraints

clean: ## remove all that make made
	rm -rf .venv build dist demo bench-results
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find corecube cli plugins tests -type d -name __pycache__ -exec rm -rf {} +
