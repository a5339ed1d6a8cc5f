"""A picture of some rows: one line each, a mark for each peer, on a scale of powers of ten."""

import math

# Colours that the colour-blind can tell apart; what is no library is a grey diamond.
COLOURS = ["#0072b2", "#e69f00", "#cc79a7", "#009e73"]
GREYS = ["#444444", "#aaaaaa"]
LEAST = 0.0005 # what is below is shown as 0
LEFT, WIDTH, RIGHT, LINE, TOP = 190, 600, 44, 26, 64


def short(value):
    if value >= 10 or value == 0:
        return f"{value:,.0f}"
    return "0" if value < LEAST else f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}"


def mark(x, y, peer, colour, title):
    if peer.limit:
        shape = f'<path d="M{x - 6:.1f} {y}L{x:.1f} {y - 6}L{x + 6:.1f} {y}L{x:.1f} {y + 6}Z"'
    else:
        shape = f'<circle cx="{x:.1f}" cy="{y}" r="{6 if colour == COLOURS[0] else 5}"'
    return f'{shape} fill="{colour}" stroke="white"><title>{title}</title></{"path" if peer.limit else "circle"}>'


def dots(path, title, rows, peers, value):
    """rows: names; value(row, peer) a number or None. A figure below the scale stands at its left end, at 0."""
    colours, libraries, limits = {}, iter(COLOURS), iter(GREYS)
    for peer in peers:
        colours[peer.name] = next(limits if peer.limit else libraries)
    values = [value(row, peer) for row in rows for peer in peers]
    positive = [v for v in values if v is not None and v >= LEAST]
    if not positive:
        return False
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    high = max(high, low + 1)
    zero = any(v is not None and v < LEAST for v in values)
    begin = LEFT + (40 if zero else 0)

    def x(v):
        return LEFT if v < LEAST else begin + (math.log10(v) - low) / (high - low) * (LEFT + WIDTH - begin)

    bottom = TOP + LINE * len(rows)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + RIGHT} {bottom + 24}" '
           f'width="{LEFT + WIDTH + RIGHT}" height="{bottom + 24}" font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/>',
           f'<text x="12" y="20" font-size="15" font-weight="bold">{title}</text>']
    at = 18
    for peer in peers:
        out.append(mark(at, 40, peer, colours[peer.name], peer.name))
        bold = ' font-weight="bold"' if peer is peers[0] else ""
        out.append(f'<text x="{at + 10}" y="44"{bold}>{peer.name}</text>')
        at += 34 + (8.4 if bold else 7.2) * len(peer.name)
    out.append(f'<text x="{LEFT + WIDTH + RIGHT - 12}" y="20" text-anchor="end" fill="#555">'
               'left is better; each line is ten times the one before</text>')
    for tick in range(low, high + 1):
        v = 10.0 ** tick
        out.append(f'<line x1="{x(v):.1f}" x2="{x(v):.1f}" y1="{TOP - 4}" y2="{bottom}" stroke="#ddd"/>')
        out.append(f'<text x="{x(v):.1f}" y="{bottom + 16}" text-anchor="middle" fill="#555">'
                   f'{v:,.{max(0, -tick)}f}</text>')
    if zero:
        out.append(f'<line x1="{LEFT}" x2="{LEFT}" y1="{TOP - 4}" y2="{bottom}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT}" y="{bottom + 16}" text-anchor="middle" fill="#555">0</text>')
    for i, row in enumerate(rows):
        y = TOP + LINE * i + LINE // 2
        out.append(f'<text x="{LEFT - 14}" y="{y + 4}" text-anchor="end">{row.name}</text>')
        found = [(value(row, p), p) for p in peers if value(row, p) is not None]
        if found:
            ends = [x(v) for v, _ in found]
            out.append(f'<line x1="{min(ends):.1f}" x2="{max(ends):.1f}" y1="{y}" y2="{y}" stroke="#bbb"/>')
        for v, peer in reversed(found): # ours lies on top
            out.append(mark(x(v), y, peer, colours[peer.name], f"{peer.name}: {short(v)}"))
    with open(path, "w") as f:
        f.write("\n".join(out + ["</svg>"]) + "\n")
    return True
