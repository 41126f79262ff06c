"""Every partner of a few genes, sorted by the predicted interaction.

Legend: S = partners, R = runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from graphwright.errors import BundleError, DataError
from graphwright.tasks.genes.aliases import GeneNames
from graphwright.tasks.genes.partners import PartnerScores, cells_at_once
from graphwright.tasks.genes.scaled_model import ScaledModel
from graphwright.tasks.genes.state import gene_names

__all__ = ["Order", "Ranking", "load_genes_bundle", "rank_partners"]

Order = Literal["lowest", "highest", "strongest"]
_DIGITS = 6


@dataclass(frozen=True, eq=False, kw_only=True)
class Ranking:
    """Partners, the first one first.

    Attributes:
        shared: names of the genes that every set has.
        partner: `[S]` names.
        interaction: `[S]`, in the unit of the labels; the mean over the runs.
        sd: `[S]`, between the runs (n − 1); None for a single run.
        rejected: (name, reason) of partners that could not be predicted.
        seconds: that the predictions took, models and files already read.
    """

    shared: tuple[str, ...]
    partner: list[str]
    interaction: NDArray[np.float64]
    sd: NDArray[np.float64] | None
    rejected: list[tuple[str, str]]
    seconds: float

    def about(self) -> str:
        """One line for people."""
        rate = len(self.partner) / max(self.seconds, 1e-9)
        return (
            f"{len(self.partner):,} sets with {' and '.join(self.shared)} in "
            f"{self.seconds:.2f} s ({rate:,.0f} a second)"
        )

    def rows(self, top: int = 0) -> list[dict[str, Any]]:
        """The first `top` partners (0: all): rank, gene, interaction and sd."""
        shown = min(top, len(self.partner)) if top else len(self.partner)
        rows: list[dict[str, Any]] = []
        for i in range(shown):
            row: dict[str, Any] = {"rank": i + 1, "gene": self.partner[i]}
            row["interaction"] = float(self.interaction[i])
            rows.append(row if self.sd is None else row | {"sd": float(self.sd[i])})
        return rows

    def to_text(self, style: str, top: int = 0) -> str:
        """As `text` (aligned), `tsv` or `json`."""
        rows = self.rows(top)
        if style == "json":
            about = {"genes": list(self.shared), "sets": len(self.partner)}
            timing = {"seconds": self.seconds}
            rejected = [{"name": name, "reason": reason} for name, reason in self.rejected]
            return json.dumps({**about, **timing, "ranking": rows, "rejected": rejected})
        names = ["rank", "gene", "interaction", *(["sd"] if self.sd is not None else [])]
        if style == "tsv":
            lines = ["\t".join(str(row[name]) for name in names) for row in rows]
            return "\n".join(["\t".join(names), *lines])
        return _aligned(names, rows)


def rank_partners(
    runs: Sequence[Path],
    genes: Sequence[str],
    against: str | Sequence[str] = "all",
    *,
    order: Order = "lowest",
    data_root: Path = Path("data"),
) -> Ranking:
    """Predict a few genes together with each of many partners.

    Args:
        runs: runs or bundles that were trained on the same genes; several give a mean and an sd.
        genes: names of the shared genes; systematic ones, or others that the models know.
        against: "all" genes, a file with one name a line, names with commas between, or names.
        order: what is first: the lowest score, the highest, or the farthest from 0.
        data_root: where prepared data are kept.

    Raises:
        DataError: an unknown or repeated shared gene, or no partner that is known.
        BundleError: a run of another task, or of other genes.
    """
    bundles = [load_genes_bundle(run, data_root) for run in runs]
    _check_same_genes(runs, bundles)
    names = gene_names(bundles[0].state)
    shared = _shared(genes, names)
    partner_S, rejected = _partners(against, names, shared)
    began = time.perf_counter()
    score_RS = np.stack([_scores(bundle.model, shared, partner_S) for bundle in bundles])
    seconds = time.perf_counter() - began
    mean_S = score_RS.mean(0)
    sd_S = score_RS.std(0, ddof=1) if len(runs) > 1 else None
    keys = {"lowest": mean_S, "highest": -mean_S, "strongest": -np.abs(mean_S)}
    first = np.argsort(keys[order], kind="stable")
    return Ranking(
        shared=tuple(names.genes[place] for place in shared),
        partner=[names.genes[place] for place in partner_S[first].tolist()],
        interaction=mean_S[first],
        sd=None if sd_S is None else sd_S[first],
        rejected=rejected,
        seconds=seconds,
    )


def load_genes_bundle(run: Path, data_root: Path) -> Any:
    """The bundle of a run of this task.

    Raises:
        BundleError: there is none, or it is of another task.
    """
    from graphwright.training.bundle import load_bundle

    bundle = load_bundle(run, data_root)
    if not isinstance(bundle.model, ScaledModel):
        raise BundleError(f"this is a run of {bundle.task.config.task}, not of genes", where=run)
    return bundle


def _check_same_genes(runs: Sequence[Path], bundles: Sequence[Any]) -> None:
    for run, bundle in zip(runs, bundles, strict=True):
        if bundle.state["genes"] != bundles[0].state["genes"]:
            raise BundleError(
                f"this run has other genes than {runs[0]}",
                where=run,
                fix="name runs that were trained on the same networks",
            )


def _shared(genes: Sequence[str], names: GeneNames) -> list[int]:
    if not genes:
        raise DataError("no gene is given", fix="--genes G1 G2")
    found = [names.find(name) for name in genes]
    for one in found:
        if isinstance(one, str):
            raise DataError(one, where="--genes")
    places = [place for place in found if isinstance(place, int)]
    if len(set(places)) < len(places):
        raise DataError("a gene is given twice", where="--genes")
    return places


def _partners(
    against: str | Sequence[str], names: GeneNames, shared: Sequence[int]
) -> tuple[NDArray[np.int64], list[tuple[str, str]]]:
    """Places of the partners, each once and none of them shared, and the names that are none."""
    if against == "all":
        return np.setdiff1d(np.arange(len(names.genes)), shared), []
    texts = _texts(against) if isinstance(against, str) else list(against)
    found = [names.find(text) for text in texts]
    rejected = [(text, one) for text, one in zip(texts, found, strict=True) if isinstance(one, str)]
    known = np.array([one for one in found if isinstance(one, int)], np.int64)
    rejected += [
        (names.genes[place], "it is one of the genes that every set has")
        for place in np.intersect1d(known, shared).tolist()
    ]
    partner_S = np.setdiff1d(known, shared)
    if not len(partner_S):
        raise DataError(
            f"none of the {len(texts)} partners can be predicted",
            where="--against",
            fix=rejected[0][1] if rejected else "name some genes",
        )
    return partner_S, rejected


def _texts(against: str) -> list[str]:
    path = Path(against)
    if not path.is_file():
        return [name.strip() for name in against.split(",") if name.strip()]
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list of genes cannot be read: {error}", where=path) from None
    return [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]


def _scores(
    model: ScaledModel, shared: Sequence[int], partner_S: NDArray[np.int64]
) -> NDArray[np.float64]:
    with torch.inference_mode():
        score = PartnerScores(model, shared)
        device = score.shared_K.device
        parts = torch.split(torch.from_numpy(partner_S), cells_at_once(model, len(score.x_ND)))
        found = torch.cat([score(part.to(device)).cpu() for part in parts])
    result: NDArray[np.float64] = found.numpy()
    return result


def _aligned(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    cells = [
        [f"{row[n]:.{_DIGITS}g}" if isinstance(row[n], float) else str(row[n]) for n in names]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    return "\n".join(
        "  ".join(text.rjust(w) for text, w in zip(line, widths, strict=True))
        for line in [list(names), *cells]
    )
