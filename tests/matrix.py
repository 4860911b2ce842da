"""make test-matrix: runs unit and DAG tests on each supported Python and Airflow, the whole sync on one.

Each combination has its own environment in .local/matrix/, made again when its requirements change.
ARGS="--only 3.11,oldest" skips the others; PYTHONS="/path/to/python3.12 ..." names interpreters.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MATRIX = ROOT / ".local" / "matrix"
REQUIREMENTS = ("requirements.txt", "tests/requirements.txt", "constraints.txt", "pyproject.toml")
TESTS = ("tests/unit", "tests/dags")
WHOLE = ("tests/end_to_end",)


@dataclass(frozen=True)
class Combination:
    """A Python and an Airflow.

    :ivar airflow: a release; empty: the one that constraints.txt pins.
    :ivar tests: paths to run on it.
    """

    name: str
    python: str
    airflow: str = ""
    tests: tuple[str, ...] = TESTS


COMBINATIONS = (
    Combination("3.11", "3.11"),
    Combination("3.12", "3.12"),
    Combination("3.13", "3.13"),
    Combination("3.14", "3.14", tests=TESTS + WHOLE),
    Combination("oldest", "3.11", "3.3.0"),
)


def main() -> int:
    """Test each combination and print a table; return 1 if one failed or has no interpreter."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--only", default="", help=", ".join(each.name for each in COMBINATIONS))
    selected = set(filter(None, parser.parse_args().only.split(",")))
    if unknown := selected - {each.name for each in COMBINATIONS}:
        parser.error(f"There is no combination {', '.join(sorted(unknown))}")
    rows = [tested(each) for each in COMBINATIONS if not selected or each.name in selected]
    print("\n| combination | Python | Airflow | seconds | result |\n|---|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    return int(any(row[-1] != "passed" for row in rows))


def tested(combination: Combination) -> tuple[str, ...]:
    """Test one combination and return its row of the table."""
    begin = time.monotonic()
    release = airflow = result = "?"
    interpreter = interpreter_of(combination.python)
    if interpreter is None:
        result = f"**no python{combination.python} found**: install it, or name it in PYTHONS"
    else:
        try:
            python = environment(combination, interpreter)
            release, airflow = versions(python)
            done = subprocess.run([python, "-m", "pytest", "-q", *combination.tests], cwd=ROOT, check=False)
            result = "**failed**" if done.returncode else "passed"
        except subprocess.CalledProcessError as error:
            result = f"**not installed**: pip ended with {error.returncode}"
    return combination.name, release, airflow, f"{time.monotonic() - begin:.0f}", result


def interpreter_of(release: str) -> str | None:
    """Return a Python of that release that can make environments, from PYTHONS or the path."""
    for candidate in (*os.environ.get("PYTHONS", "").split(), *on_path(f"python{release}")):
        script = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([candidate, "-c", script], capture_output=True, text=True, check=False)
        if done.stdout.strip() == release:
            return candidate
    return None


def on_path(name: str) -> Iterator[str]:
    """Yield every program of that name: the first may be a shim for a Python that is not installed."""
    for folder in os.get_exec_path():
        if found := shutil.which(name, path=folder):
            yield found


def environment(combination: Combination, interpreter: str) -> str:
    """Return the Python of the combination's own environment."""
    directory = MATRIX / combination.name
    texts = [(ROOT / name).read_text() for name in REQUIREMENTS]
    made_of = hashlib.sha256("\0".join((*texts, combination.airflow, interpreter)).encode()).hexdigest()
    mark, python = directory / "made-of", str(directory / "bin" / "python")
    if mark.exists() and mark.read_text() == made_of:
        return python
    print(f"Installing {combination.name} ...", flush=True)
    subprocess.run([interpreter, "-m", "venv", "--clear", directory], check=True)
    limits = directory / "constraints.txt"
    limits.write_text(constraints(combination.airflow))
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    named = ["-r", "requirements.txt", "-r", "tests/requirements.txt", "-c", str(limits)]
    subprocess.run([*pip, *named], cwd=ROOT, check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", "."], cwd=ROOT, check=True)
    mark.write_text(made_of)
    return python


def constraints(airflow: str) -> str:
    """Return constraints.txt; for another Airflow, only that release, as it needs other dependencies."""
    if airflow:
        return f"apache-airflow=={airflow}\napache-airflow-core=={airflow}\n"
    return (ROOT / "constraints.txt").read_text()


def versions(python: str) -> tuple[str, str]:
    """Return the releases of Python and Airflow."""
    script = (
        "import platform; from importlib.metadata import version;"
        "print(platform.python_version(), version('apache-airflow-core'))"
    )
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    release, airflow = done.stdout.split()
    return release, airflow


if __name__ == "__main__":
    sys.exit(main())
