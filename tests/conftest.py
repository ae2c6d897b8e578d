import os
import sys
from pathlib import Path

os.environ.setdefault("JAX_ENABLE_X64", "1")  # before the first import of JAX: float64 is off there by default
os.environ.setdefault("JAX_PLATFORMS", "cpu")

HERE = str(Path(__file__).parent)  # the helpers beside this file (backends, exact), wherever the folder was copied to
if HERE not in sys.path:
    sys.path.insert(0, HERE)

import pytest  # noqa: E402
from backends import BACKENDS  # noqa: E402


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request):
    request.param.require()
    return request.param
