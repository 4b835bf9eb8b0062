"""Spoil files and texts: each function takes a random generator and what to spoil."""

from __future__ import annotations

import copy
import io
import json
import random
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

DEEP = 100_000  # far beyond what any reader nests
SIZES = (0, 1, 2, 3, 255, 256, 4095, 4096, 32767, 32768, 60_000, 65_535, 2**31 - 1, 2**32 - 1)
NUMBERS = (0, 1, -1, 0.5, 1e-30, 1e30, 1e308, -1e308, 2**31, 2**63, 2**64, -(2**63), 60_000)
RAW = (
    "NaN", "Infinity", "1" + "0" * 400, "[" * DEEP, "[" * 900 + "]" * 900, "1e999", "-0",
    '"\\ud800"',
)  # fmt: skip
"""What JSON may hold that Python does not write."""
TEXTS = (
    "", " ", "\0", "\n", "a" * 5000, "7" * 5000, "../../etc/passwd",
    "/", ".", "..", "CON", "a/b", "a\\b", "é",
    "é", "\ud800", "日本", "﷽" * 100, "\u202e", "<script>alert(1)</script>", "=1+1", "%s%n",
    "NaN", "inf", "-inf", "1e999", "1_000", "0x10", "１", "true", "null", "[]", "{}", '"', "'", ",",
)  # fmt: skip


