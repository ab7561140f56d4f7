"""Every kept input again: understood, or refused with the error that is documented for it."""

import pytest
from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_kept_inputs_are_understood_or_refused(target):
    parse = target.make()
    seeds, kept = target.seeds(), corpus.read(target.name)
    assert seeds
    understood = [target.run(parse, data) for data in [*seeds, *kept]]
    assert any(understood), "no good bytes to begin with"


def test_every_file_of_the_corpus_belongs_to_a_target():
    assert {path.name for path in corpus.FOLDER.glob("*")} <= {corpus.file_of(one.name).name for one in TARGETS}
