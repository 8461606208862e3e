"""Which queries are kept out of the tuning.

A query is named by its key: a thread id, a section key, a prompt id, a DAG key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

_DEV_BELOW = 51


def _first_byte(text: str) -> int:
    """Return the first byte of the SHA-1 of a text."""
    return hashlib.sha1(text.encode("utf-8"), usedforsecurity=False).digest()[0]


def is_dev(key: str) -> bool:
    """Tell whether a query is in the dev fifth: never tuned on, used to choose settings."""
    return _first_byte("dev" + key) < _DEV_BELOW


def is_valid(key: str) -> bool:
    """Tell whether a query is in the second fifth, kept out while settings are compared."""
    return not is_dev(key) and _first_byte("valid" + key) < _DEV_BELOW


def is_held_for(name: str) -> Callable[[str], bool]:
    """Return the test for the queries kept out: name is `dev` or `dev+valid`."""
    if name == "dev":
        return is_dev
    return lambda key: is_dev(key) or is_valid(key)


def is_reserved(key: str) -> bool:
    """Tell whether a section or example DAG is in the half kept for outside evaluation."""
    return _first_byte("20261120" + key) % 2 == 0
