"""The bundled text: plain letters, of a known length, that never change."""

from __future__ import annotations

import hashlib

import graphflow as gf


def test_the_text_is_short_plain_and_always_the_same() -> None:
    text = gf.data.text()
    stanzas = text.split("\n\n")
    assert text.isascii() and text.endswith("\n") and len(text) < 6000
    assert len(stanzas) == 18 and all(len(stanza.strip().splitlines()) == 6 for stanza in stanzas)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "45d1aeba2741494d"
