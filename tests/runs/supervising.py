"""A process that supervises a home's store until it is killed, on a cluster where it is given its address."""

import dataclasses
import sys
import threading
from pathlib import Path

from cifar_core.runs.supervisor import Supervisor
from tests.runs.helpers import QUICK

home, cluster = Path(sys.argv[1]), next(iter(sys.argv[2:]), None)
Supervisor(home, spare=True, policy=dataclasses.replace(QUICK, lease=3.0), cluster=cluster).start()
threading.Event().wait()
