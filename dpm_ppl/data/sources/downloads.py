"""Files that are downloaded once, checked by their digests, and kept in a folder of the user's cache."""

import contextlib
import os
from pathlib import Path
from typing import Any

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.progress import count_display

FOLDER_VARIABLE = "DPM_PPL_DATA"
"""The environment variable with the folder for downloads, in place of one in the user's cache."""


def downloaded(name: str, url: str, digest: str, *, remedy: str) -> Path:
    """The file at `url`, downloaded as `name` unless it is there already with this digest, as in `"md5:..."`.

    **Raises:** `InputError` of `data_folder` where it cannot be had, or is not what it was when the digest was taken.
    """
    import pooch  # takes half a second to import, and only downloads need it
    from requests import RequestException

    pooch.get_logger().setLevel("WARNING")  # the progress bar says the rest
    folder = Path(os.environ.get(FOLDER_VARIABLE) or pooch.os_cache("dpm-ppl"))
    bar: Any = _Bar(name)
    try:
        with contextlib.closing(bar):
            downloader: Any = pooch.HTTPDownloader(progressbar=bar, chunk_size=2**20, timeout=30)
            return Path(pooch.retrieve(url, digest, fname=name, path=folder, downloader=downloader))
    except RequestException as error:
        got = f"none, and no download ({type(error).__name__} at {url})"
    except ValueError:
        got = f"from {url} a file of another digest than {digest}"
    except OSError as error:
        got = f"no place for it in {folder} ({error})"
    raise InputError("data_folder", expected=name, got=got, remedy=remedy)


class _Bar:
    """A progress bar as pooch wants one: it sets `total`, then calls the rest."""

    def __init__(self, name: str):
        self.name, self.total, self.done = name, 0, 0
        self.show: Any = None
        self.stack = contextlib.ExitStack()

    def update(self, size: int) -> None:
        """So many more bytes are there."""
        if self.show is None:
            what = f"kB of {self.name}"
            self.show = self.stack.enter_context(count_display(True, what, max(1, self.total // 1000)))
        self.done += size
        self.show(self.done // 1000)

    def reset(self) -> None:
        """Pooch starts again, so that it may end full."""
        self.done = 0

    def close(self) -> None:
        """No more is to be shown."""
        self.stack.close()
