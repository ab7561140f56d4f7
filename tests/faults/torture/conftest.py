"""The long forms run only when they are asked for: `-m slow`, or `-m "slow or not slow"` for all."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "slow" in str(config.option.markexpr):
        return
    here = Path(__file__).parent
    skip = pytest.mark.skip(reason="the long form: run with -m slow (make torture)")
    for item in items:
        if item.path.is_relative_to(here) and item.get_closest_marker("slow") is not None:
            item.add_marker(skip)
