"""What an import refuses rather than guesses: labels of unknown meaning, scans in two parts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from alnb.dataset.slices import Part, SliceId
from alnb.dataset.split import shared_scans
from alnb.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class LabelGate:
    """Lets masks through whose labels have a known meaning.

    Parameters
    ----------
    infected : collection of int or None
        The labels that are infected; all others become background. None: the masks decide.
    known : collection of int or None
        Where the masks decide, the labels that they may hold, all of them infected; None: any
        label, but only one besides 0, since of two one may be the lung.

    Raises
    ------
    DataError
        If a label is none, or is 0, which is background.
    """

    def __init__(
        self, infected: Collection[int] | None = None, known: Collection[int] | None = None
    ) -> None:
        wrong = [label for label in infected or () if not 0 < label < 256]
        if wrong or (infected is not None and not infected):
            raise DataError(
                f"--infected {listed(infected or ())}: labels are whole numbers in 1…255, and 0 "
                "is background. Name those that are infected, as in --infected 1,2."
            )
        self._infected = infected
        self._known = known
        self._found: set[int] = set()

    def admit(self, scan: str, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the mask of a scan with its infected labels alone.

        Parameters
        ----------
        scan : str
            Its name, for the sentence.
        labels : (Z, Y, X) uint8 array

        Returns
        -------
        (Z, Y, X) uint8 array
            The same, but that labels which are not infected are 0.

        Raises
        ------
        DataError
            If the masks so far hold a label of which no one said what it means.
        """
        counts = sum(np.bincount(one.ravel(), minlength=256) for one in labels)  # slices: small
        here = set(np.flatnonzero(counts).tolist()) - {0}
        self._found |= here
        if self._infected is not None:
            kept = np.zeros(256, np.uint8)
            kept[list(self._infected)] = list(self._infected)
            return kept[labels]
        if self._known is not None and not here <= set(self._known):
            raise DataError(
                f"scan {scan}: its mask holds {listed(here - set(self._known))}, where this "
                f"dataset's masks hold {listed(self._known)}. Check that these are its infection "
                "masks, or say which labels are infected with --infected."
            )
        if self._known is None and len(self._found) > 1:
            raise DataError(
                f"scan {scan}: with its mask there are the labels {listed(self._found)}, and "
                "some may not be infection. Name those that are with --infected LABEL,LABEL; the "
                "others become background."
            )
        return labels

    def notes(self) -> list[str]:
        """Say what became of the labels, once all masks are through.

        Raises
        ------
        DataError
            If no mask holds a label that was said to be infected.
        """
        if self._infected is None:
            return []
        if self._found and not self._found & set(self._infected):
            raise DataError(
                f"--infected {listed(self._infected)}: no mask holds such a label; they hold "
                f"{listed(self._found)}. Correct it."
            )
        left = self._found - set(self._infected)
        became = f"; labels {listed(left)} became background" if left else ""
        return [f"infected are labels {listed(self._infected)}, as told{became}."]


def check_shared(split: object, parts: Mapping[SliceId, Part], *, allowed: bool) -> None:
    """Refuse a split by name that deals slices of one scan to different parts.

    The paper's ``mixed`` does so on purpose, and the dataset's notes say it.

    Raises
    ------
    DataError
        If it does, and that is not allowed.
    """
    shared = shared_scans(parts)
    if shared and split != "mixed" and not allowed:
        raise DataError(
            f"the split puts slices of scan {some(shared)} into more than one part, so that a "
            "patient would be learnt from and tested on. Deal whole scans, or allow it with "
            "--allow-shared-scans."
        )


def listed(labels: Collection[int]) -> str:
    """Write labels in order, the first five of many."""
    first = ",".join(str(label) for label in sorted(labels)[:5])
    return f"{first} and {len(labels) - 5} more" if len(labels) > 5 else first


def some(names: Collection[Any]) -> str:
    """Write names, the first three of many."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join([str(name) for name in names][:3]) + more
