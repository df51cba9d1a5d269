"""The digits that amounts have after the point, by currency (ISO 4217)."""

from __future__ import annotations

# Where it is not two.
_SCALES = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
}


def scale_of(code: str) -> int:
    return _SCALES.get(code, 2)
