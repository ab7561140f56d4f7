"""What reading files leaves behind: a footer in a cycle holds 30 kB until the collector looks at all objects."""

import gc

import numpy as np
import pyarrow.parquet as pq

from ved.analysis.rollup import Rollup
from ved.lake.lake import Lake, SampleWhere
from ved.lake.rollups import Rollups
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns

EPOCH = bytes(16)


def test_files_that_were_read_leave_no_footer_to_the_garbage_collector(tmp_path):
    t_us = np.arange(10, dtype=np.int64)
    byte, numbers = np.zeros(10, np.uint8), np.ones(10)
    lake = Lake.for_writing(str(tmp_path))
    frames = FrameColumns(t_us, byte, np.ones(10, np.uint32), byte, byte + 8, np.zeros((10, 8), np.uint8))
    lake.append([FrameBatch("fs", EPOCH, 1, frames)])
    channels = (SampleChannel("pack.temperature", "degC"),)
    lake.samples.append([SampleBatch("fs", EPOCH, 1, channels, SampleColumns(t_us, np.zeros(10, np.uint16), numbers))])
    key = "0" * 32
    Rollups(lake.url).write("fs", EPOCH, key, {"a": Rollup(t_us, numbers, numbers, numbers, numbers, t_us)})
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        again = Lake(lake.url)
        again.refresh()
        assert len(again.rows("fs", EPOCH)) == 10
        assert len(again.samples.all_parts("fs", EPOCH, SampleWhere())) == 10
        assert Rollups(lake.url).read("fs", EPOCH, key, ["a"], (0, 100))
        del again
        gc.collect()
        assert not [one for one in gc.garbage if isinstance(one, pq.FileMetaData | pq.ParquetSchema)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
