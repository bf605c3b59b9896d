"""Write skglm.json: prox and optimality gap of skglm 0.5, for test_penalties_exact.py.

Run by hand where skglm is installed: python tests/vectors/make_skglm.py > tests/vectors/skglm.json
"""

import json
import sys

import numpy as np
import skglm
from skglm import penalties as sk
from skglm.utils.prox_funcs import BST

rng = np.random.default_rng(20240501)
w = np.round(rng.standard_normal(40) * np.exp(rng.uniform(-2, 1.5, 40)), 6)
w[:4] = [0.0, 0.35, -0.35, 2.0]
gradient = np.round(rng.standard_normal(40) * 2, 6)
everything = np.arange(40)


def record(name: str, arguments: dict, penalty: object, step: float) -> dict:
    prox = [penalty.prox_1d(one, step, j) for j, one in enumerate(w)]
    gap = penalty.subdiff_distance(w, gradient, everything)
    value = penalty.value(w)
    return {
        "penalty": name, "arguments": arguments, "step": step, "value": value,
        "prox": [float(x) for x in prox], "gap": [float(x) for x in gap],
    }  # fmt: skip


records = []
for step in (0.3, 1.0, 1.7):
    records += [
        record("L1", {"strength": 0.7}, sk.L1(0.7), step),
        record("ElasticNet", {"l1": 0.56, "l2": 0.07}, sk.L1_plus_L2(0.7, 0.8), step),
        record("LHalf", {"strength": 0.7}, sk.L0_5(0.7), step),
        record("MCP", {"strength": 0.7, "gamma": 2.5}, sk.MCPenalty(0.7, 2.5), step),
        record("SCAD", {"strength": 0.7, "knot": 3.7}, sk.SCAD(0.7, 3.7), step),
        record("Box", {"low": 0.0, "high": 0.9}, sk.IndicatorBox(0.9), step),
    ]
blocks = [
    {"step": step, "prox": [BST(g, 0.7 * step).tolist() for g in w.reshape(8, 5)]}
    for step in (0.3, 1.0, 1.7)
]
json.dump(
    {"skglm": skglm.__version__, "w": w.tolist(), "gradient": gradient.tolist(),
     "records": records, "group_strength": 0.7, "blocks": blocks},
    sys.stdout, separators=(",", ":"),
)  # fmt: skip
