"""When an alarm is raised, and that noise raises none."""

import random

from plaudit.rewarding.rows import ScoredRow
from plaudit.server.watch.probes import ProbeResult, WatchProbe
from plaudit.server.watch.tallies import Tallies

CHEAT = WatchProbe("a colon", {}, right=False, cheat=True)
KNOWN = WatchProbe("known row", {}, right=True)


def value(number: float | None) -> ScoredRow:
    return ScoredRow(value=number, status="failed" if number is None else "ok")


def interval(
    tallies: Tallies, draw: random.Random, *, mean: float, agreed: float, paid: float = 0.0
) -> None:
    tallies.add_traffic([value(draw.gauss(mean, 0.3)) for _ in range(50)])
    for _ in range(12):
        good = draw.random() < agreed
        tallies.add(KNOWN, ProbeResult(good, False, good))
        taken_in = draw.random() < paid
        tallies.add(CHEAT, ProbeResult(not taken_in, True, taken_in))
    tallies.close_interval()


def reasons(tallies: Tallies) -> list[str]:
    return [alarm.reason for alarm in tallies.alarms]


def test_a_rising_mean_with_falling_agreement_is_an_alarm() -> None:
    draw, tallies = random.Random(1), Tallies(window=6, allowed=0.05)
    for _ in range(8):
        interval(tallies, draw, mean=0.3, agreed=0.95)
        assert reasons(tallies) == []
    while not tallies.alarms:
        assert tallies.looks < 30
        interval(tallies, draw, mean=0.8, agreed=0.4)
    (alarm,) = tallies.alarms
    assert alarm.reason == "drift"
    assert alarm.message.startswith("the mean reward rose from 0.3")


def test_neither_half_of_it_is_one() -> None:
    draw = random.Random(2)
    for mean, agreed in ((0.8, 0.95), (0.3, 0.4), (0.1, 0.4)):
        tallies = Tallies(window=6, allowed=0.05)
        for _ in range(6):
            interval(tallies, draw, mean=0.3, agreed=0.95)
        for _ in range(12):
            interval(tallies, draw, mean=mean, agreed=agreed)
            assert "drift" not in reasons(tallies)


def test_noise_seldom_alarms_while_the_policy_gets_better() -> None:
    alarmed = 0
    for seed in range(100):
        draw, tallies = random.Random(seed), Tallies(window=4, allowed=0.05)
        found = False
        for step in range(40):
            interval(tallies, draw, mean=0.2 + step / 60, agreed=0.8, paid=0.04)
            found = found or bool(tallies.alarms)
        alarmed += found
    assert alarmed <= 3  # 1 % is the bound; the chance of 4 or more of 100 is then 0.02.


def test_a_cheat_that_is_paid_is_an_alarm_until_it_is_paid_no_more() -> None:
    draw, tallies = random.Random(3), Tallies(window=4, allowed=0.05)
    interval(tallies, draw, mean=0.3, agreed=0.9, paid=1.0)
    assert reasons(tallies) == ["cheat"]
    assert tallies.alarms[0].message == "'a colon' is paid: 12 of 12 probes"
    for _ in range(4):
        interval(tallies, draw, mean=0.3, agreed=0.9)
    assert reasons(tallies) == []
    assert tallies.false_positive_rate is not None
    assert tallies.false_positive_rate.value == 0


def test_what_is_unscored_is_no_number() -> None:
    tallies = Tallies(window=2, allowed=0.05)
    tallies.add_traffic([value(None)])
    tallies.close_interval()
    assert (tallies.looks, tallies.agreement, tallies.means) == (0, None, (None, None))
