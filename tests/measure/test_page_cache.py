"""Files leave the page cache, those that are mapped do not."""

import mmap
import os
from pathlib import Path

import pytest

from pilotlight.measure import memory, page_cache

MEGABYTE = 1 << 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(MEGABYTE))
    if page_cache.drop([path]).after:
        pytest.skip("the temporary folder is in memory")
    assert len(path.read_bytes()) == MEGABYTE
    return path


def test_a_file_is_cached_when_it_was_read_and_no_more_when_it_was_dropped(file: Path) -> None:
    assert page_cache.cached(file) == MEGABYTE
    assert page_cache.drop([file]) == (1, MEGABYTE, 0)
    assert page_cache.cached(file) == 0


def test_what_is_mapped_stays(file: Path) -> None:
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as view:
        assert len(bytes(view)) == MEGABYTE
        assert page_cache.drop([file]) == (1, MEGABYTE, MEGABYTE)
        assert file in memory.files_mapped(os.getpid())
    assert file not in memory.files_mapped(os.getpid())


def test_what_is_no_file_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert page_cache.drop([tmp_path, tmp_path / "absent", tmp_path / "empty"]) == (1, 0, 0)


def test_the_memory_of_a_process() -> None:
    rss, pss = memory.of("self")
    assert rss >= pss > 1
