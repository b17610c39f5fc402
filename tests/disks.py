"""A full disk, really: a small file system of its own where mounting is allowed, a limit of the file size anywhere."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def limited(bytes_: int) -> Iterator[None]:
    """No file of this process grows beyond this size, as on a disk that is full by then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, hard))  # Python ignores SIGXFSZ: a write fails
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class Disk:
    """A file system of its own."""

    def __init__(self, folder: Path):
        self.folder = folder

    def resize(self, bytes_: int) -> None:
        _mount("-o", f"remount,size={bytes_}", self.folder)

    def fill(self, left: int) -> None:
        """Leave so many bytes of it free, in blocks of a file called ``filling``."""
        import shutil

        with (self.folder / "filling").open("wb") as file:
            file.write(bytes(max(0, shutil.disk_usage(self.folder).free - left)))


@contextmanager
def small_disk(folder: Path, bytes_: int) -> Iterator[Disk]:
    """A disk of this size; skips the test where mounting is not allowed."""
    folder.mkdir(parents=True)
    if _mount("-t", "tmpfs", "-o", f"size={bytes_}", "tmpfs", folder).returncode:
        pytest.skip("mounting is not allowed here; the limit of the file size is tested all the same")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
