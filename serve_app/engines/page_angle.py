"""Which way up a page is, where its own text says so."""

from __future__ import annotations

from collections import Counter

from serve_app.documents.text_layer.values import PageLayer

# Of the page's characters, that read in one direction.
MOST = 0.8
# Characters that are no page of text.
FEW = 200


def layer_angle(layer: PageLayer) -> int | None:
    """Degrees counterclockwise (0, 90, 180, 270) that make most of the text upright.

    None where the page shows so much more that its own text may be a stamp on a scan.
    """
    counts: Counter[int] = Counter()
    for line in layer.lines:
        counts[0 if line.vertical else round(line.angle / 90) % 4 * 90] += len(line.chars)
    if counts.total() < FEW and layer.rest is not None:
        return None
    [(angle, count)] = counts.most_common(1) or [(0, 0)]
    return angle if count >= MOST * counts.total() else 0
