"""While a gateway serves, what was there before is not looked at by Python's collector."""

from __future__ import annotations

import gc

from agentrt.gateway.garbage import rarely_collected


def test_all_that_exists_is_left_out_inside_the_block_and_only_there() -> None:
    before = gc.get_threshold()
    with rarely_collected():
        assert gc.get_freeze_count() > 1000
        assert gc.get_threshold() > before
    assert (gc.get_freeze_count(), gc.get_threshold()) == (0, before)
