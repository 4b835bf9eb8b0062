"""Read JSON that may have been changed or broken: of the right form, or one field named as wrong.

`read_json` and `conform` check plain values against a type of the standard library: a `TypedDict`,
a dataclass, `list[int]`, a `Literal`. Fields that a type does not name are left as they are, for
versions to come.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

T = TypeVar("T")

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]  # whole in every JSON reader
Number: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]  # finite
Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]

_PLACE = re.compile(r" - at `\$\.?(.*)`$", re.DOTALL)
_SHOWN = 60  # ours: characters of a foreign value in a sentence


def read_json(text: bytes, kind: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Decode JSON and check it against a type; the value itself stays plain.

    Parameters
    ----------
    text : bytes
        UTF-8.
    kind : type

    Raises
    ------
    ValueError
        In words: the field, what was wanted, what was found.
    """
    try:
        value = msgspec.json.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise ValueError(f"it is no JSON ({_words(str(error))})") from error
    conform(value, kind)
    return value


def conform(value: Any, kind: type[T]) -> T:  # noqa: ANN401 - any JSON value
    """Turn a plain value into a type, for example a dict into a dataclass.

    Parameters
    ----------
    value : JSON value
    kind : type

    Raises
    ------
    ValueError
        As `read_json`; or as the dataclass itself raises it.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ValueError(_words(str(error))) from error.__cause__
    except (OverflowError, RecursionError):
        raise ValueError("it holds a number or a nesting that is too large") from None


def shown(value: object) -> str:
    """Write a foreign value for a sentence, cut where it is long.

    Examples
    --------
    >>> shown("a" * 1000)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…"
    >>> shown(2.5)
    '2.5'
    """
    if (
        isinstance(value, int) and abs(value) > 10**_SHOWN
    ):  # its digits would be refused, or endless
        return "a huge number"
    text = repr(value[:_SHOWN] if isinstance(value, str | bytes) else value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _words(message: str) -> str:
    """Put the field first: "Expected `int` - at `$.cycle`" is "cycle: expected int"."""
    place = _PLACE.search(message)
    what = _PLACE.sub("", message).replace("`", "")
    what = what if len(what) < 2 * _SHOWN else f"{what[: 2 * _SHOWN]}…"
    what = what if what.startswith("JSON") else what[:1].lower() + what[1:]
    return f"{place[1][:_SHOWN]}: {what}" if place and place[1] else what
