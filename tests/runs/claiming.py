"""A process that, once told to, claims all it can get and prints what it got."""

import os
import sys
from pathlib import Path

from cifar_core.runs.store import Store

store = Store(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
while run := store.claim(f"process {os.getpid()}"):
    print(run.id)
