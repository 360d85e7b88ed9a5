"""Fits the readout head of the embedded feedback judge on labelled turns, and measures it.

    scripts/bench fit_feedback_head            measure on benchmarks/data/feedback_blind_*.jsonl
    scripts/bench fit_feedback_head --write    fit anew and write src/plaudit/scoring/heads/

The turns it is fitted on (benchmarks/data/feedback_turns.jsonl and feedback_talk.jsonl) are neither
shots nor examples; the blind sets were written apart from them and are never fitted on. All labels
are the authors'. Beside each figure stands the lexicon alone: the sentiment of the follow-up.
"""

import argparse
import asyncio
import math
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from plaudit._util.aio import for_each
from plaudit.engines.base import Completion
from plaudit.engines.load import load_engine
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import JudgeConfig
from plaudit.judges.feedback import REWARDS, polarity, sentiment
from plaudit.judges.load import bind
from plaudit.runs.cached import CachedClient, CachePolicy, SampleClient
from plaudit.scoring.calibration import Platt
from plaudit.scoring.head import Head, likeliest, look, plain_token
from plaudit.sending.pool import Pool, SendPolicy
from plaudit.store.store import Store

ROOT = Path(__file__).parents[1]
DATA = ROOT / "benchmarks" / "data"
OUT = ROOT / "src" / "plaudit" / "scoring" / "heads" / "feedback.json"
FITTED = {"feedback_turns": 1.0, "feedback_talk": 1 / 3}
"""What a turn of each file weighs; the second covers few kinds of turn, with many turns each."""
VIEW, FLOOR, SUPPORT = 256, -12.0, 0.1
STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)
TILT = 2.5
"""Set, not fitted: by how much the logit of a reaction of reward 1 rises with sentiment 1.

The turns say with more than sentiment what they mean, since they were written for this judge; they
alone would give it no weight. On dialogues of others' users a lexicon adds much, and here the
labels stay as right up to about this weight.
"""
Array = NDArray[np.float64]
Row = dict[str, Any]
Distribution = dict[str, float]


def rows(path: Path) -> list[Row]:
    """Read labelled turns."""
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


async def ask(task: BaseJudge, found: list[Row], store: Store) -> list[Completion]:
    """Return the embedded model's replies, kept between runs in a store of their own."""
    pool = Pool(load_engine("local"), SendPolicy())
    client = CachedClient(pool, task.identity, store, CachePolicy())
    replies: list[Completion | None] = [None] * len(found)

    async def one(numbered: tuple[int, Row]) -> None:
        number, row = numbered
        (sample,) = task.read_row(row, number)
        request = msgspec.structs.replace(task.render(sample), logprobs=VIEW, keep=VIEW)
        replies[number] = await SampleClient(client)(request)

    await for_each(one, enumerate(found), 50)
    return [reply for reply in replies if reply is not None]


def vocabulary(replies: list[Completion]) -> tuple[str, ...]:
    """Return the token texts that enough replies show."""
    counts = Counter(
        text for r in replies for text in {plain_token(c.token) for c in r.logprobs or ()}
    )
    least = max(2, SUPPORT * len(replies))
    return tuple(sorted(text for text, count in counts.items() if count >= least and text))


def features(replies: list[Completion], tokens: tuple[str, ...]) -> Array:
    """Return a row a reply: log-probabilities of the vocabulary, as the head reads them."""
    table = np.empty((len(replies), len(tokens)))
    for row, reply in zip(table, replies, strict=True):
        seen = look(reply, tokens, VIEW, FLOOR)
        row[:] = seen.most
        for place, value in seen.shown.items():
            row[place] = value
    return table


def heard(found: list[Row]) -> Array:
    """Return the sentiment of each turn's follow-up, as the head hears it."""
    return np.array([sentiment(row["answer"], row["follow_up"])["sentiment"] for row in found])


def evened(truth: NDArray[np.int_], weights: Array) -> Array:
    """Return weights by which each label counts the same."""
    counts = np.bincount(truth, weights=weights)
    return weights * (counts.mean() / counts)[truth]


