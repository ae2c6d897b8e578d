"""As much of JSON Schema (draft 2020-12) as the project's own schema uses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
KNOWN = {"$schema", "$id", "$defs", "title", "description", "$ref", "type", "const", "enum", "pattern", "minimum",
         "minItems", "items", "required", "properties", "additionalProperties"}  # fmt: skip


def faults(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """What is wrong with a value, and where: ``cases[3].inputs[0].file``."""
    if "$ref" in schema:
        yield from faults(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, at)
    where, types = at or "the whole", schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(_is(value, each) for each in types):
        yield f"{where} is {_short(value)}, no {' or '.join(types)}"
        return
    if "const" in schema and value != schema["const"]:
        yield f"{where} is {_short(value)}, not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where} is {_short(value)}, not one of {', '.join(map(str, schema['enum']))}"
    if isinstance(value, str) and "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        yield f"{where} is {_short(value)}, which does not match {schema['pattern']}"
    if _is(value, "number") and not value >= schema.get("minimum", value):
        yield f"{where} is {_short(value)}, less than {schema['minimum']}"
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            yield f"{where} has {len(value)} items, not {schema['minItems']} or more"
        for i, each in enumerate(value):
            yield from faults(each, schema.get("items", {}), root, f"{at}[{i}]")
    if isinstance(value, dict):
        yield from (f"{where} has no {name!r}" for name in schema.get("required", ()) if name not in value)
        known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        for name, each in value.items():
            if name in known or others is not False:
                yield from faults(each, known.get(name, others), root, f"{at}.{name}" if at else name)
            else:
                yield f"{where} has {_short(name)}, which means nothing"


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
