"""What ``import orthoref`` costs beside ``import numpy``."""

from __future__ import annotations

import subprocess
import sys

from .common import QUICK, paired_wall_ratio

PAIRS = 1 if QUICK else 21


class Import:
    """Wall time of a fresh interpreter, its own start included, in units of one that imports NumPy."""

    params = (["import orthoref", "import orthoref; orthoref.polar"],)
    param_names = ("statement",)

    def track_ratio_to_numpy(self, statement: str) -> float:
        return paired_wall_ratio(lambda: run(statement), lambda: run("import numpy"), PAIRS)

    track_ratio_to_numpy.unit = "time of python -c 'import numpy'"
    track_ratio_to_numpy.limit = 1.5


def run(statement: str) -> None:
    subprocess.run([sys.executable, "-c", statement], check=True)
