# Every command of the project; each makes the environment it needs in .venv.
PYTHON ?=
# Arguments of a command count only on make's command line, never as environment variables that a shell or a
# container happens to have. $(origin) calls those in MAKEFLAGS "command line", too: what was typed is read.
ARGUMENTS := CONF DRY_RUN FILE FORCE FROM TO UNDO USER_ID VARIANT YES
TYPED := $(shell { tr '\0' ' ' < /proc/$$PPID/cmdline || ps -ww -o args= -p $$PPID; } 2>/dev/null)
COUNTS = $(and $(filter command,$(origin $(1))),$(filter $(1)%,$(TYPED)))
$(foreach name,$(ARGUMENTS),$(if $(call COUNTS,$(name)),,$(eval override $(name) :=)))
export PORT $(ARGUMENTS)
# A switch is 1, 0 or not given: $(call SWITCH,YES,--yes).
SWITCH = $(if $(filter-out 0 1,$($(1)))$(word 2,$($(1))),$(error $(1) must be 1, 0 or not given),$(if $(filter 1,$($(1))),$(2)))
LOCAL = @exec $(PY) -m include.gong.local

PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
READY := .venv/ready
TEST_READY := .venv/ready-for-tests
# The test folders of each command. All tests of a folder that starts an Airflow of its own share it.
NO_STACK := tests/dags tests/coordination tests/contract tests/warehouse tests/page tests/unit tests/docs
ONE_STACK := tests/stack tests/end_to_end
MORE := tests/interrupted tests/chaos tests/pauses tests/packages
SERIAL := tests/celery tests/rate
TESTS := $(PY) -m pytest --durations 10
# Three processes on two cores, for a stack waits half of its time.
# In the order given, longest first; otherwise the files with most tests would come first.
PARALLEL := --dist loadfile --no-loadscope-reorder --numprocesses
# Loads, reports and page again, on a server with JIT, as Debian's and the clouds' have.
WITH_JIT := tests/jit tests/warehouse tests/page -m each_server

# A .venv without a working Python is made again; one with another folder's provider gets this one's.
OURS := import os, gong_provider as it; print(os.path.samefile(it.__path__[0], "plugins/gong_provider"))
ifneq ($(shell $(PY) -I -c '$(OURS)' 2>/dev/null),True)
.PHONY: $(READY)
endif

.PHONY: help run up backfill erase check-live test test-more test-all test-chaos test-matrix pictures bench \
  bench-answers lint docs migrate export-erasures apply-erasures dist lock clean
.DEFAULT_GOAL := help

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 18

run: $(READY) ## Sync once: every Gong user and settings change into Postgres
	$(LOCAL) run $(if $(CONF),--conf "$$CONF") $(if $(VARIANT),--variant "$$VARIANT")

up: $(READY) ## Airflow's UI on http://127.0.0.1:8080 (PORT=), daily schedule live, until Ctrl-C
	$(LOCAL) up $(if $(PORT),--port "$$PORT") $(if $(VARIANT),--variant "$$VARIANT")

backfill: $(READY) ## Past days, one run each: FROM=2026-01-01 TO=2026-01-03 (DRY_RUN=1: only print the cost)
	$(LOCAL) backfill --from "$$FROM" --to "$$TO" $(call SWITCH,DRY_RUN,--dry-run)

erase: $(READY) ## Erase one user for good: USER_ID= their Gong id (UNDO=1 reverts it, YES=1 skips the prompt)
	$(LOCAL) erase $(call SWITCH,UNDO,--undo) $(call SWITCH,YES,--yes) $(call SWITCH,FORCE,--force) -- "$$USER_ID"

check-live: $(READY) ## Compare your Gong account's responses with this project's assumptions, in at most 20 calls
	@exec $(PY) -m include.gong.local check-live

migrate: $(READY) ## Create or upgrade the tables of the warehouse that GONG_WAREHOUSE_URL names
	@exec $(PY) -m include.gong.warehouse migrate

