# Needs Python 3.11 or newer (with venv), g++ and make; everything else goes into .venv from PyPI.
#   make demo | test | lint | lock | clean | distclean | help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
EXTRAS := rtl,sim,boards,data,sweep,test,dev

# Two workers by default: the compiled and synthesised tests need about 1 GB each.
JOBS   ?= 2
PYTEST ?= $(BIN)/pytest -n $(JOBS) --dist worksteal
# Further arguments, e.g. make test ARGS="-k quantiser -x"
ARGS   ?=

# yowasp compiles its WebAssembly once (a minute); keep the result in the tree.
export YOWASP_CACHE_DIR := $(CURDIR)/.cache/yowasp
# In CI a skipped test is a failure (tests/conftest.py).
export SOLSA_NO_SKIP ?= $(if $(filter true 1,$(CI)),1,)

.DEFAULT_GOAL := help
.PHONY: verification verify-200 arith pins mutation formal netlist coverage reliability soak
.PHONY: help demo test icarus chromium docs tutorial lint lock clean distclean venv results bench-learning bench-ulx3s
.PHONY: docs-generated bench-study bench-sweep sweep-page bench-fpga bench-core bench-link bench-power
.DELETE_ON_ERROR:

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

demo: $(STAMP) ## learn JapaneseVowels on the simulated device and compare every word with the golden model
	$(BIN)/solsa learn JapaneseVowels --device sim --check-golden --out runs/demo

test: $(STAMP) ## all tests except those that need a board
	@$(BIN)/python tests/pins/icarus.py || true
	@$(BIN)/python tests/browser/chromium.py || true
	$(PYTEST) $(ARGS)

test-long: $(STAMP) ## the longest tests, which .ci/run adds: place and route, random networks, wrong netlists, killed workers
	$(PYTEST) -m "long and not bench and not hardware" $(ARGS)

icarus: $(STAMP) ## find Icarus Verilog, or unpack Debian's package into .cache/icarus
	$(BIN)/python tests/pins/icarus.py

chromium: $(STAMP) ## find Chromium, or unpack Debian's package into .cache/chromium
	$(BIN)/python tests/browser/chromium.py

results: $(STAMP) ## measure what README and docs state, on this machine (about 8 minutes), into docs/results
	@mkdir -p docs/results
	for seed in 0 1 2; do $(BIN)/solsa learn JapaneseVowels --device golden --seed $$seed \
	  --json docs/results/learn-vowels-golden-$$seed.json || exit 1; done
	$(BIN)/solsa learn JapaneseVowels --device sim --seed 0 --json docs/results/learn-vowels-sim-0.json
	$(BIN)/solsa info --preset vowels --json docs/results/info-vowels.json
	$(BIN)/python docs/generate.py

docs: $(STAMP) ## the documents as a site in build/site; fails on broken links and stale generated pages
	$(BIN)/python docs/generate.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

tutorial: $(STAMP) ## every command of docs/tutorial.md that needs no board, in build/tutorial
	$(BIN)/python docs/tutorial.py

docs-generated: $(STAMP) ## write the generated pages and the README's status table
	$(BIN)/python docs/generate.py

verification: verify-200 arith pins mutation formal netlist coverage docs-generated ## everything that docs/verification.md reports (about an hour)

verify-200: $(STAMP) ## 200 random networks in lockstep with the golden model (15 minutes)
	$(BIN)/solsa verify --random 200 --seed 7 --json docs/results/verify-200.json

arith: $(STAMP) ## every rounding and overflow of the number table, golden against RTL
	$(BIN)/python tests/record.py arith tests/arith

pins: $(STAMP) ## cocotb at the pins of the complete device, on Verilator and Icarus
	$(BIN)/python tests/pins/icarus.py
	$(BIN)/python tests/record.py pins tests/pins

mutation: $(STAMP) ## planted bugs: every mutant of the RTL against the tests of its file
	$(BIN)/python -m tests.mutation --before docs/results/mutation.json \
	  --json docs/results/mutation.json --markdown docs/mutation.md

formal: $(STAMP) ## proofs with their covers and controls
	$(BIN)/python -m tests.formal --json docs/results/formal.json

netlist: $(STAMP) ## netlists of an iCE40 and an ECP5 board learn as the golden model does
	$(BIN)/python -m solsa.host.equality icebreaker ulx3s_85f:vowels --json docs/results/netlist.json
	$(BIN)/pytest -m bench tests/integration/test_netlist.py

coverage: $(STAMP) ## line and toggle coverage of the RTL
	$(BIN)/python -m solsa.sim.toggle --jobs 2 --json docs/results/toggle.json

# SOLSA_SPOKEN_DIGITS names FSDD_logmel20.npz unless it lies in ../shared/data. Finished runs stay in runs/bench.
bench-learning: $(STAMP) ## learning rules compared (three hours of one idle core), resumable; docs/results/learning.json
	@mkdir -p docs/results docs/pictures
	$(BIN)/solsa bench learning --work runs/bench --configurations 12 --json docs/results/learning.json \
	  --pictures docs/pictures
	$(BIN)/python docs/generate.py

