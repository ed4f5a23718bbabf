"""Downloads, from a server on this machine: kept, checked, and where they fail told with what to do."""

import gzip
import hashlib
import http.server
import threading
from functools import partial

import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.data import sources
from dpm_ppl.data.sources import known
from dpm_ppl.data.sources.downloads import FOLDER_VARIABLE
from tests.data.sources.test_files import IMAGES, as_idx


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The folder that a server shows as that of MNIST, whose digests are those of the files in it."""
    folder = tmp_path / "served"
    folder.mkdir()
    digests = {}
    for name, images in IMAGES.items():
        content = gzip.compress(as_idx(images))
        (folder / f"{name}.gz").write_bytes(content)
        digests[name] = f"sha256:{hashlib.sha256(content).hexdigest()}"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=partial(server.serve_forever, 0.01))
    thread.start()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "kept"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(known, "MNIST_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setattr(known, "MNIST_DIGESTS", digests)
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_download_is_made_once(served, tmp_path):
    first = sources.mnist()
    assert {file.name for file in (tmp_path / "kept" / "mnist").iterdir()} == {f"{name}.gz" for name in IMAGES}
    for file in served.iterdir():
        file.unlink()
    again = sources.mnist()
    for name, found in zip(IMAGES, first, strict=True):
        np.testing.assert_array_equal(found, IMAGES[name])
    np.testing.assert_array_equal(again.train, first.train)


def test_failed_downloads_say_where_to_put_the_file(served, tmp_path):
    file = served / f"{known.TEST_IMAGES}.gz"
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(InputError, match=r"t10k.*another digest than sha256:.*name it with --data-folder"):
        sources.mnist()
    assert not (tmp_path / "kept" / "mnist" / file.name).exists()
    file.unlink()
    with pytest.raises(InputError, match=r"data_folder: expected mnist/t10k.*HTTPError.*name it with --data-folder"):
        sources.mnist()


def test_a_download_needs_a_folder(served, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(InputError, match="no place for it in"):
        sources.mnist()


@pytest.mark.parametrize("digests", [known.MNIST_DIGESTS, known.FASHION_DIGESTS, {"cifar": known.CIFAR_DIGEST}])
def test_digests_are_whole(digests):
    for digest in digests.values():
        kind, _, number = digest.partition(":")
        assert len(bytes.fromhex(number)) == hashlib.new(kind).digest_size
