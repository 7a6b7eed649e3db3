"""Print constraints that pin every dependency of the library to the oldest version that it claims to support."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

EXTRAS = ("fastapi", "forms", "redis", "sql", "templates", "webhooks")


def main() -> None:
    """Read pyproject.toml and print `name==version` for each lower bound."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in EXTRAS:
        wanted += project["optional-dependencies"][extra]
    for requirement in wanted:
        name, version = re.fullmatch(r"([A-Za-z0-9-]+)>=([0-9.]+)", requirement).groups()  # type: ignore[union-attr]
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
