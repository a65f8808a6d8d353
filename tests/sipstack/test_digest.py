"""Challenges and credentials: what they mean, what they are answered with, and what is no digest at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack.digest import (
    ALGORITHMS,
    MAX_COUNT,
    MAX_PARAMETERS,
    MAX_VALUE_CHARS,
    MD5,
    SHA_256,
    SHA_512_256,
    Asked,
    Challenge,
    Credentials,
    answer,
    challenge_value,
    credentials_value,
    hashed_secret,
    matches,
    may_be_quoted,
    parse_challenge,
    parse_credentials,
    response_of,
    strongest,
)
from sipstack.errors import RemoteSipError
from tests.own_time import own_cpu_s

RFC_NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
RFC_CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
CREDENTIALS = Credentials("alice", "veil.example", "n", "sip:x@veil.example", "0" * 32, MD5, "auth", "c", 1)
ASKED = Asked("INVITE", "sip:x@veil.example", b"v=0\r\n", "cnonce")

# What stands between quotes: qdtext of RFC 3261 §25.1, and escapes.
quotable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x24F, exclude_characters='"\\\x7f'), max_size=40)
escaped = st.lists(st.one_of(quotable, st.sampled_from(['\\"', "\\\\", "\\a"])), max_size=4).map("".join)
algorithms = st.sampled_from([*ALGORITHMS, "SHA-3", "MD5-sess"])
challenges = st.builds(
    Challenge,
    escaped,
    escaped,
    algorithms,
    st.lists(st.sampled_from(["auth", "auth-int", "token"]), max_size=3).map(tuple),
    st.none() | escaped,
    st.booleans(),
)
bare_credentials = st.builds(
    Credentials,
    escaped,
    escaped,
    escaped,
    escaped,
    st.sampled_from(["0" * 32, "f" * 64]),
    algorithms,
    st.just(""),
    st.just(""),
    st.just(0),
    st.none() | escaped,
)
counted_credentials = st.builds(
    replace,
    bare_credentials,
    qop=st.sampled_from(["auth", "auth-int"]),
    cnonce=escaped,
    count=st.integers(0, MAX_COUNT),
)


# -- the sums of the RFCs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        (MD5, "8ca523f5e9506fed4657c9700eebdbec"),
        (SHA_256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616(algorithm: str, response: str) -> None:
    """§3.9.1."""
    challenge = Challenge("http-auth@example.org", RFC_NONCE, algorithm, ("auth", "auth-int"))
    asked = Asked("GET", "/dir/index.html", b"", RFC_CNONCE)
    assert answer(challenge, "Mufasa", "Circle of Life", asked).response == response


@pytest.mark.skipif(SHA_512_256 not in ALGORITHMS, reason="OpenSSL of this machine has no SHA-512/256")
def test_sha_512_256_is_what_openssl_says() -> None:
    """`openssl dgst -sha512-256`: not the first half of SHA-512, which the example of RFC 7616 §3.9.2 has."""
    expected = "62284b59a04bf98708b2aa8c9561cc8540f0a99089c6f2f3a675d752b8ca63e5"
    assert hashed_secret(SHA_512_256, "alice", "veil.example", "secret") == expected


def test_without_a_qop_the_sum_is_that_of_rfc_2069() -> None:
    challenge = Challenge("testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", MD5, ())
    found = answer(challenge, "Mufasa", "CircleOfLife", Asked("GET", "/dir/index.html", b"", "unused"))
    assert (found.response, found.qop, found.cnonce, found.count) == ("1949323746fe6a43ef61f9606e7febea", "", "", 0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("qop", [(), ("auth",), ("auth-int",)])
def test_what_is_answered_matches_and_nothing_else_does(algorithm: str, qop: tuple[str, ...]) -> None:
    secret = hashed_secret(algorithm, "alice", "veil.example", "secret")
    made = answer(Challenge("veil.example", "nonce", algorithm, qop), "alice", "secret", ASKED)
    assert matches(made, secret, "INVITE", ASKED.body)
    assert not matches(made, secret, "BYE", ASKED.body)
    assert not matches(made, hashed_secret(algorithm, "alice", "veil.example", "Secret"), "INVITE", ASKED.body)
    assert not matches(replace(made, nonce="other"), secret, "INVITE", ASKED.body)
    assert not matches(replace(made, uri="sip:y@veil.example"), secret, "INVITE", ASKED.body)
    assert matches(made, secret, "INVITE", b"other") == (qop != ("auth-int",))
    if qop:
        assert not matches(replace(made, count=2), secret, "INVITE", ASKED.body)
        assert not matches(replace(made, cnonce="other"), secret, "INVITE", ASKED.body)


# -- which of several is answered --------------------------------------------------------------------------------------


def test_the_strongest_that_we_have_is_answered() -> None:
    md5, sha, unknown = Challenge("r", "1", MD5), Challenge("r", "2", SHA_256), Challenge("r", "3", "SHA-3")
    assert strongest([md5, sha, unknown]) is sha
    assert strongest([md5, unknown]) is md5
    assert strongest([unknown]) is None
    assert strongest([]) is None


def test_of_two_alike_the_first_is_answered() -> None:
    first, second = Challenge("r", "1", SHA_256), Challenge("r", "2", SHA_256)
    assert strongest([first, second]) is first


def test_a_challenge_that_offers_no_qop_of_ours_is_none() -> None:
    strong, weak = Challenge("r", "1", SHA_256, ("token",)), Challenge("r", "2", MD5, ("auth-int",))
    assert strongest([strong, weak]) is weak


def test_auth_is_taken_before_auth_int() -> None:
    assert answer(Challenge("r", "n", MD5, ("auth-int", "auth")), "a", "p", ASKED).qop == "auth"


# -- reading and writing -----------------------------------------------------------------------------------------------


@given(challenges)
def test_a_challenge_comes_back_as_it_was_written(challenge: Challenge) -> None:
    assert parse_challenge(challenge_value(challenge)) == challenge


@given(bare_credentials | counted_credentials)
def test_credentials_come_back_as_they_were_written(credentials: Credentials) -> None:
    assert parse_credentials(credentials_value(credentials)) == credentials


@given(
    st.text(max_size=200) | st.text(st.sampled_from('Digest realm="nonce\\,= \t'), max_size=200).map("Digest ".__add__)
)
def test_whatever_comes_is_read_or_refused(value: str) -> None:
    for read in (parse_challenge, parse_credentials):
        try:
            read(value)
        except RemoteSipError:
            pass


def test_usual_spellings() -> None:
    read = parse_credentials(
        'digest USERNAME="a\\"b" , realm = "r",nonce="n",\turi="sip:x",response="' + "A" * 32 + '"'
        ',algorithm=md5,qop=Auth,nc=0000000a,cnonce=bare/+=,opaque="",more=1'
    )
    assert read == Credentials('a\\"b', "r", "n", "sip:x", "a" * 32, MD5, "auth", "bare/+=", 10, "")
    assert parse_challenge('Digest realm="r", nonce="n", stale=TRUE, qop="auth , auth-int"') == Challenge(
        "r", "n", MD5, ("auth", "auth-int"), None, True
    )


@pytest.mark.parametrize("value", ['Basic realm="r"', "NTLM", "", "Digest", 'Digestrealm="r"'])
def test_another_scheme_is_none(value: str) -> None:
    assert parse_challenge(value) is None
    assert parse_credentials(value) is None


@pytest.mark.parametrize(
    "value",
    [
        "Digest ",
        'Digest realm="r"',
        'Digest nonce="n"',
        'Digest realm="r",nonce="n",',
        'Digest realm="r" nonce="n"',
        'Digest realm="r",nonce="n",realm="other"',
        'Digest realm="r",nonce="n',
        'Digest realm="r",nonce=',
        'Digest realm="r",nonce="n\r\nX: y"',
        f'Digest realm="r",nonce="{"n" * (MAX_VALUE_CHARS + 1)}"',
        'Digest realm="r",nonce="n",' + ",".join(f"x{number}=1" for number in range(MAX_PARAMETERS)),
    ],
)
def test_what_is_no_challenge_is_refused(value: str) -> None:
    with pytest.raises(RemoteSipError):
        parse_challenge(value)


@pytest.mark.parametrize("name", ["username", "realm", "nonce", "uri", "response", "qop", "nc", "cnonce"])
def test_credentials_without_a_part_are_refused(name: str) -> None:
    parts = credentials_value(CREDENTIALS).removeprefix("Digest ").split(", ")
    with pytest.raises(RemoteSipError):
        parse_credentials("Digest " + ",".join(part for part in parts if not part.startswith(name + "=")))


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("nc=00000001", "nc=1"),
        ("nc=00000001", "nc=000000011"),
        ("nc=00000001", "nc=0000000g"),
        ("nc=00000001", "nc=٠٠٠٠٠٠٠١"),
        ("0" * 32, "0" * 31),
        ("0" * 32, "0" * 33),
        ("0" * 32, "x" * 32),
    ],
)
def test_credentials_with_a_part_that_is_none_are_refused(was: str, becomes: str) -> None:
    value = credentials_value(CREDENTIALS)
    assert was in value
    with pytest.raises(RemoteSipError):
        parse_credentials(value.replace(was, becomes))


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\rb", "a\x00b", "a" * (MAX_VALUE_CHARS + 1)])
def test_what_may_not_stand_between_quotes(text: str) -> None:
    assert not may_be_quoted(text)


@given(quotable)
def test_what_may_stand_between_quotes(text: str) -> None:
    assert may_be_quoted(text)


@pytest.mark.parametrize("piece", ['"', "\\", 'a="', "a=b,", " ", "a", '\\"', "=", ","])
def test_long_rows_take_no_more_than_their_length(piece: str) -> None:
    """A header line has 8192 characters at most; ten of them are read in no time, whatever they are made of."""
    value = "Digest " + piece * (80_000 // len(piece))
    with own_cpu_s() as took:
        for text in (value, f'Digest realm="{value}', f"{value}\x00"):
            try:
                parse_challenge(text)
            except RemoteSipError:
                pass
        assert took() < 1.0


def test_an_unknown_algorithm_is_read_and_not_answered() -> None:
    read = parse_challenge('Digest realm="r",nonce="n",algorithm=SHA-3,qop="auth"')
    assert read is not None
    assert read.algorithm == "SHA-3"
    assert strongest([read]) is None


def test_the_response_itself_is_no_part_of_its_sum() -> None:
    assert response_of(CREDENTIALS, "s", "INVITE") == response_of(
        replace(CREDENTIALS, response="f" * 32), "s", "INVITE"
    )
