"""The contenders, in the order of the tables."""

from bench.contenders.centrifugo import Centrifugo
from bench.contenders.contender import Contender
from bench.contenders.fastapi import Fastapi
from bench.contenders.loop import Loop
from bench.contenders.mercure import Mercure
from bench.contenders.nchan import Nchan
from bench.contenders.node import Node
from bench.contenders.runcast import Runcast, RuncastHubs

CONTENDERS: tuple[Contender, ...] = (
    Runcast(),
    RuncastHubs(),
    Loop(),
    Loop(sends_together=True),
    Nchan(),
    Centrifugo(),
    Mercure(keeps_history=True),
    Mercure(keeps_history=False),
    Node(),
    Fastapi(),
)
