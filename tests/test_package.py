"""What is built and shipped."""

from __future__ import annotations

import re
import subprocess
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import orthoref

ROOT = Path(__file__).parent.parent
NOT_SHIPPED = (".ci/", ".gitignore")


@pytest.fixture(scope="module")
def project():
    if not (ROOT / "pyproject.toml").exists() or not (ROOT / "README.md").exists():
        pytest.skip("needs the checkout")
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def tracked():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout:
        pytest.skip("needs the repository")
    return {name for name in done.stdout.splitlines() if (ROOT / name).exists()}


@pytest.mark.exhaustive
def test_the_wheel_has_the_package_and_nothing_else(tracked, tmp_path):
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    (path,) = builder.build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(path).namelist())
    info = {name for name in names if ".dist-info/" in name}
    assert names - info == {name for name in tracked if name.startswith("orthoref/")}
    assert {"py.typed", "oracle/report.html", "oracle/report.schema.json", "oracle/manifest.schema.json"} <= {
        name.removeprefix("orthoref/") for name in names
    }
    kept = {name.partition(".dist-info/")[2] for name in info}
    assert kept == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


@pytest.mark.exhaustive
def test_the_sdist_has_what_is_tracked(tracked, tmp_path):
    builder = pytest.importorskip("hatchling.builders.sdist").SdistBuilder(str(ROOT))
    (path,) = builder.build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {name for name in tracked if not name.startswith(NOT_SHIPPED)}
    assert names - {"PKG-INFO", ".gitignore"} == expected and "CONTRIBUTING.md" in names


def built(folder):
    """The metadata of a wheel."""
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    (path,) = builder.build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(path) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        return message_from_bytes(archive.read(name))


@pytest.mark.exhaustive
def test_no_address_is_made_up(project, tmp_path, monkeypatch):
    monkeypatch.delenv("ORTHOREF_URL", raising=False)
    found = built(tmp_path)
    assert found.get_all("Project-URL") is None and found.get("Home-page") is None
    assert found.get_payload() == (ROOT / "README.md").read_text()


@pytest.mark.exhaustive
def test_an_address_that_is_given_is_where_links_lead(project, tmp_path, monkeypatch):
    url = "https://forge.invalid/us/orthoref"
    monkeypatch.setenv("ORTHOREF_URL", f"{url}/")
    found = built(tmp_path)
    assert f"Source, {url}" in found.get_all("Project-URL") and len(found.get_all("Project-URL")) == 3
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)]*)\)", found.get_payload())
    assert len(links) > 8 and all(link.startswith("https://") for _, link in links)
    assert ("!", f"{url}/raw/HEAD/docs/_static/report.png") in links and ("", f"{url}/blob/HEAD/docs/ci.md") in links
    places = [link.partition("/HEAD/")[2].partition("#")[0] for _, link in links if link.startswith(url)]
    assert all((ROOT / place).exists() for place in places)
    monkeypatch.setenv("ORTHOREF_URL", "forge.invalid")
    with pytest.raises(ValueError, match="is no https:// address"):
        built(tmp_path)


def test_the_versions_agree(project):
    version = orthoref.__version__
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{version}] - " in (ROOT / "CHANGELOG.md").read_text()
    minor = {line.rpartition(" ")[2] for line in project["classifiers"] if line.startswith("Programming Language")}
    assert {"3.11", "3.12", "3.13"} <= minor and project["requires-python"] == ">=3.11"


@pytest.mark.parametrize(("extra", "folder", "modules"), [("testing", "testing", {"pytest", "hypothesis"})])
def test_an_extra_requires_what_its_folder_imports(extra, folder, modules, project):
    required = {line.partition(">")[0] for line in project["optional-dependencies"][extra]}
    text = "".join(path.read_text() for path in (Path(orthoref.__file__).parent / folder).glob("*.py"))
    imported = {name for name in modules if f"import {name}" in text or f"from {name} import" in text}
    assert required == imported == modules
