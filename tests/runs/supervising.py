"""A process that supervises a home's store until it is killed."""

import dataclasses
import sys
import threading
from pathlib import Path

from cifar_core.runs.supervisor import Supervisor
from tests.runs.helpers import QUICK

Supervisor(Path(sys.argv[1]), spare=True, policy=dataclasses.replace(QUICK, lease=1.0)).start()
threading.Event().wait()
