PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: scan test check bench venv clean

scan: venv
	@$(BIN)/uplift scan

test: venv
	$(BIN)/pytest

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/uplift catalog check

bench: venv
	$(BIN)/python -m bench

venv: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist
