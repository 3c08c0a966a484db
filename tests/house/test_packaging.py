"""What is shipped: a lock without an address, a unit that systemd accepts, and a wheel that works anywhere."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from daemon.cli import COMMANDS
from daemon.commands.common import UNIT_DATABASE
from daemon.commands.install_unit import _install, sample
from daemon.config.load import inspect
from daemon.config.secret import IN_A_SHELL
from tests.newer_wheels import make_newer, make_wheel

ROOT = Path(__file__).parents[2]


LOCK, RUNTIME_LOCK = ROOT / "requirements.lock", ROOT / "packaging" / "requirements.lock"
PIN = re.compile(r"^([a-z0-9-]+)(?:\[([a-z0-9,-]+)\])?==(\S+)", re.M)


def pins(lock: Path) -> dict[str, tuple[frozenset[str], str]]:
    """Return the extras and the version of each locked package."""
    return {
        name: (frozenset(extras.split(",")) - {""}, version)
        for name, extras, version in PIN.findall(lock.read_text(encoding="utf-8"))
    }


@pytest.mark.parametrize("lock", [LOCK, RUNTIME_LOCK], ids=["all", "runtime"])
def test_lock_holds_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert not re.search(
        r"://|^\s*--(index-url|extra-index-url|find-links|trusted-host)|/home/|/root/|/opt/", text, re.M
    )
    packages = PIN.findall(text)
    assert len(packages) == len(pins(lock)) > 50
    for block in re.split(r"\n(?=[a-z])", text):
        assert block.startswith("#") or "--hash=sha256:" in block, block[:80]


@pytest.mark.parametrize(
    ("lock", "extras"),
    [(LOCK, ("chat", "postgresql", "dev")), (RUNTIME_LOCK, ("chat", "postgresql"))],
    ids=["all", "runtime"],
)
def test_lock_is_whole_without_a_resolver(lock: Path, extras: tuple[str, ...]) -> None:
    """Each requirement of each locked package is locked too, with its extras: pip has to install, not to look."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = pins(lock)
    wanted = [(line, "brimful") for line in project["dependencies"]]
    wanted += [(line, "brimful") for extra in extras for line in project["optional-dependencies"][extra]]
    for name, (asked, version) in locked.items():
        for line in metadata.requires(name) or ():
            wanted += [(line, name)] if Requirement(line).marker is None else []
            wanted += [
                (line, name)
                for extra in (*asked, "")
                if (marker := Requirement(line).marker) is not None and marker.evaluate({"extra": extra})
            ]
        assert metadata.version(name) == version, f"{name} is not the locked one"
    for line, by in wanted:
        need = Requirement(line)
        have, version = locked[canonicalize_name(need.name)]
        assert need.extras <= have, f"{by} wants {need}"
        assert version in need.specifier, f"{by} wants {need}"


def test_runtime_lock_is_the_lock_without_the_tools() -> None:
    everything, runtime = pins(LOCK), pins(RUNTIME_LOCK)
    assert {name: everything[name] for name in runtime} == runtime
    assert not {"pytest", "mypy", "ruff", "hatchling", "coverage"} & set(runtime)


