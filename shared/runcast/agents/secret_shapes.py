"""Shapes of the tokens of well-known services: what stands in a text that may hold one, and how it looks.

A shape's cues are texts of which one stands in everything that matches it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

TOKENS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("sk-",), r"sk-(?:ant|proj|svcacct|admin|or)-[A-Za-z0-9_-]{16,}+"),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{20,}+"),
    (("github_pat_",), r"github_pat_[A-Za-z0-9_]{20,}+"),
    (
        ("glpat-", "glrt-", "glcbt-", "gldt-", "glptt-", "glft-"),
        r"gl(?:pat|rt|cbt|dt|ptt|ft)-[A-Za-z0-9_-]{20,}+",
    ),
    (("AKIA", "ASIA"), r"A[KS]IA[A-Z0-9]{16}(?![A-Z0-9])"),
    (("xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-"), r"xox[abeoprs]-[A-Za-z0-9-]{10,}+"),
    (("xapp-",), r"xapp-[0-9]-[A-Za-z0-9-]{10,}+"),
    (("AIza",), r"AIza[A-Za-z0-9_-]{30,}+"),
    (("GOCSPX-",), r"GOCSPX-[A-Za-z0-9_-]{20,}+"),
    (("ya29.",), r"ya29\.[A-Za-z0-9_-]{20,}+"),
    (("k_live_", "k_test_"), r"[srp]k_(?:live|test)_[A-Za-z0-9]{16,}+"),
    (("whsec_",), r"whsec_[A-Za-z0-9+/=]{24,}+"),
    (("npm_",), r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    (("hf_",), r"hf_[A-Za-z0-9]{30,}+"),
    (("pypi-",), r"pypi-[A-Za-z0-9_-]{50,}+"),
    (("rubygems_",), r"rubygems_[a-f0-9]{48}"),
    (("dckr_pat_",), r"dckr_pat_[A-Za-z0-9_-]{20,}+"),
    (("gsk_",), r"gsk_[A-Za-z0-9]{40,}+"),
    (("xai-",), r"xai-[A-Za-z0-9]{40,}+"),
    (("pplx-",), r"pplx-[A-Za-z0-9]{40,}+"),
    (("r8_",), r"r8_[A-Za-z0-9]{37,40}(?![A-Za-z0-9])"),
    (("hvs.", "hvb."), r"hv[sb]\.[A-Za-z0-9_-]{24,}+"),
    (("shpat_", "shpca_", "shppa_", "shpss_"), r"shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}"),
    (("doo_v1_", "dop_v1_", "dor_v1_"), r"do[opr]_v1_[a-f0-9]{64}"),
    (("lin_api_",), r"lin_api_[A-Za-z0-9]{30,}+"),
    (("ntn_",), r"ntn_[A-Za-z0-9]{40,}+"),
    (("figd_",), r"figd_[A-Za-z0-9_-]{30,}+"),
    (("glsa_", "glc_"), r"gl(?:sa|c)_[A-Za-z0-9_+/=]{36,}+"),
    (("sntrys_", "sntryu_"), r"sntry[su]_[A-Za-z0-9_+/=-]{40,}+"),
    (("sbp_",), r"sbp_[a-f0-9]{40}"),
    (("pscale_",), r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_-]{32,}+"),
    (("SG.",), r"SG\.[A-Za-z0-9_-]{20,24}\.[A-Za-z0-9_-]{39,50}"),
    (("tskey-",), r"tskey-[a-z]{2,10}-[A-Za-z0-9]{6,40}+-[A-Za-z0-9]{16,}+"),
    (("dapi",), r"dapi[a-f0-9]{32}(?:-[0-9])?"),
    (("PMAK-",), r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    (("HRKU-",), r"HRKU-[A-Za-z0-9_-]{36,}+"),
    (("ATATT3",), r"ATATT3[A-Za-z0-9_=-]{50,}+"),
    (("AGE-SECRET-KEY-1",), r"AGE-SECRET-KEY-1[A-Z0-9]{50,}+"),
    ((":AA",), r"(?<=[0-9]{6}:)AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])"),
    (("eyJ",), r"eyJ[A-Za-z0-9_-]{10,256}+\.eyJ[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]*+"),
)  # fmt: skip
"""Shapes that nothing else has, each with its cues."""
_ANCHORS = "_-JXQZVWHKGBYUFMPLDRNOITACSE"
"""Characters that are looked for first where a cue holds one: in most texts they are rare."""
_BESIDE = 3


class Gate:
    """Finds quickly that a text holds none of the cues, as most texts don't. A search for one character costs
    next to nothing, so a cue is recognised by its rarest one and up to three characters beside it; what opens
    the gate may therefore still hold no cue."""

    def __init__(self, cues: Iterable[str], in_any_case: Iterable[str] = ()) -> None:
        """`in_any_case`: cues in lower case, which count in any case."""
        anchored: dict[str, set[tuple[str, str]]] = defaultdict(set)
        plain: set[str] = set()
        for cue in cues:
            anchor = next((each for each in _ANCHORS if each in cue), None)
            if anchor is None:
                plain.add(cue)
            else:
                anchored[anchor].add(_beside(cue, cue.index(anchor)))
        self._in_any_case = tuple(cue.encode() for cue in in_any_case)
        self._plain = tuple(sorted(cue.encode() for cue in plain))
        self._anchored = tuple(
            (anchor.encode(), re.compile(_around(anchor, beside).encode()))
            for anchor, beside in anchored.items()
        )

    def opens(self, text: bytes) -> bool:
        """Whether the text may hold a cue."""
        return (
            any(map(text.__contains__, self._plain))
            or any(map(text.lower().__contains__, self._in_any_case))
            or any(
                anchor in text and shape.search(text) is not None
                for anchor, shape in self._anchored
            )
        )


def _beside(cue: str, place: int) -> tuple[str, str]:
    """What stands before and behind the character at a place of a cue; behind it only where little stands
    before it."""
    before = cue[max(place - _BESIDE, 0) : place]
    return before, "" if len(before) == _BESIDE else cue[place + 1 : place + 1 + _BESIDE]


def _around(anchor: str, beside: set[tuple[str, str]]) -> str:
    """An expression that finds the anchor where one of these stands beside it."""
    by_form: dict[tuple[int, str], list[str]] = defaultdict(list)
    for before, after in sorted(beside):
        by_form[len(before), after].append(re.escape(before))
    found = [
        (f"(?<=(?:{'|'.join(befores)}){anchor})" if size else "") + re.escape(after)
        for (size, after), befores in by_form.items()
    ]
    return f"{anchor}(?:{'|'.join(found)})"
