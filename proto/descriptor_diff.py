"""Proves that two descriptor sets describe the same wire and the same presence.

protoc describes `optional uint32 k = 3;` as a member of a synthetic oneof `_k` with the mark proto3_optional. The file
rewritten for protoc-c declares that oneof itself. So the two sets must be equal but for this mark and the order of oneofs.
Only the standard library is used; the few fields of google/protobuf/descriptor.proto that matter are read by number.
"""

import dataclasses


class DiffError(ValueError):
    """The two sets differ."""


@dataclasses.dataclass
class Compared:
    """What was looked at; each number must be above 0 for the proof to mean anything."""

    messages: int = 0
    fields: int = 0
    optional: int = 0
    methods: int = 0


def _varint(data, at):
    value, shift = 0, 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields_of(data):
    """All (number, value) pairs of a serialized message; a value is an int or bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(data, at)
        elif kind == 2:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = data[at : at + size], at + size
        else:
            raise DiffError(f"unexpected wire type {kind}")
        yield number, value


def _all(message, number):
    return [value for n, value in message if n == number]


def _field(raw, oneofs, optional):
    """A field as a comparable dict, with its oneof by name and without the mark proto3_optional (17)."""
    pairs = list(fields_of(raw))
    shape = {number: value for number, value in pairs if number not in (9, 17)}
    index = _all(pairs, 9)
    shape["oneof"] = oneofs[index[0]] if index else None
    if _all(pairs, 17) == [1]:
        optional.append(shape[1])
    return shape


def _message(raw, prefix, into, optional):
    pairs = list(fields_of(raw))
    name = f"{prefix}.{_all(pairs, 1)[0].decode()}"
    oneofs = [dict(fields_of(value))[1].decode() for value in _all(pairs, 8)]
    into[name] = {
        "fields": {(shape := _field(value, oneofs, optional))[3]: shape for value in _all(pairs, 2)},
        "oneofs": sorted(oneofs),
        "rest": [(n, value) for n, value in pairs if n not in (1, 2, 3, 8)],
    }
    for nested in _all(pairs, 3):
        _message(nested, name, into, optional)


def describe(data):
    """(messages by full name, everything else by file, methods, optional fields) of a serialized FileDescriptorSet."""
    messages, rest, methods, optional = {}, {}, 0, []
    for file in (list(fields_of(value)) for n, value in fields_of(data) if n == 1):
        package = "".join(value.decode() for value in _all(file, 2))
        for raw in _all(file, 4):
            _message(raw, package, messages, optional)
        for service in _all(file, 6):
            methods += len(_all(list(fields_of(service)), 2))
        rest[_all(file, 1)[0]] = [(n, value) for n, value in file if n != 4]
    return messages, rest, methods, optional


def compare(original, rewritten):
    """Raises DiffError at the first difference; returns what was compared."""
    before, rest_before, methods, optional = describe(original)
    after, rest_after, _, left = describe(rewritten)
    if left:
        raise DiffError(f"rewritten file still has optional fields: {left}")
    if rest_before != rest_after:
        raise DiffError("files, enums or services differ")
    if before.keys() != after.keys():
        raise DiffError(f"messages differ: {sorted(before.keys() ^ after.keys())}")
    for name, message in before.items():
        if message != after[name]:
            raise DiffError(f"message {name} differs")
    return Compared(len(before), sum(len(m["fields"]) for m in before.values()), len(optional), methods)
