"""What a person types and what a package index needs, kept in step."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from address import with_badges

ROOT = Path(__file__).parent.parent
CONDA_NAMES = {"torch": "pytorch"}  # the index's name: conda-forge's


def requirements():
    """{name: bounds} of what pyproject.toml asks for at run time and for tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = project["dependencies"] + project["optional-dependencies"]["test"]
    return dict(re.fullmatch(r"([\w-]+)(.*)", line).groups() for line in listed) | {
        "python": project["requires-python"]
    }


def test_environment_yml_agrees_with_pyproject():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    by_pip = next(line["pip"] for line in listed if isinstance(line, dict))
    assert by_pip.pop() == "--editable ."
    listed = [line for line in listed if isinstance(line, str)] + by_pip
    conda = dict(re.fullmatch(r"([\w-]+)(.*)", line).groups() for line in listed)
    assert conda.pop("pip") == ""
    assert conda == {CONDA_NAMES.get(name, name): bounds for name, bounds in requirements().items()}


def test_environment_yml_says_why_each_dependency_is_there():
    lines = re.findall(
        r"^  - (?!python|pip:|conda-forge)(.*)$", (ROOT / "environment.yml").read_text(encoding="utf-8"), flags=re.M
    )
    assert all(" # " in line for line in lines), lines


def test_data_and_its_licence_are_in_the_package():
    names = {path.name for path in (files("hw2") / "assets").iterdir()}
    assert {
        f"{split}-{kind}-ubyte.gz" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
    } <= names
    assert "LICENSE-MNIST.md" in names


def test_what_is_not_python_is_in_the_package_too():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["hw2"]
    packaged = {path for pattern in patterns for path in (ROOT / "hw2").glob(pattern)}
    other = {p for p in (ROOT / "hw2").rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    assert other <= packaged, f"package-data in pyproject.toml leaves out {other - packaged}"


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
def test_make_help_lists_every_target():
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M)[1].split()
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in listed.splitlines()} == set(phony)


def test_ci_runs_the_readmes_test_command():
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert ".ci/run" in (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^make lab\b", readme, flags=re.M)
    assert re.search(r"^make test\b", readme, flags=re.M)


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
@pytest.mark.parametrize("ci", [{}, {"CI": "true"}])
def test_make_lab_installs_nothing_that_only_tests_need(ci):
    said = [
        subprocess.run(["make", "-n", "-B", *words], cwd=ROOT, capture_output=True, text=True, env=os.environ | ci)
        for words in (["lab"], ["lab", "TORCH=cpu"], ["test"])
    ]
    lab, cpu, test = (done.stdout for done in said)
    assert "GB" in lab  # said before the download
    assert "[test" not in lab
    assert "[test,teacher]" in test
    assert "torch torchvision --index-url https://download.pytorch.org/whl/cpu" in cpu
    assert "index-url" not in lab


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(with_badges(text, None).encode()) < 7000  # which are as long as the repository's address


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")], ids=lambda p: p.name
)
def test_links_inside_the_repository_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    targets = [t for t in re.findall(r"\]\(([^)\s]+)\)", text) if not t.startswith(("http", "#"))]
    assert [t for t in targets if not (page.parent / t.partition("#")[0]).exists()] == []
    places = [(page.parent / path, place) for path, _, place in (t.partition("#") for t in targets) if place]
    assert [place for path, place in places if place not in headings(path)] == []


def headings(page):
    """How the repository's page names the headings of a Markdown file."""
    text = page.read_text(encoding="utf-8").lower()
    return [re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, flags=re.M)]


@pytest.mark.slow
def test_make_lab_answers_this_machine_only_and_only_with_a_token(tmp_path):
    """Jupyter's own defaults, which nothing in the Makefile may loosen."""
    psutil = pytest.importorskip("psutil")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^\t\$\(BIN\)/jupyter (lab .*)$", makefile, flags=re.M)
    options = (re.search(r"^LAB_OPTIONS \?= .*,(--allow-root)\)$", makefile, flags=re.M) or [None, ""])[1]
    command = [sys.executable, "-m", "jupyter", *recipe.replace("$(LAB_OPTIONS)", options).split()]
    own = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "RUNTIME", "DATA")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--no-browser", f"--port={port}"], cwd=ROOT, env=os.environ | own, stdout=log, stderr=log
        )
    try:
        end, log = time.monotonic() + 90, tmp_path / "log"
        while not (found := re.search(rf"http://127\.0\.0\.1:{port}/lab\S*token=(\w+)", log.read_text())):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        listening = [c.laddr.ip for c in psutil.Process(server.pid).net_connections("inet") if c.laddr.port == port]
        assert listening
        assert set(listening) <= {"127.0.0.1", "::1"}
        assert len(found[1]) >= 32
        contents = f"http://127.0.0.1:{port}/api/contents"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(contents, timeout=30)
        assert refused.value.code == 403
        with urllib.request.urlopen(f"{contents}?token={found[1]}", timeout=30) as answer:
            assert answer.status == 200
    finally:
        server.terminate()
        server.wait(30)


def test_nothing_names_a_package_index_or_this_machine():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    for name in tracked:
        if name.endswith((".gz", ".png", ".gif", ".safetensors")) or name == "tests/test_packaging.py":
            continue
        text = (ROOT / name).read_text(encoding="utf-8")
        text = text.replace("--index-url https://download.pytorch.org/whl/cpu", "")  # PyTorch's documented command
        assert not re.search(r"files\.pythonhosted|pypi\.org|index-url|/root/|/work/", text), name