def in_bytes(rng: random.Random, content: bytes) -> bytes:
    """Flip bits, cut, double, overwrite or insert, once or a few times."""
    spoilt = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(spoilt) + 1)
        span = rng.choice((1, 1, 2, 4, 8, 64))
        how = rng.randrange(6)
        if how == 0 and at < len(spoilt):
            spoilt[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            del spoilt[at : at + rng.choice((span, len(spoilt)))]
        elif how == 2:
            spoilt[at:at] = spoilt[max(0, at - span) : at] * rng.choice((1, 2, 100))
        elif how == 3:
            spoilt[at : at + span] = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * span
        elif how == 4:
            spoilt[at : at + 4] = struct.pack(rng.choice("<>") + "I", rng.choice(SIZES))
        else:
            spoilt[at : at + span] = rng.randbytes(span)
    return bytes(spoilt)


def header_field(rng: random.Random, header: Any) -> None:
    """Set a field of a NumPy record, or one of its numbers, to what it should not hold."""
    name = rng.choice(header.dtype.names)
    field = header[name]
    if field.dtype.kind == "S":
        header[name] = rng.randbytes(field.dtype.itemsize)
        return
    values: list[Any] = [*NUMBERS, *SIZES, float("nan"), float("inf"), float("-inf")]
    value = rng.choice(values)
    if field.dtype.kind in "iu":
        bits = 8 * field.dtype.itemsize
        whole = int(value) if value == value and abs(value) < 1e300 else -1
        value = whole % 2**bits
        value -= 2**bits if field.dtype.kind == "i" and value >= 2 ** (bits - 1) else 0
    elif abs(float(value)) > float(np.finfo(field.dtype).max):
        value = np.copysign(np.inf, value)
    if field.shape:
        field[tuple(rng.randrange(side) for side in field.shape)] = value
    else:
        header[name] = value


def dicom_element(rng: random.Random, content: bytes) -> bytes:
    """Change, double or drop an element of a DICOM file with explicit little-endian VRs."""
    places = [
        found.start()
        for found in re.finditer(rb"[\x08\x10\x18\x20\x28\xe0]\x00.{2}[A-Z]{2}", content, re.DOTALL)
    ]
    if not places:
        return in_bytes(rng, content)
    at = rng.choice(places)
    long = content[at + 4 : at + 6] in (b"OB", b"OW", b"SQ", b"UN", b"UT")
    head = 12 if long else 8
    if len(content) < at + head:
        return in_bytes(rng, content)
    form = "<I" if long else "<H"
    (length,) = struct.unpack_from(form, content, at + (8 if long else 6))
    value = content[at + head : at + head + length]
    texts = [text.encode("utf-8", "replace") for text in TEXTS] + [b"1\\2", b"1\\2\\3\\4\\5\\6\\7"]
    numbers = [
        struct.pack("<H", rng.choice(SIZES) & 0xFFFF),
        struct.pack("<d", rng.choice((0.0, 1e308))),
    ]
    how = rng.randrange(6)
    if how == 0:
        new = b""
    elif how == 1:
        new = rng.choice(texts)
    elif how == 2:
        new = rng.choice(numbers)
    elif how == 3:
        new = in_bytes(rng, value)
    elif how == 4:
        return content[:at] + content[at + head + length :]  # it is missing
    else:
        vr = rng.choice((b"DS", b"IS", b"US", b"SQ", b"UI", b"OW", b"FD", b"XX", b"UN", b"AT"))
        return content[: at + 4] + vr + content[at + 6 :]
    new = new[:60_000] + b" " * (len(new[:60_000]) % 2)
    size = (
        struct.pack(form, len(new))
        if rng.random() < 0.8
        else struct.pack(form, rng.choice(SIZES) & (0xFFFFFFFF if long else 0xFFFF))
    )
    start = at + (8 if long else 6)
    return content[:start] + size + new + content[at + head + length :]


def png_header(rng: random.Random, content: bytes) -> bytes:
    """Let a PNG claim another size, depth or colour type, with a checksum that fits."""
    head = bytearray(content[16:29])
    if rng.random() < 0.7:
        struct.pack_into(">I", head, 4 * rng.randrange(2), rng.choice(SIZES))
    else:
        head[8 + rng.randrange(5)] = rng.randrange(20)
    return content[:16] + bytes(head) + struct.pack(">I", zlib.crc32(b"IHDR" + head)) + content[33:]


def jpeg_size(rng: random.Random, content: bytes) -> bytes:
    """Let a JPEG claim another size."""
    at = next((at for mark in (b"\xff\xc0", b"\xff\xc2") if (at := content.find(mark)) > 0), -1)
    if at < 0:
        return in_bytes(rng, content)
    size = struct.pack(">H", rng.choice(SIZES) & 0xFFFF)
    at += 5 + 2 * rng.randrange(2)
    return content[:at] + size + content[at + 2 :]


def json_value(rng: random.Random, value: Any) -> str:
    """Change, drop or add one place of a JSON value, anywhere; return it as text."""
    spoilt = copy.deepcopy(value)
    holder: Any = {"": spoilt}
    key: Any = ""
    while isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.85:
        holder = holder[key]
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    root = key == ""
    if root or rng.random() < 0.6:
        holder[key] = _alike(rng, holder[key], value) if rng.random() < 0.6 else _unlike(rng)
    elif rng.random() < 0.5:
        del holder[key]
    elif isinstance(holder, dict):
        holder[rng.choice(TEXTS)] = holder.pop(key)
    else:
        holder[key:key] = holder[key : key + 1] * rng.choice((1, 1000))
    text = json.dumps(holder[""] if root else spoilt)
    return re.sub(r'"@raw (\d+)@"', lambda found: RAW[int(found[1])], text)


def _unlike(rng: random.Random) -> Any:
    """Return a value of any type, or a mark for one that JSON does not have."""
    raw = f"@raw {rng.randrange(len(RAW))}@"
    return rng.choice((*NUMBERS, *TEXTS, None, True, [], {}, [[]], {"a": {}}, raw, raw, raw))


def lines(rng: random.Random, good: list[str]) -> str:
    """Spoil one of some lines of JSON, or put it where it does not belong, or drop it."""
    spoilt, at = list(good), rng.randrange(len(good))
    how = rng.random()
    if how < 0.8:
        spoilt[at] = json_value(rng, json.loads(good[at]))
    elif how < 0.9:
        spoilt.insert(at, rng.choice(good))
    else:
        del spoilt[at]
    return "".join(f"{line}\n" for line in spoilt)


def _alike(rng: random.Random, value: Any, whole: Any) -> Any:
    """Return another value of the same type: what a schema lets through."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((0, 1, 2, 7, value - 1, value + 1, 2 * value, -value, 23, 24, 10**6))
    if isinstance(value, float):
        return rng.choice((0.0, 0.5, -value, 2 * value, value + 1, 1e-9, 1e9, 23.5))
    if isinstance(value, str):
        return rng.choice((*_texts(whole), _in_text(rng, value)))
    if isinstance(value, list):
        return rng.choice((value[::-1], value[1:], value * 2, []))
    return {} if isinstance(value, dict) else rng.choice((0, "a", 1.5))


def _texts(value: Any) -> list[str]:
    """List the words of a JSON value, keys too."""
    if isinstance(value, dict):
        return [*value, *(text for one in value.values() for text in _texts(one))]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [value] if isinstance(value, str) else []


def _in_text(rng: random.Random, text: str) -> str:
    """Change the numbers of a text, or double, drop or change some of its characters."""
    numbers = list(re.finditer(r"\d+", text))
    if numbers and rng.random() < 0.6:
        found = rng.choice(numbers)
        return text[: found.start()] + str(rng.choice((*SIZES, -1, 10**400))) + text[found.end() :]
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice((*TEXTS, text)) + text[at + rng.randrange(3) :]


def table(rng: random.Random, text: str) -> bytes:
    """Spoil a CSV table: cells, rows, separators, encoding."""
    rows = [line.split(",") for line in text.splitlines()]
    cells = [cell for row in rows for cell in row]
    for _ in range(rng.choice((1, 1, 2, 5))):
        row = rng.choice(rows)
        how = rng.randrange(8)
        if how == 0:
            row[rng.randrange(len(row))] = rng.choice((*TEXTS, *map(str, (*NUMBERS, *SIZES))))
        elif how == 1:
            row.append(rng.choice(TEXTS))
        elif how == 2 and len(row) > 1:
            row.pop(rng.randrange(len(row)))
        elif how == 3:
            rows.insert(rng.randrange(len(rows) + 1), list(rng.choice(rows)))
        elif how == 4 and len(rows) > 1:
            rows.remove(row)
        else:
            row[rng.randrange(len(row))] = rng.choice((*cells, "2", "5", " a", "Train", '"test"'))
    plain = rng.random() < 0.6
    comma = "," if plain else rng.choice((";", "\t", ", ", "|"))
    spoilt = rng.choice(("\n", "\r\n", "\r")).join(comma.join(row) for row in rows)
    encoding = "utf-8" if plain else rng.choice(("utf-8-sig", "utf-16", "cp1252", "utf-32"))
    content = spoilt.encode(encoding, "replace")
    return in_bytes(rng, content) if rng.random() < 0.2 else content


def a_setting(rng: random.Random, names: list[str]) -> str:
    """Write NAME=VALUE, as for ``--set``."""
    name = rng.choice((*names, *names, *names, rng.choice(TEXTS)))
    value = rng.choice((*map(str, NUMBERS), *map(str, SIZES), *TEXTS, "[" * DEEP, "1" + "0" * 5000))
    return name + rng.choice(("=", "=", "=", "=", "==", "")) + value


def an_argument(rng: random.Random) -> str:
    """Write an argument of a command line that makes no sense there; it holds no NUL."""
    lists = ",".join(rng.choice(("1", "-inf", "inf", "nan", "9" * 400, "x")) for _ in range(2))
    plain = rng.choice((*TEXTS, *map(str, (*NUMBERS, *SIZES)), "x" * 300, "/" + "y/" * 3000, lists))
    return (plain or "-1").replace("\0", "\1")


def a_zip(rng: random.Random) -> bytes:
    """Make a zip whose members lead elsewhere, repeat, nest or claim another size."""
    stream = io.BytesIO()
    names = (
        "../out.dcm", "/out.dcm", "a/../../out", "C:\\x.dcm", "a" * 300, "a/" * 200 + "b", "é.dcm",
        "a.dcm", "A.dcm", "inner.zip", "..", ".", "a/a.dcm", "con", "\u202e.dcm",
    )  # fmt: skip
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        for _ in range(rng.choice((1, 2, 5))):
            one = zipfile.ZipInfo(rng.choice(names))
            one.external_attr = rng.choice((0o100644, 0o120777, 0o040755, 0o060644)) << 16
            archive.writestr(one, rng.choice((b"", b"/etc/passwd", bytes(10**6), b"PK\3\4")))
    return stream.getvalue()


Mutation = Callable[[random.Random, bytes], bytes]
