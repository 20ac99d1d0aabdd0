# make demo    the main job: new classes, and classes with pictures, on the bundled benchmark; tables and a report
# make test    the test suite (under 8 minutes on two cores)
# Everything runs in .venv inside this folder, made on the first call with the versions of requirements.lock.

SHELL := /bin/sh
PY := .venv/bin/python
OUT ?= runs/demo
DEMO = --backbone mini --out "$(OUT)"

.PHONY: help demo test test-slow lint bench environment lock clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -3
	@echo "make lint    ruff and mypy"
	@echo "make bench   every figure of speed/RESULTS.md, measured again"
	@echo "make test-slow   the long checks"

environment:
	@sh tools/environment.sh

demo: environment
	@echo "1 of 3: new classes, with zero-shot CLIP, CoOp and CoCoOp" >&2
	@$(PY) -m vlprompt benchmark base-to-new --methods zero-shot,coop,cocoop --shots 16 --seeds 1,2,3 $(DEMO) >/dev/null
	@echo "2 of 3: classes with pictures, with CoOp, KgCoOp, LP++ and auto" >&2
	@$(PY) -m vlprompt benchmark few-shot --methods coop,kgcoop,lp++,auto --shots 4 --seeds 1 $(DEMO) >/dev/null
	@echo "3 of 3: classes with pictures, with zero-shot CLIP and heads" >&2
	@$(PY) -m vlprompt benchmark few-shot --methods zero-shot,gda,tip-adapter $(DEMO) >/dev/null
	@$(PY) -m vlprompt report "$(OUT)"

test: environment
	VLPROMPT_CACHE="$(CURDIR)/.pytest_cache/features" OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 -q -m "not slow"

test-slow: environment
	VLPROMPT_CACHE="$(CURDIR)/.pytest_cache/features" $(PY) -m pytest -q -m slow

lint: environment
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

# Rewrites speed/RESULTS.md; half an hour, on a machine with nothing else to do.
bench: environment
	$(PY) speed/results.py

# The versions that a fresh resolution of pyproject.toml gives today, as a constraints file.
lock: environment
	$(PY) tools/lock.py

clean:
	rm -rf .venv runs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
