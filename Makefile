# Two commands do everything on a fresh clone: `make demo` and `make test`. Python >= 3.11 and make are all
# they need; packages go into .venv, nothing outside this folder is touched.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= study-out

.PHONY: demo test test-all lint mutants bench docs clean

demo: .venv/ready
	$(BIN)/pondera study --out $(OUT)

test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto
	$(BIN)/python -m tests.mutants --first

test-all: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m ""
	$(BIN)/python -m tests.mutants --all

lint: .venv/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

bench: .venv/ready
	$(BIN)/python -m benchmarks

docs: .venv/ready
	$(BIN)/python -m tools.render

clean:
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis

# torch first and alone: a package that pulls it would take a build with gigabytes of CUDA
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Pondera needs Python 3.11 or newer')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[torch,jax,study,test]'
	touch $@

.venv/lint: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lint]'
	touch $@
