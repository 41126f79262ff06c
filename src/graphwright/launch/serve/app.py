"""The HTTP side of a service, as an ASGI application."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from graphwright.launch.serve.bodies import read_body
from graphwright.launch.serve.measured import Measured
from graphwright.launch.serve.metrics import Metrics
from graphwright.launch.serve.model import ServedModel
from graphwright.launch.serve.options import ServeOptions
from graphwright.launch.serve.request_errors import RequestError, error_json
from graphwright.launch.serve.service import Service
from graphwright.launch.serve.uploads import Upload

__all__ = ["create_app"]

log = logging.getLogger("graphwright")

_JSON = "application/json"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_PATHS = "POST /predict, GET /health, GET /metrics, GET /about"
_CLIENT_GONE = 499  # as nginx counts it


def create_app(
    run: Path | str, options: ServeOptions | None = None, *, data_root: Path = Path("data")
) -> FastAPI:
    """An application that answers for a trained model; its threads stop with its lifespan.

    Args:
        run: a run folder or a bundle.
        options: limits and batching; host and port do not matter here.
        data_root: where prepared data are kept.

    Raises:
        BundleError: no bundle there, or a damaged one.
    """
    metrics = Metrics()
    service = Service(ServedModel(Path(run), options or ServeOptions(), data_root), metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="graphwright",
        version=metadata.version("graphwright"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.router.redirect_slashes = False
    app.state.service = service
    app.add_middleware(Measured, metrics=metrics, log=service.options.access_log)
    app.add_exception_handler(HTTPException, _no_such_thing)
    _add_routes(app, service)
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    about = json.dumps(service.about()).encode()
    examples = {"requestBody": {"content": _contents(service)}}

    @app.post("/predict", openapi_extra=examples)
    async def predict(request: Request) -> Response:
        """Answers for a file (`?file=NAME`, the body is the file) or for JSON."""
        try:
            return Response(await _predict(request, service), media_type=_JSON)
        except RequestError as error:
            return _refused(error)
        except ClientDisconnect:
            return Response(status_code=_CLIENT_GONE)
        except Exception:
            log.exception("a request failed")
            return _refused(RequestError(500, "the server failed on this input; its log says why"))

    @app.get("/health")
    async def health() -> Response:
        """Whether the service answers."""
        content = {"status": "ok", "in_flight": service.in_flight}
        return Response(json.dumps(content), media_type=_JSON)

    @app.get("/metrics")
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.metrics.text(), headers={"content-type": _METRICS})

    @app.get("/")
    @app.get("/about")
    async def tell() -> Response:
        """Which model it is, what it takes, and its limits."""
        return Response(about, media_type=_JSON)


async def _predict(request: Request, service: Service) -> bytes:
    name = _file_of(request, service)
    with service.held() as more:
        body = await read_body(request, service.options, more)
        return await service.predict(Upload(body, name))


def _file_of(request: Request, service: Service) -> str | None:
    """The name of the file that is sent; None for JSON.

    Raises:
        RequestError: neither, or a form instead of the file itself.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    given = request.query_params.get("file") or request.headers.get("x-file-name")
    if unknown := sorted(set(request.query_params) - {"file"}):
        raise RequestError(422, f"{unknown[0]}: no such parameter", fix="/predict?file=NAME")
    if kind.startswith("multipart/"):
        raise RequestError(
            415,
            "forms are not read",
            where="Content-Type",
            fix="the body is the file itself: curl --data-binary @NAME '…/predict?file=NAME'",
        )
    if given:
        return service.model.file_name(given)
    if kind != _JSON and not kind.endswith("+json"):
        raise RequestError(
            415,
            f"a body of type {kind or 'unknown'} without the name of a file",
            where="Content-Type",
            fix="send Content-Type: application/json, or name the file: /predict?file=NAME",
        )
    return None


def _contents(service: Service) -> dict[str, Any]:
    """For OpenAPI."""
    form = service.model.form
    contents: dict[str, Any] = {"application/octet-stream": {"schema": {"type": "string"}}}
    if form.from_json is not None:
        contents[_JSON] = {"schema": {"type": "object"}, "example": form.example}
    return contents


async def _no_such_thing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = {404: "no such path", 405: f"{request.method} is not answered here"}
    return _refused(
        RequestError(
            error.status_code,
            what.get(error.status_code, str(error.detail)),
            where=request.url.path[:200],
            fix=_PATHS,
            headers=error.headers,
        )
    )


def _refused(error: RequestError) -> Response:
    return Response(error_json(error), error.status, error.headers, media_type=_JSON)
