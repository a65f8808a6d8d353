# Needs only make, python3 (3.11 or newer) and python3-venv. `make` alone lists the targets.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo scenarios run build check test ready test-beside test-paced test-alone test-compiled test-built interop long bench bench-durable baseline docs system

# Each test that starts a node or a command would compile all that it imports, and each worker all tests.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin

# Debian's own interpreter is built with optimisation: a quarter less CPU per call than an unoptimised build.
CANDIDATES := /usr/bin/python3 python3.11 python3.12 python3.13 python3.14 python3
OLD_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

# Two for every processor: a third of the tests' time they wait for timers, phones, disks and nodes.
WORKERS = $(shell python3 -c 'import os; print(len(os.sched_getaffinity(0)) * 2)')

# What the tests need: SIPp, the caller and callee that we did not write, valgrind, which counts what a call executes, and
# a C compiler with its headers, for the disk that misbehaves. Program:package.
TEST_TOOLS := sipp:sip-tester valgrind:valgrind cc:gcc
PEERS := kamailio:kamailio baresip:baresip-core linphonec:linphone-cli sipsak:sipsak svmap:sipvicious
TOPOS_TABLES := /usr/share/kamailio/db_sqlite/topos-create.sql
C_HEADERS := /usr/include/stdio.h
SIDE_BY_SIDE := not long and not paced and not alone and not interop
# What CI runs on the compiled build, for its time; `make test-compiled` runs all but the long ones.
ON_COMPILED := tests/sipstack tests/core tests/conformance tests/attacks tests/regress tests/leaktest tests/deciding \
  tests/fuzz tests/capture tests/control tests/explain tests/steering tests/workers \
  tests/test_runner.py tests/test_completeness.py tests/store/test_store_bindings.py tests/store/test_store_conditions.py \
  tests/store/test_store_crypto.py tests/store/test_store_restrictions.py tests/recording tests/store/test_breathing.py \
  tests/store/test_contract_ends.py tests/store/test_feed.py tests/store/test_journal_heads.py tests/store/test_journal_past_cache.py tests/store/test_store_fresh.py \
  tests/store/test_store_caller_memory.py tests/store/test_store_journal.py tests/store/test_store_kill.py tests/store/test_store_ledger.py \
  tests/store/test_store_restart.py tests/store/test_store_rows.py tests/store/test_store_steps.py tests/store/test_step_octets.py \
  tests/store/test_store_writer.py tests/store/test_store_writer_faults.py tests/store/test_target_read.py \
  tests/bench/test_guard.py tests/e2e/test_adoption.py tests/e2e/test_bad_bytes.py tests/e2e/test_faults_*.py \
  tests/e2e/test_sms_restart.py tests/e2e/test_stories.py tests/e2e/test_workers*.py tests/test_hook_client.py \
  tests/store/test_store_kill_points.py

WHEEL = $(BIN)/python -m pip wheel --disable-pip-version-check --no-input --no-deps -w dist .

APT := DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120

help:
	@echo "make demo       places one call and one message through a node, prints what each side saw"
	@echo "make scenarios  plays every story of scenarios/ and checks records and bytes"
	@echo "make test       everything: make check, then all tests"
	@echo "make run        runs a node with configs/embedded.toml in the foreground"
	@echo "make build      wheels in dist: a pure one, and where there is a C compiler one with a compiled core"
	@echo "make test-compiled  all tests but the long ones, those of make interop too, on what make build compiles"
	@echo "make check      lint, types, architecture"
	@echo "make interop    calls between phones, proxies and scanners that others wrote"
	@echo "make docs       writes what of docs/ comes from the code"
	@echo "make bench      what a call costs, beside Kamailio, sippy and the floor; BENCH=\"--rounds 1 --rate 100\" for a short look"
	@echo "make bench-durable  CPU and delay of the durable steps of a call; takes BENCH, too"
	@echo "make baseline   counts what a call executes, and makes that what the tests hold it against"
	@echo "make long       the tests that are too long for every run"

demo: $(VENV)/.ok
	@$(BIN)/python -m scenarios.demo.demo

scenarios: $(VENV)/.ok
	@$(BIN)/python -m scenarios.play

run: $(VENV)/.ok
	@exec $(BIN)/veil700 --config configs/embedded.toml run

build: $(VENV)/.ok
	@echo "build: a pure wheel, then a compiled one, which takes two processors a minute and a half"
	@mkdir -p build; rm -f dist/veil700-*.whl
	@$(WHEEL) -qq
	@VEIL700_COMPILE=1 $(WHEEL) --verbose >build/mypyc.log 2>&1 || { tail -20 build/mypyc.log >&2; exit 1; }
	@grep -h '^ *veil700: not compiled' build/mypyc.log >&2 || true
	@ls dist

test-compiled: system build $(VENV)/.ok-dev
	@$(BIN)/python -m tests.compiled_tree
	@$(MAKE) --no-print-directory --directory build/compiled --keep-going test-beside test-paced test-alone interop

test-built: $(VENV)/.ok-dev
	@$(BIN)/python -m tests.compiled_tree
	@cd build/compiled && .venv/bin/pytest -q -n $(WORKERS) --dist worksteal -m "$(SIDE_BY_SIDE)" $(ON_COMPILED)
	@cd build/compiled && .venv/bin/pytest -q -m "(paced or alone) and not long" tests/e2e/test_faults_*.py tests/e2e/test_workers.py

check: $(VENV)/.ok-dev
	@echo "check: ruff, mypy, architecture"
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/pytest -q tests/test_architecture.py

# The three go on after a failure, so that one run tells all that fails.
test: ready
	@$(MAKE) --no-print-directory --keep-going test-beside test-paced test-alone

