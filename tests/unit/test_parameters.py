"""Forms and JSON become parameters; what doesn't fit gets Stripe's error."""

import contextlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Meta, Struct, UnsetType

import payments
from payments.domain.errors import InvalidRequest
from payments.wire.changes import merge_metadata
from payments.wire.form import DEPTH_MAX, PARAMETERS_MAX, decode_form, decode_json
from payments.wire.objects import changed_attributes
from payments.wire.params import parse

names = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="[]\0"), min_size=1, max_size=8).filter(
    lambda name: not name.isdigit() and name != "metadata"
)
texts = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=12)
trees = st.dictionaries(
    names,
    st.recursive(
        texts, lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(names, inner, min_size=1, max_size=3), max_leaves=6
    ),
    max_size=4,
)


def encode(tree: dict[str, Any]) -> bytes:
    """As Stripe's SDKs encode: lists with their indexes."""
    pairs: list[str] = []

    def walk(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, child in value.items():
                walk(f"{name}[{key}]", child)
        elif isinstance(value, list):
            for index, child in enumerate(value):
                walk(f"{name}[{index}]", child)
        else:
            pairs.append(f"{quote_plus(name)}={quote_plus(value)}")

    for key, value in tree.items():
        walk(key, value)
    return "&".join(pairs).encode()


@given(trees)
def test_what_an_sdk_encodes_is_decoded_again(tree: dict[str, Any]) -> None:
    assert decode_form(encode(tree)) == tree
    assert decode_json(json.dumps(tree).encode()) == tree


def calls_made(decode: Callable[[], object]) -> int:
    """How many functions are called, which doesn't depend on the machine."""
    count = 0

    def called(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        decode()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("name", ["a[]", "a[{}]", "a[b][c][]", "a[b{}][]", "metadata[{}]", "a{}"])
def test_twice_the_parameters_are_twice_the_work(name: str) -> None:
    def body(count: int) -> bytes:
        return "&".join(f"{name.format(index)}=x" for index in range(count)).encode()

    few, many = body(PARAMETERS_MAX // 2), body(PARAMETERS_MAX)
    assert calls_made(lambda: decode_form(many)) < 2.2 * calls_made(lambda: decode_form(few))


@pytest.mark.parametrize("zeros", [1, 3, 400, 5_000])
@pytest.mark.parametrize(("given", "read"), [("{}7", 7), ("+{}7", 7), ("-{}7", -7), ("{}", 0), ("-{}", 0), ("{}700", 700)])
def test_zeros_before_an_integer_say_nothing_however_many_they_are(given: str, read: int, zeros: int) -> None:
    class Counted(Struct):
        count: int

    assert parse({"count": given.format("0" * zeros)}, Counted).count == read


@given(st.binary(max_size=60) | st.text("a[]=&%0", max_size=30).map(str.encode))
def test_no_body_does_worse_than_be_refused(body: bytes) -> None:
    for decode in (decode_form, decode_json):
        with contextlib.suppress(InvalidRequest):
            decode(body)


@pytest.mark.parametrize(
    ("body", "decoded"),
    [
        (b"", {}),
        (b"a=1&a=2", {"a": "2"}),
        (b"expand[]=x&expand[]=y", {"expand": ["x", "y"]}),
        (b"items[1][p]=b&items[0][p]=a", {"items": [{"p": "a"}, {"p": "b"}]}),
        (b"a+b=c%20d", {"a b": "c d"}),
        (b"metadata[k]=", {"metadata": {"k": ""}}),
        (b"a", {"a": ""}),
        (b"metadata[6735]=shoes", {"metadata": {"6735": "shoes"}}),
        (b"metadata[0]=a&metadata[1]=b", {"metadata": {"0": "a", "1": "b"}}),
        (b"data[metadata][7]=x&data[list][1]=x", {"data": {"metadata": {"7": "x"}, "list": ["x"]}}),
        (b"a[1]=x&a[]=y", {"a": ["x", "y"]}),
        (b"a[]=x&a[0]=y", {"a": ["y"]}),
        (b"a[900000000]=x&a[]=y", {"a": ["x", "y"]}),
        (b"a[2]=x&a[0]=w&a[]=y", {"a": ["w", "x", "y"]}),
        (b"a[" + b"9" * 5000 + b"]=x", {"a": {"9" * 5000: "x"}}),
    ],
)
def test_forms_are_nested_by_brackets(body: bytes, decoded: dict[str, Any]) -> None:
    assert decode_form(body) == decoded


@pytest.mark.parametrize(
    "body",
    [
        b"a=%00",
        b"a=%ff",
        b"\xff=1",
        b"a[=1",
        b"[]=1",
        b"a=1&a[b]=2",
        b"a[b]=1&a=2",
        b"a[b]=1&a[b][c]=2",
        b"a[][b]=1",
        b"a" + b"[b]" * DEPTH_MAX + b"=1",
        b"&".join(b"a%d=1" % i for i in range(PARAMETERS_MAX + 1)),
    ],
)
def test_malformed_forms_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode_form(body)


@pytest.mark.parametrize("body", [b"[1]", b"1", b"{", b'{"a": "\\u0000"}', b'{"a": "\\ud800"}', b'{"a":' * 20 + b"1" + b"}" * 20, b"\xff"])
def test_malformed_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode_json(body)


class Inner(Struct, frozen=True, forbid_unknown_fields=True):
    count: int
    flag: bool = False


class Outer(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    size: Literal["small", "large"] = "small"
    inner: Inner | None = None
    many: list[str] = []


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({}, "parameter_missing", "name"),
        ({"name": "a", "nmae": "b"}, "parameter_unknown", "nmae"),
        ({"name": "a", "inner": {}}, "parameter_missing", "inner[count]"),
        ({"name": "a", "inner": {"count": "1", "x": "1"}}, "parameter_unknown", "inner[x]"),
        ({"name": "a", "inner": {"count": "one"}}, "parameter_invalid_integer", "inner[count]"),
        ({"name": "a", "inner": {"count": "1e1"}}, "parameter_invalid_integer", "inner[count]"),
        ({"name": "a", "inner": {"count": 1.0}}, "parameter_invalid_integer", "inner[count]"),
        ({"name": "a", "inner": {"count": ""}}, "parameter_invalid_empty", "inner[count]"),
        ({"name": "a", "inner": {"count": "1", "flag": "maybe"}}, None, "inner[flag]"),
        ({"name": "a", "inner": "text"}, None, "inner"),
        ({"name": ["a"]}, None, "name"),
        ({"name": "a", "size": "huge"}, None, "size"),
        ({"name": "a", "many": "one"}, None, "many"),
    ],
)
def test_the_wrong_parameter_is_named_as_the_client_wrote_it(params: dict[str, object], code: str | None, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(params, Outer)
    assert (refused.value.code, refused.value.param) == (code, param)


@pytest.mark.parametrize("count", ["08", "8", "+8", "0000000000000008", "+008", "0" * 5000 + "8", 8])
def test_an_integer_may_be_padded(count: object) -> None:
    assert parse({"name": "a", "inner": {"count": count}}, Outer).inner == Inner(8)
    assert parse({"deep": [{"count": count}], "either": count}, Optional) == Optional(deep=[Inner(8)], either=8)


@pytest.mark.parametrize(
    "count",
    [
        "0" * 5000 + "9" * 17,
        "+" + "0" * 5000 + "9" * 5000,
        "9" * 17,
        "9" * 400,
        "9" * 5000,
        10**17,
        10**400,
        -(10**17),
        "1e400",
        1e400,
        "0x8",
        "8_0",
        "\u0668",
        " 8",
    ],
)
def test_an_integer_that_none_holds_is_refused(count: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse({"name": "a", "inner": {"count": count}}, Outer)
    assert (refused.value.code, refused.value.param) == ("parameter_invalid_integer", "inner[count]")


@pytest.mark.parametrize("count", ["0" * 5000, "-" + "0" * 5000 + "8", "-0", "000"])
def test_an_integer_however_long_is_no_failure(count: str) -> None:
    assert parse({"name": "a", "inner": {"count": count}}, Outer).inner == Inner(-8 if "8" in count else 0)


class Bounded(Struct, frozen=True, forbid_unknown_fields=True):
    amount: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    count: Annotated[int, Meta(ge=0, le=9)] = 0
    kind: Literal["card"] = "card"
    reason: Literal["lost", "stolen", ""] | None = None
    many: list[Literal["a", "b", "c"]] = []
    inner: Outer | None = None
    note: Annotated[str, Meta(min_length=2, max_length=10)] = "none"
    few: Annotated[list[str], Meta(min_length=1, max_length=2)] | None = None


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"amount": "-400"}, "Invalid positive integer"),
        ({"amount": "0"}, "This value must be greater than or equal to 1."),
        ({"count": -1}, "Invalid non-negative integer"),
        ({"count": "10"}, "This value must be less than or equal to 9."),
        ({"kind": "ideal"}, "Invalid kind: must be card"),
        ({"reason": "found"}, "Invalid reason: must be one of lost or stolen"),
        ({"many": ["a", "d"]}, "Invalid many[1]: must be one of a, b, or c"),
        ({"inner": {"name": "a", "size": "huge"}}, "Invalid inner[size]: must be one of large or small"),
        ({"note": "0123456789a"}, "Invalid string: 0123...789a; must be at most 10 characters"),
        ({"note": "a"}, "Invalid string: a; must be at least 2 characters"),
        ({"few": []}, "Invalid array: its length must be at least 1"),
        ({"few": ["a", "b", "c"]}, "Invalid array: its length must be at most 2"),
    ],
)
def test_what_would_be_accepted_is_told_in_stripes_words(params: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(params, Bounded)
    assert refused.value.message == message


class Optional(Struct, frozen=True, forbid_unknown_fields=True):
    amount: int | UnsetType | None = UNSET
    flag: bool | None = None
    kind: Literal["card", ""] | None = None
    inner: Outer | Literal[""] | None = None
    many: list[str] | Literal[""] | None = None
    either: int | Literal[""] | None = None
    deep: list[Inner] = []
    deeper: list["Optional"] = []
    name: str | None = None


@pytest.mark.parametrize("word", ["null", "NULL", "Null", "undefined"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("amount", "Invalid integer: {}"),
        ("flag", "Invalid boolean: {}"),
        ("kind", "Invalid kind: must be card"),
        ("inner", "Invalid object"),
        ("many", "Invalid array"),
        ("either", "Invalid integer: {}"),
    ],
)
def test_a_word_for_nothing_is_a_word(name: str, message: str, word: str) -> None:
    cases: tuple[tuple[dict[str, object], str], ...] = ({name: word}, name), ({"deeper": [{}, {name: word}]}, f"deeper[1][{name}]")
    for params, named in cases:
        with pytest.raises(InvalidRequest) as refused:
            parse(params, Optional)
        assert (refused.value.message, refused.value.param) == (message.format(word).replace(name, named), named)
    assert parse({"name": word}, Optional).name == word


def test_what_must_be_a_hash_is_told_whatever_else_is_given() -> None:
    for other in (["a"], 5, "a"):
        with pytest.raises(InvalidRequest) as refused:
            parse({"inner": other}, Optional)
        assert refused.value.message == "Invalid object"


def test_nulls_in_json_say_nothing_wherever_they_are() -> None:
    assert decode_json(b'{"amount": null, "deeper": [{"kind": null}], "deep": [null], "metadata": {"key": null}}') == {
        "deeper": [{}],
        "deep": [None],
        "metadata": {"key": None},
    }


@pytest.mark.parametrize("count", ["1e3", "2000.0", 2000.0, 2**53 + 1])
def test_an_integer_in_a_list_is_held_to_the_same(count: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse({"deep": [{"count": 1}, {"count": count}]}, Optional)
    assert (refused.value.code, refused.value.param) == ("parameter_invalid_integer", "deep[1][count]")


class Paying(Struct, frozen=True, forbid_unknown_fields=True):
    amount: int
    payment_method_data: Outer | None = None
    referrer: str | None = None


def test_what_a_client_tells_of_itself_is_taken_and_dropped() -> None:
    told: dict[str, object] = {"guid": "g", "muid": "m", "sid": "s", "payment_user_agent": "stripe-android/21.0.0", "time_on_page": "4711"}
    told |= {"pasted_fields": "number", "client_attribution_metadata": {"client_session_id": "c"}}
    told |= {"ip": "192.0.2.1", "user_agent": "Mozilla", "external_id": "order 1"}
    read = parse({"amount": "08", "payment_method_data": {"name": "a", **told}, "referrer": "https://example.com", **told}, Paying)
    assert read == Paying(8, Outer("a"), "https://example.com"), "an operation's own parameter stays, whatever it is called"
    for elsewhere in ({"inner": {"count": 1, "guid": "g"}}, {"payment_user_agnet": "x"}):
        with pytest.raises(InvalidRequest, match="Received unknown parameter"):
            parse({"name": "a", **elsewhere}, Outer)


def test_an_empty_value_that_unsets_nothing_is_told_in_stripes_words() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse({"name": "a", "inner": {"count": ""}}, Outer)
    assert refused.value.message == (
        "You passed an empty string for 'inner[count]'. We assume empty values are an attempt to unset a parameter; however 'inner[count]' "
        "cannot be unset. You should remove 'inner[count]' from your request or supply a non-empty value."
    )


def test_forms_and_json_mean_the_same() -> None:
    from_form = parse({"name": "a", "inner": {"count": "3", "flag": "true"}}, Outer)
    assert from_form == parse({"name": "a", "inner": {"count": 3, "flag": True}}, Outer) == Outer("a", inner=Inner(3, True))


def test_metadata_is_merged_and_unset() -> None:
    assert merge_metadata({"a": "1", "b": "2"}, {"a": "", "c": 3, "d": True}) == {"b": "2", "c": "3", "d": "true"}
    assert merge_metadata({"a": "1"}, "") == {}


@pytest.mark.parametrize(
    "given_metadata",
    ["text", {"k" * 41: "v"}, {"k[": "v"}, {"k": "v" * 501}, {"k": {"deep": "v"}}, {f"k{i}": "v" for i in range(51)}],
)
def test_metadata_has_limits(given_metadata: Any) -> None:
    with pytest.raises(InvalidRequest):
        merge_metadata({}, given_metadata)


def test_previous_attributes_are_what_changed() -> None:
    before: dict[str, object] = {"name": "a", "metadata": {"x": "1", "y": "2"}, "same": 1}
    after: dict[str, object] = {"name": "b", "metadata": {"x": "1", "z": "3"}, "same": 1}
    assert changed_attributes(before, after) == {"name": "a", "metadata": {"y": "2", "z": None}}


def test_no_pattern_lets_a_line_feed_follow() -> None:
    """As `$` does, which an id, a name or a header's value would end with."""
    found = [path for path in Path(payments.__file__).parent.rglob("*.py") if re.search(r"pattern=r?(['\"]+)[^\n]*\$\1", path.read_text())]
    assert found == []
