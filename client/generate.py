"""Write ``responses.py`` from the OpenAPI description of a service: a pydantic model for everything it answers.

    python client/generate.py docs.json > client/src/deepfinance_client/responses.py

``docs.json`` is what a service has under /docs.json. Needs ruff, which lays out the lines.
"""

from __future__ import annotations

import json
import keyword
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]

HEADER = '''\
"""What the service answers, field by field. Made by client/generate.py from its OpenAPI description: do not edit."""

from __future__ import annotations

import datetime
from typing import Any, Literal

from pydantic import Field

from deepfinance_client.body import Body

'''
SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
DATES = {"date": "datetime.date", "date-time": "datetime.datetime"}


def generate(specification: Json) -> str:
    """The module. Only schemas of answers are in it, each after those that it refers to."""
    schemas = specification["components"]["schemas"]
    classes = [_class(name, schemas[name]) for name in _in_order(specification) if "properties" in schemas[name]]
    return _laid_out(HEADER + "\n\n".join(classes))


def _in_order(specification: Json) -> list[str]:
    schemas, done = specification["components"]["schemas"], dict[str, None]()

    def visit(name: str) -> None:
        if name not in done:
            for other in sorted(set(_references(schemas[name]))):
                visit(other)
            done[name] = None

    for name in sorted(set(_answered(specification))):
        visit(name)
    return list(done)


def _answered(specification: Json) -> Iterator[str]:
    for item in specification["paths"].values():
        for operation in item.values():
            for response in operation["responses"].values():
                yield from _references(response.get("content", {}))


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rsplit("/", 1)[1]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _class(name: str, schema: Json) -> str:
    required = schema.get("required", ())
    fields = [_field(each, held, each in required) for each, held in schema["properties"].items()]
    return f"class {name}(Body):\n" + textwrap.indent("\n".join([_quoted(schema["description"]), "", *fields]), "    ")


def _field(name: str, schema: Json, required: bool) -> str:
    safe = f"{name}_" if keyword.iskeyword(name) else name
    default = "" if required else repr(schema.get("default"))
    if safe != name:
        default = f"Field({default or '...'}, alias={name!r})"
    elif default[:1] in ("[", "{"):
        default = f"Field({default})"
    line = f"{safe}: {_type(schema)}" + (f" = {default}" if default else "")
    return "\n".join(filter(None, (line, _quoted(schema.get("description", "")))))


def _quoted(text: str) -> str:
    return "\n".join(textwrap.wrap(f'"""{text}"""', 110)) if text else ""


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = str(schema["$ref"].rsplit("/", 1)[1])
        return "Any" if name == "JsonValue" else name
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(each) for each in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        return f"Literal[{', '.join(repr(it) for it in schema.get('enum', [schema.get('const')]))}]"
    if schema.get("type") == "array":
        return _array(schema)
    if schema.get("type") == "object":
        held = schema.get("additionalProperties")
        return f"dict[str, {_type(held) if isinstance(held, Mapping) else 'Any'}]"
    if "type" not in schema:
        return "Any"
    return DATES.get(schema.get("format", ""), SCALARS[schema["type"]])


def _array(schema: Json) -> str:
    if "prefixItems" in schema:
        return f"tuple[{', '.join(_type(each) for each in schema['prefixItems'])}]"
    return f"list[{_type(schema['items'])}]"


def _laid_out(source: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--no-cache", "--line-length", "120", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    sys.stdout.write(generate(json.loads(Path(sys.argv[1]).read_text())))
