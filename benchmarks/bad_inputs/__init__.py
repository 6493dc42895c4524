"""Give Transfer Lab thousands of broken and hostile inputs, and count those that it does not answer in a sentence.

`python -m benchmarks.bad_inputs --count 10000 --seed 0 --json`. Every kind of input has a generator (`kinds`). An
answer counts only if it is one of the product's own errors and names the field or the file; an input that turns out to
be usable is left out and another is drawn. Each kind runs in a process of its own, which an audit hook watches: none of
the inputs may start anything or connect anywhere.
"""
