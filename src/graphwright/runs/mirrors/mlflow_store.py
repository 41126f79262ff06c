"""What a tracking URI of MLflow means, and a client that does not wait for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from graphwright.errors import RunError
from graphwright.runs.files import atomic_path
from graphwright.runs.lock import FileLock
from graphwright.runs.mirrors.names import without_odd_signs

__all__ = ["Store", "open_client"]

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_FORMS = "sqlite:////absolute/path/mlflow.db, or http://host:5000 of `mlflow server`"
_FIRST_S, _FIRST_TRIES = 10, 0  # for the first answer of a server
_LATER_S, _LATER_TRIES = 60, 3  # MLflow's own patience is a quarter of an hour
_TIMEOUT, _TRIES = "MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


@dataclass(frozen=True)
class Store:
    """A tracking URI, looked at."""

    uri: str
    usual: bool  # the file in the runs root, or what stands there
    database: Path | None = None  # SQLite's file

    @classmethod
    def of(cls, uri: object, root: Path) -> Store:
        """What a URI means; None is the usual place.

        Raises:
            RunError: MLflow has no store of that kind, or the database's folder does not exist.
        """
        usual = (root / "mlflow.db").absolute()
        text = str(uri or f"sqlite:///{usual}").strip()
        scheme = urlsplit(text).scheme.partition("+")[0]
        if scheme == "sqlite":
            return cls._sqlite(text, usual)
        if scheme in ("http", "https"):
            parts = urlsplit(text)
            if not parts.hostname:
                raise RunError(f"{text!r} names no host", fix=_FORMS)
            path = parts.path.rstrip("/")
            return cls(urlunsplit((parts.scheme, parts.netloc, path, "", "")), usual=False)
        if scheme in _DATABASES or scheme.startswith("databricks") or text == "databricks":
            return cls(text, usual=False)
        raise RunError(f"{text!r} is no tracking URI that MLflow can write to", fix=_FORMS)

    @classmethod
    def _sqlite(cls, text: str, usual: Path) -> Store:
        name = text.partition(":///")[2].partition("?")[0]
        if not name:
            raise RunError(f"{text!r} names no file", fix=_FORMS)
        database = Path(name).expanduser().absolute()
        if not database.parent.is_dir():
            raise RunError("the folder of that database does not exist", where=database.parent)
        return cls(f"sqlite:///{database}", usual=database == usual, database=database)

    @property
    def shown(self) -> str:
        """The URI without user and password: it is printed, and kept in the run folder."""
        parts = urlsplit(self.uri)
        if "@" not in parts.netloc:
            return self.uri
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    @property
    def is_server(self) -> bool:
        """Whether it speaks HTTP, and so has pages to look at."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def artifacts(self) -> Path:
        """Where files go that belong to an SQLite store of ours.

        Else MLflow would make a folder mlruns wherever the training was started; hidden, so that
        the copied config.yaml is not taken for a run.
        """
        return (self.database or Path()).parent / ".mlflow-artifacts"

    def artifact_location(self, experiment: str) -> str | None:
        """Where a new experiment keeps files; None: where the server says."""
        if self.database is None:
            return None
        return (self.artifacts / without_odd_signs(experiment)).as_uri()


def open_client(store: Store) -> Any:
    """A client whose server answers.

    Raises:
        RunError: it does not, is no MLflow server, or the database cannot be opened.
    """
    # before the import: MLflow reads them then, and DO_NOT_TRACK=1 would not do
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    from mlflow import MlflowClient

    try:
        if store.database is not None:
            _make_database(store.database, store.artifacts)
        client = MlflowClient(tracking_uri=store.uri)
    except Exception as error:  # whatever SQLAlchemy, its driver or a migration raises
        text = " ".join(str(error).split())[:300]
        raise RunError(f"MLflow cannot open its store: {text}", where=store.shown) from error
    if store.is_server:
        _ask(client, store.shown)
        os.environ.setdefault(_TIMEOUT, str(_LATER_S))
        os.environ.setdefault(_TRIES, str(_LATER_TRIES))
    return client


def _make_database(path: Path, artifacts: Path) -> None:
    """Make SQLite's file whole or not at all, once.

    MLflow makes its tables in dozens of steps, and cannot mend a file where it was killed between
    two of them. A sweep's first runs would all make them at the same moment.
    """
    if path.exists():
        return
    from mlflow.store.tracking import sqlalchemy_store

    make: Any = sqlalchemy_store.SqlAlchemyStore  # not typed
    lock = FileLock(path.parent / ".mlflow.lock", describes="MLflow store")
    lock.acquire(patience_s=None)
    try:
        if not path.exists():
            with atomic_path(path) as temporary:
                made = make(f"sqlite:///{temporary}", artifacts.as_uri())
                made.engine.dispose()
    finally:
        lock.release()


def _ask(client: Any, uri: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        with _impatience():
            client.search_experiments(max_results=1)
    except MlflowException as error:
        text = " ".join(str(error).split())
        if "Max retries exceeded" in text or "timed out" in text:
            raise RunError(
                f"no MLflow server answers at {uri}",
                where=text.rpartition("Caused by ")[2][:200],
                fix="start it, or correct --uri; a proxy may be in the way (NO_PROXY)",
            ) from error
        raise RunError(f"{uri} does not answer as an MLflow server", where=text[:300]) from error


@contextmanager
def _impatience() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in (_TIMEOUT, _TRIES)}
    os.environ.update({_TIMEOUT: str(_FIRST_S), _TRIES: str(_FIRST_TRIES)})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
