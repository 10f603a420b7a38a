"""Line plots as SVG, drawn by hand: a few lines of XML need no library, and differ only where figures do."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 44, 50
COLOURS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed")

Curve = Sequence[tuple[float, float]]


def plot(path: Path, title: str, across: str, unit: str, curves: Mapping[str, Curve]) -> None:
    """Writes curves over a logarithmic x-axis. The y-axis begins at 0."""
    points = [point for curve in curves.values() for point in curve]
    low, high = (math.log10(each) for each in (min(points)[0], max(points)[0]))
    top = _nice(max(y for _, y in points))

    def place(x: float, y: float) -> tuple[float, float]:
        part = (math.log10(x) - low) / max(high - low, 1e-9)
        return (
            LEFT + part * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM),
        )

    pieces = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="12" fill="#374151">',
        f'<title>{escape(title)}</title><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        _text(LEFT, 20, title, weight="bold"),
        _text(WIDTH / 2, HEIGHT - 10, across, anchor="middle"),
    ]
    for step in range(5):
        y = place(10**low, top * step / 4)[1]
        pieces.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e5e7eb"/>')
        pieces.append(_text(LEFT - 8, y + 4, f"{top * step / 4:g} {unit}", anchor="end"))
    for power in range(math.ceil(low), math.floor(high) + 1):
        x = place(10**power, 0)[0]
        pieces.append(_text(x, HEIGHT - BOTTOM + 18, f"{10**power:,}", anchor="middle"))
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [place(x, y) for x, y in curve]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        pieces.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        pieces += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        pieces.append(_text(LEFT + number * 185, 38, f"● {name}", colour=colour))
    path.write_text("\n".join([*pieces, "</svg>", ""]))


def _nice(value: float) -> float:
    """The next number above that divides well by four."""
    power: float = 10 ** math.floor(math.log10(max(value, 1e-9)))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value)


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "", colour: str = ""
) -> str:
    style = f' font-weight="{weight}"' if weight else ""
    fill = f' fill="{colour}"' if colour else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}{fill}>{escape(text)}</text>'
    )
