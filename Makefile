# Everything runs in .venv, which `make setup` builds together with the Debian packages that the tests need.
#   make test    set up if needed, lint, and run every test
#   make demo    a pair of directors fails over in front of your eyes

bin := .venv/bin
ready := .venv/ready

.PHONY: test setup lint fmt demo

# Real clocks, kernels and peers can lose against a machine that is busy with something else: what failed is run
# once more, by itself, and must pass then. Both runs are printed. Only tests that failed (status 1) have that second
# run: a session that broke off has not run the others, and fails.
test: lint
	$(bin)/python -m pytest || { [ $$? -eq 1 ] && $(bin)/python -m pytest --last-failed --last-failed-no-failures=none; }

setup: $(ready)

$(ready): pyproject.toml constraints.txt tests/lab/setup
	tests/lab/setup

lint: $(ready)
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/lint-imports

fmt: $(ready)
	$(bin)/ruff check --fix
	$(bin)/ruff format

demo: $(ready)
	$(bin)/python -m tests.lab.inside tests.lab.demo
