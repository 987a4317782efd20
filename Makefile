PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: scan test check bench docs venv system-packages clean

scan: venv
	@$(BIN)/uplift scan

test: system-packages venv
	$(BIN)/pytest

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/uplift catalog check
	$(BIN)/python -m tools.generate_reference --check

bench: venv
	$(BIN)/python -m bench

docs: venv
	$(BIN)/python -m tools.generate_reference

# Debian and Ubuntu packages by name: installed as root, named otherwise.
system-packages:
	@sh scripts/system-packages

venv: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	@sh scripts/python-venv $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@$(BIN)/python -m compileall -q src  # an editable install is not compiled by pip
	@touch $@

clean:
	rm -rf $(VENV) build dist
