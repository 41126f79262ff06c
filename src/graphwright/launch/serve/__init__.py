"""A trained model behind HTTP: `POST /predict`, `GET /health`, `/metrics` and `/about`.

Nothing heavy is imported here; `serve` and `create_app` come when they are asked for.
"""

from __future__ import annotations

from typing import Any

from graphwright.launch.serve.options import ServeOptions

__all__ = ["ServeOptions", "create_app", "serve"]


def __getattr__(name: str) -> Any:
    if name == "serve":
        from graphwright.launch.serve.server import serve

        return serve
    if name == "create_app":
        from graphwright.launch.serve.app import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