export-erasures: $(READY) ## Write the erasure records of that warehouse into a new FILE=, to keep beside backups
	@exec $(PY) -m include.gong.warehouse export-erasures "$$FILE"

apply-erasures: $(READY) ## Erase again the users whose records are in FILE=, after restoring a backup
	@exec $(PY) -m include.gong.warehouse apply-erasures "$$FILE"

test: $(TEST_READY) ## The tests, ten to fifteen minutes (ARGS= for pytest instead: make test ARGS=tests/unit)
ifdef ARGS
	@exec $(PY) -m pytest $(ARGS)
else
	$(TESTS) $(PARALLEL) 3 $(ONE_STACK) $(NO_STACK)
endif

test-more: $(TEST_READY) ## The tests that CI adds: kills, many workers, pauses, JIT, one measured rate, image, wheel
	$(TESTS) $(PARALLEL) 2 $(MORE)
	$(TESTS) $(PARALLEL) 2 --jit $(WITH_JIT)
	$(TESTS) $(SERIAL)

test-all: test test-more ## Both, half an hour

test-chaos: $(TEST_READY) ## Kill everything at random moments, for a release: CHAOS_ROUNDS=20 CHAOS_SEED=
	@CHAOS_ROUNDS=$(or $(CHAOS_ROUNDS),20) CHAOS_SEED=$(CHAOS_SEED) $(PY) -m pytest --verbose tests/chaos/test_chaos.py

test-matrix: $(READY) ## Unit and DAG tests on each supported Python and Airflow (ARGS="--only 3.11,oldest")
	@exec $(PY) -m tests.matrix $(ARGS)

pictures: $(TEST_READY) ## Take the pictures of the docs again, in a real browser on a real stack
	@GONG_PICTURES=1 GONG_BROWSER=required $(PY) -m pytest tests/stack -k test_browser

bench: $(TEST_READY) ## Load the same account with ours, its peers and the limit (a quarter of an hour)
	@$(PY) -m pytest --quiet benchmarks/tests
	@exec $(PY) -m benchmarks $(ARGS)

bench-answers: $(TEST_READY) ## The cost of each query in a generated warehouse of 200,000 users (some minutes)
	@$(PY) -m benchmarks.queries $(ARGS)

lint: $(TEST_READY) ## Style, types and import rules between the parts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	@PYTHONPATH=.:plugins .venv/bin/lint-imports

docs: $(TEST_READY) ## The site of docs/, into .local/site; broken links fail
	@$(PY) -m zensical build --strict --clean
	@echo "Open .local/site/index.html"

dist: $(TEST_READY) ## The provider's sdist and wheel, into dist/: the same bytes from the same commit; checked
	@rm -rf dist
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(PY) -m build --no-isolation --outdir dist .
	@$(PY) -m twine check --strict dist/*

lock: $(READY) ## Compile constraints.txt after a change (delete it first for all the newest)
	$(PIP) install uv
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate \
	  --no-emit-index-url requirements.txt tests/requirements.txt --output-file constraints.txt

clean: ## Remove the environment, everything local and all caches
	rm -rf .venv .local dist .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.txt constraints.txt pyproject.toml
	@$(PY) -m pip --version >/dev/null 2>&1 || { \
	  for python in "$(PYTHON)" python3 python3.13 python3.12 python3.14 python3.11; do \
	    test -n "$$python" && "$$python" -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
	      2>/dev/null && { "$$python" -m venv --clear .venv; exit; }; \
	    test "$$python" != "$(PYTHON)" || test -z "$$python" || break; \
	  done; \
	  echo "No Python 3.11 to 3.14 with venv found. Install one, or name it: make PYTHON=/path/to/python3.13" >&2; \
	  exit 1; }
	@echo "Installing into .venv (a minute or two, once) ..."
	@$(PIP) install -r requirements.txt -c constraints.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $(READY)

$(TEST_READY): $(READY) tests/requirements.txt
	@$(PIP) install -r tests/requirements.txt -c constraints.txt
	@touch $(TEST_READY)
