# Every target does all of its own set-up. `make` alone tells what there is.
#
#   JOBS=3        make test: how many processes share the files of the suites; half of their time tests wait for
#                 others, so one more than the machine has processors
#   PYTEST_ARGS   make test, make faults: more words for pytest, such as -k outbox

.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
JOBS ?= 3
PYTEST_ARGS ?=
# Hundreds of processes start in a run: half of a start would go into compiling what the last one compiled.
unexport PYTHONDONTWRITEBYTECODE
# Behind what the machine has: Tryton's environment takes a tenth of the time with uv that it takes with pip.
export PATH := $(PATH):$(CURDIR)/.cache/uv/bin
ifneq ($(JOBS),1)
PARALLEL := --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder
endif

.PHONY: help setup python demo test check faults bench docs

help:
	@echo "make setup    everything that is needed, once; the second time it does nothing"
	@echo "make demo     a whole plant on this PC: prints the dashboard's address, ends with Ctrl-C"
	@echo "make test     all checks and all tests, with the time of each suite"
	@echo "make check    lint, format, types, direction of imports"
	@echo "make faults   properties with all their examples, and the long loops that kill, cut and refill, up to their counts"
	@echo "make bench    the benchmarks, as ratios measured in one run"
	@echo "make docs     write docs/reference again from the code"

setup:
	@python=$$(sh tools/python.sh) && "$$python" -m tools.setup

python:
	@python=$$(sh tools/python.sh) && "$$python" -m tools.setup --python-only

demo: python
	@$(BIN)/lotkeeper-sim demo

check: setup
	@$(BIN)/python -m tools.check

test: setup
	@$(BIN)/python -m tools.check
	@$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

faults: setup
	@$(BIN)/python -m tools.selected hypothesis --hypothesis-profile=deep $(PYTEST_ARGS)
	@$(BIN)/python -m tools.selected faults $(PYTEST_ARGS)
	@$(BIN)/python -m tools.proof --run

bench: setup
	@$(BIN)/python -m tools.bench

docs: setup
	@$(BIN)/python -m tools.reference
