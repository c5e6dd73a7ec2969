# make run: the app. make test: everything that must hold. Both install what they need into .venv, once.
# What is imported is compiled when it first is: all of it, thousands of files of plotly alone, takes pip a minute.
# make trainers: a small sweep of every trainer that docs/trainers.md names, and that table from them.
# make soak: 100,000 damaged files of each kind against the loader, and every view in every look and hundreds of links in
# the browser, of which make test has samples; for more than an hour.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint bench soak trainers
.DELETE_ON_ERROR:

run: .venv/installed
	@$(BIN)/python -m pages.shared.launch

test: .venv/installed-dev chromium lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup  # each test to the process that is free

lint: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/installed-dev chromium
	$(BIN)/python -m benchmarks

soak: .venv/installed-dev chromium
	$(BIN)/python -m pytest -m soak --timeout 7200
	$(BIN)/python -m benchmarks.soak

trainers: .venv/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -r requirements-trainers.txt
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/trainers -n 2
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.trainers

.venv/installed: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -r requirements.txt
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt requirements-extras.txt
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	touch $@

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq chromium; \
	else echo "The browser tests need Chromium: install it (on Debian: sudo apt-get install chromium)." >&2; exit 1; fi
