#!/usr/bin/env python3
"""What CTest runs: pytest with these arguments, from the environment of scripts/test if this Python lacks it."""

import importlib.util
import os
import pathlib
import sys

VENV_PYTHON = pathlib.Path(__file__).resolve().parents[2] / "build/venv/bin/python"
NEEDED = ("pytest", "grpc", "yaml", "jsonschema")

if missing := [module for module in NEEDED if importlib.util.find_spec(module) is None]:
    if VENV_PYTHON.exists() and pathlib.Path(sys.prefix) != VENV_PYTHON.parents[1]:
        os.execv(VENV_PYTHON, [VENV_PYTHON, *sys.argv])
    sys.exit(f"{sys.executable} lacks {' and '.join(missing)}: run scripts/test, which installs what the tests need")

import pytest  # noqa: E402

if __name__ == "__main__":
    os.chdir(pathlib.Path(__file__).parent)
    sys.exit(pytest.main(sys.argv[1:]))
