# make demo   sets up .venv and runs the demo to results/demo/report.html
# make test   sets up .venv and runs the default tests (offline, CPU)
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# What the demo needs; a checkout that has tests and documentation too keeps them up to date.
DEMO := $(if $(wildcard .venv/ready),.venv/ready,.venv/demo)
# Where Python is told to keep nothing, every job compiles anew what it imports: half of a short job's time. It keeps that
# under build/ then, and nothing beside the sources.
ifneq ($(PYTHONDONTWRITEBYTECODE),)
unexport PYTHONDONTWRITEBYTECODE
PYTHONPYCACHEPREFIX ?= $(CURDIR)/build/bytecode
export PYTHONPYCACHEPREFIX
endif
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test lint docs smoke bench baseline mutants names field-code test-browser test-slow test-slurm clean

demo: $(DEMO)
	@TIMEFORMAT="%0R s wall, %0U s processor"; time snakemake --cores all --profile workflow/profiles/local
	@echo "see results/demo/report.html"

# Two processes, a file of tests each: fixtures of a module are made once. The times are for reading; nothing fails on them.
test: .venv/ready
	@TIMEFORMAT="%0R s wall, %0U s processor"; time pytest -n 2 --dist loadfile --durations=20

test-slow: .venv/ready
	pytest -m "slow and not gpu"

# A real Slurm of two nodes on the loopback, from Debian's packages; two of them at once, as jobs mostly wait. Down again
# at the end.
test-slurm: .venv/ready
	bash tests/slurm/install.sh
	pytest -n 2 --dist worksteal -m slurm tests/slurm

# The report in Chromium, from Debian's packages: what is wide, what scrolls, what is asked for.
test-browser: .venv/ready
	bash tests/browser/install.sh
	pytest -n 2 --dist loadfile -m browser tests/browser

lint: .venv/ready
	ruff check .
	ruff format --check .
	snakefmt --check --compact-diff Snakefile workflow
	mypy
	snakemake --lint
	hadolint Dockerfile

# The documentation to build/site/index.html; a broken link or anchor is an error.
docs: .venv/ready
	mkdocs build --quiet --strict

# The smallest configuration through every rule, twice: the second run must find nothing to do. Then Snakemake's own report
# of it; what it shows is Snakemake's page and needs no network.
smoke: .venv/ready
	snakemake --cores all --profile workflow/profiles/ci --configfile configs/ci.yaml
	snakemake --cores all --profile workflow/profiles/ci --configfile configs/ci.yaml 2>&1 | tee /dev/stderr | grep -q "Nothing to be done"
	mkdir -p build
	snakemake --configfile configs/ci.yaml --report build/report.html

bench: .venv/ready
	python -m benchmarks.stacking

# The demo's baseline, or another configuration's: its cells with 20 seeds, then their numbers kept. It goes on where it was
# stopped. Needs REASON=".." and a committed tree.
CONFIG ?= configs/demo.yaml
NAME = $(basename $(notdir $(CONFIG)))
baseline: .venv/ready
	reproflow baseline config $(CONFIG) --out build/$(NAME)_baseline.json > /dev/null
	snakemake results/$(NAME)_baseline/cells.csv --cores all --profile workflow/profiles/local --configfile build/$(NAME)_baseline.json
	reproflow baseline update $(NAME) --results results/$(NAME)_baseline --reason "$(REASON)"

# Small faults, each put into a copy of the package: which claim or test notices? Writes docs/mutants.md; goes on where it
# was stopped.
mutants: .venv/ready
	python tests/mutants/mutation.py

# The committed lists that follow from the registry and the schema.
names: .venv/ready
	reproflow list --refresh > /dev/null

# Published objectives as installable packages compute them, audited in an environment of its own (about 250 MB of packages,
# outside constraints.txt). Writes benchmarks/results/field_code.md and the catalogue's page; goes on where it was stopped.
FIELD_ENVIRONMENT ?= build/field_environment
field-code: .venv/ready
	python benchmarks/field_code/environment.py $(FIELD_ENVIRONMENT)
	PYTHONPATH=$(CURDIR) OMP_NUM_THREADS=1 $(FIELD_ENVIRONMENT)/bin/python -W ignore -m benchmarks.field_code.measure
	reproflow check field --refresh > /dev/null

# Two environments in one folder: the package, and all that tests, lint and documentation need.
.venv/demo: EXTRAS :=
.venv/ready: EXTRAS := [dev]
.venv/demo .venv/ready: pyproject.toml constraints.txt
	$(PYTHON) .ci/interpreter.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable ".$(EXTRAS)"
	touch $@

clean:
	rm -rf .venv .snakemake build *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
