"""The releases of Apache Airflow that this provider runs on; under any other it says so at once."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from gong_provider import __version__

OLDEST, BELOW = (3, 3), (3, 4)
"""From which release on, and below which: as the package's own requirement has it."""


def installed_airflow() -> str:
    """The release of Airflow that is installed."""
    try:
        return version("apache-airflow-core")
    except PackageNotFoundError:  # Airflow 2 is one package
        return version("apache-airflow")


def check_airflow(installed: str) -> None:
    """Say what to install where Airflow is too old, or newer than what was tested.

    :param installed: a release, such as ``3.3.2``.
    :raises RuntimeError: this provider is not for it.
    """
    major, minor, *_ = installed.split(".")
    if not OLDEST <= (int(major), int(minor)) < BELOW:
        wanted = f"apache-airflow>={OLDEST[0]}.{OLDEST[1]},<{BELOW[0]}.{BELOW[1]}"
        raise RuntimeError(
            f"airflow-provider-gong {__version__} needs {wanted}, and this is Airflow {installed}. Install "
            "such an Airflow, or a release of the provider that is for yours"
        )
