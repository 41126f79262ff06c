# Everything a newcomer needs: make demo, make test.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DEMO   ?= demo
EXTRAS ?= dev

.PHONY: install demo test check bench docs clean
.DELETE_ON_ERROR:

install: $(VENV)/.installed  ## make the virtual environment from constraints.txt

# torch first and by its exact version: an open range would pull gigabytes of CUDA
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

demo: install  ## train on generated scans, evaluate, predict on raw input, write a report
	$(BIN)/python examples/demo.py --out $(DEMO)

# three processes, for many tests wait for others (tests/conftest.py shares the files out)
test: install  ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: install  ## lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install  ## all benchmarks, each against its peer, into docs/benchmarks/
	$(BIN)/python tools/run_benchmarks.py

docs: install  ## the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:  ## remove the virtual environment and the demo
	rm -rf $(VENV) $(DEMO)
