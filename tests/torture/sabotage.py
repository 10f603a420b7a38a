"""Five ways to break the product, for the proof that the checker notices. Only tests load this."""


def apply(kind: str) -> None:
    raise ValueError(kind)
