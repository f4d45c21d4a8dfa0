"""schema.py - proto/client.schema.json, to which all that a client gets in the tests is held"""

import json
import os

import jsonschema

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../proto/client.schema.json")
with open(PATH, encoding="utf-8") as file:
    SCHEMA = json.load(file)
DEFS = SCHEMA["$defs"]
VALIDATORS = {}


def validate(kind, name, message):
    """Raises when the message isn't a request, answer or told of that name, as the schema has it."""
    if (kind, name) not in VALIDATORS:
        schema = {"$schema": SCHEMA["$schema"], "$defs": DEFS, "$ref": f"#/$defs/{kind}" + (f"/{name}" if name else "")}
        VALIDATORS[kind, name] = jsonschema.Draft202012Validator(schema)
    errors = [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in VALIDATORS[kind, name].iter_errors(message)]
    if errors:
        raise AssertionError(f"not as client.schema.json has {kind} {name}: {message}\n" + "\n".join(errors))


def received(message):
    """The same of whatever a client has got."""
    action, plain = message.get("action", ""), {key: value for key, value in message.items() if key != "attachment"}
    kind, name = "told", action
    if action.endswith("Rsp"):
        kind, name = ("answer", action[:-3]) if plain.get("code") == "ok" else ("refusal", "")
    if name and name not in DEFS[kind]:
        raise AssertionError(f"client.schema.json has no {kind} {name}: {message}")
    validate(kind, name, plain)