def test_every_package_that_is_imported_is_declared() -> None:
    """A package that another one brings today may be gone tomorrow, and one that only a machine has was never there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    declared |= {
        canonicalize_name(Requirement(line).name)
        for extra in ("chat", "postgresql")
        for line in project["optional-dependencies"][extra]
    }
    own = {"alerts", "daemon", "pydantic_core"}  # pydantic pins its core, and documents it as its own
    distributions = metadata.packages_distributions()
    for path in [*ROOT.glob("alerts/**/*.py"), *ROOT.glob("daemon/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for top in {name.partition(".")[0] for name in names} - own - sys.stdlib_module_names:
                brings = {canonicalize_name(name) for name in distributions.get(top, [top])}
                assert brings & declared, f"{path.relative_to(ROOT)} imports {top}, which pyproject.toml does not name"


def test_every_requirement_has_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for line in [*project["dependencies"], *(x for lines in project["optional-dependencies"].values() for x in lines)]:
        assert "<" in line or line.startswith(("tzdata", "certifi")), f"{line} has no upper bound"


def test_installing_from_a_lock_takes_no_newer_release(tmp_path: Path) -> None:
    """As the Makefile does it, from a folder of wheels that holds what is locked and a newer release of each.

    `upper` asks for `lower[more]`: a resolver would take the newest one, of which the lock has no hash.
    """
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    pinned = {
        "upper": make_wheel(wheels, "upper", "1.0", "Requires-Dist: lower[more]>=1.0"),
        "lower[more]": make_wheel(wheels, "lower", "1.0", "Provides-Extra: more"),
    }
    make_wheel(wheels, "upper", "2.0")
    make_wheel(wheels, "lower", "2.0", "Provides-Extra: more")
    lock = tmp_path / "requirements.lock"
    lock.write_text("".join(f"{name}==1.0 --hash=sha256:{digest}\n" for name, digest in pinned.items()))
    (line,) = re.findall(r"^PIP_INSTALL := -m (pip install .*)$", (ROOT / "Makefile").read_text(), re.M)
    assert "--no-deps" in line
    where = tmp_path / "site"
    command = [*line.split(), "--no-index", "--find-links", str(wheels), "--target", str(where), "--require-hashes"]
    done = subprocess.run([sys.executable, "-m", *command, "-r", str(lock)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in where.glob("*.dist-info")} == {"upper-1.0.dist-info", "lower-1.0.dist-info"}


def test_ci_installs_with_newer_releases_of_everything_in_view(tmp_path: Path) -> None:
    assert set(make_newer(tmp_path / "wheels")) == set(pins(LOCK))
    assert len(list((tmp_path / "wheels").glob("*-9999-*.whl"))) == len(pins(LOCK))
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "tests/newer_wheels.py" in script
    assert "export PIP_FIND_LINKS=" in script


def test_no_path_of_a_machine_is_committed() -> None:
    done = subprocess.run(
        ["git", "grep", "-nIF", "-e", f"{ROOT}/", "-e", f"{Path.home()}/."], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == ""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
def test_unit_is_understood_whole_by_systemd(tmp_path: Path) -> None:
    """An unknown key is only a line on stderr, so any line there is a failure."""
    unit = tmp_path / "brimful.service"
    text = (ROOT / "packaging" / "brimful.service").read_text()
    text = text.replace("Documentation=man:brimful(1)\n", "")  # the page is not installed here
    unit.write_text(re.sub(r"^(Exec\w+=)/opt/\S+", r"\1/bin/true", text, flags=re.M))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
def test_unit_is_exposed_as_little_as_can_be() -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(ROOT / "packaging/brimful.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    found = re.search(r"brimful\.service: ([\d.]+) ", done.stdout)
    assert found is not None, done
    assert float(found[1]) <= 1.5


def test_unit_is_sandboxed_watched_and_stops_in_time() -> None:
    text = (ROOT / "packaging" / "brimful.service").read_text()
    for line in (
        "Type=notify", "User=brimful", "StateDirectory=brimful", "ProtectSystem=strict", "NoNewPrivileges=yes",
        "Restart=on-failure", "StartLimitIntervalSec=0", "#OnFailure=brimful-failed.service",
        "TimeoutStopSec=15", "RestartPreventExitStatus=2", "CapabilityBoundingSet=",
    ):  # fmt: skip
        assert f"\n{line}\n" in text
    assert re.search(r"^WatchdogSec=\d+$", text, re.M)
    assert re.search(r"^LoadCredential=STRIPE_API_KEY:", text, re.M)


def test_what_install_unit_writes_is_the_unit_and_a_sample_that_every_shell_reads_alike(tmp_path: Path) -> None:
    """A command that is typed knows no folder of the unit's state, so the sample names the database whole."""
    for line in _install(tmp_path, here=False):
        assert str(tmp_path) in line
    unit = (tmp_path / "etc/systemd/system/brimful.service").read_text()
    assert f"ExecStart={sys.prefix}/bin/brimful --config /etc/brimful/config.toml run\n" in unit
    assert (tmp_path / "etc/brimful/secrets").stat().st_mode & 0o777 == 0o700
    config = tmp_path / "etc/brimful/config.toml"
    assert '"env:' not in config.read_text()
    for environ in ({}, {"STATE_DIRECTORY": "/var/lib/elsewhere", "INVOCATION_ID": "1"}):
        found = inspect(config, secrets=False, environ=environ)
        assert found.config is not None
        assert str(found.config.store.path) == UNIT_DATABASE == "/var/lib/brimful/brimful.db"
        assert "systemd's unit alone" not in str(found.problems)
    config.write_text("mine = 1\n")
    assert f"left {config} as it is" in list(_install(tmp_path, here=False))
    assert config.read_text() == "mine = 1\n"