# Beside the checks pytest compiles the tests: else, in a fresh checkout, each worker does so for itself.
ready: system $(VENV)/.ok-dev
	@$(BIN)/pytest -qq --collect-only >/dev/null 2>&1 & \
	$(MAKE) --no-print-directory check; status=$$?; wait; exit $$status

test-beside: $(VENV)/.ok-dev
	@echo "test: all but the long ones, and but the architecture, which is of the checks"
	@$(BIN)/pytest -q -n $(WORKERS) --dist worksteal --ignore tests/test_architecture.py -m "$(SIDE_BY_SIDE)"

test-paced: $(VENV)/.ok-dev
	@echo "test: those at a steady pace, two at a time"
	@$(BIN)/pytest -q -n 2 --maxschedchunk 1 -m "paced and not long" tests/e2e

test-alone: $(VENV)/.ok-dev
	@echo "test: those that want the machine for themselves"
	@$(BIN)/pytest -q -m "alone and not long" tests/e2e

interop: system $(VENV)/.ok-dev
	@$(call INSTALL,for tool in $(PEERS); do command -v $${tool%%:*} >/dev/null || echo $${tool#*:}; done; \
	  [ -e $(TOPOS_TABLES) ] || echo kamailio-sqlite-modules,the peers (Debian starts Kamailio on port 5060: \
	  systemctl disable --now kamailio))
	@$(BIN)/pytest -q -m interop

docs: $(VENV)/.ok-dev
	@$(BIN)/python -m docs.generate

long: system $(VENV)/.ok-dev
	@echo "long: kills, floods, millions of rows"
	@$(BIN)/pytest -q -n auto -m "long and not paced and not alone" --timeout 3600
	@$(BIN)/pytest -q -m "long and (paced or alone)" --timeout 3600 tests/e2e

baseline: system $(VENV)/.ok-dev
	@$(BIN)/python -m bench.guard --write

bench: $(VENV)/.ok
	@$(call INSTALL,$(BIN)/python -m bench.rig.tools,the benchmark)
	@$(MAKE) --no-print-directory -s build/compiled/.ok build/sippy/.ok
	@$(BIN)/python -m bench.live compare $(BENCH)

# What is measured is what the sources say now.
build/compiled/.ok: $(foreach depth,*.* */*.* */*/*.*,$(wildcard engine/$(depth) sipstack/$(depth))) hatch_build.py pyproject.toml
	@$(MAKE) --no-print-directory build
	@$(BIN)/python -m tests.compiled_tree && touch $@ || rm -rf build/compiled

build/sippy/.ok:
	@echo "installing sippy into build/sippy"
	@$(BIN)/python -m venv build/sippy && build/sippy/bin/pip install -qq --disable-pip-version-check --no-input \
	  sippy==2.5.0 && touch $@ || { rm -rf build/sippy; echo "no sippy: the table will do without" >&2; }

bench-durable: $(VENV)/.ok
	@$(call INSTALL,$(BIN)/python -m bench.rig.tools,the benchmark)
	@$(BIN)/python -m bench.durable compare $(BENCH)

system:
	@$(call INSTALL,for tool in $(TEST_TOOLS); do command -v $${tool%%:*} >/dev/null || echo $${tool#*:}; done; \
	  [ -e $(C_HEADERS) ] || echo libc6-dev,the tests)

# $(1): a command that prints the packages that are missing, $(2): what needs them.
# A fresh machine may be refreshing its package lists by itself, and apt does not wait for that lock.
define INSTALL
missing=$$($(1)) && missing=$$(echo $$missing) || exit 2; [ -z "$$missing" ] && exit 0; \
if [ "$$(id -u)" != 0 ]; then \
  echo "missing for $(2): sudo apt-get install -y $$missing" >&2; exit 2; fi; \
echo "installing $$missing"; \
said=$$({ for try in 1 2 3 4 5 6; do $(APT) update && break; sleep 10; done; \
  $(APT) -y --no-install-recommends install $$missing; } 2>&1); \
[ -z "$$($(1))" ] && exit 0; \
echo "$$said" >&2; \
echo "cannot install what is missing for $(2), is there a network? apt-get install -y $$missing" >&2; exit 2
endef

# What the node needs; with `[dev]` what the checks and tests need too. The file .unfinished marks an environment whose
# making was cut short: it is made again from nothing, as is one without pip or with too old an interpreter.
$(VENV)/.ok: WANTED := .
$(VENV)/.ok-dev: WANTED := .[dev]

$(VENV)/.ok $(VENV)/.ok-dev: pyproject.toml
	@if [ -e $(VENV)/.unfinished ] || ! $(BIN)/python -c '$(OLD_ENOUGH)' 2>/dev/null \
	  || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  for python in $(CANDIDATES); do \
	    $$python -c '$(OLD_ENOUGH)' 2>/dev/null && break; python=; done; \
	  if [ -z "$$python" ]; then \
	    echo "veil700 needs Python 3.11 or newer: apt-get install -y python3 python3-venv" >&2; exit 2; fi; \
	  if ! $$python -c 'import ensurepip' 2>/dev/null; then \
	    echo "$$python has no ensurepip: apt-get install -y python3-venv" >&2; exit 2; fi; \
	  echo "making $(VENV) with $$($$python --version)"; \
	  $$python -m venv --clear --without-pip $(VENV) && touch $(VENV)/.unfinished \
	    && $(BIN)/python -m ensurepip --default-pip >/dev/null || exit 2; fi
	@echo "installing veil700 and what it needs into $(VENV)"; touch $(VENV)/.unfinished; \
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --editable '$(WANTED)'; \
	failed=$$?; rm -f $(VENV)/.unfinished; \
	if [ $$failed != 0 ]; then echo "pip could not install veil700, is there a network?" >&2; exit 2; fi
	@touch $@ $(VENV)/.ok
