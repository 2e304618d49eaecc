"""The history of the ratios as one SVG: a small chart for each, so that no scale hides another; then growth.

A growth curve shows the cores of all processes by number of devices, the newest measurement of each; red: not kept up.
"""

import json
import math
from html import escape
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, LEFT, TOP, BETWEEN = 640, 90, 200, 24, 30
FIGURES = (
    "ingest_ratio",
    "ingest_cpu_us_per_reading",
    "modbus_ratio",
    "opcua_ratio",
    "mqtt_ratio",
    "bytes_per_reading",
    "latest_5000_ms",
    "count_past_ms",
    "modbus_ratio_to_telegraf",
    "opcua_ratio_to_telegraf",
    "mqtt_ratio_to_telegraf",
    "sparkplug_ratio",
    "lost_ms_per_kill",
)


def svg(history: Path) -> str:
    """Return the drawing of a file with one run a line; runs without a figure are left out of its chart."""
    runs = [json.loads(line) for line in history.read_text("utf-8").splitlines()] if history.exists() else []
    charts: list[str] = []
    for name in FIGURES:
        points = [(str(run["at"]), float(run[name])) for run in runs if name in run]
        charts.append(_chart(name, points, TOP + len(charts) * (HEIGHT + BETWEEN)))
    for name, curve in sorted(_curves(runs).items()):
        charts.append(_growth(name, curve, TOP + len(charts) * (HEIGHT + BETWEEN)))
    height = TOP + len(charts) * (HEIGHT + BETWEEN)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 40}" height="{height}"'
        ' font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{"".join(charts)}</svg>\n'
    )


def _curves(runs: list[dict[str, Any]]) -> dict[str, dict[int, tuple[float, bool]]]:
    """Return cores and whether it kept up, by number of devices, of each growth curve."""
    curves: dict[str, dict[int, tuple[float, bool]]] = {}
    for run in runs:
        for name, points in run.get("growth", {}).items():
            for devices, point in points.items():
                if devices.isdigit():
                    cores = sum(point["cores"].values())
                    curves.setdefault(name, {})[int(devices)] = cores, bool(point["kept_up"])
    return curves


def _growth(name: str, curve: dict[int, tuple[float, bool]], top: int) -> str:
    """Draw one growth curve: 10 to 1,000,000 devices by powers of ten, from 0 up to its most cores."""
    bottom, most = top + HEIGHT, max(cores for cores, _ in curve.values()) or 1.0
    drawn = (
        f'<text x="8" y="{top + 14}">growth: {escape(name)}</text>\n'
        f'<text x="8" y="{top + 32}" fill="#555">most {most:.3g} cores</text>\n'
        f'<path d="M{LEFT} {top}V{bottom}H{LEFT + WIDTH}" fill="none" stroke="#999"/>\n'
    )
    for devices, (cores, kept_up) in sorted(curve.items()):
        x, y = LEFT + (math.log10(devices) - 1) / 5 * WIDTH, bottom - cores / most * HEIGHT
        colour = "#0b6" if kept_up else "#c22"
        drawn += (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}">'
            f"<title>{devices}: {cores:.3g}</title></circle>\n"
            f'<text x="{x:.1f}" y="{bottom + 14}" fill="#999" text-anchor="middle">{devices}</text>\n'
        )
    return drawn


def _chart(name: str, points: list[tuple[str, float]], top: int) -> str:
    """Draw one figure, run after run at equal distances, from 0 up to its highest value."""
    bottom = top + HEIGHT
    said = f'<text x="8" y="{top + 14}">{escape(name)}</text>\n'
    frame = f'<path d="M{LEFT} {top}V{bottom}H{LEFT + WIDTH}" fill="none" stroke="#999"/>\n'
    if not points:
        return said + frame + f'<text x="{LEFT + 8}" y="{bottom - 8}" fill="#999">never measured</text>\n'
    most = max(value for _, value in points) or 1.0
    step = WIDTH / max(len(points) - 1, 1)
    at = [(LEFT + index * step, bottom - value / most * HEIGHT) for index, (_, value) in enumerate(points)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#0b6"><title>{escape(when)}: {value:.3g}</title></circle>\n'
        for (x, y), (when, value) in zip(at, points, strict=True)
    )
    return (
        f'{said}<text x="8" y="{top + 32}" fill="#555">last {points[-1][1]:.3g}, most {most:.3g}</text>\n{frame}'
        f'<polyline points="{line}" fill="none" stroke="#0b6"/>\n{dots}'
        f'<text x="{LEFT}" y="{bottom + 14}" fill="#999">{escape(points[0][0])} – {escape(points[-1][0])}</text>\n'
    )
