"""The model of a run as a service has it: what it is, what it takes, and how input is read."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from graphwright.data.limits import InputLimits, LimitError
from graphwright.errors import DataError, GraphwrightError
from graphwright.launch.serve.batching import MAX_COST
from graphwright.launch.serve.options import ServeOptions
from graphwright.launch.serve.request_errors import RequestError, request_error
from graphwright.launch.serve.uploads import Upload, check_unpacked, safe_name
from graphwright.runs.files import read_json
from graphwright.runs.folder import MODEL_NAME
from graphwright.training.bundle import Bundle, load_bundle
from graphwright.training.infer import over_batch
from graphwright.training.task import Columns, RawInput

__all__ = ["ServedModel", "limits_told"]

log = logging.getLogger("graphwright")

LARGEST = 4 * MAX_COST
"""Cost of one sample, in units of `SampleSource.sizes`, above which it is refused."""


class ServedModel:
    """A bundle with limits on what it is given.

    Args:
        run: a run folder or a bundle.
        options: limits, and whether to explain.
        data_root: where prepared data are kept.

    Raises:
        BundleError: no bundle there, or a damaged one.
    """

    def __init__(self, run: Path, options: ServeOptions, data_root: Path) -> None:
        self.bundle: Bundle = load_bundle(run, data_root)
        self.options = options
        self.bundle.task.limits = InputLimits(samples=options.max_samples, size=options.max_size)
        self.form = self.bundle.task.input_form(self.bundle.state)
        self.identity = _identity(run, self.bundle)
        self._folder = Path(tempfile.mkdtemp(prefix="graphwright-serve-"))

    def close(self) -> None:
        """Remove the folder of uploads."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def read(self, upload: Upload) -> RawInput:
        """A request's input, ready for the model. Called on several threads.

        Raises:
            RequestError: it cannot be read, is too large, or has no row that can be predicted.
        """
        folder = self._own_folder()
        try:
            raw = self._read(upload, folder)
            self._check(raw)
        except GraphwrightError as error:
            raise request_error(error, str(folder)) from error
        if upload.name is None:
            return raw
        names = [name.replace(f"{folder}/", "") for name in raw.names]
        rejected = [(where.replace(f"{folder}/", ""), reason) for where, reason in raw.rejected]
        return RawInput(raw.source, names, rejected)

    def predict(self, batch: Any) -> Columns:
        """One call of the model, on the one thread that calls it."""
        task, model = self.bundle.task, self.bundle.model
        return over_batch(task, model, batch, explain=self.options.explain)

    def finish(self, columns: Columns) -> Columns:
        """Columns that need a whole input."""
        return self.bundle.task.finish_predictions(columns)

    def file_name(self, given: str) -> str:
        """A client's name of a file, made safe.

        Raises:
            RequestError: a format that the task cannot read.
        """
        try:
            return safe_name(given, self.form.suffixes)
        except DataError as error:
            raise request_error(error) from error

    @property
    def can_share(self) -> bool:
        """Whether batches of several requests can be one: the batch has a class method `joined`."""
        if self.example is None:
            return True  # nobody knows before there are requests; a failure is answered one by one
        return hasattr(type(self.example.source.batch(np.zeros(1, np.int64))), "joined")

    @cached_property
    def example(self) -> RawInput | None:
        """The task's own example; None where it takes files only."""
        if self.form.example is None:
            return None
        try:
            return self.read(Upload(json.dumps(self.form.example).encode(), None))
        except RequestError as error:
            log.warning("warning: this model cannot read its task's example: %s", error.what)
            return None

    def _read(self, upload: Upload, folder: Path) -> RawInput:
        task, state = self.bundle.task, self.bundle.state
        if upload.name is None:
            return task.read_input(self._from_json(upload.body), state)
        check_unpacked(upload.body, self.options.max_unpacked, upload.name)
        path = folder / upload.name
        try:
            path.write_bytes(upload.body)
            return task.read_input(path, state)
        finally:
            path.unlink(missing_ok=True)

    def _own_folder(self) -> Path:
        """Of this thread: files of requests that are read at one time may have one name."""
        folder = self._folder / str(threading.get_ident())
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _from_json(self, body: bytes) -> Any:
        if self.form.from_json is None:
            raise DataError(
                "this model takes no JSON", fix=f"send {self.form.files} to /predict?file=NAME"
            )
        try:
            value = json.loads(body)
        except (ValueError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else error
            raise DataError(f"the body is no JSON: {reason}", fix="see GET /about") from None
        return self.form.from_json(value)

    def _check(self, raw: RawInput) -> None:
        if not raw.names:
            where, reason = raw.rejected[0] if raw.rejected else ("input", "it is empty")
            raise DataError("not one sample can be predicted", fix=f"{where}: {reason}")
        limits = self.bundle.task.limits
        assert limits is not None
        limits.check_samples(len(raw.names))
        largest = int(raw.source.sizes().max())
        if largest > LARGEST:
            raise LimitError(
                f"one sample has a size of {largest:,} (nodes and edges, or positions of tokens), "
                f"more than {LARGEST:,}",
                fix="use `graphwright predict`, which has no such limit",
            )


def _identity(run: Path, bundle: Bundle) -> Mapping[str, Any]:
    """Which model answers, to be traced: its run and the digest of its weights."""
    folder = run / "bundle" if (run / "bundle").is_dir() else run
    config = bundle.task.config
    return {
        "task": config.task,
        "name": "/".join(config.levels()),
        "run": bundle.about.get("run"),
        "weights_sha256": read_json(folder / MODEL_NAME)["weights_sha256"],
    }


def limits_told(options: ServeOptions) -> dict[str, Any]:
    """For people: what is refused."""
    told = asdict(options)
    keys = ("max_body_mb", "max_samples", "max_size", "queue", "timeout_s", "upload_timeout_s")
    return {key: told[key] for key in keys}
