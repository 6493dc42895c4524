"""The child process of a run: reads one job, does it, writes what it measures into the store.

`python -m cifar_core.worker` imports TensorFlow and then waits for one line of JSON on standard input:
{"home", "run", "owner", "claimed_at"}. Standard input stays open as long as the supervisor lives; its end means
that nobody is there any more, so the worker keeps what it has, marks the run interrupted and exits.

A line with "inspect" is a page's question instead (`cifar_core.runs.inspect`), answered with a file of arrays.
"""
