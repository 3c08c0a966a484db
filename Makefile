# Each target makes .venv by itself, once, from the hashed lock. Needs git, make and Python 3.11 or later.

VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready
SOURCES := alerts daemon tests benchmarks docs

# The pure core: what decides and reckons, without a clock, a disk or a network. Its tests cover every line and branch.
PURE := alerts/*,daemon/schedule.py,daemon/config/cron.py,daemon/config/durations.py,daemon/store/topup_rows.py
PURE := $(PURE),daemon/stripe/answers.py,daemon/stripe/declines.py,daemon/stripe/objects.py
PURE := $(PURE),daemon/stripe/intents.py,daemon/stripe/requests.py,daemon/topups/policy/*
PURE := $(PURE),daemon/resources/ceiling.py,daemon/resources/model.py
IMPURE := alerts/channels/*,alerts/delivery/deliverer.py,alerts/delivery/worker.py
COVERED := 91

SEEDS ?= 2000
DAYS ?= 30
N ?= 300
ACCOUNTS ?= 10000
DRAW ?= 0
MINUTES ?= 0
JOBS ?= 2

.PHONY: systemd-test dist help demo test test-postgresql lint lint-mail mail-pictures bench look run install lock clean sim sim-fleet mutants mutate crash fleet generate

help:
	@echo "make demo    watch the whole job for half a minute: nothing to set up"
	@echo "make test    everything that CI runs: lint, types, tests with coverage"
	@echo "make test-postgresql every test of the store, over PostgreSQL instead of SQLite"
	@echo "make lint    ruff and mypy"
	@echo "make lint-mail the mails: valid HTML, of what mail programs show; FILES names others"
	@echo "make mail-pictures pictures of the mails by Chromium, in docs/mails; FILES names others"
	@echo "make bench   what the process costs, beside Prometheus where it is installed; forecasts; deliveries (short forms)"
	@echo "make look    the page in Chromium (Debian's chromium, npm): axe, widths, pictures in LOOKED"
	@echo "make run     the daemon, with ./config.toml"
	@echo "make sim     the daemon in a simulated world of faults: SEEDS=2000 DAYS=30 JOBS=2"
	@echo "make sim-fleet several daemons on one PostgreSQL, in that world: SEEDS=100 JOBS=2"
	@echo "make mutants every planted bug, caught by the simulator"
	@echo "make mutate  the pure core changed in one place at a time: what no test notices; N=200 draws so many"
	@echo "make crash   real processes, killed at random instants: N=300"
	@echo "make fleet   three daemons on one PostgreSQL, killed, paused and cut off: ACCOUNTS=10000 N=300"
	@echo "make generate the examples, schemas and pages of the events, from their catalogue"
	@echo "make dist    dist/ with the wheel and its lock, as docs/install.md takes it to a machine"
	@echo "make systemd-test docs/install.md in a booted Debian: root, debootstrap and systemd-container are needed"
	@echo "make install the wheel and its locked packages into an environment of their own: PREFIX=/opt/brimful"
	@echo "make lock    write requirements.lock anew"

demo: $(READY)
	@$(VENV)/bin/brimful demo

run: $(READY)
	@$(VENV)/bin/brimful run

lint: $(READY)
	@echo "ruff"
	@$(PYTHON) -m ruff check --quiet $(SOURCES)
	@$(PYTHON) -m ruff format --quiet --check $(SOURCES)
	@echo "mypy"
	@$(PYTHON) -m mypy

# The mails as HTML: valid, and made of what mail programs show. FILES names rendered ones; else it is every sample.
lint-mail: $(READY)
	@$(PYTHON) -m tests.mails lint $(FILES)

# The pictures in docs/mails, by a headless Chromium; of FILES, or of the samples.
mail-pictures: $(READY)
	@$(PYTHON) -m tests.mails pictures docs/mails $(FILES)

test: lint lint-mail
	@echo "pytest"
	@$(PYTHON) -m pytest -n $(JOBS) --dist loadfile --cov --cov-report=
	@echo "coverage: $(COVERED) % of everything, 100 % of the pure core"
	@$(PYTHON) -m coverage report --fail-under=$(COVERED)
	@$(PYTHON) -m coverage report --include='$(PURE)' --omit='$(IMPURE)' --fail-under=100
	@echo "simulator"
	@$(PYTHON) -m tests.sim --seeds 150 --days 10 --jobs $(JOBS)
	@echo "planted bugs, a sample"
	@$(PYTHON) -m tests.mutants mark-before-send error-read-as-zero charge-not-told slot-freed-on-unknown --jobs $(JOBS)

# All that touches the store, over a PostgreSQL that the tests start themselves (Debian: apt-get install postgresql).
# `make test` runs it too, but for what is marked `long`; where there is no PostgreSQL it skips that half and says so.
test-postgresql: $(READY)
	@$(PYTHON) -m pytest --postgresql -p no:cacheprovider

bench: $(READY)
	@missed=; for one in "idle --seconds 20" "many --minutes 1" "month --minutes 1.5" peer \
			"history --millions 1" "disk --days 60" "day --accounts 500 --hours 4" forecast spikes backtest delivery taking; do \
		$(PYTHON) -m benchmarks.$$one || missed="$$missed $${one%% *}"; \
	done; [ -z "$$missed" ] || { echo "missed:$$missed" >&2; exit 1; }

# The page of thirty accounts with DAYS of history, at 360 and 1200 px, light and dark. Needs chromium, node and npm.
LOOKED ?= /tmp/brimful-look
look: $(READY)
	@mkdir -p $(LOOKED)/modules
	@cd $(LOOKED)/modules && npm install --silent --no-audit --no-fund axe-core@4 playwright-core@1
	@$(PYTHON) -m benchmarks.page --days $(DAYS) --folder $(LOOKED)/history --run \
		"node tests/web/look.mjs $(LOOKED)/modules {page} $(LOOKED) / /accounts/p01 /accounts/p01?days=365 /accounts/s02 /accounts/gone"

sim: $(READY)
	@$(PYTHON) -m tests.sim --seeds $(SEEDS) --days $(DAYS) --jobs $(JOBS)

# The same with two or three daemons on one PostgreSQL, which is started here. A seed takes some 12 s of CPU.
sim-fleet: $(READY)
	@$(PYTHON) -m tests.sim.fleet --seeds $(if $(filter file,$(origin SEEDS)),100,$(SEEDS)) --jobs $(JOBS)

mutants: $(READY)
	@$(PYTHON) -m tests.mutants --jobs $(JOBS)

# All of it, or so many as a given N says, drawn by DRAW. MINUTES ends it early; FILES names some of it.
mutate: $(READY)
	@$(PYTHON) -m tests.mutate --sample $(if $(filter file,$(origin N)),0,$(N)) --draw $(DRAW) --minutes $(MINUTES) $(FILES)

crash: $(READY)
	@$(PYTHON) -m tests.sim.crash --kills $(N)

# Three daemons on one PostgreSQL: ACCOUNTS accounts each minute, then N kills while they charge. Some 25 minutes.
fleet: $(READY)
	@$(PYTHON) -m tests.fleet --accounts $(ACCOUNTS)
	@$(PYTHON) -m tests.fleet.charging --kills $(N) --restarts

# The examples are recorded from the service itself; all else is made from the catalogue in alerts/events.
generate: $(READY)
	@$(PYTHON) -m tests.events.record >/dev/null
	@$(PYTHON) -m docs.generate

# An environment is what the lock says: made from nothing, by hash, without a resolver that could prefer another version.
PIP_INSTALL := -m pip install -qq --disable-pip-version-check --no-deps
$(READY): requirements.lock pyproject.toml
	@set -e; \
	found=; \
	for candidate in python3.11 python3 python3.12 python3.13 python3.14 python; do \
		if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			found=$$candidate; break; \
		fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Python 3.11 or later with its venv module is needed (Debian: apt-get install python3-venv)" >&2; exit 1; \
	fi; \
	echo "making $(VENV) and installing the locked packages into it"; \
	"$$found" -m venv --clear $(VENV); \
	$(PYTHON) $(PIP_INSTALL) --require-hashes -r requirements.lock; \
	$(PYTHON) $(PIP_INSTALL) --no-build-isolation --editable .; \
	$(PYTHON) -m pip check --disable-pip-version-check >$(VENV)/pip-check || { cat $(VENV)/pip-check >&2; exit 1; }; \
	touch $(READY)

# What docs/install.md takes to a machine.
dist: $(READY)
	@rm -rf dist
	@$(PYTHON) -m hatchling build -t wheel -t sdist >/dev/null 2>&1
	@cp packaging/requirements.lock packaging/brimful@.service dist/
	@ls dist

# Not part of `make test`: it needs root, Debian's debootstrap and systemd-container, and some minutes.
systemd-test: $(READY)
	@$(PYTHON) -m tests.systemd

# What runs in production: the wheel, and the locked packages without those that only the developers need.
PREFIX ?= /opt/brimful
install: $(READY)
	@set -e; \
	rm -rf dist; \
	$(PYTHON) -m hatchling build -t wheel >/dev/null 2>&1; \
	if ! $(PREFIX)/bin/python -c '' 2>/dev/null; then \
		"$$($(PYTHON) -c 'import sys; print(sys._base_executable)')" -m venv $(PREFIX); \
	fi; \
	$(PREFIX)/bin/python $(PIP_INSTALL) --require-hashes -r packaging/requirements.lock; \
	$(PREFIX)/bin/python $(PIP_INSTALL) --force-reinstall dist/brimful-*.whl; \
	$(PREFIX)/bin/python -m pip check --disable-pip-version-check; \
	echo "$(PREFIX)/bin/brimful is installed"

# Write the locks from pyproject.toml, the production one with the same versions.
# LOCKER may name another pip-compile (pip install pip-tools).
LOCKER ?= pip-compile
COMPILE := $(LOCKER) --quiet --generate-hashes --allow-unsafe --no-strip-extras --no-header --annotation-style line \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --extra chat --extra postgresql
lock:
	@$(COMPILE) --upgrade --extra dev --output-file requirements.lock pyproject.toml
	@cp requirements.lock packaging/requirements.lock
	@$(COMPILE) --output-file packaging/requirements.lock pyproject.toml
	@! grep -nE '://|^ *--(index|extra|find)' requirements.lock packaging/requirements.lock

clean:
	@rm -rf $(VENV) .mutate .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov dist build
