"""What a method says of held-out data: the bound, importance weights, the exact value, each in bits with its error.

`measure` is for a method at hand; `score` gives K alone. Both keep the values of single data behind their figures.
`parzen_score` is for comparison with figures published before 2016 alone.
"""

from dpm_ppl.evaluation.evaluation import Files, Keys, Particles, evaluate, measure
from dpm_ppl.evaluation.importance_scores import ImportanceScores, importance_weights, summarise
from dpm_ppl.evaluation.measured import Measured
from dpm_ppl.evaluation.parzen import ParzenScore, parzen_log_density, parzen_score
from dpm_ppl.evaluation.scores import Scores, score

__all__ = [
    "Files",
    "ImportanceScores",
    "Keys",
    "Measured",
    "Particles",
    "ParzenScore",
    "Scores",
    "evaluate",
    "importance_weights",
    "measure",
    "parzen_log_density",
    "parzen_score",
    "score",
    "summarise",
]