def held_out(table: Array, truth: NDArray[np.int_], weights: Array, strength: float) -> Array:
    """Return each turn's probabilities by a model that was fitted on the other folds."""
    held = np.empty((len(truth), truth.max() + 1))
    for rest, fold in StratifiedKFold(10, shuffle=True, random_state=0).split(table, truth):
        model = LogisticRegression(C=strength, max_iter=10_000)
        model.fit(table[rest], truth[rest], sample_weight=weights[rest])
        held[fold] = model.predict_proba(table[fold])
    return held


def strongest(table: Array, truth: NDArray[np.int_], weights: Array) -> tuple[float, Array]:
    """Return the regularisation of least log loss on folds held out, and what it gives there."""
    best = (math.inf, 0.0, np.empty(0))
    for strength in STRENGTHS:
        held = held_out(table, truth, weights, strength)
        losses = -np.log(held[np.arange(len(truth)), truth])
        loss = float(np.average(losses, weights=weights))
        right = float(np.average(held.argmax(1) == truth, weights=weights))
        print(f"C={strength:<5} held-out log loss {loss:.3f}, labels right {right:.3f}", flush=True)
        best = min(best, (loss, strength, held), key=lambda item: item[0])
    return best[1], best[2]


def tilted(held: Array, sounds: Array, pull: Array) -> Array:
    """Return probabilities whose logits are moved by sentiment, as far as each label is worth."""
    odds = held * np.exp(sounds[:, None] * pull)
    return odds / odds.sum(1, keepdims=True)


def fit(
    task: BaseJudge,
    found: list[Row],
    replies: list[Completion],
    weights: Array,
    probes: list[Completion],
) -> tuple[Head, list[Distribution]]:
    """Fit a head, calibrated on folds held out; also return what those folds got."""
    tokens = vocabulary(replies)
    truth = np.array([task.labels.index(row["label"]) for row in found])
    table, sounds = features(replies, tokens), heard(found)
    centre = table.mean(0)
    weights = evened(truth, weights)
    strength, held = strongest(table - centre, truth, weights)
    pull = TILT * np.array([REWARDS.get(label, 0.0) for label in task.labels])
    held = tilted(held, sounds, pull)
    model = LogisticRegression(C=strength, max_iter=10_000)
    model.fit(table - centre, truth, sample_weight=weights)
    raw = np.clip(held.max(1), 1e-9, 1 - 1e-9)
    platt = LogisticRegression(C=1e6).fit(
        np.log(raw / (1 - raw)).reshape(-1, 1), held.argmax(1) == truth, sample_weight=weights
    )
    bias = model.intercept_ - model.coef_ @ centre
    head = Head(
        prompt=task.prompt.digest,
        model=task.identity,
        view=VIEW,
        floor=FLOOR,
        labels=list(task.labels),
        tokens=list(tokens),
        weights=[[float(f"{w:.4g}") for w in row] for row in model.coef_],
        cues={"sentiment": pull.tolist()},
        bias=[float(f"{b:.6g}") for b in bias],
        reference=[likeliest(reply) for reply in probes],
        samples=len(found),
        calibration=Platt(
            slope=round(float(platt.coef_[0, 0]), 4),
            intercept=round(float(platt.intercept_[0]), 4),
            samples=len(found),
        ),
    )
    return head, [dict(zip(task.labels, row, strict=True)) for row in held.tolist()]


def read(head: Head, found: list[Row], replies: list[Completion]) -> list[Distribution]:
    """Return what a head says of turns."""
    return [
        head.distribution(y, sentiment(x["answer"], x["follow_up"]))
        for x, y in zip(found, replies, strict=True)
    ]


