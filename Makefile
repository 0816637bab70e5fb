# Everything runs in .venv, which `uv` fills from uv.lock; where there is no uv, one is put into .uv.
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := $(UV) run --frozen --no-sync

# Tests run in a process for each core, at most four, of up to 3 GB each. `PARALLEL=` is one process.
PARALLEL := -n $(shell getconf _NPROCESSORS_ONLN) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# A step is a process of its own: without byte code on disk each would compile torch anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test test-fast test-fuzz k8s-test cluster-test image-test cluster-tools review-tools lint bench soak closed-loop docs clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: .venv/ready  ## the whole loop on drawn faces, five minutes on two cores; PHOTO=FILE is screened at the end
	$(RUN) lidloop demo $(if $(PHOTO),--photo "$(PHOTO)")

test: .venv/ready cluster-tools  ## all tests; LIDLOOP_300W and LIDLOOP_BASE_WEIGHTS add those on real data
	$(RUN) pytest $(PARALLEL) --durations=10

test-fast: .venv/ready  ## tests without training, servers, browsers and other programs
	$(RUN) pytest $(PARALLEL) -m "not slow and not s3 and not browser and not cluster and not prometheus"

test-fuzz: .venv/ready  ## the properties with new examples for MINUTES=20; stops at the first failure
	$(RUN) python tests/tools/fuzz.py --minutes $(or $(MINUTES),20)

k8s-test: .venv/ready cluster-tools  ## the chart and k8s/; LIDLOOP_CRDS adds to it
	$(RUN) pytest tests/charts tests/k8s tests/manifests

cluster-test: .venv/ready cluster-tools  ## the chart, k8s/ and `lidloop deploy` on the cluster of LIDLOOP_TEST_KUBECONFIG
	$(RUN) pytest -rs -m cluster tests/charts tests/pipelines/cli/deploy

cluster-tools: .venv/ready  ## helm, kubectl and Grafana's types into .tools; without them those tests are skipped
	-@$(RUN) python tests/tools/cluster_tools.py $(UV)
	-@$(RUN) python tests/tools/grafana_types.py

review-tools: .venv/ready  ## Label Studio, labelme and datumaro into .tools; without them those tests are skipped
	$(RUN) python tests/tools/review_tools.py $(UV)

image-test: .venv/ready cluster-tools  ## all images, built and run with podman: as root, 20 minutes, 40 GB of disk
	LIDLOOP_IMAGES=docs/reports/data/images.json $(RUN) pytest -rs tests/images
	$(RUN) python -m benchmarks.pages

build-requirements.txt: pyproject.toml uv.lock | $(UV)  ## what builds the images, with hashes
	$(UV) export --quiet --frozen --only-group images --no-emit-project --output-file $@

lint: .venv/ready  ## ruff and mypy
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

bench: .venv/ready  ## side-by-side measurements; writes docs/reports/BENCHMARKS.md
	$(RUN) python -m benchmarks

soak: .venv/ready  ## ten minutes of overload, then 2,000 broken pictures; a missed target fails
	$(RUN) python -m benchmarks --only soak --strict

closed-loop: .venv/ready  ## traffic shifts, an alert starts a run, its champion serves: ten minutes; needs Prometheus
	$(RUN) python -m benchmarks.closed_loop

docs: .venv/ready  ## figures and tables under docs/ that need no measuring
	$(RUN) python -m benchmarks.pages
	$(RUN) python -m charts.dashboards

clean:  ## remove what these commands made, .venv included
	rm -rf .venv .uv .tools runs .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/ready: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --extra all --group dev
	touch $@

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/python -m pip install --quiet uv
