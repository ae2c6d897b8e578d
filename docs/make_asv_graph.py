"""What asv shows of a project that follows its polar factor with orthoref.testing.asv: a graph over three commits.

Draws docs/_static/asv.svg. Run by hand, with asv, git and matplotlib: python docs/make_asv_graph.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

import orthoref

PAGE = Path(__file__).with_name("how_to_follow_speed.md")
PICTURE = Path(__file__).parent / "_static" / "asv.svg"
START = "import numpy as np\n\n\n"
VERSIONS = {
    "SVD": """def polar(a):
    p, _, vh = np.linalg.svd(a, full_matrices=False)
    return p @ vh
""",
    "12 cubic steps": """def polar(a):
    x = a / (np.linalg.norm(a, axis=(-2, -1), keepdims=True) or 1)
    for _ in range(12):
        x = 1.5 * x - 0.5 * x @ (np.swapaxes(x, -2, -1) @ x)
    return x
""",
    "SVD of R": """def polar(a):
    q, r = np.linalg.qr(a)
    p, _, vh = np.linalg.svd(r, full_matrices=False)
    return q @ (p @ vh)
""",
}


def snippets() -> dict[str, str]:
    """The project that the page shows: files by name."""
    found = {}
    for block in PAGE.read_text(encoding="utf-8").split("```")[1::2]:
        first, _, rest = block.partition("\n")[2].partition("\n")
        name = first.removeprefix("# ").removeprefix("// ").strip()
        if name in ("benchmarks/orthogonal.py", "asv.conf.json"):
            found[name] = rest
    return found


def run(*command: str, cwd: Path) -> str:
    paths = {"ASV_PYTHONPATH": os.pathsep.join((str(cwd), str(Path(orthoref.__file__).parents[1])))}
    done = subprocess.run(command, cwd=cwd, env=os.environ | paths, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def measured(folder: Path, *options: str) -> dict[str, dict[str, list[float]]]:
    """A project of these versions, each a commit: its numbers by version and benchmark, a list over the shapes."""
    asv, git = (sys.executable, "-m", "asv"), ("git", "-c", "user.name=x", "-c", "user.email=x@example.org")
    for name, text in snippets().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "benchmarks" / "__init__.py").touch()
    run("git", "init", "-q", "-b", "main", cwd=folder)
    run(*asv, "machine", "--yes", "--machine", "here", cwd=folder)
    found = {}
    for version, text in VERSIONS.items():
        (folder / "mypackage.py").write_text(START + text, encoding="utf-8")
        run("git", "add", "-A", cwd=folder)
        run(*git, "commit", "-q", "-m", version, cwd=folder)
        commit = run("git", "rev-parse", "HEAD", cwd=folder).strip()
        run(*asv, "run", "--python=same", "--machine", "here", "--set-commit-hash", commit, *options, cwd=folder)
        (results,) = (folder / ".asv" / "results" / "here").glob(f"{commit[:8]}-*.json")
        stored = json.loads(results.read_text(encoding="utf-8"))["results"]
        found[version] = {name.rpartition(".")[2]: numbers[0] for name, numbers in stored.items()}
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder))
    for version, numbers in found.items():
        print(version, numbers)
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "orthoref", "font.size": 10}
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    panels = (("track_products", "time / time of (m, n) @ (n, n)"), ("track_error", "largest ratio / its limit"))
    for axis, (benchmark, label) in zip(axes, panels, strict=True):
        for k, shape in enumerate(("64 x 64", "256 x 64")):
            axis.plot(list(found), [each[benchmark][k] for each in found.values()], "os"[k] + "-", label=shape)
        axis.set(yscale="log", title=label, xlabel="commit")
    axes[1].axhline(1, color="black", linestyle="--", linewidth=1)
    axes[1].annotate("refused above", (0, 1), xytext=(0, 4), textcoords="offset points", fontsize=9)
    axes[0].legend(frameon=False)
    figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
