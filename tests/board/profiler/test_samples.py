"""Samples kept small against the plain objects that they were made of."""

import functools
import random

import numpy as np

from splitwatt.profiler.analyse import times
from splitwatt.profiler.links.link import Link
from splitwatt.profiler.records.sample import BY_IMAGE, Request
from splitwatt.profiler.records.samples import Samples
from tests.board.profiler.test_records import sample

LINKS = (
    Link("slow", "simulated", 100.0, "payload", "test"),
    Link("far", "simulated", 250.0, "wire", "test", 50.0, latency_ms=20.0, jitter_ms=5.0, loss=0.1),
    Link("as it is", "none", 0.0, "payload", "test"),
)


def plain(count, seed=0):
    """Samples of every kind, in a random order, some of them twice."""
    dice = random.Random(seed)
    made = []
    for _ in range(count):
        split = dice.random() < 0.6
        requests = [
            Request("m%d" % n, dice.randrange(9000), dice.randrange(9000), 900, None, dice.choice([1, 2]))
            for n in range(dice.choice([1, 3]) if split else 0)
        ]  # fmt: skip
        stages = {"decode": dice.random(), "ic.model": dice.random()}
        if split:
            stages.update({"ic.server.body": dice.random(), "ic.network": dice.random()})
        sent = sum(request.payload_bytes for request in requests)
        published = dice.choice([None, 1500]) if split else None
        failed = dice.random() < 0.1
        made.append(sample(
            config="Ours1" if split else "LC1",
            block=dice.choice(["a.cpu.0", "b.cpu.0"]),
            image="%d.jpg" % dice.randrange(50),
            inference=dice.randrange(count),
            warmup=dice.random() < 0.1,
            status="failed" if failed else "ok",
            reason="gone after %d s" % dice.randrange(5) if failed else None,
            failed_by=dice.choice(["server", BY_IMAGE]) if failed else None,
            total_s=None if failed else sum(stages.values()),
            stages={} if failed else stages,
            requests=requests,
            payload_bytes=sent if split else None,
            wire_up_bytes=sent + 300 if split else None,
            published_payload_bytes=published,
            published_payload_source=None if published is None else "published",
            board=dice.choice([None, {"gpu_hz": 1e9, "cpu_c": 45.5}]),
            throttled=dice.choice([None, False, True]),
            session=dice.choice([None, 0, 1]),
        ))  # fmt: skip
    return made


def test_samples_are_those_that_they_were_made_of():
    made = plain(300)
    kept = Samples.of(iter(made))
    assert list(kept) == made and len(kept) == 300 and kept[-1] == made[-1]
    assert list(kept[10:20]) == made[10:20] and kept == made and kept != made[1:]
    for field in ("inference", "payload_bytes", "session"):
        assert {type(getattr(one, field)) for one in kept} <= {int, type(None)}
    assert Samples.of([]) == [] and Samples.of([]).by(lambda one: one.block) == {}
    assert not Samples.of([]).where(lambda one: True) and len(Samples.of([]).latest()) == 0


def test_samples_are_chosen_and_grouped_in_their_order():
    made = plain(300)
    kept = Samples.of(made)

    def counts(one):
        return one.ok and not one.warmup

    good = kept.where(counts)
    assert list(good) == [one for one in made if counts(one)]
    groups = {}
    for one in made:
        if counts(one):
            groups.setdefault(one.block, []).append(one)
    assert [(block, list(own)) for block, own in good.by(lambda one: one.block).items()] == list(
        groups.items()
    )
    late = kept[kept.each(lambda one: one.inference > 100) > 0]
    assert list(late) == [one for one in made if one.inference > 100]


def test_a_later_sample_takes_the_place_of_the_first():
    made = plain(300)
    assert list(Samples.of(made).latest()) == list({one.key: one for one in made}.values())


def test_times_of_columns_are_those_of_each_sample_to_the_bit():
    made = plain(300)
    kept = Samples.of(made)
    for figure in [of for name, of in vars(times).items() if name.endswith("_s")]:
        for link in LINKS if figure.__code__.co_argcount == 2 else [None]:
            of = figure if link is None else functools.partial(figure, link=link)
            due = [of(one) for one in made]
            each = kept.each(of)
            assert np.isnan(each).tolist() == [value is None for value in due]
            assert kept.known(of).tolist() == [value for value in due if value is not None]
