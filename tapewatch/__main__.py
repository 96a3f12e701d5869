"""`python -m tapewatch`."""

from tapewatch.cli import main

raise SystemExit(main())
