"""Keywords that offer SRTP (RFC 4568) in an SDP: the words are written, the media are not encrypted."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import MutableMapping
from random import Random
from typing import Final

_SUITES: Final = {
    "aescm128sha180": "AES_CM_128_HMAC_SHA1_80", "aescm128sha132": "AES_CM_128_HMAC_SHA1_32",
    "aescm192sha180": "AES_192_CM_HMAC_SHA1_80", "aescm192sha132": "AES_192_CM_HMAC_SHA1_32",
    "aescm256sha180": "AES_256_CM_HMAC_SHA1_80", "aescm256sha132": "AES_256_CM_HMAC_SHA1_32",
    "nullsha180": "NULL_HMAC_SHA1_80", "nullsha132": "NULL_HMAC_SHA1_32",
}  # fmt: skip
# Key and salt together, where they are not the 30 of AES 128 (RFC 6188 §4).
_KEY_BYTES: Final = {"AES_192": 38, "AES_256": 46}
_USUAL_KEY_BYTES: Final = 30
_NAME: Final = re.compile(
    rf"(cryptotag|cryptokeyparams|cryptosuite(?:{'|'.join(_SUITES)})|ueaescm128sha1(?:80|32))([12](?:audio|video))"
)


def is_crypto(name: str) -> bool:
    """True for `cryptotag1audio`, `cryptosuiteaescm128sha1801audio`, `cryptokeyparams1audio`, `ueaescm128sha1801audio`
    and the like.
    """
    return _NAME.fullmatch(name) is not None


def crypto_text(name: str, offset: int, kept: MutableMapping[str, str], random: Random) -> str:
    """What stands for one of them. `kept` are suites and keys of the call: an offset below 0 takes the key again."""
    found = _NAME.fullmatch(name)
    assert found is not None
    kind, line = found[1], found[2]
    if kind == "cryptotag":
        return line[0]
    if kind.startswith("ue"):
        return "UNENCRYPTED_SRTP"
    if kind.startswith("cryptosuite"):
        kept[f"suite{line}"] = suite = _SUITES[kind.removeprefix("cryptosuite")]
        return suite
    if offset >= 0 or f"key{line}" not in kept:
        size = _KEY_BYTES.get(kept.get(f"suite{line}", "")[:7], _USUAL_KEY_BYTES)
        kept[f"key{line}"] = b64encode(random.randbytes(size)).decode()
    return kept[f"key{line}"]
