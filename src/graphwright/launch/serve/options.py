"""What can be told to a service. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass, fields

from graphwright.errors import ConfigError

__all__ = ["ServeOptions"]

_AT_LEAST = {"port": 0, "max_wait_ms": 0.0}


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Where a service listens, how it batches and what it refuses.

    Attributes:
        host: address to listen on; anything but loopback is open to others.
        port: 0 takes a free one.
        batching: answer samples of several requests with one call of the model.
        max_batch: samples in one call.
        max_wait_ms: how long a request waits for others, that are being read, to share a call with.
        max_body_mb: largest body of a request, in 10^6 bytes.
        max_samples: most samples in a request.
        max_size: largest sample, see `data.limits.InputLimits`.
        queue: requests that are read, wait or are computed at one time.
        timeout_s: for the answer, from the end of the upload.
        upload_timeout_s: for the headers, and again for the body.
        threads: of the model's operations.
        explain: also the columns of `Task.explain`, as `graphwright predict` has them.
        access_log: one line for each request.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    batching: bool = True
    max_batch: int = 64
    max_wait_ms: float = 10.0
    max_body_mb: float = 16.0
    max_samples: int = 4096
    max_size: int = 4096
    queue: int = 256
    timeout_s: float = 30.0
    upload_timeout_s: float = 20.0
    threads: int = 1
    explain: bool = True
    access_log: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool | str):
                continue
            least = _AT_LEAST.get(field.name)
            if not (value > 0 if least is None else value >= least):
                raise ConfigError(f"{field.name} cannot be {value}", fix="take a larger number")
        if self.port > 65535:
            raise ConfigError(f"there is no port {self.port}", fix="take one from 1 to 65535")

    @property
    def max_body(self) -> int:
        """Bytes of the largest body."""
        return int(self.max_body_mb * 1e6)

    @property
    def max_unpacked(self) -> int:
        """Bytes that a packed body may unpack to."""
        return 4 * self.max_body

    @property
    def max_held(self) -> int:
        """Bytes of all bodies that are held at one time."""
        return 16 * self.max_body
