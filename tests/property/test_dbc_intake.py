"""Whatever somebody hands in: definitions, or one line that says why not."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ved.dbc.intake import MAX_FINDINGS, plain_name, take_in
from ved.dbc.load import DbcSource, load_set
from ved.errors import UserError

CAR = (Path(__file__).parents[1] / "data" / "cantools-dbc" / "multiplex_2.dbc").read_bytes()


@given(
    st.integers(0, len(CAR)),
    st.binary(max_size=12),
    st.integers(0, 40),
    st.sampled_from(["car.dbc", "car.csv", "car.xlsx"]),
)
@settings(max_examples=120, deadline=None)
def test_bytes_become_definitions_or_a_refusal(at: int, new: bytes, cut: int, name: str):
    data = CAR[:at] + new + CAR[at + cut :]
    try:
        taken = take_in(data, name, "can0")
    except UserError as error:
        why = str(error)
    else:
        why = ""
    assert "\n" not in why
    if why:
        return
    assert "\0" not in taken.text
    assert len(taken.findings) <= MAX_FINDINGS
    kept = load_set([DbcSource(0, "can0", taken.name, taken.text)])
    assert (len(kept.messages), len(kept.channels)) == (taken.messages, taken.signals)


@given(st.text(max_size=400))
def test_a_files_name_is_one_short_printable_line(name: str):
    shown = plain_name(name)
    assert len(shown) <= 120
    assert "/" not in shown
    assert "\\" not in shown
    assert shown.isprintable()
    assert plain_name(shown) == shown
