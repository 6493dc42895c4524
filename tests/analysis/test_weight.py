"""The app process holds all of this beside Streamlit: what it may import is limited."""

import subprocess
import sys

SCRIPT = """
import sys
from cifar_core.analysis import answers, comparison, curves, figures, verdict
print(sorted({"sklearn", "scipy"} & sys.modules.keys()))
from cifar_core.analysis import metrics
unwanted = {"tensorflow", "keras", "streamlit", "matplotlib", "sklearn.linear_model", "sklearn.ensemble"}
print(sorted(unwanted & sys.modules.keys()))
"""


def test_only_metrics_load_scikit_learn_and_nothing_loads_keras_streamlit_or_models() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]
