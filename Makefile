# Everything a new machine needs is Python 3.10 or newer, with pip and venv, and make. `make help` lists what there is.

PYTHON ?= python3
PYTEST_FLAGS ?= -n 2
LOCK_FLAGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PINS := pyproject.toml constraints.txt
# A path entry in place of an import hook: the hook comes last, after any folder that is called genlink, such as a clone.
EDITABLE := --config-settings editable_mode=compat

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo test format lint types imports check tables plots docs lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo "  PYTHON=python3.12 picks another Python for a new $(VENV); PYTEST_FLAGS are handed to pytest."

install: $(VENV)/.installed ## make .venv and install GenLink there, with pinned versions

install-dev: $(VENV)/.installed-dev ## the same, with what the tests and checks need

demo: $(VENV)/.installed ## train a tiny linker on data that comes with GenLink, and link with it
	HF_HUB_OFFLINE=1 $(BIN)/genlink demo

test: $(VENV)/.installed-dev ## run the tests
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest $(PYTEST_FLAGS)

format: $(VENV)/.installed-dev ## format the code and mend what the linter can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lint: $(VENV)/.installed-dev ## formatting and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.installed-dev ## mypy, strict, on the package
	$(BIN)/mypy

imports: $(VENV)/.installed-dev ## which module may import which
	$(BIN)/lint-imports

check: lint types imports test ## all of the above that can fail: what CI runs

tables: $(VENV)/.installed ## make the tables in README.md and docs/ anew from results/
	$(BIN)/python scripts/make_tables.py

plots: $(VENV)/.installed-dev ## draw the plots in docs/images/ anew from results/
	$(BIN)/python scripts/make_plots.py

docs: tables plots ## the tables, the plots, and docs/cli.md from the program's own --help
	$(BIN)/python scripts/make_cli_docs.py

# What is pinned stays as it is where it still fits: LOCK_FLAGS=--upgrade takes the newest of everything.
lock: $(VENV)/.created ## write constraints.txt anew (LOCK_FLAGS=--upgrade for newer versions)
	@rm -rf build/lock
	@mkdir -p build/lock
	@$(BIN)/python -m venv build/lock/tools
	@build/lock/tools/bin/python -m pip --disable-pip-version-check install --quiet uv
	@if [ -f constraints.txt ]; then cp constraints.txt build/lock/all.txt; fi
	build/lock/tools/bin/uv pip compile --quiet --universal --python-version 3.10 --extra dev --extra minilm \
	    --no-header --no-annotate --no-emit-index-url --no-emit-find-links $(LOCK_FLAGS) \
	    --output-file build/lock/all.txt pyproject.toml
	@{ echo "# The versions that GenLink is tested with, on Python 3.10 to 3.13. Written by \`make lock\`, not by hand."; \
	   echo "# Left out: the CUDA packages, which PyTorch's own builds choose to fit."; \
	   grep -vE '^(#|cuda-|nvidia-|triton=)' build/lock/all.txt; } > build/lock/constraints.txt
	@mv build/lock/constraints.txt constraints.txt
	@rm -rf build/lock

clean: ## remove .venv and what tools left behind; runs/ and data/ stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find genlink scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment that is there and works is kept, whoever made it; one that was broken off is mended.
$(VENV)/.created:
	@command -v "$(PYTHON)" > /dev/null || \
	    { echo "error: no $(PYTHON) here: install Python 3.10 or newer, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "error: $$("$(PYTHON)" -V 2>&1) is too old: GenLink needs 3.10 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2> /dev/null || \
	    { echo "error: $(PYTHON) has no venv: install it first (Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed: $(PINS) | $(VENV)/.created
	$(PIP) install -c constraints.txt $(EDITABLE) -e .
	@touch $@

$(VENV)/.installed-dev: $(PINS) | $(VENV)/.created
	$(PIP) install -c constraints.txt $(EDITABLE) -e '.[dev]'
	@touch $(VENV)/.installed $@
