"""The app process holds all of this beside Streamlit: what it may import is limited."""

import subprocess
import sys

SCRIPT = """
import sys
import numpy
from cifar_core.analysis import answers, comparison, curves, figures, inside, metrics, published, samples, verdict
from cifar_core.analysis.predictions import Predictions
found = Predictions(numpy.eye(2), numpy.array([0, 1]), numpy.arange(2), ("cat", "dog"))
metrics.confusion(found), metrics.per_class(found), samples.hierarchy(metrics.confusion(found))
metrics.measure(found, {row.name: 0.5 for row in metrics.METRICS})
print(sorted({"tensorflow", "keras", "streamlit", "matplotlib", "sklearn", "scipy"} & sys.modules.keys()))
"""


def test_showing_what_was_measured_needs_no_scikit_learn_and_nothing_loads_keras_or_streamlit() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]"]
