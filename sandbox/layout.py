"""A table for a terminal: cells are broken at spaces, columns are no wider than they have to be."""

from collections.abc import Sequence

MAX_COLUMN = 22


def lay_out(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table; of several rows, all have as many cells."""
    widths = [_width([row[column] for row in rows]) for column in range(len(rows[0]))]
    return [line for row in rows for line in _wrap(row, widths)]


def _width(cells: list[str]) -> int:
    """Make a column no wider than it should be, but as wide as its longest word."""
    longest_word = max(len(word) for cell in cells for word in cell.split(" "))
    return max(min(max(len(cell) for cell in cells), MAX_COLUMN), longest_word)


def _wrap(row: tuple[str, ...], widths: list[int]) -> list[str]:
    """Lay one row out in as many lines as its longest cell needs, broken at spaces."""
    cells = [_broken(cell, width) for cell, width in zip(row, widths, strict=True)]
    height = max(len(cell) for cell in cells)
    padded = [[*cell, *[""] * (height - len(cell))] for cell in cells]
    lines = (
        "  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True))
        for parts in zip(*padded, strict=True)
    )
    return [line.rstrip() for line in lines]


def _broken(cell: str, width: int) -> list[str]:
    lines = [""]
    for word in cell.split(" "):
        joined = f"{lines[-1]} {word}".strip()
        if len(joined) <= width or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines
