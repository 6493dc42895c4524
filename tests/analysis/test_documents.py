"""A run as the document that scripts read."""

import json
from dataclasses import replace

from cifar_core.analysis.documents import as_json, run_document
from tests.analysis.made_up import make_run


def test_the_document_of_a_run_has_what_people_wrote_and_what_every_phase_did() -> None:
    run, (first, last) = make_run()
    run = replace(run, note="why", tags=("mine",), person="Ada", resumed=1)
    last = replace(last, features="Stored features.", features_seconds=1.5, features_of_others=True, kept_epoch=2)
    found = json.loads(as_json(run_document(run, [replace(first, reused_from="other"), last])))
    assert [found[name] for name in ("note", "tags", "person", "resumed")] == ["why", ["mine"], "Ada", 1]
    assert [phase["reused_from"] for phase in found["phases"]] == ["other", None]
    own = {name: found["phases"][1][name] for name in ("features", "features_seconds", "features_of_others")}
    assert own == {"features": "Stored features.", "features_seconds": 1.5, "features_of_others": True}
    assert found["phases"][1]["kept_epoch"] == 2 and found["phases"][1]["changes"]
