"""Entity linking as a metric of the ``evaluate`` library; works offline.

    metric = evaluate.load("genlink/evaluation/entity_linking")
    metric.compute(predictions=[["D001943", "D061325"]], references=[["D061325"]])

The policies of GenLink need more than ids (``genlink.evaluation``): here each answer is a plain ranked list of ids, and
right if it is one of the accepted.
"""

# The library reads these lines as text to see what the metric needs, and understands one package a line.
import datasets
import evaluate

from genlink.metrics import accuracy_at_k, mean_reciprocal_rank

__all__ = ["EntityLinking"]

_DESCRIPTION = "Accuracy at k and mean reciprocal rank of ranked concept ids against sets of accepted ids."
_INPUTS = """
Args:
    predictions: for each mention its concept ids, best first; may be empty.
    references: for each mention the accepted concept ids.
    k: the places to give the accuracy at; 1 and 5 if left out.
Returns:
    acc@k for each k, and mrr: shares in [0, 1].
"""


class EntityLinking(evaluate.Metric):  # type: ignore[misc]
    """Acc@k and MRR of plain ranked lists."""

    def _info(self) -> evaluate.MetricInfo:
        ids = datasets.List(datasets.Value("string"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": ids, "references": ids}),
        )

    def _compute(
        self, predictions: list[list[str]], references: list[list[str]], k: tuple[int, ...] = (1, 5)
    ) -> dict[str, float]:
        ranks = [
            next((rank for rank, answer in enumerate(answers, start=1) if answer in accepted), float("inf"))
            for answers, accepted in zip(predictions, references, strict=True)
        ]
        return {**{f"acc@{place}": accuracy_at_k(ranks, place) for place in k}, "mrr": mean_reciprocal_rank(ranks)}
