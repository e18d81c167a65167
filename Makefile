# assay: `make test` and `make demo` work on a fresh machine with Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
CONSTRAINTS := $(firstword $(wildcard constraints/py$(VERSION).txt) constraints/py3.11.txt)
STAMP := $(VENV)/.installed-$(VERSION)

# Tests start hundreds of processes: where no bytecode may be written each of them compiles everything anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-all bench fuzz docs lint types imports unit clean

$(STAMP): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c $(CONSTRAINTS) -e ".[ml,dev]"
	touch $@

demo: $(STAMP)  ## the whole story on simulated payments
	$(BIN)/assay demo

test: lint types imports unit  ## what CI runs

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

unit: $(STAMP)
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-all: lint types imports  ## and what takes minutes: kills by the hundred, 100,000 entries, 50 MB pickles, 200 seeds, Spark, PostgreSQL and Ray
	$(BIN)/python -m pip install -q --disable-pip-version-check -c $(CONSTRAINTS) -e ".[ml,dev,archives,engines,ray,torch]"
	$(BIN)/pytest --heavy -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

bench: $(STAMP)  ## every figure of docs/benchmarks.md, each peer in an environment of its own
	$(BIN)/python benchmarks/run_all.py

fuzz: $(STAMP)  ## every parser, guided by coverage, a minute each (atheris: Python 3.11 to 3.13)
	$(BIN)/python -m pip install -q --disable-pip-version-check "atheris>=2.3"
	$(BIN)/python tools/fuzz.py

docs: $(STAMP)  ## write docs/checks.md, docs/frameworks.md and docs/glossary.md again from the code
	$(BIN)/python tools/build_docs.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