def test_every_credential_of_the_sample_is_one_of_the_unit_and_found_by_a_shell() -> None:
    unit = (ROOT / "packaging" / "brimful.service").read_text()
    sources = re.findall(r"^LoadCredential=(\w+):(.+)/(\w+)$", unit, re.M)
    assert {(name, folder) for name, folder, _ in sources} == {
        (file, IN_A_SHELL.partition("=")[2]) for _, _, file in sources
    }
    live = re.sub(r"^\s*#.*$", "", sample(), flags=re.M)
    assert set(re.findall(r'^[^#]*"credential:(\w+)"', live, re.M)) <= {name for name, _, _ in sources}
    assert f"export {IN_A_SHELL}\n" in (ROOT / "docs" / "install.md").read_text()
    assert IN_A_SHELL in (ROOT / "docs" / "commands.md").read_text()


def test_install_page_names_what_there_is() -> None:
    """The container types the page, which takes minutes: here its commands are only known to exist."""
    page = (ROOT / "docs" / "install.md").read_text()
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S))
    assert set(re.findall(r"^brimful ([\w-]+)", blocks, re.M)) <= set(COMMANDS)
    assert re.search(r"^dist: ", (ROOT / "Makefile").read_text(), re.M)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_templates_schemas_and_types_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    templates = {
        f"alerts/_templates/{p.relative_to(ROOT / 'templates')}" for p in (ROOT / "templates").rglob("*") if p.is_file()
    }
    schemas = {str(p.relative_to(ROOT)) for p in (ROOT / "alerts" / "schemas").glob("*.json")}
    assert templates
    assert schemas
    presets = {str(p.relative_to(ROOT)) for p in (ROOT / "daemon" / "sources" / "presets").iterdir()}
    assert len(presets) >= 36
    assert templates | schemas | presets | {"alerts/py.typed", "daemon/py.typed"} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"alerts", "daemon", "brimful"}
    assert not [name for name in names if name.endswith((".pyc", ".db"))]


def test_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Installed alone into an environment of its own, with the libraries beside it, and asked from another folder."""
    environment, elsewhere = tmp_path / "env", tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=60)
    python = environment / "bin" / "python"
    (site,) = environment.glob("lib/python3*/site-packages")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--no-index", "--target", str(site), str(wheel)],
        check=True, timeout=60,
    )  # fmt: skip
    (site / "libraries.pth").write_text(libraries())
    (site / "bin").mkdir(exist_ok=True)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV_"))}

    def ask(*arguments: str) -> str:
        done = subprocess.run(
            [str(python), "-I", *arguments], cwd=elsewhere, env=clean, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "check" in ask("-c", "from daemon.cli import main; main()", "--help")
    assert "brimful" in ask("-c", "from daemon.cli import main; main()", "--version")
    found = ask("-c", "import alerts, daemon; print(alerts.__file__, daemon.__file__)")
    assert str(ROOT) not in found
    templates = ask("-c", TEMPLATES)
    assert set(templates.split()) >= {p.name for p in (ROOT / "templates").glob("*") if p.is_file()}
    assert int(ask("-c", SCHEMAS)) >= 20
    assert "management key" in ask("-c", "from daemon.cli import main; main()", "providers", "show", "openrouter")
    unit = ask("-c", "import sys; from daemon.commands.install_unit import unit_text; print(unit_text(sys.prefix))")
    assert f"ExecStart={environment}/bin/brimful" in unit
    accepted = ask("-c", "from daemon.cli import main; main()", "--config", str(ROOT / "config.example.toml"), "check")
    assert "secret-unset" in accepted


TEMPLATES = (
    "from importlib.resources import files; print(*(f.name for f in (files('alerts') / '_templates').iterdir()))"
)
SCHEMAS = "from importlib.resources import files; print(len([*(files('alerts') / 'schemas').iterdir()]))"


def libraries() -> str:
    """Return a .pth text that adds where the libraries of this environment lie, but not its own checkout."""
    import pydantic

    return f"{Path(pydantic.__file__).parents[1]}\n"


def test_the_unit_of_several_is_that_of_one_but_for_its_name() -> None:
    one = (ROOT / "packaging" / "brimful.service").read_text().splitlines()
    several = (ROOT / "packaging" / "brimful@.service").read_text().splitlines()
    own = [line for line in several if line not in one and not line.startswith("#")]
    assert own == [
        "Description=Brimful %i: alerts and top-ups for metered API accounts",
        "ExecStart=/opt/brimful/bin/brimful --config /etc/brimful/config.toml run --name %i",
    ]
    assert len([line for line in one if line not in several and not line.startswith("#")]) == len(own)
