"""The size budget of batches on the synthetic load: 7.0 B/frame in 100 ms batches, 5.4 in 1 s batches."""

import hashlib
import importlib.util
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from ved.codec.batch import decode_batch, encode_batch
from ved.model.frames import FrameBatch, FrameColumns

_PATH = Path(__file__).parents[2] / "benchmarks" / "synthetic_load.py"


@pytest.fixture(scope="module")
def synthetic_load():
    spec = importlib.util.spec_from_file_location("synthetic_load", _PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["synthetic_load"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["synthetic_load"]


@pytest.mark.parametrize(("batch_us", "budget"), [(100_000, 7.0), (1_000_000, 5.4)])
def test_bytes_per_frame(synthetic_load, batch_us, budget):
    frames: FrameColumns = synthetic_load.synthetic_load(10.0).frames
    edges = [0, *(np.flatnonzero(np.diff(frames.t_us // batch_us)) + 1).tolist()]
    total = 0
    for first, last in itertools.pairwise(edges):
        part = frames.take(slice(first, last))
        record = encode_batch(FrameBatch("fs", bytes(16), first + 1, part))
        assert decode_batch(record).frames.equals(part)
        total += len(record)
    assert total / edges[-1] <= budget


def test_the_load_is_the_one_of_the_budgets(synthetic_load):
    load = synthetic_load.synthetic_load(10.0)
    assert (load.message_count, load.signal_count, len(load.frames)) == (60, 360, 60_400)
    assert np.all(np.diff(load.frames.t_us) >= 0)
    again = synthetic_load.synthetic_load(10.0)
    assert again.frames.equals(load.frames)
    assert again.dbc_texts == load.dbc_texts
    text = load.all_dbc_text.encode()
    assert hashlib.sha256(text).hexdigest()[:16] == "d1de10e832ec2548"
