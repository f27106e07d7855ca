# make demo    compile a trained network, measure what it loses, run it on Lava
# make test    run the tests
# make lint    check style, types and layering
# make bench   measure the example networks in full, and the speed
# make bench-speed     measure the simulator against SpikingJelly, snnTorch, Sinabs and Norse
# make bench-lava      measure Lava with our processes against stock ones
# make bench-methods   measure methods of conversion, ours and those of SpikingJelly and Sinabs
# make bench-codecs    measure how long encoding takes

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu

.PHONY: demo test lint bench bench-speed bench-lava bench-methods bench-codecs clean

demo: $(VENV)/installed
	$(BIN)/neurocompile models/fashion-cnn.onnx --target lava

test: $(VENV)/installed-dev
	$(BIN)/pytest -n auto --dist loadfile --cov --cov-fail-under=95

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed-dev
	$(BIN)/python benchmarks/conversion.py

bench-speed: $(VENV)/installed-bench
	$(BIN)/python benchmarks/simulator.py

bench-lava: $(VENV)/installed-bench
	$(BIN)/python benchmarks/lava_speed.py

bench-methods: $(VENV)/installed-bench
	$(BIN)/python benchmarks/methods.py

bench-codecs: $(VENV)/installed-dev
	$(BIN)/python benchmarks/codecs.py

clean:
	rm -rf $(VENV)

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --editable .
	touch $@

# The tests need PyTorch. Where pip would bring gigabytes of CUDA along, its CPU build comes from PyTorch's own index.
$(VENV)/installed-dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --upgrade "pip>=23.2"
	@plan=$$($(BIN)/pip install --dry-run "$(TORCH)") || exit 1; \
	case "$$plan" in \
		*nvidia*) $(BIN)/pip install --index-url $(TORCH_CPU_INDEX) "$(TORCH)" ;; \
		*) $(BIN)/pip install "$(TORCH)" ;; \
	esac
	$(BIN)/pip install --editable ".[torch,dev]"
	touch $@

$(VENV)/installed-bench: $(VENV)/installed-dev
	$(BIN)/pip install --editable ".[bench]"
	touch $@
