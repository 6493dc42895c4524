"""How many steps Keras executes at once: calls between Python and TensorFlow cost as much as a small step."""

SECONDS = 0.2
"""An execution may take so long: after each, the callbacks report, and hear of a request to stop."""
MOST = 32
"""More at once saves nothing that could be measured."""


def steps_per_execution(seconds_per_step: float, steps: int, *, by_step: bool = False) -> int:
    """Return how many of an epoch's `steps` to execute at once.

    The training is the same for any number: the steps are, and what a callback hears are means since the epoch began.
    `by_step` is for callbacks that act before each step, as a learning rate does that changes by step.
    """
    if by_step:
        return 1
    return max(1, min(MOST, steps, int(SECONDS / max(seconds_per_step, 1e-9))))
