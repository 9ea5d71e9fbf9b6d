"""The verdict's figures over many random worlds:

python -m tests.evaluation.run_worlds --worlds 200 --world-seed 1
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.evaluation.playing import plain, race
from tests.evaluation.worlds import KINDS, Outcome, coverage, make_world


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--world-seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    with ProcessPoolExecutor(asked.jobs) as pool:
        played = list(pool.map(partial(_play, asked.world_seed), range(asked.worlds), chunksize=4))
        tied = list(pool.map(partial(_tied, asked.world_seed), range(asked.worlds), chunksize=4))
        covered = list(pool.map(partial(coverage, asked.world_seed), range(asked.worlds), chunksize=4))
    for name, outcomes in (("race", [r for r, _ in played]), ("plain design", [p for _, p in played])):
        print(f"{name}: {_told(outcomes)}")
        for kind in KINDS:
            print(f"    {kind:8} {_told([o for o in outcomes if o.world.kind == kind])}")
    print(f"two exact ties, {len(tied)} more worlds: false single winner {_share([o.false_single for o in tied])}")
    hits, total = (sum(each) for each in zip(*covered, strict=True))
    print(f"coverage of 95 % intervals at 8 seeds: {hits / total:.2%} of {total}")


def _play(seed: int, number: int) -> tuple[Outcome, Outcome]:
    world = make_world(seed, number)
    # As many seeds for every cell as 900 pictures allow.
    outcomes = race(world), plain(world, 900 // (29 * len(world.rounds)))
    world._drawn.clear()
    return outcomes


def _tied(seed: int, number: int) -> Outcome:
    outcome = race(make_world(seed + 7_777, number, "ties"))
    outcome.world._drawn.clear()
    return outcome


def _told(outcomes: Sequence[Outcome]) -> str:
    if not outcomes:
        return "no worlds"
    pictures = [o.pictures for o in outcomes]
    return (
        f"within 0.01 of the best {_share([o.regret <= 0.01 for o in outcomes])} "
        f"(leader {_share([o.leader_regret <= 0.01 for o in outcomes])}), "
        f"single winner {_share([o.single for o in outcomes])}, "
        f"a false one {_share([o.false_single for o in outcomes])}, "
        f"pictures {sum(pictures) / len(pictures):.0f}, at most {max(pictures)}"
    )


def _share(flags: Sequence[bool]) -> str:
    return f"{sum(flags) / len(flags):.1%}"


if __name__ == "__main__":
    main()