def measure(name: str, head: Head, found: list[Row], table: list[Distribution]) -> dict[str, Any]:
    """Return and print what distributions are worth on labelled turns, with bootstrap intervals."""
    labels = [row["label"] for row in found]
    lexicon = np.array([polarity(row["follow_up"]) for row in found])
    guess = [max(p, key=p.__getitem__) for p in table]
    right = np.array([a == b for a, b in zip(guess, labels, strict=True)])
    sure = np.array([head.calibration.apply(max(p.values())) for p in table])
    reward = np.array([expected(p) for p in table])
    kind = np.array([1 if x == "pos_praise" else 0 if x.startswith("neg") else -1 for x in labels])
    ok = (sure >= 0.6) & (np.array(guess) != "topic_shift")
    draw = np.random.default_rng(0)
    picks = [draw.integers(0, len(labels), len(labels)) for _ in range(2000)]
    result = {
        "set": name,
        "turns": len(labels),
        "labels_right": float(right.mean()),
        "labels_right_95": np.percentile([right[i].mean() for i in picks], [2.5, 97.5]).tolist(),
        "auc": auc(kind, reward),
        "auc_95": np.nanpercentile([auc(kind[i], reward[i]) for i in picks], [2.5, 97.5]).tolist(),
        "lexicon_auc": auc(kind, lexicon),
        "lexicon_auc_95": np.nanpercentile(
            [auc(kind[i], lexicon[i]) for i in picks], [2.5, 97.5]
        ).tolist(),
        "mean_confidence": float(sure.mean()),
        "ece": ece(sure, right),
        "brier": float(((sure - right) ** 2).mean()),
        "ok_share": float(ok.mean()),
        "ok_right": float(right[ok].mean()) if ok.any() else None,
    }
    low, high = result["labels_right_95"]
    print(
        f"{name:20s} n={len(labels):3d} labels right {right.mean():.3f} [{low:.2f}, {high:.2f}] "
        f"AUC {result['auc']:.3f} [{result['auc_95'][0]:.2f}, {result['auc_95'][1]:.2f}] "
        f"lexicon {result['lexicon_auc']:.3f} "
        f"confidence {sure.mean():.3f} ECE {result['ece']:.3f} Brier {result['brier']:.3f} "
        f"ok {ok.mean():.2f}, right {result['ok_right']:.2f}"
    )
    return result


def expected(probabilities: dict[str, float]) -> float:
    """Return the expected reward, `topic_shift` left out."""
    weight = sum(probabilities[label] for label in REWARDS)
    return sum(probabilities[label] * REWARDS[label] for label in REWARDS) / weight


def auc(kind: NDArray[np.int_], reward: Array) -> float:
    """Return how well the reward tells praise (1) from negative reactions (0)."""
    chosen = kind >= 0
    if len(set(kind[chosen])) < 2:
        return math.nan
    return float(roc_auc_score(kind[chosen], reward[chosen]))


def ece(sure: Array, right: NDArray[np.bool_], bins: int = 10) -> float:
    """Return the expected calibration error over bins of equal width (Naeini et al. 2015)."""
    places = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [
        abs(sure[places == b].mean() - right[places == b].mean()) * (places == b).mean()
        for b in range(bins)
        if (places == b).any()
    ]
    return float(sum(gaps))


def main() -> None:
    """Fit where asked to, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="fit anew and write the head")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    options = parser.parse_args()
    task = asyncio.run(bind(JudgeConfig(kind="feedback"), load_engine("local")))
    names = [*FITTED, *(p.stem for p in sorted(DATA.glob("feedback_blind_*.jsonl")))]
    sets = {name: rows(DATA / f"{name}.jsonl") for name in names}
    sets["examples"] = rows(ROOT / "examples" / "feedback.jsonl")
    probes = rows(ROOT / "src/plaudit/prompts/pools/feedback.prior.jsonl")
    with Store(ROOT / "build" / "bench" / "fit.sqlite") as store:
        replies = {n: asyncio.run(ask(task, found, store)) for n, found in sets.items()}
        probed = asyncio.run(ask(task, probes, store))
    results: list[dict[str, Any]] = []
    if options.write:
        whole = [row for name in FITTED for row in sets[name]]
        weights = np.array([w for name, w in FITTED.items() for _ in sets[name]])
        answered = [reply for name in FITTED for reply in replies[name]]
        head, held = fit(task, whole, answered, weights, probed)
        OUT.write_bytes(msgspec.json.encode([head]) + b"\n")
        print(f"{OUT}: {len(head.tokens)} tokens, {OUT.stat().st_size} bytes")
        for name in FITTED:
            part, held = held[: len(sets[name])], held[len(sets[name]) :]
            results.append(measure(f"{name}, folds", head, sets[name], part))
    (head,) = msgspec.json.decode(OUT.read_bytes(), type=list[Head])
    for name, found in sets.items():
        if name not in FITTED:
            results.append(measure(name, head, found, read(head, found, replies[name])))
    if options.json:
        Path(options.json).write_bytes(msgspec.json.format(msgspec.json.encode(results)))


if __name__ == "__main__":
    main()
