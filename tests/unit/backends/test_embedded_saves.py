"""Where the state of slots is saved: what is forgotten there takes nothing of others with it."""

import os
import sys
from pathlib import Path

import pytest

from agentrt.backends.embedded_saves import MemoryFiles

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files in memory are Linux's")


def test_what_is_forgotten_after_the_end_is_not_somebody_elses_file(tmp_path: Path) -> None:
    saves = MemoryFiles()
    with (tmp_path / "other").open("wb") as other:
        name = saves.create()
        saves.close()
        os.dup2(other.fileno(), int(name))  # as any file opened since may be
        saves.remove(name)
        os.fstat(int(name))
        os.close(int(name))


def test_after_the_end_nothing_is_saved() -> None:
    saves = MemoryFiles()
    saves.close()
    with pytest.raises(OSError, match="has ended"):
        saves.create()
