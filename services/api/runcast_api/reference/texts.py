"""The texts of the TOML files of this package, put together."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

SUBJECTS = ("common", "models", "runs", "logs", "board", "people", "webhooks", "notifications")


@dataclass(frozen=True)
class Texts:
    """Descriptions and examples by name. A qualified name (`Run.number`, `GET /runs query:key`) wins over a
    plain one (`number`, `query:key`)."""

    parameters: dict[str, str] = field(default_factory=dict)
    """By `in:name`, or by operation and that: `GET /users query:q`."""
    fields: dict[str, str] = field(default_factory=dict)
    """By name, or by model and name: `Run.number`."""
    models: dict[str, str] = field(default_factory=dict)
    """By name."""
    examples: dict[str, Any] = field(default_factory=dict)
    """Of fields, by the same names."""
    errors: dict[str, list[str]] = field(default_factory=dict)
    """By operation: the types of problems that can't be told from its shape, such as `conflict`."""

    def field(self, model: str, name: str) -> str | None:
        """The description of a field of a model."""
        return self.fields.get(f"{model}.{name}", self.fields.get(name))

    def parameter(self, operation: str, place: str, name: str) -> str | None:
        """The description of a parameter; `place` is `path`, `query` or `header`."""
        plain = f"{place}:{name.lower() if place == 'header' else name}"
        return self.parameters.get(f"{operation} {plain}", self.parameters.get(plain))

    def example(self, model: str, name: str) -> Any:
        """The example of a field, or None."""
        return self.examples.get(f"{model}.{name}", self.examples.get(name))


def load() -> Texts:
    """Reads the files. Raises `ValueError` for a name that two of them describe."""
    texts = Texts()
    for subject in SUBJECTS:
        content = (files(__package__) / f"{subject}.toml").read_text(encoding="utf-8")
        for table, entries in tomllib.loads(content).items():
            _add(getattr(texts, table), entries)
    return texts


def _add(known: dict[str, Any], entries: Mapping[str, Any]) -> None:
    if twice := known.keys() & entries.keys():
        raise ValueError(f"described twice: {', '.join(sorted(twice))}")
    known.update(entries)
