"""Worlds whose truth is known: what must hold in each, whatever the errors of its maps."""

from benchmarks import worlds
from landcover.change.rule import ChangeSettings


def test_nothing_is_confirmed_where_only_maps_changed() -> None:
    """Clouds, shadows, haze, a month scaled by two, fields that turn, and errors of all sizes."""
    world = worlds.build(2)
    outcome = worlds.follow(world, ChangeSettings())
    score = worlds.score(world, outcome, worlds.confirmed_alerts(outcome))
    assert score.nowhere == 0
    assert score.true == score.confirmed > 0
    assert outcome.alerts["alert_id"].is_unique
    assert (outcome.alerts["area_ha"] >= 0.5).all()
