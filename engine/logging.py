"""Logs: structlog on stderr, as text for people or as one JSON object per line (contract §4, `[log]`).

Whoever logs masks real numbers itself; what was forgotten is masked here, and so is what a library says.
"""

from __future__ import annotations

import io
import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import IO, Any, Final, cast, final

from engine.core.numbers import masked_runs

# structlog loads rich for its tracebacks when it finds it. We show plain ones, and rich would stay in the memory of
# the node: it must not be found.
_HIDDEN: Final = "rich" not in sys.modules
if _HIDDEN:
    sys.modules["rich"] = None  # type: ignore[assignment]  # what `import` takes as "not there"
try:
    import structlog
finally:
    if _HIDDEN:
        del sys.modules["rich"]

_LINES_KEPT: Final = ("exception", "stack")  # tracebacks: their line ends stay


def set_up_logging(level: str, form: str, stream: IO[str] | None = None) -> structlog.typing.FilteringBoundLogger:
    """Send all logs of this process to `stream` (stderr) and return the logger.

    `level` and `form` are values of `[log]`. What libraries log through the standard library comes along, from
    warnings on. A stream that cannot be written to loses lines, never the program.
    """
    file = stream or sys.stderr or io.StringIO()  # a process can be started with its stderr closed
    least = logging.getLevelNamesMapping()[level.upper()]
    renderer: Any = structlog.processors.JSONRenderer(ensure_ascii=False)
    if form == "console":
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(colors=not file.closed and file.isatty(), exception_formatter=plain)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            clean,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(cast("Any", _Patient(file))),
        cache_logger_on_first_use=False,
    )
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    _take_over_libraries(logger, max(least, logging.WARNING))
    return logger


def clean(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: real numbers masked, and no control character that could forge a line."""
    for key, value in event.items():
        if value is None or isinstance(value, bool | int | float):
            continue
        text = masked_runs(value if isinstance(value, str) else repr(value))
        event[key] = text if key in _LINES_KEPT else _printable(text)
    return event


def where(fault: Exception) -> list[str]:
    """Where a bug of ours was met, innermost last, without the fault's own text, which may hold a number."""
    frames = traceback.extract_tb(fault.__traceback__)
    return [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-4:]]


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )


def _take_over_libraries(logger: structlog.typing.FilteringBoundLogger, level: int) -> None:
    """Replace our own handler of the standard library's root logger; those of others stay."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, _Forward):
            root.removeHandler(handler)
    root.addHandler(_Forward(logger, level))


@final
class _Forward(logging.Handler):
    """What a library logs, as an event of ours."""

    def __init__(self, logger: structlog.typing.FilteringBoundLogger, level: int) -> None:
        super().__init__(level)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # a message that does not fit its arguments
            message = str(record.msg)
        level = min(record.levelno // 10 * 10, logging.CRITICAL)  # the levels that structlog has names for
        self._logger.log(level, message, library=record.name, exc_info=record.exc_info)


@final
class _Patient:
    """A text stream whose write errors are swallowed: a full disk or a closed pipe must not stop calls."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> None:
        try:
            self._file.write(text)
        except (OSError, ValueError):  # ValueError: closed, or not encodable
            return

    def flush(self) -> None:
        try:
            self._file.flush()
        except (OSError, ValueError):
            return
