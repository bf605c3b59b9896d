"""`python -m pondera.evidence` measures the tables of docs/printed-wrong.md and prints them as Markdown."""

from __future__ import annotations

from pondera.evidence.printed import FORMULAS, penalty_on_predictions, printed_formulas


def main() -> None:
    """Print both tables; a minute on one core."""
    print("| as printed | mean | std | accuracy, 3 layers | 10 layers | what it is |")
    print("|---|---|---|---|---|---|")
    for name, cost in printed_formulas().items():
        formula = FORMULAS[name]
        reached = [
            "diverged" if score != score else f"{score:.1%}" for score in (cost.shallow, cost.deep)
        ]
        print(
            f"| {formula.text} | {cost.mean:+.3f} | {cost.std:.3f} | {reached[0]} | {reached[1]} "
            f"| {formula.where} |"
        )
    print("\n| penalty | weights that are 0 | Σ\\|w\\| | mean \\|ŷ\\| | training error |")
    print("|---|---|---|---|---|")
    names = {
        "none": "none",
        "weights": "0.2·Σ\\|w\\|",
        "predictions": "0.2·mean \\|ŷ\\|",
    }
    for where, found in penalty_on_predictions().items():
        print(
            f"| {names[where]} | {found.zeros} of 10 | {found.weights:.3f} "
            f"| {found.predictions:.3f} | {found.error:.3f} |"
        )


if __name__ == "__main__":
    main()
