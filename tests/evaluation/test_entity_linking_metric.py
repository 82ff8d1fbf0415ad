"""The metric of the ``evaluate`` library, loaded from its folder with no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "genlink" / "evaluation" / "entity_linking"

CODE = f"""
import json
import evaluate
metric = evaluate.load({str(FOLDER)!r})
predictions, references = [["a", "b"], ["c"], []], [["b"], ["c", "d"], ["e"]]
scores = [metric.compute(predictions=predictions, references=references)]
scores.append(metric.compute(predictions=predictions, references=references, k=[2]))
print(json.dumps(scores))
"""


def test_evaluate_loads_the_folder_offline(tmp_path):
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    first, second = json.loads(done.stdout)
    # The right answers stand at 2, at 1 and nowhere.
    assert first == {"acc@1": 1 / 3, "acc@5": 2 / 3, "mrr": 0.5}
    assert second == {"acc@2": 2 / 3, "mrr": 0.5}
