"""What the models of all tables have in common."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict

from engine.config import values

Name = Annotated[str, AfterValidator(values.name)]

# Unknown keys and wrong types are errors.
STRICT: Final = ConfigDict(extra="forbid", strict=True)
