"""Short names for everything that decides a result."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def fingerprint(*parts: Any) -> str:
    """A short name for everything that decides a result: 16 hex digits of a SHA-256."""
    text = json.dumps(parts, sort_keys=True, default=lambda o: o.model_dump())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_digest(*packages: str) -> str:
    """SHA-256 over the source files of sub-packages of kelvin, by name and content."""
    here, digest = Path(__file__).parents[1], hashlib.sha256()
    for package in packages:
        for file in sorted((here / package).rglob("*.py")) or [here / f"{package}.py"]:
            digest.update(str(file.relative_to(here)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
