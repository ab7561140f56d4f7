"""What came lately of an epoch, against a dictionary."""

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ved.codec.link import Space
from ved.ingest import recent as module
from ved.ingest.recent import Recent, Seen
from ved.link.span import Span

steps = st.lists(
    st.tuples(st.sampled_from(["wait", "write", "clear"]), st.sampled_from(Space), st.integers(1, 2**62)), max_size=300
)


@given(steps, st.integers(1, 200))
def test_it_knows_what_waits_and_the_last_that_were_written(given_steps, most: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_RECENT", most)
        one, waiting, written = Recent(), {}, OrderedDict()
        for at, (step, space, first) in enumerate(given_steps):
            span, crc = Span(space, first, first + at), at * 0x01234567 & 0xFFFFFFFF
            if step == "clear":
                one.clear()
                written.clear()
            elif (space, first) in written:
                continue  # a number is written once
            elif step == "wait":
                one.add_waiting(span, crc, bytes([at % 256]))
                waiting[(space, first)] = Seen(span.last, crc, record=bytes([at % 256]))
            else:
                one.add_written(span, crc, at)
                waiting.pop((space, first), None)
                written[(space, first)] = Seen(span.last, crc, at)
                while len(written) > most:
                    written.popitem(last=False)
            for _, known_space, known in given_steps[: at + 1]:
                key = (known_space, known)
                assert one.find(*key) == waiting.get(key, written.get(key))
            assert len(one) == len(waiting) + len(written)
