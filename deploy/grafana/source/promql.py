"""Expressions that several panels are made of; ``OF_MODEL`` limits to the models that are chosen at the top."""

GATEWAY = 'job="gateway"'
OF_MODEL = f'{GATEWAY}, model=~"$model"'


def rate(series: str, by: str = "") -> str:
    """How fast the counter ``series`` grows, a second; ``by`` lists the labels to keep."""
    grouped = f"sum by ({by}) " if by else "sum"
    return f"{grouped}(rate({series}[$__rate_interval]))"


def quantile(share: float, histogram: str, by: str) -> str:
    """Of a classic histogram, whose name comes without its ending; ``by`` lists the labels to keep."""
    name, brace, selector = histogram.partition("{")
    return f"histogram_quantile({share}, {rate(f'{name}_bucket{brace}{selector}', f'{by}, le')})"


def legend(label: str) -> str:
    """The model and one label more."""
    return f"{{{{model}}}}: {{{{{label}}}}}"
