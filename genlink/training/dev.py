"""The dev score that chooses a model: real linking, shared out among the processes."""

from __future__ import annotations

from accelerate import Accelerator
from accelerate.utils import gather_object

from genlink.config import DevConfig
from genlink.errors import CorpusError
from genlink.evaluation import PRESETS, score_outcomes, to_record
from genlink.linkers.base import Linker
from genlink.training.materials import corpus_mentions

__all__ = ["DevScorer"]


class DevScorer:
    """Acc@1 under the preset ``angel`` by linking the dev mentions, shared out among the processes."""

    def __init__(self, config: DevConfig, linker: Linker, accelerator: Accelerator) -> None:
        mentions = corpus_mentions([config.corpus], config.types, PRESETS["angel"].preprocessing)
        keys = sorted({m.key for m in mentions if any(map(linker.kb.resolve, m.gold_ids))})
        if not keys:
            raise CorpusError(f"{config.corpus}: no dev mention has a gold concept in the dictionary.")
        if config.limit is not None and config.limit < len(keys):
            keys = [keys[i * len(keys) // config.limit] for i in range(config.limit)]
        # Parts of a split composite stay together: they are judged together.
        mine = set(keys[accelerator.process_index :: accelerator.num_processes])
        self._mentions = [m for m in mentions if m.key in mine]
        self._linker = linker

    def __call__(self) -> float:
        records = [to_record(prediction, self._linker.kb) for prediction in self._linker.link(self._mentions, k=1)]
        outcomes, _ = score_outcomes(records, PRESETS["angel"])
        # Every process has its own mentions; the score is that of all of them.
        judged = gather_object([(sum(o.rank <= 1 for o in outcomes), len(outcomes))])
        return float(sum(right for right, _ in judged) / sum(n for _, n in judged))
