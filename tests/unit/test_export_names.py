"""Names of messages become names of files: whatever they are, the files lie in the export's folder."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ved.api.export_messages import write_messages
from ved.model.channel import Channel
from ved.model.frames import FrameColumns


def part_of(channel: Channel) -> SimpleNamespace:
    """Decodes every frame to 1.0 of this channel."""
    decoded = SimpleNamespace(starts=np.array([0, 1]), rows=np.array([0]), values=np.array([1.0]))
    decoder = SimpleNamespace(channels=(channel,), decode=lambda _frames, _wanted: decoded)
    return SimpleNamespace(decoder=decoder, index=lambda name: 0 if name == channel.name else None)


@pytest.mark.parametrize("message", ["../../evil", "/etc/passwd", "..", ".", "a/b", "C:\\x", "a\0b", "nul\n", "é'\"<>"])
def test_no_name_of_a_message_leads_out_of_the_folder(tmp_path: Path, message: str):
    channel = Channel(f"{message}.s", "", "continuous", 0, message, "s", 1, is_extended=False)
    frames = FrameColumns(
        np.zeros(1, np.int64), np.zeros(1, np.uint8), np.ones(1, np.uint32), np.zeros(1, np.uint8),
        np.zeros(1, np.uint8), np.zeros((1, 8), np.uint8),
    )  # fmt: skip
    folder = tmp_path / "inner" / "export"
    folder.parent.mkdir()
    assert write_messages(folder, [(part_of(channel), frames)], [channel], 0) == 1
    (written,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written.parent == folder
    assert written.name.isascii()
    assert written.suffix == ".parquet"
