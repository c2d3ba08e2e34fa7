"""Who has the lowest rank, and who all have one up to a limit: against a plain dict."""

from __future__ import annotations

import random

from controller.core.ranked import STALE_MAX, Ranked


def test_the_lowest_are_as_by_a_plain_dict() -> None:
    dice, ranked, model = random.Random(1), Ranked(), dict[str, int]()
    for now in range(2_000):
        key = f"s{dice.randrange(20)}"
        if dice.random() < 0.3:
            ranked.forget(key)
            model.pop(key, None)
        else:
            model[key] = now + dice.randrange(-5, 50)
            ranked.put(key, model[key])
        pairs = [(rank, key) for key, rank in model.items()]
        assert ranked.lowest() == min(pairs, default=None)
        assert ranked.up_to(now) == {key for rank, key in pairs if rank <= now}
        assert len(ranked) == len(model)


def test_ranks_that_are_changed_again_and_again_are_not_kept() -> None:
    ranked = Ranked()
    ranked.put("soon", 1)
    for rank in range(10 * STALE_MAX):
        ranked.put("later", 10 + rank)
    assert len(ranked._heap) <= 2 * 2 + STALE_MAX
    assert ranked.up_to(5) == {"soon"}
