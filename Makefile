# make demo       the main job, before emulated vendors        PORT ADMIN_PORT SANDBOX_PORT
# make test       everything that PyPI alone can carry, in minutes
# make test-all   also what needs Chromium, Node, Helm, nginx, or long faults
# make bench      speed, beside nginx on the same core
# make lint       ruff and mypy
# Each makes its own environment first, in .venv; PYTHON names another interpreter (3.11 or newer).

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
VENV   := .venv
BIN    := $(VENV)/bin
PORT         ?= 8080
ADMIN_PORT   ?= 9090
SANDBOX_PORT ?= 9100
# A file's tests share a process; the files come in the order of tests/more.py, the longest first.
SPREAD := -n auto --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --no-input

# Containers often set it; every process of the demo, and of the hundreds that tests start, would compile all anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all bench lint format clean

demo: $(VENV)/.demo
	@exec $(BIN)/gateway demo --port $(PORT) --admin-port $(ADMIN_PORT) --sandbox-port $(SANDBOX_PORT)

test: $(VENV)/.test
	$(BIN)/pytest $(SPREAD)

test-all: $(VENV)/.more
	tests/tools.sh
	$(BIN)/pytest $(SPREAD) --more

bench: $(VENV)/.test
	$(BIN)/python -m tests.benchmarks
	$(BIN)/python -m tests.benchmarks.capacity

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Environments grow: what runs, what tests, what tests more, what lints. Each is made anew when pyproject.toml changes.
$(VENV)/.pip:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with PYTHON=…" >&2; exit 1; }
	@echo "making the environment in $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.demo: pyproject.toml | $(VENV)/.pip
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/.pip
	@$(PIP) install --editable . --group test
	@touch $@ $(VENV)/.demo

$(VENV)/.more: pyproject.toml | $(VENV)/.pip
	@$(PIP) install --editable . --group test --group more
	@touch $@ $(VENV)/.test $(VENV)/.demo

$(VENV)/.lint: pyproject.toml | $(VENV)/.pip
	@$(PIP) install --editable . --group test --group lint
	@touch $@ $(VENV)/.test $(VENV)/.demo
