"""Building, repairing and sharing the virtual environment, without pip and without a network."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from epbell_tb import installation, toolchain

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path):
    """A copy of what set-up looks at."""
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(PROJECT / name, tmp_path / name)
    return installation.Installation(tmp_path)


@pytest.fixture
def steps(monkeypatch):
    """Set-up without pip and venv: the purposes of the steps that would run, in order."""
    taken = []

    def run(self, command, purpose, progress=None):
        taken.append(purpose)
        if purpose == "create the virtual environment":
            self.python.parent.mkdir()
            self.python.touch()
            (self.venv / "pyvenv.cfg").touch()

    monkeypatch.setattr(installation.Installation, "_run", run)
    return taken


WHOLE = ["create the virtual environment", "install the packages", "install the project"]


def test_second_setup_does_nothing(tree, steps):
    assert tree.state() == "missing"
    assert tree.ensure()
    assert steps == WHOLE
    assert tree.state() == "ready"
    assert not tree.ensure()
    assert steps == WHOLE


def test_environment_of_packages_alone(tree, steps):
    (tree.project / "requirements-more.lock").write_text("more==1\n")
    more = installation.Installation(tree.project, venv=tree.venv / "more", lock="requirements-more.lock")
    assert more.ensure_packages()
    assert steps == WHOLE[:2]
    assert more.state() == "ready"
    assert not more.ensure_packages()
    assert steps == WHOLE[:2]
    (tree.project / "requirements-more.lock").write_text("more==2\n")
    assert more.ensure_packages()
    assert steps == WHOLE[:2] * 2


def test_changed_lock_file_rebuilds_everything(tree, steps):
    tree.ensure()
    (tree.venv / "left-over").touch()
    with (tree.project / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    assert tree.state() == "stale"
    assert tree.ensure()
    assert steps == WHOLE * 2
    assert not (tree.venv / "left-over").exists()


def test_changed_project_only_installs_the_project_again(tree, steps):
    tree.ensure()
    pyproject = tree.project / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('version = "', 'version = "9'))
    assert tree.state() == "project changed"
    assert tree.ensure()
    assert steps == [*WHOLE, "install the project"]


def test_changed_linter_settings_change_nothing(tree, steps):
    tree.ensure()
    pyproject = tree.project / "pyproject.toml"
    text = pyproject.read_text()
    assert "line-length = 120" in text
    pyproject.write_text(text.replace("line-length = 120", "line-length = 99"))
    assert tree.state() == "ready"


def test_moved_folder_is_stale(tree, steps, tmp_path_factory):
    tree.ensure()
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "moved"
    shutil.move(tree.project, elsewhere)
    assert installation.Installation(elsewhere).state() == "stale"


def test_environment_of_another_tree_is_not_deleted_through_a_link(tree, steps, tmp_path_factory):
    other = installation.Installation(tmp_path_factory.mktemp("other"), venv=None)
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(PROJECT / name, other.project / name)
    other.ensure()
    (other.venv / "theirs").touch()
    tree.venv.symlink_to(other.venv)
    assert tree.state() == "stale"
    with pytest.raises(installation.ToolError, match=r"is a link to .*remove the link"):
        tree.ensure()
    assert (other.venv / "theirs").exists()
    assert other.state() == "ready"


def test_interrupted_setup_is_seen_and_repaired(tree, steps, monkeypatch):
    finished = installation.Installation._run

    def killed(self, command, purpose, progress=None):
        if purpose == "install the project":
            raise KeyboardInterrupt
        finished(self, command, purpose)

    with monkeypatch.context() as patch:
        patch.setattr(installation.Installation, "_run", killed)
        with pytest.raises(KeyboardInterrupt):
            tree.ensure()
    assert tree.state() == "interrupted"
    assert tree.ensure()
    assert tree.state() == "ready"


def test_complete_foreign_environment_is_left_alone(tree, steps, capsys):
    (tree.venv / "bin").mkdir(parents=True)
    tree.python.touch()
    (tree.venv / "pyvenv.cfg").touch()
    packages = tree.venv / "lib" / "python3.11" / "site-packages"
    for name in tree._lacking():
        (packages / f"{name.replace('-', '_')}-1.0.dist-info").mkdir(parents=True)
    assert len(list(packages.iterdir())) > 8
    assert not tree.ensure()
    assert steps == []
    assert "did not build" in capsys.readouterr().err


def test_foreign_environment_that_lacks_packages_gets_them(tree, steps):
    (tree.venv / "bin").mkdir(parents=True)
    tree.python.touch()
    (tree.venv / "pyvenv.cfg").touch()
    (tree.venv / "mine").touch()
    assert tree.ensure()
    assert steps == WHOLE[1:]
    assert (tree.venv / "mine").exists()


def test_python_without_ensurepip_names_the_package(tree, monkeypatch):
    def find_spec(name):
        return None if name == "ensurepip" else object()

    monkeypatch.setattr(installation.importlib.util, "find_spec", find_spec)
    with pytest.raises(toolchain.ToolError, match="apt-get install python3-venv"):
        tree.ensure()


def test_unreachable_index_is_explained(tree):
    refused = "import sys; print('WARNING: Retrying after connection broken: Connection refused'); sys.exit(1)"
    tree.venv.mkdir()
    with pytest.raises(toolchain.ToolError, match="could not install the packages") as caught:
        tree._run([sys.executable, "-c", refused + "\n"], "install the packages")
    assert "setup.log" in str(caught.value)
    failed = "import sys; print('ERROR: No matching distribution found for x'); sys.exit(1)"
    with pytest.raises(toolchain.ToolError, match="PIP_INDEX_URL"):
        tree._run([sys.executable, "-c", failed], "install the packages")


def test_two_setups_at_once_take_turns(tree):
    """A second process waits for the lock of the first, and then finds the work done."""
    second = "import sys; from pathlib import Path; from epbell_tb.installation import Installation\n"
    second += "print(Installation(Path(sys.argv[1])).ensure())"
    with tree._exclusive():
        process = subprocess.Popen(
            [sys.executable, "-c", second, str(tree.project)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert "waiting" in process.stderr.readline()
        tree.python.parent.mkdir(parents=True)
        tree.python.touch()
        marker = {"state": "ready", "environment": tree._environment_key(), "project": tree._project_key()}
        tree._write_marker(marker)
        assert process.poll() is None
    output, _ = process.communicate(timeout=20)
    assert output.strip() == "False"
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("given", "prefix"),
    [({}, None), ({"PYTHONDONTWRITEBYTECODE": "1"}, "own"), ({"PYTHONDONTWRITEBYTECODE": ""}, None)],
)
def test_many_starts_are_fast_also_without_bytecode_beside_the_sources(tree, monkeypatch, given, prefix):
    entered = {}
    monkeypatch.setattr(installation.os, "environ", {"PATH": "/bin", "ARGS": "x", **given})
    monkeypatch.setattr(installation.os, "execve", lambda _, arguments, env: entered.update(env, arguments=arguments))
    tree.enter(["sim"])
    assert entered["arguments"][1:] == ["-m", "epbell_tb.cli", "sim"]
    assert "PYTHONDONTWRITEBYTECODE" not in entered
    assert "ARGS" not in entered
    assert entered.get("PYTHONPYCACHEPREFIX") == (str(tree.venv / "pycache") if prefix else None)


def test_clean_removes_builds_and_keeps_the_rest(tmp_path):
    (tmp_path / "sim_build" / "x").mkdir(parents=True)
    (tmp_path / "sim_build" / ".gitignore").touch()
    (tmp_path / "build").mkdir()
    (tmp_path / ".venv").mkdir()
    installation._clean(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        ".venv",
        "sim_build",
        "sim_build/.gitignore",
    ]
