"""Whether a run trained on the images that an experiment means, as they are by now."""

from dataclasses import dataclass

from cifar_core.experiment.measured import Run


@dataclass(frozen=True)
class ImagesNow:
    """What is known on this computer of the images at a `location`, as experiments name it.

    `fingerprint` is "" where they are there and wait to be prepared; `earlier` are the fingerprints of what was
    prepared from the same place before they changed.
    """

    location: str | None
    fingerprint: str = ""
    earlier: frozenset[str] = frozenset()

    def are_of(self, run: Run) -> bool:
        """Return whether a run, otherwise alike, trained or will train on these images.

        What cannot be told by fingerprints, as of a run that has not begun, is told by the location.
        """
        own = run.environment.get("fingerprint")
        if own and self.fingerprint:
            return bool(own == self.fingerprint)
        return run.experiment.data.location == self.location and own not in self.earlier
