"""Whatever stands in a .log file: frames, or one line that says why not."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ved.errors import UserError
from ved.logfiles.candump import CandumpLog, write_candump
from ved.model.frames import FrameColumns

hex_text = st.text("0123456789abcdefABCDEF", max_size=20)
words = st.one_of(
    st.sampled_from(
        ["(1.5)", "can0", "123#", "0000012A#", "20000004#", "##1", "#R", "#R8", "T", "R", "(99999999999.999999999)"]
    ),
    hex_text,
    st.text(max_size=5),
)
lines = st.lists(st.tuples(words, st.sampled_from([" ", "", "#", "\r"])).map("".join), max_size=6).map("".join)
good = st.builds(
    "(17.{:06d}) {} {}#{}".format,
    st.integers(0, 999_999),
    st.sampled_from(["can0", "can1"]),
    st.just("1AB"),
    st.binary(max_size=8).map(bytes.hex),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(lines, good), max_size=8), st.booleans())
def test_any_text_is_read_or_refused_in_one_line(rows, has_end):
    text = "\n".join(rows) + ("\n" if has_end else "")
    with tempfile.TemporaryDirectory() as folder:
        path, copy = Path(folder) / "a.log", Path(folder) / "b.log"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            log = CandumpLog(path)
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017  (either outcome is right)
            return
        frames = FrameColumns.concatenate(list(log.chunks()))
        assert len(frames) <= text.count("\n") + 1
        if len(frames) == 0:
            assert log.problem is not None
            return
        names = {bus: f"can{bus}" for bus in log.buses}
        write_candump(copy, [frames], log.start_utc_us, names)
        again = CandumpLog(copy)
        found = FrameColumns.concatenate(list(again.chunks()))
        assert again.problem is None
        assert len(found) == len(frames)
        assert found.payload.tobytes() == frames.payload.tobytes()
        assert found.flags.tolist() == frames.flags.tolist()
