"""Print the lowest version of every dependency that pyproject.toml allows, as constraints for pip."""

import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
groups = [project["dependencies"], *project["optional-dependencies"].values()]
for requirement in sorted({requirement for group in groups for requirement in group}):
    name, at_least, version = requirement.partition(">=")
    if at_least:  # this package's own extras have no version
        print(f"{name.partition('[')[0]}=={version.partition(',')[0]}")
