"""What is wrong with a request, as an HTTP status and as JSON: what, where and how to mend it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from graphwright.data.limits import LimitError
from graphwright.errors import GraphwrightError, MissingExtraError

__all__ = ["RequestError", "error_json", "request_error"]


class RequestError(Exception):
    """A request that is refused or cannot be answered.

    Args:
        status: of HTTP.
        what: what is wrong, in one sentence.
        where: file, key or header.
        fix: what to do about it.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        what: str,
        *,
        where: str | None = None,
        fix: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(what)
        self.status, self.what, self.where, self.fix = status, what, where, fix
        self.headers = dict(headers or {})


def request_error(error: GraphwrightError, folder: str = "") -> RequestError:
    """An error of ours as an answer; the server's own paths are left out.

    Args:
        error: what was raised.
        folder: where the request's file lay, which is nobody's business.
    """
    status = 413 if isinstance(error, LimitError) else 422
    status = 501 if isinstance(error, MissingExtraError) else status
    texts = [
        None if text is None else _without(text, folder)
        for text in (error.what, error.where, error.fix)
    ]
    return RequestError(status, texts[0] or "", where=texts[1], fix=texts[2])


def error_json(error: RequestError) -> bytes:
    """The body of the answer."""
    content: dict[str, Any] = {"status": error.status, "what": error.what}
    content |= {"where": error.where, "fix": error.fix}
    return json.dumps({"error": content}, ensure_ascii=False).encode("utf-8", "replace")


def _without(text: str, folder: str) -> str:
    return text.replace(f"{folder}/", "").replace(folder, "") if folder else text
