# Two commands do everything: `make demo` and `make test`. The environment lives in .venv.
.PHONY: setup demo test check soak bench clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[embedded,console,dev]'
	@touch $(STAMP)

setup: $(STAMP)

demo: $(STAMP)
	@$(BIN)/tapewatch demo $(ARGS)

test: $(STAMP)
	@$(BIN)/python -m pytest $(ARGS)

check: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/tapewatch contract --check

soak: $(STAMP)
	@$(BIN)/python -m benchmarks.soak $(ARGS)

bench: $(STAMP)
	@$(BIN)/tapewatch bench $(or $(ARGS),engine)

clean:
	rm -rf $(VENV) build dist *.egg-info
