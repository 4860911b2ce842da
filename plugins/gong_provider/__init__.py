"""Airflow provider for Gong's Users API: hook, operators and connection type."""

__version__ = "0.1.0"
