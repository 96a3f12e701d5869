"""`python -m tapewatch`: the same as the command `tapewatch`."""

import os
import sys

from tapewatch.cli import main

code = main()
sys.stdout.flush()
sys.stderr.flush()
# Everything is sent and closed by now. Taking the interpreter apart, module by module, would cost each of a demo's
# twenty processes a quarter of a second of processor time when they end together.
os._exit(code)
