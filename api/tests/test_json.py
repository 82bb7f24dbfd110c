import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import PayloadTooLarge
from api.json import CLIENT_MAX_DEPTH, BadJSON, UnstorableText, strict_loads


def loads(raw: bytes):
    return strict_loads(raw, max_bytes=1_000_000, max_depth=32)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"{}", {}),
        (b' {"a": [1, -2.5, null, true, "x"]}\n', {"a": [1, -2.5, None, True, "x"]}),
        ('{"é": "\U0001f600"}'.encode(), {"é": "\U0001f600"}),
        (rb'{"a": "\ud83d\ude00"}', {"a": "\U0001f600"}),
        (b'{"a": 9007199254740992}', {"a": 2**53}),
        (b'{"a": {"a": 1}}', {"a": {"a": 1}}),
        (rb'{"a": "\\u0000"}', {"a": r"\u0000"}),
    ],
)
def test_plain_json_is_read(raw, value):
    assert loads(raw) == value


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"{'a': 1}",
        b'{"a": 1} x',
        b'{"a": 1, }',
        b'{"a": "\n"}',
        b"[]",
        b"null",
        b'"text"',
        b"12",
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-32"),
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e400}',
        b'{"a": 9007199254740993}',
        b'{"a": -9007199254740993}',
        b'{"a": ' + b"9" * 100_000 + b"}",
        b'{"a": 1, "a": 1}',
        b'{"x": [{"a": 1, "b": 2, "a": 3}]}',
        b'{"a": 1, "\\u0061": 2}',
    ],
)
def test_anything_else_is_refused(raw):
    with pytest.raises(BadJSON) as refused:
        loads(raw)
    assert isinstance(refused.value, ValueError)
    assert not isinstance(refused.value, UnstorableText)


@pytest.mark.parametrize(
    "raw", [rb'{"a": "x\u0000"}', rb'{"\u0000": 1}', rb'{"a": [["\ud800"]]}', rb'{"a": "\udc00\ud800"}']
)
def test_text_that_postgresql_refuses_is_told_apart(raw):
    with pytest.raises(UnstorableText):
        loads(raw)


def test_unstorable_text_is_named_only_when_nothing_else_is_wrong():
    too_deep = b"[" * 40 + b"]" * 40
    for raw in (
        rb'{"a": "\u0000", "b": %s}' % too_deep,
        rb'{"b": %s, "a": "\u0000"}' % too_deep,
        rb'{"a": "\u0000", "a": 1}',
        rb'["\u0000"]',
    ):
        with pytest.raises(BadJSON) as refused:
            loads(raw)
        assert not isinstance(refused.value, UnstorableText)


@pytest.mark.parametrize(("opened", "closed"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_the_depth_bound_is_exact(opened, closed):
    def nested(levels):
        return b'{"a":' + opened * (levels - 1) + b"1" + closed * (levels - 1) + b"}"

    strict_loads(nested(CLIENT_MAX_DEPTH), max_bytes=10_000, max_depth=CLIENT_MAX_DEPTH)
    with pytest.raises(BadJSON, match="deeper than 32"):
        strict_loads(nested(CLIENT_MAX_DEPTH + 1), max_bytes=10_000, max_depth=CLIENT_MAX_DEPTH)


@pytest.mark.parametrize("depth", [5_000, 100_000])
@pytest.mark.parametrize("tail", [b"", b"]"])
def test_very_deep_json_is_refused_cheaply(depth, tail):
    started = time.process_time()
    with pytest.raises(BadJSON):
        loads(b'{"a": ' + b"[" * depth + tail * depth + b"}" * len(tail))
    assert time.process_time() - started < 0.5


def test_the_size_is_judged_before_the_content():
    strict_loads(b'{"a": 1}', max_bytes=8, max_depth=1)
    with pytest.raises(PayloadTooLarge):
        strict_loads(b'{"a": 1} ', max_bytes=8, max_depth=1)
    with pytest.raises(PayloadTooLarge):
        strict_loads(b"\xff" * 9, max_bytes=8, max_depth=1)


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\u0aeE+-.1 \n', max_size=80).map(str.encode))
def test_any_bytes_are_read_or_refused(raw):
    try:
        value = loads(raw)
    except BadJSON:
        return
    assert json.loads(raw.decode()) == value


storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=10)


@given(
    st.dictionaries(
        storable,
        st.recursive(
            st.none()
            | st.booleans()
            | storable
            | st.integers(-(2**53), 2**53)
            | st.floats(allow_nan=False, allow_infinity=False),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(storable, inner, max_size=3),
            max_leaves=10,
        ),
        max_size=5,
    ),
    st.booleans(),
)
def test_what_is_storable_is_read_as_python_reads_it(value, ascii_only):
    assert loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value
