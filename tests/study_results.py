"""Results of a study, made by hand: what `pondera.report` is given in its tests."""

import copy

HOSTILE = "</script><b onclick='x'>\"{{7*7}}[red]\\"
STEPS = [0, 5, 10]


def layer(depth, signal, spread, gradient, *, dead=0.25):
    return {
        "depth": depth,
        "name": f"layers.{depth - 1}",
        "kind": "linear",
        "shape": [10, 64],
        "signal_rms": signal,
        "signal_spread": spread,
        "gradient_rms": gradient,
        "dead": dead,
    }


def run(seed, score, losses):
    diverged_at = 5 if score is None else None
    return {
        "seed": seed,
        "test_score": score,
        "train_loss": losses[-1],
        "diverged_at": diverged_at,
        "losses": losses,
    }


def entry(title, scores, losses, *, status="ran", why=""):
    """One start of the race; a score of None is a run that diverged."""
    finished = sorted(score for score in scores if score is not None)
    ran = status == "ran"
    return {
        "title": title,
        "law": "N(0, 2/fan_in)",
        "source": "He et al. 2015, eq. 10",
        "status": status,
        "why": why,
        "grid": [
            {"rate": 0.002, "score": finished[0] if ran else None, "diverged_at": None},
            {"rate": 0.01, "score": None, "diverged_at": 3},
        ],
        "rate": 0.002 if ran else None,
        "rate_at_edge": ran,
        "runs": [run(1001 + place, score, losses) for place, score in enumerate(scores)],
        "median": finished[len(finished) // 2] if ran else None,
        "low": finished[0] if ran else None,
        "high": finished[-1] if ran else None,
        "coverage": 0.96875 if ran else None,
    }


def look(layers):
    return {
        "initial_loss": 2.31,
        "chance_loss": 2.302585,
        "layers": layers,
        "words": ["The signal falls."],
    }


def small():
    """Three starts: one that ran, one with a hostile name that diverged, one that won."""
    lost = entry(HOSTILE, [None] * 3, [2.3, None, None], status="diverged", why="<i>too large</i>")
    return {
        "schema": 1,
        "pondera": "0.1.0",
        "versions": {"python": "3.12.1", "numpy": "2.1.0", "torch": "2.13.0"},
        "setting": {
            "model": "<script>alert(1)</script>",
            "model_summary": "Sequential, 6 parameter tensors, 12,986 numbers",
            "data": "embedded: scikit-learn digits",
            "parameters": 12986,
            "weights": 3,
            "input_shape": [64],
            "outputs": 10,
            "task": "classification",
            "rows": {"train": 1149, "validation": 288, "test": 360},
            "optimizer": "sgd, momentum 0.9",
            "batch_size": 64,
            "steps": 10,
            "rates": [0.002, 0.01],
            "fresh_seeds": [1001, 1002, 1003],
            "seed": 0,
            "curve_steps": STEPS,
            "score": "accuracy",
            "chance": {"loss": 2.302585, "score": 0.1},
        },
        "looks": {
            "default": look([layer(1, 0.5, 0.4, 0.0), layer(2, 5e-3, 4e-6, 1e-3, dead=None)]),
            HOSTILE: look([layer(1, 2.0, 1.0, None), layer(2, None, None, 1e9)]),
            "mirrored": look([layer(1, 0.5, 0.4, 1e-3), layer(2, 0.52, 0.38, 1.1e-3)]),
        },
        "race": {
            "default": entry("PyTorch default", [0.09, 0.1, None], [2.3, 2.3, 2.3]),
            HOSTILE: lost,
            "mirrored": entry("Mirrored", [0.9, 0.93, 0.95], [2.3, 0.5, 0.01]),
        },
        "answer": {
            "winner": "mirrored",
            "against": "default",
            "gain": {"median": 0.83, "low": 0.8, "high": 0.85, "coverage": 0.96875},
            "tied": [],
            "headline": "Start it mirrored <b>now</b>.",
            "claims": ["Mirrored gains 0.83."],
            "not_claimed": ["That it wins elsewhere."],
            "snippet": "# </script>\nimport pondera\n",
        },
        "times": {"seconds": 75.2, "runs": 9},
    }


def one():
    """A single start, and so no winner."""
    result = small()
    for part in ("looks", "race"):
        result[part] = {"mirrored": result[part]["mirrored"]}
    result["answer"] |= {"winner": None, "gain": None, "tied": []}
    return result


def many():
    """Twenty starts of a network with a thousand layers."""
    result = small()
    deep = [layer(depth, 0.99**depth, 0.98**depth, 1.01**depth) for depth in range(1, 1001)]
    names = [f"start {place}" for place in range(20)]
    winner = result["race"]["mirrored"]
    result["looks"] = {name: look(deep) for name in names}
    result["race"] = {name: copy.deepcopy(winner) | {"title": name.title()} for name in names}
    result["answer"] |= {"winner": "start 3", "against": "start 0"}
    return result


def lost():
    """Every start diverged, and no number of any look is finite."""
    result = small()
    for key, arm in result["race"].items():
        result["race"][key] = entry(arm["title"], [None] * 3, [None] * 3, status="diverged")
        result["looks"][key] = look([layer(depth, None, None, None) for depth in (1, 2)])
    result["answer"] |= {"winner": None, "gain": None, "claims": []}
    return result


def regression():
    """Scores are R², one of them hopeless; the loss is the user's own and negative."""
    result = small()
    result["setting"] |= {
        "task": "regression",
        "score": "R²",
        "outputs": 1,
        "chance": {"loss": -0.5, "score": 0.0},
    }
    result["race"]["default"] = entry("PyTorch default", [-3000.0, -2.0, 0.1], [-0.5, -0.6, -0.7])
    return result


def point(strength, held, *, train=1.0, zeros=0.0):
    """One point of a path; held is the validation score."""
    return {
        "strength": strength,
        "train": train,
        "validation": held,
        "test": None if held is None else held - 0.01,
        "standard_error": 0.02,
        "zeros": zeros,
    }


def bound(title, points, tests, *, chosen, train=1.0):
    """One bound of the second half; a test score of None is a path that diverged."""
    finished = sorted(test for test in tests if test is not None)
    named, end = any(at["strength"] for at in points), points[chosen]
    return {
        "title": title,
        "law": "loss + λ·Σ|w|",
        "source": "Tibshirani 1996" if named else "",
        "points": points,
        "chosen": chosen,
        "strength": end["strength"] if named else None,
        "refitted": bool(end["zeros"]),
        "zeros": end["zeros"],
        "gap": 0.0 if not finished else train - finished[len(finished) // 2],
        "runs": [
            {"seed": seed}
            if test is None
            else {"seed": seed, "strength": 0.1, "train": train, "test": test, "zeros": 0.0}
            for seed, test in enumerate(tests, 1001)
        ],
        "median": finished[len(finished) // 2] if finished else None,
        "low": finished[0] if len(finished) == len(tests) else None,
        "high": finished[-1] if finished else None,
        "coverage": 0.75,
    }


def half(arms, winner, gain, *, strength=0.01):
    """The second half of a study."""
    return {
        "setting": {
            "start": "mirrored",
            "rate": 0.002,
            "seeds": [1001, 1002, 1003],
            "rows": 200,
            "first_steps": 10,
            "steps_each": 2,
        },
        "arms": arms,
        "answer": {
            "winner": winner,
            "strength": strength,
            "gain": gain,
            "headline": "Bound it <u>hard</u>.",
            "claims": ["L1 leaves half of it."],
            "not_claimed": ["That more rows need it."],
            "snippet": "import pondera\nbounds = pondera.L1(0.01)\n",
        },
    }


def bounded():
    """`small` with its second half: no bound, L2 that makes no zeros, and a hostile name that won."""
    level = [point(0.0, held) for held in (0.8, 0.8, 0.79, 0.78)]
    first = level[0]
    smooth = [first, point(0.001, 0.81), point(0.01, 0.82), point(0.1, 0.5, train=0.6)]
    sparse = [first, point(0.001, 0.8), point(0.01, 0.85, zeros=0.5), point(0.1, 0.1, zeros=0.9)]
    arms = {
        "none": bound("no bound", level, [0.76, 0.77, 0.78], chosen=3),
        "l2": bound("L2, in the loss", smooth, [0.78, 0.8, 0.81], chosen=2, train=0.95),
        "l1": bound(HOSTILE, sparse, [0.83, 0.84, 0.85], chosen=2, train=0.9),
    }
    gain = {"median": 0.07, "low": 0.06, "high": 0.08, "coverage": 0.75}
    return small() | {"bounds": half(arms, "l1", gain)}


def broken():
    """Paths that diverged: from some strength on, in some runs, or altogether; nothing won."""
    gone = {"strength": 0.1}
    arms = {
        "none": bound("no bound", [point(0.0, 0.8)] * 3, [0.7, 0.71, None], chosen=2),
        "l2": bound("L2", [point(0.0, 0.8), point(0.01, None), gone], [0.7] * 3, chosen=0),
        "l1": bound("L1", [point(0.0, None), gone], [None] * 3, chosen=0),
    }
    return small() | {"bounds": half(arms, "none", None, strength=None)}


def unbounded_regression():
    """R² on few rows is hopeless without a bound, and the strongest one tried is chosen."""
    level = [point(0.0, -40.0)] * 2
    arms = {
        "none": bound("no bound", level, [-3000.0, -1.0, 0.2], chosen=1),
        "decay": bound("decay", [level[0], point(3e-05, 0.3)], [0.3, 0.31, 0.32], chosen=1),
    }
    gain = {"median": None, "low": None, "high": 0.1, "coverage": 0.75}
    return regression() | {"bounds": half(arms, "decay", gain)}


SHAPES = {
    "small": small,
    "one": one,
    "many": many,
    "lost": lost,
    "regression": regression,
    "bounded": bounded,
    "broken": broken,
    "unbounded regression": unbounded_regression,
}
