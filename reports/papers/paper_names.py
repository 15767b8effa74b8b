"""Which figure of the Ladon paper corresponds to a board and a link's rate."""
# board: no

_FIGURES = {
    ("nano", 100.0): "Fig. 5",
    ("xavier_nx", 100.0): "Fig. 6",
    ("nano", 37.5): "Fig. S1",
    ("xavier_nx", 37.5): "Fig. S2",
}
_LIKE = {100.0: "as Figs. 5, 6", 37.5: "as Figs. S1, S2"}


def paper_figure(board: str, rate_kbit_s: float) -> str:
    """` (Fig. 5)` on the paper's own board, ` (as Figs. 5, 6)` on another; empty at other rates."""
    name = _FIGURES.get((board, rate_kbit_s)) or _LIKE.get(rate_kbit_s)
    return f" ({name})" if name else ""
