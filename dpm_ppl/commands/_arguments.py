"""What the commands' arguments have in common."""

from pathlib import Path
from typing import Annotated

import tyro

Name = Annotated[str, tyro.conf.Positional]
Directory = Annotated[Path, tyro.conf.Positional]
INTERRUPTED = 130
