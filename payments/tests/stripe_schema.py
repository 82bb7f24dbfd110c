"""Holds requests and answers against Stripe's own description of its API (fixtures/stripe/README.md).

Test support, for our client and for the sandbox. Each function returns nothing, or raises `AssertionError` with one
line per fault. Two steps come before JSON Schema can be used on that description:

1. Stripe writes `nullable: true` beside `type`, `enum` and `anyOf`; JSON Schema wants null among the allowed values.
2. Request bodies are forms with brackets (`line_items[0][price_data][currency]=usd`); they are unfolded to nested
   data, and texts become integers or booleans where the description says so.

The description is silent on unknown nested keys, conditional requirements, currencies, bounds of `expires_at` and
minimum amounts: what passes here may still be refused by Stripe.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

FIXTURES = Path(__file__).parent / "fixtures" / "stripe"

Schema = dict[str, Any]
FormPairs = Sequence[tuple[str, str]]


def fixture(resource: str) -> dict[str, Any]:
    """A fresh copy of Stripe's published sample of a resource, by its name (`checkout.session`, `refund`)."""
    sample: dict[str, Any] = json.loads((FIXTURES / "fixtures-subset.json").read_text())["resources"][resource]
    return sample


def validate_response(schema_name: str, obj: Mapping[str, Any]) -> None:
    """An object as Stripe would answer it: `schema_name` is that of the description (`checkout.session`, `error`)."""
    _check(f"#/components/schemas/{schema_name}", obj)


def validate_answer(method: str, path: str, body: Mapping[str, Any]) -> None:
    """The body of a 200 answer to this call; for lists, which have no schema name of their own."""
    _check(_pointer("paths", _template(path), method.lower(), "responses", "200", *_JSON), body)


def validate_request(method: str, path_template: str, form_pairs: FormPairs) -> None:
    """The parameters of a call: the decoded pairs of a POST's form, or of a GET's query.

    `path_template` is the description's (`/v1/checkout/sessions/{session}/expire`) or a path as called.
    """
    template, method = _template(path_template), method.lower()
    operation = _description()["paths"][template].get(method)
    assert operation, f"{method.upper()} {template} is not in the description"
    if method == "get":
        schema = _query_schema(template)
        pointer = _pointer("paths", template, method, "query")
    else:
        schema = operation["requestBody"]["content"][_FORM]["schema"]
        pointer = _pointer("paths", template, method, "requestBody", "content", _FORM, "schema")
    _check(pointer, _coerce(_unfold(form_pairs), schema))


_FORM = "application/x-www-form-urlencoded"
_JSON = ("content", "application/json", "schema")
_BASE = "urn:stripe"


@cache
def _description() -> Schema:
    description: Schema = _with_explicit_null(json.loads((FIXTURES / "openapi-subset.json").read_text()))
    for methods in description["paths"].values():
        if "get" in methods:
            parameters = [each for each in methods["get"]["parameters"] if each["in"] == "query"]
            methods["get"]["query"] = {
                "type": "object",
                "additionalProperties": False,
                "required": [each["name"] for each in parameters if each.get("required")],
                "properties": {each["name"]: each["schema"] for each in parameters},
            }
    return description


def _query_schema(template: str) -> Schema:
    schema: Schema = _description()["paths"][template]["get"]["query"]
    return schema


@cache
def _registry() -> Registry[Any]:
    registry: Registry[Any] = Registry().with_resource(_BASE, DRAFT202012.create_resource(_description()))
    return registry


@cache
def _validator(pointer: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": _BASE + pointer}, registry=_registry())


def _check(pointer: str, value: object) -> None:
    faults = [f"{fault.json_path}: {fault.message[:500]}" for fault in _validator(pointer).iter_errors(value)]
    assert not faults, f"not as Stripe describes {pointer.replace('~1', '/')}:\n" + "\n".join(faults)


def _pointer(*names: str) -> str:
    """A JSON pointer (RFC 6901) into the description."""
    return "#" + "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


@cache
def _template(path: str) -> str:
    """The path template of the description that this path, or template, belongs to; the most literal one first."""
    for template in sorted(_description()["paths"], key=lambda each: each.count("{")):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return str(template)
    raise AssertionError(f"{path} is not in the description")


def _with_explicit_null(node: Any) -> Any:
    """Step 1: the same description with null named among the allowed types, values or alternatives."""
    if isinstance(node, list):
        return [_with_explicit_null(each) for each in node]
    if not isinstance(node, dict):
        return node
    node = {key: _with_explicit_null(value) for key, value in node.items()}
    # `is True`: a property may have the name "nullable", and is then a schema.
    if node.get("nullable") is True:
        if "type" in node:
            node["type"] = [node["type"], "null"]
        if "enum" in node:
            node["enum"] = [*node["enum"], None]
        if "anyOf" in node:
            node["anyOf"] = [*node["anyOf"], {"type": "null"}]
    return node


def _unfold(form_pairs: FormPairs) -> dict[str, Any]:
    """Step 2, first half: `a[b][0]=x` to {"a": {"b": {"0": "x"}}}; `a[]=x` takes the next number. Lists come later."""
    nested: dict[str, Any] = {}
    for name, text in form_pairs:
        head, *rest = name.replace("]", "").split("[")
        place, key = nested, head
        for inner in rest:
            place = place.setdefault(key, {})
            assert isinstance(place, dict), f"{name} is given both as a value and as a group"
            key = inner or str(len(place))
        assert key not in place, f"{name} is given twice"
        place[key] = text
    return nested


def _coerce(value: Any, schema: Schema) -> Any:
    """Step 2, second half: the value as the schema types it, or as it is where that fails: the validator will say."""
    if "anyOf" in schema:
        readings = [_coerce(value, each) for each in schema["anyOf"]]
        fitting = (
            reading
            for reading, each in zip(readings, schema["anyOf"], strict=True)
            if Draft202012Validator(each).is_valid(reading)  # schemas of parameters hold no references
        )
        return next(fitting, readings[0])
    types = schema.get("type")
    if isinstance(value, dict):
        if types == "array" and all(key.isdigit() for key in value):
            return [_coerce(value[key], schema.get("items", {})) for key in sorted(value, key=int)]
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        rest = others if isinstance(others, dict) else {}
        return {key: _coerce(each, properties.get(key, rest)) for key, each in value.items()}
    if types == "integer" and re.fullmatch(r"-?\d{1,18}", value):
        return int(value)
    if types == "number" and re.fullmatch(r"-?\d{1,18}(\.\d{1,18})?", value):
        return float(value)
    if types == "boolean" and value in ("true", "false"):
        return value == "true"
    return value