bench-study: $(STAMP) ## studies in fixed point: goals, unseen data, widths, cues (an hour of one idle core); docs/results
	@mkdir -p docs/results docs/pictures
	$(BIN)/python -m solsa.host.bench_goals --json docs/results/goals.json
	$(BIN)/python -m solsa.host.bench_unseen --json docs/results/unseen.json
	$(BIN)/python -m solsa.host.bench_widths --json docs/results/widths.json --picture docs/pictures/widths.png
	$(BIN)/python -m solsa.host.bench_cues --json docs/results/cues.json
	for data in JapaneseVowels digits; do \
	  $(BIN)/python -m solsa.host.bench_options $$data --json docs/results/options-$$data.json || exit 1; done
	$(BIN)/python docs/generate.py

reliability: $(STAMP) ## what docs/reliability.md states: a million frames, a lying line, kills, flipped bits (about an hour)
	for part in line kills memory; do $(BIN)/python -m tests.reliability.measure $$part \
	  --json docs/results/reliability-$$part.json || exit 1; done
	$(BIN)/python tests/record.py bad-inputs tests/reliability/test_bad_inputs.py
	$(BIN)/python -m tests.reliability.fuzz --frames 1000000 --jobs $(JOBS) --json docs/results/reliability-fuzz.json
	$(BIN)/python -m tests.reliability.stream_fuzz --frames 100000 --json docs/results/reliability-stream.json
	$(BIN)/python docs/generate.py

# How long make soak learns.
MINUTES ?= 10
soak: $(STAMP) ## learn on the simulated device over a line that lies for MINUTES (10), compare with golden
	$(BIN)/python -m tests.reliability.soak --minutes $(MINUTES) --json docs/results/reliability-soak.json
	$(BIN)/python docs/generate.py

bench-sweep: $(STAMP) ## 100 trials on one and two local processes and on a Dask cluster (15 minutes); docs/results/sweep-*.json
	$(BIN)/python docs/sweeps/bench.py

sweep-page: $(STAMP) ## Pareto front of JapaneseVowels on icebreaker and ulx3s_85f (minutes); docs/results/sweep-boards
	@mkdir -p runs
	$(BIN)/solsa sweep docs/sweeps/boards.toml --study runs/sweep-boards.db --trials 40 --seed 0 \
	  --out docs/results/sweep-boards --json docs/results/sweep-boards.json

bench-ulx3s: $(STAMP) ## bitstream of ulx3s_85f with preset vowels (minutes); the manifest goes into docs/results/boards
	@mkdir -p docs/results/boards
	$(BIN)/solsa build ulx3s_85f --preset vowels --json docs/results/boards/ulx3s_85f-vowels.json

# One at a time, low priority; finished builds are taken from build/. FPGA="ulx3s_85f:flagship" names others.
FPGA ?=
bench-fpga: $(STAMP) ## all bitstreams of docs/boards.md in the background (hours), resumable; log in runs/bench-fpga.log
	@mkdir -p runs docs/results/boards
	@nohup nice -n 10 $(BIN)/python -m solsa.boards.batch $(FPGA) --results docs/results/boards > runs/bench-fpga.log 2>&1 & \
	  echo "process $$!, log in runs/bench-fpga.log; make docs-generated when it has ended"

bench-core: $(STAMP) ## clocks, link, simulation and pictures of docs/performance.md (5 minutes); exit 1 if a bound is missed; docs/results/core.json
	@mkdir -p docs/results docs/pictures
	$(BIN)/solsa bench core --json docs/results/core.json --pictures docs/pictures; status=$$?; \
	  $(BIN)/python docs/generate.py && exit $$status

bench-link: $(STAMP) ## samples one by one and sent ahead, by the latency of the host (2 minutes); docs/results/link.json
	@mkdir -p docs/results
	$(BIN)/solsa bench link --json docs/results/link.json
	$(BIN)/python docs/generate.py

bench-power: $(STAMP) ## power of two boards, estimated from their netlists' activity (half an hour); docs/results/power.json
	@mkdir -p docs/results
	$(BIN)/python -m solsa.host.bench_power icebreaker ulx3s_85f:vowels --json docs/results/power.json
	$(BIN)/python docs/generate.py

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy

venv: $(STAMP) ## only make .venv

$(STAMP): pyproject.toml requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; set PYTHON to a Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"make: {sys.executable} is Python {v[0]}.{v[1]}, need 3.11 or newer; set PYTHON")'
	@command -v g++ >/dev/null || { echo "make: g++ not found; the simulated device is compiled with it" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[$(EXTRAS)]'
	@mkdir -p $(YOWASP_CACHE_DIR)
	@touch $@

lock: $(STAMP) ## write requirements.lock from what .venv holds now
	@{ sed -n '/^#/p' requirements.lock; $(BIN)/python -m pip freeze --exclude-editable; } > requirements.lock.new
	@mv requirements.lock.new requirements.lock && touch $(STAMP)

clean: ## results and caches, but not .venv
	rm -rf runs build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis sim_build obj_dir
	find . \( -path ./.venv -o -path ./.git -o -path ./.cache \) -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean ## also .venv and .cache
	rm -rf $(VENV) .cache
